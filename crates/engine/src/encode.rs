//! Rows as text: RFC 4180 with CRLF, by comma or tab, from typed columns straight into one buffer.
//!
//! Null is empty and an empty text is `""`, so the two stay apart. A value is quoted if it holds
//! the separator, a quote, CR or LF, and only then.

mod buffers;
mod excel;
mod lane;
mod number;
mod pen;
mod sheet;
mod styled;
#[cfg(test)]
mod tests;
mod words;

use bytes::Bytes;
use payouts_model::chunk::Beyond;
use payouts_model::{Chunk, Packaging, Report, TextFormat, Totals};

use crate::batch::Batch;
use crate::deflate::deflate;
use crate::layout::Layout;
use crate::pipeline::Part;
use crate::totals::{Adders, TotalsPlan};
use crate::{Error, Plan};

use buffers::{Buffers, Starts};
pub(crate) use lane::plain_text;
use lane::{BLOCK, End, Lane, Ready};
use pen::Pen;
use styled::Style;

/// The header row of these columns, with its line end.
pub fn header(report: &Report, columns: &[usize], text: TextFormat) -> Vec<u8> {
    if let TextFormat::Excel(dialect) = text {
        return excel::header(report, columns, dialect);
    }
    let mut out = Pen::default();
    for (i, &column) in columns.iter().enumerate() {
        let name = &report.fields[column].name;
        out.make_room(1 + lane::text_bytes_max(name));
        if i > 0 {
            out.byte(text.separator());
        }
        lane::write_text(&mut out, name.as_bytes(), text.separator());
    }
    out.make_room(2);
    out.slice(b"\r\n");
    out.written().to_vec()
}

/// Writes the rows of these columns of a batch, and appends to `starts`, if given, where each field
/// begins.
fn write_rows(out: &mut Pen, starts: Option<&mut Starts>, batch: &Batch, columns: &[usize], separator: u8) {
    let lane = |(at, &column): (usize, &usize)| {
        let end = if at + 1 == columns.len() { End::LINE } else { End::separator(separator) };
        Lane::new(batch.column(column), batch.coded(column), separator, end)
    };
    let mut lanes: Vec<Lane<'_>> = columns.iter().enumerate().map(lane).collect();
    if lanes.is_empty() {
        return;
    }
    let mut starts = starts.map(|starts| starts.more(batch.rows() * lanes.len()).chunks_exact_mut(lanes.len()));
    for from in (0..batch.rows()).step_by(BLOCK) {
        let rows = from..(from + BLOCK).min(batch.rows());
        for at in 0..lanes.len() {
            let (before, rest) = lanes.split_at_mut(at);
            rest[0].prepare(rows.clone(), before);
        }
        let ready: Vec<Ready<'_>> = (0..lanes.len()).map(|at| Lane::ready(&lanes, at, rows.clone())).collect();
        let row_bytes_max = ready.iter().map(Ready::row_bytes_max).sum();
        for row in 0..rows.len() {
            let begin = out.at();
            let room = out.room(row_bytes_max);
            let mut at = 0;
            if let Some(starts) = starts.as_mut().and_then(Iterator::next) {
                for (lane, start) in ready.iter().zip(starts) {
                    *start = (begin + at) as u32;
                    at += lane.write(&mut room[at..], row);
                }
            } else {
                for lane in &ready {
                    at += lane.write(&mut room[at..], row);
                }
            }
            out.seek(begin + at);
        }
    }
}

/// So many threads share an adder: adding takes a twentieth of the time of a chunk.
const ADDING_THREADS: usize = 4;

/// What makes a chunk of its rows.
#[derive(Debug)]
pub(crate) struct ChunkJob {
    layout: Layout,
    /// What they add is given out at the end, by [`Self::rest`].
    adders: Adders,
    text: TextFormat,
    packaging: Packaging,
    texts: Buffers,
    streams: Buffers,
    starts: Buffers<u32>,
}

impl ChunkJob {
    /// For jobs on so many threads.
    pub fn new(plan: &Plan, layout: Layout, threads: usize) -> Self {
        let totals = TotalsPlan::new(&layout, &plan.columns, &plan.scope, None);
        let adders = Adders::new(totals, threads.div_ceil(ADDING_THREADS));
        Self {
            layout,
            adders,
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
        let mut text = Pen::new(self.texts.take());
        let packed = self.packaging != Packaging::Plain;
        let mut starts = packed.then(|| Starts::new(self.starts.take()));
        for batch in &part.batches {
            let batch = self.layout.read(batch)?;
            self.adders.add(&batch)?;
            write_rows(&mut text, starts.as_mut(), &batch, self.layout.file(), self.text.separator());
        }
        let deflated = starts.map(|starts| {
            let mut stream = self.streams.take();
            stream.clear();
            deflate(text.written(), starts.written(), self.layout.file().len(), &mut stream);
            self.starts.put(starts.into_buffer());
            let length = stream.len();
            self.streams.lend(stream, length)
        });
        let crc32 = if packed { crc32fast::hash(text.written()) } else { 0 };
        let rows = part.batches.iter().map(|b| b.num_rows() as u64).sum();
        let (buffer, length) = text.into_parts();
        let text = self.texts.lend(buffer, length);
        let totals = Totals { rows, ..Totals::default() };
        Ok(Chunk { rows, text, crc32, deflated, totals, beyond: Beyond::default() })
    }

    /// What all chunks add up to, as a chunk without rows; `None` if there was none. To be asked for
    /// once, when all are made.
    pub fn rest(&self) -> Option<Chunk> {
        let mut totals = self.adders.sum()?.finish();
        // The rows came with their chunks.
        totals.rows = 0;
        let deflated = (self.packaging != Packaging::Plain).then(Bytes::new);
        Some(Chunk { rows: 0, text: Bytes::new(), crc32: 0, deflated, totals, beyond: Beyond::default() })
    }
}
