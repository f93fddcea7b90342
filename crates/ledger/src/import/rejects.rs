//! The file of bad rows: their original columns, then where they stood and what is wrong.
//!
//! It is written beside its place and moved there when the import is about to be committed, so
//! that it is whole or not there.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use super::layout::same;

/// The columns that say what is wrong. An import skips them, so that a file of rejects can be
/// corrected and imported as it is.
pub(super) const COLUMNS: [&str; 5] = ["rejectFile", "rejectLine", "rejectColumn", "rejectValue", "rejectReason"];

/// Whether a header text is one of [`COLUMNS`].
pub(super) fn owns(name: &str) -> bool {
    COLUMNS.iter().any(|c| same(c, name))
}

/// A bad row.
#[derive(Clone, Debug)]
pub(super) struct BadRow {
    /// The number of the file.
    pub file: usize,
    /// The line it begins on (in Parquet: the row).
    pub line: u64,
    /// The column as the file calls it; empty if the row as a whole is bad.
    pub column: String,
    /// The value.
    pub value: String,
    /// What is wrong, and what would be right.
    pub reason: String,
    /// The row's fields in the file's order; `None` for null.
    pub cells: Vec<Option<String>>,
}

/// Writes bad rows.
pub(super) struct Writer {
    target: PathBuf,
    partial: PathBuf,
    out: BufWriter<File>,
    /// For each file, the place in the common header of each of its columns.
    places: Vec<Vec<usize>>,
    width: usize,
}

impl Writer {
    /// A file that will be at `target`, for files with these headers.
    pub fn create(target: &Path, headers: &[&[String]]) -> std::io::Result<Self> {
        let mut common: Vec<&str> = Vec::new();
        let mut places = Vec::new();
        for header in headers {
            let mut of_file = Vec::new();
            for name in header.iter() {
                of_file.push(match common.iter().position(|c| same(c, name)) {
                    _ if owns(name) => usize::MAX,
                    Some(place) => place,
                    None => {
                        common.push(name);
                        common.len() - 1
                    }
                });
            }
            places.push(of_file);
        }
        let mut name = target.file_name().unwrap_or_default().to_owned();
        name.push(".partial");
        let partial = target.with_file_name(name);
        let out = BufWriter::new(File::create(&partial)?);
        let width = common.len();
        let mut writer = Self { target: target.into(), partial, out, places, width };
        let header: Vec<Option<&str>> = common.into_iter().chain(COLUMNS).map(Some).collect();
        writer.record(&header)?;
        Ok(writer)
    }

    /// Appends a bad row of the file called `name`.
    pub fn write(&mut self, name: &str, bad: &BadRow) -> std::io::Result<()> {
        let line = bad.line.to_string();
        let mut record = vec![None; self.width];
        for (cell, place) in bad.cells.iter().zip(&self.places[bad.file]) {
            if let Some(slot) = record.get_mut(*place) {
                *slot = cell.as_deref();
            }
        }
        record.extend([name, &line, &bad.column, &bad.value, &bad.reason].map(|t| (!t.is_empty()).then_some(t)));
        self.record(&record)
    }

    fn record(&mut self, fields: &[Option<&str>]) -> std::io::Result<()> {
        for (i, field) in fields.iter().enumerate() {
            if i > 0 {
                self.out.write_all(b",")?;
            }
            match field {
                None => {}
                Some(text) if text.is_empty() || text.contains([',', '"', '\r', '\n']) => {
                    write!(self.out, "\"{}\"", text.replace('"', "\"\""))?
                }
                Some(text) => self.out.write_all(text.as_bytes())?,
            }
        }
        self.out.write_all(b"\r\n")
    }

    /// Puts the file in its place, durably.
    pub fn publish(mut self) -> std::io::Result<()> {
        self.out.flush()?;
        self.out.get_ref().sync_all()?;
        std::fs::rename(&self.partial, &self.target)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Gone already if it was published.
        let _ = std::fs::remove_file(&self.partial);
    }
}
