//! Rows as bytes back into columns.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, BooleanBufferBuilder, Date32Array, Decimal128Array, Int64Array,
    NullBufferBuilder, RecordBatch, StringArray, TimestampMicrosecondArray, UInt8Array, UInt32Array, UInt64Array,
};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use payouts_model::FieldType;

use super::block::{Block, Shape};
use super::rows::{Row, take_key_text, take_length};
use crate::Error;
use crate::table::data_type;

/// Values of one length after the other.
#[derive(Default)]
struct Texts {
    ends: Vec<i32>,
    bytes: Vec<u8>,
}

impl Texts {
    fn end(&mut self) {
        self.ends.push(i32::try_from(self.bytes.len()).expect("a block has far less than 2 GB"));
    }

    fn take(&mut self) -> (OffsetBuffer<i32>, Buffer) {
        let mut offsets = Vec::with_capacity(self.ends.len() + 1);
        offsets.push(0);
        offsets.append(&mut self.ends);
        let capacity = self.bytes.len();
        let bytes = std::mem::replace(&mut self.bytes, Vec::with_capacity(capacity));
        (OffsetBuffer::new(offsets.into()), Buffer::from_vec(bytes))
    }
}

enum Values {
    Text(Texts),
    Decimal(Vec<i128>),
    Integer(Vec<i64>),
    Instant(Vec<i64>),
    Date(Vec<i32>),
    Boolean(BooleanBufferBuilder),
}

struct Column {
    nulls: NullBufferBuilder,
    kind: FieldType,
    values: Values,
}

impl Column {
    fn new(kind: FieldType) -> Self {
        let values = match kind {
            FieldType::Amount | FieldType::Number => Values::Decimal(Vec::new()),
            FieldType::Integer => Values::Integer(Vec::new()),
            FieldType::Date => Values::Date(Vec::new()),
            FieldType::Timestamp => Values::Instant(Vec::new()),
            FieldType::Boolean => Values::Boolean(BooleanBufferBuilder::new(0)),
            FieldType::Id | FieldType::Text | FieldType::Enum | FieldType::Guid => Values::Text(Texts::default()),
        };
        Self { nulls: NullBufferBuilder::new(0), kind, values }
    }

    fn push_null(&mut self) {
        self.nulls.append_null();
        match &mut self.values {
            Values::Text(texts) => texts.end(),
            Values::Decimal(values) => values.push(0),
            Values::Integer(values) | Values::Instant(values) => values.push(0),
            Values::Date(values) => values.push(0),
            Values::Boolean(values) => values.append(false),
        }
    }

    /// Takes a value that is not part of the key.
    fn push(&mut self, bytes: &mut &[u8]) {
        self.nulls.append_non_null();
        match &mut self.values {
            Values::Text(texts) => {
                let length = take_length(bytes);
                texts.bytes.extend_from_slice(&bytes[..length]);
                texts.end();
                *bytes = &bytes[length..];
            }
            Values::Decimal(values) => values.push(i128::from(take_i64(bytes))),
            Values::Integer(values) | Values::Instant(values) => values.push(take_i64(bytes)),
            Values::Date(values) => {
                values.push(i32::from_le_bytes(bytes[..4].try_into().expect("four bytes")));
                *bytes = &bytes[4..];
            }
            Values::Boolean(values) => {
                values.append(bytes[0] != 0);
                *bytes = &bytes[1..];
            }
        }
    }

    fn take(&mut self) -> Result<ArrayRef, Error> {
        let nulls: Option<NullBuffer> = self.nulls.finish();
        fn all<T: arrow::datatypes::ArrowNativeType>(values: &mut Vec<T>) -> ScalarBuffer<T> {
            let capacity = values.len();
            std::mem::replace(values, Vec::with_capacity(capacity)).into()
        }
        Ok(match &mut self.values {
            Values::Text(texts) => {
                let (offsets, bytes) = texts.take();
                Arc::new(StringArray::try_new(offsets, bytes, nulls)?)
            }
            Values::Decimal(values) => {
                Arc::new(Decimal128Array::try_new(all(values), nulls)?.with_data_type(data_type(self.kind)))
            }
            Values::Integer(values) => Arc::new(Int64Array::try_new(all(values), nulls)?),
            Values::Instant(values) => {
                Arc::new(TimestampMicrosecondArray::try_new(all(values), nulls)?.with_timezone("UTC"))
            }
            Values::Date(values) => Arc::new(Date32Array::try_new(all(values), nulls)?),
            Values::Boolean(values) => Arc::new(BooleanArray::new(values.finish(), nulls)),
        })
    }
}

fn take_i64(bytes: &mut &[u8]) -> i64 {
    let value = i64::from_le_bytes(bytes[..8].try_into().expect("eight bytes"));
    *bytes = &bytes[8..];
    value
}

/// Makes blocks out of rows.
pub(super) struct Decoder {
    shape: Arc<Shape>,
    columns: Vec<Column>,
    /// The fields of the key in key order, each with whether it is an id.
    key_fields: Vec<(usize, bool)>,
    keys: Texts,
    files: Vec<u32>,
    lines: Vec<u64>,
    marks: Vec<u8>,
    /// Leading zeros of the ids in the key of the row at hand.
    zeros: Vec<usize>,
}

impl Decoder {
    /// For rows of `shape`.
    pub fn new(shape: &Arc<Shape>) -> Self {
        let key_fields: Vec<_> =
            shape.report.key_columns().into_iter().map(|i| (i, shape.format.parts[i].is_some_and(|p| p.id))).collect();
        Self {
            shape: shape.clone(),
            columns: shape.report.fields.iter().map(|f| Column::new(f.kind)).collect(),
            zeros: vec![0; key_fields.len()],
            key_fields,
            keys: Texts::default(),
            files: Vec::new(),
            lines: Vec::new(),
            marks: Vec::new(),
        }
    }

    /// Rows so far.
    pub fn rows(&self) -> usize {
        self.marks.len()
    }

    /// Whether the last row has this key.
    pub fn ends_with(&self, key: &[u8]) -> bool {
        let start = self.rows().checked_sub(2).map_or(0, |i| self.keys.ends[i] as usize);
        self.rows() > 0 && self.keys.bytes[start..] == *key
    }

    /// Appends a row.
    pub fn push(&mut self, row: Row<'_>) {
        let (nulls, mut values) = row.values().split_at(self.shape.format.null_bytes);
        for (field, column) in self.columns.iter_mut().enumerate() {
            let null = nulls[field / 8] >> (field % 8) & 1 != 0;
            match self.shape.format.parts[field] {
                Some(part) if part.id && !null => self.zeros[part.place] = take_length(&mut values),
                Some(_) => {}
                None if null => column.push_null(),
                None => column.push(&mut values),
            }
        }
        let mut key = row.key();
        self.keys.bytes.extend_from_slice(key);
        self.keys.end();
        for (place, (field, id)) in self.key_fields.iter().enumerate() {
            let column = &mut self.columns[*field];
            let Values::Text(texts) = &mut column.values else { continue };
            if *id && key[0] != 0 {
                texts.bytes.resize(texts.bytes.len() + self.zeros[place], b'0');
            }
            if take_key_text(&mut key, &mut texts.bytes) {
                column.nulls.append_non_null();
            } else {
                column.nulls.append_null();
            }
            texts.end();
        }
        self.files.push(row.file());
        self.lines.push(row.line());
        self.marks.push(row.mark());
    }

    /// The rows as a block; it is empty again afterwards.
    pub fn take(&mut self) -> Result<Block, Error> {
        let columns = self.columns.iter_mut().map(Column::take).collect::<Result<Vec<_>, _>>()?;
        let (offsets, bytes) = self.keys.take();
        let keys = BinaryArray::try_new(offsets, bytes, None)?;
        Ok(Block::with_keys(
            RecordBatch::try_new(self.shape.schema.clone(), columns)?,
            keys,
            UInt32Array::from(std::mem::take(&mut self.files)),
            UInt64Array::from(std::mem::take(&mut self.lines)),
            UInt8Array::from(std::mem::take(&mut self.marks)),
        ))
    }
}
