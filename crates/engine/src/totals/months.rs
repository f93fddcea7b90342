//! The months of instants and days, as one sees them in a time zone.

use std::collections::HashMap;

use arrow::array::Array;
use chrono::{DateTime, Datelike, NaiveDate, Offset, TimeZone};
use chrono_tz::Tz;

use super::codes::Codes;
use crate::column::Column;

const DAY_MICROS: i64 = 86_400_000_000;
/// Since 1973 every zone's offset is of whole minutes and is changed at one, so all instants of one
/// minute fall into one month.
const MINUTE_MICROS: i64 = 60_000_000;
const MINUTES_FROM_MICROS: i64 = 94_694_400_000_000;

/// The days that are remembered by their number: 1900 to 2199.
const FIRST_DAY: i64 = -25_567;
const DAYS: usize = 109_572;

/// A day that was not looked at yet.
const UNKNOWN: u32 = u32::MAX;
/// A day of UTC that is of more than one month.
const MIXED: u32 = u32::MAX - 1;

/// Months by number, with names like `2023-05`; the empty name is that of what has no month.
#[derive(Debug)]
pub(super) struct Months {
    zone: Tz,
    names: Codes,
    /// The month of a day, or of every instant of a day of UTC.
    of_day: Vec<u32>,
    /// Of instants that are not known by their day.
    others: HashMap<i64, u32>,
}

impl Months {
    /// In this zone.
    pub fn new(zone: Tz) -> Self {
        let mut names = Codes::default();
        names.code("");
        Self { zone, names, of_day: vec![UNKNOWN; DAYS], others: HashMap::new() }
    }

    /// The name of a month.
    pub fn name(&self, month: u32) -> &str {
        self.names.name(month)
    }

    /// Takes up the months of another; answers the number here of each number there.
    pub fn absorb(&mut self, other: &Self) -> Vec<u32> {
        self.names.absorb(&other.names)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// The month of each row. Days have no zone.
    pub fn of(&mut self, column: &Column, rows: usize) -> Vec<u32> {
        let none = self.names.code("");
        match column {
            Column::Instant(array) if array.null_count() == 0 => {
                array.values().iter().take(rows).map(|&at| self.of_instant(at)).collect()
            }
            Column::Instant(array) => {
                array.iter().take(rows).map(|at| at.map_or(none, |at| self.of_instant(at))).collect()
            }
            Column::Date(array) => {
                array.iter().take(rows).map(|day| day.map_or(none, |day| self.of_date(day))).collect()
            }
            _ => vec![none; rows],
        }
    }

    #[inline]
    fn of_instant(&mut self, micros: i64) -> u32 {
        let place = place_of(micros.div_euclid(DAY_MICROS));
        match self.of_day.get(place) {
            Some(&month) if month < MIXED => month,
            _ => self.look_up(micros, place),
        }
    }

    #[cold]
    fn look_up(&mut self, micros: i64, place: usize) -> u32 {
        if self.of_day.get(place) == Some(&UNKNOWN) {
            let begin = micros.div_euclid(DAY_MICROS) * DAY_MICROS;
            let (first, last) = (begin, begin + DAY_MICROS - 1);
            // Where clocks are turned, the day is looked at minute by minute.
            let month = self.exact(first);
            let one = self.offset(first) == self.offset(last) && month == self.exact(last);
            self.of_day[place] = if one { month } else { MIXED };
            return self.of_instant(micros);
        }
        let minutes = micros >= MINUTES_FROM_MICROS;
        let key = if minutes { micros.div_euclid(MINUTE_MICROS) + (1 << 60) } else { micros };
        if let Some(&month) = self.others.get(&key) {
            return month;
        }
        let month = self.exact(micros);
        self.others.insert(key, month);
        month
    }

    fn exact(&mut self, micros: i64) -> u32 {
        let local = DateTime::from_timestamp_micros(micros).map(|at| self.zone.from_utc_datetime(&at.naive_utc()));
        self.named(local.map(|local| local.date_naive()))
    }

    fn offset(&self, micros: i64) -> Option<i32> {
        let at = DateTime::from_timestamp_micros(micros)?;
        Some(self.zone.offset_from_utc_datetime(&at.naive_utc()).fix().local_minus_utc())
    }

    fn of_date(&mut self, day: i32) -> u32 {
        let place = place_of(day.into());
        if let Some(&month) = self.of_day.get(place).filter(|month| **month != UNKNOWN) {
            return month;
        }
        let month = self.named(NaiveDate::from_epoch_days(day));
        if let Some(known) = self.of_day.get_mut(place) {
            *known = month;
        }
        month
    }

    fn named(&mut self, day: Option<NaiveDate>) -> u32 {
        let name = day.map_or_else(String::new, |day| format!("{:04}-{:02}", day.year(), day.month()));
        self.names.code(&name)
    }
}

/// Where a day is remembered; beyond the end if it is not.
#[inline]
fn place_of(day: i64) -> usize {
    usize::try_from(day - FIRST_DAY).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use arrow::array::TimestampMicrosecondArray;
    use proptest::prelude::*;

    use super::*;

    fn months(zone: Tz, instants: &[Option<i64>]) -> Vec<String> {
        let mut months = Months::new(zone);
        let column = Column::Instant(instants.iter().copied().collect::<TimestampMicrosecondArray>());
        let found = months.of(&column, instants.len());
        found.iter().map(|&month| months.name(month).to_owned()).collect()
    }

    fn at(text: &str) -> i64 {
        text.parse::<DateTime<chrono::Utc>>().unwrap().timestamp_micros()
    }

    #[test]
    fn months_follow_the_zone() {
        let instants = [
            Some(at("2023-03-31T21:59:59.999999Z")),
            Some(at("2023-03-31T22:00:00Z")),
            None,
            Some(at("1900-01-01T00:00:00Z")),
            Some(at("2023-03-31T21:59:59.999999Z")),
        ];
        assert_eq!(months(chrono_tz::Europe::Berlin, &instants), ["2023-03", "2023-04", "", "1900-01", "2023-03"]);
    }

    #[test]
    fn clocks_that_are_turned_back_over_the_end_of_a_month_bring_it_back() {
        // On 1 November 2009 at 00:01 the clocks of St. John's went back to 23:01 of 31 October.
        let instants = ["02:30", "02:31", "03:29", "03:31"].map(|time| Some(at(&format!("2009-11-01T{time}:00Z"))));
        let found = months(chrono_tz::America::St_Johns, &instants);
        assert_eq!(found, ["2009-11", "2009-10", "2009-10", "2009-11"]);
    }

    #[test]
    fn days_have_no_zone() {
        let days = [Some(19_447), Some(19_448), None, Some(19_447), Some(-719_163), Some(1_000_000)];
        let column = Column::Date(days.into_iter().collect::<arrow::array::Date32Array>());
        let mut months = Months::new(chrono_tz::Pacific::Auckland);
        let found: Vec<u32> = months.of(&column, days.len());
        let found: Vec<&str> = found.iter().map(|&month| months.name(month)).collect();
        assert_eq!(found, ["2023-03", "2023-04", "", "2023-03", "0000-12", "4707-11"]);
    }

    proptest! {
        #[test]
        fn every_instant_is_in_its_month(instants in prop::collection::vec(-5_000_000_000_000_000_i64..9_000_000_000_000_000, 1..200), zone in 0..chrono_tz::TZ_VARIANTS.len()) {
            let zone = chrono_tz::TZ_VARIANTS[zone];
            let found = months(zone, &instants.iter().copied().map(Some).collect::<Vec<_>>());
            for (&instant, found) in instants.iter().zip(found) {
                let local = zone.from_utc_datetime(&DateTime::from_timestamp_micros(instant).unwrap().naive_utc());
                prop_assert_eq!(local.format("%Y-%m").to_string(), found);
            }
        }
    }
}
