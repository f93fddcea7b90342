//! What is around every answer: the request id, the three echoed headers, limits, the Host check,
//! the body of errors, a caught panic, one line of log.
//!
//! Invariants: every answer that leaves here has a `Request-ID`; every error that leaves here has
//! an OData body with the same id; a line of log names method, route and status, never a query, a
//! token, a filter or a body.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use payouts_model::ErrorCode;
use tracing::Instrument;

use super::error::{Error, Refused, Shown};
use super::standing::Standing;
use super::{base_url, router};
use crate::app::App;
use crate::{metrics, traces};

/// The answer's id for the call.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");

/// The limits that rule the caller, and how the caller's own stands.
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// Headers that come back as they were sent.
const ECHOED: [HeaderName; 3] = [
    HeaderName::from_static("client-request-id"),
    HeaderName::from_static("ms-correlationid"),
    HeaderName::from_static("ms-requestid"),
];

/// The longest value that is echoed.
const ECHOED_BYTES_MAX: usize = 4096;

/// The id of this request: in the answer's header, in error bodies and in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(pub String);

/// The middleware around every route and the fallbacks.
pub async fn envelope(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let began = Instant::now();
    let id = uuid::Uuid::new_v4().to_string();
    let echoed = echoed(request.headers());
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map_or("-", MatchedPath::as_str).to_owned();
    let span = tracing::info_span!("request", request.id = %id, http.method = %method, http.route = %route);
    traces::join(&span, request.headers().get(traces::HEADER).and_then(|value| value.to_str().ok()));
    request.extensions_mut().insert(RequestId(id.clone()));

    let standing = Standing::default();
    let admitted = AssertUnwindSafe(admitted(&app, request, next, &standing)).catch_unwind();
    let answer = admitted.instrument(span.clone()).await;
    let _entered = span.enter();
    let answer =
        answer.unwrap_or_else(|panic| Error::broken(format!("panic: {}", panic_text(&*panic))).into_response());
    let mut answer = with_error_body(answer, &id);

    let headers = answer.headers_mut();
    headers.insert(REQUEST_ID, HeaderValue::from_str(&id).expect("a GUID is a header value"));
    for (name, value) in echoed {
        headers.insert(name, value);
    }
    if let Some(caller) = standing.caller() {
        let [policy, left] = app.tokens.rate_headers(&caller, &method, app.clock.now());
        headers.insert(RATE_LIMIT_POLICY, policy);
        headers.insert(RATE_LIMIT, left);
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.entry(header::REFERRER_POLICY).or_insert(HeaderValue::from_static("no-referrer"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let took = began.elapsed();
    metrics::request_answered(router::known(&route), method_label(&method), answer.status().as_u16(), took);
    tracing::info!(http.status = answer.status().as_u16(), duration_ms = took.as_millis() as u64, "answered");
    answer
}

/// Methods as a metric's label: a caller must not be able to make up labels.
fn method_label(method: &http::Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "DELETE" => "DELETE",
        _ => "other",
    }
}

/// Lets the request in, if it keeps to the limits and is for this service, and bounds its time.
async fn admitted(app: &Arc<App>, mut request: Request, next: Next, standing: &Standing) -> Response {
    match app.http.wire.take(request.headers_mut()) {
        Ok(Some(query)) => {
            request.extensions_mut().insert(query);
        }
        Ok(None) => {}
        Err(refusal) => return refusal.into_response(),
    }
    if let Err(refusal) = check_headers(request.headers(), app.config.limits.header_bytes) {
        return refusal.into_response();
    }
    if let Err(refusal) = base_url::check_host(&app.config, request.version(), request.headers(), request.uri()) {
        return refusal.into_response();
    }
    let Ok(permit) = app.http.in_flight.clone().try_acquire_owned() else {
        let message = "The service is answering as many requests as it may (limits.in_flight_max). Try again.";
        return Error::unavailable(message).limit("in_flight_max").into_response();
    };
    standing.begin(permit);
    request.extensions_mut().insert(standing.clone());
    let wait = super::exports::get::prefer_wait_seconds(request.headers()).unwrap_or(0);
    let limit = Duration::from_secs(app.config.limits.request_seconds + wait);
    let answered = tokio::time::timeout(limit, next.run(request)).await;
    standing.leave();
    match answered {
        Ok(answer) => answer,
        Err(_) => Error::unavailable(format!(
            "The answer took longer than {} s (limits.request_seconds) and was given up. Try again.",
            limit.as_secs()
        ))
        .limit("request_seconds")
        .into_response(),
    }
}

fn check_headers(headers: &HeaderMap, bytes_max: usize) -> Result<(), Error> {
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if bytes <= bytes_max {
        return Ok(());
    }
    let message = format!(
        "The headers have {bytes} bytes; the limit is {bytes_max} (limits.header_bytes). Send fewer or shorter ones."
    );
    Err(Error::new(ErrorCode::HeadersTooLarge, message).limit("header_bytes"))
}

/// The headers to send back: only visible ASCII, so that nothing odd is ever reflected.
fn echoed(headers: &HeaderMap) -> Vec<(HeaderName, HeaderValue)> {
    let safe = |value: &&HeaderValue| {
        (1..=ECHOED_BYTES_MAX).contains(&value.len()) && value.as_bytes().iter().all(|b| (0x20..0x7f).contains(b))
    };
    ECHOED.into_iter().filter_map(|name| headers.get(&name).filter(safe).cloned().map(|value| (name, value))).collect()
}

/// Writes the body of an error and logs what only the log is told.
fn with_error_body(mut answer: Response, id: &str) -> Response {
    let Some(Refused(error)) = answer.extensions_mut().remove::<Refused>() else {
        return answer;
    };
    metrics::request_refused(error.code(), error.limit_reached());
    if let Some(context) = error.context() {
        tracing::error!(error.code = %error.code(), error.chain = %chain(context), "failed");
    } else {
        tracing::debug!(error.code = %error.code(), "refused");
    }
    let (mut parts, _) = answer.into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    let (content_type, body) = match parts.extensions.remove::<Shown>() {
        Some(Shown(html)) => ("text/html; charset=utf-8", html.into()),
        None => ("application/json", error.body(id)),
    };
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    Response::from_parts(parts, Body::from(body))
}

/// An error and its causes in one line, for the log.
pub fn chain(error: &(dyn std::error::Error + Send + Sync)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (_, Some(text)) => text.clone(),
        _ => "of an unknown kind".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_values_are_echoed() {
        let mut headers = HeaderMap::new();
        headers.insert("client-request-id", HeaderValue::from_static("abc 1"));
        headers.insert("ms-correlationid", HeaderValue::from_bytes(b"\xff").unwrap());
        headers.insert("ms-requestid", HeaderValue::from_str(&"x".repeat(4097)).unwrap());
        let names: Vec<_> = echoed(&headers).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["client-request-id"]);
    }

    #[test]
    fn headers_have_a_limit() {
        let mut headers = HeaderMap::new();
        headers.insert("x", HeaderValue::from_str(&"x".repeat(995)).unwrap());
        assert!(check_headers(&headers, 1000).is_ok());
        assert_eq!(check_headers(&headers, 999).unwrap_err().code(), ErrorCode::HeadersTooLarge);
    }
}
