//! Digits: integers, scaled decimals, days and instants as text, eight digits at a time.
//!
//! Nothing here makes room: each function says how much it may need.

use chrono::{DateTime, NaiveDate};

use super::pen::Pen;

const EIGHT_ZEROS: u64 = 0x3030_3030_3030_3030;
const EIGHT_DIGITS: u64 = 100_000_000;

/// Bytes of the longest integer, and of the longest scaled decimal.
pub const NUMBER_BYTES_MAX: usize = 24;
/// Bytes of the longest day, sign and six digits of the year included.
pub const DATE_BYTES_MAX: usize = 24;
/// Bytes of the longest instant.
pub const INSTANT_BYTES_MAX: usize = DATE_BYTES_MAX + 20;

/// The eight digits of a number below 10^8 as bytes 0 to 9, the first one lowest. Halves, pairs and
/// digits are split off in all places of the word at once.
#[inline]
fn eight_digits(value: u32) -> u64 {
    let halves = u64::from(value / 10_000) | u64::from(value % 10_000) << 32;
    // A hundredth of what is below 10,000, and a tenth of what is below 100, are exact this way.
    let hundredths = (halves * 10_486) >> 20 & 0x0000_007f_0000_007f;
    let pairs = hundredths | (halves - hundredths * 100) << 16;
    let tenths = (pairs * 103) >> 10 & 0x000f_000f_000f_000f;
    tenths | (pairs - tenths * 10) << 8
}

/// Writes an unsigned integer: [`NUMBER_BYTES_MAX`].
#[inline]
pub fn write_u64(out: &mut Pen, value: u64) {
    if value < EIGHT_DIGITS {
        let digits = eight_digits(value as u32);
        let zeros = (digits.trailing_zeros() / 8).min(7);
        out.part(&((digits | EIGHT_ZEROS) >> (8 * zeros)).to_le_bytes(), 8 - zeros as usize);
    } else {
        write_long(out, value);
    }
}

/// More than eight digits, which few values have.
#[cold]
fn write_long(out: &mut Pen, value: u64) {
    write_u64(out, value / EIGHT_DIGITS);
    let digits = eight_digits((value % EIGHT_DIGITS) as u32);
    out.part(&(digits | EIGHT_ZEROS).to_le_bytes(), 8);
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
    let decimals = eight_digits((magnitude % 10_000) as u32) >> 32;
    let (third, fourth) = (decimals >> 16 & 0xf, decimals >> 24);
    let count = 3 + usize::from(third | fourth != 0) + usize::from(fourth != 0);
    let text = (decimals | EIGHT_ZEROS) << 8 | u64::from(b'.');
    out.part(&text.to_le_bytes(), count);
}

/// Writes a number in hundred-millionths, within decimal(18,8), without trailing zeros:
/// [`NUMBER_BYTES_MAX`].
#[inline]
pub fn write_number(out: &mut Pen, value: i64) {
    let magnitude = signed(out, value);
    write_u64(out, magnitude / EIGHT_DIGITS);
    let decimals = eight_digits((magnitude % EIGHT_DIGITS) as u32);
    if decimals != 0 {
        out.byte(b'.');
        out.part(&(decimals | EIGHT_ZEROS).to_le_bytes(), 8 - (decimals.leading_zeros() / 8) as usize);
    }
}

/// Writes a day, as `2023-05-15`: [`DATE_BYTES_MAX`].
#[inline]
pub fn write_date(out: &mut Pen, days: i32) {
    let (year, month, day) = civil(days);
    if !(0..=9999).contains(&year) {
        return write_far_date(out, days, (year, month, day));
    }
    let digits = eight_digits(year as u32 * 10_000 + month * 100 + day) | EIGHT_ZEROS;
    let dash = u64::from(b'-');
    let year_and_month = digits & 0xffff_ffff | dash << 32 | (digits >> 32 & 0xffff) << 40 | dash << 56;
    out.part(&year_and_month.to_le_bytes(), 8);
    out.part(&(digits >> 48).to_le_bytes(), 2);
}

/// Year, month and day, counted in eras of 400 years that begin in March.
#[inline]
fn civil(days: i32) -> (i64, u32, u32) {
    let shifted = i64::from(days) + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097) as u32;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (i64::from(year_of_era) + era * 400 + i64::from(month <= 2), month, day)
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
    let digits = (eight_digits(hours * 10_000 + minutes * 100 + seconds % 60) | EIGHT_ZEROS) >> 16;
    let colon = u64::from(b':');
    let text = digits & 0xffff | colon << 16 | (digits >> 16 & 0xffff) << 24 | colon << 40 | (digits >> 32) << 48;
    out.byte(b'T');
    out.part(&text.to_le_bytes(), 8);
    let fraction = (time % 1_000_000) as u32;
    if fraction > 0 {
        let decimals = eight_digits(fraction * 100);
        out.byte(b'.');
        out.part(&(decimals | EIGHT_ZEROS).to_le_bytes(), 8 - (decimals.leading_zeros() / 8) as usize);
    }
    out.byte(b'Z');
}
