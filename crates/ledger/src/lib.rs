//! The tables of payments and earnings: Delta tables, their snapshots, the sample maker and import.
//!
//! Invariants: a snapshot never shows a row that its version of the table does not have, nor hides
//! one; tables that cannot be read rightly are refused with the cause and the way out. Nothing
//! here knows of HTTP.

pub mod import;
pub mod sample;
pub mod snapshot;
pub mod source;
pub mod table;
pub mod upkeep;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use payouts_model::{Catalog, ReportName};

pub use snapshot::{ColumnSource, DataFile, ReadAs, Snapshot};
pub use source::{Sources, TableSource};
pub use table::{Hints, Lengths, Marks};

/// What went wrong with a table.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no table at this place.
    #[error("there is no {report} table at {path}: make one with `payouts import` or `payouts sample`")]
    Missing {
        /** report */
        report: ReportName,
        /** where */
        path: String,
    },
    /// The asked version, or a file of it, is gone.
    #[error("version {version} of {report} is not there (any more): ask for the newest")]
    VersionGone {
        /** report */
        report: ReportName,
        /** version */
        version: u64,
    },
    /// The table has what cannot be read rightly, or lacks what the report needs.
    #[error("{report} table at {path}: {reason}")]
    Unsupported {
        /** report */
        report: ReportName,
        /** where */
        path: String,
        /** why, and the way out */
        reason: String,
    },
    /// The data or the configuration is wrong.
    #[error("{0}")]
    Invalid(String),
    /// Another commit came in between; nothing was changed.
    #[error(
        "the {report} table was changed by something else in the meantime (version {version} is there already); nothing was changed: run it again"
    )]
    Conflict {
        /** report */
        report: ReportName,
        /** the version that this commit would have been */
        version: u64,
    },
    /// The table format's library.
    #[error("the log of a table cannot be read or written")]
    Delta(#[from] deltalake_core::DeltaTableError),
    /// Reading or writing.
    #[error("{context}")]
    Io {
        /** doing what */
        context: String,
        /** cause */
        #[source]
        source: std::io::Error,
    },
    /// Parquet.
    #[error("a Parquet file cannot be read or written")]
    Parquet(#[from] parquet::errors::ParquetError),
    /// Arrow.
    #[error("rows do not have the form of the table")]
    Arrow(#[from] arrow::error::ArrowError),
}

/// Snapshots kept in memory: a few versions of each report.
const SNAPSHOTS_KEPT: usize = 8;

/// The tables of one data directory (or of the places its configuration points to). Clones share
/// their cache.
#[derive(Clone, Debug)]
pub struct Ledger {
    catalog: Catalog,
    root: PathBuf,
    sources: Arc<Sources>,
    cache: Arc<Mutex<VecDeque<Arc<Snapshot>>>>,
}

/// Where a report's own table is under a data directory.
pub fn table_folder(data_dir: &Path, report: ReportName) -> PathBuf {
    data_dir.join("ledger").join(report.as_str())
}

impl Ledger {
    /// The ledger under `data_dir` (`ledger/payments`, `ledger/transactionhistory`), with reports
    /// that `sources` points elsewhere. Touches nothing yet.
    pub fn new(data_dir: &Path, catalog: Catalog, sources: Sources) -> Self {
        Self { catalog, root: data_dir.into(), sources: Arc::new(sources), cache: Arc::default() }
    }

    /// Checks at start that every table that is there can be read rightly. A table that the
    /// configuration points to must be there; an own one may come later.
    pub async fn check(&self) -> Result<(), Error> {
        for report in ReportName::ALL {
            match self.snapshot(report, None).await {
                Ok(_) => {}
                Err(Error::Missing { .. }) if !self.sources.contains_key(&report) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// One version of a report's table; the newest if `version` is `None`. Cached per version.
    pub async fn snapshot(&self, report: ReportName, version: Option<u64>) -> Result<Arc<Snapshot>, Error> {
        let folder = self.folder(report)?;
        let Some(newest) = table::log::newest_version(&folder)? else {
            return Err(match self.sources.get(&report) {
                None => Error::Missing { report, path: folder.display().to_string() },
                Some(_) => Error::Unsupported {
                    report,
                    path: folder.display().to_string(),
                    reason: format!(
                        "there is no Delta table (no _delta_log folder with commits): correct `table` under [reports.{report}]"
                    ),
                },
            });
        };
        let version = version.unwrap_or(newest);
        if version > newest {
            return Err(Error::VersionGone { report, version });
        }
        let cached = self.cached(report, version);
        // A file of the newest version stays; those of older ones may be cleared at any time.
        let check_files = cached.is_none() || version < newest;
        let snapshot = match cached {
            Some(snapshot) => snapshot,
            None => {
                let source = self.sources.get(&report);
                Arc::new(Snapshot::load(&folder, self.catalog.report(report), version, source).await?)
            }
        };
        match snapshot.files.iter().find(|f| check_files && !f.path.exists()) {
            None => {
                self.keep(snapshot.clone());
                Ok(snapshot)
            }
            Some(_) if version < newest => Err(Error::VersionGone { report, version }),
            Some(file) => Err(Error::Unsupported {
                report,
                path: folder.display().to_string(),
                reason: format!(
                    "file {} of its newest version {version} is not there: restore it from a backup, or make the table again",
                    file.path.display()
                ),
            }),
        }
    }

    /// The report's own table, opened for import. [`Error::Invalid`] if the configuration points
    /// the report at a table that something else writes. Blocks; may be called from anywhere.
    pub fn table(&self, report: ReportName) -> Result<table::Table, Error> {
        if let Some(source) = self.sources.get(&report) {
            return Err(Error::Invalid(format!(
                "{report} is read from {}, which something else writes (`table` under [reports.{report}]); \
                 change it with the tool that owns it, or remove that line to use the service's own table",
                source.table.display()
            )));
        }
        table::Table::open(&table_folder(&self.root, report), self.catalog.report(report))
    }

    /// Whether every table under the data directory was made by `sample` and nothing else. False
    /// where there is none, or where a report is read from elsewhere.
    pub async fn made_by_sample(&self) -> Result<bool, Error> {
        let mut made = false;
        for report in ReportName::ALL {
            let folder = self.folder(report)?;
            match table::log::newest_version(&folder)? {
                _ if self.sources.contains_key(&report) => return Ok(false),
                None => {}
                Some(0) if sample::made_with(&folder)?.is_some() => made = true,
                Some(_) => return Ok(false),
            }
        }
        Ok(made)
    }

    fn folder(&self, report: ReportName) -> Result<PathBuf, Error> {
        let folder = self.sources.get(&report).map_or_else(|| table_folder(&self.root, report), |s| s.table.clone());
        std::path::absolute(&folder)
            .map_err(|source| Error::Io { context: format!("finding {}", folder.display()), source })
    }

    /// Takes a snapshot out of the cache; [`Ledger::keep`] puts it back as the last one used.
    fn cached(&self, report: ReportName, version: u64) -> Option<Arc<Snapshot>> {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let place = cache.iter().position(|s| s.report.name == report && s.version == version)?;
        cache.remove(place)
    }

    fn keep(&self, snapshot: Arc<Snapshot>) {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.retain(|s| (s.report.name, s.version) != (snapshot.report.name, snapshot.version));
        cache.push_back(snapshot);
        if cache.len() > SNAPSHOTS_KEPT {
            cache.pop_front();
        }
    }
}
