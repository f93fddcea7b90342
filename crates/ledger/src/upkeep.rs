//! Upkeep of a report's own table: its history, the way back to an earlier version, fewer and
//! larger files, and the end of files that nobody needs.
//!
//! Invariants: a change is one commit on top of the newest version, or none; changes wait for
//! imports and for each other; rows of a version that was told of as restorable come back exactly
//! and in their order. Tables that something else writes are left to it.

mod examine;
mod history;
mod optimise;
mod restore;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use payouts_model::{ReportName, Timestamp};

use crate::import::lock::Workplace;
use crate::table::{Keep, Table, Vacuumed};
use crate::{Error, Ledger};

pub use examine::{Problem, examine};
pub use history::{VersionInfo, history};
pub use optimise::{Optimised, optimise};
pub use restore::restore;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Data files younger than this, and versions that were the newest within this time, are never
/// deleted: nothing runs for so long.
pub const VACUUM_DAYS_MIN: u32 = 7;

/// Deletes data files that no version needs which was the newest within the last `older_than_days`
/// or is one of `spared`. At least [`VACUUM_DAYS_MIN`] days are kept, whatever is asked.
pub fn vacuum(
    ledger: &Ledger,
    report: ReportName,
    older_than_days: u32,
    spared: &dyn Fn() -> Result<BTreeSet<u64>, Error>,
    dry_run: bool,
    now: Timestamp,
) -> Result<Vacuumed, Error> {
    let _workplace = Workplace::enter(existing(ledger, report)?.root(), report)?;
    let table = existing(ledger, report)?;
    let days = i64::from(older_than_days.max(VACUUM_DAYS_MIN));
    // Asked for under the lock: what is accepted later reads the newest version.
    let keep = Keep { since: now.plus_ms(-days * DAY_MS), versions: spared()?, now };
    table.vacuum(&keep, dry_run)
}

/// The report's own table; an error if it has no version yet.
fn existing(ledger: &Ledger, report: ReportName) -> Result<Table, Error> {
    let table = ledger.table(report)?;
    match table.version() {
        Some(_) => Ok(table),
        None => Err(Error::Missing { report, path: table.root().display().to_string() }),
    }
}
