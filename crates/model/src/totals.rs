//! What rows add up to: exact sums that can be merged in any order.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use foldhash::fast::FixedState;

use crate::money::Amount;
use crate::time::Timestamp;

/// The finest group that sums are kept by.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TotalKey {
    /// The amount column.
    pub column: Arc<str>,
    /// The currency of that column in the rows.
    pub currency: Arc<str>,
    /// The payment status of the rows.
    pub status: Arc<str>,
    /// The programme of the rows.
    pub program: Arc<str>,
    /// The order type of the rows.
    pub order_type: Arc<str>,
}

/// A sum over the rows whose amount is not empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// Rows with an amount.
    pub rows: u64,
    /// Their sum.
    pub sum: Amount,
    /// The sum of the negative ones.
    pub negative: Amount,
}

impl Sum {
    /// Adds one amount.
    pub fn add(&mut self, amount: Amount) {
        self.rows += 1;
        self.sum.0 += amount.0;
        if amount.0 < 0 {
            self.negative.0 += amount.0;
        }
    }
    /// Adds another sum.
    pub fn merge(&mut self, other: Self) {
        self.rows += other.rows;
        self.sum.0 += other.sum.0;
        self.negative.0 += other.negative.0;
    }
}

/// A day or an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Moment {
    /// Days since 1970-01-01.
    Date(i32),
    /// An instant.
    Instant(Timestamp),
}

impl std::fmt::Display for Moment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            Self::Date(days) => match chrono::NaiveDate::from_epoch_days(days) {
                Some(date) => write!(f, "{date}"),
                None => write!(f, "day {days}"),
            },
            Self::Instant(at) => at.fmt(f),
        }
    }
}

/// Everything that is added up over the rows of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Rows in all.
    pub rows: u64,
    /// Sums by the finest group, in no order: there may be tens of thousands, and one table of them
    /// is smaller and quicker to add to than a tree.
    pub sums: HashMap<TotalKey, Sum, FixedState>,
    /// Least and greatest value of each date and timestamp column, by column.
    pub spans: BTreeMap<Arc<str>, (Moment, Moment)>,
}

impl Totals {
    /// Adds other totals; the order does not matter.
    pub fn merge(&mut self, other: Self) {
        self.rows += other.rows;
        if self.sums.is_empty() {
            self.sums = other.sums;
        } else {
            for (key, sum) in other.sums {
                self.sums.entry(key).or_default().merge(sum);
            }
        }
        for (column, span) in &other.spans {
            self.widen(column, *span);
        }
    }

    /// Widens a column's span by another.
    pub fn widen(&mut self, column: &Arc<str>, (least, greatest): (Moment, Moment)) {
        match self.spans.get_mut(column) {
            Some(own) => *own = (own.0.min(least), own.1.max(greatest)),
            None => {
                self.spans.insert(column.clone(), (least, greatest));
            }
        }
    }
}
