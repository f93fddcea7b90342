//! Rows in memory on their way through sort and merge: blocks, references to their rows, and the
//! gathering of referenced rows into new batches.
//!
//! A block is a batch of the report's columns with what else the merge must know of each row: its
//! key as comparable bytes, the file and line that it came from, and a mark.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, RecordBatch, UInt8Array, UInt32Array, UInt64Array};
use arrow::compute::interleave;
use arrow::datatypes::{
    DataType, Decimal128Type, Field, Schema, SchemaRef, TimestampMicrosecondType, UInt8Type, UInt32Type, UInt64Type,
};
use payouts_model::id::canonical;
use payouts_model::report::{Currency, FieldRole};
use payouts_model::{FieldType, Report, Timestamp};

use super::rows::Format;
use crate::Error;
use crate::table::{self, KeyOrder};

/// What import knows of a report's shape.
#[derive(Debug)]
pub(super) struct Shape {
    /// The report.
    pub report: Arc<Report>,
    /// The schema of its table.
    pub schema: SchemaRef,
    /// The schema of blocks on disk: the table's, then key, file, line and mark.
    pub block_schema: SchemaRef,
    /// Ledger order.
    pub order: KeyOrder,
    /// Rows as bytes.
    pub format: Format,
    participant: usize,
    program: usize,
    order_type: usize,
    /// The payment id, where rows without one are replaced as a set.
    payment: Option<usize>,
    time: usize,
    headline: usize,
    currency: Currency,
}

impl Shape {
    /// The shape of `report`.
    pub fn new(report: &Arc<Report>) -> Result<Self, Error> {
        let schema = table::schema(report);
        let mut fields: Vec<_> = schema.fields().iter().cloned().collect();
        for (name, kind) in [
            ("\u{1}key", DataType::Binary),
            ("\u{1}file", DataType::UInt32),
            ("\u{1}line", DataType::UInt64),
            ("\u{1}mark", DataType::UInt8),
        ] {
            fields.push(Arc::new(Field::new(name, kind, false)));
        }
        let headline = report.role(FieldRole::Headline);
        let currency = report.fields[headline]
            .currency
            .clone()
            .ok_or_else(|| Error::Invalid("the headline amount has no currency".into()))?;
        let payment = report.fields.iter().position(|f| f.roles.contains(&FieldRole::Payment) && f.key.is_some());
        Ok(Self {
            schema,
            block_schema: Arc::new(Schema::new(fields)),
            order: KeyOrder::new(report)?,
            format: Format::new(report),
            participant: report.role(FieldRole::Participant),
            program: report.role(FieldRole::Program),
            order_type: report.role(FieldRole::OrderType),
            payment,
            time: report.role(FieldRole::StatusTime),
            headline,
            currency,
            report: report.clone(),
        })
    }

    /// The columns that sums need: the headline amount and its currency, if that is a column.
    pub fn sum_columns(&self) -> (usize, Option<usize>) {
        match self.currency {
            Currency::Field(index) => (self.headline, Some(index)),
            Currency::Constant(_) => (self.headline, None),
        }
    }

    /// The currency of sums where it is no column.
    pub fn constant_currency(&self) -> &str {
        match &self.currency {
            Currency::Field(_) => "",
            Currency::Constant(code) => code,
        }
    }

    /// The participant's id in canonical form.
    pub fn participant<'a>(&self, row: &'a RowRef) -> &'a str {
        canonical(row.text(self.participant).unwrap_or(""))
    }

    /// Whether both rows are of one participant, program and order type.
    pub fn same_group(&self, a: &RowRef, b: &RowRef) -> bool {
        self.participant(a) == self.participant(b)
            && a.text(self.program) == b.text(self.program)
            && a.text(self.order_type) == b.text(self.order_type)
    }

    /// Whether the row belongs to a set of rows without a payment id.
    pub fn in_set(&self, row: &RowRef) -> bool {
        self.payment.is_some_and(|i| row.block.batch.column(i).is_null(row.row()))
    }

    /// The row's status time.
    pub fn time(&self, row: &RowRef) -> Timestamp {
        Timestamp(row.block.batch.column(self.time).as_primitive::<TimestampMicrosecondType>().value(row.row()))
    }

    /// The first field in which two rows of one key differ, status time aside. Ids that mean the
    /// same do not differ.
    pub fn difference(&self, a: &RowRef, b: &RowRef) -> Option<usize> {
        (0..self.report.fields.len())
            .filter(|i| *i != self.time)
            .find(|&i| !same_value(self.report.fields[i].kind, a, b, i))
    }

    /// The row's content as bytes, equal exactly for rows without [`Shape::difference`].
    pub fn content(&self, row: &RowRef, out: &mut Vec<u8>) {
        out.clear();
        for (i, field) in self.report.fields.iter().enumerate().filter(|(i, _)| *i != self.time) {
            let array = row.block.batch.column(i);
            if array.is_null(row.row()) {
                out.push(0);
                continue;
            }
            out.push(1);
            if field.kind.stored_as_text() {
                let text = array.as_string::<i32>().value(row.row());
                let text = if field.kind == FieldType::Id { canonical(text) } else { text };
                out.extend((text.len() as u64).to_le_bytes());
                out.extend(text.as_bytes());
            } else {
                out.extend(super::values::print(field, &row.block.batch, i, row.row()).unwrap_or_default().bytes());
                out.push(0);
            }
        }
    }

    /// An empty batch of the table's schema.
    pub fn empty(&self) -> RecordBatch {
        RecordBatch::new_empty(self.schema.clone())
    }
}

fn same_value(kind: FieldType, a: &RowRef, b: &RowRef, column: usize) -> bool {
    let (left, right) = (a.block.batch.column(column), b.block.batch.column(column));
    let (i, j) = (a.row(), b.row());
    match (left.is_null(i), right.is_null(j)) {
        (true, true) => return true,
        (false, false) => {}
        _ => return false,
    }
    match kind {
        FieldType::Amount | FieldType::Number => {
            left.as_primitive::<Decimal128Type>().value(i) == right.as_primitive::<Decimal128Type>().value(j)
        }
        FieldType::Id => canonical(left.as_string::<i32>().value(i)) == canonical(right.as_string::<i32>().value(j)),
        FieldType::Text | FieldType::Enum | FieldType::Guid => {
            left.as_string::<i32>().value(i) == right.as_string::<i32>().value(j)
        }
        FieldType::Integer | FieldType::Date | FieldType::Timestamp | FieldType::Boolean => {
            left.slice(i, 1).to_data() == right.slice(j, 1).to_data()
        }
    }
}

/// A batch with what the merge must know of each row.
#[derive(Debug)]
pub(super) struct Block {
    /// The report's columns.
    pub batch: RecordBatch,
    keys: BinaryArray,
    files: UInt32Array,
    lines: UInt64Array,
    marks: UInt8Array,
}

impl Block {
    /// A block of rows that came from `files` and `lines`.
    pub fn new(shape: &Shape, batch: RecordBatch, files: UInt32Array, lines: UInt64Array, marks: UInt8Array) -> Self {
        Self { keys: shape.format.keys(&batch), batch, files, lines, marks }
    }

    /// A block of rows whose keys are known.
    pub fn with_keys(
        batch: RecordBatch,
        keys: BinaryArray,
        files: UInt32Array,
        lines: UInt64Array,
        marks: UInt8Array,
    ) -> Self {
        Self { batch, keys, files, lines, marks }
    }

    /// A block as it was spilled.
    pub fn from_spilled(shape: &Shape, batch: &RecordBatch) -> Result<Self, Error> {
        let own = shape.schema.fields().len();
        Ok(Self {
            batch: RecordBatch::try_new(shape.schema.clone(), batch.columns()[..own].to_vec())?,
            keys: batch.column(own).as_binary::<i32>().clone(),
            files: batch.column(own + 1).as_primitive::<UInt32Type>().clone(),
            lines: batch.column(own + 2).as_primitive::<UInt64Type>().clone(),
            marks: batch.column(own + 3).as_primitive::<UInt8Type>().clone(),
        })
    }

    /// Rows.
    pub fn rows(&self) -> usize {
        self.batch.num_rows()
    }

    /// The key of a row as comparable bytes.
    pub fn key(&self, row: usize) -> &[u8] {
        self.keys.value(row)
    }
}

/// One row of a block.
#[derive(Clone, Debug)]
pub(super) struct RowRef {
    /// The block.
    pub block: Arc<Block>,
    row: u32,
}

impl RowRef {
    /// Row `row` of `block`.
    pub fn new(block: &Arc<Block>, row: usize) -> Self {
        Self { block: block.clone(), row: row as u32 }
    }
    /// Its number in the block.
    pub fn row(&self) -> usize {
        self.row as usize
    }
    /// Its key as comparable bytes.
    pub fn key(&self) -> &[u8] {
        self.block.key(self.row())
    }
    /// The number of the file that it came from.
    pub fn file(&self) -> usize {
        self.block.files.value(self.row()) as usize
    }
    /// The line (or row) in that file.
    pub fn line(&self) -> u64 {
        self.block.lines.value(self.row())
    }
    /// Its mark.
    pub fn mark(&self) -> u8 {
        self.block.marks.value(self.row())
    }
    /// A text column's value.
    pub fn text(&self, column: usize) -> Option<&str> {
        let array = self.block.batch.column(column);
        (!array.is_null(self.row())).then(|| array.as_string::<i32>().value(self.row()))
    }
}

/// Hashes addresses: they are unlike each other already.
#[derive(Debug, Default)]
struct AddressHasher(u64);

impl Hasher for AddressHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_usize(usize::from(*byte));
        }
    }
    fn write_usize(&mut self, address: usize) {
        self.0 = (self.0 ^ address as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    }
}

/// Collects rows of many blocks for one new batch.
#[derive(Debug, Default)]
pub(super) struct Gather {
    blocks: Vec<Arc<Block>>,
    slots: HashMap<usize, usize, BuildHasherDefault<AddressHasher>>,
    rows: Vec<(usize, usize)>,
    marks: Vec<u8>,
}

impl Gather {
    /// Adds a row, with a mark that replaces its own on disk.
    pub fn push(&mut self, row: &RowRef, mark: u8) {
        let slot = *self.slots.entry(Arc::as_ptr(&row.block).addr()).or_insert_with(|| {
            self.blocks.push(row.block.clone());
            self.blocks.len() - 1
        });
        self.rows.push((slot, row.row()));
        self.marks.push(mark);
    }

    /// Rows so far.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// The rows as a batch of the table's schema; it is empty again afterwards.
    pub fn take(&mut self, shape: &Shape) -> Result<RecordBatch, Error> {
        let columns = self.columns(shape)?;
        let batch = RecordBatch::try_new(shape.schema.clone(), columns)?;
        *self = Self::default();
        Ok(batch)
    }

    /// The rows as a batch for [`Block::from_spilled`]; it is empty again afterwards.
    pub fn take_block(&mut self, shape: &Shape) -> Result<RecordBatch, Error> {
        let mut columns = self.columns(shape)?;
        let pick = |of: fn(&Block) -> &dyn Array| {
            let arrays: Vec<&dyn Array> = self.blocks.iter().map(|b| of(b)).collect();
            interleave(&arrays, &self.rows)
        };
        columns.push(pick(|b| &b.keys)?);
        columns.push(pick(|b| &b.files)?);
        columns.push(pick(|b| &b.lines)?);
        columns.push(Arc::new(UInt8Array::from(std::mem::take(&mut self.marks))));
        let batch = RecordBatch::try_new(shape.block_schema.clone(), columns)?;
        *self = Self::default();
        Ok(batch)
    }

    fn columns(&self, shape: &Shape) -> Result<Vec<ArrayRef>, Error> {
        if self.blocks.is_empty() {
            return Ok(shape.empty().columns().to_vec());
        }
        let column = |i: usize| {
            let arrays: Vec<&dyn Array> = self.blocks.iter().map(|b| b.batch.column(i).as_ref()).collect();
            interleave(&arrays, &self.rows)
        };
        Ok((0..shape.schema.fields().len()).map(column).collect::<Result<_, _>>()?)
    }
}
