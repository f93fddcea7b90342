//! Which stored columns a plan reads, and how they become the columns of its fields.

use std::sync::Arc;

use arrow::array::RecordBatch;
use payouts_ledger::{ColumnSource, ReadAs, Snapshot};
use payouts_model::report::{Currency, FieldRole};
use payouts_model::{FieldType, Report, TextFormat};

use crate::batch::Batch;
use crate::column::{Column, FieldReader};
use crate::{Error, Plan};

/// Text of about this size makes a chunk: large enough for the compressor and for what is done once a
/// chunk or a piece of a batch, small enough for many in flight.
const CHUNK_TEXT_BYTES: usize = 2 << 20;

/// What stands around a value of a worksheet, on average.
const CELL_MARKUP_BYTES: usize = 32;

/// Every divisor of [`payouts_model::chunk::ROWS_PER_ENTRY_MAX`] is one of these.
const FACTORS: [u64; 6] = [3, 5, 5, 11, 31, 41];

/// The fields that a plan reads, each once, and where their columns are in a batch of the scan.
#[derive(Clone, Debug)]
pub struct Layout {
    report: Arc<Report>,
    /// The fields read, as indexes into the report.
    fields: Vec<usize>,
    /// For each field, how to read it and its column in the scan's batches; `None`: always null.
    readers: Vec<(FieldReader, Option<usize>)>,
    /// The stored columns that the scan projects, by name.
    stored: Vec<String>,
    /// The fields of the file in order, as positions in `fields`.
    file: Vec<usize>,
}

impl Layout {
    /// The plan's columns and what their totals and the scope's last check need.
    pub fn for_file(plan: &Plan) -> Self {
        Self::new(&plan.snapshot, &plan.columns, &needed_fields(&plan.snapshot.report, &plan.columns))
    }

    /// The fields `file`, in this order, and besides them `more`.
    pub fn new(snapshot: &Snapshot, file: &[usize], more: &[usize]) -> Self {
        let mut layout = Self {
            report: snapshot.report.clone(),
            fields: Vec::new(),
            readers: Vec::new(),
            stored: Vec::new(),
            file: Vec::new(),
        };
        for &field in file {
            let position = layout.add(snapshot, field);
            layout.file.push(position);
        }
        for &field in more {
            layout.add(snapshot, field);
        }
        layout
    }

    fn add(&mut self, snapshot: &Snapshot, field: usize) -> usize {
        if let Some(position) = self.position(field) {
            return position;
        }
        let (column, read) = match &snapshot.columns[field] {
            ColumnSource::Null => (None, ReadAs::Same),
            ColumnSource::Column { name, read } => {
                let at = self.stored.iter().position(|n| n == name).unwrap_or_else(|| {
                    self.stored.push(name.clone());
                    self.stored.len() - 1
                });
                (Some(at), *read)
            }
        };
        let spec = &self.report.fields[field];
        self.readers.push((FieldReader { name: spec.name.clone(), kind: spec.kind, how: read.into() }, column));
        self.fields.push(field);
        self.fields.len() - 1
    }

    /// The report.
    pub fn report(&self) -> &Arc<Report> {
        &self.report
    }

    /// The stored columns to project, by name, in the order [`Layout::read`] expects.
    pub fn stored(&self) -> &[String] {
        &self.stored
    }

    /// Where the column of a field is in what [`Layout::read`] gives.
    pub fn position(&self, field: usize) -> Option<usize> {
        self.fields.iter().position(|&f| f == field)
    }

    /// The positions of the file's columns, in file order.
    pub fn file(&self) -> &[usize] {
        &self.file
    }

    /// The columns of a batch of the scan, one per field read.
    pub fn read(&self, batch: &RecordBatch) -> Result<Batch, Error> {
        let read = |(reader, column): &(FieldReader, Option<usize>)| match column {
            None => Ok(Column::Null),
            Some(at) => reader.read(batch.column(*at)).map_err(Error::BadData),
        };
        let columns = self.readers.iter().map(read).collect::<Result<_, _>>()?;
        Ok(Batch::new(columns, batch.num_rows()))
    }

    /// Rows per chunk: by the file's columns and its text alone, so that equal plans are cut at equal
    /// rows, and a divisor of the rows of a ZIP entry, so that entries end where chunks do.
    pub fn rows_per_chunk(&self, text: TextFormat) -> usize {
        let markup = if text == TextFormat::Sheet { CELL_MARKUP_BYTES } else { 0 };
        let width: usize = self.file.iter().map(|&p| typical_bytes(self.readers[p].0.kind) + markup).sum();
        let wanted = (CHUNK_TEXT_BYTES / width.max(1)) as u64;
        let mut best = 1;
        for subset in 0..1_u32 << FACTORS.len() {
            let product: u64 =
                FACTORS.iter().enumerate().filter(|(i, _)| subset >> i & 1 == 1).map(|(_, f)| f).product();
            if product <= wanted.min(16_384) && product > best {
                best = product;
            }
        }
        best as usize
    }
}

/// Bytes that a value of this type takes in a typical file, separator included.
fn typical_bytes(kind: FieldType) -> usize {
    match kind {
        FieldType::Amount | FieldType::Id | FieldType::Date | FieldType::Enum => 9,
        FieldType::Number | FieldType::Integer | FieldType::Boolean => 5,
        FieldType::Text => 8,
        FieldType::Guid => 30,
        FieldType::Timestamp => 25,
    }
}

/// The fields besides the file's own that its totals and the scope's last check need.
pub fn needed_fields(report: &Report, columns: &[usize]) -> Vec<usize> {
    let roles = [FieldRole::Participant, FieldRole::Program, FieldRole::Status, FieldRole::OrderType];
    let mut fields: Vec<usize> = roles.into_iter().map(|role| report.role(role)).collect();
    fields.extend(columns.iter().filter_map(|&c| match &report.fields[c].currency {
        Some(Currency::Field(f)) => Some(*f),
        _ => None,
    }));
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_make_a_zip_entry() {
        assert_eq!(FACTORS.iter().product::<u64>(), payouts_model::chunk::ROWS_PER_ENTRY_MAX);
    }
}
