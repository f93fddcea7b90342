//! Rows as `csv.excel`: CSV for spreadsheets, with a BOM, the chosen separator and decimal sign, and
//! a guard on every text that a spreadsheet would take for a formula.
//!
//! Numbers are never guarded, nor is a text that is one, so nothing that adds up changes. The guard
//! is an apostrophe, and [`guarded`] is such that a reader can take it off again: see
//! [`payouts_model::format::dialect::unguarded`].

use std::fmt::Display;

use arrow::array::Array;
use payouts_model::format::dialect::guarded;
use payouts_model::{Amount, DecimalSign, Dialect, Number, Report};

use super::styled::{put, put_plain};
use crate::column::Column;

const BOM: &[u8] = "\u{feff}".as_bytes();

/// The header row of these columns, after the BOM.
pub(super) fn header(report: &Report, columns: &[usize], dialect: Dialect) -> Vec<u8> {
    let separator = dialect.separator.byte();
    let mut out = BOM.to_vec();
    for (i, &column) in columns.iter().enumerate() {
        if i > 0 {
            out.push(separator);
        }
        write_guarded(&mut out, &report.fields[column].name, separator);
    }
    out.extend_from_slice(b"\r\n");
    out
}

/// Appends `rows` rows of these columns.
pub(super) fn write_rows(out: &mut Vec<u8>, columns: &[&Column], rows: usize, dialect: Dialect) {
    let separator = dialect.separator.byte();
    for row in 0..rows {
        for (i, column) in columns.iter().enumerate() {
            if i > 0 {
                out.push(separator);
            }
            write_value(out, column, row, dialect);
        }
        out.extend_from_slice(b"\r\n");
    }
}

/// Appends the value of a row; nothing for null.
fn write_value(out: &mut Vec<u8>, column: &Column, row: usize, dialect: Dialect) {
    match column {
        Column::Text(texts) => {
            if let Some(text) = texts.get(row) {
                write_guarded(out, text, dialect.separator.byte());
            }
        }
        Column::Amount(array) if array.is_valid(row) => {
            write_decimal(out, &Amount(array.value(row).into()), dialect.decimal);
        }
        Column::Number(array) if array.is_valid(row) => {
            write_decimal(out, &Number(array.value(row).into()), dialect.decimal);
        }
        // Digits, dashes and colons: never a separator, never a formula.
        _ => put_plain(out, column, row),
    }
}

fn write_decimal(out: &mut Vec<u8>, value: &dyn Display, decimal: DecimalSign) {
    let from = out.len();
    put(out, value);
    if let Some(point) = out[from..].iter_mut().find(|b| **b == b'.') {
        *point = decimal.byte();
    }
}

/// Appends a text, guarded and quoted if it must be; an empty one as `""`.
fn write_guarded(out: &mut Vec<u8>, text: &str, separator: u8) {
    let guard = if guarded(text) { "'" } else { "" };
    let special = |b: u8| b == separator || matches!(b, b'"' | b'\r' | b'\n');
    if text.is_empty() || text.bytes().any(special) {
        put(out, &format_args!("\"{guard}{}\"", text.replace('"', "\"\"")));
    } else {
        put(out, &format_args!("{guard}{text}"));
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Date32Array, Decimal64Array, StringViewArray};
    use payouts_model::{Catalog, ReportName, Separator};

    use super::*;
    use crate::column::TextColumn;

    fn text(columns: &[&Column], rows: usize, dialect: Dialect) -> String {
        let mut out = Vec::new();
        write_rows(&mut out, columns, rows, dialect);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn signs_are_the_chosen_ones_and_texts_are_guarded() {
        let amounts = Decimal64Array::from(vec![Some(-12_504_000), None, Some(12_345)]);
        let amounts = Column::Amount(amounts.with_precision_and_scale(18, 4).unwrap());
        let texts = Column::Text(TextColumn::View(StringViewArray::from(vec!["=1+1", "a;b.c", "-7,5"])));
        let dates = Column::Date(Date32Array::from(vec![Some(19_492), None, Some(0)]));
        let columns = [&amounts, &texts, &dates];
        let comma = Dialect::new(None, Some(DecimalSign::Comma)).unwrap();
        assert_eq!(text(&columns, 3, comma), "-1250,40;'=1+1;2023-05-15\r\n;\"a;b.c\";\r\n1,2345;-7,5;1970-01-01\r\n");
        assert_eq!(
            text(&columns, 3, Dialect::DEFAULT),
            "-1250.40,'=1+1,2023-05-15\r\n,a;b.c,\r\n1.2345,\"-7,5\",1970-01-01\r\n"
        );
    }

    #[test]
    fn headers_begin_with_a_bom() {
        let catalog = Catalog::builtin();
        let report = catalog.report(ReportName::Payments);
        let dialect = Dialect::new(Some(Separator::Pipe), None).unwrap();
        assert_eq!(header(report, &[0, 3], dialect), "\u{feff}participantID|programName\r\n".as_bytes());
    }
}
