//! Dates, instants, times of day and durations: their literals as text, and days in a time zone.
//!
//! Everything is exact: a literal finer than a microsecond keeps the rest, see [`Fine`].

mod print;
mod zone;

use chrono::{Datelike, NaiveDate};

use crate::lexer::Lit;

pub(crate) use print::{print_date, print_duration, print_instant, print_time};
pub(crate) use zone::{Outside, start_of_day};

const MICROS_PER_SECOND: i64 = 1_000_000;
const MICROS_PER_MINUTE: i64 = 60 * MICROS_PER_SECOND;
pub(crate) const MICROS_PER_DAY: i64 = 24 * 60 * MICROS_PER_MINUTE;
/// Days from 0001-01-01 to 1970-01-01 as chrono counts them.
const EPOCH_DAYS_FROM_CE: i32 = 719_163;
/// 0000-01-01T00:00:00Z: earlier instants cannot be written.
pub(crate) const INSTANT_MIN_MICROS: i64 = -62_167_219_200 * MICROS_PER_SECOND;
/// 0001-01-01T00:00:00Z.
pub(crate) const MIN_DATETIME_MICROS: i64 = -62_135_596_800 * MICROS_PER_SECOND;
/// 9999-12-31T23:59:59.999999Z.
pub(crate) const MAX_DATETIME_MICROS: i64 = 253_402_300_800 * MICROS_PER_SECOND - 1;

/// Microseconds and what is finer: the value lies `tail_picos` (below 1,000,000) after `micros`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Fine {
    pub micros: i64,
    pub tail_picos: u32,
}

impl Fine {
    pub fn exact(micros: i64) -> Self {
        Self { micros, tail_picos: 0 }
    }
    /// The value with the other sign; `None` out of range.
    pub fn negated(self) -> Option<Self> {
        let whole = self.micros.checked_neg()?;
        match self.tail_picos {
            0 => Some(Self::exact(whole)),
            tail => Some(Self { micros: whole.checked_sub(1)?, tail_picos: 1_000_000 - tail }),
        }
    }
}

/// Something that begins like a date or a time and is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Malformed(pub String);

type Scanned<T> = Result<(T, usize), Malformed>;

/// Reads a date, instant or time of day at the start of `text`, and says how many bytes it has;
/// `None` if there is nothing like one.
pub(crate) fn scan(text: &str) -> Option<Scanned<Lit<'static>>> {
    let bytes = text.as_bytes();
    let year_digits = bytes.iter().take(6).take_while(|b| b.is_ascii_digit()).count();
    let date_like = (year_digits == 4 || year_digits == 5 && bytes[0] != b'0')
        && bytes.get(year_digits) == Some(&b'-')
        && number(bytes, year_digits + 1, 2).is_some()
        && bytes.get(year_digits + 3) == Some(&b'-')
        && number(bytes, year_digits + 4, 2).is_some();
    if date_like {
        return Some(scan_date(bytes, year_digits));
    }
    let time_like = year_digits == 2 && bytes.get(2) == Some(&b':');
    time_like.then(|| clock(bytes, 0).map(|(fine, len)| (Lit::Time(fine), len)))
}

/// Reads all of `text` as a date, instant or time of day.
pub(crate) fn whole(text: &str) -> Option<Lit<'static>> {
    match scan(text)? {
        Ok((lit, len)) if len == text.len() => Some(lit),
        _ => None,
    }
}

fn scan_date(bytes: &[u8], year_digits: usize) -> Scanned<Lit<'static>> {
    let part = |at, n| number(bytes, at, n).unwrap_or(0);
    let (year, month, day) = (part(0, year_digits), part(year_digits + 1, 2), part(year_digits + 4, 2));
    let date = i32::try_from(year).ok().and_then(|y| NaiveDate::from_ymd_opt(y, month, day));
    let Some(date) = date else {
        return Err(Malformed(format!("there is no day {day:02} in month {month:02} of the year {year:04}")));
    };
    let days = date.num_days_from_ce() - EPOCH_DAYS_FROM_CE;
    let end = year_digits + 6;
    if !matches!(bytes.get(end), Some(b'T' | b't')) {
        return Ok((Lit::Date(days), end));
    }
    let (time, at) = clock(bytes, end + 1)?;
    let (offset_min, at) = offset(bytes, at)?;
    let micros = i64::from(days) * MICROS_PER_DAY + time.micros - i64::from(offset_min) * MICROS_PER_MINUTE;
    if micros < INSTANT_MIN_MICROS {
        return Err(Malformed("an instant before the year 0000 cannot be written".into()));
    }
    Ok((Lit::Instant { at: Fine { micros, ..time }, offset_min }, at))
}

/// hh:mm[:ss[.f…]] at `at`.
fn clock(bytes: &[u8], at: usize) -> Scanned<Fine> {
    let wrong = || Malformed("a time is written hh:mm, hh:mm:ss or hh:mm:ss.ffffff, from 00:00 to 23:59:60".into());
    let hour = number(bytes, at, 2).filter(|h| *h < 24).ok_or_else(wrong)?;
    if bytes.get(at + 2) != Some(&b':') {
        return Err(wrong());
    }
    let minute = number(bytes, at + 3, 2).filter(|m| *m < 60).ok_or_else(wrong)?;
    let mut micros = i64::from(hour * 60 + minute) * MICROS_PER_MINUTE;
    let mut at = at + 5;
    let mut tail_picos = 0;
    if bytes.get(at) == Some(&b':') {
        // A leap second counts as the first second of the next minute.
        let second = number(bytes, at + 1, 2).filter(|s| *s <= 60).ok_or_else(wrong)?;
        micros += i64::from(second) * MICROS_PER_SECOND;
        at += 3;
        if bytes.get(at) == Some(&b'.') {
            let (fraction, end) = fraction(bytes, at + 1)?;
            micros += fraction.micros;
            tail_picos = fraction.tail_picos;
            at = end;
        }
    }
    Ok((Fine { micros, tail_picos }, at))
}

/// One to twelve digits of a second.
fn fraction(bytes: &[u8], at: usize) -> Scanned<Fine> {
    let digits = bytes[at.min(bytes.len())..].iter().take(13).take_while(|b| b.is_ascii_digit()).count();
    if digits == 0 || digits > 12 {
        return Err(Malformed("a fraction of a second has one to twelve digits".into()));
    }
    let picos = bytes[at..at + digits].iter().fold(0_u64, |n, b| n * 10 + u64::from(b - b'0'))
        * 10_u64.pow(12 - u32::try_from(digits).unwrap_or(12));
    let micros = i64::try_from(picos / 1_000_000).unwrap_or(0);
    Ok((Fine { micros, tail_picos: (picos % 1_000_000) as u32 }, at + digits))
}

/// `Z`, `+hh:mm`, `-hh:mm`; a blank for the sign was a `+` before the query was decoded.
fn offset(bytes: &[u8], at: usize) -> Scanned<i32> {
    let wrong = || Malformed("a date-time ends in Z or in an offset such as +02:00 (send the + as %2B)".into());
    let negative = match bytes.get(at) {
        Some(b'Z' | b'z') => return Ok((0, at + 1)),
        Some(b'+' | b' ') => false,
        Some(b'-') => true,
        _ => return Err(wrong()),
    };
    let hour = number(bytes, at + 1, 2).filter(|h| *h < 24).ok_or_else(wrong)?;
    if bytes.get(at + 3) != Some(&b':') {
        return Err(wrong());
    }
    let minute = number(bytes, at + 4, 2).filter(|m| *m < 60).ok_or_else(wrong)?;
    let minutes = (hour * 60 + minute) as i32;
    Ok((if negative { -minutes } else { minutes }, at + 6))
}

/// Exactly `n` digits at `at`.
fn number(bytes: &[u8], at: usize, n: usize) -> Option<u32> {
    let digits = bytes.get(at..at + n)?;
    digits.iter().all(u8::is_ascii_digit).then(|| digits.iter().fold(0, |v, b| v * 10 + u32::from(b - b'0')))
}

/// Reads a duration of days, hours, minutes and seconds: `P1DT2H3M4.5S`, `-PT90M`.
pub(crate) fn duration(text: &str) -> Result<Fine, Malformed> {
    let wrong = || Malformed("a duration is written P1DT2H3M4.5S: days, then T with hours, minutes and seconds".into());
    let too_long = || Malformed("the duration is longer than 292,000 years".into());
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let rest = rest.strip_prefix(['P', 'p']).ok_or_else(wrong)?;
    let bytes = rest.as_bytes();
    let units: [(u8, i64, bool); 4] = [
        (b'D', MICROS_PER_DAY, false),
        (b'H', 60 * MICROS_PER_MINUTE, true),
        (b'M', MICROS_PER_MINUTE, true),
        (b'S', MICROS_PER_SECOND, true),
    ];
    let (mut at, mut next_unit, mut after_t, mut parts) = (0, 0, false, 0);
    let mut total = Fine::exact(0);
    while at < bytes.len() {
        if !after_t && matches!(bytes[at], b'T' | b't') {
            (after_t, at) = (true, at + 1);
            continue;
        }
        let digits = bytes[at..].iter().take_while(|b| b.is_ascii_digit()).count();
        if digits == 0 {
            return Err(wrong());
        }
        let count: i64 = rest[at..at + digits].parse().map_err(|_| too_long())?;
        at += digits;
        if bytes.get(at) == Some(&b'.') {
            let (part, end) = fraction(bytes, at + 1)?;
            if !matches!(bytes.get(end), Some(b'S' | b's')) {
                return Err(wrong());
            }
            total.micros = total.micros.checked_add(part.micros).ok_or_else(too_long)?;
            total.tail_picos = part.tail_picos;
            at = end;
        }
        let letter = bytes.get(at).map(u8::to_ascii_uppercase).ok_or_else(wrong)?;
        let unit = (next_unit..4).find(|&u| units[u].0 == letter && units[u].2 == after_t).ok_or_else(wrong)?;
        let part = count.checked_mul(units[unit].1).ok_or_else(too_long)?;
        total.micros = total.micros.checked_add(part).ok_or_else(too_long)?;
        (next_unit, at, parts) = (unit + 1, at + 1, parts + 1);
    }
    if parts == 0 || rest.ends_with(['T', 't']) {
        return Err(wrong());
    }
    if negative { total.negated().ok_or_else(too_long) } else { Ok(total) }
}

#[cfg(test)]
mod tests;
