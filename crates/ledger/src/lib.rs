//! The tables of payments and earnings: Delta tables, their snapshots, the sample maker and import.

pub mod import;
pub mod sample;
pub mod snapshot;
pub mod source;
pub mod table;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use payouts_model::{Catalog, ReportName};

pub use snapshot::{ColumnSource, DataFile, ReadAs, Snapshot};
pub use source::{Sources, TableSource};

/// What went wrong with a table.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no table at this place.
    #[error("there is no {report} table at {path}: make one with `payouts import` or `payouts sample`")]
    Missing { /** report */ report: ReportName, /** where */ path: String },
    /// The asked version, or a file of it, is gone.
    #[error("version {version} of {report} is gone")]
    VersionGone { /** report */ report: ReportName, /** version */ version: u64 },
    /// The table has what cannot be read rightly, or lacks what the report needs.
    #[error("{report} table at {path}: {reason}")]
    Unsupported { /** report */ report: ReportName, /** where */ path: String, /** why, and the way out */ reason: String },
    /// The data or the configuration is wrong.
    #[error("{0}")]
    Invalid(String),
    /// Another commit came in between; nothing was changed.
    #[error("the {report} table was changed by something else in the meantime (version {version} is there already); nothing was changed: run it again")]
    Conflict { /** report */ report: ReportName, /** the version that this commit would have been */ version: u64 },
    /// The table format's library.
    #[error("delta table")]
    Delta(#[from] deltalake_core::DeltaTableError),
    /// Reading or writing.
    #[error("{context}")]
    Io { /** doing what */ context: String, /** cause */ #[source] source: std::io::Error },
    /// Parquet.
    #[error("parquet")]
    Parquet(#[from] parquet::errors::ParquetError),
    /// Arrow.
    #[error("arrow")]
    Arrow(#[from] arrow::error::ArrowError),
}

/// The tables of one data directory (or of the places its configuration points to).
#[derive(Clone, Debug)]
pub struct Ledger {
    _catalog: Catalog,
    _root: PathBuf,
    _sources: Arc<Sources>,
}

impl Ledger {
    /// The ledger under `data_dir` (`ledger/payments`, `ledger/transactionhistory`), with reports
    /// that `sources` points elsewhere. Touches nothing yet.
    pub fn new(data_dir: &Path, catalog: Catalog, sources: Sources) -> Self {
        Self { _catalog: catalog, _root: data_dir.into(), _sources: Arc::new(sources) }
    }

    /// Checks at start that every table that is there can be read rightly.
    pub async fn check(&self) -> Result<(), Error> {
        todo!()
    }

    /// One version of a report's table; the newest if `version` is `None`. Cached per version.
    pub async fn snapshot(&self, _report: ReportName, _version: Option<u64>) -> Result<Arc<Snapshot>, Error> {
        todo!()
    }

    /// The report's own table, opened for import. [`Error::Invalid`] if the configuration points
    /// the report at a table that something else writes. Blocks; may be called from anywhere.
    pub fn table(&self, _report: ReportName) -> Result<table::Table, Error> {
        todo!()
    }

    /// Whether every table under the data directory was made by `sample` and nothing else.
    pub async fn made_by_sample(&self) -> Result<bool, Error> {
        todo!()
    }
}
