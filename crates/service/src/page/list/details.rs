//! One request on a page of its own: all that is known of it, what its file adds up to, and what can
//! be taken elsewhere.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use payouts_model::{Export, Timestamp};
use payouts_package::manifest::{Count, Manifest, ProgramTotal, Total};
use payouts_store::Visible;

use super::actions::find;
use super::copies::Copies;
use super::row::Row;
use crate::app::App;
use crate::http::Error;
use crate::http::exports::manifest::document;
use crate::http::extract::Identified;
use crate::page::labels;
use crate::page::layout::{self, Shell, When};
use crate::page::session::{NoVisit, Visit};

/// Sums by program that are shown; the manifest has them all.
const PROGRAM_TOTALS_MAX: usize = 200;
/// A longer filter is shown in part; the manifest has it whole.
const TEXT_BYTES_MAX: usize = 64 * 1024;

/// The page.
#[derive(Template)]
#[template(path = "details.html")]
struct DetailsPage {
    shell: Shell,
    id: String,
    report: &'static str,
    /// The list of this one request, as the first page has it.
    row: String,
    moving: bool,
    /// The filter as asked; empty if nothing was.
    text: String,
    normal_form: String,
    cut: bool,
    copies: Option<Copies>,
    facts: Vec<Fact>,
    sums: Option<Sums>,
}

/// One line of what is known.
struct Fact {
    name: &'static str,
    value: String,
    /// An instant, for the script to write in the browser's way.
    when: Option<When>,
}

/// What the manifest says about the file.
struct Sums {
    rows: Option<u64>,
    totals: Vec<SumLine>,
    programs: Vec<ProgramLine>,
    programs_left_out: usize,
    dates: Vec<(String, String, String)>,
    files: Vec<FileLine>,
}

/// A sum; amounts are texts as the manifest has them.
struct SumLine {
    column: String,
    status: String,
    currency: String,
    rows: u64,
    sum: String,
    negative: String,
}

/// A sum of one program and order type.
struct ProgramLine {
    program: String,
    order_type: String,
    line: SumLine,
}

/// A file with its check sum.
struct FileLine {
    name: String,
    bytes: u64,
    sha256: String,
    entries: usize,
}

/// `GET /exports/{id}`.
pub async fn details(State(app): State<Arc<App>>, visit: Visit, id: Identified) -> Result<Response, NoVisit> {
    let visible = find(&app, &visit, id).await?;
    let now = app.clock.now();
    let of = visit.rows_for();
    let row = layout::text(&Row::new(&app, of, &visible, now))?;
    let export = &visible.export;
    let report = app.catalog.report(export.report);
    let manifest = match visible.full && export.status.ended() {
        true => Some(read(&document(&app, of.viewer, visible.clone()).await?)?),
        false => None,
    };
    let query = &export.query;
    let cut = query.text.len() > TEXT_BYTES_MAX || query.filter.len() > TEXT_BYTES_MAX;
    let page = DetailsPage {
        id: export.id.to_string(),
        report: labels::report(export.report),
        row,
        moving: !export.status.ended(),
        text: beginning(&query.text),
        normal_form: beginning(&query.filter),
        copies: (!cut).then(|| Copies::new(report, of.base, export)),
        cut,
        facts: facts(&visible, manifest.as_ref()),
        sums: manifest.map(|manifest| sums(report, manifest)),
        shell: visit.shell,
    };
    Ok(layout::page(&page)?)
}

fn read(document: &str) -> Result<Manifest, Error> {
    Manifest::from_json(document).map_err(Error::internal)
}

/// At most so much of a text, at a character's end.
fn beginning(text: &str) -> String {
    let mut end = text.len().min(TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].trim().to_owned()
}

fn facts(visible: &Visible, manifest: Option<&Manifest>) -> Vec<Fact> {
    let Export { query, principal, created_at, started_at, ended_at, scope, .. } = &visible.export;
    let fact = |name, value: String| Fact { name, value, when: None };
    let instant = |name, at: Timestamp| Fact { name, value: String::new(), when: Some(When::new(at)) };
    let mut facts = vec![fact("Asked by", principal.to_string()), instant("Asked", *created_at)];
    facts.extend(started_at.map(|at| instant("Begun", at)));
    facts.extend(ended_at.map(|at| instant("Ended", at)));
    facts.push(fact("Format", query.format.to_string()));
    facts.push(fact("Columns", labels::grouped(query.columns.len() as u64)));
    facts.push(fact("Time zone of dates", query.time_zone.clone()));
    let participants = manifest.map_or_else(
        || {
            scope
                .participants()
                .map_or(Count::All(payouts_package::manifest::All::All), |p| Count::Number(p.len() as u64))
        },
        |manifest| manifest.scope.participant_count,
    );
    facts.push(fact(
        "Participants looked at",
        match participants {
            Count::All(_) => "all, also future ones".into(),
            Count::Number(n) => labels::grouped(n),
        },
    ));
    let version = manifest.map_or(visible.export.data_version, |m| m.data_version);
    facts.extend(version.map(|version| fact("Data version", version.to_string())));
    let instants = manifest
        .into_iter()
        .flat_map(|m| [("Data as of", &m.data_as_of), ("Can be repeated exactly until", &m.reproducible_until)]);
    facts.extend(instants.filter_map(|(name, text)| {
        let at = text.as_deref()?.parse::<chrono::DateTime<chrono::Utc>>().ok()?;
        Some(instant(name, at.into()))
    }));
    facts
}

fn sums(report: &payouts_model::Report, manifest: Manifest) -> Sums {
    let column = |name: &str| report.field(name).map_or_else(|| name.to_owned(), labels::field);
    let line = |total: Total| {
        let Total { column: name, currency, payment_status, rows, sum, negative_sum } = total;
        SumLine {
            column: labels::capitalised(&column(&name)),
            status: payment_status.to_string(),
            currency: currency.to_string(),
            rows,
            sum,
            negative: negative_sum,
        }
    };
    let left_out = manifest.totals_by_program.len().saturating_sub(PROGRAM_TOTALS_MAX);
    let programs = manifest.totals_by_program.into_iter().take(PROGRAM_TOTALS_MAX);
    Sums {
        rows: manifest.row_count,
        totals: manifest.totals.into_iter().map(line).collect(),
        programs: programs
            .map(|ProgramTotal { program_name, order_type, total }| ProgramLine {
                program: program_name.to_string(),
                order_type: order_type.to_string(),
                line: line(total),
            })
            .collect(),
        programs_left_out: left_out,
        dates: manifest
            .dates
            .into_iter()
            .map(|dates| (labels::capitalised(&column(&dates.column)), dates.least, dates.greatest))
            .collect(),
        files: manifest
            .files
            .into_iter()
            .map(|file| FileLine {
                name: file.name,
                bytes: file.bytes,
                sha256: file.sha256,
                entries: file.entries.len(),
            })
            .collect(),
    }
}
