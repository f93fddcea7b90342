//! Writes sorted rows into Parquet files, cutting them at key boundaries.

use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use payouts_model::Report;

use super::KeyRange;
use crate::Error;

/// How files are cut and named.
#[derive(Clone, Debug)]
pub struct WriterOptions {
    /// A new file is begun at the next key boundary after so many rows.
    pub rows_per_file: u64,
    /// The names are `part-{prefix}-{n:05}.parquet`; must be unlike any earlier one in the table.
    pub prefix: String,
}

impl WriterOptions {
    /// The usual size, and a prefix that never was before.
    pub fn unique() -> Self {
        Self { rows_per_file: 1_000_000, prefix: uuid::Uuid::new_v4().simple().to_string() }
    }
}

/// A written file that is not yet part of the table.
#[derive(Clone, Debug)]
pub struct NewFile {
    /// The path in the log, relative to the table.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// Bytes.
    pub size_bytes: u64,
    /// Rows.
    pub rows: u64,
    /// First and last key.
    pub range: KeyRange,
    pub(crate) stats: String,
}

/// Takes batches of the table's schema in ledger order and writes files. If dropped before
/// [`FileWriter::finish`] the files are deleted.
pub struct FileWriter {}

impl FileWriter {
    pub(crate) fn new(root: &Path, report: &Report, options: WriterOptions) -> Result<Self, Error> {
        todo!()
    }
    /// Appends rows. They must follow all earlier ones in ledger order ([`Error::Invalid`] if a
    /// key goes backwards).
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        todo!()
    }
    /// Closes the last file and hands all of them out, in order, durable on disk.
    pub fn finish(self) -> Result<Vec<NewFile>, Error> {
        todo!()
    }
}

/// Deletes files that will not be committed after all.
pub fn discard(files: &[NewFile]) {
    for file in files {
        // Nothing refers to it: an orphan costs disk space only.
        let _ = std::fs::remove_file(&file.path);
    }
}
