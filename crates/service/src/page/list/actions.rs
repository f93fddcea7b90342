//! What can be done with a request: download, manifest, run again, delete. All but the first two are
//! POSTs of a form that lead back to the list; deleting is confirmed on a page of its own.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use http::{HeaderValue, header};
use payouts_model::ReportName;
use payouts_store::Visible;

use super::row::may_delete;
use crate::app::App;
use crate::http::Error;
use crate::http::exports::asked::Asked;
use crate::http::exports::{create, delete as delete_export, manifest as manifest_of};
use crate::http::extract::Identified;
use crate::http::links;
use crate::http::params::ExportParams;
use crate::page::labels;
use crate::page::layout::{self, Shell, When};
use crate::page::session::{NoVisit, Posted, Visit};

/// A request that the visitor may see, of whichever report it is.
pub async fn find(app: &App, visit: &Visit, id: Identified) -> Result<Visible, Error> {
    for report in ReportName::ALL {
        if let Some(visible) = app.store.find(&visit.viewer, report, id.0).await? {
            return Ok(visible);
        }
    }
    Err(Error::export_not_found())
}

/// `GET /exports/{id}/download`: to a link that was made just now.
pub async fn download(State(app): State<Arc<App>>, visit: Visit, id: Identified) -> Result<Response, NoVisit> {
    let visible = find(&app, &visit, id).await?;
    let link = links::file_link(&app, &visit.base, &visit.viewer, &visible, app.clock.now());
    let link = link.ok_or_else(Error::file_not_found)?;
    Ok(Redirect::to(&link.url).into_response())
}

/// `GET /exports/{id}/manifest`: the document itself, to keep beside the file.
pub async fn manifest(State(app): State<Arc<App>>, visit: Visit, id: Identified) -> Result<Response, NoVisit> {
    let visible = find(&app, &visit, id).await?;
    let text = manifest_of::document(&app, &visit.viewer, visible).await?;
    let disposition = format!("attachment; filename=\"manifest-{}.json\"", id.0);
    let disposition = HeaderValue::from_str(&disposition).expect("a GUID is a header value");
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::CONTENT_DISPOSITION, disposition),
        (header::CACHE_CONTROL, HeaderValue::from_static("private, no-store")),
    ];
    Ok((headers, text).into_response())
}

/// `POST /exports/{id}/again`: the same, over the data as they are now. What is relative in the
/// filter, such as the default window, counts from now on.
pub async fn again(State(app): State<Arc<App>>, id: Identified, posted: Posted) -> Result<Response, NoVisit> {
    let visit = &posted.visit;
    let now = app.clock.now();
    let export = find(&app, visit, id).await?.export;
    let query = export.query;
    let params = ExportParams {
        filter: Some(query.text).filter(|text| !text.trim().is_empty()),
        format: Some(query.format),
        select: Some(query.columns.join(",")).filter(|columns| !columns.is_empty()),
        time_zone: Some(query.time_zone),
        ..ExportParams::default()
    };
    let asked = Asked::of_params(&app, export.report, &visit.viewer, &params, now)?;
    create::accept(&app, &visit.viewer, asked, None, now).await?;
    Ok(Redirect::to(&visit.shell.url("/?done=again#requests")).into_response())
}

/// Asks whether it is meant.
#[derive(Template)]
#[template(path = "delete.html")]
struct DeletePage {
    shell: Shell,
    id: String,
    report: &'static str,
    words: String,
    asked_at: When,
    /// It has not ended: deleting cancels it.
    moving: bool,
    file: bool,
}

/// `GET /exports/{id}/delete`.
pub async fn confirm(State(app): State<Arc<App>>, visit: Visit, id: Identified) -> Result<Response, NoVisit> {
    let export = find(&app, &visit, id).await?.export;
    if !may_delete(&visit.viewer, &export) {
        return Err(delete_export::refused(&export).into());
    }
    Ok(layout::page(&DeletePage {
        id: export.id.to_string(),
        report: labels::report(export.report),
        words: app.page.words.of(app.catalog.report(export.report), &export),
        asked_at: When::new(export.created_at),
        moving: !export.status.ended(),
        file: export.file.is_some(),
        shell: visit.shell,
    })?)
}

/// `POST /exports/{id}/delete`.
pub async fn delete(State(app): State<Arc<App>>, id: Identified, posted: Posted) -> Result<Response, NoVisit> {
    let visit = &posted.visit;
    let export = find(&app, visit, id).await?.export;
    delete_export::forget(&app, &visit.viewer, export.report, export.id, app.clock.now()).await?;
    Ok(Redirect::to(&visit.shell.url("/?done=deleted#requests")).into_response())
}
