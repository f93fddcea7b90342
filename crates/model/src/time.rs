//! Instants in microseconds UTC, and the clock that everything asks instead of the system.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

/// An instant: microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The instant as a chrono value.
    pub fn to_utc(self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.0).unwrap_or(DateTime::<Utc>::MAX_UTC)
    }
    /// The instant `ms` milliseconds later (earlier if negative), saturating.
    pub fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms.saturating_mul(1000)))
    }
    /// Milliseconds from `earlier` to this instant.
    pub fn ms_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0) / 1000
    }
    /// The form of an Export's times: seven fractional digits and Z.
    pub fn to_wire(self) -> String {
        self.to_utc().format("%Y-%m-%dT%H:%M:%S%.6f0Z").to_string()
    }
    /// The UTC day that the instant falls in.
    pub fn date(self) -> NaiveDate {
        self.to_utc().date_naive()
    }
    /// 00:00:00 UTC of `date`.
    pub fn start_of(date: NaiveDate) -> Self {
        Self(date.and_hms_opt(0, 0, 0).map_or(0, |t| t.and_utc().timestamp_micros()))
    }
}

/// ISO 8601 with as many fractional digits as needed, and Z.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let utc = self.to_utc();
        let text = utc.to_rfc3339_opts(SecondsFormat::Micros, true);
        match text.split_once('.') {
            Some((head, tail)) => {
                let digits = tail.trim_end_matches('Z').trim_end_matches('0');
                if digits.is_empty() { write!(f, "{head}Z") } else { write!(f, "{head}.{digits}Z") }
            }
            None => f.write_str(&text),
        }
    }
}

impl From<DateTime<Utc>> for Timestamp {
    fn from(value: DateTime<Utc>) -> Self {
        Self(value.timestamp_micros())
    }
}

/// Where the time comes from.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The instant now.
    fn now(&self) -> Timestamp;
}

/// The system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "the one place that asks the system")]
        Utc::now().into()
    }
}

/// A clock that stands still until it is moved: for tests.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<AtomicI64>);

impl ManualClock {
    /// A clock that shows `at`.
    pub fn new(at: Timestamp) -> Self {
        Self(Arc::new(AtomicI64::new(at.0)))
    }
    /// Moves the clock by `ms` milliseconds.
    pub fn advance_ms(&self, ms: i64) {
        self.0.fetch_add(ms * 1000, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_as_many_digits_as_needed() {
        let at = |s: &str| Timestamp::from(s.parse::<DateTime<Utc>>().unwrap());
        assert_eq!(at("2023-05-15T04:11:55.647Z").to_string(), "2023-05-15T04:11:55.647Z");
        assert_eq!(at("2023-05-15T04:11:55Z").to_string(), "2023-05-15T04:11:55Z");
        assert_eq!(at("2023-05-15T04:11:55.000001Z").to_string(), "2023-05-15T04:11:55.000001Z");
        assert_eq!(at("2023-05-25T21:20:46.372756Z").to_wire(), "2023-05-25T21:20:46.3727560Z");
    }
}
