//! The files behind links: the stored bytes, never encoded, whole or by range.
//!
//! Invariants: a link's signature, its end, the Export and its viewer's grants are all checked at
//! every request; no byte leaves before the audit record says that it is about to; no `Content-Encoding` is ever set; the ETag is strong and stays as long as the
//! file. Clients of Azure Storage read from here as from a block blob.

pub mod range;
mod trail;
mod watched;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use futures::TryStreamExt;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use payouts_blob::BlobName;
use payouts_model::export::FileInfo;
use payouts_model::{ErrorCode, Export, ReportName, Status, Timestamp, Viewer};

use self::range::{Validators, Verdict, Wanted};
use self::trail::Download;
use self::watched::Watched;
use super::envelope::RequestId;
use super::error::Error;
use super::links;
use super::places::NoPlace;
use super::wire::RawText;
use crate::app::App;

/// The version of the storage protocol that answers are shaped after.
const X_MS_VERSION_VALUE: &str = "2021-12-02";
const X_MS_VERSION: HeaderName = HeaderName::from_static("x-ms-version");
const X_MS_BLOB_TYPE: HeaderName = HeaderName::from_static("x-ms-blob-type");
const X_MS_ERROR_CODE: HeaderName = HeaderName::from_static("x-ms-error-code");
const X_MS_REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-request-id");
const X_MS_CLIENT_REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-client-request-id");

/// The handler of GET and HEAD.
pub async fn file(
    State(app): State<Arc<App>>,
    method: Method,
    path: Result<Path<Vec<(String, String)>>, PathRejection>,
    RawText(raw_query): RawText,
    axum::Extension(RequestId(request_id)): axum::Extension<RequestId>,
    headers: HeaderMap,
) -> Response {
    let path = path.map(|Path(parts)| parts).unwrap_or_default();
    let part = |name: &str| path.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value);
    let asked =
        Asked { method: &method, file: part("file"), name: part("name"), query: &raw_query, request: &request_id };
    let mut response = match answer(&app, &asked, &headers).await {
        Ok(response) => response,
        Err(error) => storage_error(error),
    };
    let own = response.headers_mut();
    own.insert(X_MS_VERSION, HeaderValue::from_static(X_MS_VERSION_VALUE));
    if let Ok(value) = HeaderValue::from_str(&request_id) {
        own.insert(X_MS_REQUEST_ID, value);
    }
    if let Some(value) = headers.get(&X_MS_CLIENT_REQUEST_ID).filter(|v| v.len() <= 256) {
        own.insert(X_MS_CLIENT_REQUEST_ID, value.clone());
    }
    own.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    own.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// What a request for a file says, unverified.
#[derive(Clone, Copy, Debug)]
struct Asked<'a> {
    method: &'a Method,
    file: &'a str,
    name: &'a str,
    query: &'a str,
    /// The Request-ID.
    request: &'a str,
}

async fn answer(app: &Arc<App>, asked: &Asked<'_>, headers: &HeaderMap) -> Result<Response, Error> {
    let now = app.clock.now();
    let changes = app.signals.changes();
    let (viewer, export, file) = open(app, asked, now).await?;
    let validators = validators(&export, &file);
    match validators.verdict(headers) {
        Verdict::Send => {}
        Verdict::NotModified => return Ok(with_validators(StatusCode::NOT_MODIFIED.into_response(), &validators)),
        Verdict::Failed => {
            let message = "The file is not the one that If-Match or If-Unmodified-Since names.";
            return Err(Error::new(ErrorCode::PreconditionFailed, message));
        }
    }
    let size = file.size_bytes;
    let (status, bytes) = match validators.wanted(headers, size) {
        Wanted::Whole => (StatusCode::OK, 0..size),
        Wanted::Part(bytes) => (StatusCode::PARTIAL_CONTENT, bytes),
        Wanted::Unsatisfiable => return Err(unsatisfiable(size)),
    };
    let body = if asked.method == Method::HEAD {
        Body::empty()
    } else {
        let place = app.http.downloads.enter(&export.tenant).map_err(too_many)?;
        let name = BlobName::ExportFile { export: export.id, fence: file.fence };
        let what = Watched {
            tenant: export.tenant.clone(),
            principal: viewer.principal.clone(),
            report: export.report,
            export: export.id,
            fence: file.fence,
        };
        let pieces = app.blobs.read(name, bytes.clone()).await?;
        let stream = watched::watched(app, what, pieces, changes, place).inspect_err(|error| match error {
            // The headers are gone: the connection breaks, which the client sees as a short read.
            watched::Broken::Gone => tracing::info!("a download was cut off: {error}"),
            watched::Broken::Blob(error) => tracing::error!(error = %error, "a download broke"),
        });
        let download = Download { export: export.id, by: (&viewer).into(), request: asked.request.to_owned() };
        Body::from_stream(trail::recorded(app, download, bytes.clone(), stream).await?)
    };
    let mut response = with_validators((status, body).into_response(), &validators);
    let own = response.headers_mut();
    own.insert(header::CONTENT_TYPE, HeaderValue::from_static(file.format.content_type()));
    own.insert(header::CONTENT_LENGTH, HeaderValue::from(bytes.end - bytes.start));
    if status == StatusCode::PARTIAL_CONTENT {
        let text = format!("bytes {}-{}/{size}", bytes.start, bytes.end - 1);
        own.insert(header::CONTENT_RANGE, HeaderValue::from_str(&text).expect("digits are a header value"));
    }
    own.insert(header::CONTENT_DISPOSITION, disposition(&file.download_name));
    own.insert(X_MS_BLOB_TYPE, HeaderValue::from_static("BlockBlob"));
    Ok(response)
}

/// Who may have which file: the link, then the Export, then the viewer's grants as they are now.
async fn open(app: &App, asked: &Asked<'_>, now: Timestamp) -> Result<(Viewer, Export, FileInfo), Error> {
    let link = links::verify(app, asked.file, asked.name, asked.query, now)?;
    let viewer = links::viewer(app, &link, now).await?;
    for report in ReportName::ALL {
        let Some(visible) = app.store.find(&viewer, report, link.export).await? else { continue };
        let export = visible.export;
        let there = export.status == Status::Completed && !export.file_expired(now);
        let file = export.file.clone().filter(|f| visible.full && there && f.fence == link.fence);
        return file.map(|file| (viewer, export, file)).ok_or_else(Error::file_not_found);
    }
    Err(Error::file_not_found())
}

fn too_many(no_place: NoPlace) -> Error {
    match no_place {
        NoPlace::Tenant(max) => Error::new(
            ErrorCode::TooManyRequests,
            format!("{max} downloads of your tenant are under way, which is the limit (limits.tenant_downloads_max). Wait for one to end."),
        )
        .retry_after(5)
        .limit("tenant_downloads_max"),
        NoPlace::All(max) => Error::new(
            ErrorCode::Unavailable,
            format!("{max} downloads are under way, which is the limit (limits.downloads_max). Try again."),
        )
        .retry_after(5)
        .limit("downloads_max"),
    }
}

fn validators(export: &Export, file: &FileInfo) -> Validators {
    // The digest alone would do; the fence keeps attempts apart even if their bytes are equal.
    let digest: String = file.sha256.chars().take(32).collect();
    Validators {
        etag: format!("\"{digest}-{}\"", file.fence),
        modified_at: export.ended_at.unwrap_or(export.created_at),
    }
}

fn with_validators(mut response: Response, validators: &Validators) -> Response {
    let own = response.headers_mut();
    for (name, text) in [(header::ETAG, validators.etag.clone()), (header::LAST_MODIFIED, validators.last_modified())] {
        own.insert(name, HeaderValue::from_str(&text).expect("hex, digits and dates are header values"));
    }
    own.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    response
}

fn disposition(name: &str) -> HeaderValue {
    let safe: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' }).collect();
    HeaderValue::from_str(&format!("attachment; filename=\"{safe}\"")).expect("a safe name is a header value")
}

fn unsatisfiable(size: u64) -> Error {
    let text = HeaderValue::from_str(&format!("bytes */{size}")).expect("digits are a header value");
    Error::new(ErrorCode::RangeNotSatisfiable, format!("The range lies outside the file, which has {size} bytes."))
        .header(header::CONTENT_RANGE, text)
}

/// Azure Storage clients read the reason from a header of its own.
fn storage_error(error: Error) -> Response {
    let code = match error.code() {
        ErrorCode::RangeNotSatisfiable => "InvalidRange",
        ErrorCode::PreconditionFailed => "ConditionNotMet",
        ErrorCode::FileNotFound => "BlobNotFound",
        ErrorCode::LinkExpired | ErrorCode::LinkInvalid => "AuthenticationFailed",
        ErrorCode::Unavailable | ErrorCode::TooManyRequests => "ServerBusy",
        _ => "InternalError",
    };
    let mut response = error.into_response();
    response.headers_mut().insert(X_MS_ERROR_CODE, HeaderValue::from_static(code));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_downloads_are_harmless() {
        assert_eq!(disposition("payments-2026.csv.gz"), "attachment; filename=\"payments-2026.csv.gz\"");
        assert_eq!(disposition("a\"b\r\n/é"), "attachment; filename=\"a_b____\"");
    }
}
