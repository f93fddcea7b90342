//! What single commits say: their time, their operation, the files that they add and remove.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use payouts_model::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::{LogFile, RESTORED, commit_path, io, rows_of};
use crate::Error;

/// The lines of a commit that matter here.
#[derive(Deserialize)]
struct Line {
    #[serde(rename = "commitInfo")]
    commit_info: Option<Info>,
    add: Option<Change>,
    remove: Option<Change>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Info {
    timestamp: Option<i64>,
    in_commit_timestamp: Option<i64>,
    operation: Option<String>,
    user_metadata: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Change {
    path: String,
    #[serde(default)]
    data_change: bool,
    #[serde(default)]
    size: u64,
    stats: Option<String>,
}

/// A file that a commit adds.
#[derive(Clone, Debug)]
pub(crate) struct Added {
    /// The path as it stands in the log.
    pub name: String,
    /// Bytes.
    pub size_bytes: u64,
    stats: Option<String>,
}

impl Added {
    /// Rows, if the log says.
    pub fn rows(&self) -> Option<u64> {
        rows_of(self.stats.as_deref())
    }
}

/// What a commit says of itself.
pub(crate) struct Commit {
    /// Its time, in milliseconds in the log: of an import, when it began.
    pub at: Timestamp,
    /// When its file was written, as the file system says.
    pub written_at: Timestamp,
    /// What was done: `WRITE`, `MERGE`, `RESTORE`, …; empty if it does not say.
    pub operation: String,
    /// The files that it adds.
    pub added: Vec<Added>,
    /// Whether it changes data (not only the layout of files).
    pub changes_data: bool,
    /// The paths that it removes, as they stand in the log.
    pub removed: Vec<String>,
    /// The properties of its note.
    pub user_metadata: Option<Value>,
}

impl Commit {
    /// The version whose rows this commit brought back, if it did that.
    pub fn restored(&self) -> Option<u64> {
        self.user_metadata.as_ref()?.get(RESTORED)?.as_str()?.parse().ok()
    }
}

/// One commit, `None` if its file is gone.
pub(crate) fn commit(root: &Path, version: u64) -> Result<Option<Commit>, Error> {
    let path = commit_path(root, version);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io(format!("reading {}", path.display()))(error)),
    };
    let mut info = Info::default();
    let mut changes_data = false;
    let (mut added, mut removed) = (Vec::new(), Vec::new());
    for line in BufReader::new(&file).lines() {
        let line = line.map_err(io(format!("reading {}", path.display())))?;
        if line.trim().is_empty() {
            continue;
        }
        let line: Line = serde_json::from_str(&line).map_err(|e| Error::Invalid(format!("{}: {e}", path.display())))?;
        changes_data |= [&line.add, &line.remove].into_iter().flatten().any(|c| c.data_change);
        added.extend(line.add.map(|a| Added { name: a.path, size_bytes: a.size, stats: a.stats }));
        removed.extend(line.remove.map(|r| r.path));
        info = line.commit_info.unwrap_or(info);
    }
    let modified = file.metadata().and_then(|m| m.modified()).map_err(io(format!("reading {}", path.display())))?;
    let written_at = Timestamp(chrono::DateTime::<chrono::Utc>::from(modified).timestamp_millis() * 1000);
    let at = info.in_commit_timestamp.or(info.timestamp).map_or(written_at, |ms| Timestamp(ms.saturating_mul(1000)));
    let user_metadata = match info.user_metadata {
        Some(Value::String(text)) => serde_json::from_str(&text).ok().or(Some(Value::String(text))),
        other => other,
    };
    let operation = info.operation.unwrap_or_default();
    Ok(Some(Commit { at, written_at, operation, changes_data, added, removed, user_metadata }))
}

/// The lines of a commit, `None` if its file is gone.
pub(crate) fn lines(root: &Path, version: u64) -> Result<Option<Vec<Value>>, Error> {
    let path = commit_path(root, version);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io(format!("reading {}", path.display()))(error)),
    };
    let read = |line| serde_json::from_str(line).map_err(|e| Error::Invalid(format!("{}: {e}", path.display())));
    text.lines().filter(|line| !line.trim().is_empty()).map(read).collect::<Result<_, _>>().map(Some)
}

/// When the newest data up to `version` was committed. Where the log no longer says, the newest
/// file's time stands in.
pub(crate) fn data_as_of(root: &Path, version: u64, files: &[LogFile]) -> Result<Timestamp, Error> {
    let newest_file = || files.iter().map(|f| f.modified).max();
    let content = content_version(root, version)?;
    Ok(content.map(|(_, commit)| commit.at).or_else(newest_file).unwrap_or(Timestamp(0)))
}

/// The version that the rows of `version` come from, with its commit: the newest one up to it that
/// changed data, where a restored version leads on to the one that it restored. Two versions with
/// the same one have the same rows in the same order. `None` where the log no longer says.
pub(crate) fn content_version(root: &Path, version: u64) -> Result<Option<(u64, Commit)>, Error> {
    let mut version = version;
    loop {
        let Some(commit) = commit(root, version)? else { return Ok(None) };
        let restored = commit.restored().filter(|of| *of < version);
        version = match restored {
            Some(of) => of,
            None if commit.changes_data || version == 0 => return Ok(Some((version, commit))),
            None => version - 1,
        };
    }
}
