//! What the chosen export would hold, shown before it is asked for.
//!
//! The choice is understood by the code of the API, so that a preview is of exactly what the file
//! would hold, and only what one sees is added up. A preview ends with its request: whoever
//! chooses on drops it, and the scan with it.

pub mod chart;
pub mod figures;
mod panel;

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use payouts_engine::Preview;
use payouts_faults::{Point, pass};
use payouts_model::id::canonical;
use payouts_model::{ErrorCode, Timestamp, Viewer, Warning};
use serde::Serialize;

use self::panel::Panel;
use super::form::Opened;
use super::form::controls::us_dollars;
use super::form::entry::{Choice, Problem, names};
use super::form::offered::Patience;
use super::form::typed;
use super::form::view::days_in_words;
use super::kept::Kept;
use super::labels;
use super::layout::{self, Shell};
use super::session::{NoVisit, Posted, Visit};
use crate::app::App;
use crate::http::Error;
use crate::http::exports::asked::{Asked, sha256};
use crate::http::exports::json;

/// Rows that are shown.
const FIRST_ROWS_MAX: usize = 20;

/// What all that is kept of previews may take.
const LOOKS_BYTES: usize = 16 << 20;

/// What was found, for whoever looks at the same again: the page's first preview is the same for all
/// who may see the same.
pub type Looks = Kept<Preview>;

/// About what a preview takes.
fn bytes_of(preview: &Preview) -> usize {
    let sums = preview.totals.sums.len() + preview.months.values().map(|m| 1 + m.sums.len()).sum::<usize>();
    let texts = preview.first_rows.iter().flatten().flatten().chain(&preview.not_found);
    sums * 160 + texts.map(|text| 32 + text.len()).sum::<usize>()
}

/// What was found.
#[derive(Debug)]
pub struct Seen {
    /// Totals, months, first rows.
    preview: Arc<Preview>,
    /// The columns of the first rows, as indexes.
    columns: Vec<usize>,
    /// Pasted ids that matched nothing, as they were pasted.
    not_found: Vec<String>,
    /// When the newest data was committed.
    data_as_of: Timestamp,
    /// The version of the data.
    data_version: u64,
    /// What to know.
    warnings: Vec<Warning>,
}

/// The form and the preview as a page of their own, for browsers without a script.
#[derive(Template)]
#[template(path = "preview.html")]
struct PreviewPage<'a> {
    shell: &'a Shell,
    ask: String,
}

/// The form, and beside it the preview.
#[derive(Template)]
#[template(path = "form_and_preview.html")]
struct FormAndPreview<'a> {
    form: &'a str,
    /// Empty: nothing to see yet.
    panel: &'a str,
}

/// The form and the preview beside it, as HTML.
pub fn beside(form: &str, panel: &str) -> Result<String, Error> {
    layout::text(&FormAndPreview { form, panel })
}

/// The answer to a script.
#[derive(Debug, Serialize)]
struct PanelView {
    /// The `$filter` that the form writes.
    #[serde(skip_serializing_if = "Option::is_none")]
    filter: Option<String>,
    /// Which days are asked for, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    days: Option<String>,
    /// What is wrong with the form.
    problems: Vec<Problem>,
    /// The panel as HTML.
    #[serde(skip_serializing_if = "Option::is_none")]
    html: Option<String>,
    /// What a screen reader is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    said: Option<String>,
}

/// `POST /preview`: the page. Also what "Search" and "Back to the controls" lead to, which show no
/// preview.
pub async fn page(State(app): State<Arc<App>>, posted: Posted) -> Result<Response, NoVisit> {
    let Posted { visit, fields } = posted;
    let opened = Opened::read(&app, &fields)?;
    let wanted = fields.iter().all(|(name, value)| name != "do" || value == "preview");
    if !wanted {
        return shown(&app, &visit, &opened, StatusCode::OK, String::new()).await;
    }
    let Ok(choice) = &opened.choice else { return shown_again(&app, &visit, &opened).await };
    match look(&app, &visit.viewer, &opened, choice).await {
        Ok(seen) => {
            let panel = layout::text(&Panel::new(&opened, choice, &seen))?;
            shown(&app, &visit, &opened, StatusCode::OK, panel).await
        }
        Err(error) if ours(&error) => Err(error.into()),
        Err(error) => {
            let problem = Problem::new(names::FILTER, error.message());
            shown_again(&app, &visit, &opened.refused(problem)).await
        }
    }
}

/// A form that is wrong, as it was sent.
pub async fn shown_again(app: &Arc<App>, visit: &Visit, opened: &Opened) -> Result<Response, NoVisit> {
    shown(app, visit, opened, StatusCode::BAD_REQUEST, String::new()).await
}

async fn shown(
    app: &Arc<App>,
    visit: &Visit,
    opened: &Opened,
    status: StatusCode,
    panel: String,
) -> Result<Response, NoVisit> {
    let ask = beside(&opened.html(app, visit, Patience::Full).await?, &panel)?;
    let page = layout::page(&PreviewPage { shell: &visit.shell, ask })?;
    Ok((status, page).into_response())
}

/// `POST /preview/panel`: for the script, as one chooses.
pub async fn panel(State(app): State<Arc<App>>, posted: Posted) -> Result<Response, NoVisit> {
    let Posted { visit, fields } = posted;
    let opened = Opened::read(&app, &fields)?;
    let mut view = PanelView { filter: None, days: None, problems: Vec::new(), html: None, said: None };
    match &opened.choice {
        Err(problems) => view.problems.clone_from(problems),
        Ok(choice) => {
            if let Some(selection) = &choice.selection {
                let date = labels::field(&opened.report.fields[selection.date]);
                view.days = Some(days_in_words(selection.period.days(&choice.calendar), &choice.calendar, &date));
            }
            view.filter = Some(choice.filter.clone());
            match look(&app, &visit.viewer, &opened, choice).await {
                Ok(seen) => {
                    let panel = Panel::new(&opened, choice, &seen);
                    view.said = Some(panel.said());
                    view.html = Some(layout::text(&panel)?);
                }
                Err(error) if ours(&error) => return Err(error.into()),
                Err(error) => view.problems.push(Problem::new(names::FILTER, error.message())),
            }
        }
    }
    Ok(json(serde_json::to_vec(&view).expect("texts are always JSON")))
}

/// Whether an error is no matter of what was chosen.
fn ours(error: &Error) -> bool {
    let code = error.code();
    code.status() >= 500 && code != ErrorCode::PreviewTimeout || code.status() == 429
}

/// Looks at what the export would hold.
async fn look(app: &App, viewer: &Viewer, opened: &Opened, choice: &Choice) -> Result<Seen, Error> {
    let report = &opened.report;
    let asked = Asked::of_params(app, report.name, viewer, &choice.params(report), opened.now)?;
    let seconds = app.config.limits.preview_seconds;
    let looked = tokio::time::timeout(Duration::from_secs(seconds), async {
        let _place = app.http.previews.wait(viewer).await;
        scan(app, opened, asked).await
    });
    looked.await.map_err(|_| {
        let message = format!(
            "This preview took longer than {seconds} s. Choose less, or ask for the file, which may take longer."
        );
        Error::new(ErrorCode::PreviewTimeout, message)
    })?
}

async fn scan(app: &App, opened: &Opened, asked: Asked) -> Result<Seen, Error> {
    pass(Point::PagePreview).await.map_err(Error::internal)?;
    let report = &opened.report;
    let snapshot = app.ledger.snapshot(report.name, None).await?;
    let (data_version, data_as_of) = (snapshot.version, snapshot.data_as_of);
    let summed: Vec<usize> =
        opened.controls.amount.map(|(amount, _)| amount).into_iter().chain(us_dollars(report)).collect();
    let plan = asked.plan(snapshot);
    // The normal form has window and now() fixed; whoever has the same scope is given the same.
    let key = sha256(&(asked.scope.digest(), asked.time_zone.name(), &asked.query.columns, &asked.query.filter));
    let cell = app.page.looks.cell((report.name, data_version, key));
    let look = app.engine.preview_of(&plan, &summed, asked.time_zone, &asked.id_lists, FIRST_ROWS_MAX);
    let preview = cell.get_or_try_init(|| async { Ok::<_, Error>(Arc::new(look.await?)) }).await?.clone();
    app.page.looks.bound(LOOKS_BYTES, bytes_of);
    let not_found = as_pasted(&preview.not_found, &opened.entry.payments);
    Ok(Seen { preview, columns: plan.columns, not_found, data_as_of, data_version, warnings: asked.warnings })
}

/// Ids in the spelling in which they were pasted.
fn as_pasted(ids: &[String], pasted: &str) -> Vec<String> {
    let typed = typed::ids(pasted, &[]).unwrap_or_default();
    let spelled: std::collections::HashMap<&str, &String> = typed.iter().map(|id| (canonical(id), id)).collect();
    ids.iter().map(|id| spelled.get(canonical(id)).map_or_else(|| id.clone(), |own| (*own).clone())).collect()
}
