//! Rows for spreadsheets: a chunk of `csv.excel` or of a worksheet.
//!
//! These two differ from plain text in every value, and are made by writers of their own ([`excel`],
//! [`sheet`]), apart from the one that all other formats go through.

use std::fmt::Display;
use std::io::Write;

use arrow::array::Array;
use chrono::NaiveDate;
use payouts_model::chunk::Beyond;
use payouts_model::{Amount, Chunk, Dialect, Number, Packaging, TextFormat, Timestamp, Totals};

use super::{ChunkJob, excel, plain_text, sheet};
use crate::Error;
use crate::column::Column;
use crate::deflate::deflate;
use crate::pipeline::Part;

/// A text that is more than values and separators.
#[derive(Clone, Copy, Debug)]
pub(super) enum Style {
    Excel(Dialect),
    Sheet,
}

impl Style {
    /// The style of a text; `None`: plain.
    pub fn of(text: TextFormat) -> Option<Self> {
        match text {
            TextFormat::Csv | TextFormat::Tsv => None,
            TextFormat::Excel(dialect) => Some(Self::Excel(dialect)),
            TextFormat::Sheet => Some(Self::Sheet),
        }
    }
}

impl ChunkJob {
    /// As [`ChunkJob::run`], in this style.
    pub(super) fn run_styled(&self, part: &Part, style: Style) -> Result<Chunk, Error> {
        let (mut text, mut starts) = (self.texts.take(), self.starts.take());
        text.clear();
        starts.clear();
        let mut beyond = Beyond::default();
        for batch in &part.batches {
            let batch = self.layout.read(batch)?;
            self.adders.add(&batch)?;
            let file: Vec<&Column> = self.layout.file().iter().map(|&at| batch.column(at)).collect();
            match style {
                Style::Excel(dialect) => excel::write_rows(&mut text, &file, batch.rows(), dialect),
                Style::Sheet => beyond.add(sheet::write_rows(&mut text, &mut starts, &file, batch.rows())),
            }
        }
        let packed = self.packaging != Packaging::Plain;
        let deflated = packed.then(|| {
            let mut stream = self.streams.take();
            stream.clear();
            deflate(&text, &starts, self.layout.file().len() * sheet::STARTS_PER_CELL, &mut stream);
            let length = stream.len();
            self.streams.lend(stream, length)
        });
        self.starts.put(starts);
        let crc32 = if packed { crc32fast::hash(&text) } else { 0 };
        let rows = part.batches.iter().map(|b| b.num_rows() as u64).sum();
        let totals = Totals { rows, ..Totals::default() };
        let length = text.len();
        Ok(Chunk { rows, text: self.texts.lend(text, length), crc32, deflated, totals, beyond })
    }
}

/// Appends what a value prints.
pub(super) fn put(out: &mut Vec<u8>, value: &dyn Display) {
    write!(out, "{value}").expect("a buffer in memory takes everything");
}

/// Appends a value that is no text as any CSV prints it; nothing for null.
pub(super) fn put_plain(out: &mut Vec<u8>, column: &Column, row: usize) {
    match column {
        Column::Amount(array) if array.is_valid(row) => put(out, &Amount(array.value(row).into())),
        Column::Number(array) if array.is_valid(row) => put(out, &Number(array.value(row).into())),
        Column::Integer(array) if array.is_valid(row) => put(out, &array.value(row)),
        Column::Date(array) if array.is_valid(row) => match NaiveDate::from_epoch_days(array.value(row)) {
            Some(date) => put(out, &date),
            // Beyond the years that the calendar knows.
            None => put(out, &plain_text(column, row).unwrap_or_default()),
        },
        Column::Instant(array) if array.is_valid(row) => put(out, &Timestamp(array.value(row))),
        Column::Boolean(array) if array.is_valid(row) => put(out, &array.value(row)),
        _ => {}
    }
}
