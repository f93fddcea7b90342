//! Whether a file is what its manifest says: bytes, SHA-256, and rows counted in the text itself.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use payouts_model::{FileFormat, Packaging};
use sha2::{Digest, Sha256};

use super::{Error, ManifestView};

const BUFFER_BYTES: usize = 256 * 1024;

/// What was found in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// Data rows.
    pub rows: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// SHA-256 of the file, lower-case hex.
    pub sha256: String,
}

/// Checks the file at `path`.
pub fn check(path: &Path, manifest: &ManifestView) -> Result<Checked, Error> {
    let read = |source| Error::Io { doing: format!("cannot read {}", path.display()), source };
    let file = manifest.file()?;
    let format = FileFormat::parse(&manifest.file_format).ok_or_else(|| Error::Answer {
        doing: "cannot check the file".into(),
        reason: format!("the manifest names the format '{}', which this version does not know", manifest.file_format),
    })?;
    let whole = tally(open(path).map_err(read)?).map_err(read)?;
    same("bytes", whole.bytes, file.bytes)?;
    same("SHA-256", &whole.sha256, &file.sha256)?;
    let rows = match format.packaging {
        Packaging::Plain => whole.data_rows(),
        Packaging::Gzip => tally(MultiGzDecoder::new(open(path).map_err(read)?)).map_err(unpack)?.data_rows(),
        Packaging::Zip => zip_rows(open(path).map_err(read)?, manifest)?,
    };
    same("rows", rows, manifest.row_count.unwrap_or_default())?;
    Ok(Checked { rows, bytes: whole.bytes, sha256: whole.sha256 })
}

fn open(path: &Path) -> io::Result<BufReader<File>> {
    Ok(BufReader::with_capacity(BUFFER_BYTES, File::open(path)?))
}

fn unpack(error: impl std::fmt::Display) -> Error {
    Error::Mismatch { what: format!("it cannot be unpacked: {error}") }
}

fn same<T: PartialEq + std::fmt::Display>(what: &str, found: T, expected: T) -> Result<(), Error> {
    if found == expected {
        return Ok(());
    }
    Err(Error::Mismatch { what: format!("{what} {found}, expected {expected}") })
}

fn zip_rows(reader: BufReader<File>, manifest: &ManifestView) -> Result<u64, Error> {
    let mut archive = zip::ZipArchive::new(reader).map_err(unpack)?;
    let entries = &manifest.file()?.entries;
    same("entries", archive.len(), entries.len())?;
    let mut rows = 0;
    for (index, expected) in entries.iter().enumerate() {
        let entry = archive.by_index(index).map_err(unpack)?;
        same("name of an entry", entry.name().map_err(unpack)?.as_ref(), expected.name.as_str())?;
        let found = tally(entry).map_err(unpack)?;
        let of = |what: &str| format!("{}: {what}", expected.name);
        same(&of("bytes"), found.bytes, expected.bytes)?;
        same(&of("SHA-256"), &found.sha256, &expected.sha256)?;
        same(&of("rows"), found.data_rows(), expected.rows)?;
        rows += expected.rows;
    }
    Ok(rows)
}

struct Tally {
    bytes: u64,
    lines: u64,
    sha256: String,
}

impl Tally {
    /// Without the header.
    fn data_rows(&self) -> u64 {
        self.lines.saturating_sub(1)
    }
}

/// Counts records by the rules of RFC 4180: a line end inside of quotes ends nothing. (A CSV
/// library would skip rows of one empty value.)
fn tally(mut reader: impl Read) -> io::Result<Tally> {
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut hasher = Sha256::new();
    let (mut bytes, mut lines, mut quoted, mut open_line) = (0, 0, false, false);
    loop {
        let read = match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hasher.update(&buffer[..read]);
        bytes += read as u64;
        for &byte in &buffer[..read] {
            open_line = true;
            match byte {
                b'"' => quoted = !quoted,
                b'\n' if !quoted => {
                    lines += 1;
                    open_line = false;
                }
                _ => {}
            }
        }
    }
    let sha256 = hasher.finalize().iter().map(|b| format!("{b:02x}")).collect();
    Ok(Tally { bytes, lines: lines + u64::from(open_line), sha256 })
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
