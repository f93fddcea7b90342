//! What the service counts, and the listener that shows it.
//!
//! Invariants: no label names a tenant, a principal, a participant or an Export; names and labels
//! are written here and nowhere else, and every one is described in docs/operations.md. Rooms call
//! the functions below.
//!
//! Rooms: `show` (the listener, and what is looked up when it is asked).

mod show;
#[cfg(test)]
mod tests;

use std::sync::OnceLock;
use std::time::Duration;

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use payouts_model::{ErrorCode, ReportName};
use tracing::{error, warn};

pub use show::{router, serve};

const BUILD: &str = "payouts_build_info";
const EXPORTS: &str = "payouts_exports";
const OLDEST: &str = "payouts_oldest_export_seconds";
const ATTEMPTS: &str = "payouts_attempts_total";
const FAILED: &str = "payouts_exports_failed_total";
const LEASES_LOST: &str = "payouts_leases_lost_total";
const STEP: &str = "payouts_step_seconds";
const ROWS: &str = "payouts_rows_written_total";
const BYTES: &str = "payouts_file_bytes_written_total";
const BUSY: &str = "payouts_workers_busy";
const STORED: &str = "payouts_files_stored_bytes";
const FREE: &str = "payouts_disk_free_bytes";
const DELETED: &str = "payouts_files_deleted_total";
const LEDGER_VERSION: &str = "payouts_ledger_version";
const LEDGER_AS_OF: &str = "payouts_ledger_as_of_timestamp_seconds";
const DOWNLOADS: &str = "payouts_downloads_total";
const DOWNLOADED: &str = "payouts_download_bytes_total";
const REQUESTS: &str = "payouts_http_requests_total";
const REQUEST_SECONDS: &str = "payouts_http_request_seconds";
const REFUSED: &str = "payouts_requests_refused_total";
const TOKENS_REFUSED: &str = "payouts_tokens_refused_total";

/// What a number does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// Every metric: its name, what it does, its unit and what it says.
const DESCRIBED: [(&str, Kind, Unit, &str); 21] = {
    use Kind::{Counter, Gauge, Histogram};
    [
        (BUILD, Gauge, Unit::Count, "1, with the version of the program"),
        (EXPORTS, Gauge, Unit::Count, "Exports by report and status; Queued is the length of the queue"),
        (
            OLDEST,
            Gauge,
            Unit::Seconds,
            "How long the oldest Export of a status is waited for: since it was accepted (Queued) or first begun (Processing)",
        ),
        (
            ATTEMPTS,
            Counter,
            Unit::Count,
            "Attempts that ended, by report and outcome; lost ones lost their lease or were deleted",
        ),
        (FAILED, Counter, Unit::Count, "Exports given up, by error code"),
        (
            LEASES_LOST,
            Counter,
            Unit::Count,
            "Leases found lost: ran_out (the worker was silent for too long), taken_back (by its node's next start)",
        ),
        (STEP, Histogram, Unit::Seconds, "How long the steps of making a file take, by report and step"),
        (ROWS, Counter, Unit::Count, "Rows in completed files, by report"),
        (BYTES, Counter, Unit::Bytes, "Bytes of completed files as downloaded, by report"),
        (BUSY, Gauge, Unit::Count, "Exports being made by this process"),
        (STORED, Gauge, Unit::Bytes, "Bytes of all published files"),
        (FREE, Gauge, Unit::Bytes, "Bytes that are free on the file system of a place: data, files, ledger"),
        (DELETED, Counter, Unit::Count, "Files deleted, by reason: expired, or without_owner"),
        (LEDGER_VERSION, Gauge, Unit::Count, "The newest data version, by report"),
        (LEDGER_AS_OF, Gauge, Unit::Seconds, "When the newest import of the newest data version was made, by report"),
        (DOWNLOADS, Counter, Unit::Count, "Downloads and parts of downloads, by how they ended: ended or interrupted"),
        (DOWNLOADED, Counter, Unit::Bytes, "Bytes of files handed to clients"),
        (REQUESTS, Counter, Unit::Count, "Requests answered, by route, method and status"),
        (REQUEST_SECONDS, Histogram, Unit::Seconds, "Time until the answer began, by route and method"),
        (REFUSED, Counter, Unit::Count, "Requests refused, by error code and, if one was reached, by limit"),
        (TOKENS_REFUSED, Counter, Unit::Count, "Tokens not believed, by reason"),
    ]
};

/// Bounds of every histogram, in seconds: from an answer out of memory to an export of hours.
const BUCKETS_SECONDS: [f64; 14] =
    [0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0];

/// The recorder of this process, installed at the first call. `None` if something else has
/// installed one: then numbers go there.
pub fn recorder() -> Option<&'static PrometheusHandle> {
    static RECORDER: OnceLock<Option<PrometheusHandle>> = OnceLock::new();
    RECORDER.get_or_init(install).as_ref()
}

fn install() -> Option<PrometheusHandle> {
    let builder =
        PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &BUCKETS_SECONDS);
    let recorder =
        builder.map(PrometheusBuilder::build_recorder).inspect_err(|error| error!(%error, "no metrics")).ok()?;
    let handle = recorder.handle();
    if let Err(error) = metrics::set_global_recorder(recorder) {
        warn!(%error, "metrics are recorded elsewhere");
        return None;
    }
    for (name, kind, unit, text) in DESCRIBED {
        match kind {
            Kind::Counter => describe_counter!(name, unit, text),
            Kind::Gauge => describe_gauge!(name, unit, text),
            Kind::Histogram => describe_histogram!(name, unit, text),
        }
    }
    gauge!(BUILD, "version" => env!("CARGO_PKG_VERSION")).set(1);
    Some(handle)
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The file is published.
    Completed,
    /// A fault that may pass: it will be tried again.
    Retried,
    /// Given up.
    Failed,
    /// The lease was lost, or the Export deleted.
    Lost,
    /// Handed back by a stopping service.
    HandedBack,
    /// Too large for its slot: it waits for another one.
    PutOff,
}

impl Outcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Retried => "retried",
            Self::Failed => "failed",
            Self::Lost => "lost",
            Self::HandedBack => "handed_back",
            Self::PutOff => "put_off",
        }
    }
}

/// An attempt ended.
pub fn attempt_ended(report: ReportName, outcome: Outcome) {
    counter!(ATTEMPTS, "report" => report.as_str(), "outcome" => outcome.as_str()).increment(1);
}

/// An Export was given up.
pub fn export_failed(code: ErrorCode) {
    counter!(FAILED, "code" => code.as_str()).increment(1);
}

/// A step of an attempt took so long.
pub fn step_took(report: ReportName, step: &'static str, ms: i64) {
    let took = Duration::from_millis(ms.max(0).unsigned_abs());
    histogram!(STEP, "report" => report.as_str(), "step" => step).record(took);
}

/// A file was published.
pub fn file_published(report: ReportName, rows: u64, size_bytes: u64) {
    counter!(ROWS, "report" => report.as_str()).increment(rows);
    counter!(BYTES, "report" => report.as_str()).increment(size_bytes);
}

/// Counts an Export as being made until it is dropped.
#[derive(Debug)]
pub struct Busy(());

impl Busy {
    /// One more.
    pub fn begin() -> Self {
        gauge!(BUSY).increment(1);
        Self(())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        gauge!(BUSY).decrement(1);
    }
}

/// Files whose retention is over were deleted.
pub fn files_expired(count: u64) {
    counter!(DELETED, "reason" => "expired").increment(count);
}

/// Files that no Export owned were deleted.
pub fn files_without_owner(count: u64) {
    counter!(DELETED, "reason" => "without_owner").increment(count);
}

/// A request was answered. `route` is the pattern, never the path.
pub fn request_answered(route: &'static str, method: &'static str, status: u16, took: Duration) {
    counter!(REQUESTS, "route" => route, "method" => method, "status" => status.to_string()).increment(1);
    histogram!(REQUEST_SECONDS, "route" => route, "method" => method).record(took);
}

/// A request was refused; `limit` is the one that it reached, by its name in `[limits]`.
pub fn request_refused(code: ErrorCode, limit: Option<&'static str>) {
    counter!(REFUSED, "code" => code.as_str(), "limit" => limit.unwrap_or("")).increment(1);
}

/// A token was not believed. The caller is never told why.
pub fn token_refused(reason: &'static str) {
    counter!(TOKENS_REFUSED, "reason" => reason).increment(1);
}

/// A download, or a part of one, ended after so many bytes.
pub fn download_ended(whole: bool, sent_bytes: u64) {
    counter!(DOWNLOADS, "end" => if whole { "ended" } else { "interrupted" }).increment(1);
    counter!(DOWNLOADED).increment(sent_bytes);
}
