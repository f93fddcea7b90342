//! `POST /exports`: asks for the file that the form says, by the code of the API.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use http::{HeaderMap, StatusCode, header};
use payouts_model::chunk::ROWS_PER_ENTRY_MAX;
use payouts_model::{FileFormat, Viewer};
use serde::Serialize;

use super::Opened;
use super::entry::{Choice, Problem, names};
use crate::app::App;
use crate::http::Error;
use crate::http::exports::asked::Asked;
use crate::http::exports::create::accept;
use crate::http::exports::json;
use crate::page::preview;
use crate::page::session::{NoVisit, Posted};

/// What a script is answered.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct AskedView {
    /// The Export's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    /// What is wrong with the form.
    problems: Vec<Problem>,
}

/// Asks, and leads to the list; a form that is wrong is shown again, as it was.
pub async fn ask(State(app): State<Arc<App>>, headers: HeaderMap, posted: Posted) -> Result<Response, NoVisit> {
    let Posted { visit, fields } = posted;
    let script = wants_json(&headers);
    let opened = Opened::read(&app, &fields)?;
    let key = fields.iter().find(|(name, _)| name == "key").map_or("", |(_, value)| value);
    let opened = match &opened.choice {
        Err(_) => opened,
        Ok(choice) => match accepted(&app, &visit.viewer, &opened, choice, key).await {
            Ok(id) if script => return Ok(answer(StatusCode::OK, Some(id), Vec::new())),
            Ok(id) => {
                let to = visit.shell.url(&format!("/?asked={id}#requests"));
                return Ok(Redirect::to(&to).into_response());
            }
            Err(error) if error.code().status() >= 500 || error.code().status() == 429 => return Err(error.into()),
            Err(error) => {
                let problem = Problem::new(names::FILTER, error.message());
                opened.refused(problem)
            }
        },
    };
    if script {
        let problems = opened.choice.err().unwrap_or_default();
        return Ok(answer(StatusCode::BAD_REQUEST, None, problems));
    }
    preview::shown_again(&app, &visit, &opened).await
}

fn answer(status: StatusCode, request_id: Option<String>, problems: Vec<Problem>) -> Response {
    let view = AskedView { request_id, problems };
    let mut response = json(serde_json::to_vec(&view).expect("texts are always JSON"));
    *response.status_mut() = status;
    response
}

/// Whether a script asks, and not a browser that goes to a page.
pub fn wants_json(headers: &HeaderMap) -> bool {
    headers.get(header::ACCEPT).is_some_and(|accept| accept.as_bytes().starts_with(b"application/json"))
}

/// The id of the Export that a choice became.
async fn accepted(app: &App, viewer: &Viewer, opened: &Opened, choice: &Choice, key: &str) -> Result<String, Error> {
    let mut params = choice.params(&opened.report);
    if params.format.is_none() {
        let asked = Asked::of_params(app, opened.report.name, viewer, &params, opened.now)?;
        params.format = Some(fitting(app, asked).await?);
    }
    let asked = Asked::of_params(app, opened.report.name, viewer, &params, opened.now)?;
    // The same form sent twice asks once; another choice on the same page asks anew.
    let key = uuid::Uuid::parse_str(key).ok().map(|key| format!("page-{key}-{}", &asked.request_digest[..32]));
    let (visible, _) = accept(app, viewer, asked, key, opened.now).await?;
    Ok(visible.export.id.to_string())
}

/// The format for whoever chose none: a workbook as long as the rows fit one sheet.
async fn fitting(app: &App, asked: Asked) -> Result<FileFormat, Error> {
    let Some(workbook) = FileFormat::parse("xlsx") else { return Ok(FileFormat::DEFAULT) };
    let snapshot = app.ledger.snapshot(asked.report.name, None).await?;
    let plan = asked.plan(snapshot);
    let limit = Duration::from_secs(app.config.limits.preview_seconds);
    match tokio::time::timeout(limit, app.engine.count(&plan)).await {
        Ok(rows) => Ok(if rows? <= ROWS_PER_ENTRY_MAX { workbook } else { FileFormat::DEFAULT }),
        Err(_) => Ok(FileFormat::DEFAULT),
    }
}
