//! The form as its template shows it: every control with its label, what it offers, what was
//! entered and what is wrong with that.

use std::collections::HashSet;

use askama::Template;
use payouts_model::id::canonical;
use payouts_model::{DecimalSign, FileFormat, Report, ReportName, Separator, Viewer};

use super::entry::{Choice, Columns, Entry, Problem, Setting};
use super::offered::{Offer, Offered};
use super::period::{Calendar, Days, Period};
use super::typed;
use crate::page::labels;

/// What the form says while it is found out what there is to choose from.
const LOOKING: &str = "The names and values to choose from are being looked up.";
/// Participants that are shown at a time, besides those that are chosen.
const SHOWN_MAX: usize = 50;
/// Beyond so many participants there is a search.
const SEARCHED_FROM: usize = 9;

/// One of several things to choose from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// What is sent.
    pub value: String,
    /// What it is called.
    pub label: String,
    /// What else there is to say of it.
    pub note: String,
    /// Whether it is chosen.
    pub chosen: bool,
}

/// A field that is chosen by its values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChoiceView {
    /// The column.
    pub column: String,
    /// Its label.
    pub label: String,
    /// What is chosen, in a few words.
    pub summary: String,
    /// Its values.
    pub items: Vec<Item>,
    /// Empty values, if there are some, and whether they are chosen.
    pub empty: Option<bool>,
    /// The chosen values, one a line, where there are too many to offer them.
    pub lines: Option<String>,
}

/// The whole form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The report's name in a request.
    pub report: ReportName,
    /// Both reports.
    pub reports: Vec<Item>,
    /// What is wrong.
    pub problems: Vec<Problem>,
    /// Participants.
    pub participants: Picked,
    /// What the period may be about.
    pub dates: Vec<Item>,
    /// Periods.
    pub periods: Vec<Item>,
    /// First day, as entered.
    pub from: String,
    /// Last day, as entered.
    pub to: String,
    /// Whether the days of the period are written.
    pub between: bool,
    /// Which days are asked for, in words.
    pub days: String,
    /// Fields of few values.
    pub choices: Vec<ChoiceView>,
    /// The label of the payments' ids, and what was pasted.
    pub payments: Option<(String, String)>,
    /// The amount's label.
    pub amount: Option<String>,
    /// Currencies; empty if there are too many to offer.
    pub currencies: Vec<Item>,
    /// The currency as entered.
    pub currency: String,
    /// As entered.
    pub least: String,
    /// As entered.
    pub greatest: String,
    /// As entered.
    pub time_zone: String,
    /// The text in the box.
    pub filter: String,
    /// What keeps the form from offering what there is, or is on its way; empty if nothing is.
    pub notice: String,
    /// Whether that is on its way.
    pub looking: bool,
    /// Whether it counts.
    pub by_filter: bool,
    /// Whether the controls can say what it says.
    pub expressible: bool,
    /// Formats.
    pub formats: Vec<Item>,
    /// What stands between columns, where that is a choice.
    pub separators: Vec<Item>,
    /// What stands before decimals, likewise.
    pub decimals: Vec<Item>,
    /// `usual`, `all` or `own`.
    pub columns: &'static str,
    /// What the file has, in a few words.
    pub columns_summary: String,
    /// How many the usual ones are.
    pub columns_usual: usize,
    /// All columns, those chosen marked.
    pub own_columns: Vec<Item>,
}

/// Participants, some of them chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picked {
    /// What is chosen, in a few words.
    pub summary: String,
    /// What it is when none is chosen.
    pub everyone: String,
    /// Those chosen first, then what the search found.
    pub items: Vec<Item>,
    /// What is searched for.
    pub find: String,
    /// Whether there are so many that one searches.
    pub searched: bool,
    /// How many are not shown, in words; empty if none.
    pub more: String,
}

impl View {
    /// The form of an entry that was read as `choice`, or not.
    pub fn new(
        entry: &Entry,
        choice: Result<&Choice, &[Problem]>,
        setting: &Setting<'_>,
        offer: &Offer,
        viewer: &Viewer,
    ) -> Self {
        let nothing = Offered::default();
        let (offered, notice) = match offer {
            Offer::Known(offered) => (&**offered, ""),
            Offer::Looking => (&nothing, LOOKING),
            Offer::Failed(why) => (&nothing, why.as_str()),
        };
        let report = setting.report;
        let zone = super::entry::zone(&entry.time_zone).unwrap_or(setting.page.time_zone);
        let calendar = setting.calendar(zone);
        let selection = choice.ok().and_then(|c| c.selection.as_ref());
        let shown = match selection {
            Some(selection) if entry.by_filter => entry.clone().with(selection, setting),
            _ => entry.clone(),
        };
        let date = report.index_of(&shown.date).unwrap_or(setting.controls.dates[0]);
        let days = selection.map(|s| s.period.days(&calendar));
        let dates = match setting.controls.dates.as_slice() {
            [_] => Vec::new(),
            several => several.iter().map(|&field| date_item(report, field, date)).collect(),
        };
        Self {
            report: report.name,
            reports: ReportName::ALL.map(|name| report_item(name, report.name)).into(),
            problems: choice.err().unwrap_or_default().to_vec(),
            participants: participants(&shown, offered, matches!(offer, Offer::Known(_)), viewer),
            notice: notice.to_owned(),
            looking: *offer == Offer::Looking,
            dates,
            periods: periods(&shown),
            between: shown.period == "between",
            days: days
                .map_or_else(String::new, |days| days_in_words(days, &calendar, &labels::field(&report.fields[date]))),
            choices: setting
                .controls
                .choices
                .iter()
                .map(|&field| choice_view(&shown, report, field, offered))
                .collect(),
            payments: setting.controls.payment.map(|f| (label(report, f), shown.payments.clone())),
            amount: setting.controls.amount.map(|(amount, _)| label(report, amount)),
            currencies: currencies(&shown, setting, offered),
            currency: shown.currency.clone(),
            least: shown.least.clone(),
            greatest: shown.greatest.clone(),
            time_zone: entry.time_zone.clone(),
            filter: choice.map_or_else(|_| entry.filter.clone(), |c| c.filter.clone()),
            by_filter: entry.by_filter,
            expressible: !entry.by_filter || choice.is_err() || selection.is_some(),
            formats: formats(&entry.format),
            separators: separators(entry),
            decimals: decimals(entry),
            columns: match entry.columns {
                Columns::Usual => "usual",
                Columns::All => "all",
                Columns::Own(_) => "own",
            },
            columns_summary: columns_summary(entry, report),
            columns_usual: report.default_columns().len(),
            own_columns: own_columns(entry, report),
            from: shown.from,
            to: shown.to,
        }
    }

    /// What is wrong with a control; empty if nothing is.
    pub fn problem(&self, control: &str) -> &str {
        self.problems.iter().find(|p| p.control == control).map_or("", |p| &p.message)
    }

    /// The place for what is wrong with a control, as HTML: the script fills it, too.
    pub fn error(&self, control: &str) -> String {
        ErrorText { control, message: self.problem(control) }.to_string()
    }

    /// The attribute of a control that is wrong.
    pub fn invalid(&self, control: &str) -> &'static str {
        if self.problem(control).is_empty() { "" } else { " aria-invalid=\"true\"" }
    }
}

#[derive(Template)]
#[template(
    source = r#"<p class="error-text" id="{{ control }}-error" data-error="{{ control }}"{% if message.is_empty() %} hidden{% endif %}>{{ message }}</p>"#,
    ext = "html"
)]
struct ErrorText<'a> {
    control: &'a str,
    message: &'a str,
}

/// A field's label with a capital.
pub fn label(report: &Report, field: usize) -> String {
    labels::capitalised(&labels::field(&report.fields[field]))
}

/// Which days are asked for, and by which date and zone they are counted.
pub fn days_in_words(days: Days, calendar: &Calendar, date: &str) -> String {
    let zone = calendar.zone.name();
    match days {
        (Some(from), Some(to)) if from == to => format!("{from}, by {date}, in {zone} time."),
        (Some(from), Some(to)) => format!("{from} to {to}, both days included, by {date}, in {zone} time."),
        (Some(from), None) => format!("From {from} on, by {date}, in {zone} time."),
        (None, Some(to)) => format!("Up to {to} and including it, by {date}, in {zone} time."),
        (None, None) => format!("Whatever the {date} is, also without one."),
    }
}

fn item(value: impl Into<String>, label: impl Into<String>, chosen: bool) -> Item {
    Item { value: value.into(), label: label.into(), note: String::new(), chosen }
}

fn report_item(name: ReportName, current: ReportName) -> Item {
    item(name.as_str(), labels::report(name), name == current)
}

fn date_item(report: &Report, field: usize, chosen: usize) -> Item {
    item(&*report.fields[field].name, label(report, field), field == chosen)
}

/// Periods by name: which days they are is said below them.
fn periods(entry: &Entry) -> Vec<Item> {
    let all = Period::NAMED.into_iter().chain([Period::Between((None, None))]);
    all.map(|period| item(period.key(), period.label(), entry.period == period.key())).collect()
}

/// Everything that is chosen, in a few words.
fn summary(items: &[Item], all: &str) -> String {
    let chosen: Vec<&str> = items.iter().filter(|i| i.chosen).map(|i| i.label.as_str()).collect();
    match chosen.as_slice() {
        [] => all.to_owned(),
        few @ ([_] | [_, _]) => few.join(", "),
        many => format!("{} chosen", many.len()),
    }
}

/// `known`: whoever is not among those offered has no rows.
fn participants(entry: &Entry, offered: &Offered, known: bool, viewer: &Viewer) -> Picked {
    let chosen: HashSet<&str> = entry.participants.iter().map(|id| canonical(id)).collect();
    let mut listed: HashSet<&str> = offered.participants.iter().map(|(id, _)| canonical(id)).collect();
    let granted = viewer.scope.participants().unwrap_or_default();
    // Granted, and without a payment so far; or named by a filter alone.
    let nameless = granted.iter().map(|id| id.as_str()).chain(entry.participants.iter().map(String::as_str));
    let nameless: Vec<(&str, &str)> = nameless.filter(|id| listed.insert(canonical(id))).map(|id| (id, "")).collect();
    let named = offered.participants.iter().map(|(id, name)| (id.as_str(), name.as_str()));
    let all: Vec<(&str, &str)> = named.chain(nameless).collect();
    let to_item = |&(id, name): &(&str, &str)| {
        let label = if name.is_empty() { id } else { name };
        let note = match name {
            "" if known => "no rows yet",
            "" => "",
            _ => id,
        };
        Item { note: note.to_owned(), ..item(id, label, chosen.contains(canonical(id))) }
    };
    let search = Search::new(&entry.find);
    let mut items: Vec<Item> = all.iter().filter(|(id, _)| chosen.contains(canonical(id))).map(to_item).collect();
    let found = || all.iter().filter(|(id, name)| !chosen.contains(canonical(id)) && search.finds(id, name));
    let count = found().count();
    items.extend(found().take(SHOWN_MAX).map(to_item));
    let open = if offered.more_participants { " of those listed; any other id can be searched for" } else { "" };
    let more = match count {
        0 if !entry.find.is_empty() => "Nothing found: search by a part of the name, or by ids.".to_owned(),
        _ if count > SHOWN_MAX => format!("{SHOWN_MAX} of {count} are shown{open}. Search by name or id for others."),
        _ => String::new(),
    };
    let everyone = match all.as_slice() {
        [only] => to_item(only).label,
        [] => "All that you may see".to_owned(),
        _ if offered.more_participants => "All that you may see".to_owned(),
        several => format!("All {} that you may see", several.len()),
    };
    Picked {
        summary: summary(&items, &everyone),
        everyone,
        searched: all.len() >= SEARCHED_FROM || offered.more_participants || !known,
        items,
        find: entry.find.clone(),
        more,
    }
}

/// Looks for a part of a name or id, or for any of several ids.
struct Search {
    part: String,
    ids: HashSet<String>,
}

impl Search {
    fn new(text: &str) -> Self {
        let ids = typed::ids(text, &[]).unwrap_or_default();
        let several = ids.len() > 1 && ids.iter().all(|id| id.bytes().any(|b| b.is_ascii_digit()));
        let ids = if several { ids.iter().map(|id| canonical(id).to_owned()).collect() } else { HashSet::new() };
        Self { part: text.trim().to_lowercase(), ids }
    }

    fn finds(&self, id: &str, name: &str) -> bool {
        if !self.ids.is_empty() {
            return self.ids.contains(canonical(id));
        }
        self.part.is_empty() || id.to_lowercase().contains(&self.part) || name.to_lowercase().contains(&self.part)
    }
}

fn choice_view(entry: &Entry, report: &Report, field: usize, offered: &Offered) -> ChoiceView {
    let chosen = entry.choices.get(&field).map_or(&[][..], Vec::as_slice);
    let (column, label) = (report.fields[field].name.to_string(), label(report, field));
    let values = offered.values.get(&field);
    let has_empty = chosen.contains(&None) || values.is_none_or(|values| values.contains(&None));
    let empty = (has_empty && report.fields[field].nullable).then(|| chosen.contains(&None));
    let texts = || chosen.iter().flatten();
    let mut items = Vec::new();
    let mut lines = None;
    match values {
        Some(values) => {
            let unknown = texts().filter(|text| !values.contains(&Some((*text).clone())));
            let all = values.iter().flatten().chain(unknown);
            let name = |value: &String| if value.is_empty() { "(blank)".to_owned() } else { value.clone() };
            items.extend(all.map(|value| item(value, name(value), chosen.contains(&Some(value.clone())))));
        }
        None => lines = Some(texts().cloned().collect::<Vec<_>>().join("\n")),
    }
    let mut said = match &lines {
        Some(text) => text.lines().map(|line| item(line, line, true)).collect(),
        None => items.clone(),
    };
    if empty == Some(true) {
        said.push(item("", "None", true));
    }
    ChoiceView { column, label, summary: summary(&said, "Any"), items, empty, lines }
}

fn currencies(entry: &Entry, setting: &Setting<'_>, offered: &Offered) -> Vec<Item> {
    let Some((_, currency)) = setting.controls.amount else { return Vec::new() };
    let Some(values) = offered.values.get(&currency) else { return Vec::new() };
    let known = values.contains(&Some(entry.currency.clone())) || entry.currency.is_empty();
    let own = (!known).then(|| item(entry.currency.clone(), entry.currency.clone(), true));
    let offer = values.iter().flatten().map(|code| item(code, code, *code == entry.currency));
    std::iter::once(item("", "Any", entry.currency.is_empty())).chain(offer).chain(own).collect()
}

fn formats(chosen: &str) -> Vec<Item> {
    let chosen = FileFormat::parse(chosen);
    let fits = item("", "Excel workbook, if it fits", chosen.is_none());
    let named = FileFormat::ALL.iter().map(|format| {
        let name = format.to_string();
        let label = format_label(&name);
        item(name, label, chosen.as_ref() == Some(format))
    });
    std::iter::once(fits).chain(named).collect()
}

fn separators(entry: &Entry) -> Vec<Item> {
    let decimal = entry.decimal.parse().unwrap_or(DecimalSign::Point);
    let usual = if decimal == DecimalSign::Comma { Separator::Semicolon } else { Separator::Comma };
    let chosen = entry.separator.parse().unwrap_or(usual);
    let one = |sign: Separator| {
        let label = match sign {
            Separator::Comma => "Comma ,",
            Separator::Semicolon => "Semicolon ;",
            Separator::Tab => "Tab",
            Separator::Pipe => "Vertical bar |",
        };
        item(sign.as_str(), label, sign == chosen)
    };
    Separator::ALL.map(one).into()
}

fn decimals(entry: &Entry) -> Vec<Item> {
    let chosen = entry.decimal.parse().unwrap_or(DecimalSign::Point);
    let one = |sign: DecimalSign| {
        let label = match sign {
            DecimalSign::Point => "Point: 1234.50",
            DecimalSign::Comma => "Comma: 1234,50",
        };
        item(sign.as_str(), label, sign == chosen)
    };
    DecimalSign::ALL.map(one).into()
}

/// What people call a format.
fn format_label(name: &str) -> String {
    match name {
        "xlsx" => "Excel workbook (.xlsx)".into(),
        "csv.excel" => "CSV for spreadsheets".into(),
        "csv" => "CSV".into(),
        "tsv" => "TSV: columns between tabs".into(),
        "csv.zip" => "ZIP of CSV".into(),
        "tsv.zip" => "ZIP of TSV".into(),
        "csv.gz" => "CSV, packed with gzip".into(),
        "tsv.gz" => "TSV, packed with gzip".into(),
        other => other.to_uppercase(),
    }
}

fn columns_summary(entry: &Entry, report: &Report) -> String {
    match &entry.columns {
        Columns::Usual => format!("The usual {}", report.default_columns().len()),
        Columns::All => format!("All {}", report.fields.len()),
        Columns::Own(columns) => format!("{} of {}", columns.len(), report.fields.len()),
    }
}

fn own_columns(entry: &Entry, report: &Report) -> Vec<Item> {
    let chosen = |i: usize| match &entry.columns {
        Columns::Usual => report.fields[i].in_file,
        Columns::All => true,
        Columns::Own(columns) => columns.contains(&i),
    };
    let one = |i: usize| {
        let name = report.fields[i].name.to_string();
        Item { note: name.clone(), ..item(name, label(report, i), chosen(i)) }
    };
    (0..report.fields.len()).map(one).collect()
}

#[cfg(test)]
mod tests;
