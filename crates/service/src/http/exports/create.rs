//! POST: accepts an Export. Durable before the 202.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use payouts_model::{ErrorCode, Export, ExportId, Role, Scope, Timestamp, Viewer};
use payouts_store::{AcceptLimits, Accepted, CreateExport, IdempotencyKey, Visible};
use uuid::{NoContext, Uuid};

use super::asked::Asked;
use crate::app::App;
use crate::config::Limits;
use crate::http::base_url::BaseUrl;
use crate::http::error::Error;
use crate::http::extract::{Reported, Viewing};
use crate::http::wire::RawText;
use crate::traces;

/// The two names of the idempotency key's header.
const KEY_HEADERS: [HeaderName; 2] =
    [HeaderName::from_static("ms-requestid"), HeaderName::from_static("idempotency-key")];

const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// The longest idempotency key.
const KEY_BYTES_MAX: usize = 128;

/// The handler.
pub async fn create(
    State(app): State<Arc<App>>,
    Reported(report): Reported,
    Viewing(viewer): Viewing,
    base: BaseUrl,
    headers: HeaderMap,
    RawText(raw_query): RawText,
    body: Body,
) -> Result<Response, Error> {
    let now = app.clock.now();
    let key = idempotency_key(&headers)?;
    let asked = Asked::read(&app, report, &viewer, &raw_query, &headers, body, now).await?;
    let (visible, replayed) = accept(&app, &viewer, asked, key, now).await?;
    let (mut response, _) = super::answer(&app, &base, &viewer, &visible, now);
    *response.status_mut() = StatusCode::ACCEPTED;
    response.headers_mut().insert(header::LOCATION, super::location(&base, &visible));
    if replayed {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(response)
}

/// Accepts what was asked, under an idempotency key if there is one. Answers the Export as the
/// viewer sees it, and whether it had been accepted before.
pub async fn accept(
    app: &App,
    viewer: &Viewer,
    asked: Asked,
    key: Option<String>,
    now: Timestamp,
) -> Result<(Visible, bool), Error> {
    let report = asked.report.name;
    let create = CreateExport {
        id: new_id(now),
        report,
        tenant: viewer.tenant.clone(),
        principal: viewer.principal.clone(),
        query: asked.query,
        scope: asked.scope,
        warnings: asked.warnings,
        idempotency: key.map(|key| IdempotencyKey { key, request_digest: asked.request_digest }),
        created_at: now,
        trace: traces::context(&tracing::Span::current()),
    };
    Ok(match app.store.accept(create, accept_limits(&app.config.limits)).await? {
        Accepted::New { export, queue_position } => {
            tracing::info!(export.id = %export.id, tenant.id = %export.tenant, report = %export.report, "accepted");
            app.signals.work.notify_one();
            app.signals.changed(export.id);
            let queue_position = visible_position(app, viewer, &export, queue_position).await?;
            (Visible { export, full: true, queue_position }, false)
        }
        // As the viewer may see it now: grants may have gone since it was accepted.
        Accepted::Replayed(export) => {
            let found = app.store.find(viewer, report, export.id).await?;
            (found.ok_or_else(Error::export_not_found)?, true)
        }
        Accepted::KeyReused => return Err(key_reused()),
        Accepted::QueueFull { limit } => return Err(queue_full(limit)),
        Accepted::ServiceQueueFull { limit } => return Err(service_queue_full(limit)),
        Accepted::StorageFull { limit_bytes } => return Err(no_room(limit_bytes)),
    })
}

/// An id that begins with the time (RFC 9562, version 7), so that those that are accepted together lie
/// together in the store's index; the rest of it is random and counts nothing.
fn new_id(now: Timestamp) -> ExportId {
    let (seconds, micros) = (now.0.div_euclid(1_000_000), now.0.rem_euclid(1_000_000));
    let seconds = u64::try_from(seconds).unwrap_or(0);
    ExportId(Uuid::new_v7(uuid::Timestamp::from_unix(NoContext, seconds, micros as u32 * 1_000)))
}

/// The place among what the viewer may see. The store says the place among all of the tenant; it
/// is asked again for whoever does not see all, unless there is nothing before this one.
async fn visible_position(app: &App, viewer: &Viewer, export: &Export, among_all: u64) -> Result<u64, Error> {
    let sees_all = viewer.role == Role::Admin || viewer.scope.contains(&Scope::everything());
    if sees_all || among_all <= 1 {
        return Ok(among_all);
    }
    let found = app.store.find(viewer, export.report, export.id).await?;
    // Claimed already: as accepted, it was in the queue.
    Ok(found.map_or(1, |visible| visible.queue_position.max(1)))
}

/// The key, if one was sent, under either name.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Error> {
    let invalid = |name: &HeaderName, message: String| {
        Error::new(ErrorCode::InvalidIdempotencyKey, message).target(name.as_str().to_owned())
    };
    let mut found: Option<String> = None;
    for name in &KEY_HEADERS {
        for value in headers.get_all(name) {
            let visible = value.as_bytes().iter().all(u8::is_ascii_graphic);
            if !visible || value.is_empty() || value.len() > KEY_BYTES_MAX {
                return Err(invalid(
                    name,
                    format!("{name} must be 1 to {KEY_BYTES_MAX} visible ASCII characters without blanks."),
                ));
            }
            let key = String::from_utf8_lossy(value.as_bytes()).into_owned();
            match &found {
                Some(other) if *other != key => {
                    let message =
                        "ms-requestid and Idempotency-Key mean the same, and two different values came. Send one.";
                    return Err(invalid(name, message.into()));
                }
                _ => found = Some(key),
            }
        }
    }
    Ok(found)
}

fn key_reused() -> Error {
    let message =
        "This idempotency key was used for another request in the last 24 hours. Take a new key for a new request.";
    Error::new(ErrorCode::IdempotencyKeyReused, message).target("ms-requestid")
}

fn accept_limits(limits: &Limits) -> AcceptLimits {
    AcceptLimits {
        tenant_queue_max: limits.tenant_queue_max,
        queue_max: limits.queue_max,
        tenant_files_bytes: limits.tenant_files_bytes,
    }
}

fn queue_full(limit: u64) -> Error {
    let message = format!(
        "{limit} exports of your tenant are queued, which is the limit (limits.tenant_queue_max). \
         Wait until some have run, or delete some."
    );
    Error::new(ErrorCode::TooManyRequests, message).retry_after(30).limit("tenant_queue_max")
}

fn service_queue_full(limit: u64) -> Error {
    let message = format!("{limit} exports are queued in all, which is the limit (limits.queue_max). Try again later.");
    Error::new(ErrorCode::Unavailable, message).retry_after(30).limit("queue_max")
}

fn no_room(limit_bytes: u64) -> Error {
    let message = format!(
        "The files of your tenant take all the room they may, {limit_bytes} bytes (limits.tenant_files_bytes). \
         Delete exports that you have downloaded, or wait until their retention is over."
    );
    Error::new(ErrorCode::StorageLimit, message).retry_after(60).limit("tenant_files_bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(pairs: &[(&'static str, &str)]) -> Result<Option<String>, ErrorCode> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        idempotency_key(&headers).map_err(|e| e.code())
    }

    #[test]
    fn both_headers_mean_the_same_key() {
        assert_eq!(key(&[]), Ok(None));
        assert_eq!(key(&[("ms-requestid", "a")]), Ok(Some("a".into())));
        assert_eq!(key(&[("ms-requestid", "a"), ("idempotency-key", "a")]), Ok(Some("a".into())));
        for bad in [
            &[("ms-requestid", "a"), ("idempotency-key", "b")][..],
            &[("idempotency-key", "")],
            &[("idempotency-key", "a b")],
            &[("idempotency-key", &"x".repeat(129))],
        ] {
            assert_eq!(key(bad), Err(ErrorCode::InvalidIdempotencyKey), "{bad:?}");
        }
    }
}
