//! The form of the export page: what one may choose by, what was chosen, and the `$filter` that
//! says so.
//!
//! Made from the table of fields ([`controls`]), pure as far as a choice goes ([`period`],
//! [`typed`], [`selection`], [`entry`]). What it asks for goes through the code of the API
//! ([`mod@ask`]); it must not know how an export is made.

pub mod ask;
pub mod check;
pub mod controls;
pub mod entry;
pub mod offered;
pub mod period;
pub mod selection;
pub mod typed;
pub mod view;

use std::sync::Arc;

use askama::Template;
use payouts_model::{ErrorCode, Report, ReportName, Timestamp, Viewer};

use self::controls::Controls;
use self::entry::{Choice, Entry, Problem, Setting, names};
use self::offered::{Offers, Patience};
use self::view::View;
use super::layout::{self, Shell};
use super::preview;
use super::session::Visit;
use crate::app::App;
use crate::http::Error;
use crate::http::params::pairs;

pub use ask::ask;

/// What a request asks of the form.
#[derive(Debug)]
pub struct Opened {
    /// The report.
    pub report: Arc<Report>,
    /// Its controls.
    pub controls: Controls,
    /// What was entered.
    pub entry: Entry,
    /// What it comes to.
    pub choice: Result<Choice, Vec<Problem>>,
    /// The instant of the request.
    pub now: Timestamp,
}

#[derive(Template)]
#[template(path = "form.html")]
struct FormPage<'a> {
    shell: &'a Shell,
    view: &'a View,
    /// An idempotency key: sending the form twice asks once.
    key: String,
    /// The time zone that the form begins with, unless the browser says another.
    default_zone: &'static str,
}

#[derive(Template)]
#[template(path = "form_controls.html")]
struct ControlsPart<'a> {
    shell: &'a Shell,
    view: &'a View,
}

#[derive(Template)]
#[template(path = "form_participants.html")]
struct ParticipantsPart<'a> {
    view: &'a View,
}

impl Opened {
    /// Reads names and values.
    pub fn read(app: &App, pairs: &[(String, String)]) -> Result<Self, Error> {
        let now = app.clock.now();
        let given = |name: &str| pairs.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str());
        let report = given(names::REPORT).map_or(Ok(ReportName::Payments), str::parse);
        let report = report.map_err(|m| Error::new(ErrorCode::InvalidParameter, m).target(names::REPORT))?;
        let report = app.catalog.report(report).clone();
        let controls = Controls::of(&report);
        let setting = setting(app, &report, &controls, now);
        let mut entry = Entry::read(pairs, &setting);
        if given("do") == Some("form") {
            // Back from a filter that the controls cannot show.
            let Entry { time_zone, format, separator, decimal, .. } = entry;
            entry = Entry { time_zone, format, separator, decimal, ..Entry::fresh(&setting) };
        }
        if given(names::FILTER).is_some() && given(names::USE).is_none() {
            entry.by_filter = true;
        }
        let choice = entry.check(&setting);
        Ok(Self { entry, choice, now, controls, report })
    }

    /// The same by the controls, if they can say what the filter does.
    #[must_use]
    pub fn by_controls(self, app: &App) -> Self {
        let Self { report, controls, entry, choice, now } = self;
        let setting = setting(app, &report, &controls, now);
        let (entry, choice) = match &choice {
            Ok(Choice { selection: Some(selection), .. }) if entry.by_filter => {
                let entry = Entry { by_filter: false, ..entry.with(selection, &setting) };
                let choice = entry.check(&setting);
                (entry, choice)
            }
            _ => (entry, choice),
        };
        Self { report, controls, entry, choice, now }
    }

    /// The same with something found wrong afterwards.
    #[must_use]
    pub fn refused(mut self, problem: Problem) -> Self {
        match &mut self.choice {
            Ok(_) => self.choice = Err(vec![problem]),
            Err(problems) => problems.push(problem),
        }
        self
    }

    /// The form, with what is known after some patience of what there is to choose from.
    pub async fn view(&self, app: &Arc<App>, viewer: &Viewer, patience: Patience) -> View {
        let setting = setting(app, &self.report, &self.controls, self.now);
        let offer = Offers::to(app, self.report.name, viewer, patience).await;
        let choice = self.choice.as_ref().map_err(Vec::as_slice);
        View::new(&self.entry, choice, &setting, &offer, viewer)
    }

    /// The whole form as HTML.
    pub async fn html(&self, app: &Arc<App>, visit: &Visit, patience: Patience) -> Result<String, Error> {
        let view = self.view(app, &visit.viewer, patience).await;
        layout::text(&FormPage {
            shell: &visit.shell,
            view: &view,
            key: uuid::Uuid::new_v4().to_string(),
            default_zone: app.config.form.time_zone.name(),
        })
    }
}

/// What entries are read against.
fn setting<'a>(app: &'a App, report: &'a Report, controls: &'a Controls, now: Timestamp) -> Setting<'a> {
    Setting { report, controls, page: &app.config.form, program_aliases: &app.config.program_aliases, now }
}

/// The form as HTML, for the first page. `raw_query` is that of the page's address: a filter in it,
/// and everything else that the form sends, is what the form begins with.
pub async fn slot(app: &Arc<App>, visit: &Visit, raw_query: &str) -> Result<String, Error> {
    let opened = Opened::read(app, &pairs(raw_query)?)?.by_controls(app);
    let form = opened.html(app, visit, Patience::Little).await?;
    preview::beside(&form, "")
}
