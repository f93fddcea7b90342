//! Ledger order: by key, then status time, then everything else.
//!
//! Invariant: the order of [`Key`]s and the byte order of [`KeyOrder::key_rows`] are the same
//! order, and [`KeyOrder::rows`] refines it. Ids compare by their canonical text.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::row::{RowConverter, Rows, SortField};
use payouts_model::id::canonical;
use payouts_model::report::FieldRole;
use payouts_model::{FieldType, Report};
use serde::{Deserialize, Serialize};

use crate::Error;

/// The texts of a row's key columns in key order: ids in canonical form, `None` for empty. The
/// derived order is ledger order (bytes of the canonical texts, empty first).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Key(pub Vec<Option<String>>);

impl Key {
    /// The canonical text of the participant, the first part of every key.
    pub fn participant(&self) -> &str {
        self.0.first().and_then(Option::as_deref).unwrap_or_default()
    }
}

/// The first and the last key of a file, both in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRange {
    /// The first.
    pub first: Key,
    /// The last.
    pub last: Key,
}

/// A key column: its index, and whether it is compared as an id.
#[derive(Clone, Copy, Debug)]
struct KeyColumn {
    index: usize,
    id: bool,
}

/// The order of rows in a report's table. Batches have the table's schema ([`super::schema`]).
#[derive(Debug)]
pub struct KeyOrder {
    keys: Vec<KeyColumn>,
    status_time: usize,
    by_key: RowConverter,
    complete: RowConverter,
}

impl KeyOrder {
    /// The order of `report`.
    pub fn new(report: &Report) -> Result<Self, Error> {
        let key_column = |index: usize| KeyColumn { index, id: report.fields[index].kind == FieldType::Id };
        let keys: Vec<KeyColumn> = report.key_columns().into_iter().map(key_column).collect();
        if let Some(key) = keys.iter().find(|k| !report.fields[k.index].kind.stored_as_text()) {
            let name = &report.fields[key.index].name;
            return Err(Error::Invalid(format!(
                "{}: key column '{name}' is not stored as text, which a ledger key must be",
                report.name
            )));
        }
        let status_time = report.role(FieldRole::StatusTime);
        let schema = super::schema(report);
        let sort_field = |i: usize| SortField::new(schema.field(i).data_type().clone());
        let key_fields: Vec<SortField> = keys.iter().map(|k| sort_field(k.index)).collect();
        let all = (0..schema.fields().len()).map(sort_field);
        let complete = key_fields.iter().cloned().chain([sort_field(status_time)]).chain(all).collect();
        Ok(Self { keys, status_time, by_key: RowConverter::new(key_fields)?, complete: RowConverter::new(complete)? })
    }

    /// The key of one row.
    pub fn key(&self, batch: &RecordBatch, row: usize) -> Key {
        let text = |key: &KeyColumn| {
            let column = batch.column(key.index).as_string::<i32>();
            column.is_valid(row).then(|| {
                let text = column.value(row);
                if key.id { canonical(text) } else { text }.to_owned()
            })
        };
        Key(self.keys.iter().map(text).collect())
    }

    /// Rows that compare (as bytes) in complete ledger order: key, status time, all columns.
    /// Equal only for rows that are equal in every column (ids: leading zeros count here).
    pub fn rows(&self, batch: &RecordBatch) -> Result<Rows, Error> {
        let mut columns = self.key_arrays(batch);
        columns.push(batch.column(self.status_time).clone());
        columns.extend(batch.columns().iter().cloned());
        Ok(self.complete.convert_columns(&columns)?)
    }

    /// How the key of each row but the last compares to the key of the row behind it.
    pub fn neighbours(&self, batch: &RecordBatch) -> Vec<Ordering> {
        let text = |column: &'_ KeyColumn, row: usize| {
            let array = batch.column(column.index).as_string::<i32>();
            array.is_valid(row).then(|| array.value(row))
        };
        let compare = |row: usize| {
            let one = |key: &KeyColumn| match (text(key, row), text(key, row + 1)) {
                (left, right) if left == right => Ordering::Equal,
                (left, right) if key.id => left.map(canonical).cmp(&right.map(canonical)),
                (left, right) => left.cmp(&right),
            };
            self.keys.iter().map(one).find(|o| o.is_ne()).unwrap_or(Ordering::Equal)
        };
        (1..batch.num_rows()).map(|row| compare(row - 1)).collect()
    }

    /// Rows that compare (as bytes) by the key columns alone; equal exactly for equal keys.
    pub fn key_rows(&self, batch: &RecordBatch) -> Result<Rows, Error> {
        Ok(self.by_key.convert_columns(&self.key_arrays(batch))?)
    }

    /// Compares two rows in complete ledger order (slow: encodes both; for tests and edges).
    pub fn compare(&self, left: (&RecordBatch, usize), right: (&RecordBatch, usize)) -> Result<Ordering, Error> {
        let left = self.rows(&left.0.slice(left.1, 1))?;
        let right = self.rows(&right.0.slice(right.1, 1))?;
        Ok(left.row(0).cmp(&right.row(0)))
    }

    /// The batch with its rows in complete ledger order.
    pub fn sort(&self, batch: &RecordBatch) -> Result<RecordBatch, Error> {
        let rows = self.rows(batch)?;
        let mut order: Vec<u32> = (0..batch.num_rows() as u32).collect();
        order.sort_unstable_by(|&a, &b| rows.row(a as usize).cmp(&rows.row(b as usize)));
        Ok(take_record_batch(batch, &UInt32Array::from(order))?)
    }

    /// The key columns, ids in canonical form.
    fn key_arrays(&self, batch: &RecordBatch) -> Vec<ArrayRef> {
        let array = |key: &KeyColumn| {
            let column = batch.column(key.index);
            if !key.id {
                return column.clone();
            }
            let texts = column.as_string::<i32>();
            // Most ids have no leading zero: then the column is its own canonical form.
            let zeros = texts.iter().flatten().any(|t| t.len() > 1 && t.starts_with('0'));
            if zeros {
                Arc::new(texts.iter().map(|t| t.map(canonical)).collect::<StringArray>()) as ArrayRef
            } else {
                column.clone()
            }
        };
        self.keys.iter().map(array).collect()
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::new_null_array;
    use payouts_model::{Catalog, ReportName};

    use super::*;

    fn payments(ids: &[(&str, Option<&str>)]) -> RecordBatch {
        let report = Catalog::builtin().report(ReportName::Payments).clone();
        let full = super::super::schema(&report);
        let schema = Arc::new(arrow::datatypes::Schema::new(
            full.fields().iter().map(|f| f.as_ref().clone().with_nullable(true)).collect::<Vec<_>>(),
        ));
        let mut columns: Vec<ArrayRef> =
            full.fields().iter().map(|f| new_null_array(f.data_type(), ids.len())).collect();
        columns[0] = Arc::new(ids.iter().map(|i| Some(i.0)).collect::<StringArray>());
        let payment = report.role(FieldRole::Payment);
        columns[payment] = Arc::new(ids.iter().map(|i| i.1).collect::<StringArray>());
        RecordBatch::try_new(schema, columns).unwrap()
    }

    #[test]
    fn ids_order_by_their_canonical_text_and_empty_comes_first() {
        let order = KeyOrder::new(Catalog::builtin().report(ReportName::Payments)).unwrap();
        let batch = payments(&[("9", None), ("0010", Some("2")), ("10", None), ("10", Some("0001")), ("00A", None)]);
        let sorted = order.sort(&batch).unwrap();
        let keys: Vec<Key> = (0..5).map(|i| order.key(&sorted, i)).collect();
        assert!(keys.is_sorted(), "{keys:?}");
        let shown: Vec<_> = keys.iter().map(|k| (k.participant(), k.0.last().unwrap().as_deref())).collect();
        assert_eq!(shown, [("00A", None), ("10", None), ("10", Some("1")), ("10", Some("2")), ("9", None)]);
        let rows = order.key_rows(&payments(&[("010", None), ("10", None)])).unwrap();
        assert_eq!(rows.row(0), rows.row(1), "leading zeros do not make another key");
        assert_eq!(order.compare((&batch, 1), (&batch, 2)).unwrap(), Ordering::Greater);
    }
}
