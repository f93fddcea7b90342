//! Periods in words, and the days that they mean.
//!
//! Invariant: a period is always days, both ends included, in the time zone that is shown; which
//! days is never hidden. "The last n months" begin on the day after the same day n months before,
//! so that twelve of them have every day of the year once.

use chrono::{Datelike, Months, NaiveDate};

/// What a period is counted from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Calendar {
    /// Today in `zone`.
    pub today: NaiveDate,
    /// The time zone of the request.
    pub zone: chrono_tz::Tz,
    /// The month that a fiscal year begins with: 1 to 12.
    pub fiscal_first_month: u32,
}

/// Days from one to another, both included; `None`: open.
pub type Days = (Option<NaiveDate>, Option<NaiveDate>);

/// Which days are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// So many months up to today.
    Months(u32),
    /// The last month that is over.
    LastMonth,
    /// The last fiscal quarter that is over.
    LastQuarter,
    /// The last fiscal year that is over.
    LastFiscalYear,
    /// The fiscal year under way, up to today.
    ThisFiscalYear,
    /// From one day to another; at least one of them.
    Between(Days),
    /// Any day, also none.
    Any,
}

impl Period {
    /// What is asked for if nothing is chosen.
    pub const DEFAULT: Self = Self::Months(12);

    /// Those that need no days, in the order they are offered.
    pub const NAMED: [Self; 9] = [
        Self::LastMonth,
        Self::LastQuarter,
        Self::LastFiscalYear,
        Self::ThisFiscalYear,
        Self::Months(3),
        Self::Months(6),
        Self::Months(12),
        Self::Months(36),
        Self::Any,
    ];

    /// Its name in a request.
    pub fn key(self) -> &'static str {
        match self {
            Self::LastMonth => "last-month",
            Self::LastQuarter => "last-quarter",
            Self::LastFiscalYear => "last-fiscal-year",
            Self::ThisFiscalYear => "this-fiscal-year",
            Self::Months(3) => "3-months",
            Self::Months(6) => "6-months",
            Self::Months(36) => "36-months",
            Self::Months(_) => "12-months",
            Self::Between(_) => "between",
            Self::Any => "any",
        }
    }

    /// Its name for people.
    pub fn label(self) -> &'static str {
        match self {
            Self::LastMonth => "Last full month",
            Self::LastQuarter => "Last full quarter",
            Self::LastFiscalYear => "Last full fiscal year",
            Self::ThisFiscalYear => "This fiscal year so far",
            Self::Months(3) => "Last 3 months",
            Self::Months(6) => "Last 6 months",
            Self::Months(36) => "Last 36 months",
            Self::Months(_) => "Last 12 months",
            Self::Between(_) => "From one day to another",
            Self::Any => "Any time",
        }
    }

    /// The days it means.
    pub fn days(self, calendar: &Calendar) -> Days {
        let today = calendar.today;
        let this_month = first_of_month(today);
        let year = first_of_fiscal_year(today, calendar.fiscal_first_month);
        let over = |from: NaiveDate, next: NaiveDate| (Some(from), next.pred_opt());
        match self {
            Self::Months(months) => {
                let before = back(today, months);
                (before.succ_opt(), Some(today))
            }
            Self::LastMonth => over(back(this_month, 1), this_month),
            Self::LastQuarter => {
                let into = months_between(year, this_month) % 3;
                let quarter = back(this_month, into);
                over(back(quarter, 3), quarter)
            }
            Self::LastFiscalYear => over(back(year, 12), year),
            Self::ThisFiscalYear => (Some(year), Some(today)),
            Self::Between(days) => days,
            Self::Any => (None, None),
        }
    }

    /// The period of these days by its name, where it has one.
    pub fn of_days(days: Days, calendar: &Calendar) -> Self {
        let named = Self::NAMED.into_iter().find(|period| period.days(calendar) == days);
        named.unwrap_or(Self::Between(days))
    }
}

fn first_of_month(day: NaiveDate) -> NaiveDate {
    day.with_day(1).unwrap_or(day)
}

/// The same day some months before, or the last of that month.
fn back(day: NaiveDate, months: u32) -> NaiveDate {
    day.checked_sub_months(Months::new(months)).unwrap_or(day)
}

fn first_of_fiscal_year(today: NaiveDate, first_month: u32) -> NaiveDate {
    let into = (today.month() + 12 - first_month.clamp(1, 12)) % 12;
    back(first_of_month(today), into)
}

/// Whole months from one first of a month to a later one within a year.
fn months_between(from: NaiveDate, to: NaiveDate) -> u32 {
    (to.month() + 12 - from.month()) % 12
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calendar(today: &str, fiscal_first_month: u32) -> Calendar {
        Calendar { today: today.parse().unwrap(), zone: chrono_tz::UTC, fiscal_first_month }
    }

    fn days(period: Period, today: &str, fiscal_first_month: u32) -> String {
        let (from, to) = period.days(&calendar(today, fiscal_first_month));
        let text = |day: Option<NaiveDate>| day.map_or_else(|| "…".into(), |d| d.to_string());
        format!("{} to {}", text(from), text(to))
    }

    #[test]
    fn periods_are_whole_and_plain() {
        for (period, today, first_month, expected) in [
            (Period::Months(12), "2026-11-27", 1, "2025-11-28 to 2026-11-27"),
            (Period::Months(12), "2024-02-29", 1, "2023-03-01 to 2024-02-29"),
            (Period::Months(3), "2026-05-31", 1, "2026-03-01 to 2026-05-31"),
            (Period::Months(36), "2026-01-01", 1, "2023-01-02 to 2026-01-01"),
            (Period::LastMonth, "2026-03-31", 1, "2026-02-01 to 2026-02-28"),
            (Period::LastMonth, "2026-01-01", 1, "2025-12-01 to 2025-12-31"),
            (Period::LastQuarter, "2026-11-27", 1, "2026-07-01 to 2026-09-30"),
            (Period::LastQuarter, "2026-01-01", 1, "2025-10-01 to 2025-12-31"),
            (Period::LastQuarter, "2026-11-27", 2, "2026-08-01 to 2026-10-31"),
            (Period::LastFiscalYear, "2026-11-27", 1, "2025-01-01 to 2025-12-31"),
            (Period::LastFiscalYear, "2026-11-27", 7, "2025-07-01 to 2026-06-30"),
            (Period::LastFiscalYear, "2026-06-30", 7, "2024-07-01 to 2025-06-30"),
            (Period::ThisFiscalYear, "2026-06-30", 7, "2025-07-01 to 2026-06-30"),
            (Period::ThisFiscalYear, "2026-07-01", 7, "2026-07-01 to 2026-07-01"),
            (Period::Any, "2026-07-01", 7, "… to …"),
        ] {
            assert_eq!(days(period, today, first_month), expected, "{period:?} on {today}");
        }
    }

    #[test]
    fn days_find_their_name_again() {
        for first_month in 1..=12 {
            let calendar = calendar("2026-11-27", first_month);
            for period in Period::NAMED {
                let again = Period::of_days(period.days(&calendar), &calendar);
                assert_eq!(again.days(&calendar), period.days(&calendar), "{period:?} of month {first_month}");
            }
        }
        let days = (Some("2026-01-02".parse().unwrap()), None);
        assert_eq!(Period::of_days(days, &calendar("2026-11-27", 1)), Period::Between(days));
    }
}
