//! The statistics of a file's columns as the log has them, from the Parquet footer.
//!
//! Invariant: a minimum is never above and a maximum never below any value; where that cannot be
//! said (no statistics), nothing is said.

use std::fmt::Write as _;

use arrow::datatypes::{DataType, Schema};
use chrono::{DateTime, Days, NaiveDate};
use parquet::data_type::AsBytes;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::statistics::Statistics;
use payouts_model::money::write_scaled;

/// A bound of a column, comparable.
#[derive(Clone, PartialEq, PartialOrd)]
enum Bound {
    Integer(i128),
    Text(Vec<u8>),
}

/// The JSON text of `stats` in an add action.
pub(super) fn of(metadata: &ParquetMetaData, schema: &Schema) -> String {
    let mut minimums = Object::begin();
    let mut maximums = Object::begin();
    let mut nulls = Object::begin();
    for (i, field) in schema.fields().iter().enumerate() {
        let groups: Option<Vec<&Statistics>> = metadata.row_groups().iter().map(|g| g.column(i).statistics()).collect();
        let Some(groups) = groups else { continue };
        if let Some(count) = groups.iter().map(|s| s.null_count_opt()).sum::<Option<u64>>() {
            nulls.put(field.name(), &count.to_string());
        }
        if *field.data_type() == DataType::Boolean {
            continue;
        }
        let bounds = |of: fn(&Statistics) -> Option<Bound>| -> Option<Vec<Bound>> {
            // A group of nulls alone has no bounds and needs none.
            let with_values = groups
                .iter()
                .zip(metadata.row_groups())
                .filter(|(s, g)| s.null_count_opt() != Some(g.num_rows() as u64));
            with_values.map(|(s, _)| of(s)).collect()
        };
        let less = |a: Bound, b: Bound| if b < a { b } else { a };
        let more = |a: Bound, b: Bound| if b > a { b } else { a };
        let low = bounds(minimum).and_then(|b| b.into_iter().reduce(less));
        let high = bounds(maximum).and_then(|b| b.into_iter().reduce(more));
        if let Some(text) = low.and_then(|b| json(&b, field.data_type(), false)) {
            minimums.put(field.name(), &text);
        }
        if let Some(text) = high.and_then(|b| json(&b, field.data_type(), true)) {
            maximums.put(field.name(), &text);
        }
    }
    let rows = metadata.file_metadata().num_rows();
    format!(
        r#"{{"numRecords":{rows},"minValues":{},"maxValues":{},"nullCount":{}}}"#,
        minimums.end(),
        maximums.end(),
        nulls.end()
    )
}

fn minimum(statistics: &Statistics) -> Option<Bound> {
    match statistics {
        Statistics::Int32(s) => s.min_opt().map(|v| Bound::Integer(i128::from(*v))),
        Statistics::Int64(s) => s.min_opt().map(|v| Bound::Integer(i128::from(*v))),
        Statistics::ByteArray(s) => s.min_opt().map(|v| Bound::Text(v.as_bytes().to_vec())),
        _ => None,
    }
}

fn maximum(statistics: &Statistics) -> Option<Bound> {
    match statistics {
        Statistics::Int32(s) => s.max_opt().map(|v| Bound::Integer(i128::from(*v))),
        Statistics::Int64(s) => s.max_opt().map(|v| Bound::Integer(i128::from(*v))),
        Statistics::ByteArray(s) => s.max_opt().map(|v| Bound::Text(v.as_bytes().to_vec())),
        _ => None,
    }
}

/// A bound as JSON. Instants have milliseconds in the log: rounded away from the values.
fn json(bound: &Bound, kind: &DataType, upper: bool) -> Option<String> {
    match (bound, kind) {
        (Bound::Text(bytes), DataType::Utf8) => serde_json::to_string(std::str::from_utf8(bytes).ok()?).ok(),
        (Bound::Integer(v), DataType::Int64) => Some(v.to_string()),
        (Bound::Integer(v), DataType::Decimal128(_, scale)) => {
            let mut text = String::new();
            write_scaled(&mut text, *v, u32::try_from(*scale).ok()?, 0).ok()?;
            Some(text)
        }
        (Bound::Integer(v), DataType::Date32) => {
            let days = i64::try_from(*v).ok()?;
            let epoch = NaiveDate::from_ymd_opt(1970, 1, 1)?;
            let shift = Days::new(days.unsigned_abs());
            let date = if days < 0 { epoch.checked_sub_days(shift) } else { epoch.checked_add_days(shift) };
            Some(format!("\"{}\"", date?))
        }
        (Bound::Integer(v), DataType::Timestamp(..)) => {
            let micros = i64::try_from(*v).ok()?;
            let ms = micros.div_euclid(1000) + i64::from(upper && micros.rem_euclid(1000) != 0);
            Some(format!("\"{}\"", DateTime::from_timestamp_millis(ms)?.format("%Y-%m-%dT%H:%M:%S%.3fZ")))
        }
        _ => None,
    }
}

/// A JSON object under construction: decimals must not pass through a float, so values are texts.
struct Object(String);

impl Object {
    fn begin() -> Self {
        Self("{".into())
    }
    fn put(&mut self, name: &str, value: &str) {
        let comma = if self.0.len() > 1 { "," } else { "" };
        // Writing into a String cannot fail.
        let _ = write!(self.0, "{comma}{}:{value}", serde_json::Value::from(name));
    }
    fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }
}
