//! What callers are told when a request is refused, and what stays inside.
//!
//! Two audiences: code, message, target and details are for the caller; `context` is for the log
//! and has no way into a body. An [`Error`] is not rendered where it arises: it travels in the
//! response's extensions to [`super::envelope`], which knows the request id, logs the context once
//! and writes the body.

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};
use payouts_model::ErrorCode;
use serde::Serialize;

use crate::auth::Rejection;

/// One entry of `details`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Detail {
    /// The code again, or a finer one.
    pub code: String,
    /// What, in words.
    pub message: String,
    /// What it is about.
    pub target: String,
    /// Where in the text as the caller sent it, decoded, in characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<usize>,
    /// How long, in characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub length: Option<usize>,
    /// What could stand there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub expected: Vec<String>,
    /// The nearest right names or values.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nearest: Vec<String>,
}

/// A refusal: what the caller is told, and apart from it what only the log is told.
#[derive(Clone, Debug)]
pub struct Error {
    code: ErrorCode,
    message: Box<str>,
    target: Option<Box<str>>,
    details: Vec<Detail>,
    headers: Vec<(HeaderName, HeaderValue)>,
    limit: Option<&'static str>,
    context: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// A refusal with a message for the caller: what is wrong, and what would be right.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into().into_boxed_str(),
            target: None,
            details: Vec::new(),
            headers: Vec::new(),
            limit: None,
            context: None,
        }
    }

    /// Something broke inside: the caller learns no more than that.
    pub fn internal(context: impl std::error::Error + Send + Sync + 'static) -> Self {
        let message = "Something broke inside the service. Try again; if it stays, give the operator the request id.";
        Self { context: Some(Arc::new(context)), ..Self::new(ErrorCode::Internal, message) }
    }

    /// The same for a broken invariant that has no error value of its own.
    pub fn broken(context: impl Into<String>) -> Self {
        #[derive(Debug, thiserror::Error)]
        #[error("{0}")]
        struct Broken(String);
        Self::internal(Broken(context.into()))
    }

    /// A part is out of reach for now.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Unavailable, message).retry_after(1)
    }

    /// There is no such Export, or the caller may not see it: the two are never told apart.
    pub fn export_not_found() -> Self {
        Self::new(
            ErrorCode::ExportNotFound,
            "There is no such export for you: it was never made, was deleted, or holds more than you may see.",
        )
    }

    /// What the refusal is about: a parameter, a header.
    #[must_use]
    pub fn target(mut self, target: impl Into<String>) -> Self {
        self.target = Some(target.into().into_boxed_str());
        self
    }

    /// Adds a detail.
    #[must_use]
    pub fn detail(mut self, detail: Detail) -> Self {
        self.details.push(detail);
        self
    }

    /// Adds a header to the answer.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Says when to try again.
    #[must_use]
    pub fn retry_after(self, seconds: u64) -> Self {
        self.header(http::header::RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// The limit that was reached, by its name in `[limits]`: for the metrics.
    #[must_use]
    pub fn limit(self, name: &'static str) -> Self {
        Self { limit: Some(name), ..self }
    }

    /// The limit that was reached, if that is why.
    pub fn limit_reached(&self) -> Option<&'static str> {
        self.limit
    }

    /// The code.
    pub fn code(&self) -> ErrorCode {
        self.code
    }

    /// The message for the caller.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What only the log is told.
    pub fn context(&self) -> Option<&(dyn std::error::Error + Send + Sync)> {
        self.context.as_deref()
    }

    /// The OData body. What is wrong stands in the details too, for those who read only these.
    pub fn body(&self, request_id: &str) -> Bytes {
        let general = self.target.as_ref().filter(|_| self.details.is_empty()).map(|target| Detail {
            code: self.code.to_string(),
            message: self.message.to_string(),
            target: target.to_string(),
            ..Detail::default()
        });
        let details = general.as_ref().map_or(self.details.as_slice(), std::slice::from_ref);
        let body = ErrorBody {
            error: ErrorView {
                code: self.code,
                message: &self.message,
                target: self.target.as_deref(),
                details,
                innererror: InnerError { request_id },
            },
        };
        serde_json::to_vec(&body).expect("texts are always JSON").into()
    }
}

/// The body of every error: OData v4.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Error)]
pub struct ErrorBody<'a> {
    error: ErrorView<'a>,
}

/// What is inside of it.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = ErrorDetails)]
struct ErrorView<'a> {
    /// One of the documented codes.
    #[schema(value_type = String)]
    code: ErrorCode,
    /// For people.
    message: &'a str,
    /// The parameter or header that is wrong.
    target: Option<&'a str>,
    /// More, for programs.
    details: &'a [Detail],
    innererror: InnerError<'a>,
}

/// Where to ask on.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
struct InnerError<'a> {
    /// The same as the `Request-ID` header.
    request_id: &'a str,
}

/// An error on its way to the envelope.
#[derive(Clone, Debug)]
pub(crate) struct Refused(pub Arc<Error>);

/// The body that an error gets in place of the OData one: the page's errors are pages.
#[derive(Clone, Debug)]
pub(crate) struct Shown(pub String);

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.code.status()).expect("the table holds valid status codes");
        let mut response = status.into_response();
        for (name, value) in &self.headers {
            response.headers_mut().insert(name.clone(), value.clone());
        }
        response.extensions_mut().insert(Refused(Arc::new(self)));
        response
    }
}

impl From<Rejection> for Error {
    fn from(Rejection { code, message, www_authenticate, retry_after_seconds, limit }: Rejection) -> Self {
        let mut error = Self { limit, ..Self::new(code, message) };
        if let Some(challenge) = www_authenticate {
            error = error.header(http::header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        match retry_after_seconds {
            Some(seconds) => error.retry_after(seconds),
            None => error,
        }
    }
}

impl From<payouts_store::Error> for Error {
    fn from(error: payouts_store::Error) -> Self {
        Self::internal(error)
    }
}

impl From<payouts_blob::Error> for Error {
    fn from(error: payouts_blob::Error) -> Self {
        match error {
            payouts_blob::Error::NotFound => Self::file_not_found(),
            error => Self::internal(error),
        }
    }
}

impl From<payouts_ledger::Error> for Error {
    fn from(error: payouts_ledger::Error) -> Self {
        match &error {
            payouts_ledger::Error::Missing { report, .. } => {
                let message =
                    format!("There is no {report} data yet. The operator puts it there with `payouts import`.");
                Self { context: Some(Arc::new(error)), ..Self::unavailable(message).retry_after(30) }
            }
            _ => Self::internal(error),
        }
    }
}

impl From<payouts_engine::Error> for Error {
    fn from(error: payouts_engine::Error) -> Self {
        match &error {
            payouts_engine::Error::MemoryLimit { .. } => {
                let message = "The service has no memory free for this now. Try again, or narrow the filter.";
                Self { context: Some(Arc::new(error)), ..Self::unavailable(message).retry_after(5) }
            }
            _ => Self::internal(error),
        }
    }
}

impl Error {
    /// The file of a link is gone.
    pub fn file_not_found() -> Self {
        Self::new(
            ErrorCode::FileNotFound,
            "The file is gone: its export was deleted, or its retention is over. Queue a new export for a new file.",
        )
    }

    /// A filter that was refused. `target` is `$filter` or the parameter it came in.
    pub fn from_filter(error: payouts_filter::Error, target: &str) -> Self {
        let payouts_filter::Error { code, message, offset, length, expected, nearest } = error;
        let detail = Detail {
            code: code.to_string(),
            message: message.clone(),
            target: target.to_owned(),
            offset: Some(offset),
            length: Some(length),
            expected,
            nearest,
        };
        Self::new(code, message).target(target).detail(detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_error_says_where_and_what_was_expected() {
        let error = payouts_filter::Error {
            code: ErrorCode::FilterUnknownField,
            message: "payments has no field 'payoutStatsTS'".into(),
            offset: 4,
            length: 13,
            expected: vec![],
            nearest: vec!["payoutStatusUpdateTS".into()],
        };
        let body = Error::from_filter(error, "$filter").body("9b2f0a52-3c1d-4a8e-9e55-0c6f5c2a7d10");
        insta::assert_snapshot!(String::from_utf8(body.to_vec()).unwrap(), @r#"{"error":{"code":"FilterUnknownField","message":"payments has no field 'payoutStatsTS'","target":"$filter","details":[{"code":"FilterUnknownField","message":"payments has no field 'payoutStatsTS'","target":"$filter","offset":4,"length":13,"nearest":["payoutStatusUpdateTS"]}],"innererror":{"requestId":"9b2f0a52-3c1d-4a8e-9e55-0c6f5c2a7d10"}}}"#);
    }

    #[test]
    fn the_caller_learns_nothing_of_the_context() {
        let error = Error::broken("password of the database is hunter2");
        let body = String::from_utf8(error.body("r").to_vec()).unwrap();
        assert!(body.contains("\"code\":\"Internal\"") && !body.contains("hunter2"), "{body}");
        assert!(error.context().unwrap().to_string().contains("hunter2"));
    }
}
