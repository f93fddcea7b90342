//! Import: files in, one commit out.
//!
//! Files are told by their content, parsed exactly into typed columns, sorted by key (on disk
//! beyond a budget), merged with the files of the ledger that they touch, and committed at once.
//! Which rows win is said in `merge`.
//!
//! Invariants: nothing is visible before the commit; imports into one table wait for each other;
//! what a killed import left behind is deleted by the next one; equal content gives equal files.

mod background;
mod block;
mod columnar;
mod decode;
pub(crate) mod existing;
mod layout;
pub(crate) mod lock;
mod merge;
mod merged;
pub(crate) mod output;
mod parse;
mod pipeline;
mod ranges;
mod records;
mod rejects;
mod rows;
mod rows_ahead;
mod runs;
mod source;
mod spills;
mod values;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use payouts_model::{Amount, Report, ReportName, Timestamp};

use crate::Ledger;
use crate::table::{CommitNote, Table, discard};

use block::Shape;
use existing::{Existing, LedgerFiles};
use lock::Workplace;
use merge::{Counts, Merge, Refused};
use merged::Merged;
use output::{Output, Sums, ledger_sums};
use parse::Defaults;
use pipeline::Pipeline;
use rejects::BadRow;
use runs::Runs;
use source::{Finder, Input};

/// Ranges are a little unlike; none leaves a small file behind.
const ROWS_PER_RANGE_FILE: u64 = 1_500_000;

/// What to import and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// Into which report's table.
    pub report: ReportName,
    /// CSV, TSV or Parquet, plain, gzip or zip.
    pub files: Vec<PathBuf>,
    /// Where bad rows go with their reasons; without it a bad row stops the import.
    pub rejects: Option<PathBuf>,
    /// The order type of rows that have none.
    pub order_type: Option<String>,
    /// The status time of rows that have none; without it the start of the import.
    pub status_time: Option<Timestamp>,
    /// Everything but the commit.
    pub dry_run: bool,
    /// The start of the import.
    pub now: Timestamp,
}

/// The bounds of an import, each with its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Sorted rows are kept in memory up to here, then go to disk: an import of any size stays
    /// under 1 GB.
    pub memory_bytes: usize,
    /// The text that one thread parses at a time; also the longest record, so that an open quote
    /// does not swallow a file.
    pub chunk_bytes: usize,
    /// The rows of a Parquet file that one thread parses at a time.
    pub parquet_rows: usize,
    /// Rows that may wait in memory for the end of their participant, program and order type.
    pub waiting_rows: usize,
    /// Rows that one thread merges and writes into a file where the ledger is empty.
    pub range_rows: u64,
    /// Entries of a zip.
    pub entries_max: usize,
    /// A packed file may always expand to so much,
    pub expanded_bytes_min: u64,
    /// or to so many times its size: beyond that it is a bomb.
    pub expansion_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes: 384 << 20,
            chunk_bytes: 4 << 20,
            parquet_rows: 16 * 1024,
            waiting_rows: 200_000,
            range_rows: 600_000,
            entries_max: 1000,
            expanded_bytes_min: 1 << 30,
            expansion_max: 250,
        }
    }
}

/// What an import did. Every row of its files is counted once: inserted, changed, unchanged or
/// rejected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// New rows.
    pub inserted: u64,
    /// Rows with other content than before (also rows of a set that were replaced).
    pub changed: u64,
    /// Rows that the ledger already had, or of which it or the import has a newer state.
    pub unchanged: u64,
    /// Rows of a replaced set that are gone.
    pub removed: u64,
    /// Bad rows.
    pub rejected: u64,
    /// Sum of the headline amount per its currency: before, after.
    pub sums: Vec<(String, Amount, Amount)>,
    /// The new version; `None` if nothing changed (or dry run).
    pub version: Option<u64>,
}

/// A bad row, or why the import cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A bad row, and there is no file for rejects.
    #[error("{file}, line {line}{}: {reason}", place(column, value))]
    BadRow {
        /// File (and entry).
        file: String,
        /// The line that the row begins on; in Parquet the row.
        line: u64,
        /// The column as the file calls it; empty if the row as a whole is bad.
        column: String,
        /// The value.
        value: String,
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// A file that cannot be read at all.
    #[error("{file}: {reason}")]
    BadFile {
        /// File (and entry).
        file: String,
        /// The reason, and the way out.
        reason: String,
    },
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] crate::Error),
}

fn place(column: &str, value: &str) -> String {
    match (column, value) {
        ("", _) => String::new(),
        (column, "") => format!(", column {}", shown(column)),
        (column, value) => format!(", column {}: {:?}", shown(column), cut(value)),
    }
}

/// Characters of a text from a file that a message repeats.
const SHOWN_CHARS_MAX: usize = 200;

/// The beginning of a text from a file: a field may have megabytes.
fn cut(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        None => Cow::Borrowed(text),
        Some((at, _)) => Cow::Owned(format!("{}…", &text[..at])),
    }
}

/// The same for people's terminals: without control characters.
fn shown(text: &str) -> String {
    cut(text).chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// The nearest of some names or values and how far it is off. None for a text that is too long to be
/// a slip of the pen; comparing it would cost its length in time and memory.
fn nearest<'n, T: Ord>(wanted: &str, all: impl Iterator<Item = (String, &'n T)>) -> Option<(usize, &'n T)> {
    let short = wanted.len() <= SHOWN_CHARS_MAX;
    all.filter(|_| short).map(|(form, one)| (strsim::damerau_levenshtein(wanted, &form), one)).min()
}

/// Imports. `progress` is told (bytes read, bytes in all).
pub fn run(
    ledger: &Ledger,
    report: &Report,
    options: &Options,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<Outcome, Error> {
    run_within(ledger, report, options, &Limits::default(), progress)
}

/// [`run`] within other bounds than the usual ones.
pub fn run_within(
    ledger: &Ledger,
    report: &Report,
    options: &Options,
    limits: &Limits,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<Outcome, Error> {
    let invalid = |reason: String| Error::Ledger(crate::Error::Invalid(reason));
    let defaults = Defaults::new(report, options.order_type.as_deref(), options.status_time.unwrap_or(options.now))
        .map_err(invalid)?;
    if options.files.is_empty() {
        return Err(invalid("no files to import: name at least one".into()));
    }
    let workplace = Workplace::enter(ledger.table(options.report)?.root(), options.report)?;
    let table = ledger.table(options.report)?;
    let shape = Arc::new(Shape::new(&Arc::new(report.clone()))?);
    let finder =
        Finder { report, order_type_given: defaults.order_type.is_some(), limits, scratch: workplace.scratch() };
    let mut inputs = Vec::new();
    for path in &options.files {
        inputs.extend(finder.inputs(path)?);
    }
    let job = Job { table: &table, shape, inputs, defaults, options, limits, scratch: workplace.scratch() };
    job.run(progress)
}

/// In how many ranges so many rows are merged: files of a size that readers like, an even number.
fn parts(rows: u64, range_rows: u64) -> usize {
    if rows < range_rows / 2 { 1 } else { (rows.div_ceil(2 * range_rows) * 2) as usize }
}

/// What a merge made.
#[derive(Default)]
struct Made {
    changes: Option<output::Changes>,
    sums: Sums,
    counts: Counts,
}

impl Made {
    /// Adds what was made of the rows that follow.
    fn add(&mut self, other: Self) {
        let Self { changes, sums, counts } = other;
        if let Some(output::Changes { removes, adds }) = changes {
            let all = self.changes.get_or_insert_default();
            all.removes.extend(removes);
            all.adds.extend(adds);
        }
        for (currency, sum) in sums {
            *self.sums.entry(currency).or_default() += sum;
        }
        self.counts.inserted += counts.inserted;
        self.counts.changed += counts.changed;
        self.counts.unchanged += counts.unchanged;
        self.counts.removed += counts.removed;
    }
}

/// An import under way.
struct Job<'a> {
    table: &'a Table,
    shape: Arc<Shape>,
    inputs: Vec<Input>,
    defaults: Defaults,
    options: &'a Options,
    limits: &'a Limits,
    scratch: &'a Path,
}

impl Job<'_> {
    fn run(&self, progress: &(dyn Fn(u64, u64) + Sync)) -> Result<Outcome, Error> {
        let mut files = LedgerFiles::of(self.table, &self.shape)?;
        let mut bad = BadRows::open(self)?;
        let total: u64 = self.options.files.iter().filter_map(|f| std::fs::metadata(f).ok()).map(|m| m.len()).sum();
        let pipeline = Pipeline {
            shape: &self.shape,
            inputs: &self.inputs,
            defaults: &self.defaults,
            limits: self.limits,
            count: Arc::new(AtomicU64::new(0)),
        };
        let runs = pipeline
            .run(self.scratch, &mut files, &mut |row| bad.take(row), &mut |bytes| progress(bytes.min(total), total))?;
        progress(total, total);
        tracing::debug!(spilled_runs = runs.spilled, "inputs are read");

        let before = ledger_sums(&self.shape, &files)?;
        let Made { changes, sums: delta, counts } = self.merge(&runs, &files, &mut bad)?;
        drop(runs);
        let rejected = bad.finish()?;
        let version = match changes {
            Some(changes) if !self.options.dry_run => Some(self.commit(changes, counts)?),
            _ => None,
        };
        let Counts { inserted, changed, unchanged, removed } = counts;
        Ok(Outcome { inserted, changed, unchanged, removed, rejected, sums: sums(before, delta), version })
    }

    /// Merges all rows with the ledger's. Where the ledger has none, ranges of keys are merged side
    /// by side; where they are cut follows from the rows alone, so that the files do, too.
    fn merge(&self, runs: &Runs, files: &LedgerFiles, bad: &mut BadRows<'_>) -> Result<Made, Error> {
        let cuts = if files.0.is_empty() { runs.cuts(parts(runs.rows(), self.limits.range_rows)) } else { Vec::new() };
        let names: Vec<String> = self.inputs.iter().map(|i| i.name.clone()).collect();
        let one = |number: usize, take: &mut dyn FnMut(BadRow) -> Result<(), Error>| -> Result<Made, Error> {
            let from = number.checked_sub(1).map(|i| &*cuts[i]);
            let heap = runs.range(from, cuts.get(number).map(|c| &**c))?;
            let mut output = Output::new(&self.shape, self.table, files, self.scratch, self.options.dry_run);
            if !cuts.is_empty() {
                output.rows_per_file = ROWS_PER_RANGE_FILE;
            }
            let mut refuse = |refused: Refused<'_>| take(self.bad_row(&refused));
            let folder = self.scratch.join(format!("range-{number}"));
            std::fs::create_dir_all(&folder).map_err(|e| failed(&folder, e))?;
            let merge = Merge::new(&self.shape, &mut output, &names, &mut refuse, folder, self.limits.waiting_rows);
            let counts = merge.run(&mut Merged::new(&self.shape, heap)?, &mut Existing::new(&self.shape, files)?)?;
            let (changes, sums) = output.finish()?;
            Ok(Made { changes, sums, counts })
        };
        let (made, outcome) = ranges::run(cuts.len() + 1, &mut |row| bad.take(row), &one);
        let mut all = Made::default();
        made.into_iter().for_each(|m| all.add(m));
        if outcome.is_err() {
            discard(all.changes.as_ref().map_or(&[], |c| &c.adds));
        }
        outcome.map(|()| all)
    }

    fn commit(&self, changes: output::Changes, counts: Counts) -> Result<u64, Error> {
        let properties = [
            ("payouts.import.files", self.inputs.len() as u64),
            ("payouts.import.inserted", counts.inserted),
            ("payouts.import.changed", counts.changed),
            ("payouts.import.removed", counts.removed),
        ];
        let note = CommitNote {
            operation: if changes.removes.is_empty() { "WRITE" } else { "MERGE" }.into(),
            properties: properties.map(|(name, value)| (name.to_owned(), value.to_string())).into(),
            now: self.options.now,
        };
        self.table.commit(&changes.removes, &changes.adds, &note).map_err(|e| {
            // A commit may have come through although its last step failed: only what the table
            // certainly does not name is deleted.
            let named = |table: Table| table.files().iter().any(|f| changes.adds.iter().any(|a| a.name == f.name));
            if Table::open(self.table.root(), &self.shape.report).is_ok_and(|t| !named(t)) {
                discard(&changes.adds);
            }
            e.into()
        })
    }

    /// A row that the merge refused, with its fields as the file has them.
    fn bad_row(&self, refused: &Refused<'_>) -> BadRow {
        let Refused { row, field, reason } = refused;
        let report = &self.shape.report;
        let layout = &self.inputs[row.file()].layout;
        let text = |field: usize| values::print(&report.fields[field], &row.block.batch, field, row.row());
        let field_of = |column: usize| layout.fills.iter().position(|f| *f == layout::Fill::Column(column));
        BadRow {
            file: row.file(),
            line: row.line(),
            column: field.map_or_else(String::new, |f| report.fields[f].name.to_string()),
            value: field.and_then(text).unwrap_or_default(),
            reason: reason.clone(),
            cells: (0..layout.header.len()).map(|c| field_of(c).and_then(text)).collect(),
        }
    }
}

/// Where bad rows go: into the file of rejects, or, without one, the first ends the import.
struct BadRows<'a> {
    inputs: &'a [Input],
    file: Option<(rejects::Writer, &'a Path)>,
    count: u64,
}

impl<'a> BadRows<'a> {
    fn open(job: &'a Job<'_>) -> Result<Self, Error> {
        let headers: Vec<&[String]> = job.inputs.iter().map(|i| &i.layout.header[..]).collect();
        let same_file = |a: &Path, b: &Path| a.canonicalize().is_ok_and(|a| b.canonicalize().is_ok_and(|b| a == b));
        let file = match &job.options.rejects {
            None => None,
            Some(path) if job.options.files.iter().any(|f| same_file(path, f)) => {
                let reason = format!(
                    "{} cannot be imported and take the rejects at once: give --rejects another name",
                    path.display()
                );
                return Err(Error::Ledger(crate::Error::Invalid(reason)));
            }
            Some(path) => Some((rejects::Writer::create(path, &headers).map_err(|e| failed(path, e))?, &**path)),
        };
        Ok(Self { inputs: &job.inputs, file, count: 0 })
    }

    fn take(&mut self, bad: BadRow) -> Result<(), Error> {
        self.count += 1;
        let name = &self.inputs[bad.file].name;
        match &mut self.file {
            Some((writer, path)) => writer.write(name, &bad).map_err(|e| failed(path, e)),
            None => {
                let BadRow { file: _, line, column, value, reason, cells: _ } = bad;
                Err(Error::BadRow { file: name.clone(), line, column, value, reason })
            }
        }
    }

    /// Puts the file in its place and tells how many rows were bad.
    fn finish(self) -> Result<u64, Error> {
        if let Some((writer, path)) = self.file {
            writer.publish().map_err(|e| failed(path, e))?;
        }
        Ok(self.count)
    }
}

fn failed(path: &Path, source: std::io::Error) -> Error {
    Error::Ledger(crate::Error::Io { context: format!("writing the rejects to {}", path.display()), source })
}

fn sums(before: Sums, delta: Sums) -> Vec<(String, Amount, Amount)> {
    let mut both: std::collections::BTreeMap<String, (i128, i128)> =
        before.into_iter().map(|(c, s)| (c, (s, s))).collect();
    for (currency, change) in delta {
        both.entry(currency).or_default().1 += change;
    }
    both.into_iter().map(|(c, (before, after))| (c, Amount(before), Amount(after))).collect()
}
