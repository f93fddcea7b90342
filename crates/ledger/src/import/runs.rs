//! External sort: sorted chunks of rows in memory up to a budget, sorted runs on disk beyond it.
//!
//! Invariant: what comes out does not depend on which thread sorted what: equal keys come in the
//! order of their files and lines, and where ranges are cut follows from the keys alone.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use payouts_faults::{Point, reach};

use super::rows::{Row, prefix};
use crate::Error;

/// Between two entries of a run's index.
const INDEX_BYTES: usize = 256 << 10;
/// What is read of a run at a time.
const READ_BYTES: usize = 64 << 10;
/// More runs on disk than this are merged into one first, so that memory and open files stay
/// bounded; all threads together.
const RUNS_MAX: usize = 256;
/// Keys that tell where to cut: ranges differ by a few percent.
const SAMPLE_KEYS: usize = 8192;

/// Sorted rows.
#[derive(Debug)]
enum Place {
    Memory(Vec<u8>),
    Disk { file: File, path: PathBuf },
}

/// Sorted rows, and where in them to begin looking for a key.
#[derive(Debug)]
pub(super) struct Run {
    place: Place,
    size_bytes: u64,
    /// Keys and where their rows begin.
    index: Vec<(Box<[u8]>, u64)>,
}

impl Drop for Run {
    fn drop(&mut self) {
        if let Place::Disk { path, .. } = &self.place {
            // What stays behind is swept at the next import.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Makes the index of a run while it is written.
#[derive(Default)]
struct Index {
    entries: Vec<(Box<[u8]>, u64)>,
    at: u64,
}

impl Index {
    fn push(&mut self, row: Row<'_>) {
        if self.entries.last().is_none_or(|(_, start)| self.at - start >= INDEX_BYTES as u64) {
            self.entries.push((row.key().into(), self.at));
        }
        self.at += row.0.len() as u64;
    }
}

impl Run {
    /// A run of rows in memory.
    fn memory(bytes: Vec<u8>, sample: &mut Sample) -> Self {
        let mut index = Index::default();
        let mut rest = &bytes[..];
        while let Some(length) = Row::length(rest) {
            let row = Row(&rest[..length]);
            index.push(row);
            sample.see(row.key());
            rest = &rest[length..];
        }
        Self { size_bytes: bytes.len() as u64, place: Place::Memory(bytes), index: index.entries }
    }

    /// Where the first row begins whose key is not less than `key`.
    fn find(self: &Arc<Self>, key: &[u8]) -> Result<u64, Error> {
        let after = self.index.partition_point(|(k, _)| **k < *key);
        let Some(before) = after.checked_sub(1) else { return Ok(0) };
        let mut cursor = Cursor::new(self, self.index[before].1, self.size_bytes)?;
        while cursor.row().is_some_and(|row| row.key() < key) {
            cursor.advance()?;
        }
        Ok(cursor.place())
    }
}

/// A place in a part of a run.
struct Cursor {
    run: Arc<Run>,
    /// What is read of a run on disk.
    buffer: Vec<u8>,
    /// The current row in the buffer, or in the run in memory; empty at the end.
    at: usize,
    length: usize,
    /// Where the buffer ends in the run.
    read: u64,
    /// Where the part ends in the run.
    end: u64,
    /// The first bytes of the current key.
    prefix: u64,
}

impl Cursor {
    fn new(run: &Arc<Run>, start: u64, end: u64) -> Result<Self, Error> {
        let mut cursor = Self { run: run.clone(), buffer: Vec::new(), at: 0, length: 0, read: start, end, prefix: 0 };
        if let Place::Memory(_) = run.place {
            cursor.at = start as usize;
        }
        cursor.look()?;
        Ok(cursor)
    }

    fn bytes(&self) -> &[u8] {
        match &self.run.place {
            Place::Memory(bytes) => &bytes[..self.end as usize],
            Place::Disk { .. } => &self.buffer,
        }
    }

    fn row(&self) -> Option<Row<'_>> {
        (self.length > 0).then(|| Row(&self.bytes()[self.at..self.at + self.length]))
    }

    /// Where the current row begins in the run.
    fn place(&self) -> u64 {
        match &self.run.place {
            Place::Memory(_) => self.at as u64,
            Place::Disk { .. } => self.read - (self.buffer.len() - self.at) as u64,
        }
    }

    fn advance(&mut self) -> Result<(), Error> {
        self.at += self.length;
        self.look()
    }

    fn look(&mut self) -> Result<(), Error> {
        self.length = loop {
            let rest = &self.bytes()[self.at..];
            match Row::length(rest) {
                Some(length) if length <= rest.len() => break length,
                wanted if !self.fill(wanted.unwrap_or(0))? => break 0,
                _ => {}
            }
        };
        if let Some(row) = self.row() {
            self.prefix = prefix(row.key());
        }
        Ok(())
    }

    /// Reads on; whether there was more.
    fn fill(&mut self, wanted: usize) -> Result<bool, Error> {
        let run = self.run.clone();
        let Place::Disk { file, path } = &run.place else { return Ok(false) };
        let left = self.end - self.read;
        if left == 0 {
            return Ok(false);
        }
        self.buffer.drain(..self.at);
        self.at = 0;
        let held = self.buffer.len();
        let more = (wanted.saturating_sub(held).max(READ_BYTES) as u64).min(left) as usize;
        self.buffer.resize(held + more, 0);
        file.read_exact_at(&mut self.buffer[held..], self.read)
            .map_err(|source| Error::Io { context: format!("read {}", path.display()), source })?;
        self.read += more as u64;
        Ok(true)
    }
}

/// The merge of parts of runs.
pub(super) struct Heap {
    cursors: Vec<Cursor>,
    /// A binary heap of the cursors that are not at their end, by their current keys.
    heap: Vec<(u64, usize)>,
}

impl Heap {
    fn new(cursors: Vec<Cursor>) -> Self {
        let heap = cursors.iter().enumerate().filter(|(_, c)| c.length > 0).map(|(i, c)| (c.prefix, i)).collect();
        let mut merged = Self { cursors, heap };
        for i in (0..merged.heap.len() / 2).rev() {
            merged.sift(i);
        }
        merged
    }

    fn before(&self, a: (u64, usize), b: (u64, usize)) -> bool {
        if a.0 != b.0 {
            return a.0 < b.0;
        }
        match (self.cursors[a.1].row(), self.cursors[b.1].row()) {
            (Some(left), Some(right)) => left
                .key()
                .cmp(right.key())
                .then_with(|| (left.file(), left.line()).cmp(&(right.file(), right.line())))
                .is_lt(),
            _ => false,
        }
    }

    fn sift(&mut self, mut at: usize) {
        let Some(&item) = self.heap.get(at) else { return };
        loop {
            let mut least = 2 * at + 1;
            if least >= self.heap.len() {
                break;
            }
            if least + 1 < self.heap.len() && self.before(self.heap[least + 1], self.heap[least]) {
                least += 1;
            }
            if !self.before(self.heap[least], item) {
                break;
            }
            self.heap[at] = self.heap[least];
            at = least;
        }
        self.heap[at] = item;
    }

    /// The next row.
    pub fn row(&self) -> Option<Row<'_>> {
        self.cursors[self.heap.first()?.1].row()
    }

    /// Goes past it.
    pub fn advance(&mut self) -> Result<(), Error> {
        let Some(&(_, top)) = self.heap.first() else { return Ok(()) };
        self.cursors[top].advance()?;
        if self.cursors[top].length == 0 {
            self.heap.swap_remove(0);
        } else {
            self.heap[0].0 = self.cursors[top].prefix;
        }
        self.sift(0);
        Ok(())
    }
}

/// A few of all keys, chosen by their content alone: those with the least hashes.
#[derive(Debug, Default)]
struct Sample {
    rows: u64,
    keys: BTreeMap<u64, Box<[u8]>>,
}

impl Sample {
    fn see(&mut self, key: &[u8]) {
        self.rows += 1;
        let hash = hash(key);
        if self.keys.len() < SAMPLE_KEYS || self.keys.last_key_value().is_some_and(|(most, _)| hash < *most) {
            self.keep(hash, key.into());
        }
    }

    fn keep(&mut self, hash: u64, key: Box<[u8]>) {
        // Of different keys with one hash the lesser one stays, whichever came first.
        let kept = self.keys.entry(hash).or_insert_with(|| key.clone());
        if key < *kept {
            *kept = key;
        }
        if self.keys.len() > SAMPLE_KEYS {
            self.keys.pop_last();
        }
    }

    fn add(&mut self, other: Self) {
        self.rows += other.rows;
        other.keys.into_iter().for_each(|(hash, key)| self.keep(hash, key));
    }
}

fn hash(key: &[u8]) -> u64 {
    let mut hash = key.len() as u64;
    let mut mix = |part: u64| hash = (hash.rotate_left(23) ^ part).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let (words, rest) = key.as_chunks::<8>();
    words.iter().for_each(|w| mix(u64::from_le_bytes(*w)));
    rest.iter().for_each(|b| mix(u64::from(*b)));
    hash ^ (hash >> 29)
}

/// Takes sorted rows of one thread, and puts them on disk beyond a budget.
pub(super) struct Sorter {
    folder: PathBuf,
    /// The thread's number, part of the names of its files.
    number: usize,
    budget_bytes: usize,
    runs_max: usize,
    memory: Vec<Arc<Run>>,
    memory_bytes: usize,
    disk: Vec<Arc<Run>>,
    files: usize,
    sample: Sample,
}

impl Sorter {
    /// The sorter of thread `number` of `threads`, which spill into `folder` beyond `budget_bytes`
    /// in all.
    pub fn new(folder: &Path, number: usize, threads: usize, budget_bytes: usize) -> Self {
        Self {
            folder: folder.into(),
            number,
            budget_bytes: budget_bytes / threads,
            runs_max: (RUNS_MAX / threads).max(2),
            memory: Vec::new(),
            memory_bytes: 0,
            disk: Vec::new(),
            files: 0,
            sample: Sample::default(),
        }
    }

    /// Adds rows that are sorted.
    pub fn push(&mut self, sorted: Vec<u8>) -> Result<(), Error> {
        let refused = |source| Error::Io { context: format!("sort into {}", self.folder.display()), source };
        reach(Point::ImportRun).map_err(refused)?;
        self.memory_bytes += sorted.capacity();
        self.memory.push(Arc::new(Run::memory(sorted, &mut self.sample)));
        if self.memory_bytes > self.budget_bytes {
            self.memory_bytes = 0;
            let runs = std::mem::take(&mut self.memory);
            let run = self.spill(runs)?;
            self.disk.push(run);
            if self.disk.len() >= self.runs_max {
                let runs = std::mem::take(&mut self.disk);
                let run = self.spill(runs)?;
                self.disk.push(run);
            }
        }
        Ok(())
    }

    fn spill(&mut self, runs: Vec<Arc<Run>>) -> Result<Arc<Run>, Error> {
        self.files += 1;
        let path = self.folder.join(format!("run-{}-{:05}", self.number, self.files));
        let failed = |source| Error::Io { context: format!("write {}", path.display()), source };
        let file = File::options().create(true).truncate(true).read(true).write(true).open(&path).map_err(failed)?;
        let mut out = BufWriter::with_capacity(1 << 20, file);
        let mut index = Index::default();
        let mut heap = Heap::new(runs.iter().map(|run| Cursor::new(run, 0, run.size_bytes)).collect::<Result<_, _>>()?);
        while let Some(row) = heap.row() {
            index.push(row);
            out.write_all(row.0).map_err(failed)?;
            heap.advance()?;
        }
        let file = out.into_inner().map_err(|e| failed(e.into_error()))?;
        Ok(Arc::new(Run { place: Place::Disk { file, path }, size_bytes: index.at, index: index.entries }))
    }
}

/// All rows of an import, sorted in parts.
pub(super) struct Runs {
    runs: Vec<Arc<Run>>,
    sample: Sample,
    /// Runs that were written to disk.
    pub spilled: usize,
}

impl Runs {
    /// What all threads have sorted.
    pub fn of(sorters: Vec<Sorter>) -> Self {
        let mut all = Self { runs: Vec::new(), sample: Sample::default(), spilled: 0 };
        for sorter in sorters {
            all.runs.extend(sorter.disk);
            all.runs.extend(sorter.memory);
            all.spilled += sorter.files;
            all.sample.add(sorter.sample);
        }
        all
    }

    /// Rows in all.
    pub fn rows(&self) -> u64 {
        self.sample.rows
    }

    /// Keys that cut all rows into at most `parts` ranges of about the same size.
    pub fn cuts(&self, parts: usize) -> Vec<Box<[u8]>> {
        let mut keys: Vec<&Box<[u8]>> = self.sample.keys.values().collect();
        keys.sort_unstable();
        let mut cuts: Vec<Box<[u8]>> =
            (1..parts).filter_map(|i| keys.get(i * keys.len() / parts).map(|k| (*k).clone())).collect();
        cuts.dedup();
        cuts
    }

    /// The rows from the key `from` on (`None`: from the first) to before the key `to` (`None`: to
    /// the last) in order.
    pub fn range(&self, from: Option<&[u8]>, to: Option<&[u8]>) -> Result<Heap, Error> {
        let mut cursors = Vec::with_capacity(self.runs.len());
        for run in &self.runs {
            let start = from.map_or(Ok(0), |key| run.find(key))?;
            let end = to.map_or(Ok(run.size_bytes), |key| run.find(key))?;
            if start < end {
                cursors.push(Cursor::new(run, start, end)?);
            }
        }
        Ok(Heap::new(cursors))
    }
}
