//! What is around every page: the policy that browsers hold it to, and errors as pages.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderName, HeaderValue, StatusCode, header};
use payouts_model::ErrorCode;

use super::layout::{self, Shell};
use crate::app::App;
use crate::http::envelope::RequestId;
use crate::http::error::{Refused, Shown};

/// A page loads what this service serves, and nothing else; it runs no script but the files, and
/// stands in no frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// Headers of every page, in the order they are set.
const HEADERS: [(HeaderName, &str); 4] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    // With `no-referrer` a browser would not say of which origin a form is.
    (header::REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("x-frame-options"), "DENY"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// An error, as a page.
#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    shell: Shell,
    title: &'static str,
    message: &'a str,
    code: &'static str,
    request_id: &'a str,
    /// Signing in may help.
    sign_in: bool,
}

/// The middleware around every route of the page.
pub async fn frame(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let session = app.page.sessions.of(&app.config, request.headers(), app.clock.now());
    let request_id = request.extensions().get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default();
    let mut response = next.run(request).await;
    if let Some(Refused(error)) = response.extensions().get::<Refused>().cloned() {
        let page = ErrorPage {
            shell: Shell::new(&app, session.as_deref()),
            title: title(error.code()),
            message: error.message(),
            code: error.code().as_str(),
            request_id: &request_id,
            sign_in: error.code() == ErrorCode::Unauthenticated,
        };
        match layout::text(&page) {
            Ok(html) => drop(response.extensions_mut().insert(Shown(html))),
            // The envelope then writes the error as the API does.
            Err(error) => tracing::error!(message = error.message(), "an error page cannot be rendered"),
        }
    }
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    if response.status() == StatusCode::UNAUTHORIZED {
        // A browser that is asked for credentials would show a window of its own.
        response.headers_mut().remove(header::WWW_AUTHENTICATE);
    }
    response
}

/// What happened, in a few words.
fn title(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::Unauthenticated => "You are not signed in",
        ErrorCode::NoGrants => "Nothing is shared with you yet",
        ErrorCode::InsufficientScope | ErrorCode::NotTheOwner | ErrorCode::ParticipantNotGranted => {
            "You may not do this"
        }
        ErrorCode::ExportNotFound | ErrorCode::PathNotFound => "There is nothing here",
        ErrorCode::FileNotFound => "The file is gone",
        ErrorCode::TooManyRequests | ErrorCode::StorageLimit => "Too much at once",
        ErrorCode::Unavailable | ErrorCode::PreviewTimeout => "Not just now",
        ErrorCode::NotReady => "Not ready yet",
        ErrorCode::ExportHeld => "This request is held",
        _ if code.status() >= 500 => "Something broke",
        _ => "This did not work",
    }
}
