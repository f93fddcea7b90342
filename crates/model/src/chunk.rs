//! A finished piece of a file: what the engine emits and the packager strings together.

use bytes::Bytes;

use crate::totals::Totals;

/// Rows in a chunk divide this number, so that a file can be cut at any chunk and at a
/// spreadsheet's limit: 1,048,576 rows less the header.
pub const ROWS_PER_ENTRY_MAX: u64 = 1_048_575;

/// A run of rows as text, and where the packaging needs it also as a piece of a DEFLATE stream.
///
/// Invariant: `deflated`, when present, ends on a byte boundary, has no final block, refers to
/// nothing before itself, and inflates to exactly `text`.
#[derive(Clone, Debug)]
pub struct Chunk {
    /// Rows in it.
    pub rows: u64,
    /// The rows as text, with the line end of the last.
    pub text: Bytes,
    /// CRC-32 of `text`, where a packaging needs it; 0 for plain text.
    pub crc32: u32,
    /// `text` as DEFLATE blocks that can be joined to others.
    pub deflated: Option<Bytes>,
    /// How many rows there are, and what rows add up to: these, or those of chunks before, whose
    /// sums are then not with them. All chunks of a file together have every row once.
    pub totals: Totals,
    /// What in these rows the format could not hold as it is.
    pub beyond: Beyond,
}

/// Values that a spreadsheet's cells cannot hold as they are; none in any format but a workbook.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Beyond {
    /// Numbers of too many digits and days that a sheet has no number for: written as text, exact.
    pub as_text: u64,
    /// Texts that are longer than a cell: cut.
    pub cut: u64,
}

impl Beyond {
    /// Adds the counts of more rows.
    pub fn add(&mut self, more: Self) {
        let Self { as_text, cut } = more;
        self.as_text += as_text;
        self.cut += cut;
    }
}
