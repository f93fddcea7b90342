//! The API page at `/docs/` and the machine-readable description at `/openapi.json`. Both public;
//! the page's assets are inside the binary, and it asks no other host for anything.

use std::sync::Arc;

use axum::extract::{RawPathParams, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::{HeaderName, HeaderValue, header};
use utoipa_swagger_ui::{Config, serve};

use super::base_url::BaseUrl;
use super::error::Error;
use super::{extract, openapi};
use crate::app::App;

/// What the page may load: itself. Styles are inline in the vendored page, and so are some images.
const POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// `/openapi.json`.
pub async fn openapi_json(State(app): State<Arc<App>>, base: BaseUrl) -> Response {
    let document = openapi::document(&app.catalog, &base.0);
    super::exports::json(serde_json::to_vec(&document).expect("a document is always JSON"))
}

/// `/docs` without a slash would resolve the page's own links one level too high.
pub async fn to_page(base: BaseUrl) -> Redirect {
    Redirect::temporary(&base.join("/docs/"))
}

/// `/docs/` and everything below it.
pub async fn page(
    params: Result<RawPathParams, axum::extract::rejection::RawPathParamsRejection>,
) -> Result<Response, Error> {
    let params = params.map_err(|_| extract::path_not_found())?;
    let rest = params.iter().find(|(name, _)| *name == "rest").map_or("", |(_, value)| value);
    // Relative, so that the page works behind any path prefix.
    let config =
        Config::new(["../openapi.json"]).validator_url("none").try_it_out_enabled(true).display_request_duration(true);
    let file = serve(rest, Arc::new(config)).map_err(|e| Error::broken(format!("API page: {e}")))?;
    let file = file.ok_or_else(extract::path_not_found)?;
    let content_type =
        HeaderValue::from_str(&file.content_type).unwrap_or(HeaderValue::from_static("application/octet-stream"));
    let mut response = ([(header::CONTENT_TYPE, content_type)], file.bytes.into_owned()).into_response();
    let own = response.headers_mut();
    own.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    own.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
    own.insert(HeaderName::from_static("x-frame-options"), HeaderValue::from_static("DENY"));
    if file.gzpipped {
        own.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    Ok(response)
}
