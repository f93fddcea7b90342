//! From what a file stores to what a field holds: typed columns in the field's own units.
//!
//! Invariant: a [`Column`] holds exactly the stored values. A value that the field's type cannot
//! hold is an error that names it, never a rounding; the one exception is a float column that the
//! mapping says to round. That is done on the shortest decimal text that reads back as the same
//! float, half away from zero.

mod coded;
mod convert;
#[cfg(test)]
mod tests;

use arrow::array::{
    Array, ArrayRef, BooleanArray, Date32Array, Decimal64Array, Int32Array, Int64Array, LargeStringArray, StringArray,
    StringViewArray, TimestampMicrosecondArray,
};
use payouts_filter::ast::Value;
use payouts_filter::number::Decimal;
use payouts_ledger::ReadAs;
use payouts_model::FieldType;
use std::sync::Arc;

pub use coded::{Coded, Scratch};

/// How one field is read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FieldReader {
    /// The field's name, for errors.
    pub name: Arc<str>,
    /// What it holds.
    pub kind: FieldType,
    /// How it is stored. `ReadAs` is no hash key: see [`How`].
    pub how: How,
}

/// [`ReadAs`] that can be a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum How {
    /// As it is, or cast without loss.
    Same,
    /// A float to be rounded.
    RoundedFloat,
    /// Without a zone, and UTC.
    Utc,
}

impl From<ReadAs> for How {
    fn from(read: ReadAs) -> Self {
        match read {
            ReadAs::Same => Self::Same,
            ReadAs::RoundedFloat => Self::RoundedFloat,
            ReadAs::Utc => Self::Utc,
        }
    }
}

/// A column of one batch, in the units of its field's type.
#[derive(Clone, Debug)]
pub enum Column {
    /// Null in every row.
    Null,
    /// Text, by how it is laid out.
    Text(TextColumn),
    /// Ten-thousandths, within decimal(18,4).
    Amount(Decimal64Array),
    /// Hundred-millionths, within decimal(18,8).
    Number(Decimal64Array),
    /// Integers.
    Integer(Int64Array),
    /// Days.
    Date(Date32Array),
    /// Microseconds UTC.
    Instant(TimestampMicrosecondArray),
    /// Truth values.
    Boolean(BooleanArray),
}

/// The layouts that text comes in.
#[derive(Clone, Debug)]
pub enum TextColumn {
    /// Views: rows that share a dictionary page's value carry the same view.
    View(StringViewArray),
    /// Offsets.
    Utf8(StringArray),
    /// Wide offsets.
    Large(LargeStringArray),
    /// Codes into distinct values.
    Dictionary {
        /// The codes.
        keys: Int32Array,
        /// What they mean.
        values: StringArray,
    },
}

impl TextColumn {
    /// The text of a row; `None` is null.
    pub fn get(&self, row: usize) -> Option<&str> {
        match self {
            Self::View(a) => a.is_valid(row).then(|| a.value(row)),
            Self::Utf8(a) => a.is_valid(row).then(|| a.value(row)),
            Self::Large(a) => a.is_valid(row).then(|| a.value(row)),
            Self::Dictionary { keys, values } => {
                let key = keys.is_valid(row).then(|| keys.value(row) as usize)?;
                values.is_valid(key).then(|| values.value(key))
            }
        }
    }

    /// Rows.
    pub fn len(&self) -> usize {
        match self {
            Self::View(a) => a.len(),
            Self::Utf8(a) => a.len(),
            Self::Large(a) => a.len(),
            Self::Dictionary { keys, .. } => keys.len(),
        }
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Column {
    /// The value of a row as the filter's interpreter sees it.
    pub fn value(&self, row: usize) -> Value {
        fn get<A: Array, T>(a: &A, row: usize, read: impl Fn(&A) -> T) -> Option<T> {
            a.is_valid(row).then(|| read(a))
        }
        let value = match self {
            Self::Null => None,
            Self::Text(t) => t.get(row).map(|s| Value::Text(s.to_owned())),
            Self::Amount(a) => get(a, row, |a| Value::Number(Decimal::from_scaled(a.value(row).into(), 4))),
            Self::Number(a) => get(a, row, |a| Value::Number(Decimal::from_scaled(a.value(row).into(), 8))),
            Self::Integer(a) => get(a, row, |a| Value::Number(Decimal::from_scaled(a.value(row).into(), 0))),
            Self::Date(a) => get(a, row, |a| Value::Date(a.value(row))),
            Self::Instant(a) => get(a, row, |a| Value::Instant(a.value(row))),
            Self::Boolean(a) => get(a, row, |a| Value::Boolean(a.value(row))),
        };
        value.unwrap_or(Value::Null)
    }

    /// The text of a row, if the column is text; `None` is null.
    pub fn text(&self, row: usize) -> Option<&str> {
        match self {
            Self::Text(t) => t.get(row),
            _ => None,
        }
    }
}

impl FieldReader {
    /// Reads a stored array as the field's column. The error says which field, which value, and
    /// what would be right.
    pub fn read(&self, array: &ArrayRef) -> Result<Column, String> {
        convert::read(array, self.kind, self.how).map_err(|reason| format!("column {}: {reason}", self.name))
    }
}
