//! Rows of an input into typed columns: every field exactly, or a bad row that says why not.

use std::borrow::Cow;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use payouts_model::report::FieldRole;
use payouts_model::{Field, Report, Timestamp};

use super::block::Shape;
use super::layout::{Fill, Layout};
use super::records::{Records, Span};
use super::rejects::BadRow;
use super::rows::RowWriter;
use super::source::Piece;
use super::values::{Cell, Value, parse, unknown_value};

/// The mark of rows whose status time was not in the file.
pub(super) const DEFAULT_TIME: u8 = 1;

/// What fills what a file leaves out.
#[derive(Clone, Debug)]
pub(super) struct Defaults {
    /// The order type, in its canonical spelling.
    pub order_type: Option<String>,
    /// The status time.
    pub status_time: Timestamp,
}

impl Defaults {
    /// Checks the given order type.
    pub fn new(report: &Report, order_type: Option<&str>, status_time: Timestamp) -> Result<Self, String> {
        let field = &report.fields[report.role(FieldRole::OrderType)];
        let order_type = match order_type {
            None => None,
            Some(text) => match field.values.iter().find(|v| v.eq_ignore_ascii_case(text)) {
                Some(value) => Some(value.to_string()),
                None => return Err(format!("--order-type {text}: {}", unknown_value(field, text))),
            },
        };
        Ok(Self { order_type, status_time })
    }
}

/// The rows of one piece of an input.
pub(super) struct Parsed {
    /// The good rows, sorted, if there are any.
    pub good: Option<Vec<u8>>,
    /// The bad ones, in the order they stood.
    pub bad: Vec<BadRow>,
}

/// Parses pieces of one input.
pub(super) struct Parser<'a> {
    shape: &'a Shape,
    layout: &'a Layout,
    defaults: &'a Defaults,
    file: u32,
    order_type: usize,
    status_time: usize,
    /// The column that tells the order type where it is missing.
    earning_type: Option<usize>,
}

/// Rows under construction.
struct Rows<'a> {
    writer: RowWriter<'a>,
    /// For each field the place of its last enumerated value.
    last: Vec<usize>,
    bad: Vec<BadRow>,
}

/// Why a row is bad: the field, its value, the reason.
struct Flaw {
    field: Option<usize>,
    value: String,
    reason: String,
}

impl<'a> Parser<'a> {
    /// Parses input number `file`.
    pub fn new(shape: &'a Shape, layout: &'a Layout, defaults: &'a Defaults, file: usize) -> Self {
        let report = &shape.report;
        let earning_type = report.index_of("earningType").and_then(|i| match layout.fills[i] {
            Fill::Column(column) => Some(column),
            _ => None,
        });
        let (order_type, status_time) = (report.role(FieldRole::OrderType), report.role(FieldRole::StatusTime));
        Self { shape, layout, defaults, file: file as u32, order_type, status_time, earning_type }
    }

    /// Parses records of text.
    pub fn piece(&self, piece: &Piece, delimiter: u8) -> Parsed {
        let mut rows = self.rows(piece.bytes.len() + piece.bytes.len() / 4);
        let mut records = Records::new(&piece.bytes, delimiter, piece.line);
        let mut spans: Vec<Span> = Vec::new();
        let width = self.layout.header.len();
        let whole = std::str::from_utf8(&piece.bytes).ok();
        while let Some((line, form)) = records.next(&mut spans) {
            let whole_row = |reason: String| Flaw { field: None, value: String::new(), reason };
            let outcome = match form {
                Err(reason) => Err(whole_row(reason.into())),
                Ok(()) if spans.len() != width => {
                    Err(whole_row(format!("{} fields, but the header has {width}", spans.len())))
                }
                Ok(()) => self.row(&mut rows, line, |column| {
                    let span = spans[column];
                    let text = match whole {
                        Some(whole) => span.text_of(whole),
                        None => span.text(&piece.bytes)?,
                    };
                    Ok(Cell { text, quoted: span.quoted })
                }),
            };
            if let Err(flaw) = outcome {
                let cells = spans.iter().map(|s| (!s.null()).then(|| s.lossy(&piece.bytes))).collect();
                rows.bad.push(self.bad_row(line, flaw, cells));
            }
        }
        Parsed { good: rows.writer.sorted(), bad: rows.bad }
    }

    /// Parses rows of a Parquet file; the first is row `line`.
    pub fn batch(&self, batch: &RecordBatch, line: u64) -> Result<Parsed, crate::Error> {
        let mut rows = self.rows(batch.get_array_memory_size());
        let columns: Vec<Source> = batch.columns().iter().map(Source::new).collect::<Result<_, _>>()?;
        let texts = columns.iter().map(Source::formatter).collect::<Result<Vec<_>, _>>()?;
        for row in 0..batch.num_rows() {
            let line = line + row as u64;
            if let Err(flaw) = self.row(&mut rows, line, |column| texts[column].cell(row)) {
                let text = |t: &Texts<'_>| {
                    t.cell(row).ok().filter(|c| !c.text.is_empty() || c.quoted).map(|c| c.text.into_owned())
                };
                let cells = texts.iter().map(text).collect();
                rows.bad.push(self.bad_row(line, flaw, cells));
            }
        }
        Ok(Parsed { good: rows.writer.sorted(), bad: rows.bad })
    }

    fn rows(&self, capacity_bytes: usize) -> Rows<'a> {
        let writer = RowWriter::new(&self.shape.format, capacity_bytes);
        Rows { writer, last: vec![0; self.shape.report.fields.len()], bad: Vec::new() }
    }

    /// Appends one row, or tells its first flaw.
    fn row<'c>(
        &self,
        rows: &mut Rows<'a>,
        line: u64,
        mut cell: impl FnMut(usize) -> Result<Cell<'c>, &'static str>,
    ) -> Result<(), Flaw> {
        let mut mark = 0;
        rows.writer.begin(self.file, line);
        for (field, fill) in self.layout.fills.iter().enumerate() {
            let flaw = |value: String, reason: String| Flaw { field: Some(field), value, reason };
            let found = match fill {
                Fill::Column(from) => cell(*from),
                Fill::Empty | Fill::OrderType | Fill::StatusTime => Ok(Cell::NULL),
            };
            let mut found = found.map_err(|reason| {
                rows.writer.forget();
                flaw(String::new(), reason.to_owned())
            })?;
            let empty = found.text.is_empty();
            if empty && field == self.status_time {
                mark = DEFAULT_TIME;
                rows.writer.put(field, &Value::Number(self.defaults.status_time.0));
                continue;
            }
            let given = if empty && field == self.order_type {
                self.order_type_of(self.earning_type.and_then(|c| cell(c).ok())).map(|text| found = text)
            } else {
                Ok(())
            };
            let value = given.and_then(|()| parse(&self.shape.report.fields[field], &found, &mut rows.last[field]));
            match value {
                Ok(value) => rows.writer.put(field, &value),
                Err(reason) => {
                    rows.writer.forget();
                    return Err(flaw(if empty { String::new() } else { found.text.into_owned() }, reason));
                }
            }
        }
        rows.writer.end(mark);
        Ok(())
    }

    /// The order type of a row that has none.
    fn order_type_of(&self, earning: Option<Cell<'_>>) -> Result<Cell<'a>, String> {
        let field: &'a Field = &self.shape.report.fields[self.order_type];
        let letters = |text: &str| {
            text.bytes().filter(u8::is_ascii_alphanumeric).map(|b| b.to_ascii_uppercase()).collect::<Vec<u8>>()
        };
        let derived = earning.and_then(|e| field.values.iter().find(|v| letters(v) == letters(&e.text)));
        match derived.map(|v| &**v).or(self.defaults.order_type.as_deref()) {
            Some(value) => Ok(Cell { text: Cow::Borrowed(value), quoted: false }),
            None => Err("no order type: fill the column, or give --order-type".into()),
        }
    }

    fn bad_row(&self, line: u64, flaw: Flaw, cells: Vec<Option<String>>) -> BadRow {
        let column = flaw.field.map_or_else(String::new, |field| match self.layout.fills[field] {
            Fill::Column(column) => self.layout.header[column].clone(),
            _ => self.shape.report.fields[field].name.to_string(),
        });
        BadRow { file: self.file as usize, line, column, value: flaw.value, reason: flaw.reason, cells }
    }
}

/// A column of a Parquet input that can be read as exact text.
enum Source {
    Text(ArrayRef),
    /// Anything that arrow prints exactly.
    Exact(ArrayRef),
    Refused(&'static str),
}

impl Source {
    fn new(array: &ArrayRef) -> Result<Self, arrow::error::ArrowError> {
        Ok(match array.data_type() {
            DataType::Utf8 => Self::Text(array.clone()),
            DataType::LargeUtf8 | DataType::Utf8View => Self::Text(cast(array, &DataType::Utf8)?),
            DataType::Dictionary(_, value) => return Self::new(&cast(array, value)?),
            DataType::Timestamp(_, None) => Self::Refused("an instant without a zone: write the column as UTC"),
            DataType::Timestamp(
                TimeUnit::Second | TimeUnit::Millisecond | TimeUnit::Microsecond | TimeUnit::Nanosecond,
                Some(_),
            ) => {
                let DataType::Timestamp(unit, _) = array.data_type() else { return Ok(Self::Refused("")) };
                Self::Exact(cast(array, &DataType::Timestamp(*unit, Some("UTC".into())))?)
            }
            kind if kind.is_integer() || kind.is_decimal() => Self::Exact(array.clone()),
            DataType::Date32 | DataType::Boolean | DataType::Null => Self::Exact(array.clone()),
            DataType::Float16 | DataType::Float32 | DataType::Float64 => {
                Self::Refused("a floating point column, which is not exact: write it as decimal or text")
            }
            _ => Self::Refused(
                "a column type that cannot be read: write it as text, decimal, integer, date, timestamp or boolean",
            ),
        })
    }

    fn formatter(&self) -> Result<Texts<'_>, arrow::error::ArrowError> {
        let options = FormatOptions::new();
        Ok(match self {
            Self::Text(array) => Texts::Text(array.as_string()),
            Self::Exact(array) => Texts::Exact(array.as_ref(), ArrayFormatter::try_new(array.as_ref(), &options)?),
            Self::Refused(reason) => Texts::Refused(reason),
        })
    }
}

enum Texts<'a> {
    Text(&'a arrow::array::StringArray),
    Exact(&'a dyn Array, ArrayFormatter<'a>),
    Refused(&'static str),
}

impl<'a> Texts<'a> {
    fn cell(&self, row: usize) -> Result<Cell<'a>, &'static str> {
        Ok(match self {
            Self::Text(array) if array.is_null(row) => Cell::NULL,
            Self::Text(array) => Cell { text: Cow::Borrowed(array.value(row)), quoted: true },
            Self::Exact(array, _) if array.is_null(row) => Cell::NULL,
            Self::Exact(_, formatter) => Cell { text: Cow::Owned(formatter.value(row).to_string()), quoted: true },
            Self::Refused(reason) => return Err(reason),
        })
    }
}
