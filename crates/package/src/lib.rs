//! Chunks into files: ZIP entries, a gzip body or plain text; digests and the manifest.

pub mod manifest;

use std::io::{self, Write};

use payouts_model::{Chunk, FileFormat, Totals};
use serde::{Deserialize, Serialize};

/// An entry of a ZIP file.
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
    /// The entries, for a ZIP.
    pub entries: Vec<Entry>,
    /// What its rows add up to.
    pub totals: Totals,
}

/// Strings chunks together into a file.
pub struct Packager<W: Write> {
    _sink: W,
}

impl<W: Write> Packager<W> {
    /// Begins a file. `stem` names the entries (`payments` gives `payments.csv`); `header` is the
    /// header row with its line end, which every entry begins with.
    pub fn new(_format: FileFormat, _stem: &str, _header: &[u8], _sink: W) -> io::Result<Self> {
        todo!()
    }
    /// Appends a chunk.
    pub fn push(&mut self, _chunk: &Chunk) -> io::Result<()> {
        todo!()
    }
    /// Ends the file and gives the sink back.
    pub fn finish(self) -> io::Result<(Packaged, W)> {
        todo!()
    }
}
