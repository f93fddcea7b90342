//! Where Exports, grants, idempotency keys and the audit record live: one trait, one conformance
//! suite for all.

pub mod audit;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod manifest;
pub mod sqlite;

use std::collections::BTreeSet;

use async_trait::async_trait;
use payouts_model::export::{FileInfo, Query};
use payouts_model::{
    ErrorCode, Export, ExportId, Failure, Grant, PrincipalId, ReportName, Role, Scope, Status, TenantId, Timestamp,
    Viewer, Warning,
};

use audit::{By, Entry, Head, Record};
pub use manifest::ManifestText;
pub use sqlite::SqliteStore;

/// What went wrong with the store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database. `aborted` says whether the transaction certainly did not take effect.
    #[error("store: {context}")]
    Database {
        /** doing what */
        context: &'static str,
        /** certainly aborted */
        aborted: bool,
        /** cause */
        #[source]
        source: sqlx::Error,
    },
    /// The tables are not this version's.
    #[error(
        "{path} was written by another version of payouts (tables of version {version}): start the version that \
         wrote it, or a newer one"
    )]
    OtherVersion {
        /** the database */
        path: String,
        /** the first version of the tables that is unknown here, or not as it is known here */
        version: i64,
    },
    /// The tables are of an older version, and this is only for reading.
    #[error(
        "{path} has the tables of an older version of payouts ({version}): start the service once, which brings them \
         up to date"
    )]
    NotUpgraded {
        /** the database */
        path: String,
        /** the version of its tables */
        version: i64,
    },
    /// A row that this version cannot read.
    #[error("store: unreadable {what}")]
    Corrupt {
        /** what */
        what: String,
    },
}

/// An idempotency key with what it was sent with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// 1 to 128 visible ASCII characters.
    pub key: String,
    /// Digest of path and decoded query: the same request again has the same.
    pub request_digest: String,
}

/// An Export to accept.
#[derive(Clone, Debug)]
pub struct CreateExport {
    /// Its id.
    pub id: ExportId,
    /// The report.
    pub report: ReportName,
    /// Whose.
    pub tenant: TenantId,
    /// Who asks.
    pub principal: PrincipalId,
    /// What.
    pub query: Query,
    /// The pairs in force, narrowed.
    pub scope: Scope,
    /// What the caller should know.
    pub warnings: Vec<Warning>,
    /// If the caller sent one.
    pub idempotency: Option<IdempotencyKey>,
    /// Now.
    pub created_at: Timestamp,
    /// The trace that the request is part of, as W3C's `traceparent`, if somebody traces.
    pub trace: Option<String>,
}

/// What became of an acceptance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// Durable in the queue.
    New {
        /** as accepted */
        export: Export,
        /** its place among its tenant's queued requests, from 1 */
        queue_position: u64,
    },
    /// The same request had been accepted under this key: the Export as it is now.
    Replayed(Export),
    /// The key is in use for another request.
    KeyReused,
    /// The tenant has as many queued as it may.
    QueueFull {
        /** the limit */
        limit: u64,
    },
    /// All tenants together have as many queued as they may.
    ServiceQueueFull {
        /** the limit */
        limit: u64,
    },
    /// The tenant's files take as much room as they may.
    StorageFull {
        /** the limit */
        limit_bytes: u64,
    },
}

/// What is accepted at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcceptLimits {
    /// Queued Exports of the tenant.
    pub tenant_queue_max: u64,
    /// Queued Exports of all tenants.
    pub queue_max: u64,
    /// Room that the tenant's published files take; at it nothing new is accepted.
    pub tenant_files_bytes: u64,
}

impl AcceptLimits {
    /// Only the tenant's queue has a limit.
    pub const fn of_tenant_queue(tenant_queue_max: u64) -> Self {
        Self { tenant_queue_max, queue_max: u64::MAX, tenant_files_bytes: u64::MAX }
    }
}

/// On which terms a worker claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClaimTerms {
    /// How long the lease lasts without a heartbeat, in milliseconds.
    pub lease_ms: i64,
    /// Lost leases at which an Export is failed instead.
    pub lost_leases_max: u32,
    /// Begun Exports of one tenant (running, or waiting for another attempt) at which none of its
    /// queued ones is claimed. What was begun is always claimed again.
    pub tenant_running_max: u64,
    /// Exports that are known to have more rows are left for later, and so are the queued ones of a
    /// principal of whom [`PUT_OFF_MAX`] are left already. `None`: whatever comes.
    pub rows_max: Option<u64>,
}

impl ClaimTerms {
    /// Whatever comes, on a lease of `lease_ms`.
    pub const fn any(lease_ms: i64, lost_leases_max: u32) -> Self {
        Self { lease_ms, lost_leases_max, tenant_running_max: u64::MAX, rows_max: None }
    }
}

/// Put-off Exports of one principal beyond which its queue is not looked through for smaller ones.
pub const PUT_OFF_MAX: u64 = 16;

/// The room that published files take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileBytes {
    /// Those of one tenant.
    pub tenant: u64,
    /// All.
    pub total: u64,
}

/// What a viewer may see of an Export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visible {
    /// The Export.
    pub export: Export,
    /// Whether the viewer's scope contains the Export's: file, totals. Otherwise an admin sees
    /// the state only.
    pub full: bool,
    /// Its place among its tenant's queued requests, from 1; 0 if not queued.
    pub queue_position: u64,
}

/// A page of the list, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The Exports.
    pub items: Vec<Visible>,
    /// The number in all.
    pub total: u64,
    /// Where the next page begins: the last item's acceptance time and id; `None` at the end.
    pub next: Option<(Timestamp, ExportId)>,
}

/// Which requests of those that a viewer may see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Narrow<'a> {
    /// Of this report.
    pub report: Option<ReportName>,
    /// In this state.
    pub status: Option<Status>,
    /// With this text, in any case (of ASCII letters), in the filter as asked or in normal form, in
    /// who asked, or in the id.
    pub text: Option<&'a str>,
}

/// What became of a deletion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deleted {
    /// Gone; as it was. Its files may be deleted.
    Gone(Box<Export>),
    /// Visible, but made by somebody else, and the viewer is no admin.
    NotTheOwner,
    /// An operator holds it: nobody deletes it until it is released.
    Held,
    /// Not there, or not visible.
    NotFound,
}

/// A worker's hold on an Export: every write carries it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The Export as claimed.
    pub export: Export,
    /// The fence; newer claims have greater ones.
    pub fence: u64,
    /// The trace that the request was part of.
    pub trace: Option<String>,
}

/// Since when those that have not ended are waited for: of each state the longest wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Oldest {
    /// When the oldest queued Export was accepted.
    pub queued_since: Option<Timestamp>,
    /// When the first attempt of the oldest begun Export began.
    pub processing_since: Option<Timestamp>,
}

/// Leases that were found lost through this store since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeaseLosses {
    /// They ran out: their worker was silent for too long.
    pub ran_out: u64,
    /// A restarted node ended those of its predecessor.
    pub taken_back: u64,
    /// Exports that were given up because of it (WorkerLost).
    pub given_up: u64,
}

/// What a completed attempt leaves.
#[derive(Clone, Debug, PartialEq)]
pub struct Completion {
    /// The file.
    pub file: FileInfo,
    /// The manifest.
    pub manifest: ManifestText,
    /// When the file goes.
    pub file_expires_at: Timestamp,
    /// Until when its data version stays readable, as its manifest says.
    pub reproducible_until: Option<Timestamp>,
    /// Warnings to add.
    pub warnings: Vec<Warning>,
}

/// Something that retention would delete.
#[derive(Clone, Debug, PartialEq)]
pub struct Due {
    /// The Export as it is.
    pub export: Export,
    /// What goes, and why.
    pub what: DueWhat,
}

/// What retention would delete of an Export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DueWhat {
    /// Its file: its time was over at this instant.
    File {
        /** when */
        expired_at: Timestamp,
    },
    /// The Export and its manifest: it ended at this instant, too long ago.
    Export {
        /** when */
        ended_at: Timestamp,
    },
}

/// How a worker lets go without completing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LetGo {
    /// A fault that may pass: counts as an attempt; Failed with this if it was the last.
    Retry {
        /** if it was the last */
        failure: Failure,
        /** its manifest, if it was the last */
        manifest: Option<ManifestText>,
        /** not before */
        not_before: Timestamp,
    },
    /// Given up for good.
    Fail {
        /** why */
        failure: Failure,
        /** the manifest of a failed Export */
        manifest: Option<ManifestText>,
    },
    /// Handed back (shutdown): counts as nothing.
    HandBack,
    /// Larger than the slot that was free takes: waits for another one. Counts as nothing.
    PutOff {
        /** its rows, by which later claims know it */
        rows_expected: u64,
    },
}

/// The store.
///
/// Guarantees: an accepted Export is durable before `accept` returns; every move filters on its
/// legal states (see `payouts_model::export::Move`) and, for workers, on the fence: a call with an
/// old fence changes nothing and says so. What is accepted, deleted, granted or revoked is recorded
/// (see [`audit`]) in the transaction that does it: neither exists without the other.
#[async_trait]
pub trait Store: Send + Sync + std::fmt::Debug {
    /// Accepts an Export, unless its key was used or a limit is reached. What is accepted later is
    /// queued later, whoever accepts it; the limits are exact whoever else accepts.
    async fn accept(&self, create: CreateExport, limits: AcceptLimits) -> Result<Accepted, Error>;
    /// An Export of `report` that the viewer may see.
    async fn find(&self, viewer: &Viewer, report: ReportName, id: ExportId) -> Result<Option<Visible>, Error>;
    /// The manifest, as JSON text, of an ended Export that the viewer may see in full.
    async fn manifest(&self, viewer: &Viewer, report: ReportName, id: ExportId) -> Result<Option<String>, Error>;
    /// What the viewer may see of a report's requests (of both reports if `None`), newest first.
    async fn list(
        &self,
        viewer: &Viewer,
        report: Option<ReportName>,
        status: Option<Status>,
        top: u64,
        after: Option<(Timestamp, ExportId)>,
    ) -> Result<Page, Error> {
        self.search(viewer, Narrow { report, status, text: None }, top, after).await
    }
    /// The same, of those requests that `narrow` describes.
    async fn search(
        &self,
        viewer: &Viewer,
        narrow: Narrow<'_>,
        top: u64,
        after: Option<(Timestamp, ExportId)>,
    ) -> Result<Page, Error>;
    /// Deletes an Export in any state.
    async fn delete(&self, viewer: &Viewer, report: ReportName, id: ExportId, now: Timestamp)
    -> Result<Deleted, Error>;

    /// Claims the next Export: of the tenant with the fewest running, among those of the one that
    /// was served longest ago; of that tenant's principals by the same rule; of that principal its
    /// oldest. What can be claimed, within the terms, is queued, let go of with its delay over, or
    /// has a lease that ran out (which counts a lost lease; at `lost_leases_max` it is failed with
    /// WorkerLost instead and the search goes on). Nothing that the terms allow is left lying while
    /// somebody claims: shares are of those who want something.
    async fn claim(&self, node: &str, terms: &ClaimTerms, now: Timestamp) -> Result<Option<Claim>, Error>;
    /// Fixes the data version of an Export at its first claim; answers the one in force.
    async fn fix_data_version(&self, claim: &Claim, version: u64) -> Result<Option<u64>, Error>;
    /// Renews the lease and records progress (never backwards). False: the claim is lost.
    async fn heartbeat(
        &self,
        claim: &Claim,
        rows_done: u64,
        rows_expected: Option<u64>,
        lease_ms: i64,
        now: Timestamp,
    ) -> Result<bool, Error>;
    /// Publishes. False: the claim is lost, the file is garbage.
    async fn complete(&self, claim: &Claim, completion: Completion, now: Timestamp) -> Result<bool, Error>;
    /// Lets go. Answers the status it led to; `None`: the claim was lost.
    async fn let_go(
        &self,
        claim: &Claim,
        how: LetGo,
        attempts_max: u32,
        now: Timestamp,
    ) -> Result<Option<Status>, Error>;
    /// At start: ends the leases of this node's dead predecessor, so that they can be claimed at
    /// once. Counts a lost lease each. Answers how many.
    async fn take_back(&self, node: &str, now: Timestamp) -> Result<u64, Error>;
    /// After a clock has gone back: no lease ends later than `lease_until` and no delay later than
    /// `not_before`, so that what a clock far ahead has set does not hold an Export up. Answers how
    /// many were shortened.
    async fn pull_back(&self, lease_until: Timestamp, not_before: Timestamp) -> Result<u64, Error>;
    /// When the next claim may become possible without a new request: the earliest end of a lease
    /// or of a retry's delay. Those that are known to have more rows than `rows_max` do not count.
    async fn next_due(&self, rows_max: Option<u64>) -> Result<Option<Timestamp>, Error>;

    /// Whether a blob is owned: of a Completed Export whose file is still there, or of a running
    /// attempt with this fence.
    async fn owns_file(&self, id: ExportId, fence: u64) -> Result<bool, Error>;
    /// Marks files as gone that expired before `now`; answers what was marked, to be deleted. Held
    /// Exports keep theirs.
    async fn expire_files(&self, now: Timestamp, max: u64) -> Result<Vec<(ExportId, u64)>, Error>;
    /// Deletes Exports that ended before `before` and have no file any more (those with one wait
    /// for [`Store::expire_files`]), held ones apart; answers how many.
    async fn purge(&self, before: Timestamp, max: u64) -> Result<u64, Error>;
    /// What [`Store::expire_files`] and [`Store::purge`] with these instants would delete: at most
    /// `max` of each, those that wait longest first. An Export whose file goes is not told of again.
    async fn due(&self, now: Timestamp, before: Timestamp, max: u64) -> Result<Vec<Due>, Error>;
    /// Holds an Export since `held_at`, or releases it (`None`). One that is held already stays
    /// held since when it was. Answers it as it is then; `None`: there is no such Export. A change is
    /// recorded in the same transaction.
    async fn hold(&self, id: ExportId, held_at: Option<Timestamp>, by: &By) -> Result<Option<Export>, Error>;
    /// Data versions of `report` that must stay readable at `now`: those of Exports that have not
    /// ended, and those that manifests promise.
    async fn versions_in_use(&self, report: ReportName, now: Timestamp) -> Result<BTreeSet<u64>, Error>;
    /// Deletes idempotency keys older than 24 hours; answers how many.
    async fn purge_keys(&self, now: Timestamp) -> Result<u64, Error>;

    /// Role and union of the unexpired pairs of tenant and principal. An empty scope: no grant.
    async fn access(&self, tenant: &TenantId, principal: &PrincipalId, now: Timestamp) -> Result<(Role, Scope), Error>;
    /// Every grant, sorted.
    async fn grants(&self) -> Result<Vec<Grant>, Error>;
    /// Adds grants (the same pair for the same holder and role again: `until` is replaced).
    /// Answers how many were new or changed.
    async fn grant(&self, grants: &[Grant], by: &By) -> Result<u64, Error>;
    /// Removes exactly these grants (by holder, pair and role). Answers how many.
    async fn revoke(&self, grants: &[Grant], by: &By) -> Result<u64, Error>;
    /// Makes the grants exactly these, in one transaction. Answers (added, removed).
    async fn apply_grants(&self, grants: &[Grant], by: &By) -> Result<(u64, u64), Error>;

    /// Records what happened outside the database. Durable when it returns; answers a head that
    /// has it. Records of ended downloads may be kept back for a moment, to be written with others.
    async fn audit(&self, record: &Record) -> Result<Head, Error>;
    /// The newest audit record.
    async fn audit_head(&self) -> Result<Head, Error>;
    /// The first `max` audit records behind number `after`, in order, as they are stored.
    async fn audit_entries(&self, after: u64, max: u64) -> Result<Vec<Entry>, Error>;

    /// Whether the database answers.
    async fn ping(&self) -> Result<(), Error>;
    /// The room that published files take: the tenant's, and all.
    async fn file_bytes(&self, tenant: &TenantId) -> Result<FileBytes, Error>;
    /// Counts by report and status, for metrics and the queue's length.
    async fn counts(&self) -> Result<Vec<(ReportName, Status, u64)>, Error>;
    /// The longest waits. Quick, however long the queues are.
    async fn oldest(&self) -> Result<Oldest, Error>;
    /// The leases that calls of this store found lost.
    fn lease_losses(&self) -> LeaseLosses;
}

/// Codes that a store puts into failures itself.
pub const FAILED_LEASES_CODE: ErrorCode = ErrorCode::WorkerLost;
/// The code of the warning that [`Store::expire_files`] adds.
pub const FILE_EXPIRED_WARNING: &str = "FileExpired";
/// How long an idempotency key holds, in milliseconds: 24 hours.
pub const IDEMPOTENCY_KEY_MS: i64 = 24 * 60 * 60 * 1000;
