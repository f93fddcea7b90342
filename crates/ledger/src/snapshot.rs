//! One version of a table: its files in ledger order, and how to read each field.
//!
//! Invariants: files stand in ledger order (of a table that something else writes: by path), and
//! a field is read from a column only if every value of it survives.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field as ArrowField, Schema, SchemaRef, TimeUnit};
use payouts_model::{Amount, Field, FieldType, Number, Report, Timestamp};

use crate::Error;
use crate::source::{ColumnMapping, TableSource};
use crate::table::{Hints, Lengths, log};

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
    Column {
        /** physical name */
        name: String,
        /** how */
        read: ReadAs,
    },
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
    /// Values of the partition columns, which the file does not hold itself: physical name and the
    /// text that the field's own type prints; sorted by name.
    pub partition_values: Vec<(String, Option<String>)>,
    /// Where its rows cannot be, if its writer was this program.
    pub hints: Hints,
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
    /// The physical schema of the files: without partition columns.
    pub schema: SchemaRef,
    /// For each field of the report, where it comes from.
    pub columns: Vec<ColumnSource>,
}

impl Snapshot {
    /// Rows in all, if the log says so for every file.
    pub fn rows(&self) -> Option<u64> {
        self.files.iter().map(|f| f.rows).sum()
    }

    /// Bytes of the shortest and of the longest text of an id column over all files: `None` if that
    /// is not known of every file; `Some(None)` if there is no text at all.
    pub fn id_lengths(&self, column: &str) -> Option<Lengths> {
        let mut all: Lengths = None;
        for file in &self.files {
            if let Some((shortest, longest)) = *file.hints.id_lengths.get(column)? {
                all = Some(all.map_or((shortest, longest), |(s, l)| (s.min(shortest), l.max(longest))));
            }
        }
        Some(all)
    }

    /// Reads one version of the table in `folder`.
    pub(crate) async fn load(
        folder: &Path,
        report: &Arc<Report>,
        version: u64,
        source: Option<&TableSource>,
    ) -> Result<Self, Error> {
        let state = log::load(folder, report.name, version).await?;
        let unsupported =
            |reason: String| Error::Unsupported { report: report.name, path: folder.display().to_string(), reason };
        let columns = columns(report, &state.schema, &state.partition_columns, source).map_err(unsupported)?;
        let data_as_of = log::data_as_of(folder, version, &state.files)?;
        let in_files = state.schema.fields().iter().filter(|f| !state.partition_columns.contains(f.name())).cloned();
        let data_file = |f: log::LogFile| DataFile {
            path: f.file.path,
            size_bytes: f.file.size_bytes,
            rows: f.file.rows,
            partition_values: f.partition_values,
            hints: f.hints,
        };
        Ok(Self {
            report: report.clone(),
            version,
            data_as_of,
            schema: Arc::new(Schema::new(in_files.collect::<Vec<_>>())),
            files: state.files.into_iter().map(data_file).collect(),
            columns,
        })
    }
}

/// How the mapping says to read a column.
#[derive(Clone, Copy, Default)]
struct ReadHints {
    round: bool,
    utc: bool,
}

/// For each field where it comes from, or why the table cannot serve the report.
fn columns(
    report: &Report,
    schema: &Schema,
    partitions: &[String],
    source: Option<&TableSource>,
) -> Result<Vec<ColumnSource>, String> {
    let empty = std::collections::HashMap::new();
    let mappings = source.map_or(&empty, |s| &s.columns);
    if let Some(name) = mappings.keys().find(|name| !report.fields.iter().any(|f| *f.name == ***name)) {
        return Err(format!("[reports.{}.columns] maps '{name}', which is not a column of the report", report.name));
    }
    report.fields.iter().map(|field| column(field, schema, partitions, mappings.get(&*field.name))).collect()
}

fn column(
    field: &Field,
    schema: &Schema,
    partitions: &[String],
    mapping: Option<&ColumnMapping>,
) -> Result<ColumnSource, String> {
    let (asked, hints) = asked(field, mapping)?;
    let found = find(schema, asked.unwrap_or(&field.name));
    match found {
        Some(column) => {
            let read = read_as(field, column, hints)?;
            if partitions.contains(column.name()) {
                refuse_partition(field, column)?;
            }
            Ok(ColumnSource::Column { name: column.name().clone(), read })
        }
        None if asked.is_some() => {
            let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
            Err(format!(
                "field {} is mapped to column '{}', which the table does not have; it has {}",
                field.name,
                asked.unwrap_or_default(),
                names.join(", ")
            ))
        }
        None if field.nullable => Ok(ColumnSource::Null),
        None => Err(format!(
            "there is no column '{0}', and {0} may not be empty: map it to the column that holds it under `columns`",
            field.name
        )),
    }
}

fn asked<'a>(field: &Field, mapping: Option<&'a ColumnMapping>) -> Result<(Option<&'a str>, ReadHints), String> {
    match mapping {
        None => Ok((None, ReadHints::default())),
        Some(ColumnMapping::Name(name)) => Ok((Some(name), ReadHints::default())),
        Some(ColumnMapping::Detailed { column, float, zone }) => {
            let round = match float.as_deref() {
                None => false,
                Some("round") => true,
                Some(other) => {
                    return Err(format!("field {}: float = \"{other}\" is not known; it can be \"round\"", field.name));
                }
            };
            let utc = match zone.as_deref() {
                None => false,
                Some(zone) if zone.eq_ignore_ascii_case("utc") => true,
                Some(other) => {
                    return Err(format!("field {}: zone = \"{other}\" is not known; it can be \"UTC\"", field.name));
                }
            };
            Ok((column.as_deref(), ReadHints { round, utc }))
        }
    }
}

/// Delta's column names ignore case; an exact match wins.
fn find<'a>(schema: &'a Schema, name: &str) -> Option<&'a ArrowField> {
    let exact = schema.fields().iter().find(|f| f.name() == name);
    exact.or_else(|| schema.fields().iter().find(|f| f.name().eq_ignore_ascii_case(name))).map(|f| &**f)
}

/// How a column becomes the field's type without loss, or why it cannot.
fn read_as(field: &Field, column: &ArrowField, hints: ReadHints) -> Result<ReadAs, String> {
    let stored = column.data_type();
    let at = format!("field {} ({}) is in column '{}' ({stored})", field.name, field.kind.as_str(), column.name());
    let scale_max = match field.kind {
        FieldType::Amount => Amount::SCALE,
        FieldType::Number => Number::SCALE,
        _ => 0,
    };
    let numeric = matches!(field.kind, FieldType::Amount | FieldType::Number | FieldType::Integer);
    if hints.round && !(numeric && stored.is_floating()) {
        return Err(format!("{at}: float = \"round\" is for float columns of amounts and numbers; remove it"));
    }
    if hints.utc && !matches!((field.kind, stored), (FieldType::Timestamp, DataType::Timestamp(_, None))) {
        return Err(format!("{at}: zone = \"UTC\" is for timestamp columns without a zone; remove it"));
    }
    match (field.kind, stored) {
        (_, DataType::Float16 | DataType::Float32 | DataType::Float64) if numeric => {
            if hints.round {
                return Ok(ReadAs::RoundedFloat);
            }
            Err(format!(
                "{at}: floats are not exact; make it a decimal column, or map it with {{ column = \"{}\", float = \"round\" }} to round every value to {scale_max} decimals",
                column.name()
            ))
        }
        (FieldType::Timestamp, DataType::Timestamp(TimeUnit::Nanosecond, _)) => {
            Err(format!("{at}: nanoseconds would be cut to microseconds; store microseconds"))
        }
        (FieldType::Timestamp, DataType::Timestamp(_, Some(_))) => Ok(ReadAs::Same),
        (FieldType::Timestamp, DataType::Timestamp(_, None)) => {
            if hints.utc {
                return Ok(ReadAs::Utc);
            }
            Err(format!(
                "{at}: it does not say in which zone its times are; if they are UTC, map it with {{ column = \"{}\", zone = \"UTC\" }}",
                column.name()
            ))
        }
        (_, DataType::Decimal128(_, scale) | DataType::Decimal256(_, scale)) if numeric => {
            if i64::from(*scale) <= i64::from(scale_max) {
                return Ok(ReadAs::Same);
            }
            Err(format!(
                "{at}: it has more decimals than the {scale_max} of the field, and nothing is rounded silently; store it with {scale_max} decimals"
            ))
        }
        (_, stored) if numeric && stored.is_integer() => Ok(ReadAs::Same),
        // Ids that lost their leading zeros are the same ids.
        (FieldType::Id, stored) if stored.is_integer() => Ok(ReadAs::Same),
        (kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View) if kind.stored_as_text() => Ok(ReadAs::Same),
        (FieldType::Date, DataType::Date32) | (FieldType::Boolean, DataType::Boolean) => Ok(ReadAs::Same),
        _ => Err(format!(
            "{at}: that type does not hold such a field; store it as {}",
            crate::table::data_type(field.kind)
        )),
    }
}

/// Partition values are text in the log; only types whose text is unambiguous are read from it.
fn refuse_partition(field: &Field, column: &ArrowField) -> Result<(), String> {
    match field.kind {
        FieldType::Id
        | FieldType::Text
        | FieldType::Enum
        | FieldType::Guid
        | FieldType::Date
        | FieldType::Integer
        | FieldType::Boolean => Ok(()),
        FieldType::Amount | FieldType::Number | FieldType::Timestamp => Err(format!(
            "it is partitioned by column '{}' of field {} ({}); partition columns of that type are not read: store it in the files",
            column.name(),
            field.name,
            field.kind.as_str()
        )),
    }
}

#[cfg(test)]
mod tests;
