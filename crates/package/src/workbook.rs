//! Rows as the sheets of an XLSX workbook (ECMA-376: part 1 for SpreadsheetML, part 2 for the
//! package around it).
//!
//! Every sheet begins with the header row, frozen and with a filter, and ends at a chunk: before it
//! would have more rows than a spreadsheet opens, or need 64-bit sizes, which spreadsheets take
//! badly. There are no shared strings and no times, so that sheets stream out as they come and
//! equal rows give equal bytes. What is known only at the end (the sheets and their names) is
//! written there; the first entries are those by which programs tell what kind of file it is.

mod parts;

use std::io::{self, Write};

use payouts_model::Chunk;
use payouts_model::sheet::SheetColumn;

use crate::deflate::Piece;
use crate::output::Output;
use crate::zip::Archive;
use crate::{Entry, EntryLimits, deflated, too_large};

/// The workbook so far.
#[derive(Debug)]
pub(crate) struct Workbook {
    stem: String,
    columns: Vec<SheetColumn>,
    limits: EntryLimits,
    archive: Archive,
    /// Data rows of the sheets that are closed.
    sheets: Vec<u64>,
}

impl Workbook {
    /// A workbook of these columns. `stem` names its sheets.
    pub(crate) fn new(stem: &str, columns: &[SheetColumn], limits: EntryLimits) -> Self {
        let (stem, columns) = (stem.to_owned(), columns.to_vec());
        Self { stem, columns, limits, archive: Archive::default(), sheets: Vec::new() }
    }

    /// Appends a chunk to the present sheet, or to a new one if it would not fit.
    pub(crate) fn append<W: Write>(&mut self, out: &mut Output<W>, chunk: &Chunk) -> io::Result<()> {
        let deflated = deflated(chunk)?;
        if !self.archive.fits(self.limits, chunk, deflated) {
            self.next_sheet(out)?;
            if !self.archive.fits(self.limits, chunk, deflated) {
                return Err(too_large(chunk, self.limits, "sheet"));
            }
        }
        self.archive.add_chunk(out, chunk, deflated)
    }

    /// Ends the last sheet and the workbook. One without rows has one sheet with the header alone.
    pub(crate) fn end<W: Write>(&mut self, out: &mut Output<W>) -> io::Result<Vec<Entry>> {
        if self.archive.entries() == 0 {
            self.next_sheet(out)?;
        }
        self.end_sheet(out)?;
        let sheets = self.named_sheets();
        self.part(out, "xl/workbook.xml", &parts::workbook(&sheets, self.columns.len()))?;
        self.part(out, "xl/_rels/workbook.xml.rels", &parts::workbook_relations(sheets.len()))?;
        self.part(out, "[Content_Types].xml", &parts::content_types(sheets.len()))?;
        self.archive.end(out)
    }

    /// Names and data rows, in order.
    fn named_sheets(&self) -> Vec<(String, u64)> {
        let stem = &self.stem;
        match self.sheets.as_slice() {
            [rows] => vec![(stem.clone(), *rows)],
            many => {
                many.iter().zip(1..).map(|(rows, number): (_, u64)| (format!("{stem}-{number:03}"), *rows)).collect()
            }
        }
    }

    fn part<W: Write>(&mut self, out: &mut Output<W>, name: &str, text: &str) -> io::Result<()> {
        self.archive.begin(out, name.to_owned())?;
        self.archive.add(out, &Piece::new(text.as_bytes())?)?;
        self.archive.close(out)
    }

    fn next_sheet<W: Write>(&mut self, out: &mut Output<W>) -> io::Result<()> {
        if self.archive.entries() == 0 {
            self.part(out, "_rels/.rels", parts::RELATIONS)?;
            self.part(out, "xl/styles.xml", &parts::styles())?;
        }
        self.end_sheet(out)?;
        let number = self.sheets.len() + 1;
        self.archive.begin(out, parts::sheet_path(number))?;
        self.archive.add(out, &Piece::new(&parts::sheet_head(&self.columns, number == 1))?)
    }

    fn end_sheet<W: Write>(&mut self, out: &mut Output<W>) -> io::Result<()> {
        let Some(rows) = self.archive.open_rows() else { return Ok(()) };
        self.sheets.push(rows);
        self.archive.add(out, &Piece::new(parts::sheet_foot(self.columns.len(), rows).as_bytes())?)?;
        self.archive.close(out)
    }
}
