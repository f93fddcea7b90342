//! Digits: integers, scaled decimals, days and instants as text, eight digits at a time.
//!
//! Nothing here makes room: each function says how much it may need.

use chrono::{DateTime, NaiveDate};

use super::pen::Pen;

const FOUR_ZEROS: u32 = 0x3030_3030;
const EIGHT_ZEROS: u64 = 0x3030_3030_3030_3030;
const EIGHT_DIGITS: u64 = 100_000_000;

/// Bytes of the longest integer, and of the longest scaled decimal.
pub const NUMBER_BYTES_MAX: usize = 24;
/// Bytes of the longest day, sign and six digits of the year included.
pub const DATE_BYTES_MAX: usize = 24;
/// Bytes of the longest instant.
pub const INSTANT_BYTES_MAX: usize = DATE_BYTES_MAX + 20;

/// The digits of every number below 10,000, the first one lowest. A look into the cache takes half
/// the time of working them out.
static FOUR_DIGITS: [u32; 10_000] = {
    let mut table = [0; 10_000];
    let mut value = 0;
    while value < 10_000 {
        let digits = [value / 1000, value / 100 % 10, value / 10 % 10, value % 10];
        let text = [digits[0] as u8, digits[1] as u8, digits[2] as u8, digits[3] as u8];
        table[value as usize] = u32::from_le_bytes(text) | FOUR_ZEROS;
        value += 1;
    }
    table
};

/// The four digits of a number below 10,000 as text, the first one lowest.
#[inline]
fn four_digits(value: u32) -> u32 {
    FOUR_DIGITS[value as usize]
}

/// The eight digits of a number below 10^8 as text, the first one lowest.
#[inline]
fn eight_digits(value: u32) -> u64 {
    u64::from(four_digits(value / 10_000)) | u64::from(four_digits(value % 10_000)) << 32
}

/// Writes an unsigned integer: [`NUMBER_BYTES_MAX`].
#[inline]
pub fn write_u64(out: &mut Pen, value: u64) {
    if value < EIGHT_DIGITS {
        let digits = eight_digits(value as u32);
        let zeros = ((digits ^ EIGHT_ZEROS).trailing_zeros() / 8).min(7);
        out.part(&(digits >> (8 * zeros)).to_le_bytes(), 8 - zeros as usize);
    } else {
        write_long(out, value);
    }
}

/// More than eight digits, which few values have.
#[cold]
fn write_long(out: &mut Pen, value: u64) {
    write_u64(out, value / EIGHT_DIGITS);
    out.part(&eight_digits((value % EIGHT_DIGITS) as u32).to_le_bytes(), 8);
}

/// Writes a signed integer: [`NUMBER_BYTES_MAX`].
pub fn write_i64(out: &mut Pen, value: i64) {
    let magnitude = signed(out, value);
    write_u64(out, magnitude);
}

/// The magnitude of a number; writes its sign.
#[inline]
fn signed(out: &mut Pen, value: i64) -> u64 {
    if value < 0 {
        out.byte(b'-');
    }
    value.unsigned_abs()
}

/// Writes an amount in ten-thousandths, within decimal(18,4), with two to four decimals:
/// [`NUMBER_BYTES_MAX`].
#[inline]
pub fn write_amount(out: &mut Pen, value: i64) {
    let magnitude = signed(out, value);
    write_u64(out, magnitude / 10_000);
    let decimals = four_digits((magnitude % 10_000) as u32);
    let above_zero = decimals ^ FOUR_ZEROS;
    let count = 3 + usize::from(above_zero >> 16 != 0) + usize::from(above_zero >> 24 != 0);
    out.part(&(u64::from(decimals) << 8 | u64::from(b'.')).to_le_bytes(), count);
}

/// Writes a number in hundred-millionths, within decimal(18,8), without trailing zeros:
/// [`NUMBER_BYTES_MAX`].
#[inline]
pub fn write_number(out: &mut Pen, value: i64) {
    let magnitude = signed(out, value);
    write_u64(out, magnitude / EIGHT_DIGITS);
    write_decimals(out, (magnitude % EIGHT_DIGITS) as u32);
}

/// Writes hundred-millionths without trailing zeros, nothing for none.
#[inline]
fn write_decimals(out: &mut Pen, decimals: u32) {
    if decimals > 0 {
        let digits = eight_digits(decimals);
        let zeros = (digits ^ EIGHT_ZEROS).leading_zeros() / 8;
        out.byte(b'.');
        out.part(&digits.to_le_bytes(), 8 - zeros as usize);
    }
}

/// Writes a day, as `2023-05-15`: [`DATE_BYTES_MAX`].
#[inline]
pub fn write_date(out: &mut Pen, days: i32) {
    let (year, month, day) = civil(days);
    if !(0..=9999).contains(&year) {
        return write_far_date(out, days, (year, month, day));
    }
    let month_and_day = u64::from(four_digits(month * 100 + day));
    let dash = u64::from(b'-');
    let year_and_month = u64::from(four_digits(year as u32)) | dash << 32 | (month_and_day & 0xffff) << 40 | dash << 56;
    out.part(&year_and_month.to_le_bytes(), 8);
    out.part(&(month_and_day >> 16).to_le_bytes(), 2);
}

/// Year, month and day. Years are counted from March, so that the leap day is the last, and dates by
/// multiples instead of divisions (C. Neri, L. Schneider, "Euclidean affine functions and their
/// application to calendar algorithms", 2022).
#[inline]
fn civil(days: i32) -> (i64, u32, u32) {
    /// Whole periods of 400 years that make every day of 32 bits positive.
    const ERAS: i64 = 14_704;
    let shifted = i64::from(days) + 719_468 + ERAS * 146_097;
    let quarters = 4 * shifted as u64 + 3;
    let century = quarters / 146_097;
    let of_century = (quarters % 146_097) as u32 | 3;
    let years = 2_939_745 * u64::from(of_century);
    let year_of_century = years >> 32;
    let day_of_year = years as u32 / 2_939_745 / 4;
    let months = 2141 * day_of_year + 197_913;
    let (month, day) = (months >> 16, (months & 0xffff) / 2141 + 1);
    let next_year = day_of_year >= 306;
    let year = (100 * century + year_of_century) as i64 + i64::from(next_year) - ERAS * 400;
    (year, if next_year { month - 12 } else { month }, day)
}

/// Beyond four digits ISO 8601 wants a sign.
#[cold]
fn write_far_date(out: &mut Pen, days: i32, (year, month, day): (i64, u32, u32)) {
    let text = match NaiveDate::from_epoch_days(days) {
        Some(date) => date.to_string(),
        None => format!("{year}-{month:02}-{day:02}"),
    };
    out.slice(text.as_bytes());
}

/// Writes an instant, as `2023-05-15T04:11:55.647Z` with as many fractional digits as needed:
/// [`INSTANT_BYTES_MAX`].
pub fn write_instant(out: &mut Pen, micros: i64) {
    const DAY: i64 = 86_400_000_000;
    match i32::try_from(micros.div_euclid(DAY)) {
        Ok(days) => write_date(out, days),
        Err(_) => {
            let date = DateTime::from_timestamp_micros(micros).unwrap_or_default().date_naive();
            out.slice(date.to_string().as_bytes());
        }
    }
    let time = micros.rem_euclid(DAY);
    let seconds = (time / 1_000_000) as u32;
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    let digits = eight_digits(hours * 10_000 + minutes * 100 + seconds % 60) >> 16;
    let colon = u64::from(b':');
    let text = digits & 0xffff | colon << 16 | (digits >> 16 & 0xffff) << 24 | colon << 40 | (digits >> 32) << 48;
    out.byte(b'T');
    out.part(&text.to_le_bytes(), 8);
    write_decimals(out, (time % 1_000_000) as u32 * 100);
    out.byte(b'Z');
}
