//! The log replayed commit by commit: which files each version has.
//!
//! Invariant: versions are told without a gap, from the oldest that the log still knows to the
//! newest; nothing is told of older ones.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use payouts_model::{ReportName, Timestamp};
use serde_json::Value;

use super::{block_on, log};
use crate::Error;

/// What the log says of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Rows, if it says.
    pub rows: Option<u64>,
    /// Bytes.
    pub size_bytes: u64,
}

/// Files by their path in the log.
pub(crate) type Files = BTreeMap<String, Facts>;

/// The commits of a table, from the oldest that is known to the newest.
pub(crate) struct Replay {
    /// The first of [`Replay::commits`].
    pub first: u64,
    /// The files before it.
    base: Files,
    /// Without a gap.
    pub commits: Vec<log::Commit>,
}

impl Replay {
    /// Reads the log up to version `newest`.
    pub fn read(root: &Path, report: ReportName, newest: u64) -> Result<Self, Error> {
        let mut commits = Vec::new();
        for version in (0..=newest).rev() {
            match log::commit(root, version)? {
                Some(commit) => commits.push(commit),
                None => break,
            }
        }
        commits.reverse();
        let mut first = newest + 1 - commits.len() as u64;
        let mut base = Files::new();
        if first > 0 && !commits.is_empty() {
            // The oldest commit's own files are known only together with those that it found.
            commits.remove(0);
            let state = block_on(log::load(root, report, first))?;
            let facts = |f: &log::LogFile| Facts { rows: f.file.rows, size_bytes: f.file.size_bytes };
            base = state.files.iter().map(|f| (f.file.name.clone(), facts(f))).collect();
            first += 1;
        }
        Ok(Self { first, base, commits })
    }

    /// Tells of each version, oldest first: its number, its commit, the files before it and those
    /// of it.
    pub fn each(&self, mut tell: impl FnMut(u64, &log::Commit, &Files, &Files)) {
        let mut before = self.base.clone();
        for (version, commit) in (self.first..).zip(&self.commits) {
            let mut files = before.clone();
            for name in &commit.removed {
                files.remove(name);
            }
            for added in &commit.added {
                files.insert(added.name.clone(), Facts { rows: added.rows(), size_bytes: added.size_bytes });
            }
            tell(version, commit, &before, &files);
            before = files;
        }
    }

    /// When each version ceased to be the newest, oldest first; `None` for the newest.
    ///
    /// A commit's own time is when its work began, and clocks jump: the file's time counts where it
    /// is later, neither counts where it lies in the future, and no version ends before an older
    /// one did. Every doubt makes the time later, so that files are kept longer.
    pub fn superseded(&self, now: Timestamp) -> Vec<Option<Timestamp>> {
        let mut latest = Timestamp(i64::MIN);
        let mut ends: Vec<Option<Timestamp>> = Vec::with_capacity(self.commits.len());
        for commit in &self.commits {
            let told = [commit.at, commit.written_at].into_iter().filter(|at| *at <= now).max();
            latest = latest.max(told.unwrap_or(now));
            ends.push(Some(latest));
        }
        // A version ends when the next one begins.
        if !ends.is_empty() {
            ends.remove(0);
            ends.push(None);
        }
        ends
    }
}

/// The lines that added these files, as they stand in the commits up to `version`: the newest
/// line of each. Files whose line is in no commit any more are missing in the answer.
pub(crate) fn add_lines(root: &Path, version: u64, names: &HashSet<&str>) -> Result<HashMap<String, Value>, Error> {
    let mut found = HashMap::new();
    for version in (0..=version).rev() {
        if found.len() == names.len() {
            break;
        }
        let Some(lines) = log::lines(root, version)? else { break };
        for line in lines {
            let Some(path) = line.get("add").and_then(|add| add.get("path")).and_then(Value::as_str) else { continue };
            if names.contains(path) && !found.contains_key(path) {
                found.insert(path.to_owned(), line);
            }
        }
    }
    Ok(found)
}
