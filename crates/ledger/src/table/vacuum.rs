//! Deletes data files that no version of the last while refers to.
//!
//! Invariant: a file is deleted only if the newest version does not have it, no commit since the
//! cutoff removed it, and it is older than the cutoff itself, so that an import or an export that
//! is at work keeps its files. Only files that this crate names are looked at.

use std::collections::HashSet;
use std::path::Path;

use chrono::{DateTime, Utc};
use payouts_model::Timestamp;

use super::{Table, log};
use crate::Error;

/// Deletes what no version since `cutoff` needs; returns how many files went.
pub(super) fn run(table: &Table, cutoff: Timestamp) -> Result<u64, Error> {
    let Some(newest) = table.version else { return Ok(0) };
    let mut needed: HashSet<String> = table.files.iter().map(|f| f.name.clone()).collect();
    for version in (0..=newest).rev() {
        // What a commit removed was part of the version before it.
        let Some(commit) = log::commit(&table.root, version)? else { break };
        if commit.at < cutoff {
            break;
        }
        needed.extend(commit.removed);
    }
    let io = |source| Error::Io { context: format!("clearing {}", table.root.display()), source };
    let mut deleted = 0;
    for entry in std::fs::read_dir(&table.root).map_err(io)? {
        let entry = entry.map_err(io)?;
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|n| ours(n) && !needed.contains(*n)) else { continue };
        if modified(&entry.path()).map_err(io)? < cutoff {
            std::fs::remove_file(table.root.join(name)).map_err(io)?;
            deleted += 1;
        }
    }
    Ok(deleted)
}

fn ours(name: &str) -> bool {
    name.starts_with("part-") && name.ends_with(".parquet")
}

fn modified(path: &Path) -> std::io::Result<Timestamp> {
    Ok(Timestamp::from(DateTime::<Utc>::from(path.metadata()?.modified()?)))
}
