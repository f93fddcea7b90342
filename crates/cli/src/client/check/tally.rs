//! Bytes, SHA-256 and rows of whatever is read.

use std::io::{self, Read};

use sha2::{Digest, Sha256};

use super::BUFFER_BYTES;

/// No row that the service writes comes near it; a row must fit into memory.
const RECORD_BYTES_MAX: u64 = 64 << 20;

/// What was found in bytes.
pub(super) struct Tally {
    pub bytes: u64,
    /// Rows, the header among them.
    pub lines: u64,
    pub sha256: String,
}

impl Tally {
    /// Without the header.
    pub fn data_rows(&self) -> u64 {
        self.lines.saturating_sub(1)
    }
}

/// Reads to the end.
pub(super) fn tally(reader: impl Read) -> io::Result<Tally> {
    let mut reader = Tallying::new(reader);
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(reader.finish()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Counts and hashes what is read through it, and counts records by the rules of RFC 4180: a line
/// end inside of quotes ends nothing. (A CSV library would skip rows of one empty value.) In markup
/// the rows are counted by whoever reads it.
pub(super) struct Tallying<R> {
    reader: R,
    markup: bool,
    hasher: Sha256,
    bytes: u64,
    lines: u64,
    quoted: bool,
    line_bytes: u64,
}

impl<R: Read> Tallying<R> {
    pub fn new(reader: R) -> Self {
        Self { reader, markup: false, hasher: Sha256::new(), bytes: 0, lines: 0, quoted: false, line_bytes: 0 }
    }

    /// Of markup.
    pub fn markup(reader: R) -> Self {
        Self { markup: true, ..Self::new(reader) }
    }

    pub fn finish(self) -> Tally {
        let sha256 = self.hasher.finalize().iter().map(|b| format!("{b:02x}")).collect();
        Tally { bytes: self.bytes, lines: self.lines + u64::from(self.line_bytes > 0), sha256 }
    }
}

impl<R: Read> Read for Tallying<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        self.bytes += read as u64;
        for &byte in &buffer[..read] {
            self.line_bytes += 1;
            match byte {
                // A piece of text or a tag must fit into memory.
                b'>' if self.markup => self.line_bytes = 0,
                _ if self.markup => {}
                b'"' => self.quoted = !self.quoted,
                b'\n' if !self.quoted => {
                    self.lines += 1;
                    self.line_bytes = 0;
                }
                _ => {}
            }
        }
        if self.line_bytes > RECORD_BYTES_MAX {
            return Err(io::Error::other(match self.markup {
                true => format!("more than {RECORD_BYTES_MAX} bytes come without a tag"),
                false => format!("row {} has more than {RECORD_BYTES_MAX} bytes: a quote is open", self.lines),
            }));
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str) -> u64 {
        tally(text.as_bytes()).unwrap().data_rows()
    }

    #[test]
    fn rows_are_counted_as_they_are_quoted() {
        assert_eq!(rows("a,b\r\n"), 0);
        assert_eq!(rows("a,b\r\n1,\"x\r\ny\"\r\n2,\"say \"\"hi\"\"\r\n\"\r\n"), 2);
        assert_eq!(rows("a\r\n\r\n\r\n"), 2, "rows of one empty value");
        assert_eq!(rows("a\r\n1"), 1);
        assert_eq!(rows(""), 0);
    }
}
