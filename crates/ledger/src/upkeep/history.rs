//! What happened to a table, version by version.

use std::collections::HashMap;
use std::path::Path;

use payouts_model::{ReportName, Timestamp};
use serde_json::Value;

use super::existing;
use crate::table::replay::{Facts, Files, Replay};
use crate::{Error, Ledger};

/// One version of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionInfo {
    /// Its number.
    pub version: u64,
    /// Its commit's time: of an import, when it began.
    pub at: Timestamp,
    /// What was done: `WRITE`, `MERGE`, `RESTORE`, `OPTIMIZE`, or what else wrote the table.
    pub operation: String,
    /// The version that it brought back, if it did that.
    pub restored: Option<u64>,
    /// Files that it added.
    pub files_added: u64,
    /// Their rows, if the log says.
    pub rows_added: Option<u64>,
    /// Files that it removed.
    pub files_removed: u64,
    /// Their rows, if the log says.
    pub rows_removed: Option<u64>,
    /// Files in all.
    pub files: u64,
    /// Rows in all, if the log says.
    pub rows: Option<u64>,
    /// Bytes in all.
    pub size_bytes: u64,
    /// Whether all its files are still there, so that it can be read and restored.
    pub readable: bool,
    /// What the commit says of itself besides: properties of this program.
    pub properties: Vec<(String, String)>,
}

/// The versions of a report's own table, oldest first, from the oldest that its log knows.
pub fn history(ledger: &Ledger, report: ReportName) -> Result<Vec<VersionInfo>, Error> {
    let table = existing(ledger, report)?;
    let Some(newest) = table.version() else { return Ok(Vec::new()) };
    let replay = Replay::read(table.root(), report, newest)?;
    let mut there = HashMap::new();
    let mut versions = Vec::new();
    replay.each(|version, commit, before, files| {
        let added: Files =
            commit.added.iter().map(|a| (a.name.clone(), Facts { rows: a.rows(), size_bytes: a.size_bytes })).collect();
        let removed: Files =
            commit.removed.iter().filter_map(|name| Some((name.clone(), *before.get(name)?))).collect();
        versions.push(VersionInfo {
            version,
            at: commit.at,
            operation: commit.operation.clone(),
            restored: commit.restored(),
            files_added: commit.added.len() as u64,
            rows_added: rows(&added),
            files_removed: commit.removed.len() as u64,
            rows_removed: if removed.len() == commit.removed.len() { rows(&removed) } else { None },
            files: files.len() as u64,
            rows: rows(files),
            size_bytes: files.values().map(|f| f.size_bytes).sum(),
            readable: files.iter().all(|(name, facts)| complete(table.root(), name, facts, &mut there)),
            properties: properties(commit.user_metadata.as_ref()),
        });
    });
    Ok(versions)
}

fn rows(files: &Files) -> Option<u64> {
    files.values().map(|f| f.rows).sum()
}

/// Whether a file is there with the length that the log says. Looks once at each.
fn complete(root: &Path, name: &str, facts: &Facts, there: &mut HashMap<String, Option<u64>>) -> bool {
    let length = match there.get(name) {
        Some(length) => *length,
        None => {
            let length = std::fs::metadata(root.join(name)).ok().map(|m| m.len());
            there.insert(name.to_owned(), length);
            length
        }
    };
    length == Some(facts.size_bytes)
}

fn properties(note: Option<&Value>) -> Vec<(String, String)> {
    let text = |v: &Value| v.as_str().map_or_else(|| v.to_string(), str::to_owned);
    let members = note.and_then(Value::as_object).into_iter().flatten();
    members.map(|(name, value)| (name.clone(), text(value))).collect()
}
