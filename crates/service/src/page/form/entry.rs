//! What was entered into the form, as texts, and what it comes to.
//!
//! An [`Entry`] can be shown again as it was, wrong or not; a [`Choice`] is what it means, and is
//! made only of an entry without a mistake.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use payouts_filter::{Context, Filter, suggest};
use payouts_model::{Dialect, FileFormat, Report, Timestamp};

use super::controls::Controls;
use super::period::{Calendar, Period};
use super::selection::Selection;
use super::typed;
use crate::config::FormConfig;
use crate::http::params::ExportParams;

/// The name in a request of everything that is not a choice of a field's values.
pub mod names {
    #![expect(missing_docs, reason = "the names of the form's controls")]
    pub const REPORT: &str = "report";
    /// `filter`: the text in the box counts; otherwise the controls do.
    pub const USE: &str = "use";
    pub const FILTER: &str = "filter";
    pub const PARTICIPANT: &str = "participant";
    pub const FIND: &str = "find";
    pub const DATE: &str = "date";
    pub const PERIOD: &str = "period";
    pub const FROM: &str = "from";
    pub const TO: &str = "to";
    /// A field whose empty values are chosen, by its column.
    pub const EMPTY: &str = "empty";
    pub const PAYMENTS: &str = "payments";
    pub const CURRENCY: &str = "currency";
    pub const LEAST: &str = "least";
    pub const GREATEST: &str = "greatest";
    pub const TIME_ZONE: &str = "timeZone";
    pub const FORMAT: &str = "format";
    /// With `csv.excel`: what stands between columns, and before decimals.
    pub const SEPARATOR: &str = "separator";
    pub const DECIMAL: &str = "decimal";
    /// `usual`, `all` or `own`.
    pub const COLUMNS: &str = "columns";
    pub const COLUMN: &str = "column";
    pub const CHART: &str = "chart";
    /// In front of a column's name: values of it, one a line.
    pub const LINES: &str = "lines.";
    /// In front of a column's name: one of its values.
    pub const VALUE: &str = "value.";
}

/// Which columns the file has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Columns {
    /// The report's default ones.
    Usual,
    /// All that there are.
    All,
    /// These, as indexes in the order of the report.
    Own(Vec<usize>),
}

/// What was entered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Whether the text in the box counts, and not the controls.
    pub by_filter: bool,
    /// The text in the box.
    pub filter: String,
    /// Ids of chosen participants.
    pub participants: Vec<String>,
    /// What participants are searched by.
    pub find: String,
    /// The column that the period is about.
    pub date: String,
    /// The period's name.
    pub period: String,
    /// Its first day.
    pub from: String,
    /// Its last day.
    pub to: String,
    /// Chosen values by field; `None`: empty ones.
    pub choices: BTreeMap<usize, Vec<Option<String>>>,
    /// Pasted ids.
    pub payments: String,
    /// A currency's code.
    pub currency: String,
    /// The least amount.
    pub least: String,
    /// The greatest amount.
    pub greatest: String,
    /// An IANA time zone.
    pub time_zone: String,
    /// A format's name; empty: what fits.
    pub format: String,
    /// With `csv.excel`: the name of what stands between columns; empty: what goes with the decimals.
    pub separator: String,
    /// With `csv.excel`: the name of what stands before decimals; empty: a point.
    pub decimal: String,
    /// Which columns.
    pub columns: Columns,
    /// The currency of the chart; empty: US dollars, or the one chosen.
    pub chart: String,
}

/// A mistake in an entry.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    /// The control's name.
    pub control: String,
    /// What is wrong, and what would be right.
    pub message: String,
    /// Where in the text, for a filter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
}

/// Where a filter is wrong, in characters.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Place {
    /// The first character.
    pub offset: usize,
    /// How many.
    pub length: usize,
    /// What may have been meant.
    pub nearest: Vec<String>,
}

impl Problem {
    /// A mistake in a control.
    pub fn new(control: &str, message: impl Into<String>) -> Self {
        Self { control: control.into(), message: message.into(), place: None }
    }
}

impl From<payouts_filter::Error> for Problem {
    fn from(error: payouts_filter::Error) -> Self {
        let payouts_filter::Error { code: _, message, offset, length, expected: _, nearest } = error;
        Self { control: names::FILTER.into(), message, place: Some(Place { offset, length, nearest }) }
    }
}

/// What entries are read against.
#[derive(Clone, Copy, Debug)]
pub struct Setting<'a> {
    /// The report.
    pub report: &'a Report,
    /// Its controls.
    pub controls: &'a Controls,
    /// Fiscal year and default time zone.
    pub page: &'a FormConfig,
    /// Old programme names.
    pub program_aliases: &'a std::collections::HashMap<String, Vec<String>>,
    /// The instant of the request.
    pub now: Timestamp,
}

impl<'a> Setting<'a> {
    /// The calendar in a time zone.
    pub fn calendar(&self, zone: chrono_tz::Tz) -> Calendar {
        let today = self.now.to_utc().with_timezone(&zone).date_naive();
        Calendar { today, zone, fiscal_first_month: self.page.fiscal_year_first_month }
    }

    /// What a filter is read against in a time zone.
    pub fn context(&self, time_zone: chrono_tz::Tz) -> Context<'a> {
        Context { report: self.report, time_zone, now: self.now, program_aliases: self.program_aliases }
    }

    /// The selection that a text is, as far as the form can say it.
    pub fn selection(&self, text: &str, zone: chrono_tz::Tz) -> Result<Option<Selection>, Problem> {
        let filter = Filter::parse(text, &self.context(zone))?;
        let filter = filter.unwrap_or_else(|| Filter::window(self.report, self.now));
        let calendar = self.calendar(zone);
        Ok(Selection::from_predicate(&filter.predicate, self.report, self.controls, &calendar))
    }
}

/// What an entry comes to.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// The controls' meaning; `None`: the text says what they cannot.
    pub selection: Option<Selection>,
    /// The `$filter`.
    pub filter: String,
    /// What days are counted in.
    pub calendar: Calendar,
    /// The format; `None`: what fits.
    pub format: Option<FileFormat>,
    /// The columns, as indexes; `None`: the default ones.
    pub columns: Option<Vec<usize>>,
}

impl Choice {
    /// The parameters of a request for it.
    pub fn params(&self, report: &Report) -> ExportParams {
        let select = self
            .columns
            .as_ref()
            .map(|columns| columns.iter().map(|&i| &*report.fields[i].name).collect::<Vec<_>>().join(","));
        ExportParams {
            filter: Some(self.filter.clone()),
            fields: Vec::new(),
            format: self.format,
            select,
            time_zone: Some(self.calendar.zone.name().to_owned()),
        }
    }
}

impl Entry {
    /// What a fresh form holds.
    pub fn fresh(setting: &Setting<'_>) -> Self {
        let controls = setting.controls;
        Self {
            by_filter: false,
            filter: String::new(),
            participants: Vec::new(),
            find: String::new(),
            date: setting.report.fields[controls.dates[0]].name.to_string(),
            period: Period::DEFAULT.key().into(),
            from: String::new(),
            to: String::new(),
            choices: BTreeMap::new(),
            payments: String::new(),
            currency: String::new(),
            least: String::new(),
            greatest: String::new(),
            time_zone: setting.page.time_zone.name().to_owned(),
            format: String::new(),
            separator: String::new(),
            decimal: String::new(),
            columns: Columns::Usual,
            chart: String::new(),
        }
    }

    /// What a request says. What it does not know is left alone: another report may have been
    /// chosen.
    pub fn read(pairs: &[(String, String)], setting: &Setting<'_>) -> Self {
        let mut entry = Self::fresh(setting);
        let mut own = Vec::new();
        let field = |name: &str| setting.report.index_of(name);
        for (name, value) in pairs {
            let text = || value.trim().to_owned();
            match name.as_str() {
                names::USE => entry.by_filter = value == names::FILTER,
                names::FILTER => entry.filter = value.clone(),
                names::PARTICIPANT => entry.participants.push(text()),
                names::FIND => entry.find = text(),
                names::DATE => entry.date = text(),
                names::PERIOD => entry.period = text(),
                names::FROM => entry.from = text(),
                names::TO => entry.to = text(),
                names::PAYMENTS => entry.payments = value.clone(),
                names::CURRENCY => entry.currency = text(),
                names::LEAST => entry.least = text(),
                names::GREATEST => entry.greatest = text(),
                names::TIME_ZONE => entry.time_zone = text(),
                names::FORMAT => entry.format = text(),
                names::SEPARATOR => entry.separator = text(),
                names::DECIMAL => entry.decimal = text(),
                names::CHART => entry.chart = text(),
                names::COLUMNS if value == "all" => entry.columns = Columns::All,
                names::COLUMNS if value == "own" => entry.columns = Columns::Own(Vec::new()),
                names::COLUMN => own.extend(field(value)),
                names::EMPTY => entry.choose(field(value), None, setting),
                other => {
                    if let Some(column) = other.strip_prefix(names::VALUE) {
                        entry.choose(field(column), Some(value.clone()), setting);
                    } else if let Some(column) = other.strip_prefix(names::LINES) {
                        for line in value.lines().map(str::trim).filter(|line| !line.is_empty()) {
                            entry.choose(field(column), Some(line.to_owned()), setting);
                        }
                    }
                }
            }
        }
        if let Columns::Own(columns) = &mut entry.columns {
            own.sort_unstable();
            own.dedup();
            *columns = own;
        }
        entry
    }

    fn choose(&mut self, field: Option<usize>, value: Option<String>, setting: &Setting<'_>) {
        if let Some(field) = field.filter(|f| setting.controls.choices.contains(f)) {
            let values = self.choices.entry(field).or_default();
            if !values.contains(&value) {
                values.push(value);
            }
        }
    }

    /// The same with the controls as a selection has them.
    #[must_use]
    pub fn with(mut self, selection: &Selection, setting: &Setting<'_>) -> Self {
        let Selection { participants, date, period, choices, payments, currency, least, greatest } = selection.clone();
        let amount = |amount: Option<payouts_model::Amount>| amount.map_or_else(String::new, typed::amount_text);
        let day = |day: Option<NaiveDate>| day.map_or_else(String::new, |d| d.to_string());
        self.participants = participants;
        self.date = setting.report.fields[date].name.to_string();
        self.period = period.key().into();
        let (from, to) = if let Period::Between(days) = period { days } else { (None, None) };
        (self.from, self.to) = (day(from), day(to));
        self.choices = choices;
        self.payments = payments.join("\n");
        self.currency = currency.unwrap_or_default();
        (self.least, self.greatest) = (amount(least), amount(greatest));
        self
    }

    /// What it comes to, or everything that is wrong with it.
    pub fn check(&self, setting: &Setting<'_>) -> Result<Choice, Vec<Problem>> {
        let mut problems = Vec::new();
        let zone = take(&mut problems, names::TIME_ZONE, zone(&self.time_zone)).unwrap_or(setting.page.time_zone);
        let calendar = setting.calendar(zone);
        let format = self.format(&mut problems);
        let columns = take(&mut problems, names::COLUMNS, self.selected(setting.report));
        let (selection, filter) = if self.by_filter {
            let read = setting.selection(&self.filter, zone).map_err(|problem| problems.push(problem));
            (read.unwrap_or_default(), self.filter.trim().to_owned())
        } else {
            let selection = self.selection(setting, &calendar, &mut problems);
            let filter = selection.to_filter(setting.report, setting.controls, &calendar);
            if problems.is_empty()
                && let Err(error) = Filter::parse(&filter, &setting.context(zone))
            {
                problems.push(error.into());
            }
            (Some(selection), filter)
        };
        match columns {
            Some(columns) if problems.is_empty() => Ok(Choice { selection, filter, calendar, format, columns }),
            _ => Err(problems),
        }
    }

    /// What the controls say; what is wrong with them goes to `problems`.
    fn selection(&self, setting: &Setting<'_>, calendar: &Calendar, problems: &mut Vec<Problem>) -> Selection {
        let controls = setting.controls;
        let period =
            take(problems, names::PERIOD, self.period(problems_of_days(self), calendar)).unwrap_or(Period::Any);
        let mut selection = Selection::within(period, controls);
        for (control, text) in [(names::FROM, &self.from), (names::TO, &self.to)] {
            if !text.is_empty() {
                take(problems, control, typed::day(text));
            }
        }
        let date = setting.report.index_of(&self.date).filter(|field| controls.dates.contains(field));
        selection.date = date.unwrap_or(controls.dates[0]);
        let mut seen = std::collections::HashSet::new();
        let new = |id: &&String| seen.insert(payouts_model::id::canonical(id).to_owned());
        selection.participants = self.participants.iter().filter(new).cloned().collect();
        selection.choices.clone_from(&self.choices);
        if let Some(payment) = controls.payment {
            let field = &setting.report.fields[payment];
            let headings: Vec<&str> = std::iter::once(&*field.name).chain(field.filter_name.as_deref()).collect();
            selection.payments =
                take(problems, names::PAYMENTS, typed::ids(&self.payments, &headings)).unwrap_or_default();
        }
        if controls.amount.is_some() {
            self.money(&mut selection, problems);
        }
        selection
    }

    fn money(&self, selection: &mut Selection, problems: &mut Vec<Problem>) {
        selection.currency = (!self.currency.is_empty()).then(|| self.currency.clone());
        let mut amount = |control, text: &str| match text {
            "" => None,
            text => take(problems, control, typed::amount(text)),
        };
        selection.least = amount(names::LEAST, &self.least);
        selection.greatest = amount(names::GREATEST, &self.greatest);
        if selection.currency.is_none() && !(self.least.is_empty() && self.greatest.is_empty()) {
            let message = "Choose the currency first: amounts of different currencies cannot be compared.";
            problems.push(Problem::new(names::CURRENCY, message));
        }
        if let (Some(least), Some(greatest)) = (selection.least, selection.greatest)
            && least > greatest
        {
            let message = format!("This is less than the least amount, {least}: no payment lies between them.");
            problems.push(Problem::new(names::GREATEST, message));
        }
    }

    fn period(&self, wrong_days: bool, calendar: &Calendar) -> Result<Period, String> {
        let days_written = !self.from.is_empty() || !self.to.is_empty();
        if self.period != "between" {
            let named = Period::NAMED.into_iter().find(|p| p.key() == self.period);
            let named = named.ok_or_else(|| "Choose one of the periods.".to_owned())?;
            if days_written {
                return Err(format!(
                    "'{}' is chosen, and days are written besides. Choose 'From one day to another', or clear the days.",
                    named.label()
                ));
            }
            return Ok(named);
        }
        if wrong_days {
            return Ok(Period::Any);
        }
        match (typed::day(&self.from).ok(), typed::day(&self.to).ok()) {
            (None, None) => Err("Write the first day, the last day, or both.".into()),
            (Some(from), Some(to)) if from > to => {
                Err(format!("The first day, {from}, comes after the last one, {to}."))
            }
            days => Ok(Period::of_days(days, calendar)),
        }
    }

    /// The format; `None`: what fits. What is wrong goes to `problems`; signs count with `csv.excel` alone.
    fn format(&self, problems: &mut Vec<Problem>) -> Option<FileFormat> {
        if self.format.is_empty() {
            return None;
        }
        let format = FileFormat::parse(&self.format).ok_or_else(|| "Choose one of the formats.".to_owned());
        let format = take(problems, names::FORMAT, format)?;
        if format.text.dialect().is_none() {
            return Some(format);
        }
        let separator = take(problems, names::SEPARATOR, sign(&self.separator)).flatten();
        let decimal = take(problems, names::DECIMAL, sign(&self.decimal)).flatten();
        let dialect = Dialect::new(separator, decimal).map_err(|_| {
            "A comma cannot stand between columns and before decimals. Choose a semicolon, a tab or a vertical bar."
                .to_owned()
        });
        take(problems, names::SEPARATOR, dialect).and_then(|dialect| format.with_dialect(dialect))
    }

    fn selected(&self, report: &Report) -> Result<Option<Vec<usize>>, String> {
        match &self.columns {
            Columns::Usual => Ok(None),
            Columns::All => Ok(Some((0..report.fields.len()).collect())),
            Columns::Own(columns) if columns.is_empty() => {
                Err("Choose one column at least, or the usual ones.".to_owned())
            }
            Columns::Own(columns) => Ok(Some(columns.clone())),
        }
    }
}

/// Whether a day that was written is none.
fn problems_of_days(entry: &Entry) -> bool {
    [&entry.from, &entry.to].into_iter().any(|text| !text.is_empty() && typed::day(text).is_err())
}

/// The value, or nothing and one more problem.
fn take<T>(problems: &mut Vec<Problem>, control: &str, read: Result<T, String>) -> Option<T> {
    read.map_err(|message| problems.push(Problem::new(control, message))).ok()
}

/// A sign of `csv.excel`; nothing written, nothing chosen.
fn sign<T: std::str::FromStr>(text: &str) -> Result<Option<T>, String> {
    match text {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| "Choose one of the signs.".to_owned()),
    }
}

/// The time zone of a name.
pub fn zone(name: &str) -> Result<chrono_tz::Tz, String> {
    let wanted = name.trim();
    let found = chrono_tz::TZ_VARIANTS.iter().find(|zone| zone.name().eq_ignore_ascii_case(wanted));
    found.copied().ok_or_else(|| {
        let nearest = suggest::nearest(wanted, chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name()));
        let shown: String = wanted.chars().take(60).collect();
        format!(
            "'{shown}' is not a time zone such as UTC, Europe/Berlin or America/New_York.{}",
            suggest::hint(&nearest)
        )
    })
}

#[cfg(test)]
mod tests;
