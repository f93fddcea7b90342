//! Footers and page indexes of the files, kept across plans.
//!
//! Invariants: a footer is given out only for the file that it was read from (same path, size and
//! time of change); together they hold no more than the limit; when a newer version of a report is
//! scanned, the footers of files that it no longer has are dropped.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::ParquetFileReaderFactory;
use datafusion::datasource::physical_plan::parquet::DefaultParquetFileReaderFactory;
use datafusion::error::{DataFusionError, Result};
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::FutureExt;
use futures::future::BoxFuture;
use object_store::ObjectStore;
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::arrow::parquet_to_arrow_schema;
use parquet::errors::ParquetError;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};
use payouts_ledger::Snapshot;
use payouts_model::ReportName;

/// One file as it was when it was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Located {
    pub path: PathBuf,
    pub size_bytes: u64,
    pub modified: Option<SystemTime>,
}

/// What is at the end of a file.
#[derive(Debug)]
pub(super) struct Footer {
    /// Row groups, their statistics, and the page index.
    pub metadata: Arc<ParquetMetaData>,
    /// The columns as arrow reads them.
    pub schema: SchemaRef,
}

struct Entry {
    report: ReportName,
    of: Located,
    footer: Arc<Footer>,
    bytes: usize,
    used: u64,
}

#[derive(Default)]
struct State {
    entries: HashMap<PathBuf, Entry>,
    bytes: usize,
    uses: u64,
    newest: HashMap<ReportName, u64>,
}

/// The footers of all plans.
pub(crate) struct Footers {
    limit_bytes: usize,
    state: Mutex<State>,
}

impl fmt::Debug for Footers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Footers").field("limit_bytes", &self.limit_bytes).finish_non_exhaustive()
    }
}

impl Footers {
    /// Keeps none yet.
    pub fn new(limit_bytes: usize) -> Self {
        Self { limit_bytes, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drops what a newer version of a report no longer has.
    pub(super) fn follow(&self, snapshot: &Snapshot) {
        let report = snapshot.report.name;
        let mut state = self.state();
        if state.newest.get(&report).is_some_and(|&newest| snapshot.version <= newest) {
            return;
        }
        state.newest.insert(report, snapshot.version);
        let files: HashSet<&Path> = snapshot.files.iter().map(|f| f.path.as_path()).collect();
        state.entries.retain(|path, entry| entry.report != report || files.contains(path.as_path()));
        state.bytes = state.entries.values().map(|e| e.bytes).sum();
    }

    /// The footer of a file; read if it is not kept. Blocks.
    pub(super) fn get(&self, report: ReportName, file: &Located) -> parquet::errors::Result<Arc<Footer>> {
        if let Some(footer) = self.kept(file) {
            return Ok(footer);
        }
        let footer = Arc::new(read(&file.path)?);
        self.keep(report, file, &footer);
        Ok(footer)
    }

    fn kept(&self, file: &Located) -> Option<Arc<Footer>> {
        let mut state = self.state();
        state.uses += 1;
        let uses = state.uses;
        let entry = state.entries.get_mut(&file.path).filter(|e| e.of == *file)?;
        entry.used = uses;
        Some(entry.footer.clone())
    }

    fn keep(&self, report: ReportName, file: &Located, footer: &Arc<Footer>) {
        let bytes = footer.metadata.memory_size();
        if bytes > self.limit_bytes {
            return;
        }
        let mut state = self.state();
        let used = state.uses;
        let entry = Entry { report, of: file.clone(), footer: footer.clone(), bytes, used };
        if let Some(old) = state.entries.insert(file.path.clone(), entry) {
            state.bytes -= old.bytes;
        }
        state.bytes += bytes;
        while state.bytes > self.limit_bytes {
            let longest_unused = state.entries.iter().min_by_key(|(_, e)| e.used).map(|(path, _)| path.clone());
            let Some(old) = longest_unused.and_then(|path| state.entries.remove(&path)) else { break };
            state.bytes -= old.bytes;
        }
    }
}

fn read(path: &Path) -> parquet::errors::Result<Footer> {
    let file = File::open(path).map_err(|e| ParquetError::External(Box::new(e)))?;
    let reader = ParquetMetaDataReader::new().with_page_index_policy(PageIndexPolicy::Optional);
    let metadata = Arc::new(reader.parse_and_finish(&file)?);
    let about = metadata.file_metadata();
    let schema = Arc::new(parquet_to_arrow_schema(about.schema_descr(), about.key_value_metadata())?);
    Ok(Footer { metadata, schema })
}

/// Makes readers that take footers from [`Footers`]. Every file carries its [`Located`].
#[derive(Debug)]
pub(super) struct Readers {
    report: ReportName,
    bytes: DefaultParquetFileReaderFactory,
    footers: Arc<Footers>,
}

impl Readers {
    pub fn new(report: ReportName, store: Arc<dyn ObjectStore>, footers: Arc<Footers>) -> Self {
        Self { report, bytes: DefaultParquetFileReaderFactory::new(store), footers }
    }
}

impl ParquetFileReaderFactory for Readers {
    fn create_reader(
        &self,
        partition: usize,
        file: PartitionedFile,
        metadata_size_hint: Option<usize>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<Box<dyn AsyncFileReader + Send>> {
        let missing = || DataFusionError::Internal("a file of the plan does not say where it is".into());
        let located = file.extension::<Located>().cloned().ok_or_else(missing)?;
        let bytes = self.bytes.create_reader(partition, file, metadata_size_hint, metrics)?;
        Ok(Box::new(Reader { report: self.report, located, bytes, footers: self.footers.clone() }))
    }
}

struct Reader {
    report: ReportName,
    located: Located,
    bytes: Box<dyn AsyncFileReader + Send>,
    footers: Arc<Footers>,
}

impl AsyncFileReader for Reader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, parquet::errors::Result<Bytes>> {
        self.bytes.get_bytes(range)
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, parquet::errors::Result<Vec<Bytes>>> {
        self.bytes.get_byte_ranges(ranges)
    }

    fn get_metadata<'a>(
        &'a mut self,
        _: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, parquet::errors::Result<Arc<ParquetMetaData>>> {
        async move { self.footers.get(self.report, &self.located).map(|footer| footer.metadata.clone()) }.boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::fixture;

    fn located(path: &Path) -> Located {
        super::super::pieces::locate(path).unwrap()
    }

    #[test]
    fn footers_are_kept_within_the_limit_and_dropped_with_their_files() {
        let table = fixture::table(600, 200, 50);
        let files: Vec<Located> = table.snapshot.files.iter().map(|f| located(&f.path)).collect();
        let report = table.snapshot.report.name;
        let one_bytes = read(&files[0].path).unwrap().metadata.memory_size();
        let footers = Footers::new(one_bytes * 5 / 2);
        let first = footers.get(report, &files[0]).unwrap();
        assert!(Arc::ptr_eq(&first, &footers.get(report, &files[0]).unwrap()));
        footers.get(report, &files[1]).unwrap();
        footers.get(report, &files[0]).unwrap();
        footers.get(report, &files[2]).unwrap();
        assert!(footers.kept(&files[1]).is_none(), "the longest unused one went");
        assert!(footers.kept(&files[0]).is_some() && footers.kept(&files[2]).is_some());
        assert!(footers.state().bytes <= footers.limit_bytes);

        let other = Located { size_bytes: files[0].size_bytes + 1, ..files[0].clone() };
        assert!(footers.kept(&other).is_none(), "another file of the same name");

        footers.follow(&table.snapshot);
        assert!(footers.kept(&files[0]).is_some());
        let newer = Snapshot {
            version: table.snapshot.version + 1,
            files: table.snapshot.files[2..].to_vec(),
            ..(*table.snapshot).clone()
        };
        footers.follow(&newer);
        assert!(footers.kept(&files[0]).is_none() && footers.kept(&files[2]).is_some());
        footers.follow(&table.snapshot);
        assert!(footers.kept(&files[2]).is_some(), "an older version drops nothing");
    }
}
