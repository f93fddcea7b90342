//! Believable, deterministic payments and earnings.
//!
//! Every row is a pure function of the seed, its participant and its number, so that any number
//! of threads makes the same bytes; a file is made by one thread. Nothing is held but the rows of
//! the participant at hand.

mod earnings;
mod payments;
mod random;
mod world;

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use chrono::NaiveDate;
use payouts_model::time::SystemClock;
use payouts_model::{Catalog, Clock, Report, ReportName};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::table::{CommitNote, NewFile, Table, WriterOptions, discard, log};
use world::{Participant, World};

/// Rows that a batch has.
const BATCH_ROWS: usize = 8192;
/// Earnings are numbered from here: ten digits while there are fewer than two thousand million.
const FIRST_EARNING_ID: u64 = 4_000_000_000;
/// The property of the commit that holds the options.
const PROPERTY: &str = "payouts.sample";
/// Files have a tenth of the rows, within these bounds, so that small ledgers are cut, too.
const FILE_ROWS: std::ops::RangeInclusive<u64> = 25_000..=1_000_000;

/// How much to make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {
    /// Payments.
    pub rows: u64,
    /// Earnings.
    pub earnings: u64,
    /// Participants; `None`: a number that fits the rows.
    pub participants: Option<u64>,
    /// The seed: equal options give equal bytes.
    pub seed: u64,
    /// The last day.
    pub until: NaiveDate,
}

/// What was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// The two participants with the most payments, to show what a filter can do.
    pub participants: Vec<String>,
    /// All programme names in it.
    pub programs: Vec<String>,
    /// The id of a payment of the first of `participants`.
    pub payment_id: String,
    /// Whether the tables were there already and were kept.
    pub kept: bool,
}

/// Makes both tables under `data_dir`. Refuses where tables exist already, unless they were made
/// with the same options: then they are kept as they are. `progress` is told rows done.
pub fn make(
    data_dir: &Path,
    catalog: &Catalog,
    options: &Options,
    progress: &(dyn Fn(ReportName, u64) + Sync),
) -> Result<Made, Error> {
    if options.participants == Some(0) && options.rows.max(options.earnings) > 0 {
        return Err(Error::Invalid(
            "a sample with rows needs at least one participant: give --participants 1 or more".into(),
        ));
    }
    let world = World::new(options);
    let mut made = world.examples();
    let mut missing = Vec::new();
    for report in ReportName::ALL {
        let folder = crate::table_folder(data_dir, report);
        match log::newest_version(&folder)? {
            None => missing.push(report),
            Some(0) if made_with(&folder)?.as_ref() == Some(options) => {}
            Some(version) => return Err(exists(report, &folder, version, made_with(&folder)?)),
        }
    }
    made.kept = missing.is_empty();
    for name in missing {
        make_table(data_dir, catalog.report(name), &world, options, progress)?;
    }
    Ok(made)
}

/// The options with which a table was made; `None` if it was made by something else.
pub(crate) fn made_with(folder: &Path) -> Result<Option<Options>, Error> {
    let note = log::commit(folder, 0)?.and_then(|c| c.user_metadata);
    let text = note.as_ref().and_then(|n| n.get(PROPERTY)).and_then(|t| t.as_str());
    Ok(text.and_then(|t| serde_json::from_str(t).ok()))
}

fn exists(report: ReportName, folder: &Path, version: u64, with: Option<Options>) -> Error {
    let what = match with {
        Some(o) if version == 0 => format!(
            "it is a sample with other options (rows {}, earnings {}, participants {}, seed {}, until {})",
            o.rows,
            o.earnings,
            o.participants.map_or("by rows".into(), |p| p.to_string()),
            o.seed,
            o.until
        ),
        Some(_) => "it is a sample that was changed since, by an import for instance".into(),
        None => "it is not a sample".into(),
    };
    Error::Invalid(format!(
        "there is a {report} table at {} already, and {what}; nothing was changed: give another --data directory, or remove that folder first if you do not need it",
        folder.display()
    ))
}

fn make_table(
    data_dir: &Path,
    report: &Arc<Report>,
    world: &World,
    options: &Options,
    progress: &(dyn Fn(ReportName, u64) + Sync),
) -> Result<(), Error> {
    let folder = crate::table_folder(data_dir, report.name);
    remove_leftovers(&folder)?;
    let table = Table::open(&folder, report)?;
    let chunks = chunks(&world.participants, rows_of(report.name), FILE_ROWS);
    let done = Mutex::new(0);
    // Told under the lock, so that it never goes backwards.
    let tell = |rows: usize| {
        let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
        *done += rows as u64;
        progress(report.name, *done);
    };
    let files = make_files(&table, report, world, &chunks, &tell)?;
    let properties =
        vec![(PROPERTY.to_owned(), serde_json::to_string(options).map_err(|e| Error::Invalid(e.to_string()))?)];
    let note = CommitNote { operation: "WRITE".into(), properties, now: SystemClock.now() };
    table.commit(&[], &files, &note).inspect_err(|_| discard(&files))?;
    Ok(())
}

fn rows_of(report: ReportName) -> fn(&Participant) -> u64 {
    match report {
        ReportName::Payments => |p| p.payments,
        ReportName::TransactionHistory => |p| p.earnings,
    }
}

/// Cuts the participants, which are in ledger order, into runs that each fill a file.
fn chunks(
    participants: &[Participant],
    rows: fn(&Participant) -> u64,
    file_rows: std::ops::RangeInclusive<u64>,
) -> Vec<&[Participant]> {
    let all: u64 = participants.iter().map(rows).sum();
    let target = (all / 10).clamp(*file_rows.start(), *file_rows.end());
    let mut chunks = Vec::new();
    let (mut start, mut held) = (0, 0);
    for (i, participant) in participants.iter().enumerate() {
        held += rows(participant);
        if held >= target {
            chunks.push(&participants[start..=i]);
            (start, held) = (i + 1, 0);
        }
    }
    if held > 0 {
        chunks.push(&participants[start..]);
    }
    chunks
}

/// Makes the files on all cores; one thread makes one file at a time.
fn make_files(
    table: &Table,
    report: &Arc<Report>,
    world: &World,
    chunks: &[&[Participant]],
    tell: &(dyn Fn(usize) + Sync),
) -> Result<Vec<NewFile>, Error> {
    let next = AtomicUsize::new(0);
    let made = Mutex::new(Vec::new());
    let work = || -> Result<(), Error> {
        loop {
            let n = next.fetch_add(1, Ordering::Relaxed);
            let Some(chunk) = chunks.get(n) else { return Ok(()) };
            let files = make_file(table, report, world, chunk, n, tell);
            // Others stop at their next file: what was made is discarded below.
            let files = files.inspect_err(|_| next.store(chunks.len(), Ordering::Relaxed))?;
            made.lock().unwrap_or_else(PoisonError::into_inner).push((n, files));
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(chunks.len().max(1));
    let result: Result<(), Error> = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let results: Vec<_> =
            handles.into_iter().map(|h| h.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect();
        results.into_iter().collect()
    });
    let mut files = made.into_inner().unwrap_or_else(PoisonError::into_inner);
    files.sort_by_key(|(n, _)| *n);
    let files: Vec<NewFile> = files.into_iter().flat_map(|(_, f)| f).collect();
    result.inspect_err(|_| discard(&files))?;
    Ok(files)
}

/// Removes what an interrupted run left: files of ours in a folder that has no log yet.
fn remove_leftovers(folder: &Path) -> Result<(), Error> {
    let io = |source| Error::Io { context: format!("clearing {}", folder.display()), source };
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(io)?,
    };
    for entry in entries {
        let entry = entry.map_err(io)?;
        if entry.file_name().to_str().is_some_and(|n| n.starts_with("part-sample-") && n.ends_with(".parquet")) {
            std::fs::remove_file(entry.path()).map_err(io)?;
        }
    }
    Ok(())
}

fn make_file(
    table: &Table,
    report: &Arc<Report>,
    world: &World,
    chunk: &[Participant],
    n: usize,
    tell: &(dyn Fn(usize) + Sync),
) -> Result<Vec<NewFile>, Error> {
    // One chunk is one file: the chunk is cut where the file should be.
    let mut writer = table.writer(WriterOptions { rows_per_file: u64::MAX, prefix: format!("sample-{n:05}") })?;
    let mut write = |batch: RecordBatch| {
        writer.write(&batch)?;
        tell(batch.num_rows());
        Ok(())
    };
    match report.name {
        ReportName::Payments => payments::write(report, world, chunk, &mut write)?,
        ReportName::TransactionHistory => earnings::write(report, world, chunk, &mut write)?,
    }
    writer.finish()
}

#[cfg(test)]
mod tests;
