//! Dates and times as the normal form writes them; each reads back as the same value.

use chrono::{DateTime, NaiveDate};

use super::{EPOCH_DAYS_FROM_CE, MICROS_PER_DAY, MICROS_PER_MINUTE, MICROS_PER_SECOND};

/// 2023-05-15.
pub(crate) fn print_date(days: i32) -> String {
    match days.checked_add(EPOCH_DAYS_FROM_CE).and_then(NaiveDate::from_num_days_from_ce_opt) {
        Some(date) => plain(date),
        None => format!("day {days}"),
    }
}

/// Chrono writes a sign before years of five digits; literals have none.
fn plain(date: NaiveDate) -> String {
    let text = date.to_string();
    text.strip_prefix('+').map(str::to_owned).unwrap_or(text)
}

/// 2023-05-15T04:11:55.647Z, as many fractional digits as needed.
pub(crate) fn print_instant(micros: i64) -> String {
    match DateTime::from_timestamp_micros(micros) {
        Some(at) => format!("{}T{}Z", plain(at.date_naive()), print_time(micros.rem_euclid(MICROS_PER_DAY))),
        None => format!("microsecond {micros}"),
    }
}

/// 04:11:55.647; a leap second at the end of the day is 23:59:60.
pub(crate) fn print_time(micros: i64) -> String {
    let minute = (micros / MICROS_PER_MINUTE).min(24 * 60 - 1);
    let rest = micros - minute * MICROS_PER_MINUTE;
    let mut text = format!("{:02}:{:02}:{:02}", minute / 60, minute % 60, rest / MICROS_PER_SECOND);
    push_fraction(&mut text, rest % MICROS_PER_SECOND);
    text
}

fn push_fraction(text: &mut String, micros: i64) {
    if micros != 0 {
        text.push('.');
        text.push_str(format!("{micros:06}").trim_end_matches('0'));
    }
}

/// P1DT2H3M4.5S, without the parts that are zero.
pub(crate) fn print_duration(micros: i64) -> String {
    let mut text = String::from(if micros < 0 { "-P" } else { "P" });
    let all = i64::try_from(micros.unsigned_abs()).unwrap_or(i64::MAX);
    let (days, rest) = (all / MICROS_PER_DAY, all % MICROS_PER_DAY);
    if days != 0 {
        text.push_str(&format!("{days}D"));
    }
    if rest == 0 && days != 0 {
        return text;
    }
    text.push('T');
    let (hours, minutes) = (rest / (60 * MICROS_PER_MINUTE), rest / MICROS_PER_MINUTE % 60);
    let seconds = rest % MICROS_PER_MINUTE;
    if hours != 0 {
        text.push_str(&format!("{hours}H"));
    }
    if minutes != 0 {
        text.push_str(&format!("{minutes}M"));
    }
    if seconds != 0 || rest == 0 {
        text.push_str(&(seconds / MICROS_PER_SECOND).to_string());
        push_fraction(&mut text, seconds % MICROS_PER_SECOND);
        text.push('S');
    }
    text
}
