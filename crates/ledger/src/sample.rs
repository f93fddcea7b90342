//! Believable, deterministic payments and earnings.

use std::path::Path;

use chrono::NaiveDate;
use payouts_model::{Catalog, ReportName};

/// How much to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Payments.
    pub rows: u64,
    /// Earnings.
    pub earnings: u64,
    /// Participants; `None`: a number that fits the rows.
    pub participants: Option<u64>,
    /// The seed: equal options give equal bytes.
    pub seed: u64,
    /// The last day.
    pub until: NaiveDate,
}

/// What was made.
#[derive(Clone, Debug)]
pub struct Made {
    /// The two participants with the most payments, and their programmes, to show what a filter can do.
    pub participants: Vec<String>,
    /// All programme names in it.
    pub programs: Vec<String>,
}

/// Makes both tables under `data_dir`. Refuses where tables exist already, unless they were made
/// with the same options: then they are kept as they are. `progress` is told rows done.
pub fn make(_data_dir: &Path, _catalog: &Catalog, _options: &Options, _progress: &(dyn Fn(ReportName, u64) + Sync)) -> Result<Made, crate::Error> {
    todo!()
}
