//! GET manifest: what lets finance trust the file, once the Export has ended.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::{HeaderValue, header};
use payouts_model::{ErrorCode, Viewer};
use payouts_package::manifest::{Extras, Manifest};
use payouts_store::Visible;

use crate::app::App;
use crate::http::error::Error;
use crate::http::extract::{Identified, Reported, Viewing};

/// The handler.
pub async fn manifest(
    State(app): State<Arc<App>>,
    Reported(report): Reported,
    Viewing(viewer): Viewing,
    Identified(id): Identified,
) -> Result<Response, Error> {
    let visible = app.store.find(&viewer, report, id).await?.ok_or_else(Error::export_not_found)?;
    let mut response = super::json(document(&app, &viewer, visible).await?.into_bytes());
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    Ok(response)
}

/// The manifest of an Export that the viewer sees.
pub async fn document(app: &App, viewer: &Viewer, visible: Visible) -> Result<String, Error> {
    // An admin sees the state of any Export of the tenant, but totals only by the pairs.
    if !visible.full {
        return Err(Error::export_not_found());
    }
    if !visible.export.status.ended() {
        let retry = super::retry_after_seconds(&visible, app.config.workers, app.clock.now());
        let message = "The manifest is there once the export is Completed or Failed.";
        return Err(Error::new(ErrorCode::NotReady, message).retry_after(retry.unwrap_or(1)));
    }
    let export = visible.export;
    match (app.store.manifest(viewer, export.report, export.id).await?, export.failure.clone()) {
        (Some(document), _) => Ok(document),
        // Given up without a worker at hand to write one: what is known is in the row.
        (None, Some(failure)) => Ok(Manifest::failed(&export, failure, Extras::default()).to_json()),
        (None, None) => Err(Error::broken(format!("completed export {} has no manifest", export.id))),
    }
}
