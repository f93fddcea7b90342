//! Reports as tables of fields: the one place that says which columns there are.
//!
//! The table is data (`data/fields.csv`, compiled in); an operator's configuration may append
//! columns. The filter's type check, the ledger's schema, the file header, the metadata document,
//! the import mapping and the export page's form are all read from it.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

const FIELDS_CSV: &str = include_str!("../data/fields.csv");

/// The two reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReportName {
    /// What was or will be paid.
    Payments,
    /// The earnings behind the payments.
    TransactionHistory,
}

impl ReportName {
    /// Both, in the order they are documented.
    pub const ALL: [Self; 2] = [Self::Payments, Self::TransactionHistory];

    /// The name in paths, file names, tables and the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Payments => "payments",
            Self::TransactionHistory => "transactionhistory",
        }
    }
}

impl fmt::Display for ReportName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for ReportName {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|r| r.as_str().eq_ignore_ascii_case(text))
            .ok_or_else(|| format!("unknown report '{text}': expected payments or transactionhistory"))
    }
}

/// What a field holds, how it is stored and printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FieldType {
    /// Money: decimal(18,4), printed with two to four decimals.
    Amount,
    /// A rate or quantity: decimal(18,8), printed without trailing zeros.
    Number,
    /// int64.
    Integer,
    /// Text whose leading zeros do not matter in comparisons.
    Id,
    /// Text.
    Text,
    /// Text out of a list of values; comparisons ignore case.
    Enum,
    /// A GUID as text; comparisons ignore case.
    Guid,
    /// A day.
    Date,
    /// An instant in microseconds, UTC.
    Timestamp,
    /// true or false.
    Boolean,
}

impl FieldType {
    /// Whether the column is stored as text.
    pub fn stored_as_text(self) -> bool {
        matches!(self, Self::Id | Self::Text | Self::Enum | Self::Guid)
    }

    /// The name in the field table, the configuration and error messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Amount => "amount",
            Self::Number => "number",
            Self::Integer => "integer",
            Self::Id => "id",
            Self::Text => "text",
            Self::Enum => "enum",
            Self::Guid => "guid",
            Self::Date => "date",
            Self::Timestamp => "timestamp",
            Self::Boolean => "boolean",
        }
    }
}

/// What a field means to the service beyond its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldRole {
    /// The participant that earns: half of a grant's pair.
    Participant,
    /// The programme: the other half.
    Program,
    /// The order type: REBATE, COOP, FEE, SELL.
    OrderType,
    /// The payment status.
    Status,
    /// The instant of the last status change; the newer row wins in an import.
    StatusTime,
    /// The field of the default window of three years.
    Window,
    /// The payment's id.
    Payment,
    /// The amount that previews chart.
    Headline,
}

/// Whose currency an amount is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Currency {
    /// The index of the field that holds it.
    Field(usize),
    /// Always this one.
    Constant(Arc<str>),
}

/// One column of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// The column's name, as in the file header.
    pub name: Arc<str>,
    /// What it holds.
    pub kind: FieldType,
    /// Whether it may be empty.
    pub nullable: bool,
    /// Whether it is in the file by default.
    pub in_file: bool,
    /// The documented filter name, where it is another than the column's own.
    pub filter_name: Option<Arc<str>>,
    /// The currency of an amount.
    pub currency: Option<Currency>,
    /// The place in the ledger's sort and merge key, from 1.
    pub key: Option<u8>,
    /// What the field means to the service.
    pub roles: Vec<FieldRole>,
    /// The values of an enumerated field.
    pub values: Vec<Arc<str>>,
    /// One sentence for people.
    pub meaning: Arc<str>,
    /// An example value.
    pub example: Option<Arc<str>>,
    /// Whether the export page's form has a control for it.
    pub in_form: bool,
}

/// A report: its fields in file order, ledger-only fields last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Which one.
    pub name: ReportName,
    /// All fields. Indexes into this list identify a field everywhere.
    pub fields: Vec<Field>,
    names: HashMap<String, usize>,
}

/// A problem in the table of fields or in columns that a configuration appends.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("field table: {0}")]
pub struct CatalogError(pub String);

/// A column that an operator's configuration appends to a report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExtraColumn {
    /// The column's name.
    pub name: String,
    /// What it holds.
    #[serde(rename = "type")]
    pub kind: FieldType,
    /// The column or constant that holds an amount's currency; required for amounts.
    #[serde(default)]
    pub currency: Option<String>,
    /// Whether it is in the file by default.
    #[serde(default = "yes")]
    pub in_file: bool,
    /// The values of an enumerated column.
    #[serde(default)]
    pub values: Vec<String>,
    /// One sentence for people.
    #[serde(default)]
    pub meaning: String,
    /// Whether the export page's form has a control for it: for texts and enumerated columns with
    /// few values, and for dates that a period may be about.
    #[serde(default)]
    pub in_form: bool,
}

fn yes() -> bool {
    true
}

impl Report {
    /// The index of the field that `name` means: a column's own name or its documented filter
    /// name, in any case.
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.names.get(&name.to_ascii_lowercase()).copied()
    }

    /// The field that `name` means, see [`Report::index_of`].
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.index_of(name).map(|i| &self.fields[i])
    }

    /// The index of the field that has `role`. Every report has each role but `Headline` and
    /// `Payment` exactly once, which the catalog checks when it is built.
    pub fn role(&self, role: FieldRole) -> usize {
        self.fields.iter().position(|f| f.roles.contains(&role)).expect("the catalog checks that every role is there")
    }

    /// The indexes of the fields that are in the file by default, in file order.
    pub fn default_columns(&self) -> Vec<usize> {
        (0..self.fields.len()).filter(|&i| self.fields[i].in_file).collect()
    }

    /// The indexes of the fields of the sort and merge key, in key order.
    pub fn key_columns(&self) -> Vec<usize> {
        let mut key: Vec<usize> = (0..self.fields.len()).filter(|&i| self.fields[i].key.is_some()).collect();
        key.sort_by_key(|&i| self.fields[i].key);
        key
    }

    /// Every name that a filter may use, in the order of the fields: the column's own, then its
    /// filter name where that is another text.
    pub fn filter_names(&self) -> impl Iterator<Item = (&str, usize)> {
        self.fields.iter().enumerate().flat_map(|(i, f)| {
            std::iter::once((&*f.name, i))
                .chain(f.filter_name.as_deref().filter(move |n| *n != &*f.name).map(move |n| (n, i)))
        })
    }
}

/// Both reports.
#[derive(Clone, Debug)]
pub struct Catalog {
    payments: Arc<Report>,
    transaction_history: Arc<Report>,
}

impl Catalog {
    /// The compiled-in field table.
    pub fn builtin() -> Self {
        Self::with(&HashMap::new(), &HashMap::new()).expect("the compiled-in field table is valid")
    }

    /// The compiled-in field table, with columns appended and with values added to enumerated
    /// fields (by report, then by field name).
    pub fn with(
        extra_columns: &HashMap<ReportName, Vec<ExtraColumn>>,
        extra_values: &HashMap<ReportName, HashMap<String, Vec<String>>>,
    ) -> Result<Self, CatalogError> {
        let build = |name| load(name, extra_columns.get(&name).map_or(&[][..], Vec::as_slice), extra_values.get(&name));
        Ok(Self {
            payments: Arc::new(build(ReportName::Payments)?),
            transaction_history: Arc::new(build(ReportName::TransactionHistory)?),
        })
    }

    /// One report.
    pub fn report(&self, name: ReportName) -> &Arc<Report> {
        match name {
            ReportName::Payments => &self.payments,
            ReportName::TransactionHistory => &self.transaction_history,
        }
    }
}

#[derive(Deserialize)]
struct FieldRow {
    report: ReportName,
    column: String,
    #[serde(rename = "type")]
    kind: FieldType,
    nullable: String,
    in_file: String,
    filter_name: String,
    currency: String,
    key: Option<u8>,
    roles: String,
    values: String,
    meaning: String,
    example: String,
    in_form: String,
}

fn load(
    name: ReportName,
    extra: &[ExtraColumn],
    extra_values: Option<&HashMap<String, Vec<String>>>,
) -> Result<Report, CatalogError> {
    let fail = |text: String| CatalogError(text);
    let mut rows = Vec::new();
    for row in csv::Reader::from_reader(FIELDS_CSV.as_bytes()).deserialize::<FieldRow>() {
        let row = row.map_err(|e| fail(e.to_string()))?;
        if row.report == name {
            rows.push(row);
        }
    }
    rows.extend(extra.iter().map(|c| FieldRow {
        report: name,
        column: c.name.clone(),
        kind: c.kind,
        nullable: "yes".into(),
        in_file: if c.in_file { "yes" } else { "no" }.into(),
        filter_name: String::new(),
        currency: c.currency.clone().unwrap_or_default(),
        key: None,
        roles: String::new(),
        values: c.values.join("|"),
        meaning: c.meaning.clone(),
        example: String::new(),
        in_form: if c.in_form { "yes" } else { "" }.into(),
    }));
    // File columns first, so that the default set is a prefix; the order is otherwise kept.
    rows.sort_by_key(|r| r.in_file != "yes");
    let names = index_names(name, &rows)?;
    let mut fields = Vec::with_capacity(rows.len());
    for row in &rows {
        fields.push(to_field(row, &names).map_err(fail)?);
    }
    for (field, values) in extra_values.into_iter().flatten() {
        let index = names.get(&field.to_ascii_lowercase()).copied();
        let field = index.map(|i| &mut fields[i]).filter(|f| f.kind == FieldType::Enum).ok_or_else(|| {
            fail(format!("{name}: '{field}' is not an enumerated column, so no values can be added to it"))
        })?;
        field.values.extend(values.iter().map(|v| Arc::from(v.as_str())));
    }
    Ok(Report { name, fields, names })
}

fn index_names(report: ReportName, rows: &[FieldRow]) -> Result<HashMap<String, usize>, CatalogError> {
    let mut names = HashMap::new();
    for (i, row) in rows.iter().enumerate() {
        let valid = row.column.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && row.column.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !valid {
            return Err(CatalogError(format!(
                "{report}: '{}' is not a column name (letters, digits and _, not a digit first)",
                row.column
            )));
        }
        if let Some(other) = names.insert(row.column.to_ascii_lowercase(), i) {
            return Err(CatalogError(format!(
                "{report}: column '{}' is there twice ('{}')",
                row.column, rows[other].column
            )));
        }
    }
    for (i, row) in rows.iter().enumerate().filter(|(_, r)| !r.filter_name.is_empty()) {
        names.entry(row.filter_name.to_ascii_lowercase()).or_insert(i);
    }
    Ok(names)
}

fn to_field(row: &FieldRow, names: &HashMap<String, usize>) -> Result<Field, String> {
    let split =
        |text: &str, by: char| text.split(by).filter(|s| !s.is_empty()).map(Arc::from).collect::<Vec<Arc<str>>>();
    let some = |text: &str| (!text.is_empty()).then(|| Arc::from(text));
    let currency = match (row.kind, row.currency.as_str()) {
        (FieldType::Amount, "") => {
            return Err(format!(
                "amount column '{}' needs a currency: a column's name or a code such as USD",
                row.column
            ));
        }
        (_, "") => None,
        (_, text) => Some(match names.get(&text.to_ascii_lowercase()) {
            Some(&i) => Currency::Field(i),
            None if text.len() == 3 && text.bytes().all(|b| b.is_ascii_uppercase()) => Currency::Constant(text.into()),
            None => {
                return Err(format!(
                    "column '{}': currency '{text}' is neither a column nor a code of three capitals",
                    row.column
                ));
            }
        }),
    };
    let mut roles: Vec<FieldRole> = Vec::new();
    for role in row.roles.split_whitespace() {
        roles.push(serde_json::from_value(role.into()).map_err(|_| format!("unknown role '{role}'"))?);
    }
    let chosen = matches!(row.kind, FieldType::Text | FieldType::Enum | FieldType::Date | FieldType::Timestamp);
    let in_form = row.in_form == "yes";
    if in_form && !chosen && roles.is_empty() {
        return Err(format!("column '{}' is {}: the form chooses by texts and dates", row.column, row.kind.as_str()));
    }
    Ok(Field {
        name: row.column.as_str().into(),
        kind: row.kind,
        nullable: row.nullable == "yes",
        in_file: row.in_file == "yes",
        filter_name: some(&row.filter_name),
        currency,
        key: row.key,
        roles,
        values: split(&row.values, '|'),
        meaning: row.meaning.as_str().into(),
        example: some(&row.example),
        in_form,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_builtin_table_is_whole() {
        let catalog = Catalog::builtin();
        let payments = catalog.report(ReportName::Payments);
        assert_eq!(payments.fields.len(), 20);
        assert_eq!(payments.default_columns().len(), 18);
        assert_eq!(payments.index_of("PAYMENTAMOUNT"), payments.index_of("totalPayment"));
        let history = catalog.report(ReportName::TransactionHistory);
        assert_eq!(history.fields.len(), 108);
        assert_eq!(history.default_columns().len(), 106);
        assert_eq!(&*history.field("payoutStatus").unwrap().name, "paymentStatus");
        for report in [payments, history] {
            for role in [
                FieldRole::Participant,
                FieldRole::Program,
                FieldRole::OrderType,
                FieldRole::Status,
                FieldRole::StatusTime,
                FieldRole::Window,
            ] {
                report.role(role);
            }
            assert!(report.fields.iter().filter(|f| f.kind == FieldType::Amount).all(|f| f.currency.is_some()));
        }
    }

    #[test]
    fn a_configuration_can_append_columns() {
        let column = ExtraColumn {
            name: "costCentre".into(),
            kind: FieldType::Text,
            currency: None,
            in_file: true,
            values: vec![],
            meaning: String::new(),
            in_form: true,
        };
        let with = |c: ExtraColumn| Catalog::with(&HashMap::from([(ReportName::Payments, vec![c])]), &HashMap::new());
        let catalog = with(column.clone()).unwrap();
        let report = catalog.report(ReportName::Payments);
        assert_eq!(report.index_of("COSTCENTRE"), Some(18), "file columns come before ledger-only ones");
        assert!(report.fields[18].in_form);
        assert!(with(ExtraColumn { name: "earned".into(), ..column.clone() }).is_err());
        let rate = ExtraColumn { name: "rate".into(), kind: FieldType::Number, ..column.clone() };
        assert!(with(rate).is_err(), "the form has no control for numbers");
        assert!(with(ExtraColumn { name: "fee".into(), kind: FieldType::Amount, ..column }).is_err());
    }
}
