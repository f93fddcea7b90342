//! Files in, whatever they are packed in: what each holds is told by its first bytes, not by its
//! name. A zip is as many inputs as it has entries.
//!
//! Invariants: what all entries of a packed file expand to stays below one bound that follows from
//! the file's size, whatever sizes it claims; only Parquet inside a package is ever expanded to
//! disk; a reader that breaks on a damaged file costs the import, not the process.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::read::MultiGzDecoder;
use payouts_model::Report;
use zip::ZipArchive;

use super::columnar;
use super::layout::{self, Layout};
use super::records::{Records, last_record_end};
use super::{Error, Limits, shown};

/// How a file is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Packing {
    Plain,
    Gzip,
    /// The entry of this number of a zip.
    Zip(usize),
}

/// What an input holds.
#[derive(Clone, Debug)]
pub(super) enum Content {
    /// Records of text.
    Delimited {
        /// Between fields.
        delimiter: u8,
        /// Bytes of the byte order mark.
        mark_bytes: usize,
    },
    /// Parquet, at this place.
    Parquet(PathBuf),
}

/// One input: a file, or an entry of a zip.
#[derive(Clone, Debug)]
pub(super) struct Input {
    path: PathBuf,
    packing: Packing,
    /// What its file may still expand to: entries of one zip share it.
    left_bytes: Arc<AtomicU64>,
    /// How people know it.
    pub name: String,
    /// What it holds.
    pub content: Content,
    /// Its columns.
    pub layout: Layout,
}

/// Reads on and counts.
pub(super) struct Counted<R> {
    inner: R,
    count: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.count.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

impl<R: Seek> Seek for Counted<R> {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        self.inner.seek(to)
    }
}

/// Reads up to a bound, which others may share, and fails beyond it.
struct Bounded<'a, R> {
    inner: R,
    left_bytes: &'a AtomicU64,
}

impl<R: Read> Read for Bounded<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        let less = |left: u64| left.checked_sub(n as u64);
        self.left_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).map_err(|_| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                "it expands to far more than a file of its size may hold: unpack it yourself if it is what you expect",
            )
        })?;
        Ok(n)
    }
}

/// What finding inputs needs to know.
pub(super) struct Finder<'a> {
    /// The report.
    pub report: &'a Report,
    /// Whether `--order-type` was given.
    pub order_type_given: bool,
    /// The bounds.
    pub limits: &'a Limits,
    /// Where Parquet inside a package is expanded to.
    pub scratch: &'a Path,
}

fn bad(name: &str, reason: impl Into<String>) -> Error {
    Error::BadFile { file: name.into(), reason: reason.into() }
}

impl Finder<'_> {
    /// The inputs that a file holds, their headers read and mapped.
    pub fn inputs(&self, path: &Path) -> Result<Vec<Input>, Error> {
        let name = path.display().to_string();
        let mut magic = [0; 4];
        let mut file = File::open(path).map_err(|e| bad(&name, e.to_string()))?;
        if file.metadata().is_ok_and(|m| m.is_dir()) {
            return Err(bad(&name, "a folder: name the files in it"));
        }
        let n = read_up_to(&mut file, &mut magic).map_err(|e| bad(&name, e.to_string()))?;
        let size_bytes = file.metadata().map_err(|e| bad(&name, e.to_string()))?.len();
        let left_bytes = self.limits.expanded_bytes_min.max(size_bytes.saturating_mul(self.limits.expansion_max));
        let left_bytes = Arc::new(AtomicU64::new(left_bytes));
        match &magic[..n] {
            [0x1f, 0x8b, ..] => Ok(vec![self.input(path, Packing::Gzip, &left_bytes, name)?]),
            b"PK\x03\x04" | b"PK\x05\x06" => self.entries(path, &left_bytes, &name),
            _ => Ok(vec![self.input(path, Packing::Plain, &left_bytes, name)?]),
        }
    }

    fn entries(&self, path: &Path, left_bytes: &Arc<AtomicU64>, name: &str) -> Result<Vec<Input>, Error> {
        let fail = |e: zip::result::ZipError| bad(name, format!("not a readable zip: {e}"));
        let file = File::open(path).map_err(|e| bad(name, e.to_string()))?;
        let mut archive = ZipArchive::new(BufReader::new(file)).map_err(fail)?;
        if archive.len() > self.limits.entries_max {
            return Err(bad(
                name,
                format!("{} entries; at most {} are read from one zip", archive.len(), self.limits.entries_max),
            ));
        }
        let mut wanted = Vec::new();
        for index in 0..archive.len() {
            let entry = archive.by_index(index).map_err(fail)?;
            let entry_name = entry.name().map_err(fail)?.into_owned();
            let hidden = entry_name.starts_with("__MACOSX/")
                || entry_name.rsplit('/').next().is_some_and(|n| n.starts_with('.'));
            if !entry.is_dir() && !hidden {
                wanted.push((index, format!("{name} ({})", shown(&entry_name))));
            }
        }
        if wanted.is_empty() {
            return Err(bad(name, "a zip without files in it"));
        }
        wanted.into_iter().map(|(index, name)| self.input(path, Packing::Zip(index), left_bytes, name)).collect()
    }

    fn input(&self, path: &Path, packing: Packing, left_bytes: &Arc<AtomicU64>, name: String) -> Result<Input, Error> {
        let uncounted = Arc::default();
        // The head is bounded by itself, and is read again with the rest.
        let head = with_reader(path, packing, &AtomicU64::new(u64::MAX), &uncounted, &mut |reader| self.head(reader))
            .map_err(|e| bad(&name, e.to_string()))?;
        let plain = packing == Packing::Plain;
        let (content, header) = match &head[..] {
            [b'P', b'A', b'R', b'1', ..] if plain => {
                (Content::Parquet(path.into()), columnar::header(path).map_err(|e| bad(&name, e))?)
            }
            [b'P', b'A', b'R', b'1', ..] => {
                let place = self.expand(path, packing, left_bytes).map_err(|e| bad(&name, e.to_string()))?;
                let header = columnar::header(&place).map_err(|e| bad(&name, e))?;
                (Content::Parquet(place), header)
            }
            [0x1f, 0x8b, ..] | [b'P', b'K', 3, 4, ..] => {
                return Err(bad(&name, "a package inside a package: unpack the outer one first"));
            }
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => return Err(bad(&name, "UTF-16 text: save it as UTF-8")),
            _ => self.delimited(&head).map_err(|e| bad(&name, e))?,
        };
        let layout = Layout::map(self.report, header, self.order_type_given).map_err(|e| bad(&name, e))?;
        Ok(Input { path: path.into(), packing, left_bytes: left_bytes.clone(), name, content, layout })
    }

    /// The first bytes, up to a record's greatest length.
    fn head(&self, reader: &mut dyn Read) -> io::Result<Vec<u8>> {
        let mut head = Vec::new();
        let mut size = 1 << 14;
        loop {
            let before = head.len();
            reader.take(size - before as u64).read_to_end(&mut head)?;
            let whole = head.contains(&b'\n') || head.starts_with(b"PAR1");
            if whole || (head.len() as u64) < size || head.len() >= self.limits.chunk_bytes {
                return Ok(head);
            }
            size *= 4;
        }
    }

    fn delimited(&self, head: &[u8]) -> Result<(Content, Vec<String>), String> {
        let mark_bytes = if head.starts_with(&[0xef, 0xbb, 0xbf]) { 3 } else { 0 };
        let text = &head[mark_bytes..];
        if text.iter().all(u8::is_ascii_whitespace) {
            return Err(format!("empty: expected a header line with the columns of {}", self.report.name));
        }
        let first_line = text.split(|b| *b == b'\n').next().unwrap_or_default();
        if first_line.contains(&0) {
            return Err("neither text nor Parquet, gzip or zip".into());
        }
        let read = |delimiter: u8| -> Vec<String> {
            let end = last_record_end(text, delimiter).unwrap_or(text.len());
            let mut fields = Vec::new();
            let mut records = Records::new(&text[..end], delimiter, 1);
            match records.next(&mut fields) {
                Some(_) => fields.iter().map(|f| f.lossy(records.bytes()).trim().to_owned()).collect(),
                None => Vec::new(),
            }
        };
        let known = |header: &[String]| header.iter().filter(|h| !layout::fields_of(self.report, h).is_empty()).count();
        let (delimiter, header) = [b',', b'\t', b';', b'|']
            .map(|d| (d, read(d)))
            .into_iter()
            .rev()
            .max_by_key(|(_, header)| (known(header), header.len()))
            .unwrap_or((b',', Vec::new()));
        Ok((Content::Delimited { delimiter, mark_bytes }, header))
    }

    fn expand(&self, path: &Path, packing: Packing, left_bytes: &AtomicU64) -> io::Result<PathBuf> {
        let place = self.scratch.join(format!("input-{}", uuid::Uuid::new_v4().simple()));
        let mut out = File::create_new(&place)?;
        let uncounted = Arc::default();
        with_reader(path, packing, left_bytes, &uncounted, &mut |reader| io::copy(reader, &mut out).map(|_| ()))?;
        Ok(place)
    }
}

fn read_up_to(reader: &mut impl Read, buf: &mut [u8]) -> io::Result<usize> {
    let mut n = 0;
    while n < buf.len() {
        match reader.read(&mut buf[n..])? {
            0 => break,
            more => n += more,
        }
    }
    Ok(n)
}

fn with_reader<T>(
    path: &Path,
    packing: Packing,
    left_bytes: &AtomicU64,
    count: &Arc<AtomicU64>,
    use_it: &mut dyn FnMut(&mut dyn Read) -> io::Result<T>,
) -> io::Result<T> {
    let file = File::open(path)?;
    let counted = Counted { inner: file, count: count.clone() };
    match packing {
        Packing::Plain => use_it(&mut { counted }),
        Packing::Gzip => {
            let inner = MultiGzDecoder::new(BufReader::with_capacity(1 << 18, counted));
            use_it(&mut Bounded { inner, left_bytes })
        }
        Packing::Zip(index) => {
            let mut archive = ZipArchive::new(BufReader::with_capacity(1 << 16, counted)).map_err(io::Error::other)?;
            let inner = archive.by_index(index).map_err(io::Error::other)?;
            use_it(&mut Bounded { inner, left_bytes })
        }
    }
}

/// A piece of an input: whole records of text.
pub(super) struct Piece {
    /// The records.
    pub bytes: Vec<u8>,
    /// The line that the first begins on.
    pub line: u64,
}

impl Input {
    /// Reads delimited text in pieces of whole records, header left out, counting packed bytes.
    /// `take` says whether to go on.
    pub fn pieces(
        &self,
        limits: &Limits,
        count: &Arc<AtomicU64>,
        take: &mut dyn FnMut(Piece) -> bool,
    ) -> Result<(), Error> {
        let Content::Delimited { delimiter, mark_bytes } = self.content else { return Ok(()) };
        let mut failure = None;
        let outcome = with_reader(&self.path, self.packing, &self.left_bytes, count, &mut |reader| {
            failure = cut(reader, delimiter, mark_bytes, limits.chunk_bytes, take)?;
            Ok(())
        });
        outcome.map_err(|e| bad(&self.name, e.to_string()))?;
        failure.map_or(Ok(()), |reason| Err(bad(&self.name, reason)))
    }
}

/// Cuts a stream into pieces; `Some` is what is wrong with it.
fn cut(
    reader: &mut dyn Read,
    delimiter: u8,
    mark_bytes: usize,
    chunk_bytes: usize,
    take: &mut dyn FnMut(Piece) -> bool,
) -> io::Result<Option<String>> {
    let mut mark = [0; 3];
    read_up_to(&mut { &mut *reader }, &mut mark[..mark_bytes])?;
    let mut line = 1;
    let mut header_done = false;
    let mut rest: Vec<u8> = Vec::new();
    loop {
        let mut bytes = Vec::with_capacity(chunk_bytes + 1);
        bytes.append(&mut rest);
        let wanted = (chunk_bytes - bytes.len()) as u64;
        let at_end = ((&mut *reader).take(wanted).read_to_end(&mut bytes)? as u64) < wanted;
        let end = if at_end { bytes.len() } else { last_record_end(&bytes, delimiter).unwrap_or(0) };
        if end == 0 && !bytes.is_empty() {
            return Ok(Some(format!(
                "line {line}: a record of more than {chunk_bytes} bytes: is a quote never closed?"
            )));
        }
        rest = bytes.split_off(end);
        let lines = super::records::line_ends(&bytes);
        let first = line;
        line += lines;
        let piece =
            if header_done { Some(Piece { bytes, line: first }) } else { without_header(bytes, delimiter, first) };
        // Blank lines in front of it are no header.
        header_done |= piece.is_some();
        if piece.is_some_and(|p| !p.bytes.is_empty() && !take(p)) || at_end {
            return Ok(None);
        }
    }
}

fn without_header(mut bytes: Vec<u8>, delimiter: u8, line: u64) -> Option<Piece> {
    let mut records = Records::new(&bytes, delimiter, line);
    let _form = records.next(&mut Vec::new())?;
    let (at, line) = records.place();
    let bytes = bytes.split_off(at);
    Some(Piece { bytes, line })
}
