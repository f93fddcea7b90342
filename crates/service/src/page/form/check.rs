//! What the script asks while one types: whether a filter is right, what the controls are for it, with
//! everything that they offer, and which participants a search finds.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{Html, IntoResponse, Response};
use serde::Serialize;

use super::entry::Problem;
use super::offered::Patience;
use super::{ControlsPart, Opened, ParticipantsPart};
use crate::app::App;
use crate::http::exports::json;
use crate::page::layout;
use crate::page::session::{NoVisit, Posted};

/// What a filter that is being written is like.
#[derive(Debug, Serialize)]
struct CheckView {
    /// What is wrong with it.
    problem: Option<Problem>,
    /// Whether the controls can show it.
    expressible: bool,
    /// The controls as they then are, as HTML.
    controls: Option<String>,
}

/// `POST /form/check`.
pub async fn check(State(app): State<Arc<App>>, posted: Posted) -> Result<Response, NoVisit> {
    let opened = Opened::read(&app, &posted.fields)?;
    let view = match &opened.choice {
        Ok(choice) if choice.selection.is_some() => {
            let view = opened.view(&app, &posted.visit.viewer, Patience::Little).await;
            let controls = layout::text(&ControlsPart { shell: &posted.visit.shell, view: &view })?;
            CheckView { problem: None, expressible: true, controls: Some(controls) }
        }
        Ok(_) => CheckView { problem: None, expressible: false, controls: None },
        Err(problems) => CheckView { problem: problems.first().cloned(), expressible: true, controls: None },
    };
    Ok(json(serde_json::to_vec(&view).expect("texts are always JSON")))
}

/// `POST /form`: the form as HTML, for another report.
pub async fn form(State(app): State<Arc<App>>, posted: Posted) -> Result<Response, NoVisit> {
    let opened = Opened::read(&app, &posted.fields)?;
    Ok(Html(opened.html(&app, &posted.visit, Patience::Little).await?).into_response())
}

/// `POST /form/controls`: the controls with what there is to choose from, as HTML, for a page that came
/// before it was known.
pub async fn controls(State(app): State<Arc<App>>, posted: Posted) -> Result<Response, NoVisit> {
    let opened = Opened::read(&app, &posted.fields)?;
    let view = opened.view(&app, &posted.visit.viewer, Patience::Full).await;
    Ok(Html(layout::text(&ControlsPart { shell: &posted.visit.shell, view: &view })?).into_response())
}

/// `POST /form/participants`: those that the search finds, as HTML.
pub async fn participants(State(app): State<Arc<App>>, posted: Posted) -> Result<Response, NoVisit> {
    let opened = Opened::read(&app, &posted.fields)?;
    let view = opened.view(&app, &posted.visit.viewer, Patience::Full).await;
    Ok(Html(layout::text(&ParticipantsPart { view: &view })?).into_response())
}
