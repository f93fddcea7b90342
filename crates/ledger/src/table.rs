//! The service's own tables: their schema, order, files and commits.
//!
//! Invariants: files are sorted by [`KeyOrder`] and their key ranges do not overlap, so that the
//! files ordered by their first key are the whole table in ledger order; a key never spans two
//! files; every file's key range and [`Hints`] stand in the tags of its add action; one change is one commit,
//! made only on top of the version that was read.

pub(crate) mod hints;
pub(crate) mod log;
mod order;
pub(crate) mod replay;
mod stats;
mod vacuum;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use payouts_model::{FieldType, Report, Timestamp};

use crate::Error;

pub use hints::{Hints, Lengths, Marks, ROWS_PER_MARK};
pub use order::{Key, KeyOrder, KeyRange};
pub use vacuum::{Keep, Vacuumed};
pub use writer::{FileWriter, NewFile, WriterOptions, discard};

/// The arrow type in which a field is stored.
pub fn data_type(kind: FieldType) -> DataType {
    match kind {
        FieldType::Amount => DataType::Decimal128(18, 4),
        FieldType::Number => DataType::Decimal128(18, 8),
        FieldType::Integer => DataType::Int64,
        FieldType::Id | FieldType::Text | FieldType::Enum | FieldType::Guid => DataType::Utf8,
        FieldType::Date => DataType::Date32,
        FieldType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        FieldType::Boolean => DataType::Boolean,
    }
}

/// The arrow schema of a report's own table: its fields in the report's order.
pub fn schema(report: &Report) -> SchemaRef {
    let field = |f: &payouts_model::Field| Field::new(&*f.name, data_type(f.kind), f.nullable);
    Arc::new(Schema::new(report.fields.iter().map(field).collect::<Vec<_>>()))
}

/// A file of the table, as its log tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableFile {
    /// The path in the log, relative to the table.
    pub name: String,
    /// Where it is on this machine.
    pub path: PathBuf,
    /// Bytes.
    pub size_bytes: u64,
    /// Rows, if the log says.
    pub rows: Option<u64>,
    /// The first and last key; `None` for files that something else wrote into the table.
    pub range: Option<KeyRange>,
}

/// What a commit says of itself.
#[derive(Clone, Debug)]
pub struct CommitNote {
    /// The operation: `WRITE`, `MERGE`.
    pub operation: String,
    /// Free properties (`payouts.…`), kept in the commit's `userMetadata`.
    pub properties: Vec<(String, String)>,
    /// The commit's time.
    pub now: Timestamp,
}

/// One version of an own table, opened for reading its files and committing on top of it.
#[derive(Clone, Debug)]
pub struct Table {
    root: PathBuf,
    report: Arc<Report>,
    version: Option<u64>,
    schema: SchemaRef,
    files: Vec<TableFile>,
    metadata: Option<serde_json::Value>,
}

impl Table {
    /// The newest version of the table at `root`; an empty one without a version if there is
    /// none yet. Blocks; may be called from anywhere.
    pub fn open(root: &Path, report: &Arc<Report>) -> Result<Self, Error> {
        let mut table = Self {
            root: std::path::absolute(root)
                .map_err(|source| Error::Io { context: format!("finding {}", root.display()), source })?,
            report: report.clone(),
            version: None,
            schema: schema(report),
            files: Vec::new(),
            metadata: None,
        };
        let Some(version) = log::newest_version(&table.root)? else { return Ok(table) };
        let state = block_on(log::load(&table.root, report.name, version))?;
        log::refuse_foreign_writes(&state, report.name, &table.root)?;
        table.version = Some(version);
        table.schema = state.schema;
        table.files = state.files.into_iter().map(|f| f.file).collect();
        table.metadata = Some(state.metadata);
        Ok(table)
    }

    /// The version; `None` if there is no table yet: the first commit makes it.
    pub fn version(&self) -> Option<u64> {
        self.version
    }

    /// The physical schema of this version: [`schema`] of the report, unless columns were
    /// appended since (then they are missing here until the next commit).
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The files in ledger order.
    pub fn files(&self) -> &[TableFile] {
        &self.files
    }

    /// The table's folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A writer of new files for this table. They belong to the table only once committed.
    pub fn writer(&self, options: WriterOptions) -> Result<FileWriter, Error> {
        FileWriter::new(&self.root, &self.report, options)
    }

    /// Replaces `removes` by `adds` in one commit and returns the new version. Durable when it
    /// returns. [`Error::Conflict`] if the table is no longer at this version: nothing has changed.
    pub fn commit(&self, removes: &[TableFile], adds: &[NewFile], note: &CommitNote) -> Result<u64, Error> {
        self.commit_files(removes, adds, note, true)
    }

    /// The same where only the layout of the files changes: rows and their order stay as they are.
    pub(crate) fn commit_layout(
        &self,
        removes: &[TableFile],
        adds: &[NewFile],
        note: &CommitNote,
    ) -> Result<u64, Error> {
        self.commit_files(removes, adds, note, false)
    }

    fn commit_files(
        &self,
        removes: &[TableFile],
        adds: &[NewFile],
        note: &CommitNote,
        data_change: bool,
    ) -> Result<u64, Error> {
        let adds: Vec<_> = adds.iter().map(|file| log::add(file, note.now, data_change)).collect::<Result<_, _>>()?;
        self.commit_lines(removes, adds, note, data_change)
    }

    /// [`Table::commit`] with the lines of the log that add files.
    pub(crate) fn commit_lines(
        &self,
        removes: &[TableFile],
        adds: Vec<serde_json::Value>,
        note: &CommitNote,
        data_change: bool,
    ) -> Result<u64, Error> {
        let version = self.version.map_or(0, |v| v + 1);
        let mut lines = vec![log::commit_info(self.version, note)];
        if self.version.is_none() {
            lines.push(log::protocol());
        }
        if let Some(metadata) = self.new_metadata(note)? {
            lines.push(metadata);
        }
        lines.extend(removes.iter().map(|f| log::remove(f, note.now, data_change)));
        lines.extend(adds);
        log::write(&self.root, self.report.name, version, &lines)?;
        if version > 0 && version.is_multiple_of(log::CHECKPOINT_EVERY) {
            // Readers only get slower without it; the commit itself is done.
            if let Err(error) = block_on(log::checkpoint(&self.root, version)) {
                tracing::warn!(%error, version, "no checkpoint could be written");
            }
        }
        Ok(version)
    }

    /// Deletes data files that nobody needs any more: see [`vacuum`].
    pub fn vacuum(&self, keep: &Keep, dry_run: bool) -> Result<Vacuumed, Error> {
        vacuum::run(self, keep, dry_run)
    }

    /// The metadata action, where the table is new or its columns are no longer the report's.
    fn new_metadata(&self, note: &CommitNote) -> Result<Option<serde_json::Value>, Error> {
        let wanted = schema(&self.report);
        match &self.metadata {
            None => Ok(Some(log::metadata(&self.report, &wanted, &uuid::Uuid::new_v4().to_string(), note.now)?)),
            Some(_) if wanted.fields().iter().all(|f| self.schema.field_with_name(f.name()).is_ok()) => Ok(None),
            Some(old) => {
                let missing_here = self.schema.fields().iter().filter(|f| wanted.field_with_name(f.name()).is_err());
                let fields = wanted.fields().iter().chain(missing_here).cloned().collect::<Vec<_>>();
                let id = old.get("id").and_then(|i| i.as_str()).unwrap_or_default();
                Ok(Some(log::metadata(&self.report, &Schema::new(fields), id, note.now)?))
            }
        }
    }
}

/// Runs a future to its end from anywhere, also from within another runtime's thread.
pub(crate) fn block_on<T: Send>(future: impl Future<Output = Result<T, Error>> + Send) -> Result<T, Error> {
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(|source| Error::Io { context: "starting a runtime".into(), source })?.block_on(future)
    };
    std::thread::scope(|scope| scope.spawn(run).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
}

#[cfg(test)]
mod tests;
