//! How an Export looks on the wire.
//!
//! One object is both what the reference shows and what its sample client reads: the members of
//! the Export at the top level, and beside them `value` with that one Export, `nextLink` and
//! `totalCount`. The seven members of the original are strings, always; what has not happened yet
//! is an empty one.

use payouts_model::{Failure, Status, Timestamp, Warning};
use payouts_store::Visible;
use serde::Serialize;
use utoipa::ToSchema;

/// A link to a file, and until when it works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileLink {
    /// The absolute URL with its own token.
    pub url: String,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// The members of an Export.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExportMembers {
    /// The id of the request, a GUID.
    pub request_id: String,
    /// When it was accepted: UTC, seven fractional digits.
    pub request_date_time: String,
    /// When its processing began; empty before.
    pub processing_start_date_time: String,
    /// The path it was sent to, without host and query.
    pub request_path: String,
    /// The filter's text alone, decoded.
    pub request_query_string: String,
    /// Where the file is, with its own token; empty until there is one, and when it is gone.
    pub blob_location: String,
    /// Queued, Processing, Completed or Failed.
    pub status: String,
    /// When it ended; empty before.
    pub completed_date_time: String,
    /// Data rows in the file; null until there is one.
    pub row_count: Option<u64>,
    /// Bytes of the file as downloaded; null until there is one.
    pub file_size_bytes: Option<u64>,
    /// When the link in `blobLocation` ends; a later GET has a fresh one.
    pub link_expiration_date_time: String,
    /// When the file goes.
    pub file_expiration_date_time: String,
    /// How far it is.
    pub progress: ProgressView,
    /// Why it was given up; null unless Failed.
    pub error: Option<FailureView>,
    /// What the caller should know.
    pub warnings: Vec<WarningView>,
}

/// How far an Export is. Never goes backwards.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProgressView {
    /// Rows written.
    pub rows_done: u64,
    /// Rows expected; null until they are counted. Equal to `rowsDone` exactly at Completed.
    pub rows_expected: Option<u64>,
    /// Its place among those of its own tenant's queued requests that the caller may see, from 1;
    /// 0 once it is not queued.
    pub queue_position: u64,
}

/// Why an Export was given up.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct FailureView {
    /// A documented code.
    pub code: String,
    /// What happened, and what to do.
    pub message: String,
    /// Whether the same request may succeed later.
    pub retryable: bool,
}

/// Something to know although the Export is fine.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct WarningView {
    /// A stable code, such as `ParticipantsNotGranted` or `FileExpired`.
    pub code: String,
    /// What it means.
    pub message: String,
}

/// The answer of POST, GET by id and DELETE.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Export)]
pub struct ExportView {
    #[serde(flatten)]
    #[schema(inline)]
    export: ExportMembers,
    /// The same Export, as the only one of a list.
    value: Vec<ExportMembers>,
    /// Always null here.
    next_link: Option<String>,
    /// Always 1 here.
    total_count: u64,
}

/// A page of the list.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ExportList)]
pub struct ExportListView {
    /// The Exports, newest first.
    pub value: Vec<ExportMembers>,
    /// The absolute URL of the next page; null on the last.
    pub next_link: Option<String>,
    /// The number in all.
    pub total_count: u64,
}

impl From<ExportMembers> for ExportView {
    fn from(export: ExportMembers) -> Self {
        Self { value: vec![export.clone()], export, next_link: None, total_count: 1 }
    }
}

/// The path that a request of this report was sent to.
pub fn request_path(report: payouts_model::ReportName) -> String {
    format!("/v1.0/payouts/{report}")
}

impl ExportMembers {
    /// An Export as one viewer may see it. `link` is there if there is a file that the viewer may
    /// have; without the right to see it in full, an admin gets the state and no counts.
    pub fn new(visible: &Visible, link: Option<FileLink>, now: Timestamp) -> Self {
        let Visible { export, full, queue_position } = visible;
        let wire = |at: Option<Timestamp>| at.map(Timestamp::to_wire).unwrap_or_default();
        let counts = full.then_some(export);
        let (blob_location, link_expires_at) = link.map_or((String::new(), None), |l| (l.url, Some(l.expires_at)));
        let file_gone = export.status == Status::Completed && (export.file.is_none() || export.file_expired(now));
        let mut warnings: Vec<WarningView> = export.warnings.iter().cloned().map(WarningView::from).collect();
        if file_gone && !warnings.iter().any(|w| w.code == "FileExpired") {
            warnings.push(WarningView {
                code: "FileExpired".into(),
                message: "The file's retention is over. Queue a new export for a new file.".into(),
            });
        }
        let completed = export.status == Status::Completed;
        Self {
            request_id: export.id.to_string(),
            request_date_time: export.created_at.to_wire(),
            processing_start_date_time: wire(export.started_at),
            request_path: request_path(export.report),
            request_query_string: export.query.text.clone(),
            blob_location,
            status: export.status.to_string(),
            completed_date_time: wire(export.ended_at),
            row_count: counts.filter(|_| completed).map(|e| e.progress.rows_done),
            file_size_bytes: counts.and_then(|e| e.file.as_ref()).map(|f| f.size_bytes),
            link_expiration_date_time: wire(link_expires_at),
            file_expiration_date_time: wire(export.file_expires_at),
            progress: ProgressView {
                rows_done: counts.map_or(0, |e| e.progress.rows_done),
                // Equal at Completed also for those who may not know how many there are.
                rows_expected: counts.map_or(completed.then_some(0), |e| e.progress.rows_expected),
                queue_position: *queue_position,
            },
            error: export.failure.clone().map(FailureView::from),
            warnings,
        }
    }
}

impl From<Failure> for FailureView {
    fn from(Failure { code, message, retryable }: Failure) -> Self {
        Self { code: code.to_string(), message, retryable }
    }
}

impl From<Warning> for WarningView {
    fn from(Warning { code, message }: Warning) -> Self {
        Self { code, message }
    }
}

#[cfg(test)]
mod tests;
