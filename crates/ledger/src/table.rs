//! The service's own tables: their schema, order, files and commits.
//!
//! Invariants: files are sorted by [`KeyOrder`] and their key ranges do not overlap, so that the
//! files ordered by their first key are the whole table in ledger order; a key never spans two
//! files; every file's key range stands in the tags of its add action; one change is one commit,
//! made only on top of the version that was read.

mod log;
mod order;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use payouts_model::{FieldType, Report, Timestamp};

use crate::Error;

pub use order::{Key, KeyOrder, KeyRange};
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
#[derive(Clone, Debug, Default)]
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
}

impl Table {
    /// The newest version of the table at `root`; an empty one without a version if there is
    /// none yet. Blocks; may be called from anywhere.
    pub fn open(root: &Path, report: &Arc<Report>) -> Result<Self, Error> {
        todo!()
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
        todo!()
    }
}
