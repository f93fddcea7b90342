//! Rows of an input into typed columns: every field exactly, or a bad row that says why not.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, UInt8Array, UInt32Array, UInt64Array};
use arrow::compute::{cast, filter};
use arrow::datatypes::{DataType, TimeUnit};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use payouts_model::report::FieldRole;
use payouts_model::{Report, Timestamp};

use super::block::{Block, Shape};
use super::layout::{Fill, Layout};
use super::records::{Records, Span};
use super::rejects::BadRow;
use super::source::Piece;
use super::values::{Cell, Column, unknown_value};

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
    /// The good rows and their sorted order, if there are any.
    pub good: Option<(Block, Vec<u32>)>,
    /// The bad ones, in the order they stood.
    pub bad: Vec<BadRow>,
}

/// Parses pieces of one input.
pub(super) struct Parser<'a> {
    shape: &'a Shape,
    layout: &'a Layout,
    defaults: &'a Defaults,
    file: usize,
    order_type: usize,
    status_time: usize,
    /// The column that tells the order type where it is missing.
    earning_type: Option<usize>,
}

/// Columns under construction.
struct Rows<'a> {
    columns: Vec<Column<'a>>,
    lines: Vec<u64>,
    marks: Vec<u8>,
    good: Vec<bool>,
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
        Self { shape, layout, defaults, file, order_type, status_time, earning_type }
    }

    /// Parses records of text.
    pub fn piece(&self, piece: &Piece, delimiter: u8) -> Result<Parsed, crate::Error> {
        let mut rows = self.rows();
        let mut records = Records::new(&piece.bytes, delimiter, piece.line);
        let mut spans: Vec<Span> = Vec::new();
        let width = self.layout.header.len();
        while let Some((line, form)) = records.next(&mut spans) {
            let whole_row = |reason: String| Flaw { field: None, value: String::new(), reason };
            let flaw = match form {
                Err(reason) => Some(whole_row(reason.into())),
                Ok(()) if spans.len() != width => {
                    Some(whole_row(format!("{} fields, but the header has {width}", spans.len())))
                }
                Ok(()) => None,
            };
            let flaw = match flaw {
                Some(flaw) => {
                    rows.columns.iter_mut().for_each(Column::push_null);
                    rows.marks.push(0);
                    Some(flaw)
                }
                None => self.row(&mut rows, |column| {
                    let span = spans[column];
                    Ok(Cell { text: span.text(&piece.bytes)?, quoted: span.quoted })
                }),
            };
            let cells = |(): ()| spans.iter().map(|s| (!s.null()).then(|| s.lossy(&piece.bytes))).collect();
            self.end_row(&mut rows, line, flaw, cells);
        }
        self.finish(rows)
    }

    /// Parses rows of a Parquet file; the first is row `line`.
    pub fn batch(&self, batch: &RecordBatch, line: u64) -> Result<Parsed, crate::Error> {
        let mut rows = self.rows();
        let columns: Vec<Source> = batch.columns().iter().map(Source::new).collect::<Result<_, _>>()?;
        let texts = columns.iter().map(Source::formatter).collect::<Result<Vec<_>, _>>()?;
        for row in 0..batch.num_rows() {
            let flaw = self.row(&mut rows, |column| texts[column].cell(row));
            let cells = |(): ()| {
                texts
                    .iter()
                    .map(|t| t.cell(row).ok().filter(|c| !c.text.is_empty() || c.quoted).map(|c| c.text.into_owned()))
                    .collect()
            };
            self.end_row(&mut rows, line + row as u64, flaw, cells);
        }
        self.finish(rows)
    }

    fn rows(&self) -> Rows<'a> {
        let columns = self.shape.report.fields.iter().map(Column::new).collect();
        Rows { columns, lines: Vec::new(), marks: Vec::new(), good: Vec::new(), bad: Vec::new() }
    }

    /// Appends one row to all columns; its first flaw, if it has one.
    fn row<'c>(
        &self,
        rows: &mut Rows<'a>,
        mut cell: impl FnMut(usize) -> Result<Cell<'c>, &'static str>,
    ) -> Option<Flaw> {
        let mut flaw: Option<Flaw> = None;
        let mut mark = 0;
        for (field, fill) in self.layout.fills.iter().enumerate() {
            let column = &mut rows.columns[field];
            let found = match fill {
                Fill::Column(from) => cell(*from),
                Fill::Empty | Fill::OrderType | Fill::StatusTime => Ok(Cell::NULL),
            };
            let outcome = match &found {
                Err(reason) => {
                    column.push_null();
                    Err((String::new(), (*reason).to_owned()))
                }
                Ok(found) => {
                    let empty = found.text.is_empty();
                    let pushed = if empty && field == self.status_time {
                        mark = DEFAULT_TIME;
                        column.push_instant(self.defaults.status_time);
                        Ok(())
                    } else if empty && field == self.order_type {
                        let earning = self.earning_type.and_then(|c| cell(c).ok());
                        self.push_order_type(column, earning)
                    } else {
                        column.push(found)
                    };
                    pushed.map_err(|reason| (found.text.clone().into_owned(), reason))
                }
            };
            if let (Err((value, reason)), None) = (outcome, &flaw) {
                flaw = Some(Flaw { field: Some(field), value, reason });
            }
        }
        rows.marks.push(mark);
        flaw
    }

    fn push_order_type(&self, column: &mut Column<'_>, earning: Option<Cell<'_>>) -> Result<(), String> {
        let field = &self.shape.report.fields[self.order_type];
        let letters = |text: &str| {
            text.bytes().filter(u8::is_ascii_alphanumeric).map(|b| b.to_ascii_uppercase()).collect::<Vec<u8>>()
        };
        let derived = earning.and_then(|e| field.values.iter().find(|v| letters(v) == letters(&e.text)));
        match derived.map(|v| &**v).or(self.defaults.order_type.as_deref()) {
            Some(value) => column.push(&Cell { text: Cow::Borrowed(value), quoted: false }),
            None => {
                column.push_null();
                Err("no order type: fill the column, or give --order-type".into())
            }
        }
    }

    fn end_row(
        &self,
        rows: &mut Rows<'_>,
        line: u64,
        flaw: Option<Flaw>,
        cells: impl FnOnce(()) -> Vec<Option<String>>,
    ) {
        rows.lines.push(line);
        rows.good.push(flaw.is_none());
        let Some(flaw) = flaw else { return };
        let column = flaw.field.map_or_else(String::new, |field| match self.layout.fills[field] {
            Fill::Column(column) => self.layout.header[column].clone(),
            _ => self.shape.report.fields[field].name.to_string(),
        });
        rows.bad.push(BadRow {
            file: self.file,
            line,
            column,
            value: flaw.value,
            reason: flaw.reason,
            cells: cells(()),
        });
    }

    fn finish(&self, rows: Rows<'_>) -> Result<Parsed, crate::Error> {
        let Rows { columns, lines, marks, good, bad } = rows;
        let mut arrays: Vec<ArrayRef> = columns.into_iter().map(Column::finish).collect();
        let mut lines: ArrayRef = Arc::new(UInt64Array::from(lines));
        let mut marks: ArrayRef = Arc::new(UInt8Array::from(marks));
        if !bad.is_empty() {
            let keep = BooleanArray::from(good);
            for array in arrays.iter_mut().chain([&mut lines, &mut marks]) {
                *array = filter(array, &keep)?;
            }
        }
        let batch = RecordBatch::try_new(self.shape.schema.clone(), arrays)?;
        let count = batch.num_rows();
        if count == 0 {
            return Ok(Parsed { good: None, bad });
        }
        let files = UInt32Array::from(vec![self.file as u32; count]);
        let block = Block::new(self.shape, batch, files, lines.as_primitive().clone(), marks.as_primitive().clone())?;
        let order = block.sorted();
        Ok(Parsed { good: Some((block, order)), bad })
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
