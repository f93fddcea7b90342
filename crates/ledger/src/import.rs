//! Import: files in, one commit out.

use std::path::PathBuf;

use payouts_model::{Amount, Report, ReportName, Timestamp};

use crate::Ledger;

/// What to import and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// Into which report's table.
    pub report: ReportName,
    /// CSV, TSV or Parquet, plain, gzip or zip.
    pub files: Vec<PathBuf>,
    /// Where bad rows go with their reasons; without it a bad row stops the import.
    pub rejects: Option<PathBuf>,
    /// The order type of rows that have none.
    pub order_type: Option<String>,
    /// The status time of rows that have none; without it the start of the import.
    pub status_time: Option<Timestamp>,
    /// Everything but the commit.
    pub dry_run: bool,
    /// The start of the import.
    pub now: Timestamp,
}

/// What an import did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// New rows.
    pub inserted: u64,
    /// Rows with other content than before (also rows of a set that were replaced).
    pub changed: u64,
    /// Rows that the ledger already had.
    pub unchanged: u64,
    /// Rows of a replaced set that are gone.
    pub removed: u64,
    /// Bad rows.
    pub rejected: u64,
    /// Sum of the headline amount per its currency: before, after.
    pub sums: Vec<(String, Amount, Amount)>,
    /// The new version; `None` if nothing changed (or dry run).
    pub version: Option<u64>,
}

/// A bad row, or why the import cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A bad row, and there is no file for rejects.
    #[error("{file}, line {line}, column {column}: {value:?}: {reason}")]
    BadRow { /** file (and entry) */ file: String, /** line */ line: u64, /** column */ column: String, /** value */ value: String, /** reason */ reason: String },
    /// A file that cannot be read at all.
    #[error("{file}: {reason}")]
    BadFile { /** file */ file: String, /** reason, and the way out */ reason: String },
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] crate::Error),
}

/// Imports. `progress` is told (bytes read, bytes in all).
pub fn run(_ledger: &Ledger, _report: &Report, _options: &Options, _progress: &(dyn Fn(u64, u64) + Sync)) -> Result<Outcome, Error> {
    todo!()
}
