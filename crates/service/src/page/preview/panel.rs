//! The panel as its template shows it.

use std::collections::BTreeMap;

use askama::Template;
use payouts_model::chunk::ROWS_PER_ENTRY_MAX;
use payouts_model::report::Currency;
use payouts_model::totals::Sum;
use payouts_model::{Amount, FieldType, Report, Totals};

use super::chart::{self, Chart, Span};
use super::{Seen, figures};
use crate::page::form::Opened;
use crate::page::form::controls::us_dollars;
use crate::page::form::entry::Choice;
use crate::page::form::view::{Item, label};
use crate::page::labels;

/// Ids that are listed one by one.
const IDS_SHOWN_MAX: usize = 200;

/// A row of the totals.
#[derive(Clone, Debug, PartialEq, Eq)]
struct StatusTotal {
    status: String,
    rows: String,
    amount: Money,
}

/// All of one currency.
#[derive(Clone, Debug, PartialEq, Eq)]
struct CurrencyTotal {
    currency: String,
    rows: String,
    amount: Money,
    statuses: Vec<StatusTotal>,
}

/// An amount: exact, and for people.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Money {
    exact: String,
    shown: String,
    currency: String,
}

impl Money {
    fn new(amount: Amount, currency: &str) -> Self {
        Self { exact: amount.to_string(), shown: figures::money(amount), currency: currency.to_owned() }
    }
}

/// What a month has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Month {
    rows: u64,
    amount: Amount,
}

/// A row of the table that says what the charts show.
#[derive(Clone, Debug, PartialEq, Eq)]
struct MonthRow {
    label: String,
    rows: String,
    amount: Money,
}

/// A cell of the first rows.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Cell {
    Text(String),
    Number(String),
    /// With its currency, if the row says that.
    Amount(String, String),
    Day(String),
    Instant(String),
}

#[derive(Debug, Template)]
#[template(path = "preview_panel.html")]
pub(super) struct Panel {
    rows: u64,
    rows_shown: String,
    /// What the totals are about.
    amount_label: String,
    currencies: Vec<CurrencyTotal>,
    /// All of it in US dollars, and what that is called.
    dollars: Option<(String, Money)>,
    /// What the chart can be in.
    units: Vec<Item>,
    unit_label: String,
    period: String,
    rows_chart: Chart,
    amount_chart: Chart,
    months: Vec<MonthRow>,
    /// Rows that are in no month.
    undated: String,
    headings: Vec<(String, bool)>,
    first_rows: Vec<Vec<Cell>>,
    not_found: Vec<String>,
    not_found_count: String,
    more_not_found: usize,
    as_of: String,
    as_of_exact: String,
    version: u64,
    warnings: Vec<String>,
    filter: String,
    /// Whether the rows go beyond one sheet.
    beyond_a_sheet: bool,
}

impl Panel {
    pub fn new(opened: &Opened, choice: &Choice, seen: &Seen) -> Self {
        let report = &*opened.report;
        let totals = &seen.preview.totals;
        let unit = Unit::chosen(opened, choice, totals);
        let months = months(&seen.preview.months, &unit);
        let dated: u64 = months.iter().map(|m| m.value.rows).sum();
        let headline = opened.controls.amount.map(|(amount, _)| amount);
        let currencies = headline.map_or_else(Vec::new, |amount| by_currency(totals, &report.fields[amount].name));
        let dollars = us_dollars(report).map(|field| {
            let sum = sum_of(totals, &report.fields[field].name, "USD");
            (label(report, field), Money::new(sum, "USD"))
        });
        let undated = totals.rows.saturating_sub(dated);
        Self {
            rows: totals.rows,
            rows_shown: labels::grouped(totals.rows),
            amount_label: headline.map_or_else(String::new, |field| label(report, field)),
            units: unit.offered(report, headline, &currencies),
            currencies,
            dollars,
            period: match months.as_slice() {
                [] => String::new(),
                [one] => one.label.clone(),
                [first, .., last] => format!("{} to {}", first.label, last.label),
            },
            rows_chart: rows_chart(&months),
            amount_chart: amount_chart(&months, &unit),
            months: months.iter().map(|month| month_row(month, &unit)).collect(),
            unit_label: unit.label,
            undated: if undated == 0 { String::new() } else { labels::grouped(undated) },
            headings: headings(report, &seen.columns),
            first_rows: first_rows(report, seen),
            not_found: seen.not_found.iter().take(IDS_SHOWN_MAX).cloned().collect(),
            not_found_count: labels::grouped(seen.not_found.len() as u64),
            more_not_found: seen.not_found.len().saturating_sub(IDS_SHOWN_MAX),
            as_of: seen.data_as_of.to_utc().format("%-d %b %Y, %H:%M UTC").to_string(),
            as_of_exact: seen.data_as_of.to_string(),
            version: seen.data_version,
            warnings: seen.warnings.iter().map(|warning| warning.message.clone()).collect(),
            filter: choice.filter.clone(),
            beyond_a_sheet: totals.rows > ROWS_PER_ENTRY_MAX,
        }
    }

    /// The panel in one sentence, for screen readers.
    pub fn said(&self) -> String {
        let mut said = match self.rows {
            0 => "No rows.".to_owned(),
            1 => "1 row.".to_owned(),
            _ => format!("{} rows.", self.rows_shown),
        };
        if let Some((label, money)) = &self.dollars {
            said.push_str(&format!(" {label}: {} USD.", money.shown));
        }
        if !self.not_found.is_empty() {
            said.push_str(&format!(" {} ids were not found.", self.not_found_count));
        }
        said
    }
}

/// What the chart's amounts are: a column and a currency of it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Unit {
    column: String,
    currency: String,
    label: String,
    /// Whether it is the column that is always in US dollars.
    dollars: bool,
}

impl Unit {
    /// The one asked for, else the chosen currency, else US dollars.
    fn chosen(opened: &Opened, choice: &Choice, totals: &Totals) -> Self {
        let report = &*opened.report;
        let wanted = match opened.entry.chart.as_str() {
            "" => choice.selection.as_ref().and_then(|s| s.currency.clone()).unwrap_or_default(),
            "usd" => String::new(),
            other => other.to_owned(),
        };
        let column = |field: usize| report.fields[field].name.to_string();
        let headline = opened.controls.amount.map(|(amount, _)| amount);
        if let Some(amount) = headline {
            let there = totals.sums.keys().any(|k| *k.column == *report.fields[amount].name && *k.currency == *wanted);
            if there || us_dollars(report).is_none() {
                let label = format!("{} in {wanted}", label(report, amount));
                return Self { column: column(amount), currency: wanted, label, dollars: false };
            }
        }
        let field = us_dollars(report).or(headline).unwrap_or(0);
        Self { column: column(field), currency: "USD".into(), label: label(report, field), dollars: true }
    }

    fn offered(&self, report: &Report, headline: Option<usize>, currencies: &[CurrencyTotal]) -> Vec<Item> {
        let item =
            |value: &str, label: String, chosen| Item { value: value.into(), label, note: String::new(), chosen };
        let dollars = us_dollars(report).map(|field| item("usd", label(report, field), self.dollars));
        let own = headline.into_iter().flat_map(|field| {
            let name = label(report, field);
            currencies.iter().map(move |c| (c.currency.clone(), format!("{name} in {}", c.currency)))
        });
        let own = own.map(|(code, name)| item(&code, name, !self.dollars && self.currency == code));
        dollars.into_iter().chain(own).collect()
    }
}

fn sum_of(totals: &Totals, column: &str, currency: &str) -> Amount {
    let of = totals.sums.iter().filter(|(key, _)| *key.column == *column && *key.currency == *currency);
    Amount(of.map(|(_, sum)| sum.sum.0).sum())
}

fn by_currency(totals: &Totals, column: &str) -> Vec<CurrencyTotal> {
    let mut found: BTreeMap<&str, BTreeMap<&str, Sum>> = BTreeMap::new();
    for (key, sum) in totals.sums.iter().filter(|(key, _)| *key.column == *column) {
        found.entry(&key.currency).or_default().entry(&key.status).or_default().merge(*sum);
    }
    let one = |(currency, statuses): (&str, BTreeMap<&str, Sum>)| {
        let mut all = Sum::default();
        statuses.values().for_each(|sum| all.merge(*sum));
        let status = |(status, sum): (&str, Sum)| StatusTotal {
            status: status.to_owned(),
            rows: labels::grouped(sum.rows),
            amount: Money::new(sum.sum, currency),
        };
        CurrencyTotal {
            currency: currency.to_owned(),
            rows: labels::grouped(all.rows),
            amount: Money::new(all.sum, currency),
            statuses: statuses.into_iter().map(status).collect(),
        }
    };
    found.into_iter().map(one).collect()
}

fn months(months: &BTreeMap<String, Totals>, unit: &Unit) -> Vec<Span<Month>> {
    let month = |totals: &Totals| Month { rows: totals.rows, amount: sum_of(totals, &unit.column, &unit.currency) };
    let months: BTreeMap<String, Month> = months.iter().map(|(key, totals)| (key.clone(), month(totals))).collect();
    chart::spans(&months, |a, b| {
        a.rows += b.rows;
        a.amount.0 += b.amount.0;
    })
}

fn rows_chart(months: &[Span<Month>]) -> Chart {
    let title = |span: &Span<Month>| format!("{}: {} rows", span.label, labels::grouped(span.value.rows));
    chart::bars(months, 1, |month| i128::from(month.rows), title)
}

fn amount_chart(months: &[Span<Month>], unit: &Unit) -> Chart {
    let title = |span: &Span<Month>| format!("{}: {} {}", span.label, figures::money(span.value.amount), unit.currency);
    chart::bars(months, 10_i128.pow(Amount::SCALE), |month| month.amount.0, title)
}

fn month_row(span: &Span<Month>, unit: &Unit) -> MonthRow {
    MonthRow {
        label: span.label.clone(),
        rows: labels::grouped(span.value.rows),
        amount: Money::new(span.value.amount, &unit.currency),
    }
}

fn numeric(report: &Report, field: usize) -> bool {
    matches!(report.fields[field].kind, FieldType::Amount | FieldType::Number | FieldType::Integer)
}

fn headings(report: &Report, columns: &[usize]) -> Vec<(String, bool)> {
    columns
        .iter()
        .map(|&field| (labels::capitalised(&labels::field(&report.fields[field])), numeric(report, field)))
        .collect()
}

fn first_rows(report: &Report, seen: &Seen) -> Vec<Vec<Cell>> {
    let place = |field: &usize| seen.columns.iter().position(|column| column == field);
    let currency = |field: usize, row: &[Option<String>]| match report.fields[field].currency.as_ref()? {
        Currency::Constant(code) => Some(code.to_string()),
        Currency::Field(of) => row[place(of)?].clone(),
    };
    let cell = |field: usize, text: &Option<String>, row: &[Option<String>]| {
        let Some(text) = text.clone() else { return Cell::Text(String::new()) };
        match report.fields[field].kind {
            FieldType::Amount => match currency(field, row) {
                Some(currency) => Cell::Amount(text, currency),
                None => Cell::Number(text),
            },
            FieldType::Number | FieldType::Integer => Cell::Number(text),
            FieldType::Date => Cell::Day(text),
            FieldType::Timestamp => Cell::Instant(text),
            _ => Cell::Text(text),
        }
    };
    let cells = |row: &Vec<Option<String>>| seen.columns.iter().zip(row).map(|(&f, text)| cell(f, text, row)).collect();
    seen.preview.first_rows.iter().map(cells).collect()
}
