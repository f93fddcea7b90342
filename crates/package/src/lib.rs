//! Chunks into files: ZIP entries, the sheets of a workbook, a gzip body or plain text; digests and
//! the manifest.
//!
//! Owns the bytes of a file from its first to its last, and what is known of them: size, SHA-256,
//! entries, totals. Equal header, chunks, format and expected rows give equal bytes. Memory is
//! bounded by a few chunks and by one small record per ZIP entry. It must not do I/O but through
//! the sink it was given.

mod deflate;
pub mod manifest;
mod output;
#[cfg(test)]
mod tests;
mod texts;
mod workbook;
mod zip;

use std::io::{self, Write};

use bytes::Bytes;
use payouts_model::chunk::{Beyond, ROWS_PER_ENTRY_MAX};
use payouts_model::export::FileInfo;
use payouts_model::sheet::SheetColumn;
use payouts_model::{Chunk, FileFormat, Packaging, Totals};
use serde::{Deserialize, Serialize};

use crate::deflate::{FINAL_BLOCK, Joined, Piece};
use crate::output::Output;
use crate::texts::Texts;
use crate::workbook::Workbook;

/// An entry of a ZIP file, or a part of a workbook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Bytes of its text.
    pub bytes: u64,
    /// Data rows in it.
    pub rows: u64,
    /// SHA-256 of its text, lower-case hex.
    pub sha256: String,
}

/// A finished file.
#[derive(Clone, Debug, PartialEq)]
pub struct Packaged {
    /// Bytes of the file.
    pub bytes: u64,
    /// SHA-256 of those bytes, lower-case hex.
    pub sha256: String,
    /// The entries, for a ZIP or a workbook.
    pub entries: Vec<Entry>,
    /// What its rows add up to.
    pub totals: Totals,
    /// What the format could not hold as it is.
    pub beyond: Beyond,
}

impl Packaged {
    /// The file as an Export records it. `fence` is the attempt that wrote it; `download_name` is
    /// the name that a download is saved under.
    pub fn file_info(&self, fence: u64, format: FileFormat, download_name: String) -> FileInfo {
        FileInfo {
            fence,
            format,
            download_name,
            size_bytes: self.bytes,
            sha256: self.sha256.clone(),
            rows: self.totals.rows,
        }
    }
}

/// How much one entry of a ZIP file may hold.
#[derive(Clone, Copy, Debug)]
struct EntryLimits {
    /// Data rows.
    rows: u64,
    /// Bytes of its text, and as many of its deflated bytes.
    bytes: u64,
}

impl EntryLimits {
    /// A spreadsheet's rows, and 3.9 GiB: below 4 GiB with room to spare, so that no entry ever
    /// needs 64-bit sizes. Streaming readers (Java's `ZipInputStream` among them) cannot tell the
    /// width of a data descriptor, so it must always be the 32-bit one.
    const DEFAULT: Self = Self { rows: ROWS_PER_ENTRY_MAX, bytes: 3_993 * 1024 * 1024 };
}

/// What every text, entry or sheet of a file begins with.
#[derive(Clone, Debug)]
pub enum Head {
    /// The header row with its line end.
    Text(Vec<u8>),
    /// The columns of a workbook's sheets.
    Sheet(Vec<SheetColumn>),
}

/// What stands around the chunks.
#[derive(Debug)]
enum Body {
    Plain,
    Gzip(Joined),
    Zip(Box<Texts>),
    Workbook(Box<Workbook>),
}

/// Strings chunks together into a file.
///
/// Calls block on the sink and, when hashing falls behind, on the hashing thread; use it on a
/// blocking thread. After an error every further call fails: a file with a hole is never finished.
#[derive(Debug)]
pub struct Packager<W: Write> {
    out: Output<W>,
    body: Body,
    totals: Totals,
    beyond: Beyond,
    broken: bool,
}

impl<W: Write> Packager<W> {
    /// Begins a file. `stem` names the entries (`payments` gives `payments.csv`) or sheets. The head
    /// of a workbook is its columns, that of any other file its header row.
    pub fn new(format: FileFormat, stem: &str, head: &Head, sink: W) -> io::Result<Self> {
        Self::with_limits(format, stem, head, sink, EntryLimits::DEFAULT)
    }

    fn with_limits(format: FileFormat, stem: &str, head: &Head, sink: W, limits: EntryLimits) -> io::Result<Self> {
        let mut out = Output::new(sink)?;
        let body = match (format.packaging, head) {
            (Packaging::Plain, Head::Text(header)) => {
                out.write(Bytes::copy_from_slice(header))?;
                Body::Plain
            }
            (Packaging::Gzip, Head::Text(header)) => {
                let header = Piece::new(header)?;
                let mut joined = Joined::default();
                out.write(Bytes::from_static(deflate::GZIP_HEADER))?;
                out.write(header.deflated.clone())?;
                joined.add(header.crc32, &header.text, &header.deflated);
                Body::Gzip(joined)
            }
            (Packaging::Zip, Head::Text(header)) => {
                Body::Zip(Box::new(Texts::new(stem, format.text.extension(), Piece::new(header)?, limits)))
            }
            (Packaging::Workbook, Head::Sheet(columns)) => {
                Body::Workbook(Box::new(Workbook::new(stem, columns, limits)))
            }
            (Packaging::Workbook, Head::Text(_)) | (_, Head::Sheet(_)) => {
                return Err(invalid(format!("a file of the format {format} has another head")));
            }
        };
        Ok(Self { out, body, totals: Totals::default(), beyond: Beyond::default(), broken: false })
    }

    /// Says how many rows will come, before the first chunk. The name of a ZIP's first entry is
    /// written long before it is known whether a second one follows, so this hint decides between
    /// `payments.csv` and `payments-001.csv`. Without it, or when it was too small, the first entry
    /// is `payments.csv` and the next `payments-002.csv`.
    #[must_use]
    pub fn with_rows_expected(mut self, rows: u64) -> Self {
        if let Body::Zip(texts) = &mut self.body {
            texts.expect_rows(rows);
        }
        self
    }

    /// Bytes of the file so far.
    pub fn bytes(&self) -> u64 {
        self.out.bytes()
    }

    /// Rows of the file so far.
    pub fn rows(&self) -> u64 {
        self.totals.rows
    }

    /// Appends a chunk.
    pub fn push(&mut self, chunk: Chunk) -> io::Result<()> {
        self.guarded(|own| own.append(chunk))
    }

    /// Ends the file, flushes the sink and gives it back.
    pub fn finish(mut self) -> io::Result<(Packaged, W)> {
        let ended = self.guarded(Self::end)?;
        let (bytes, digests, sink) = self.out.finish()?;
        let entries = ended.into_iter().zip(digests.texts).map(|(entry, sha256)| Entry { sha256, ..entry }).collect();
        Ok((Packaged { bytes, sha256: digests.file, entries, totals: self.totals, beyond: self.beyond }, sink))
    }

    /// Runs one step unless an earlier one failed.
    fn guarded<T>(&mut self, step: impl FnOnce(&mut Self) -> io::Result<T>) -> io::Result<T> {
        if self.broken {
            return Err(io::Error::other("the file was given up after an earlier error: begin a new one"));
        }
        let result = step(self);
        self.broken = result.is_err();
        result
    }

    fn append(&mut self, chunk: Chunk) -> io::Result<()> {
        if chunk.rows != chunk.totals.rows {
            let (rows, totals) = (chunk.rows, chunk.totals.rows);
            return Err(invalid(format!("a chunk of {rows} rows says that its totals are over {totals} rows")));
        }
        match &mut self.body {
            _ if chunk.text.is_empty() => {}
            Body::Plain => self.out.write(chunk.text)?,
            Body::Gzip(joined) => {
                let deflated = deflated(&chunk)?;
                self.out.write(deflated.clone())?;
                joined.add(chunk.crc32, &chunk.text, deflated);
            }
            Body::Zip(texts) => texts.append(&mut self.out, &chunk)?,
            Body::Workbook(workbook) => workbook.append(&mut self.out, &chunk)?,
        }
        self.beyond.add(chunk.beyond);
        self.totals.merge(chunk.totals);
        Ok(())
    }

    /// Writes what comes after the last chunk. The entries' digests are filled in afterwards.
    fn end(&mut self) -> io::Result<Vec<Entry>> {
        match &mut self.body {
            Body::Plain => Ok(Vec::new()),
            Body::Gzip(joined) => {
                self.out.write(Bytes::from_static(FINAL_BLOCK))?;
                self.out.write(joined.gzip_trailer())?;
                Ok(Vec::new())
            }
            Body::Zip(texts) => texts.end(&mut self.out),
            Body::Workbook(workbook) => workbook.end(&mut self.out),
        }
    }
}

/// The deflated form of a chunk, which gzip files, ZIP files and workbooks cannot do without.
fn deflated(chunk: &Chunk) -> io::Result<&Bytes> {
    let missing = || {
        invalid(
            "a chunk made for plain text cannot go into a gzip file, a ZIP file or a workbook: its deflated form is missing"
                .to_owned(),
        )
    };
    chunk.deflated.as_ref().ok_or_else(missing)
}

fn too_large(chunk: &Chunk, limits: EntryLimits, what: &str) -> io::Error {
    let EntryLimits { rows, bytes } = limits;
    invalid(format!(
        "a chunk of {} rows and {} bytes does not fit into a {what} of at most {rows} rows and {bytes} bytes",
        chunk.rows,
        chunk.text.len(),
    ))
}

fn invalid(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message)
}
