//! Fewer and larger files, with the same rows in the same order.
//!
//! Invariants: only neighbours in ledger order are joined, so that files stay clustered by
//! participant and their key ranges apart; what was read was written, counted before the commit.

use std::path::Path;

use payouts_model::{Report, ReportName, Timestamp};

use super::existing;
use crate::import::existing::Batches;
use crate::import::lock::Workplace;
use crate::import::output::remember_prefix;
use crate::table::{CommitNote, NewFile, Table, TableFile, WriterOptions, discard, schema};
use crate::{Error, Ledger};

/// Files with fewer rows than this, and fewer bytes, are joined with their neighbours.
const SMALL_ROWS: u64 = WriterOptions::ROWS_PER_FILE / 2;
const SMALL_BYTES: u64 = 64 << 20;

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Optimised {
    /// The new version; `None` if there was nothing to join.
    pub version: Option<u64>,
    /// Files that were joined.
    pub files_removed: u64,
    /// Files that they became.
    pub files_added: u64,
    /// Rows in them.
    pub rows: u64,
    /// Files of the table now.
    pub files: u64,
}

/// Joins small neighbouring files of a report's own table. Data version grows, rows stay: an export
/// of the new version has the bytes of one of the old version.
///
/// # Errors
/// [`Error::Unsupported`] for a table with columns that the configuration does not name (they
/// would be lost) or files that something else wrote; [`Error::Conflict`] if something else
/// committed in the meantime. Nothing has changed then.
pub fn optimise(ledger: &Ledger, report: &Report, now: Timestamp) -> Result<Optimised, Error> {
    let workplace = Workplace::enter(existing(ledger, report.name)?.root(), report.name)?;
    let table = existing(ledger, report.name)?;
    refuse_unknown_columns(&table, report)?;
    let groups = groups(table.files());
    if groups.is_empty() {
        return Ok(Optimised { files: table.files().len() as u64, ..Optimised::default() });
    }
    let mut adds: Vec<NewFile> = Vec::new();
    for group in &groups {
        match join(&table, group, report, workplace.scratch()) {
            Ok(files) => adds.extend(files),
            Err(error) => {
                discard(&adds);
                return Err(error);
            }
        }
    }
    let removes: Vec<TableFile> = groups.iter().flat_map(|g| g.iter().cloned()).collect();
    let note = CommitNote { operation: "OPTIMIZE".into(), properties: Vec::new(), now };
    let version = table.commit_layout(&removes, &adds, &note).inspect_err(|_| {
        // A commit may have come through although its last step failed: only what the table
        // certainly does not name is deleted.
        let named = |t: Table| t.files().iter().any(|f| adds.iter().any(|a| a.name == f.name));
        if existing(ledger, report.name).is_ok_and(|t| !named(t)) {
            discard(&adds);
        }
    })?;
    let (removed, added) = (removes.len() as u64, adds.len() as u64);
    Ok(Optimised {
        version: Some(version),
        files_removed: removed,
        files_added: added,
        rows: adds.iter().map(|f| f.rows).sum(),
        files: table.files().len() as u64 - removed + added,
    })
}

fn refuse_unknown_columns(table: &Table, report: &Report) -> Result<(), Error> {
    let known = schema(report);
    let unknown: Vec<&str> = table
        .schema()
        .fields()
        .iter()
        .map(|f| f.name().as_str())
        .filter(|name| known.field_with_name(name).is_err())
        .collect();
    if unknown.is_empty() {
        return Ok(());
    }
    Err(unsupported(
        table,
        report.name,
        format!(
            "it has columns that the configuration does not name ({}), and rewriting its files would lose them; nothing \
             was changed: give the configuration that appends them with --config",
            unknown.join(", ")
        ),
    ))
}

fn unsupported(table: &Table, report: ReportName, reason: String) -> Error {
    Error::Unsupported { report, path: table.root().display().to_string(), reason }
}

/// Runs of neighbouring small files that make one file each. Files whose rows or range the log does
/// not say are left as they are.
fn groups(files: &[TableFile]) -> Vec<&[TableFile]> {
    let small =
        |f: &TableFile| f.range.is_some() && f.rows.is_some_and(|r| r < SMALL_ROWS) && f.size_bytes < SMALL_BYTES;
    let mut groups = Vec::new();
    let mut start = 0;
    while start < files.len() {
        let (mut end, mut rows, mut bytes) = (start, 0, 0);
        for file in files[start..].iter().take_while(|f| small(f)) {
            rows += file.rows.unwrap_or_default();
            bytes += file.size_bytes;
            if end > start && (rows > WriterOptions::ROWS_PER_FILE || bytes > 2 * SMALL_BYTES) {
                break;
            }
            end += 1;
        }
        if end > start + 1 {
            groups.push(&files[start..end]);
        }
        start = end.max(start + 1);
    }
    groups
}

/// Writes the rows of neighbouring files into one.
fn join(table: &Table, group: &[TableFile], report: &Report, scratch: &Path) -> Result<Vec<NewFile>, Error> {
    let options = WriterOptions { rows_per_file: u64::MAX, ..WriterOptions::unique() };
    remember_prefix(scratch, &options.prefix)?;
    let mut writer = table.writer(options)?;
    let schema = schema(report);
    let mut rows = 0;
    for file in group {
        let before = rows;
        for batch in Batches::open(file, &schema)? {
            let batch = batch?;
            rows += batch.num_rows() as u64;
            writer.write(&batch)?;
        }
        if Some(rows - before) != file.rows {
            let reason = format!(
                "file {} has {} rows and the log says {}: restore it from a backup",
                file.name,
                rows - before,
                file.rows.unwrap_or_default()
            );
            return Err(unsupported(table, report.name, reason));
        }
    }
    let files = writer.finish()?;
    let written: u64 = files.iter().map(|f| f.rows).sum();
    if written != rows {
        discard(&files);
        return Err(Error::Invalid(format!(
            "{written} rows were written of {rows} that were read: nothing was changed"
        )));
    }
    Ok(files)
}
