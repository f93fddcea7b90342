//! External sort: sorted blocks in memory up to a budget, sorted runs on disk beyond it, and the
//! merge of all of them into one stream in the order of keys (equal keys: in the order they came).

use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;

use super::block::{Block, Gather, RowRef, Shape, prefix};
use crate::Error;

/// Rows of a block on disk: small, since the merge holds one block of each run.
const SPILL_ROWS: usize = 2048;
/// More runs than this are merged into one first, so that memory stays bounded.
const RUNS_MAX: usize = 64;

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

/// A sorted run and the place in it.
struct Run {
    block: Option<Arc<Block>>,
    order: Vec<u32>,
    at: usize,
    /// The first bytes of the current key.
    prefix: u64,
    spilled: Option<SpillReader>,
}

impl Run {
    fn memory(block: Arc<Block>, order: Vec<u32>) -> Self {
        let block = (!order.is_empty()).then_some(block);
        let mut run = Self { block, order, at: 0, prefix: 0, spilled: None };
        run.look();
        run
    }

    fn spilled(mut reader: SpillReader) -> Result<Self, Error> {
        let block = reader.block()?;
        let mut run = Self { block, order: Vec::new(), at: 0, prefix: 0, spilled: Some(reader) };
        run.look();
        Ok(run)
    }

    fn row(&self) -> usize {
        if self.spilled.is_some() { self.at } else { self.order[self.at] as usize }
    }

    fn key(&self) -> Option<&[u8]> {
        self.block.as_ref().map(|b| b.key(self.row()))
    }

    fn advance(&mut self) -> Result<(), Error> {
        self.at += 1;
        let Some(block) = &self.block else { return Ok(()) };
        match &mut self.spilled {
            Some(reader) if self.at == block.rows() => {
                self.block = reader.block()?;
                self.at = 0;
            }
            None if self.at == self.order.len() => self.block = None,
            _ => {}
        }
        self.look();
        Ok(())
    }

    fn look(&mut self) {
        if let Some(key) = self.key() {
            self.prefix = prefix(key);
        }
    }
}

/// The merge of sorted runs.
pub(super) struct Merged {
    runs: Vec<Run>,
    /// A binary heap of the runs that are not at their end, by their current keys.
    heap: Vec<usize>,
    peeked: Option<RowRef>,
}

impl Merged {
    fn new(runs: Vec<Run>) -> Self {
        let heap: Vec<usize> = (0..runs.len()).filter(|&i| runs[i].block.is_some()).collect();
        let mut merged = Self { runs, heap, peeked: None };
        for i in (0..merged.heap.len() / 2).rev() {
            merged.sift(i);
        }
        merged.look();
        merged
    }

    /// Whether the run at heap place `a` comes before the one at `b`: earlier runs first.
    fn before(&self, a: usize, b: usize) -> bool {
        let (a, b) = (self.heap[a], self.heap[b]);
        let (left, right) = (&self.runs[a], &self.runs[b]);
        left.prefix.cmp(&right.prefix).then_with(|| left.key().cmp(&right.key())).then(a.cmp(&b)).is_lt()
    }

    fn sift(&mut self, mut at: usize) {
        loop {
            let (left, right) = (2 * at + 1, 2 * at + 2);
            let mut least = at;
            if left < self.heap.len() && self.before(left, least) {
                least = left;
            }
            if right < self.heap.len() && self.before(right, least) {
                least = right;
            }
            if least == at {
                return;
            }
            self.heap.swap(at, least);
            at = least;
        }
    }

    fn look(&mut self) {
        self.peeked = self.heap.first().and_then(|&i| {
            let run = &self.runs[i];
            run.block.as_ref().map(|b| RowRef::new(b, run.row()))
        });
    }

    /// The next row, which stays the next.
    pub fn peek(&self) -> Option<&RowRef> {
        self.peeked.as_ref()
    }

    /// Takes the next row.
    pub fn next(&mut self) -> Result<Option<RowRef>, Error> {
        let Some(row) = self.peeked.take() else { return Ok(None) };
        let top = self.heap[0];
        self.runs[top].advance()?;
        if self.runs[top].block.is_none() {
            self.heap.swap_remove(0);
        }
        self.sift(0);
        self.look();
        Ok(Some(row))
    }
}

/// Takes blocks in the order of the files, and gives all rows back sorted.
pub(super) struct Sorter {
    shape: Arc<Shape>,
    folder: PathBuf,
    budget_bytes: usize,
    memory: Vec<Run>,
    memory_bytes: usize,
    spilled: Vec<SpillReader>,
    files: usize,
}

impl Sorter {
    /// Spills into `folder` beyond `budget_bytes`.
    pub fn new(shape: &Arc<Shape>, folder: &Path, budget_bytes: usize) -> Self {
        Self {
            shape: shape.clone(),
            folder: folder.into(),
            budget_bytes,
            memory: Vec::new(),
            memory_bytes: 0,
            spilled: Vec::new(),
            files: 0,
        }
    }

    /// Adds a block and the sorted order of its rows.
    pub fn push(&mut self, block: Arc<Block>, order: Vec<u32>) -> Result<(), Error> {
        self.memory_bytes += block.size_bytes() + order.len() * 4;
        self.memory.push(Run::memory(block, order));
        if self.memory_bytes > self.budget_bytes {
            let runs = std::mem::take(&mut self.memory);
            self.memory_bytes = 0;
            let run = self.spill(runs)?;
            self.spilled.push(run);
            if self.spilled.len() >= RUNS_MAX {
                let runs = std::mem::take(&mut self.spilled).into_iter().map(Run::spilled).collect::<Result<_, _>>()?;
                let run = self.spill(runs)?;
                self.spilled.push(run);
            }
        }
        Ok(())
    }

    fn spill(&mut self, runs: Vec<Run>) -> Result<SpillReader, Error> {
        self.files += 1;
        let mut writer = SpillWriter::create(self.folder.join(format!("run-{:05}", self.files)), &self.shape)?;
        let mut merged = Merged::new(runs);
        while let Some(row) = merged.next()? {
            writer.push(&row, row.mark())?;
        }
        writer.finish()
    }

    /// Runs on disk so far.
    pub fn spilled(&self) -> usize {
        self.files
    }

    /// All rows in the order of their keys.
    pub fn finish(self) -> Result<Merged, Error> {
        let mut runs = self.spilled.into_iter().map(Run::spilled).collect::<Result<Vec<_>, _>>()?;
        runs.extend(self.memory);
        Ok(Merged::new(runs))
    }
}
