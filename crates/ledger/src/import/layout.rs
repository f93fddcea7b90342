//! Which column of a file fills which field.
//!
//! Headers are matched ignoring case, blanks, underscores and hyphens, by the fields' own names,
//! by their documented filter names, and by the names of the older published layout.

use payouts_model::Report;
use payouts_model::report::FieldRole;

use super::{nearest, rejects, shown};

/// Unknown columns that a message names.
const UNKNOWN_SHOWN_MAX: usize = 10;

/// Where a field's values come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fill {
    /// A column of the file.
    Column(usize),
    /// No column: empty.
    Empty,
    /// No column: the default order type (from the kind of earning, or given).
    OrderType,
    /// No column: the default status time.
    StatusTime,
}

/// A file's columns, mapped.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    /// The header as it stands in the file.
    pub header: Vec<String>,
    /// For each field of the report.
    pub fills: Vec<Fill>,
}

/// The letters of a header text that count.
fn letters(name: &str) -> impl Iterator<Item = char> + '_ {
    name.chars().filter(|c| !c.is_whitespace() && !matches!(c, '_' | '-')).flat_map(char::to_lowercase)
}

/// The form in which header texts are compared.
fn normal(name: &str) -> String {
    letters(name).collect()
}

/// Whether two header texts are the same. A file may have very many of them, so nothing is copied.
pub(super) fn same(one: &str, other: &str) -> bool {
    letters(one).eq(letters(other))
}

/// Columns of the older published layout that fill other fields.
const OLDER: [(&str, &[&str]); 1] = [("currencycode", &["earnedCurrencyCode", "paymentCurrencyCode"])];

/// The fields that a header text means; empty if it is unknown.
pub(super) fn fields_of(report: &Report, name: &str) -> Vec<usize> {
    if let Some(index) = report.fields.iter().position(|f| same(&f.name, name)) {
        return vec![index];
    }
    if let Some(index) = report.fields.iter().position(|f| f.filter_name.as_deref().is_some_and(|n| same(n, name))) {
        return vec![index];
    }
    OLDER
        .iter()
        .filter(|(old, _)| same(old, name))
        .flat_map(|(_, new)| new.iter().filter_map(|n| report.index_of(n)))
        .collect()
}

impl Layout {
    /// Maps a header. `Err` says what is wrong with it and what would be right.
    pub fn map(report: &Report, header: Vec<String>, order_type_given: bool) -> Result<Self, String> {
        let mut fills: Vec<Option<usize>> = vec![None; report.fields.len()];
        let mut unknown = Vec::new();
        for (column, name) in header.iter().enumerate() {
            if rejects::owns(name) {
                continue;
            }
            let fields = fields_of(report, name);
            if fields.is_empty() {
                unknown.push(name);
            }
            for field in fields {
                if let Some(other) = fills[field].replace(column) {
                    return Err(format!(
                        "columns '{}' and '{}' both fill {}: keep one of them",
                        shown(&header[other]),
                        shown(name),
                        report.fields[field].name
                    ));
                }
            }
        }
        if unknown.len() == header.len() {
            return Err(format!(
                "the first line is not a header of {}: it must name the columns, such as {}",
                report.name,
                example_header(report)
            ));
        }
        if !unknown.is_empty() {
            let mut named: Vec<String> =
                unknown.iter().take(UNKNOWN_SHOWN_MAX).map(|name| unknown_column(report, name)).collect();
            if unknown.len() > named.len() {
                named.push(format!("and {} more", unknown.len() - named.len()));
            }
            return Err(format!(
                "unknown columns: {}; remove them, or declare them as columns of {} in the configuration",
                named.join(", "),
                report.name
            ));
        }
        let fills = fill_rest(report, &fills, order_type_given)?;
        Ok(Self { header, fills })
    }
}

fn fill_rest(report: &Report, fills: &[Option<usize>], order_type_given: bool) -> Result<Vec<Fill>, String> {
    let (order_type, time) = (report.role(FieldRole::OrderType), report.role(FieldRole::StatusTime));
    let derivable = report.index_of("earningType").is_some_and(|i| fills[i].is_some());
    let mut missing = Vec::new();
    let filled = report.fields.iter().enumerate().map(|(i, field)| match fills[i] {
        Some(column) => Fill::Column(column),
        None if i == order_type => Fill::OrderType,
        None if i == time => Fill::StatusTime,
        None => {
            if !field.nullable {
                missing.push(&*field.name);
            }
            Fill::Empty
        }
    });
    let filled: Vec<Fill> = filled.collect();
    if !missing.is_empty() {
        return Err(format!("required columns are missing: {}", missing.join(", ")));
    }
    if filled[order_type] == Fill::OrderType && !derivable && !order_type_given {
        let field = &report.fields[order_type];
        return Err(format!(
            "there is no column {}, so the order type of its rows must be given: --order-type with one of {}",
            field.name,
            field.values.join(", ")
        ));
    }
    Ok(filled)
}

fn unknown_column(report: &Report, name: &str) -> String {
    let wanted = normal(name);
    let name = shown(name);
    match nearest(&wanted, report.fields.iter().map(|f| (normal(&f.name), &f.name))) {
        Some((distance, field)) if distance <= 2.max(wanted.len() / 3) => format!("'{name}' (did you mean {field}?)"),
        _ => format!("'{name}'"),
    }
}

fn example_header(report: &Report) -> String {
    let names: Vec<&str> = report.fields.iter().take(4).map(|f| &*f.name).collect();
    format!("{},…", names.join(","))
}

#[cfg(test)]
mod tests {
    use payouts_model::{Catalog, ReportName};

    use super::*;

    fn map(report: ReportName, header: &str, given: bool) -> Result<Layout, String> {
        Layout::map(Catalog::builtin().report(report), header.split(',').map(str::to_owned).collect(), given)
    }

    const OLD: &str = "Participant ID,participant_id_type,participantName,PROGRAMNAME,earned,earnedUSD,withheldTax,salesTax,serviceFeeTax,totalPayment,currencyCode,paymentMethod,paymentID,paymentStatus,paymentStatusDescription,paymentDate";

    #[test]
    fn the_older_layout_fills_both_currencies() {
        let layout = map(ReportName::Payments, OLD, true).unwrap();
        assert_eq!(layout.fills[0], Fill::Column(0));
        assert_eq!(layout.fills[10], Fill::Column(10));
        assert_eq!(layout.fills[11], Fill::Column(10));
        assert_eq!(layout.fills[17], Fill::Empty);
        assert_eq!(layout.fills[18..], [Fill::OrderType, Fill::StatusTime]);
        assert!(
            map(ReportName::Payments, OLD, false)
                .unwrap_err()
                .contains("--order-type with one of REBATE, COOP, FEE, SELL")
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        let text = OLD.replace("earned,", "earnd,");
        assert!(map(ReportName::Payments, &text, true).unwrap_err().contains("'earnd' (did you mean earned?)"));
        let text = OLD.replace("earned,", "");
        assert!(map(ReportName::Payments, &text, true).unwrap_err().contains("missing: earned"));
        let text = format!("{OLD},paymentCurrencyCode");
        assert!(map(ReportName::Payments, &text, true).unwrap_err().contains("both fill paymentCurrencyCode"));
        assert!(map(ReportName::Payments, "1,2,3", true).unwrap_err().contains("not a header of payments"));
    }
}
