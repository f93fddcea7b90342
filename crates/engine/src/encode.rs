//! Rows as text: RFC 4180 with CRLF, by comma or tab, from typed columns straight into one buffer.
//!
//! Null is empty and an empty text is `""`, so the two stay apart. A value is quoted if it holds
//! the separator, a quote, CR or LF, and only then.

mod buffers;
mod cell;
mod excel;
mod number;
mod sheet;
mod styled;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use payouts_model::chunk::Beyond;
use payouts_model::{Chunk, Packaging, Report, TextFormat, Totals};

use crate::column::Column;
use crate::deflate::deflate;
use crate::layout::Layout;
use crate::pipeline::Part;
use crate::totals::{Adder, TotalsPlan};
use crate::{Error, Plan};

use buffers::Buffers;
pub(crate) use cell::plain_text;
use styled::Style;

/// The header row of these columns, with its line end.
pub fn header(report: &Report, columns: &[usize], text: TextFormat) -> Vec<u8> {
    if let TextFormat::Excel(dialect) = text {
        return excel::header(report, columns, dialect);
    }
    let mut out = Vec::new();
    for (i, &column) in columns.iter().enumerate() {
        if i > 0 {
            out.push(text.separator());
        }
        cell::write_text(&mut out, report.fields[column].name.as_bytes(), text.separator());
    }
    out.extend_from_slice(b"\r\n");
    out
}

/// Appends `rows` rows of these columns, and to `starts` where each field begins.
pub fn write_rows(out: &mut Vec<u8>, starts: &mut Vec<u32>, columns: &[&Column], rows: usize, separator: u8) {
    let mut cells: Vec<cell::Cell<'_>> = columns.iter().map(|c| cell::Cell::new(c, separator)).collect();
    let Some((last, before)) = cells.split_last_mut() else {
        return;
    };
    starts.reserve(rows * columns.len());
    for row in 0..rows {
        for cell in before.iter_mut() {
            starts.push(out.len() as u32);
            cell.write(out, row, separator);
            out.push(separator);
        }
        starts.push(out.len() as u32);
        last.write(out, row, separator);
        out.extend_from_slice(b"\r\n");
    }
}

/// What makes a chunk of its rows.
#[derive(Debug)]
pub(crate) struct ChunkJob {
    layout: Layout,
    totals: Arc<TotalsPlan>,
    /// One per thread that is at work; what they added is given out at the end, by [`Self::rest`].
    adders: Mutex<Vec<Adder>>,
    text: TextFormat,
    packaging: Packaging,
    texts: Buffers,
    streams: Buffers,
    starts: Buffers<u32>,
}

impl ChunkJob {
    pub fn new(plan: &Plan, layout: Layout) -> Self {
        let totals = Arc::new(TotalsPlan::new(&layout, &plan.columns, &plan.scope, None));
        Self {
            layout,
            totals,
            adders: Mutex::default(),
            text: plan.text,
            packaging: plan.packaging,
            texts: Buffers::default(),
            streams: Buffers::default(),
            starts: Buffers::default(),
        }
    }

    pub fn run(&self, part: &Part) -> Result<Chunk, Error> {
        if let Some(style) = Style::of(self.text) {
            return self.run_styled(part, style);
        }
        let mut adder = self.adders().pop().unwrap_or_else(|| Adder::new(&self.totals));
        let mut text = self.texts.take();
        let mut starts = self.starts.take();
        for batch in &part.batches {
            let columns = self.layout.read(batch)?;
            adder.add(&columns, batch.num_rows())?;
            let file: Vec<&Column> = self.layout.file().iter().map(|&at| &columns[at]).collect();
            write_rows(&mut text, &mut starts, &file, batch.num_rows(), self.text.separator());
        }
        let packed = self.packaging != Packaging::Plain;
        let deflated = packed.then(|| {
            let mut stream = self.streams.take();
            deflate(&text, &starts, self.layout.file().len(), &mut stream);
            self.streams.lend(stream)
        });
        self.starts.put(starts);
        let crc32 = if packed { crc32fast::hash(&text) } else { 0 };
        let rows = part.batches.iter().map(|b| b.num_rows() as u64).sum();
        self.adders().push(adder);
        let totals = Totals { rows, ..Totals::default() };
        Ok(Chunk { rows, text: self.texts.lend(text), crc32, deflated, totals, beyond: Beyond::default() })
    }

    /// What all chunks add up to, as a chunk without rows; `None` if there was none. To be asked for
    /// once, when all are made.
    pub fn rest(&self) -> Option<Chunk> {
        let mut adders = std::mem::take(&mut *self.adders()).into_iter();
        let mut totals = adders.next()?.finish();
        for adder in adders {
            totals.merge(&adder.finish());
        }
        // The rows came with their chunks.
        totals.rows = 0;
        let deflated = (self.packaging != Packaging::Plain).then(Bytes::new);
        Some(Chunk { rows: 0, text: Bytes::new(), crc32: 0, deflated, totals, beyond: Beyond::default() })
    }

    fn adders(&self) -> MutexGuard<'_, Vec<Adder>> {
        self.adders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
