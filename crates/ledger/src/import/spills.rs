//! Rows that wait on disk for the end of their group, in the order they came.

use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::PathBuf;
use std::sync::Arc;

use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;

use super::block::{Block, Gather, RowRef, Shape};
use crate::Error;

/// Rows of a block on disk.
const SPILL_ROWS: usize = 2048;

/// Writes rows to disk in the order they come.
pub(super) struct SpillWriter {
    path: PathBuf,
    writer: StreamWriter<BufWriter<File>>,
    gather: Gather,
    shape: Arc<Shape>,
}

impl SpillWriter {
    /// A new file at `path`.
    pub fn create(path: PathBuf, shape: &Arc<Shape>) -> Result<Self, Error> {
        let file = File::create(&path)
            .map_err(|source| Error::Io { context: format!("create {}", path.display()), source })?;
        let writer = StreamWriter::try_new(BufWriter::with_capacity(1 << 18, file), &shape.block_schema)?;
        Ok(Self { path, writer, gather: Gather::default(), shape: shape.clone() })
    }

    /// Appends a row under a mark.
    pub fn push(&mut self, row: &RowRef, mark: u8) -> Result<(), Error> {
        self.gather.push(row, mark);
        if self.gather.len() >= SPILL_ROWS {
            self.writer.write(&self.gather.take_block(&self.shape)?)?;
        }
        Ok(())
    }

    /// Closes the file and opens it for reading.
    pub fn finish(mut self) -> Result<SpillReader, Error> {
        if self.gather.len() > 0 {
            self.writer.write(&self.gather.take_block(&self.shape)?)?;
        }
        self.writer.finish()?;
        drop(self.writer);
        SpillReader::open(self.path, self.shape)
    }
}

/// Reads rows back; the file is deleted with it.
pub(super) struct SpillReader {
    path: PathBuf,
    reader: StreamReader<BufReader<File>>,
    shape: Arc<Shape>,
}

impl SpillReader {
    fn open(path: PathBuf, shape: Arc<Shape>) -> Result<Self, Error> {
        let file =
            File::open(&path).map_err(|source| Error::Io { context: format!("open {}", path.display()), source })?;
        let reader = StreamReader::try_new(BufReader::with_capacity(1 << 18, file), None)?;
        Ok(Self { path, reader, shape })
    }

    /// The next block.
    pub fn block(&mut self) -> Result<Option<Arc<Block>>, Error> {
        match self.reader.next() {
            Some(batch) => Ok(Some(Arc::new(Block::from_spilled(&self.shape, &batch?)?))),
            None => Ok(None),
        }
    }
}

impl Drop for SpillReader {
    fn drop(&mut self) {
        // What stays behind is swept at the next import.
        let _ = std::fs::remove_file(&self.path);
    }
}
