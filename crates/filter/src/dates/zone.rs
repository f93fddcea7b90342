//! Days in a time zone: where a bare date begins.

use chrono::{DateTime, Datelike, LocalResult, NaiveDate, NaiveDateTime, Offset, TimeDelta, TimeZone};
use chrono_tz::Tz;

use super::{EPOCH_DAYS_FROM_CE, INSTANT_MIN_MICROS};

/// The day begins at an instant that cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outside;

/// The first instant of the day `days` after 1970-01-01 in `zone`, in microseconds.
///
/// Where clocks skip midnight the day begins with the instant of the skip; where midnight comes
/// twice, with the first one; a day that a zone skipped altogether begins where the next one does.
pub(crate) fn start_of_day(days: i32, zone: Tz) -> Result<i64, Outside> {
    let date = days.checked_add(EPOCH_DAYS_FROM_CE).and_then(NaiveDate::from_num_days_from_ce_opt).ok_or(Outside)?;
    let midnight = date.and_hms_opt(0, 0, 0).ok_or(Outside)?;
    let micros = match zone.from_local_datetime(&midnight) {
        LocalResult::Single(at) | LocalResult::Ambiguous(at, _) => at.timestamp_micros(),
        LocalResult::None => end_of_gap(midnight, zone) * 1_000_000,
    };
    if micros < INSTANT_MIN_MICROS || date.year() > 99_998 { Err(Outside) } else { Ok(micros) }
}

/// The second at which local clocks jump over `midnight`: the first whose local time is not before
/// it. Zones change by whole seconds and by less than two days.
fn end_of_gap(midnight: NaiveDateTime, zone: Tz) -> i64 {
    let reached = |second: i64| {
        let utc = DateTime::from_timestamp(second, 0).unwrap_or_default().naive_utc();
        let offset = zone.offset_from_utc_datetime(&utc).fix().local_minus_utc();
        utc + TimeDelta::seconds(i64::from(offset)) >= midnight
    };
    let around = midnight.and_utc().timestamp();
    let (mut before, mut after) = (around - 2 * 86_400, around + 2 * 86_400);
    while after - before > 1 {
        let middle = before + (after - before) / 2;
        if reached(middle) {
            after = middle;
        } else {
            before = middle;
        }
    }
    after
}
