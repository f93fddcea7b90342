//! Where a report's table is, when something else writes it: the `[reports.*]` configuration.

use std::collections::HashMap;
use std::path::PathBuf;

use payouts_model::ReportName;
use serde::{Deserialize, Serialize};

/// A table that something else writes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableSource {
    /// The Delta table's folder.
    pub table: PathBuf,
    /// Field name to column: a column's name, or a table with how to read it.
    #[serde(default)]
    pub columns: HashMap<String, ColumnMapping>,
}

/// How one field is found in the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ColumnMapping {
    /// Another name.
    Name(String),
    /// Another name and how to read it: `float = "round"`, `zone = "UTC"`.
    Detailed {
        /// The column's name; the field's own if absent.
        column: Option<String>,
        /// `round`: a float column is rounded to the type's decimals.
        float: Option<String>,
        /// `UTC`: a timestamp column without a zone is UTC.
        zone: Option<String>,
    },
}

/// By report, where its table is if not under the data directory.
pub type Sources = HashMap<ReportName, TableSource>;
