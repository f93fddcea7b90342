//! The first page: the form to ask with, and below it the list of requests, newest first.
//!
//! The same rows are rendered for the page, for a part of it that a script asks for, and for
//! [`super::live`]: what a row looks like is in [`row`] alone.

pub mod actions;
pub mod copies;
pub mod details;
pub mod row;

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use payouts_model::{ExportId, ReportName, Status, Timestamp, Viewer};
use payouts_store::Narrow;
use sha2::{Digest, Sha256};

use self::row::Row;
use super::layout::{self, Shell};
use super::session::{NoVisit, Visit};
use super::{form, labels};
use crate::app::App;
use crate::http::Error;
use crate::http::base_url::BaseUrl;
use crate::http::exports::list::{read_token, write_token};
use crate::http::wire::RawText;

/// Requests on one page.
const ROWS_MAX: u64 = 50;
/// The longest text that is looked for.
const TEXT_CHARS_MAX: usize = 200;

/// Names of the list's parameters in an address: apart from the form's, which share it.
const STATE: &str = "list.state";
const REPORT: &str = "list.report";
const TEXT: &str = "list.text";
const AFTER: &str = "list.after";

/// Which requests are looked at. What an address says wrongly is passed over: it was not typed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Looked {
    /// In this state.
    pub state: Option<Status>,
    /// Of this report.
    pub report: Option<ReportName>,
    /// With this text.
    pub text: Option<String>,
    /// Behind this one.
    pub after: Option<(Timestamp, ExportId)>,
}

impl Looked {
    /// What an address says.
    pub fn parse(raw_query: &str) -> Self {
        let mut looked = Self::default();
        for (name, value) in url::form_urlencoded::parse(raw_query.as_bytes()) {
            match &*name {
                STATE => looked.state = value.parse().ok(),
                REPORT => looked.report = value.parse().ok(),
                AFTER => looked.after = read_token(&value).ok(),
                TEXT => {
                    let text: String = value.trim().chars().take(TEXT_CHARS_MAX).collect();
                    looked.text = Some(text).filter(|text| !text.is_empty());
                }
                _ => {}
            }
        }
        looked
    }

    /// The same as part of an address, from another place on.
    fn query(&self, after: Option<(Timestamp, ExportId)>) -> String {
        let Self { state, report, text, after: _ } = self;
        url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(state.map(|state| (STATE, state.as_str())))
            .extend_pairs(report.map(|report| (REPORT, report.as_str())))
            .extend_pairs(text.as_ref().map(|text| (TEXT, text)))
            .extend_pairs(after.map(|after| (AFTER, write_token(after))))
            .finish()
    }

    /// Whether not everything is looked at.
    fn narrowed(&self) -> bool {
        self.state.is_some() || self.report.is_some() || self.text.is_some()
    }
}

/// The rows of one page of the list, as one viewer sees them.
#[derive(Clone, Debug)]
pub struct Rows {
    /// Id and HTML of each.
    pub rows: Vec<(ExportId, String)>,
    /// How many there are.
    pub count: String,
    /// Whether any of them will change by itself.
    pub moving: bool,
    /// A digest of all of it.
    pub seen: String,
    older: Option<(Timestamp, ExportId)>,
}

/// What rows are rendered for.
#[derive(Clone, Copy, Debug)]
pub struct For<'a> {
    /// Who sees them.
    pub viewer: &'a Viewer,
    /// What absolute URLs begin with.
    pub base: &'a BaseUrl,
    /// For addresses and the token of forms.
    pub shell: &'a Shell,
}

impl Visit {
    /// Rows for this visit.
    pub fn rows_for(&self) -> For<'_> {
        For { viewer: &self.viewer, base: &self.base, shell: &self.shell }
    }
}

impl Rows {
    /// Finds and renders them.
    pub async fn find(app: &App, of: For<'_>, looked: &Looked) -> Result<Self, Error> {
        let narrow = Narrow { report: looked.report, status: looked.state, text: looked.text.as_deref() };
        let page = app.store.search(of.viewer, narrow, ROWS_MAX, looked.after).await?;
        let now = app.clock.now();
        let mut rows = Vec::with_capacity(page.items.len());
        for visible in &page.items {
            rows.push((visible.export.id, layout::text(&Row::new(app, of, visible, now))?));
        }
        let count = labels::grouped(page.total);
        let htmls: Vec<&String> = rows.iter().map(|(_, html)| html).collect();
        let seen = seen_of(&htmls, &count, page.next);
        let moving = page.items.iter().any(|v| !v.export.status.ended());
        Ok(Self { rows, count, moving, seen, older: page.next })
    }

    /// Leaves of rows that `known` says are with the browser no more than their place.
    pub fn keep(&mut self, known: impl Fn(ExportId, &str) -> bool) {
        for (id, html) in &mut self.rows {
            if known(*id, html) {
                *html = format!("<li data-id=\"{id}\" data-kept></li>");
            }
        }
    }
}

/// A digest of the list, by which a browser says what it has.
fn seen_of(rows: &[&String], count: &str, older: Option<(Timestamp, ExportId)>) -> String {
    let mut digest = Sha256::new();
    digest.update(count);
    digest.update(older.map(write_token).unwrap_or_default());
    for html in rows {
        digest.update(html);
    }
    digest.finalize().iter().take(12).map(|b| format!("{b:02x}")).collect()
}

/// The part of the list that changes with what is looked at.
#[derive(Template)]
#[template(path = "list_part.html")]
struct Part<'a> {
    shell: &'a Shell,
    rows: &'a Rows,
    narrowed: bool,
    /// The address of the next page, and of the first one if this is another.
    older: Option<String>,
    newest: Option<String>,
}

/// The part as HTML.
pub fn part(shell: &Shell, looked: &Looked, rows: &Rows) -> Result<String, Error> {
    let address = |after| shell.url(&format!("/?{}#requests", looked.query(after)));
    layout::text(&Part {
        shell,
        rows,
        narrowed: looked.narrowed(),
        older: rows.older.map(|older| address(Some(older))),
        newest: looked.after.map(|_| address(None)),
    })
}

/// The first page.
#[derive(Template)]
#[template(path = "list.html")]
struct HomePage {
    shell: Shell,
    /// The form, as HTML.
    form: String,
    notice: Option<&'static str>,
    part: String,
    states: Vec<Choice>,
    reports: Vec<Choice>,
    text: String,
    narrowed: bool,
    /// The query of this list.
    query: String,
}

/// A choice of a list.
struct Choice {
    value: &'static str,
    label: &'static str,
    chosen: bool,
}

/// `GET /`.
pub async fn home(State(app): State<Arc<App>>, visit: Visit, RawText(raw_query): RawText) -> Result<Response, NoVisit> {
    let looked = Looked::parse(&raw_query);
    let form = form::slot(&app, &visit, &raw_query).await?;
    let rows = Rows::find(&app, visit.rows_for(), &looked).await?;
    let states = Status::ALL.map(|state| Choice {
        value: state.as_str(),
        label: state.as_str(),
        chosen: looked.state == Some(state),
    });
    let reports = ReportName::ALL.map(|report| Choice {
        value: report.as_str(),
        label: labels::report(report),
        chosen: looked.report == Some(report),
    });
    Ok(layout::page(&HomePage {
        form,
        notice: notice(&raw_query),
        part: part(&visit.shell, &looked, &rows)?,
        states: states.into(),
        reports: reports.into(),
        narrowed: looked.narrowed(),
        query: looked.query(looked.after),
        text: looked.text.unwrap_or_default(),
        shell: visit.shell,
    })?)
}

/// `GET /parts/list`: the part alone, for the script.
pub async fn part_alone(
    State(app): State<Arc<App>>,
    visit: Visit,
    RawText(raw_query): RawText,
) -> Result<Response, NoVisit> {
    let looked = Looked::parse(&raw_query);
    let rows = Rows::find(&app, visit.rows_for(), &looked).await?;
    let html = part(&visit.shell, &looked, &rows)?;
    Ok(axum::response::IntoResponse::into_response(axum::response::Html(html)))
}

/// What a form that led here has done.
fn notice(raw_query: &str) -> Option<&'static str> {
    let mut query = url::form_urlencoded::parse(raw_query.as_bytes());
    let (name, value) = query.find(|(name, _)| name == "asked" || name == "done")?;
    match &*value {
        _ if name == "asked" => Some("Your request is in the list. You can close this page: it goes on without you."),
        "again" => Some("The same request was made again. It is the first in the list."),
        "deleted" => Some("The request is deleted, and so is its file."),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_and_written_alike() {
        let raw =
            "list.state=Failed&list.report=payments&list.text=a%26b&list.after=5.6a1d1f0e-7c3b-4f52-9d0a-2f6c4c1b8e11";
        let looked = Looked::parse(raw);
        assert_eq!(looked.state, Some(Status::Failed));
        assert_eq!(looked.text.as_deref(), Some("a&b"));
        assert_eq!(Looked::parse(&looked.query(looked.after)), looked);
        assert_eq!(looked.query(looked.after), raw);
        let odd = Looked::parse("list.state=Nowhere&list.report=x&list.text=%20&list.after=1&state=Failed");
        assert_eq!(odd, Looked::default());
    }
}
