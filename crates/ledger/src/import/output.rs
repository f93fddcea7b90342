//! Where the merge's rows go: new files beside the old ones, and only where something changed.
//!
//! A touched file stays as it is for as long as the merge only keeps its rows. At the first change
//! its rows so far are copied into the writer, and the file will be replaced. So a file in which
//! nothing changes is read, but neither written nor renamed.
//!
//! Invariant: rows reach the writer in ledger order, and the writer is closed before any file that
//! stays, so that the new files and those that stay do not overlap.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Decimal128Type;

use super::background::Background;
use super::block::{Block, Gather, RowRef, Shape};
use super::existing::{Batches, LedgerFiles};
use crate::Error;
use crate::table::{NewFile, Table, TableFile, WriterOptions, discard};

const WRITE_ROWS: usize = 8192;
/// Fewer rows are not worth a batch of their own.
const SLICE_ROWS_MIN: usize = 2048;
/// A rewritten file may grow beyond the usual size before it is cut: no small files at its end.
const ROWS_PER_REWRITTEN_FILE: u64 = 1_500_000;
/// The file in the scratch folder that names the prefixes of files which may be uncommitted.
const PREFIXES: &str = "prefixes";

/// What becomes of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// A row of the ledger stays.
    Keep,
    /// A row of the ledger goes.
    Drop,
    /// An incoming row goes in.
    Add,
}

/// Sums of the headline amount by currency.
pub(super) type Sums = BTreeMap<String, i128>;

/// The touched file that the merge is in.
struct Current {
    number: usize,
    kept: u64,
    seen: u64,
    pristine: bool,
}

/// See the module.
pub(super) struct Output<'a> {
    shape: &'a Shape,
    table: &'a Table,
    files: &'a LedgerFiles,
    scratch: &'a Path,
    dry_run: bool,
    next: usize,
    current: Option<Current>,
    writer: Option<Background>,
    gather: Gather,
    adds: Vec<NewFile>,
    removes: Vec<TableFile>,
    changed: bool,
    /// Where files are cut that replace none.
    pub rows_per_file: u64,
    /// What the changes add to the sums.
    pub sums: Sums,
}

impl<'a> Output<'a> {
    /// Writes new files for `table`, none in a dry run.
    pub fn new(shape: &'a Shape, table: &'a Table, files: &'a LedgerFiles, scratch: &'a Path, dry_run: bool) -> Self {
        Self {
            shape,
            table,
            files,
            scratch,
            dry_run,
            next: 0,
            current: None,
            writer: None,
            gather: Gather::default(),
            adds: Vec::new(),
            removes: Vec::new(),
            changed: false,
            rows_per_file: WriterOptions::ROWS_PER_FILE,
            sums: Sums::new(),
        }
    }

    /// Does with the next row in ledger order what is to be done.
    pub fn apply(&mut self, row: &RowRef, action: Action) -> Result<(), Error> {
        match action {
            Action::Keep => {
                let current = self.enter(row.file())?;
                current.seen += 1;
                if current.pristine {
                    current.kept += 1;
                    return Ok(());
                }
                self.write(row)
            }
            Action::Drop => {
                self.enter(row.file())?.seen += 1;
                self.begin_change()?;
                self.count(row, -1);
                Ok(())
            }
            Action::Add => {
                self.find_place(row)?;
                self.begin_change()?;
                self.count(row, 1);
                self.write(row)
            }
        }
    }

    /// Whether every further row is an incoming one and goes behind all files of the ledger.
    pub fn behind_all(&self) -> bool {
        let busy = self.current.as_ref().is_some_and(|c| c.seen < self.files.0[c.number].rows);
        !busy && self.next == self.files.0.len()
    }

    /// Adds `count` rows of `block` from row `start` on, behind all files of the ledger.
    pub fn append(&mut self, block: &Arc<Block>, start: usize, count: usize) -> Result<(), Error> {
        self.begin_change()?;
        let columns = self.shape.sum_columns();
        for row in start..start + count {
            add_to_sums(&mut self.sums, self.shape, &block.batch, row, columns, 1);
        }
        if self.dry_run {
            return Ok(());
        }
        if count >= SLICE_ROWS_MIN {
            self.flush()?;
            return self.write_batch(block.batch.slice(start, count));
        }
        (start..start + count).try_for_each(|row| self.write(&RowRef::new(block, row)))
    }

    /// Makes `number` the current file; those in between stay.
    fn enter(&mut self, number: usize) -> Result<&mut Current, Error> {
        if self.current.as_ref().is_none_or(|c| c.number != number) {
            self.leave()?;
            if self.next < number {
                self.cut()?;
            }
            self.next = number + 1;
        }
        Ok(self.current.get_or_insert(Current { number, kept: 0, seen: 0, pristine: true }))
    }

    /// Leaves the current file: it stays or is replaced.
    fn leave(&mut self) -> Result<(), Error> {
        match self.current.take() {
            Some(current) if current.pristine => self.cut(),
            Some(current) => {
                self.removes.push(self.files.0[current.number].file.clone());
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Goes to where an incoming row belongs: the current file as long as it has rows left, else
    /// the file that its participant falls into, else behind the current one.
    fn find_place(&mut self, row: &RowRef) -> Result<(), Error> {
        let participant = self.shape.participant(row);
        loop {
            let busy = self.current.as_ref().is_some_and(|c| c.seen < self.files.0[c.number].rows);
            let Some(next) = self.files.0.get(self.next).filter(|f| !busy && *f.first <= *participant) else {
                return Ok(());
            };
            if next.touched {
                self.enter(self.next)?;
            } else {
                self.leave()?;
                self.cut()?;
                self.next += 1;
            }
        }
    }

    /// From here on the current file differs from what it was.
    fn begin_change(&mut self) -> Result<(), Error> {
        self.changed = true;
        let Some(current) = self.current.as_mut().filter(|c| c.pristine) else { return Ok(()) };
        current.pristine = false;
        let (number, mut left) = (current.number, current.kept);
        if self.dry_run {
            return Ok(());
        }
        self.flush()?;
        let mut batches = Batches::open(&self.files.0[number].file, &self.shape.schema)?;
        while left > 0 {
            let batch = batches
                .next()
                .ok_or_else(|| Error::Invalid(format!("{} has become shorter", self.files.0[number].file.name)))??;
            let rows = left.min(batch.num_rows() as u64);
            left -= rows;
            self.write_batch(batch.slice(0, rows as usize))?;
        }
        Ok(())
    }

    fn count(&mut self, row: &RowRef, sign: i128) {
        add_to_sums(&mut self.sums, self.shape, &row.block.batch, row.row(), self.shape.sum_columns(), sign);
    }

    fn write(&mut self, row: &RowRef) -> Result<(), Error> {
        if self.dry_run {
            return Ok(());
        }
        self.gather.push(row, 0);
        if self.gather.len() >= WRITE_ROWS { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Error> {
        if self.gather.len() == 0 {
            return Ok(());
        }
        let batch = self.gather.take(self.shape)?;
        self.write_batch(batch)
    }

    fn write_batch(&mut self, batch: RecordBatch) -> Result<(), Error> {
        if self.writer.is_none() {
            let mut options = WriterOptions { rows_per_file: self.rows_per_file, ..WriterOptions::unique() };
            if self.current.is_some() {
                options.rows_per_file = ROWS_PER_REWRITTEN_FILE;
            }
            remember_prefix(self.scratch, &options.prefix)?;
            self.writer = Some(Background::start(self.table.writer(options)?));
        }
        match &mut self.writer {
            Some(writer) => writer.write(batch),
            None => Ok(()),
        }
    }

    /// Closes the files under way.
    fn cut(&mut self) -> Result<(), Error> {
        self.flush()?;
        if let Some(writer) = self.writer.take() {
            self.adds.extend(writer.finish()?);
        }
        Ok(())
    }

    /// Closes everything. Files to remove and to add; `None` if nothing changed.
    pub fn finish(mut self) -> Result<(Option<Changes>, Sums), Error> {
        self.leave()?;
        self.cut()?;
        let changes = self
            .changed
            .then(|| Changes { removes: std::mem::take(&mut self.removes), adds: std::mem::take(&mut self.adds) });
        Ok((changes, std::mem::take(&mut self.sums)))
    }
}

impl Drop for Output<'_> {
    fn drop(&mut self) {
        discard(&self.adds);
    }
}

/// What a commit will change. New files are deleted if it does not come to that.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// Files that are replaced.
    pub removes: Vec<TableFile>,
    /// Files that replace them.
    pub adds: Vec<NewFile>,
}

/// Adds the headline amount of a row to the sums; `columns` are those of the amount and of its
/// currency in the batch.
pub(super) fn add_to_sums(
    sums: &mut Sums,
    shape: &Shape,
    batch: &RecordBatch,
    row: usize,
    columns: (usize, Option<usize>),
    sign: i128,
) {
    let (amount, currency) = columns;
    let amounts = batch.column(amount);
    if amounts.is_null(row) {
        return;
    }
    let value = sign * amounts.as_primitive::<Decimal128Type>().value(row);
    let code = match currency {
        None => shape.constant_currency(),
        Some(c) if batch.column(c).is_null(row) => "",
        Some(c) => batch.column(c).as_string::<i32>().value(row),
    };
    match sums.get_mut(code) {
        Some(sum) => *sum += value,
        None => {
            sums.insert(code.to_owned(), value);
        }
    }
}

/// The sums over the whole ledger.
pub(super) fn ledger_sums(shape: &Shape, files: &LedgerFiles) -> Result<Sums, Error> {
    let (amount, currency) = shape.sum_columns();
    let mut fields: Vec<usize> = currency.into_iter().chain([amount]).collect();
    fields.sort_unstable();
    let place = |field: usize| fields.iter().position(|f| *f == field).unwrap_or(0);
    let columns = (place(amount), currency.map(place));
    let mut sums = Sums::new();
    for file in &files.0 {
        for batch in Batches::project(&file.file, shape, &fields)? {
            let batch = batch?;
            for row in 0..batch.num_rows() {
                add_to_sums(&mut sums, shape, &batch, row, columns, 1);
            }
        }
    }
    Ok(sums)
}

/// Notes the prefix of files that are about to be written, so that a later run can delete them if
/// this one is killed before its commit.
pub(crate) fn remember_prefix(scratch: &Path, prefix: &str) -> Result<(), Error> {
    use std::io::Write;
    let path = scratch.join(PREFIXES);
    let write = || {
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&path)?;
        writeln!(file, "{prefix}")?;
        file.sync_data()
    };
    write().map_err(|source| Error::Io { context: format!("write {}", path.display()), source })
}

/// Deletes what an import that was killed left in `table`'s folder: files under the prefixes that
/// it noted in `scratch` and that no version of the table ever named.
pub(super) fn sweep(scratch: &Path, table_root: &Path) -> std::io::Result<()> {
    let Ok(prefixes) = std::fs::read_to_string(scratch.join(PREFIXES)) else { return Ok(()) };
    let mut logs = String::new();
    if let Ok(entries) = std::fs::read_dir(table_root.join("_delta_log")) {
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_some_and(|e| e == "json") {
                logs.push_str(&std::fs::read_to_string(path)?);
            }
        }
    }
    let orphaned: Vec<&str> = prefixes.lines().filter(|p| !p.is_empty() && !logs.contains(p)).collect();
    if orphaned.is_empty() {
        return Ok(());
    }
    for entry in std::fs::read_dir(table_root)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if orphaned.iter().any(|p| name.contains(p)) {
            tracing::info!(file = %name, "deleting a file of an import that did not finish");
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
