//! What the service counts, and the listener that shows it.
//!
//! Invariants: no label names a tenant, a principal, a participant or an Export; names and labels
//! are written here and nowhere else. Rooms call the functions below.

#[cfg(test)]
mod tests;

use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use payouts_model::{ErrorCode, ReportName, Status};
use tokio::net::TcpListener;
use tracing::{error, warn};

use crate::App;
use crate::shutdown::Stop;

const EXPORTS: &str = "payouts_exports";
const ATTEMPTS: &str = "payouts_attempts_total";
const STEP: &str = "payouts_step_seconds";
const ROWS: &str = "payouts_rows_written_total";
const BYTES: &str = "payouts_file_bytes_written_total";
const BUSY: &str = "payouts_workers_busy";
const DELETED: &str = "payouts_files_deleted_total";
const REQUESTS: &str = "payouts_http_requests_total";
const REQUEST_SECONDS: &str = "payouts_http_request_seconds";
const REFUSED: &str = "payouts_requests_refused_total";

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
    describe_gauge!(EXPORTS, "Exports by report and status; Queued is the length of the queue");
    describe_counter!(
        ATTEMPTS,
        "Attempts that ended, by report and outcome; lost ones lost their lease or were deleted"
    );
    describe_histogram!(STEP, Unit::Seconds, "How long the steps of making a file take, by report and step");
    describe_counter!(ROWS, "Rows in completed files, by report");
    describe_counter!(BYTES, Unit::Bytes, "Bytes of completed files as downloaded, by report");
    describe_gauge!(BUSY, "Exports being made by this process");
    describe_counter!(DELETED, "Files deleted, by reason: expired, or without an owner");
    describe_counter!(REQUESTS, "Requests answered, by route, method and status");
    describe_histogram!(REQUEST_SECONDS, Unit::Seconds, "Time until the answer began, by route and method");
    describe_counter!(REFUSED, "Requests refused, by error code");
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

/// A request was refused.
pub fn request_refused(code: ErrorCode) {
    counter!(REFUSED, "code" => code.as_str()).increment(1);
}

/// `/metrics` for the listener of its own.
pub fn router(app: Arc<App>) -> Router {
    Router::new().route("/metrics", get(show)).with_state(app)
}

/// Serves [`router`] until told to stop.
pub fn serve(app: Arc<App>, listener: TcpListener, stop: Stop) -> impl Future<Output = ()> + Send {
    let served = axum::serve(listener, router(app)).with_graceful_shutdown(async move { stop.begun().await });
    async move {
        if let Err(error) = served.await {
            error!(%error, "the metrics listener broke off");
        }
    }
}

async fn show(State(app): State<Arc<App>>) -> Response {
    let Some(recorder) = recorder() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "metrics are recorded elsewhere\n").into_response();
    };
    match app.store.counts().await {
        Ok(counts) => {
            for report in ReportName::ALL {
                for status in Status::ALL {
                    let found = counts.iter().find(|(r, s, _)| (*r, *s) == (report, status)).map_or(0, |(_, _, n)| *n);
                    let shown = u32::try_from(found).unwrap_or(u32::MAX);
                    gauge!(EXPORTS, "report" => report.as_str(), "status" => status.as_str()).set(shown);
                }
            }
        }
        Err(error) => {
            error!(error = &error as &dyn std::error::Error, "cannot count exports");
            return (StatusCode::SERVICE_UNAVAILABLE, "the store does not answer\n").into_response();
        }
    }
    recorder.run_upkeep();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], recorder.render()).into_response()
}
