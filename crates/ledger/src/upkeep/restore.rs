//! The way back: a new version with the files of an earlier one.

use std::collections::HashSet;

use payouts_model::{ReportName, Timestamp};

use super::existing;
use crate::import::lock::Workplace;
use crate::table::{CommitNote, Table, TableFile, block_on, log, replay};
use crate::{Error, Ledger};

/// Makes a new version with the rows of `version` and answers its number; `None` if the newest
/// version has exactly those rows already. Files are not copied: the new version names them again.
///
/// # Errors
/// [`Error::Invalid`] if there is no such version or files of it are gone; [`Error::Conflict`] if
/// something else committed in the meantime. Nothing has changed then.
pub fn restore(ledger: &Ledger, report: ReportName, version: u64, now: Timestamp) -> Result<Option<u64>, Error> {
    // Imports wait, and so does a vacuum that could delete what is named again here.
    let _workplace = Workplace::enter(existing(ledger, report)?.root(), report)?;
    let table = existing(ledger, report)?;
    let newest = table.version().unwrap_or_default();
    if version > newest {
        return Err(Error::Invalid(format!("{report} has no version {version}: the newest is {newest}")));
    }
    let content = |version| Ok::<_, Error>(log::content_version(table.root(), version)?.map(|(of, _)| of));
    if version == newest || content(version)?.is_some_and(|of| content(newest).is_ok_and(|n| n == Some(of))) {
        return Ok(None);
    }
    let files = files_of(&table, report, version)?;
    let current: HashSet<&str> = table.files().iter().map(|f| f.name.as_str()).collect();
    let wanted: HashSet<&str> = files.iter().map(|f| f.name.as_str()).collect();
    if current == wanted {
        return Ok(None);
    }
    let removes: Vec<TableFile> = table.files().iter().filter(|f| !wanted.contains(f.name.as_str())).cloned().collect();
    let again: HashSet<&str> = wanted.difference(&current).copied().collect();
    let mut adds: Vec<_> = replay::add_lines(table.root(), version, &again)?.into_iter().collect();
    if adds.len() < again.len() {
        return Err(Error::Invalid(format!(
            "version {version} of {report} cannot be restored: the log no longer holds the commits that added its files"
        )));
    }
    adds.sort_by(|(a, _), (b, _)| a.cmp(b));
    let lines = adds.into_iter().map(|(_, mut line)| {
        line["add"]["dataChange"] = true.into();
        line
    });
    let note =
        CommitNote { operation: "RESTORE".into(), properties: vec![(log::RESTORED.into(), version.to_string())], now };
    table.commit_lines(&removes, lines.collect(), &note, true).map(Some)
}

/// The files of a version, all of which are there.
fn files_of(table: &Table, report: ReportName, version: u64) -> Result<Vec<TableFile>, Error> {
    let see = "`payouts ledger history` shows which versions can be restored";
    let state = block_on(log::load(table.root(), report, version)).map_err(|error| match error {
        Error::VersionGone { .. } => {
            Error::Invalid(format!("version {version} of {report} is no longer in the log of the table; {see}"))
        }
        other => other,
    })?;
    let files: Vec<TableFile> = state.files.into_iter().map(|f| f.file).collect();
    let whole = |f: &TableFile| std::fs::metadata(&f.path).is_ok_and(|m| m.len() == f.size_bytes);
    let gone: Vec<&TableFile> = files.iter().filter(|f| !whole(f)).collect();
    match gone.first() {
        None => Ok(files),
        Some(first) => Err(Error::Invalid(format!(
            "version {version} of {report} cannot be restored: {} of its {} files are gone or torn ({} is the first); {see}",
            gone.len(),
            files.len(),
            first.name
        ))),
    }
}
