//! The form that asks for an export.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use payouts_model::{ErrorCode, FileFormat, ReportName};

use super::layout::{self, Shell};
use super::session::{NoVisit, Posted, Visit};
use crate::app::App;
use crate::http::Error;
use crate::http::exports::asked::Asked;
use crate::http::exports::create::accept;
use crate::http::params::ExportParams;

#[derive(Template)]
#[template(path = "form.html")]
struct Form<'a> {
    shell: &'a Shell,
    formats: Vec<String>,
    /// An idempotency key: sending the form twice asks once.
    key: String,
}

/// The form as HTML, for the first page. `raw_query` is that of the page's address.
pub async fn slot(_app: &App, visit: &Visit, _raw_query: &str) -> Result<String, Error> {
    let formats = FileFormat::ALL.iter().map(FileFormat::to_string).collect();
    layout::text(&Form { shell: &visit.shell, formats, key: uuid::Uuid::new_v4().to_string() })
}

/// `POST /exports`: asks, and leads to the list.
pub async fn ask(State(app): State<Arc<App>>, posted: Posted) -> Result<Response, NoVisit> {
    let now = app.clock.now();
    let given = |name: &str| posted.field(name).map(str::trim).filter(|v| !v.is_empty()).map(str::to_owned);
    let report = given("report").unwrap_or_default().parse::<ReportName>();
    let report = report.map_err(|message| Error::new(ErrorCode::InvalidParameter, message).target("report"))?;
    let params = ExportParams {
        filter: given("filter"),
        format: given("format").as_deref().and_then(FileFormat::parse),
        time_zone: given("timeZone"),
        ..ExportParams::default()
    };
    let viewer = &posted.visit.viewer;
    let asked = Asked::of_params(&app, report, viewer, &params, now)?;
    let (visible, _) = accept(&app, viewer, asked, given("key"), now).await?;
    let to = posted.visit.shell.url(&format!("/?asked={}#requests", visible.export.id));
    Ok(Redirect::to(&to).into_response())
}
