//! One column's values as text, row after row, remembering what repeats.

use arrow::array::{
    Array, BooleanArray, Date32Array, Decimal128Array, Int32Array, Int64Array, LargeStringArray, StringArray,
    StringViewArray, TimestampMicrosecondArray,
};

use super::number::{write_date, write_i64, write_instant, write_scaled};
use crate::column::{Column, TextColumn};

/// A column that is being written.
pub(super) enum Cell<'a> {
    Null,
    /// Rows that share a value of a dictionary page carry the same view: what was written for it
    /// last is copied from there.
    View {
        array: &'a StringViewArray,
        last: Option<(u128, usize, usize)>,
    },
    Utf8(&'a StringArray),
    Large(&'a LargeStringArray),
    /// Every distinct value is quoted once.
    Dictionary {
        keys: &'a Int32Array,
        quoted: Vec<u8>,
        ends: Vec<usize>,
    },
    Amount(&'a Decimal128Array),
    Number(&'a Decimal128Array),
    Integer(&'a Int64Array),
    Date {
        array: &'a Date32Array,
        last: Option<(i32, usize, usize)>,
    },
    Instant(&'a TimestampMicrosecondArray),
    Boolean(&'a BooleanArray),
}

impl<'a> Cell<'a> {
    pub fn new(column: &'a Column, separator: u8) -> Self {
        match column {
            Column::Null => Self::Null,
            Column::Text(TextColumn::View(array)) => Self::View { array, last: None },
            Column::Text(TextColumn::Utf8(array)) => Self::Utf8(array),
            Column::Text(TextColumn::Large(array)) => Self::Large(array),
            Column::Text(TextColumn::Dictionary { keys, values }) => {
                let mut quoted = Vec::new();
                let mut ends = vec![0];
                for value in values {
                    if let Some(value) = value {
                        write_text(&mut quoted, value.as_bytes(), separator);
                    }
                    ends.push(quoted.len());
                }
                Self::Dictionary { keys, quoted, ends }
            }
            Column::Amount(array) => Self::Amount(array),
            Column::Number(array) => Self::Number(array),
            Column::Integer(array) => Self::Integer(array),
            Column::Date(array) => Self::Date { array, last: None },
            Column::Instant(array) => Self::Instant(array),
            Column::Boolean(array) => Self::Boolean(array),
        }
    }

    /// Appends the value of `row`; nothing for null. Every row is written to the same buffer.
    pub fn write(&mut self, out: &mut Vec<u8>, row: usize, separator: u8) {
        match self {
            Self::Null => {}
            Self::View { array, last } => {
                if array.is_null(row) {
                    return;
                }
                let view = array.views()[row];
                match *last {
                    Some((known, from, to)) if known == view => out.extend_from_within(from..to),
                    _ => {
                        let from = out.len();
                        write_text(out, array.value(row).as_bytes(), separator);
                        *last = Some((view, from, out.len()));
                    }
                }
            }
            Self::Utf8(array) if array.is_valid(row) => write_text(out, array.value(row).as_bytes(), separator),
            Self::Large(array) if array.is_valid(row) => write_text(out, array.value(row).as_bytes(), separator),
            Self::Dictionary { keys, quoted, ends } if keys.is_valid(row) => {
                let key = keys.value(row) as usize;
                out.extend_from_slice(&quoted[ends[key]..ends[key + 1]]);
            }
            Self::Amount(array) if array.is_valid(row) => write_scaled::<4, 2>(out, array.value(row)),
            Self::Number(array) if array.is_valid(row) => write_scaled::<8, 0>(out, array.value(row)),
            Self::Integer(array) if array.is_valid(row) => write_i64(out, array.value(row)),
            Self::Date { array, last } if array.is_valid(row) => {
                let day = array.value(row);
                match *last {
                    Some((known, from, to)) if known == day => out.extend_from_within(from..to),
                    _ => {
                        let from = out.len();
                        write_date(out, day);
                        *last = Some((day, from, out.len()));
                    }
                }
            }
            Self::Instant(array) if array.is_valid(row) => write_instant(out, array.value(row)),
            Self::Boolean(array) if array.is_valid(row) => {
                out.extend_from_slice(if array.value(row) { b"true" } else { b"false" })
            }
            _ => {}
        }
    }
}

/// Appends a text, quoted if it must be; an empty one as `""`.
pub(super) fn write_text(out: &mut Vec<u8>, text: &[u8], separator: u8) {
    let special = |b: u8| b == separator || matches!(b, b'"' | b'\r' | b'\n');
    // Nearly every value is short and needs no quotes: no branch per byte.
    if !text.is_empty() && !text.iter().fold(false, |found, &b| found | special(b)) {
        out.extend_from_slice(text);
        return;
    }
    out.push(b'"');
    let mut rest = text;
    while let Some(quote) = rest.iter().position(|&b| b == b'"') {
        out.extend_from_slice(&rest[..=quote]);
        out.push(b'"');
        rest = &rest[quote + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// The value of a row as the file would print it, unquoted; `None` is null.
pub(crate) fn plain_text(column: &Column, row: usize) -> Option<String> {
    if let Column::Text(text) = column {
        return text.get(row).map(str::to_owned);
    }
    let mut out = Vec::new();
    Cell::new(column, b',').write(&mut out, row, b',');
    // Whatever is not text prints at least one character.
    (!out.is_empty()).then(|| String::from_utf8_lossy(&out).into_owned())
}
