//! The totals of a manifest, added up again from the text of the file.
//!
//! Invariant: sums are exact. A total is compared by what the file's columns can tell apart: where
//! the column of a currency, a status, a program or an order type was not selected, totals that
//! differ in it alone are compared as one.

use std::collections::{BTreeMap, HashMap};
use std::io::Read;

use payouts_model::format::dialect::unguarded;
use payouts_model::money::ParseError;
use payouts_model::report::{Currency, FieldRole};
use payouts_model::totals::Sum;
use payouts_model::{Amount, DecimalSign, Dialect, FieldType, Report};

use super::{BUFFER_BYTES, same};
use crate::client::{Error, ManifestView, TotalView};

/// The currency of an amount column in the file.
enum CurrencyAt {
    Column(usize),
    Constant(String),
    /// The column was not selected, or its name is not known.
    Unknown,
}

/// An amount column of the file.
struct AmountColumn {
    name: String,
    at: usize,
    currency: CurrencyAt,
}

/// What a total is of: column, currency, status, program, order type; empty where not told apart.
type Group = [String; 5];

/// Adds up the rows of a file.
pub(super) struct Sums<'a> {
    manifest: &'a ManifestView,
    separator: u8,
    dialect: Option<Dialect>,
    amounts: Vec<AmountColumn>,
    status: Option<usize>,
    program: Option<usize>,
    order_type: Option<usize>,
    /// By column and the bytes of the group, so that a row costs no text of its own.
    found: HashMap<Vec<u8>, (Group, Sum)>,
    compared: u64,
}

impl<'a> Sums<'a> {
    /// Nothing added yet.
    pub fn new(manifest: &'a ManifestView, report: &Report) -> Result<Self, Error> {
        let at = |name: &str| manifest.columns.iter().position(|c| c == name);
        let role = |role| at(&report.fields[report.role(role)].name);
        let mut amounts = Vec::new();
        for (place, name) in manifest.columns.iter().enumerate() {
            let field = report.fields.iter().find(|f| *f.name == **name);
            let summed = manifest.totals.iter().any(|t| t.column == *name);
            // A column that the configuration appended is known from the manifest alone.
            if at(name) != Some(place) || !(summed || field.is_some_and(|f| f.kind == FieldType::Amount)) {
                continue;
            }
            let currency = match field.and_then(|f| f.currency.as_ref()) {
                Some(Currency::Constant(code)) => CurrencyAt::Constant(code.to_string()),
                Some(Currency::Field(index)) => {
                    at(&report.fields[*index].name).map_or(CurrencyAt::Unknown, CurrencyAt::Column)
                }
                None => CurrencyAt::Unknown,
            };
            amounts.push(AmountColumn { name: name.clone(), at: place, currency });
        }
        Ok(Self {
            manifest,
            separator: manifest.format()?.text.separator(),
            dialect: manifest.format()?.text.dialect(),
            amounts,
            status: role(FieldRole::Status),
            program: role(FieldRole::Program),
            order_type: role(FieldRole::OrderType),
            found: HashMap::new(),
            compared: 0,
        })
    }

    /// Adds the rows of a text, after its header was compared. `name` is the entry's.
    pub fn add(&mut self, reader: impl Read, name: &str) -> Result<(), Error> {
        let of = |what: &str| if name.is_empty() { what.to_owned() } else { format!("{name}: {what}") };
        let mut rows = csv::ReaderBuilder::new()
            .delimiter(self.separator)
            .has_headers(false)
            .flexible(true)
            .buffer_capacity(BUFFER_BYTES)
            .from_reader(reader);
        let mut row = csv::StringRecord::new();
        let header = rows.read_record(&mut row).map_err(unreadable)?;
        let plain = |(at, text)| if at == 0 { str::trim_start_matches(text, '\u{feff}') } else { text };
        let found: Vec<&str> = match self.dialect {
            Some(_) => row.iter().enumerate().map(plain).map(unguarded).collect(),
            None => row.iter().collect(),
        };
        same(&of("header"), if header { found.join(",") } else { String::new() }, self.manifest.columns.join(","))?;
        let mut number = 0_u64;
        while rows.read_record(&mut row).map_err(unreadable)? {
            number += 1;
            // A row of one empty value looks like an empty line, which is no row of several columns.
            self.add_values(&row, row.len())
                .map_err(|what| Error::Mismatch { what: of(&format!("row {number}: {what}")) })?;
        }
        Ok(())
    }

    /// Adds a row of so many values. The error says what is wrong in it.
    pub fn add_values<R>(&mut self, row: &R, count: usize) -> Result<(), String>
    where
        R: std::ops::Index<usize> + ?Sized,
        R::Output: AsRef<str>,
    {
        let expected = self.manifest.columns.len();
        if count != expected {
            return Err(format!("{count} values, expected {expected}"));
        }
        let guarded = self.dialect.is_some();
        let text = |at: Option<usize>| {
            let text = at.map_or("", |i| row[i].as_ref());
            if guarded { unguarded(text) } else { text }
        };
        let mut key = Vec::new();
        for AmountColumn { name, at, currency } in &self.amounts {
            let value = text(Some(*at));
            if value.is_empty() {
                continue;
            }
            let decimal = self.dialect.map_or(DecimalSign::Point, |dialect| dialect.decimal);
            let amount = amount(value, decimal).map_err(|e| format!("{name} '{value}' is {e}"))?;
            let currency = match currency {
                CurrencyAt::Column(at) => text(Some(*at)),
                CurrencyAt::Constant(code) => code,
                CurrencyAt::Unknown => "",
            };
            let group = [name, currency, text(self.status), text(self.program), text(self.order_type)];
            key.clear();
            for part in group {
                key.extend_from_slice(&part.len().to_le_bytes());
                key.extend_from_slice(part.as_bytes());
            }
            match self.found.get_mut(&key) {
                Some((_, sum)) => sum.add(amount),
                None => {
                    let mut sum = Sum::default();
                    sum.add(amount);
                    self.found.insert(key.clone(), (group.map(str::to_owned), sum));
                }
            }
        }
        Ok(())
    }

    /// Compares both lists of the manifest with what was added up: the first difference is the error.
    pub fn compare(&mut self) -> Result<(), Error> {
        let mut compared = 0;
        let coarse = self.manifest.totals.iter().map(|total| ("", "", total));
        compared += self.compare_list(coarse, false)?;
        let fine = self.manifest.totals_by_program.iter();
        compared += self.compare_list(fine.map(|t| (&*t.program_name, &*t.order_type, &t.total)), true)?;
        self.compared = compared;
        Ok(())
    }

    /// Totals that were compared.
    pub fn compared(&self) -> u64 {
        self.compared
    }

    fn compare_list<'t>(
        &self,
        list: impl Iterator<Item = (&'t str, &'t str, &'t TotalView)>,
        by_program: bool,
    ) -> Result<u64, Error> {
        let mut expected: BTreeMap<Group, Sum> = BTreeMap::new();
        let if_there = |text: &str, there: bool| if there { text.to_owned() } else { String::new() };
        for (program, order_type, total) in list {
            let Some(amount) = self.amounts.iter().find(|a| a.name == total.column) else { continue };
            let group = [
                total.column.clone(),
                if_there(&total.currency, !matches!(amount.currency, CurrencyAt::Unknown)),
                if_there(&total.payment_status, self.status.is_some()),
                if_there(program, by_program && self.program.is_some()),
                if_there(order_type, by_program && self.order_type.is_some()),
            ];
            expected.entry(group).or_default().merge(total.exact()?);
        }
        let mut found: BTreeMap<Group, Sum> = BTreeMap::new();
        for (group, sum) in self.found.values() {
            let mut group = group.clone();
            if !by_program {
                group[3].clear();
                group[4].clear();
            }
            found.entry(group).or_default().merge(*sum);
        }
        for group in found.keys().chain(expected.keys()) {
            let (found, expected) = (found.get(group), expected.get(group));
            if found != expected {
                return Err(Error::Mismatch { what: difference(group, found, expected) });
            }
        }
        Ok(found.len() as u64)
    }
}

/// An amount with the decimal sign that the file uses.
fn amount(text: &str, decimal: DecimalSign) -> Result<Amount, ParseError> {
    match decimal {
        DecimalSign::Point => text.parse(),
        DecimalSign::Comma if text.contains('.') => Err(ParseError::Syntax),
        DecimalSign::Comma => text.replace(',', ".").parse(),
    }
}

fn unreadable(error: csv::Error) -> Error {
    Error::Mismatch { what: format!("it cannot be read as rows: {error}") }
}

fn difference(group: &Group, found: Option<&Sum>, expected: Option<&Sum>) -> String {
    let of: Vec<&str> = group.iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
    let shown = |sum: Option<&Sum>| match sum {
        None => "none".to_owned(),
        Some(Sum { rows, sum, negative }) => format!("{sum} over {rows} rows (of it negative {negative})"),
    };
    format!("total of {}: {}, expected {}", of.join(", "), shown(found), shown(expected))
}
