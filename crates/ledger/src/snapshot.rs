//! One version of a table: its files in ledger order, and how to read each field.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use payouts_model::{Report, Timestamp};

/// How a stored column becomes a field's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadAs {
    /// It has the field's type (or one that casts to it without loss, such as a wider integer
    /// type, a decimal of another precision, large or view text).
    Same,
    /// A float that the mapping says to round half away from zero to the type's decimals.
    RoundedFloat,
    /// A timestamp without a zone that the mapping says is UTC.
    Utc,
}

/// Where a field comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ColumnSource {
    /// A column of the files, by name.
    Column { /** physical name */ name: String, /** how */ read: ReadAs },
    /// The table has no such column: always null.
    Null,
}

/// A data file.
#[derive(Clone, Debug, PartialEq)]
pub struct DataFile {
    /// Its path on this machine.
    pub path: PathBuf,
    /// Bytes.
    pub size_bytes: u64,
    /// Rows, if the log says.
    pub rows: Option<u64>,
    /// Values of the partition columns that the file does not hold itself: physical name and text.
    pub partition_values: Vec<(String, Option<String>)>,
}

/// One version of a report's table.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The report.
    pub report: Arc<Report>,
    /// The table's version: the data version.
    pub version: u64,
    /// When the newest data in it was committed.
    pub data_as_of: Timestamp,
    /// The files in ledger order.
    pub files: Vec<DataFile>,
    /// The physical schema of the files.
    pub schema: SchemaRef,
    /// For each field of the report, where it comes from.
    pub columns: Vec<ColumnSource>,
}

impl Snapshot {
    /// Rows in all, if the log says so for every file.
    pub fn rows(&self) -> Option<u64> {
        self.files.iter().map(|f| f.rows).sum()
    }
}
