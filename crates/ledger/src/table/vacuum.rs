//! Deletes data files that no version of the last while has.
//!
//! Invariants: a file is deleted only if no version has it that was the newest at any time since
//! the cutoff, or that is named as still needed, and if it is older than the cutoff itself, so that
//! an import or an export that is at work keeps its files. Where the log cannot say which files
//! such a version has, nothing is deleted. Only files that this crate names are looked at.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;

use chrono::{DateTime, Utc};
use payouts_model::Timestamp;

use super::Table;
use super::replay::{Files, Replay};
use crate::Error;

/// What must stay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keep {
    /// Every version that was the newest at or after this instant.
    pub since: Timestamp,
    /// These versions, however old: running exports read them, or manifests promise them.
    pub versions: BTreeSet<u64>,
    /// Now.
    pub now: Timestamp,
}

/// What went, or in a dry run would go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vacuumed {
    /// Names and bytes of the deleted files, sorted.
    pub files: Vec<(String, u64)>,
    /// Versions that could be read before and cannot be any more.
    pub versions_lost: Vec<u64>,
}

impl Vacuumed {
    /// Bytes of all of them.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|(_, bytes)| bytes).sum()
    }
}

/// Deletes what `keep` does not need.
pub(super) fn run(table: &Table, keep: &Keep, dry_run: bool) -> Result<Vacuumed, Error> {
    let Some(newest) = table.version else { return Ok(Vacuumed::default()) };
    let replay = Replay::read(&table.root, table.report.name, newest)?;
    let needed = needed(table, &replay, keep)?;
    let io = |source| Error::Io { context: format!("clearing {}", table.root.display()), source };
    let mut there = HashSet::new();
    let mut files = Vec::new();
    for entry in std::fs::read_dir(&table.root).map_err(io)? {
        let entry = entry.map_err(io)?;
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|n| ours(n)) else { continue };
        there.insert(name.to_owned());
        if !needed.contains(name) && modified(&entry.path()).map_err(io)? < keep.since {
            files.push((name.to_owned(), entry.metadata().map_err(io)?.len()));
        }
    }
    files.sort();
    let gone: HashSet<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    let mut versions_lost = Vec::new();
    replay.each(|version, _, _, has| {
        let readable = has.keys().all(|name| !ours(name) || there.contains(name));
        if readable && has.keys().any(|name| gone.contains(name.as_str())) {
            versions_lost.push(version);
        }
    });
    if !dry_run {
        for (name, _) in &files {
            std::fs::remove_file(table.root.join(name)).map_err(io)?;
        }
    }
    Ok(Vacuumed { files, versions_lost })
}

/// The files of every version that must stay readable.
fn needed(table: &Table, replay: &Replay, keep: &Keep) -> Result<HashSet<String>, Error> {
    let ends = replay.superseded(keep.now);
    let unknown = |version: u64| {
        Error::Invalid(format!(
            "the log of {} no longer says which files version {version} has, which may still be needed: nothing was \
             deleted; restore the missing commits of {} from a backup, or wait until that version is old enough",
            table.report.name,
            table.root.join("_delta_log").display()
        ))
    };
    if let Some(version) = keep.versions.iter().find(|v| **v < replay.first) {
        return Err(unknown(*version));
    }
    // What came before the first known version ended, at the latest, when that one came.
    let known_since = replay.commits.first().map(|c| c.at.max(c.written_at));
    if replay.first > 0 && known_since.is_none_or(|at| at >= keep.since) {
        return Err(unknown(replay.first.saturating_sub(1)));
    }
    let mut needed: HashSet<String> = table.files.iter().map(|f| f.name.clone()).collect();
    let mut ends = ends.into_iter();
    replay.each(|version, _, _, has: &Files| {
        let end = ends.next().flatten();
        if end.is_none_or(|end| end >= keep.since) || keep.versions.contains(&version) {
            needed.extend(has.keys().cloned());
        }
    });
    Ok(needed)
}

fn ours(name: &str) -> bool {
    name.starts_with("part-") && name.ends_with(".parquet")
}

fn modified(path: &Path) -> std::io::Result<Timestamp> {
    Ok(Timestamp::from(DateTime::<Utc>::from(path.metadata()?.modified()?)))
}
