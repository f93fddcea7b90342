//! Whether a file is what its manifest says: bytes, SHA-256, rows counted in the text itself, and
//! (for `verify`) its totals added up again.

mod sheet;
mod sums;
mod tally;

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use payouts_model::{Packaging, Report};

use super::{Error, ManifestView};
use sums::Sums;
use tally::{Tally, Tallying, tally};

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
    /// Totals that were added up again and compared.
    pub totals: u64,
}

/// Checks the file at `path`: bytes, SHA-256, rows, and the same of a ZIP's entries.
pub fn check(path: &Path, manifest: &ManifestView) -> Result<Checked, Error> {
    check_text(path, manifest, None)
}

/// The same, and with the report's fields also the header and the exact totals, added up from the
/// text. Memory does not grow with the file.
pub fn check_totals(path: &Path, manifest: &ManifestView, report: &Report) -> Result<Checked, Error> {
    let mut sums = Sums::new(manifest, report)?;
    let checked = check_text(path, manifest, Some(&mut sums))?;
    sums.compare()?;
    Ok(Checked { totals: sums.compared(), ..checked })
}

fn check_text(path: &Path, manifest: &ManifestView, mut sums: Option<&mut Sums<'_>>) -> Result<Checked, Error> {
    let read = |source| Error::Io { doing: format!("cannot read {}", path.display()), source };
    let file = manifest.file()?;
    let format = manifest.format()?;
    // The file as a whole comes first: what is inside is not looked at unless it is the right one.
    let whole = tally(open(path).map_err(read)?).map_err(read)?;
    same("bytes", whole.bytes, file.bytes)?;
    same("SHA-256", &whole.sha256, &file.sha256)?;
    let rows = match format.packaging {
        Packaging::Plain if sums.is_none() => whole.data_rows(),
        Packaging::Plain => text(open(path).map_err(read)?, "", &mut sums)?.data_rows(),
        Packaging::Gzip => text(MultiGzDecoder::new(open(path).map_err(read)?), "", &mut sums)?.data_rows(),
        Packaging::Zip | Packaging::Workbook => zip_rows(open(path).map_err(read)?, manifest, &mut sums)?,
    };
    same("rows", rows, manifest.row_count.unwrap_or_default())?;
    Ok(Checked { rows, bytes: whole.bytes, sha256: whole.sha256, totals: 0 })
}

/// Reads a text to its end; its rows are added up if that is wanted. `name` is the entry's.
fn text(reader: impl Read, name: &str, sums: &mut Option<&mut Sums<'_>>) -> Result<Tally, Error> {
    let mut reader = Tallying::new(reader);
    if let Some(sums) = sums {
        sums.add(&mut reader, name)?;
    }
    // What a reader of rows left behind its last row, if anything.
    io::copy(&mut reader, &mut io::sink()).map_err(unpack)?;
    Ok(reader.finish())
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

fn zip_rows(reader: BufReader<File>, manifest: &ManifestView, sums: &mut Option<&mut Sums<'_>>) -> Result<u64, Error> {
    let mut archive = zip::ZipArchive::new(reader).map_err(unpack)?;
    let workbook = manifest.format()?.packaging == Packaging::Workbook;
    let entries = &manifest.file()?.entries;
    same("entries", archive.len(), entries.len())?;
    let mut rows = 0;
    for (index, expected) in entries.iter().enumerate() {
        let entry = archive.by_index(index).map_err(unpack)?;
        same("name of an entry", entry.name().map_err(unpack)?.as_ref(), expected.name.as_str())?;
        let found = match (workbook, sheet::is_one(&expected.name)) {
            (false, _) => text(entry, &expected.name, sums)?,
            (true, true) => sheet::read(entry, &expected.name, manifest, sums)?,
            (true, false) => tally(entry).map_err(unpack)?,
        };
        let of = |what: &str| format!("{}: {what}", expected.name);
        same(&of("bytes"), found.bytes, expected.bytes)?;
        same(&of("SHA-256"), &found.sha256, &expected.sha256)?;
        // The other parts of a workbook have no rows, and nothing is counted in them.
        let rows_found = if workbook && !sheet::is_one(&expected.name) { 0 } else { found.data_rows() };
        same(&of("rows"), rows_found, expected.rows)?;
        rows += expected.rows;
    }
    Ok(rows)
}
