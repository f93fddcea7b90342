//! Exports: one file per verb, and what they share.

pub mod asked;
pub mod create;
pub mod delete;
pub mod get;
pub mod list;
pub mod manifest;
pub mod preview;

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};
use payouts_model::{Status, Timestamp, Viewer};
use payouts_store::Visible;
use serde::Serialize;

use super::base_url::BaseUrl;
use super::links;
use super::view::{ExportMembers, ExportView, request_path};
use crate::app::App;

/// The longest that a client is told to wait before it looks again.
const RETRY_AFTER_SECONDS_MAX: i64 = 30;

/// The members of an Export, with a fresh link if the viewer may have the file.
pub fn members(app: &App, base: &BaseUrl, viewer: &Viewer, visible: &Visible, now: Timestamp) -> ExportMembers {
    ExportMembers::new(visible, links::file_link(app, base, viewer, visible, now), now)
}

/// The body of an Export and its ETag: a digest of the body, so that it changes with whatever a
/// client could see change, the link among it.
fn body(view: &impl Serialize) -> (Vec<u8>, HeaderValue) {
    use sha2::{Digest, Sha256};
    let body = serde_json::to_vec(view).expect("a view is always JSON");
    let digest = Sha256::digest(&body);
    let hex: String = digest.iter().take(16).map(|b| format!("{b:02x}")).collect();
    (body, HeaderValue::from_str(&format!("\"{hex}\"")).expect("hex is a header value"))
}

/// The absolute URL of an Export.
fn location(base: &BaseUrl, visible: &Visible) -> HeaderValue {
    let url = base.join(&format!("{}/{}", request_path(visible.export.report), visible.export.id));
    HeaderValue::from_str(&url).unwrap_or_else(|_| HeaderValue::from_static("/"))
}

/// Seconds after which it is worth looking again: from the queue, and from the pace of the work.
/// `None` once it has ended.
pub fn retry_after_seconds(visible: &Visible, workers: usize, now: Timestamp) -> Option<u64> {
    let export = &visible.export;
    let seconds = match export.status {
        Status::Completed | Status::Failed => return None,
        Status::Queued => {
            let ahead = i64::try_from(visible.queue_position).unwrap_or(i64::MAX).saturating_sub(1);
            1 + ahead / i64::try_from(workers.max(1)).unwrap_or(1)
        }
        Status::Processing => {
            let done = i64::try_from(export.progress.rows_done).unwrap_or(i64::MAX).max(1);
            let left =
                export.progress.rows_expected.and_then(|n| i64::try_from(n).ok()).map_or(0, |n| (n - done).max(0));
            let spent_ms = export.started_at.map_or(0, |at| now.ms_since(at).max(0));
            1 + (i128::from(spent_ms) * i128::from(left) / i128::from(done) / 1000).min(3600) as i64
        }
    };
    Some(seconds.clamp(1, RETRY_AFTER_SECONDS_MAX).unsigned_abs())
}

/// The answer of POST and GET: body, ETag, and Retry-After while there is something to wait for.
fn answer(
    app: &Arc<App>,
    base: &BaseUrl,
    viewer: &Viewer,
    visible: &Visible,
    now: Timestamp,
) -> (Response, HeaderValue) {
    let view = ExportView::from(members(app, base, viewer, visible, now));
    let (body, etag) = body(&view);
    let mut response = json(body);
    response.headers_mut().insert(header::ETAG, etag.clone());
    if let Some(seconds) = retry_after_seconds(visible, app.config.workers, now) {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    (response, etag)
}

/// A JSON body.
pub fn json(body: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
}
