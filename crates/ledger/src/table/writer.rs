//! Writes sorted rows into Parquet files, cutting them at key boundaries.
//!
//! Invariants: keys never go backwards, a key never spans two files, equal input gives equal
//! bytes, and a writer that is dropped before it is finished leaves no file behind.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use payouts_faults::{Point, reach};
use payouts_model::Report;
use payouts_model::report::FieldRole;

use super::hints::Gatherer;
use super::{Hints, Key, KeyOrder, KeyRange, stats};
use crate::Error;

/// A row group: what a reader prunes and one thread decodes at a time.
pub(crate) const ROWS_PER_GROUP: usize = 128 * 1024;
/// A file is cut at the next key boundary once it has this many bytes.
const FILE_BYTES: u64 = 128 << 20;
/// Fits a row group, so that the filter stays near one byte per payment.
const BLOOM_FALSE_POSITIVES: f64 = 0.02;

/// How files are cut and named.
#[derive(Clone, Debug)]
pub struct WriterOptions {
    /// A new file is begun at the next key boundary after so many rows.
    pub rows_per_file: u64,
    /// The names are `part-{prefix}-{n:05}.parquet`; must be unlike any earlier one in the table.
    pub prefix: String,
}

impl WriterOptions {
    /// Rows of a file of the usual size.
    pub const ROWS_PER_FILE: u64 = 1_000_000;

    /// The usual size, and a prefix that never was before.
    pub fn unique() -> Self {
        Self { rows_per_file: Self::ROWS_PER_FILE, prefix: uuid::Uuid::new_v4().simple().to_string() }
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
    /// The statistics of its columns, as the log has them.
    pub(crate) stats: String,
    /// Where its rows are.
    pub(crate) hints: Hints,
}

/// The file that is being written.
struct Part {
    name: String,
    path: PathBuf,
    writer: ArrowWriter<BufWriter<File>>,
    rows: u64,
    first: Key,
    last: Key,
    hints: Gatherer,
}

/// Takes batches of the table's schema in ledger order and writes files. If dropped before
/// [`FileWriter::finish`] the files are deleted.
pub struct FileWriter {
    root: PathBuf,
    schema: SchemaRef,
    properties: WriterProperties,
    order: KeyOrder,
    /// The hints of a file without rows.
    no_hints: Gatherer,
    options: WriterOptions,
    part: Option<Part>,
    /// The key of the last row written.
    last: Option<Key>,
    done: Vec<NewFile>,
    started: usize,
}

impl FileWriter {
    /// A writer of files for `report` in the folder `root`, which is made if it is not there.
    pub(crate) fn new(root: &Path, report: &Report, options: WriterOptions) -> Result<Self, Error> {
        std::fs::create_dir_all(root)
            .map_err(|source| Error::Io { context: format!("making {}", root.display()), source })?;
        Ok(Self {
            root: root.into(),
            schema: super::schema(report),
            properties: properties(report)?,
            order: KeyOrder::new(report)?,
            no_hints: Gatherer::new(report),
            options,
            part: None,
            last: None,
            done: Vec::new(),
            started: 0,
        })
    }

    /// Appends rows. They must follow all earlier ones in ledger order ([`Error::Invalid`] if a
    /// key goes backwards).
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        // The schema's nullability counts, too: a batch of nullable columns is checked here.
        let batch = RecordBatch::try_new(self.schema.clone(), batch.columns().to_vec())?;
        let orders = self.order.neighbours(&batch);
        let mut start = 0;
        for row in 0..batch.num_rows() {
            let boundary = match (row.checked_sub(1), &self.last) {
                (None, None) => false,
                (None, Some(last)) => self.boundary(last.cmp(&self.order.key(&batch, row)), &batch, row)?,
                (Some(before), _) => self.boundary(orders[before], &batch, row)?,
            };
            if boundary && self.full((row - start) as u64) {
                self.append(&batch, start, row)?;
                self.close()?;
                start = row;
            }
        }
        self.append(&batch, start, batch.num_rows())?;
        self.last = Some(self.order.key(&batch, batch.num_rows() - 1));
        Ok(())
    }

    /// Closes the last file and hands all of them out, in order, durable on disk.
    pub fn finish(mut self) -> Result<Vec<NewFile>, Error> {
        self.close()?;
        sync_folder(&self.root)?;
        Ok(std::mem::take(&mut self.done))
    }

    fn boundary(&self, order: std::cmp::Ordering, batch: &RecordBatch, row: usize) -> Result<bool, Error> {
        if order.is_gt() {
            let key = self.order.key(batch, row);
            return Err(Error::Invalid(format!("rows are not in ledger order: {:?} comes after a greater key", key.0)));
        }
        Ok(order.is_lt())
    }

    /// Whether the file is large enough to be cut, with `pending` rows that belong to it too.
    fn full(&self, pending: u64) -> bool {
        let Some(part) = &self.part else { return pending >= self.options.rows_per_file };
        part.rows + pending >= self.options.rows_per_file || part.writer.bytes_written() as u64 >= FILE_BYTES
    }

    fn append(&mut self, batch: &RecordBatch, start: usize, end: usize) -> Result<(), Error> {
        if start == end {
            return Ok(());
        }
        if self.part.is_none() {
            self.part = Some(self.open(self.order.key(batch, start))?);
        }
        let slice = batch.slice(start, end - start);
        let part = self.part.as_mut().expect("a part was opened just above");
        part.writer.write(&slice)?;
        part.hints.add(&slice, part.rows, |row| self.order.key(&slice, row));
        part.rows += slice.num_rows() as u64;
        part.last = self.order.key(batch, end - 1);
        Ok(())
    }

    fn open(&mut self, first: Key) -> Result<Part, Error> {
        let name = format!("part-{}-{:05}.parquet", self.options.prefix, self.started);
        self.started += 1;
        let path = self.root.join(&name);
        let file = reach(Point::ImportFile)
            .and_then(|()| File::create_new(&path))
            .map_err(|source| Error::Io { context: format!("making {}", path.display()), source })?;
        let writer = ArrowWriter::try_new(
            BufWriter::with_capacity(1 << 20, file),
            self.schema.clone(),
            Some(self.properties.clone()),
        )?;
        Ok(Part { name, path, writer, rows: 0, last: first.clone(), first, hints: self.no_hints.clone() })
    }

    fn close(&mut self) -> Result<(), Error> {
        let Some(mut part) = self.part.take() else { return Ok(()) };
        let io = |source| Error::Io { context: format!("writing {}", part.path.display()), source };
        let closed = part.writer.finish();
        let finished = closed.map_err(Error::from).and_then(|metadata| {
            let file = part.writer.inner().get_ref();
            reach(Point::ImportFileSync).and_then(|()| file.sync_all()).map_err(io)?;
            Ok((metadata, file.metadata().map_err(io)?.len()))
        });
        match finished {
            Ok((metadata, size_bytes)) => {
                let stats = stats::of(&metadata, &self.schema);
                let range = KeyRange { first: part.first, last: part.last };
                self.done.push(NewFile {
                    name: part.name,
                    path: part.path,
                    size_bytes,
                    rows: part.rows,
                    range,
                    stats,
                    hints: part.hints.finish(),
                });
                Ok(())
            }
            Err(error) => {
                remove(&part.path);
                Err(error)
            }
        }
    }
}

impl Drop for FileWriter {
    fn drop(&mut self) {
        if let Some(part) = self.part.take() {
            remove(&part.path);
        }
        discard(&self.done);
    }
}

/// Deletes files that will not be committed after all.
pub fn discard(files: &[NewFile]) {
    for file in files {
        remove(&file.path);
    }
}

fn remove(path: &Path) {
    // Nothing refers to it: an orphan costs disk space only.
    if let Err(error) = std::fs::remove_file(path) {
        tracing::debug!(%error, "an unused file stays");
    }
}

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), Error> {
    let sync = || File::open(folder)?.sync_all();
    sync().map_err(|source| Error::Io { context: format!("syncing {}", folder.display()), source })
}

fn properties(report: &Report) -> Result<WriterProperties, Error> {
    let mut builder = WriterProperties::builder()
        .set_created_by(concat!("payouts ", env!("CARGO_PKG_VERSION")).to_owned())
        // A fifth smaller than Snappy for a tenth more time to decode.
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_max_row_group_row_count(Some(ROWS_PER_GROUP))
        .set_data_page_row_count_limit(20_000)
        .set_statistics_enabled(EnabledStatistics::Page);
    for field in report.fields.iter().filter(|f| f.roles.contains(&FieldRole::Payment)) {
        let column = ColumnPath::from(&*field.name);
        builder = builder
            .set_column_bloom_filter_enabled(column.clone(), true)
            .set_column_bloom_filter_fpp(column.clone(), BLOOM_FALSE_POSITIVES)
            .set_column_bloom_filter_max_ndv(column, ROWS_PER_GROUP as u64);
    }
    Ok(builder.build())
}
