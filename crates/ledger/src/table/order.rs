//! Ledger order: by key, then status time, then everything else.

use std::cmp::Ordering;

use arrow::array::RecordBatch;
use arrow::row::Rows;
use payouts_model::Report;

use crate::Error;

/// The texts of a row's key columns in key order: ids in canonical form, `None` for empty. The
/// derived order is ledger order (bytes of the canonical texts, empty first).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub Vec<Option<String>>);

/// The first and the last key of a file, both in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRange {
    /// The first.
    pub first: Key,
    /// The last.
    pub last: Key,
}

/// The order of rows in a report's table. Batches have the table's schema ([`super::schema`]).
#[derive(Debug)]
pub struct KeyOrder {}

impl KeyOrder {
    /// The order of `report`.
    pub fn new(report: &Report) -> Result<Self, Error> {
        todo!()
    }
    /// The key of one row.
    pub fn key(&self, batch: &RecordBatch, row: usize) -> Key {
        todo!()
    }
    /// Rows that compare (as bytes) in complete ledger order: key, status time, all columns.
    /// Equal only for rows that are equal in every column (ids: leading zeros count here).
    pub fn rows(&self, batch: &RecordBatch) -> Result<Rows, Error> {
        todo!()
    }
    /// Rows that compare (as bytes) by the key columns alone; equal exactly for equal keys.
    pub fn key_rows(&self, batch: &RecordBatch) -> Result<Rows, Error> {
        todo!()
    }
    /// Compares two rows in complete ledger order (slow: encodes both; for tests and edges).
    pub fn compare(&self, left: (&RecordBatch, usize), right: (&RecordBatch, usize)) -> Result<Ordering, Error> {
        todo!()
    }
    /// The batch with its rows in complete ledger order.
    pub fn sort(&self, batch: &RecordBatch) -> Result<RecordBatch, Error> {
        todo!()
    }
}
