//! The Export: a request for a file, which is also the queue's row, and its legal moves.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::access::Scope;
use crate::error::ErrorCode;
use crate::format::FileFormat;
use crate::id::{ExportId, PrincipalId, TenantId};
use crate::report::ReportName;
use crate::time::Timestamp;

/// Where an Export is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Status {
    /// Accepted and durable, not started.
    Queued,
    /// A worker holds its lease; retries inside the service stay here.
    Processing,
    /// The file is sealed and verified.
    Completed,
    /// Given up; `failure` says why.
    Failed,
}

impl Status {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Queued, Self::Processing, Self::Completed, Self::Failed];

    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "Queued",
            Self::Processing => "Processing",
            Self::Completed => "Completed",
            Self::Failed => "Failed",
        }
    }

    /// Whether it will not change any more (but by deletion).
    pub fn ended(self) -> bool {
        matches!(self, Self::Completed | Self::Failed)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Status {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|s| s.as_str().eq_ignore_ascii_case(text));
        found.ok_or_else(|| format!("unknown status '{text}': expected Queued, Processing, Completed or Failed"))
    }
}

/// A move of an Export. Every UPDATE of the store filters on [`Move::from`] and, for moves that a
/// worker makes, on the fence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Move {
    /// A worker takes it up: a new fence and lease.
    Claim,
    /// A worker takes over one whose lease ran out: a new fence and lease, one more lost lease.
    Reclaim,
    /// The worker's attempt met a fault that may pass, or the worker hands it back.
    Release,
    /// The file is sealed.
    Complete,
    /// Given up.
    Fail,
    /// The caller deletes it, in any state.
    Delete,
}

impl Move {
    /// The states it is legal in.
    pub fn from(self) -> &'static [Status] {
        match self {
            Self::Claim => &[Status::Queued],
            Self::Reclaim | Self::Release | Self::Complete => &[Status::Processing],
            Self::Fail => &[Status::Queued, Status::Processing],
            Self::Delete => &Status::ALL,
        }
    }

    /// The state it leads to; `None` is gone. A released Export stays Processing for its caller:
    /// its lease has ended, so that the next claim is a [`Move::Reclaim`] without a lost lease.
    pub fn to(self) -> Option<Status> {
        match self {
            Self::Claim | Self::Reclaim | Self::Release => Some(Status::Processing),
            Self::Complete => Some(Status::Completed),
            Self::Fail => Some(Status::Failed),
            Self::Delete => None,
        }
    }
}

/// What was asked for, fixed at acceptance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Query {
    /// The decoded text as the caller gave it: `requestQueryString`.
    pub text: String,
    /// The filter in normal form, with the default window and `now()` fixed; it parses back to the
    /// same predicate in any time zone and at any time. Empty: every row.
    pub filter: String,
    /// The columns by name, in file order.
    pub columns: Vec<String>,
    /// The file's format.
    pub format: FileFormat,
    /// The IANA time zone that ruled bare dates.
    pub time_zone: String,
    /// The instant that `now()` meant.
    pub now: Timestamp,
}

/// How far it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Rows written; never goes backwards, also over attempts.
    pub rows_done: u64,
    /// Rows expected; `None` until counted. Equals `rows_done` exactly at Completed.
    pub rows_expected: Option<u64>,
}

/// Why an Export was given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The code.
    pub code: ErrorCode,
    /// What happened and what to do, for the caller.
    pub message: String,
    /// Whether the same request may succeed later.
    pub retryable: bool,
}

/// Something the caller should know although the Export is fine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// A stable code, such as `ParticipantsNotGranted` or `FileExpired`.
    pub code: String,
    /// What it means.
    pub message: String,
}

/// The sealed file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileInfo {
    /// The fence of the attempt that wrote it: with the id, its name in the blob store.
    pub fence: u64,
    /// Its format.
    pub format: FileFormat,
    /// The name that a download is saved under.
    pub download_name: String,
    /// Bytes as downloaded.
    pub size_bytes: u64,
    /// SHA-256 of those bytes, lower-case hex.
    pub sha256: String,
    /// Data rows in it.
    pub rows: u64,
}

/// An Export as the service knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    /// Its id.
    pub id: ExportId,
    /// The report.
    pub report: ReportName,
    /// Whose list it is in.
    pub tenant: TenantId,
    /// Who asked.
    pub principal: PrincipalId,
    /// Where it is in its life.
    pub status: Status,
    /// What was asked.
    pub query: Query,
    /// The pairs in force at acceptance, narrowed to the participants that the filter names.
    pub scope: Scope,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When its first attempt began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Attempts that met a fault that may pass.
    pub failed_attempts: u32,
    /// Leases that were lost.
    pub lost_leases: u32,
    /// The newest fence; 0 before the first claim.
    pub fence: u64,
    /// The data version, fixed at the first claim and kept by retries.
    pub data_version: Option<u64>,
    /// How far it is.
    pub progress: Progress,
    /// The file, once Completed and until its retention is over.
    pub file: Option<FileInfo>,
    /// When the file goes (Completed only).
    pub file_expires_at: Option<Timestamp>,
    /// Why it was given up (Failed only).
    pub failure: Option<Failure>,
    /// What the caller should know.
    pub warnings: Vec<Warning>,
    /// Counts every change of the row: the base of its ETag.
    pub revision: u64,
    /// Since when an operator holds it: retention and DELETE leave it and its file alone.
    pub held_at: Option<Timestamp>,
}

impl Export {
    /// Whether the file's time is over. That of a held Export is not until it is released.
    pub fn file_expired(&self, now: Timestamp) -> bool {
        self.held_at.is_none() && self.file_expires_at.is_some_and(|at| at <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ended_exports_only_go_away() {
        for m in [Move::Claim, Move::Reclaim, Move::Release, Move::Complete, Move::Fail] {
            assert!(m.from().iter().all(|s| !s.ended()), "{m:?}");
        }
        assert_eq!(Move::Delete.to(), None);
    }
}
