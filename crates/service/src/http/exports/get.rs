//! GET by id: how it stands, with a fresh link. Can be held until the status changes.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use payouts_model::{ExportId, ReportName, Role, Viewer};
use payouts_store::Visible;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;

use crate::app::App;
use crate::http::base_url::BaseUrl;
use crate::http::error::Error;
use crate::http::extract::{Identified, Looking, Reported};
use crate::http::standing::Standing;

/// The longest that `Prefer: wait=N` is obeyed.
pub const WAIT_SECONDS_MAX: u64 = 60;

/// Whoever waits looks again by itself at this interval: signals do not cross processes.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// The handler.
pub async fn get(
    State(app): State<Arc<App>>,
    Reported(report): Reported,
    Looking(mut viewer): Looking,
    Identified(id): Identified,
    base: BaseUrl,
    axum::Extension(standing): axum::Extension<Standing>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    // Whoever waits takes no place among those that are answered, but one of those that wait; if
    // there is none, the wish is not obeyed.
    let wait =
        prefer_wait_seconds(&headers).and_then(|n| app.http.held.enter(&viewer.tenant).ok().map(|place| (n, place)));
    let found = app.store.find(&viewer, report, id).await?;
    app.tokens.count_look(&viewer, found.as_ref().map(|v| v.export.id), app.clock.now())?;
    let mut visible = found.ok_or_else(Error::export_not_found)?;
    if let Some((seconds, _)) = wait.as_ref().filter(|_| !visible.export.status.ended()) {
        standing.leave();
        held(&app, &viewer, &visible, Duration::from_secs(*seconds)).await?;
        // Grants may have changed meanwhile, and a link must never go to whoever lost them.
        let (role, scope) = app.store.access(&viewer.tenant, &viewer.principal, app.clock.now()).await?;
        let role = if standing.admin() { Role::Admin } else { role };
        viewer = Viewer { role, scope, ..viewer };
        visible = find(&app, &viewer, report, id).await?;
    }
    let (mut response, etag) = super::answer(&app, &base, &viewer, &visible, app.clock.now());
    if matches_etag(&headers, &etag) {
        let (parts, _) = response.into_parts();
        response = StatusCode::NOT_MODIFIED.into_response();
        for name in [header::ETAG, header::RETRY_AFTER] {
            if let Some(value) = parts.headers.get(&name) {
                response.headers_mut().insert(name, value.clone());
            }
        }
    }
    if let Some((seconds, _)) = wait {
        let applied = HeaderValue::from_str(&format!("wait={seconds}")).expect("digits are a header value");
        response.headers_mut().insert(PREFERENCE_APPLIED, applied);
    }
    Ok(response)
}

async fn find(app: &App, viewer: &Viewer, report: ReportName, id: ExportId) -> Result<Visible, Error> {
    app.store.find(viewer, report, id).await?.ok_or_else(Error::export_not_found)
}

/// Returns when the status is another one than it was, the Export is gone, the time is over or the
/// service stops.
async fn held(app: &App, viewer: &Viewer, was: &Visible, wait: Duration) -> Result<(), Error> {
    let deadline = Instant::now() + wait;
    let mut changes = app.signals.changes();
    loop {
        // Looked at after subscribing, so that no change falls between the two.
        match app.store.find(viewer, was.export.report, was.export.id).await? {
            Some(now) if now.export.status == was.export.status => {}
            _ => return Ok(()),
        }
        let look_again = deadline.min(Instant::now() + LOOK_AGAIN);
        loop {
            tokio::select! {
                change = changes.recv() => match change {
                    Ok(id) if id != was.export.id => continue,
                    Ok(_) | Err(RecvError::Lagged(_)) => break,
                    // Nobody will signal any more: the interval is left.
                    Err(RecvError::Closed) => tokio::time::sleep_until(look_again).await,
                },
                () = tokio::time::sleep_until(look_again) => {}
                () = app.stop.cancelled() => return Ok(()),
            }
            break;
        }
        if Instant::now() >= deadline {
            return Ok(());
        }
    }
}

/// `Prefer: wait=N`, at most 60 seconds.
pub fn prefer_wait_seconds(headers: &HeaderMap) -> Option<u64> {
    let values = headers.get_all("prefer").iter().filter_map(|v| v.to_str().ok());
    let mut preferences = values.flat_map(|v| v.split([',', ';'])).filter_map(|p| p.split_once('='));
    let (_, wait) = preferences.find(|(name, _)| name.trim().eq_ignore_ascii_case("wait"))?;
    wait.trim().trim_matches('"').parse::<u64>().ok().map(|n| n.min(WAIT_SECONDS_MAX))
}

/// Whether `If-None-Match` names this ETag; compared weakly, as the method is safe.
pub fn matches_etag(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    let Ok(etag) = etag.to_str() else { return false };
    let values = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|v| v.to_str().ok());
    let mut tags = values.flat_map(|v| v.split(',')).map(str::trim);
    tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_capped() {
        let wait = |text: &'static str| {
            prefer_wait_seconds(&HeaderMap::from_iter([(
                HeaderName::from_static("prefer"),
                HeaderValue::from_static(text),
            )]))
        };
        assert_eq!(wait("wait=5"), Some(5));
        assert_eq!(wait("respond-async, Wait = 10"), Some(10));
        assert_eq!(wait("wait=900"), Some(60));
        assert_eq!(wait("wait=-1"), None);
        assert_eq!(wait("respond-async"), None);
    }

    #[test]
    fn etags_are_compared_weakly() {
        let tag = HeaderValue::from_static("\"a\"");
        let matches = |text: &'static str| {
            matches_etag(&HeaderMap::from_iter([(header::IF_NONE_MATCH, HeaderValue::from_static(text))]), &tag)
        };
        assert!(matches("\"a\"") && matches("W/\"a\"") && matches("\"b\", \"a\"") && matches("*"));
        assert!(!matches("\"b\"") && !matches("a"));
    }
}
