//! The audit record of a change of the ledger from the command line: written before the change
//! begins and when it has ended, since ledger and database have no transaction in common.
//!
//! Invariant: nothing changes the ledger before its start is recorded. A start without an end is a
//! command that was killed; the ledger's own history says whether it had committed.

use std::path::{Path, PathBuf};

use payouts_model::ReportName;
use payouts_store::Store as _;
use payouts_store::audit::{Event, LedgerOperation, LedgerRows, Record};
use payouts_store::sqlite::SqliteStore;

use crate::data;
use crate::failure::{Context, Failure};

/// So many names of files are recorded; more are counted.
const FILES_MAX: usize = 100;

/// A change of the ledger under way.
pub struct LedgerChange {
    runtime: tokio::runtime::Runtime,
    store: SqliteStore,
    change: String,
    operation: LedgerOperation,
}

impl LedgerChange {
    /// Records that it begins.
    pub fn begin(
        data_dir: &Path,
        operation: LedgerOperation,
        reports: &[ReportName],
        files: &[PathBuf],
    ) -> Result<Self, Failure> {
        let runtime = data::runtime()?;
        let store = runtime.block_on(data::store(data_dir))?;
        let change = uuid::Uuid::new_v4().to_string();
        let this = Self { runtime, store, change, operation };
        this.record(Event::LedgerStarted {
            change: this.change.clone(),
            operation,
            reports: reports.to_vec(),
            files: files.iter().take(FILES_MAX).map(|file| file.display().to_string()).collect(),
            file_count: files.len() as u64,
        })
        .context("nothing was changed: it could not be recorded who changes what")?;
        Ok(this)
    }

    /// Records how it ended.
    pub fn end(self, version: Option<u64>, rows: LedgerRows) -> Result<(), Failure> {
        let event = Event::LedgerEnded { change: self.change.clone(), operation: self.operation, version, rows };
        self.record(event).context("the ledger was changed, but the audit record could not be told how it ended")?;
        self.close();
        Ok(())
    }

    /// Records that nothing was changed. Why is told by whoever calls; that this cannot be
    /// recorded would only hide it.
    pub fn fail(self) {
        let event = Event::LedgerFailed { change: self.change.clone(), operation: self.operation };
        if let Err(error) = self.record(event) {
            tracing::warn!(error = &error as &dyn std::error::Error, "the audit record cannot be told of the failure");
        }
        self.close();
    }

    fn record(&self, event: Event) -> Result<(), payouts_store::Error> {
        let record = Record::new(&data::by(), event);
        self.runtime.block_on(self.store.audit(&record)).map(drop)
    }

    fn close(self) {
        self.runtime.block_on(self.store.close());
    }
}
