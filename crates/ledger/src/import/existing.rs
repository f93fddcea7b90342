//! The rows that the ledger has: the files that an import touches, read in ledger order.
//!
//! Invariant: which files are touched is decided by participant alone, and a file is touched if
//! any incoming row's participant lies within the file's range.

use std::fs::File;
use std::sync::Arc;

use arrow::array::{RecordBatch, UInt8Array, UInt32Array, UInt64Array, new_null_array};
use arrow::datatypes::SchemaRef;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use super::block::{Block, Shape};
use super::rows_ahead::{Blocks, RowsAhead};
use crate::Error;
use crate::table::{Table, TableFile};

/// Files with fewer rows than this take in new participants that follow their own, instead of leaving a
/// small file behind for each import.
const SMALL_ROWS: u64 = 500_000;
const READ_ROWS: usize = 8192;

/// A file of the ledger as the import sees it.
#[derive(Clone, Debug)]
pub(super) struct LedgerFile {
    /// The file.
    pub file: TableFile,
    /// Its rows.
    pub rows: u64,
    /// Its first participant.
    pub first: String,
    /// Its last participant.
    pub last: String,
    /// Whether the import may change it.
    pub touched: bool,
}

/// All files of a version, in ledger order.
#[derive(Debug)]
pub(super) struct LedgerFiles(pub Vec<LedgerFile>);

impl LedgerFiles {
    /// The files of `table`, untouched.
    pub fn of(table: &Table, shape: &Shape) -> Result<Self, Error> {
        let mut files = Vec::new();
        for file in table.files() {
            let unsupported = |reason: String| Error::Unsupported {
                report: shape.report.name,
                path: table.root().display().to_string(),
                reason,
            };
            let range = file.range.as_ref().ok_or_else(|| {
                unsupported(format!("something else wrote the file {}, so its order is unknown; import into a table that only this program writes", file.name))
            })?;
            let rows = match file.rows {
                Some(rows) => rows,
                None => ParquetRecordBatchReaderBuilder::try_new(open(file)?)?
                    .metadata()
                    .file_metadata()
                    .num_rows()
                    .unsigned_abs(),
            };
            let participant = |key: &crate::table::Key| key.0.first().cloned().flatten().unwrap_or_default();
            files.push(LedgerFile {
                rows,
                first: participant(&range.first),
                last: participant(&range.last),
                touched: false,
                file: file.clone(),
            });
        }
        Ok(Self(files))
    }

    /// Marks the files that rows of `participant` belong to.
    pub fn touch(&mut self, participant: &str) {
        let from = self.0.partition_point(|f| *f.last < *participant);
        let mut found = false;
        for file in self.0[from..].iter_mut().take_while(|f| *f.first <= *participant) {
            file.touched = true;
            found = true;
        }
        if !found && from > 0 && self.0[from - 1].rows < SMALL_ROWS {
            self.0[from - 1].touched = true;
        }
    }
}

fn open(file: &TableFile) -> Result<File, Error> {
    File::open(&file.path).map_err(|source| Error::Io { context: format!("open {}", file.path.display()), source })
}

/// Batches of the table's newest schema out of one file.
pub(crate) struct Batches {
    reader: ParquetRecordBatchReader,
    schema: SchemaRef,
}

impl Batches {
    /// The columns of `schema` out of `file`.
    pub fn open(file: &TableFile, schema: &SchemaRef) -> Result<Self, Error> {
        let reader = ParquetRecordBatchReaderBuilder::try_new(open(file)?)?.with_batch_size(READ_ROWS).build()?;
        Ok(Self { reader, schema: schema.clone() })
    }

    /// Only these fields of `file`, for which the other columns are not there at all.
    pub(super) fn project(file: &TableFile, shape: &Shape, fields: &[usize]) -> Result<Self, Error> {
        let builder = ParquetRecordBatchReaderBuilder::try_new(open(file)?)?;
        let names: Vec<&str> = fields.iter().map(|&i| &*shape.report.fields[i].name).collect();
        let mask = ProjectionMask::columns(builder.parquet_schema(), names);
        let schema = Arc::new(shape.schema.project(fields)?);
        Ok(Self { reader: builder.with_projection(mask).with_batch_size(READ_ROWS).build()?, schema })
    }
}

impl Iterator for Batches {
    type Item = Result<RecordBatch, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = match self.reader.next()? {
            Ok(batch) => batch,
            Err(e) => return Some(Err(e.into())),
        };
        // Columns that the configuration appended after the file was written are empty in it.
        let column = |field: &Arc<arrow::datatypes::Field>| match batch.column_by_name(field.name()) {
            Some(column) if column.data_type() == field.data_type() => Ok(column.clone()),
            Some(column) => arrow::compute::cast(column, field.data_type()),
            None => Ok(new_null_array(field.data_type(), batch.num_rows())),
        };
        let columns = self.schema.fields().iter().map(column).collect::<Result<Vec<_>, _>>();
        Some(columns.and_then(|c| RecordBatch::try_new(self.schema.clone(), c)).map_err(Into::into))
    }
}

/// The rows of the touched files, in ledger order. A row's file is its number in [`LedgerFiles`].
pub(super) type Existing<'a> = RowsAhead<ExistingBlocks<'a>>;

/// The blocks of [`Existing`].
pub(super) struct ExistingBlocks<'a> {
    shape: &'a Shape,
    files: &'a LedgerFiles,
    next_file: usize,
    /// The open file: its number, what is left of it, and its rows before that.
    batches: Option<(usize, Batches, u64)>,
}

impl<'a> Existing<'a> {
    /// Before the first row.
    pub fn new(shape: &'a Shape, files: &'a LedgerFiles) -> Result<Self, Error> {
        Self::of(ExistingBlocks { shape, files, next_file: 0, batches: None })
    }
}

impl Blocks for ExistingBlocks<'_> {
    fn next_block(&mut self) -> Result<Option<Block>, Error> {
        loop {
            let Some((number, batches, rows_before)) = &mut self.batches else {
                let Some(number) = (self.next_file..self.files.0.len()).find(|&i| self.files.0[i].touched) else {
                    return Ok(None);
                };
                self.next_file = number + 1;
                self.batches = Some((number, Batches::open(&self.files.0[number].file, &self.shape.schema)?, 0));
                continue;
            };
            let Some(batch) = batches.next().transpose()? else {
                self.batches = None;
                continue;
            };
            let count = batch.num_rows();
            let files = UInt32Array::from(vec![*number as u32; count]);
            let lines = UInt64Array::from_iter_values(*rows_before + 1..=*rows_before + count as u64);
            *rows_before += count as u64;
            let marks = UInt8Array::from(vec![0; count]);
            return Ok(Some(Block::new(self.shape, batch, files, lines, marks)));
        }
    }
}
