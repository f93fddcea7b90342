//! The audit record: who asked for, took, deleted, granted and imported what.
//!
//! Invariants: records are numbered from 1 without a gap; each is chained to the one before by a
//! hash over its number, that one's hash and its own text, so that whoever knows one pair of
//! number and hash (a [`Head`]) knows whether anything up to there was changed; a record holds
//! ids, counts, instants and digests, never a filter's text, a token, a link, an amount or the
//! name of a payee.

mod check;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use payouts_model::{
    Export, ExportId, Grant, ParticipantId, PrincipalId, ReportName, Role, Scope, Status, TenantId, Timestamp, Viewer,
};
use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::CreateExport;

pub use check::{Broken, Check};

/// A hash of the chain. Shown as lower-case hex.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// What the first record follows.
    pub const NONE: Self = Self([0; 32]);

    /// The hash of a record: SHA-256 over its number, the hash before it (hex) and its text, each
    /// with a line feed behind it. The text is JSON on one line, so that no two records give the
    /// same bytes.
    pub fn of(seq: u64, before: &Self, record: &str) -> Self {
        let mut digest = Sha256::new();
        digest.update(format!("{seq}\n{before}\n"));
        digest.update(record);
        digest.update("\n");
        Self(digest.finalize().into())
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| char::from(DIGITS[usize::from(value)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// The number and hash of a record: all that has to be kept elsewhere to prove the records up to
/// it. Written `SEQ:HASH`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Head {
    /// The record's number; 0 before the first.
    pub seq: u64,
    /// Its hash.
    pub hash: Hash,
}

impl Head {
    /// Before the first record.
    pub const NONE: Self = Self { seq: 0, hash: Hash::NONE };

    /// The head after one more record.
    pub fn after(&self, record: &str) -> Self {
        let seq = self.seq + 1;
        Self { seq, hash: Hash::of(seq, &self.hash, record) }
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.seq, self.hash)
    }
}

impl FromStr for Head {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "not a number and 64 hexadecimal digits with a colon between, as the log shows them".to_owned();
        let (seq, digits) = text.trim().split_once(':').ok_or_else(wrong)?;
        if digits.len() != 64 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        let mut hash = [0; 32];
        for (byte, pair) in hash.iter_mut().zip(digits.as_bytes().chunks(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| wrong())?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| wrong())?;
        }
        Ok(Self { seq: seq.parse().map_err(|_| wrong())?, hash: Hash(hash) })
    }
}

/// A record as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// From 1, without a gap.
    pub seq: u64,
    /// JSON on one line, as it was hashed.
    pub record: String,
    /// See [`Hash::of`].
    pub hash: Hash,
}

/// Who did it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Actor {
    /// A caller of the API.
    Principal {
        /** the tenant */
        tenant: TenantId,
        /** who of it */
        principal: PrincipalId,
    },
    /// Whoever ran a command on the machine, by the name that the system gave.
    Operator {
        /** the name */
        operator: String,
    },
}

impl Actor {
    /// Whoever ran a command.
    pub fn operator(name: impl Into<String>) -> Self {
        Self::Operator { operator: name.into() }
    }
}

impl From<&Viewer> for Actor {
    fn from(viewer: &Viewer) -> Self {
        Self::Principal { tenant: viewer.tenant.clone(), principal: viewer.principal.clone() }
    }
}

/// Who does something, and when: what a change is recorded with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct By {
    /// Who.
    pub actor: Actor,
    /// When.
    pub at: Timestamp,
}

impl By {
    /// Whoever ran a command, at an instant.
    pub fn operator(name: impl Into<String>, at: Timestamp) -> Self {
        Self { actor: Actor::operator(name), at }
    }
}

/// What a change of the ledger did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum LedgerOperation {
    /// Files were imported.
    Import,
    /// A sample was made.
    Sample,
    /// An older version was put back.
    Restore,
    /// Small files were joined.
    Optimise,
    /// Files of old versions were deleted.
    Vacuum,
}

/// Rows of an import, by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LedgerRows {
    /// New ones.
    pub inserted: u64,
    /// With other content than before.
    pub changed: u64,
    /// As they were.
    pub unchanged: u64,
    /// Gone.
    pub removed: u64,
    /// Bad ones.
    pub rejected: u64,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "action", rename_all_fields = "camelCase")]
pub enum Event {
    /// An Export was accepted.
    #[serde(rename = "export.accepted")]
    ExportAccepted {
        /** its id */
        export: ExportId,
        /** the report */
        report: ReportName,
        /** csv, tsv.zip … */
        format: String,
        /** SHA-256 of the filter in normal form */
        filter_digest: String,
        /** of the pairs in force: the manifest shows the same */
        scope_digest: String,
    },
    /// An Export was deleted by a caller.
    #[serde(rename = "export.deleted")]
    ExportDeleted {
        /** its id */
        export: ExportId,
        /** the report */
        report: ReportName,
        /** whose it was */
        made_by: PrincipalId,
        /** the state that it was in */
        status: Status,
    },
    /// An operator keeps an Export from being deleted.
    #[serde(rename = "export.held")]
    ExportHeld {
        /** its id */
        export: ExportId,
    },
    /// An operator lets it go again.
    #[serde(rename = "export.released")]
    ExportReleased {
        /** its id */
        export: ExportId,
    },
    /// Bytes of a file are about to be sent.
    #[serde(rename = "download.started")]
    DownloadStarted {
        /** the Export */
        export: ExportId,
        /** the Request-ID of the call: the end has the same */
        request: String,
        /** where in the file it begins, in bytes */
        from_bytes: u64,
        /** how many bytes were asked for */
        asked_bytes: u64,
    },
    /// Every byte asked for was handed to the connection.
    #[serde(rename = "download.ended")]
    DownloadEnded {
        /** the Export */
        export: ExportId,
        /** as at the start */
        request: String,
        /** how many */
        sent_bytes: u64,
    },
    /// The connection ended, or the file could not be read on, before every byte was sent.
    #[serde(rename = "download.interrupted")]
    DownloadInterrupted {
        /** the Export */
        export: ExportId,
        /** as at the start */
        request: String,
        /** how many were handed to the connection: no more than so many arrived */
        sent_bytes: u64,
    },
    /// A grant was given, or given with another end.
    #[serde(rename = "grant.given")]
    GrantGiven {
        /** what */
        grant: GrantRecord,
        /** as part of a list that was applied */
        applied: bool,
    },
    /// A grant was taken away.
    #[serde(rename = "grant.revoked")]
    GrantRevoked {
        /** what */
        grant: GrantRecord,
        /** as part of a list that was applied */
        applied: bool,
    },
    /// A new key is about to sign links.
    #[serde(rename = "keys.rotating")]
    KeysRotating {
        /** whether the old keys are dropped, and with them every link that is out */
        drop_old: bool,
    },
    /// A new key signs links.
    #[serde(rename = "keys.rotated")]
    KeysRotated {
        /** the new key, by its id */
        key: String,
        /** as before */
        drop_old: bool,
    },
    /// The ledger is about to be changed.
    #[serde(rename = "ledger.started")]
    LedgerStarted {
        /** tells this change from others: its end has the same */
        change: String,
        /** in which way */
        operation: LedgerOperation,
        /** which reports */
        reports: Vec<ReportName>,
        /** from which files, by name; the first ones if there are many */
        files: Vec<String>,
        /** how many files */
        file_count: u64,
    },
    /// The ledger was changed, or there was nothing to change.
    #[serde(rename = "ledger.ended")]
    LedgerEnded {
        /** as at the start */
        change: String,
        /** in which way */
        operation: LedgerOperation,
        /** the new version; none if nothing changed */
        version: Option<u64>,
        /** rows */
        rows: LedgerRows,
    },
    /// The ledger was not changed.
    #[serde(rename = "ledger.failed")]
    LedgerFailed {
        /** as at the start */
        change: String,
        /** in which way */
        operation: LedgerOperation,
    },
}

impl Event {
    /// Whether nobody waits for it to be recorded, so that it can be written together with others.
    pub(crate) fn can_wait(&self) -> bool {
        matches!(self, Self::DownloadEnded { .. } | Self::DownloadInterrupted { .. })
    }
}

/// A grant as it is recorded; what is absent is all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GrantRecord {
    tenant: TenantId,
    principal: Option<PrincipalId>,
    participant: Option<ParticipantId>,
    program: Option<String>,
    role: Role,
    until: Option<String>,
}

impl From<&Grant> for GrantRecord {
    fn from(grant: &Grant) -> Self {
        let Grant { tenant, principal, pair, role, until } = grant.clone();
        let until = until.map(|at| at.to_string());
        Self { tenant, principal, participant: pair.participant, program: pair.program, role, until }
    }
}

/// One thing that happened, with who and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Record {
    #[serde(serialize_with = "text")]
    at: Timestamp,
    by: Actor,
    #[serde(flatten)]
    event: Event,
}

fn text<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(at)
}

impl Record {
    /// Puts it together.
    pub fn new(by: &By, event: Event) -> Self {
        Self { at: by.at, by: by.actor.clone(), event }
    }

    /// The text that is hashed and stored.
    pub(crate) fn to_text(&self) -> String {
        serde_json::to_string(self).expect("plain data with text keys is always JSON")
    }

    pub(crate) fn can_wait(&self) -> bool {
        self.event.can_wait()
    }

    pub(crate) fn accepted(create: &CreateExport) -> Self {
        let CreateExport {
            id,
            report,
            tenant,
            principal,
            query,
            scope,
            created_at,
            warnings: _,
            idempotency: _,
            trace: _,
        } = create;
        let event = Event::ExportAccepted {
            export: *id,
            report: *report,
            format: query.format.to_string(),
            filter_digest: hex(&Sha256::digest(&query.filter)),
            scope_digest: Scope::digest(scope),
        };
        let by = Actor::Principal { tenant: tenant.clone(), principal: principal.clone() };
        Self { at: *created_at, by, event }
    }

    pub(crate) fn deleted(viewer: &Viewer, export: &Export, at: Timestamp) -> Self {
        let event = Event::ExportDeleted {
            export: export.id,
            report: export.report,
            made_by: export.principal.clone(),
            status: export.status,
        };
        Self { at, by: viewer.into(), event }
    }
}
