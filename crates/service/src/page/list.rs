//! The first page: the form to ask with, and below it the list of requests.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::form;
use super::layout::{self, Shell};
use super::session::{NoVisit, Visit};
use crate::app::App;
use crate::http::wire::RawText;

/// The first page.
#[derive(Template)]
#[template(path = "list.html")]
struct HomePage {
    shell: Shell,
    /// The form, as HTML.
    form: String,
}

/// `GET /`.
pub async fn home(State(app): State<Arc<App>>, visit: Visit, RawText(raw_query): RawText) -> Result<Response, NoVisit> {
    let form = form::slot(&app, &visit, &raw_query).await?;
    Ok(layout::page(&HomePage { shell: visit.shell, form })?)
}
