//! A streaming ZIP archive of ready DEFLATE pieces (PKWARE APPNOTE 6.3.10).
//!
//! Sizes and CRC-32 follow each entry in a 32-bit data descriptor (flag bit 3). An entry is cut
//! before it would need 64-bit sizes, always between two chunks; only the central directory uses
//! zip64, for offsets from 4 GiB on and for 65,535 entries and more. Names are UTF-8, times are
//! 1980-01-01, so the bytes depend on nothing but what was put in.

use std::io::{self, Write};

use bytes::Bytes;
use payouts_model::Chunk;

use crate::deflate::{FINAL_BLOCK, Joined, Piece};
use crate::output::Output;
use crate::{Entry, EntryLimits, invalid};

/// Sizes in the data descriptor (bit 3), name in UTF-8 (bit 11).
const FLAGS: u16 = 0x0808;
const METHOD_DEFLATE: u16 = 8;
const TIME: u16 = 0;
/// 1980-01-01: year less 1980, month, day.
const DATE: u16 = (1 << 5) | 1;
/// Made by 2.0 respectively 4.5 on Unix, so that the mode below counts.
const MADE_BY_UNIX: u16 = 3 << 8;
const VERSION_DEFLATE: u16 = 20;
const VERSION_ZIP64: u16 = 45;
/// A regular file, `rw-r--r--`.
const ATTRIBUTES: u32 = 0o100_644 << 16;
/// In place of a 32-bit number: see the zip64 record.
const SEE_ZIP64: u32 = u32::MAX;
/// The central directory leaves in pieces of about this size.
const DIRECTORY_PIECE_BYTES: usize = 64 * 1024;

/// An entry being written.
#[derive(Debug)]
struct Open {
    name: String,
    offset: u64,
    rows: u64,
    joined: Joined,
}

/// What the central directory says of an entry.
#[derive(Debug)]
struct Closed {
    name: String,
    offset: u64,
    rows: u64,
    crc32: u32,
    deflated_bytes: u32,
    text_bytes: u32,
}

/// The archive so far: closed entries, and at most one that is open.
#[derive(Debug, Default)]
pub(crate) struct Archive {
    open: Option<Open>,
    closed: Vec<Closed>,
}

impl Archive {
    /// Entries that were begun.
    pub(crate) fn entries(&self) -> usize {
        self.closed.len() + usize::from(self.open.is_some())
    }

    /// Rows of the open entry; `None` if none is open.
    pub(crate) fn open_rows(&self) -> Option<u64> {
        self.open.as_ref().map(|open| open.rows)
    }

    /// Whether an entry is open that takes this chunk within the limits.
    pub(crate) fn fits(&self, limits: EntryLimits, chunk: &Chunk, deflated: &Bytes) -> bool {
        let end = FINAL_BLOCK.len() as u64;
        self.open.as_ref().is_some_and(|open| {
            open.rows + chunk.rows <= limits.rows
                && open.joined.text_bytes() + chunk.text.len() as u64 <= limits.bytes
                && open.joined.deflated_bytes() + deflated.len() as u64 + end <= limits.bytes
        })
    }

    /// Begins an entry.
    ///
    /// # Panics
    /// If one is open.
    pub(crate) fn begin<W: Write>(&mut self, out: &mut Output<W>, name: String) -> io::Result<()> {
        assert!(self.open.is_none(), "entries follow each other");
        let offset = out.bytes();
        out.write(local_header(&name, version_needed(offset))?)?;
        self.open = Some(Open { name, offset, rows: 0, joined: Joined::default() });
        Ok(())
    }

    /// Appends text of no rows to the open entry.
    pub(crate) fn add<W: Write>(&mut self, out: &mut Output<W>, piece: &Piece) -> io::Result<()> {
        self.append(out, 0, &piece.text, &piece.deflated, piece.crc32)
    }

    /// Appends a chunk to the open entry.
    pub(crate) fn add_chunk<W: Write>(
        &mut self,
        out: &mut Output<W>,
        chunk: &Chunk,
        deflated: &Bytes,
    ) -> io::Result<()> {
        self.append(out, chunk.rows, &chunk.text, deflated, chunk.crc32)
    }

    fn append<W: Write>(
        &mut self,
        out: &mut Output<W>,
        rows: u64,
        text: &Bytes,
        deflated: &Bytes,
        crc32: u32,
    ) -> io::Result<()> {
        let open = self.open.as_mut().expect("an entry is open");
        out.write(deflated.clone())?;
        out.text(text.clone())?;
        open.joined.add(crc32, text, deflated);
        open.rows += rows;
        Ok(())
    }

    /// Ends the open entry, if there is one.
    pub(crate) fn close<W: Write>(&mut self, out: &mut Output<W>) -> io::Result<()> {
        let Some(Open { name, offset, rows, joined }) = self.open.take() else { return Ok(()) };
        out.write(Bytes::from_static(FINAL_BLOCK))?;
        out.end_text()?;
        let narrow =
            |bytes: u64| u32::try_from(bytes).map_err(|_| invalid(format!("the ZIP entry {name} grew beyond 4 GiB")));
        let text_bytes = narrow(joined.text_bytes())?;
        let deflated_bytes = narrow(joined.deflated_bytes() + FINAL_BLOCK.len() as u64)?;
        let closed = Closed { offset, rows, crc32: joined.crc32(), deflated_bytes, text_bytes, name };
        out.write(descriptor(&closed))?;
        self.closed.push(closed);
        Ok(())
    }

    /// Ends the archive with its central directory. The entries' digests are filled in afterwards.
    pub(crate) fn end<W: Write>(&mut self, out: &mut Output<W>) -> io::Result<Vec<Entry>> {
        self.close(out)?;
        self.write_directory(out)?;
        let entry = |c: Closed| Entry { name: c.name, bytes: c.text_bytes.into(), rows: c.rows, sha256: String::new() };
        Ok(std::mem::take(&mut self.closed).into_iter().map(entry).collect())
    }

    fn write_directory<W: Write>(&self, out: &mut Output<W>) -> io::Result<()> {
        let start = out.bytes();
        let mut piece = Vec::with_capacity(DIRECTORY_PIECE_BYTES + 1024);
        for entry in &self.closed {
            directory_record(&mut piece, entry)?;
            if piece.len() >= DIRECTORY_PIECE_BYTES {
                out.write(std::mem::take(&mut piece).into())?;
            }
        }
        if !piece.is_empty() {
            out.write(piece.into())?;
        }
        let end = out.bytes();
        out.write(directory_end(self.closed.len() as u64, start, end))
    }
}

/// The version of the format that a reader must know. 4.5 brought zip64, which an entry at this
/// offset needs in the directory; both headers of an entry say the same.
fn version_needed(offset: u64) -> u16 {
    if offset >= SEE_ZIP64.into() { VERSION_ZIP64 } else { VERSION_DEFLATE }
}

fn name_length(name: &str) -> io::Result<u16> {
    u16::try_from(name.len())
        .map_err(|_| invalid(format!("a ZIP entry's name has at most 65,535 bytes, not {}", name.len())))
}

/// 4.3.7.
fn local_header(name: &str, version: u16) -> io::Result<Bytes> {
    let mut record = Vec::with_capacity(30 + name.len());
    record.extend(b"PK\x03\x04");
    for field in [version, FLAGS, METHOD_DEFLATE, TIME, DATE] {
        record.extend(field.to_le_bytes());
    }
    record.extend([0; 12]); // CRC-32 and sizes: in the descriptor
    record.extend(name_length(name)?.to_le_bytes());
    record.extend(0_u16.to_le_bytes()); // no extra field
    record.extend(name.as_bytes());
    Ok(record.into())
}

/// 4.3.9, with the signature that readers look for.
fn descriptor(entry: &Closed) -> Bytes {
    let mut record = Vec::with_capacity(16);
    record.extend(b"PK\x07\x08");
    for field in [entry.crc32, entry.deflated_bytes, entry.text_bytes] {
        record.extend(field.to_le_bytes());
    }
    record.into()
}

/// 4.3.12, and 4.5.3 for an offset from 4 GiB on.
fn directory_record(out: &mut Vec<u8>, entry: &Closed) -> io::Result<()> {
    let version = version_needed(entry.offset);
    let near = u32::try_from(entry.offset).ok().filter(|&offset| offset != SEE_ZIP64);
    let extra_bytes: u16 = if near.is_some() { 0 } else { 12 };
    out.extend(b"PK\x01\x02");
    for field in [MADE_BY_UNIX | version, version, FLAGS, METHOD_DEFLATE, TIME, DATE] {
        out.extend(field.to_le_bytes());
    }
    for field in [entry.crc32, entry.deflated_bytes, entry.text_bytes] {
        out.extend(field.to_le_bytes());
    }
    out.extend(name_length(&entry.name)?.to_le_bytes());
    out.extend(extra_bytes.to_le_bytes());
    out.extend([0; 6]); // no comment, first disk, binary
    out.extend(ATTRIBUTES.to_le_bytes());
    out.extend(near.unwrap_or(SEE_ZIP64).to_le_bytes());
    out.extend(entry.name.as_bytes());
    if near.is_none() {
        out.extend(1_u16.to_le_bytes());
        out.extend(8_u16.to_le_bytes());
        out.extend(entry.offset.to_le_bytes());
    }
    Ok(())
}

/// 4.3.16, preceded by 4.3.14 and 4.3.15 where a number does not fit.
fn directory_end(entries: u64, start: u64, end: u64) -> Bytes {
    let size = end - start;
    let mut record = Vec::with_capacity(98);
    if entries >= u16::MAX.into() || start >= SEE_ZIP64.into() || size >= SEE_ZIP64.into() {
        record.extend(b"PK\x06\x06");
        record.extend(44_u64.to_le_bytes()); // what follows of this record
        record.extend((MADE_BY_UNIX | VERSION_ZIP64).to_le_bytes());
        record.extend(VERSION_ZIP64.to_le_bytes());
        record.extend([0; 8]); // one disk
        for field in [entries, entries, size, start] {
            record.extend(field.to_le_bytes());
        }
        record.extend(b"PK\x06\x07");
        record.extend([0; 4]);
        record.extend(end.to_le_bytes()); // where the zip64 record begins
        record.extend(1_u32.to_le_bytes());
    }
    let entries = u16::try_from(entries).unwrap_or(u16::MAX);
    let narrow = |bytes: u64| u32::try_from(bytes).unwrap_or(SEE_ZIP64);
    record.extend(b"PK\x05\x06");
    record.extend([0; 4]);
    record.extend(entries.to_le_bytes());
    record.extend(entries.to_le_bytes());
    record.extend(narrow(size).to_le_bytes());
    record.extend(narrow(start).to_le_bytes());
    record.extend([0; 2]); // no comment
    record.into()
}
