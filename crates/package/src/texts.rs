//! Rows as the entries of a ZIP file: each begins with the header row and ends at a chunk, before
//! it would have more rows than a spreadsheet opens or need 64-bit sizes.

use std::io::{self, Write};

use payouts_model::Chunk;

use crate::deflate::Piece;
use crate::output::Output;
use crate::zip::Archive;
use crate::{Entry, EntryLimits, deflated, too_large};

/// The entries so far.
#[derive(Debug)]
pub(crate) struct Texts {
    stem: String,
    extension: &'static str,
    header: Piece,
    limits: EntryLimits,
    numbered: bool,
    archive: Archive,
}

impl Texts {
    pub(crate) fn new(stem: &str, extension: &'static str, header: Piece, limits: EntryLimits) -> Self {
        Self { stem: stem.to_owned(), extension, header, limits, numbered: false, archive: Archive::default() }
    }

    /// Numbers the first entry too if that many rows need more than one.
    pub(crate) fn expect_rows(&mut self, rows: u64) {
        self.numbered = rows > self.limits.rows;
    }

    /// Appends a chunk to the present entry, or to a new one if it would not fit.
    pub(crate) fn append<W: Write>(&mut self, out: &mut Output<W>, chunk: &Chunk) -> io::Result<()> {
        let deflated = deflated(chunk)?;
        if !self.archive.fits(self.limits, chunk, deflated) {
            self.begin(out)?;
            if !self.archive.fits(self.limits, chunk, deflated) {
                return Err(too_large(chunk, self.limits, "ZIP entry"));
            }
        }
        self.archive.add_chunk(out, chunk, deflated)
    }

    /// Ends the last entry and the archive. One without rows has one entry with the header alone.
    pub(crate) fn end<W: Write>(&mut self, out: &mut Output<W>) -> io::Result<Vec<Entry>> {
        if self.archive.entries() == 0 {
            self.begin(out)?;
        }
        self.archive.end(out)
    }

    fn begin<W: Write>(&mut self, out: &mut Output<W>) -> io::Result<()> {
        let name = self.next_name();
        self.archive.close(out)?;
        self.archive.begin(out, name)?;
        self.archive.add(out, &self.header)
    }

    fn next_name(&self) -> String {
        let Self { stem, extension, .. } = self;
        let number = self.archive.entries() + 1;
        if number == 1 && !self.numbered {
            format!("{stem}.{extension}")
        } else {
            format!("{stem}-{number:03}.{extension}")
        }
    }
}
