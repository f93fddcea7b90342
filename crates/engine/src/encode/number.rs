//! Digits: integers, scaled decimals, days and instants as text, without formatting machinery.

use chrono::{DateTime, NaiveDate};

const PAIRS: &[u8; 200] = b"0001020304050607080910111213141516171819\
2021222324252627282930313233343536373839\
4041424344454647484950515253545556575859\
6061626364656667686970717273747576777879\
8081828384858687888990919293949596979899";

/// Appends an unsigned integer.
pub fn write_u64(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    while value >= 100 {
        let pair = (value % 100) as usize * 2;
        value /= 100;
        at -= 2;
        digits[at..at + 2].copy_from_slice(&PAIRS[pair..pair + 2]);
    }
    if value >= 10 {
        let pair = value as usize * 2;
        at -= 2;
        digits[at..at + 2].copy_from_slice(&PAIRS[pair..pair + 2]);
    } else {
        at -= 1;
        digits[at] = b'0' + value as u8;
    }
    out.extend_from_slice(&digits[at..]);
}

/// Appends a signed integer.
pub fn write_i64(out: &mut Vec<u8>, value: i64) {
    if value < 0 {
        out.push(b'-');
    }
    write_u64(out, value.unsigned_abs());
}

/// Appends an integer scaled by 10^`SCALE` with at least `LEAST` decimals and no trailing zeros
/// beyond those. The value is within decimal(18, SCALE).
pub fn write_scaled<const SCALE: usize, const LEAST: usize>(out: &mut Vec<u8>, value: i128) {
    let magnitude = u64::try_from(value.unsigned_abs()).expect("a column's decimals have 18 digits");
    let power = 10_u64.pow(SCALE as u32);
    if value < 0 {
        out.push(b'-');
    }
    write_u64(out, magnitude / power);
    let mut fraction = magnitude % power;
    let mut digits = [b'0'; 16];
    for digit in digits[..SCALE].iter_mut().rev() {
        *digit = b'0' + (fraction % 10) as u8;
        fraction /= 10;
    }
    let mut length = SCALE;
    while length > LEAST && digits[length - 1] == b'0' {
        length -= 1;
    }
    if length > 0 {
        out.push(b'.');
        out.extend_from_slice(&digits[..length]);
    }
}

fn write_pair(out: &mut Vec<u8>, value: u32) {
    let pair = value as usize * 2;
    out.extend_from_slice(&PAIRS[pair..pair + 2]);
}

/// Appends a day: `2023-05-15`.
pub fn write_date(out: &mut Vec<u8>, days: i32) {
    // Civil from days, in eras of 400 years that begin in March.
    let shifted = i64::from(days) + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * month_from_march + 2) / 5 + 1) as u32;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 } as u32;
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    if !(0..=9999).contains(&year) {
        // Beyond four digits ISO 8601 wants a sign.
        match NaiveDate::from_epoch_days(days) {
            Some(date) => out.extend_from_slice(date.to_string().as_bytes()),
            None => {
                write_i64(out, year);
                out.push(b'-');
                write_pair(out, month);
                out.push(b'-');
                write_pair(out, day);
            }
        }
        return;
    }
    write_pair(out, (year / 100) as u32);
    write_pair(out, (year % 100) as u32);
    out.push(b'-');
    write_pair(out, month);
    out.push(b'-');
    write_pair(out, day);
}

/// Appends an instant: `2023-05-15T04:11:55.647Z`, as many fractional digits as needed.
pub fn write_instant(out: &mut Vec<u8>, micros: i64) {
    const DAY: i64 = 86_400_000_000;
    match i32::try_from(micros.div_euclid(DAY)) {
        Ok(days) => write_date(out, days),
        Err(_) => out.extend_from_slice(
            DateTime::from_timestamp_micros(micros).unwrap_or_default().date_naive().to_string().as_bytes(),
        ),
    }
    let time = micros.rem_euclid(DAY);
    let seconds = (time / 1_000_000) as u32;
    out.push(b'T');
    write_pair(out, seconds / 3600);
    out.push(b':');
    write_pair(out, seconds / 60 % 60);
    out.push(b':');
    write_pair(out, seconds % 60);
    let mut fraction = (time % 1_000_000) as u32;
    if fraction > 0 {
        out.push(b'.');
        let mut digits = 6;
        while fraction.is_multiple_of(10) {
            fraction /= 10;
            digits -= 1;
        }
        let start = out.len();
        out.resize(start + digits, b'0');
        for digit in out[start..].iter_mut().rev() {
            *digit = b'0' + (fraction % 10) as u8;
            fraction /= 10;
        }
    }
    out.push(b'Z');
}
