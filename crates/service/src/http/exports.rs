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
use payouts_model::{Progress, Status, Timestamp, Viewer};
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
            let spent_ms = export.started_at.map_or(0, |at| now.ms_since(at).max(0));
            1 + remaining_ms(export.progress, spent_ms) / 1000
        }
    };
    Some(seconds.clamp(1, RETRY_AFTER_SECONDS_MAX).unsigned_abs())
}

/// What the rest will take at the pace so far, but no longer than it took so far: a pace measured
/// over a short time says little. Before the first row there is no pace; then a quarter of it.
fn remaining_ms(progress: Progress, spent_ms: i64) -> i64 {
    match (progress.rows_done, progress.rows_expected) {
        (0, _) | (_, None) => spent_ms / 4,
        (done, Some(expected)) => {
            let left = i128::from(expected.saturating_sub(done));
            let ms = i128::from(spent_ms) * left / i128::from(done);
            i64::try_from(ms).unwrap_or(i64::MAX).min(spent_ms)
        }
    }
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
    if let Some(seconds) = retry_after_seconds(visible, app.config.slots(), now) {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    (response, etag)
}

/// A JSON body.
pub fn json(body: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_is_judged_by_the_pace_so_far() {
        let rest = |rows_done, rows_expected, spent_ms| remaining_ms(Progress { rows_done, rows_expected }, spent_ms);
        assert_eq!(rest(0, None, 0), 0);
        assert_eq!(rest(0, Some(40_135), 150), 37, "nothing is known of the pace");
        assert_eq!(rest(0, Some(40_135), 40_000), 10_000);
        assert_eq!(rest(500, None, 400), 100);
        assert_eq!(rest(750, Some(1_000), 9_000), 3_000);
        assert_eq!(rest(10, Some(1_000_000), 2_000), 2_000, "no longer than it took so far");
        assert_eq!(rest(1, Some(u64::MAX), i64::MAX), i64::MAX);
        assert_eq!(rest(9, Some(9), 5_000), 0);
    }
}
