//! From files to sorted rows: one thread reads and cuts, one per core parses and sorts, and the
//! caller's collects what is wrong in the order of the files.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use payouts_faults::{Point, reach};

use super::block::Shape;
use super::columnar;
use super::existing::LedgerFiles;
use super::parse::{Defaults, Parsed, Parser};
use super::rejects::BadRow;
use super::rows::{Row, take_key_text};
use super::runs::{Runs, Sorter};
use super::source::{Content, Input, Piece};
use super::{Error, Limits};

enum Work {
    Text { input: usize, delimiter: u8, piece: Piece },
    Rows { input: usize, batch: RecordBatch, row: u64 },
}

struct Numbered<T> {
    number: u64,
    value: T,
}

/// What reading needs to know.
pub(super) struct Pipeline<'a> {
    pub shape: &'a Arc<Shape>,
    pub inputs: &'a [Input],
    pub defaults: &'a Defaults,
    pub limits: &'a Limits,
    /// Packed bytes read so far.
    pub count: Arc<AtomicU64>,
}

impl Pipeline<'_> {
    /// Parses all inputs into sorted runs, marks the files of the ledger that they touch, and
    /// hands bad rows to `refuse` in the order of the inputs.
    pub fn run(
        &self,
        scratch: &Path,
        files: &mut LedgerFiles,
        refuse: &mut dyn FnMut(BadRow) -> Result<(), Error>,
        told: &mut dyn FnMut(u64),
    ) -> Result<Runs, Error> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(8);
        let (work_out, work_in) = sync_channel::<Numbered<Result<Work, Error>>>(threads);
        let (done_out, done_in) = sync_channel::<Numbered<Result<Vec<BadRow>, Error>>>(threads);
        let work_in = Arc::new(Mutex::new(work_in));
        let files = Mutex::new(files);
        std::thread::scope(|scope| {
            scope.spawn(|| self.read(work_out));
            let sort = |number: usize| {
                let (work_in, done_out, files) = (work_in.clone(), done_out.clone(), &files);
                let mut sorter = Sorter::new(scratch, number, threads, self.limits.memory_bytes);
                scope.spawn(move || {
                    self.parse(&work_in, &done_out, &mut sorter, files);
                    sorter
                })
            };
            let sorters: Vec<_> = (0..threads).map(sort).collect();
            // Each end is held only by the threads that use it: when one side stops, for whatever
            // reason, the other finds nobody there and stops, too.
            drop((work_in, done_out));
            let outcome = self.collect(&done_in, refuse, told);
            drop(done_in);
            let joined = sorters.into_iter().map(|s| s.join().unwrap_or_else(|p| std::panic::resume_unwind(p)));
            let sorters = joined.collect();
            outcome.map(|()| Runs::of(sorters))
        })
    }

    /// Reads all inputs one after the other until nobody takes any more.
    fn read(&self, out: SyncSender<Numbered<Result<Work, Error>>>) {
        let mut number = 0;
        let mut send = |value: Result<Work, Error>| {
            number += 1;
            out.send(Numbered { number: number - 1, value }).is_ok()
        };
        for (input, source) in self.inputs.iter().enumerate() {
            let outcome = match &source.content {
                Content::Delimited { delimiter, .. } => {
                    let delimiter = *delimiter;
                    source
                        .pieces(self.limits, &self.count, &mut |piece| send(Ok(Work::Text { input, delimiter, piece })))
                }
                Content::Parquet(path) => {
                    let rows = columnar::read(path, self.limits, &self.count, &mut |batch, row| {
                        send(Ok(Work::Rows { input, batch, row }))
                    });
                    rows.map_err(|reason| Error::BadFile { file: source.name.clone(), reason })
                }
            };
            if let Err(e) = outcome {
                send(Err(e));
                return;
            }
        }
    }

    fn parse(
        &self,
        work: &Mutex<Receiver<Numbered<Result<Work, Error>>>>,
        out: &SyncSender<Numbered<Result<Vec<BadRow>, Error>>>,
        sorter: &mut Sorter,
        files: &Mutex<&mut LedgerFiles>,
    ) {
        loop {
            let next = work.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(Numbered { number, value }) = next else { return };
            let value = value.and_then(|work| {
                let refused = |source| crate::Error::Io { context: "reading the files".into(), source };
                reach(Point::ImportRead).map_err(refused)?;
                let Parsed { good, bad } = self.parsed(&work)?;
                drop(work);
                if let Some(sorted) = good {
                    touch(&mut files.lock().unwrap_or_else(PoisonError::into_inner), &sorted);
                    sorter.push(sorted)?;
                }
                Ok(bad)
            });
            if out.send(Numbered { number, value }).is_err() {
                return;
            }
        }
    }

    fn parsed(&self, work: &Work) -> Result<Parsed, Error> {
        let parser = |input: usize| Parser::new(self.shape, &self.inputs[input].layout, self.defaults, input);
        Ok(match work {
            Work::Text { input, delimiter, piece } => parser(*input).piece(piece, *delimiter),
            Work::Rows { input, batch, row } => parser(*input).batch(batch, *row)?,
        })
    }

    fn collect(
        &self,
        done: &Receiver<Numbered<Result<Vec<BadRow>, Error>>>,
        refuse: &mut dyn FnMut(BadRow) -> Result<(), Error>,
        told: &mut dyn FnMut(u64),
    ) -> Result<(), Error> {
        let mut early = BTreeMap::new();
        let mut next = 0;
        while let Ok(Numbered { number, value }) = done.recv() {
            early.insert(number, value);
            while let Some(bad) = early.remove(&next) {
                next += 1;
                bad?.into_iter().try_for_each(&mut *refuse)?;
                told(self.count.load(Ordering::Relaxed));
            }
        }
        Ok(())
    }
}

/// Marks the files that sorted rows touch.
fn touch(files: &mut LedgerFiles, sorted: &[u8]) {
    if files.0.is_empty() {
        return;
    }
    let (mut participant, mut last) = (Vec::new(), None);
    let mut rest = sorted;
    while let Some(length) = Row::length(rest) {
        let mut key = Row(&rest[..length]).key();
        rest = &rest[length..];
        participant.clear();
        take_key_text(&mut key, &mut participant);
        if last.as_ref() != Some(&participant) {
            files.touch(&String::from_utf8_lossy(&participant));
            last = Some(participant.clone());
        }
    }
}
