//! Every format read back by other readers, and what happens at the limits.

mod workbook;

use std::io::{Cursor, Read, Seek, SeekFrom};

use payouts_model::{FieldType, TextFormat};
use proptest::prelude::*;
use sha2::{Digest, Sha256};

use super::*;

const HEADER: &[u8] = b"id,name\r\n";
const WIDE: EntryLimits = EntryLimits::DEFAULT;

/// The formats whose text is the chunks' text after one header.
fn texts() -> impl Iterator<Item = FileFormat> {
    FileFormat::ALL.into_iter().filter(|format| *format != FileFormat::XLSX)
}

fn head(format: FileFormat) -> Head {
    let column = |name: &str, kind| SheetColumn { name: name.to_owned(), kind };
    match format.packaging {
        Packaging::Workbook => Head::Sheet(vec![column("id", FieldType::Id), column("name", FieldType::Text)]),
        _ => Head::Text(HEADER.to_vec()),
    }
}

fn chunk(rows: u64, text: &[u8]) -> Chunk {
    let Piece { text, deflated, crc32 } = Piece::new(text).unwrap();
    Chunk {
        rows,
        text,
        crc32,
        deflated: Some(deflated),
        totals: Totals { rows, ..Totals::default() },
        beyond: Beyond::default(),
    }
}

fn rows(from: u64, count: u64) -> Chunk {
    let text: String = (from..from + count).map(|i| format!("{i},\"Fabrikam, Inc. Ω\"\r\n")).collect();
    chunk(count, text.as_bytes())
}

fn text_of(chunks: &[Chunk]) -> Vec<u8> {
    let mut text = HEADER.to_vec();
    chunks.iter().for_each(|c| text.extend_from_slice(&c.text));
    text
}

fn pack(format: FileFormat, limits: EntryLimits, expected: Option<u64>, chunks: &[Chunk]) -> (Packaged, Vec<u8>) {
    let mut packager = Packager::with_limits(format, "payments", &head(format), Vec::new(), limits).unwrap();
    if let Some(expected) = expected {
        packager = packager.with_rows_expected(expected);
    }
    chunks.iter().for_each(|c| packager.push(c.clone()).unwrap());
    let (packaged, bytes) = packager.finish().unwrap();
    assert_eq!(packaged.bytes, bytes.len() as u64);
    assert_eq!(packaged.sha256, sha256(&bytes));
    assert_eq!(packaged.totals.rows, chunks.iter().map(|c| c.rows).sum::<u64>());
    (packaged, bytes)
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    // One member only: a reader of single members must get everything.
    let mut reader = flate2::bufread::GzDecoder::new(bytes);
    reader.read_to_end(&mut text).unwrap();
    assert!(reader.into_inner().is_empty(), "bytes after the member");
    text
}

/// The texts of a ZIP by another reader, checked against what the packager says of them.
fn unzip(packaged: &Packaged, bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut archive = ::zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
    assert_eq!(archive.len(), packaged.entries.len());
    (0..archive.len())
        .map(|i| {
            let mut file = archive.by_index(i).unwrap();
            let mut text = Vec::new();
            file.read_to_end(&mut text).unwrap();
            let entry = &packaged.entries[i];
            assert_eq!((&*file.name().unwrap(), file.size()), (entry.name.as_str(), entry.bytes));
            assert_eq!(sha256(&text), entry.sha256);
            assert_eq!(file.unix_mode(), Some(0o100_644));
            assert_eq!(file.last_modified(), Some(::zip::DateTime::default()));
            let lines = text.iter().filter(|&&b| b == b'\n').count() as u64;
            assert_eq!(lines, entry.rows + 1, "the header and {} rows", entry.rows);
            (entry.name.clone(), text)
        })
        .collect()
}

fn text_in(format: FileFormat, packaged: &Packaged, bytes: &[u8]) -> Vec<u8> {
    match format.packaging {
        Packaging::Plain => bytes.to_vec(),
        Packaging::Gzip => gunzip(bytes),
        Packaging::Zip => {
            let mut entries = unzip(packaged, bytes);
            assert_eq!(entries.len(), 1);
            entries.remove(0).1
        }
        Packaging::Workbook => unreachable!("its text is not that of the chunks alone"),
    }
}

#[test]
fn every_format_reads_back() {
    let chunks = [rows(0, 5), rows(5, 1000), rows(1005, 1)];
    for format in texts() {
        for chunks in [&chunks[..], &[]] {
            let (packaged, bytes) = pack(format, WIDE, Some(1006), chunks);
            assert_eq!(text_in(format, &packaged, &bytes), text_of(chunks), "{format}");
            assert_eq!(
                pack(format, WIDE, Some(1006), chunks),
                (packaged, bytes),
                "{format}: other bytes the second time"
            );
        }
    }
}

#[test]
fn entries_take_the_ending_of_their_text() {
    let format = FileFormat { text: TextFormat::Tsv, packaging: Packaging::Zip };
    assert_eq!(pack(format, WIDE, None, &[]).0.entries[0].name, "payments.tsv");
}

fn names(packaged: &Packaged) -> Vec<(&str, u64)> {
    packaged.entries.iter().map(|e| (e.name.as_str(), e.rows)).collect()
}

#[test]
fn entries_are_cut_at_chunks_and_all_have_the_header() {
    let limits = EntryLimits { rows: 10, ..WIDE };
    let chunks: Vec<Chunk> = (0..5).map(|i| rows(i * 5, 5)).collect();
    let (packaged, bytes) = pack(FileFormat::DEFAULT, limits, Some(25), &chunks);
    assert_eq!(names(&packaged), [("payments-001.csv", 10), ("payments-002.csv", 10), ("payments-003.csv", 5)]);
    let texts: Vec<Vec<u8>> = unzip(&packaged, &bytes).into_iter().map(|(_, text)| text).collect();
    assert_eq!(texts, [text_of(&chunks[..2]), text_of(&chunks[2..4]), text_of(&chunks[4..])]);

    // Exactly full: one entry, without a number.
    let (packaged, _) = pack(FileFormat::DEFAULT, limits, Some(10), &chunks[..2]);
    assert_eq!(names(&packaged), [("payments.csv", 10)]);
}

#[test]
fn bytes_cut_an_entry_too() {
    let one = rows(0, 5);
    let header = Piece::new(HEADER).unwrap();
    let text_bytes = (HEADER.len() + 2 * one.text.len()) as u64;
    let deflated_bytes = (header.deflated.len() + 2 * one.deflated.as_ref().unwrap().len() + FINAL_BLOCK.len()) as u64;
    let chunks = [one.clone(), one.clone(), one.clone()];
    let entries = |bytes| {
        let (packaged, file) = pack(FileFormat::DEFAULT, EntryLimits { bytes, ..WIDE }, Some(15), &chunks);
        unzip(&packaged, &file);
        packaged.entries.iter().map(|e| (e.name.clone(), e.rows)).collect::<Vec<_>>()
    };
    let two_and_one = vec![("payments.csv".to_owned(), 10), ("payments-002.csv".to_owned(), 5)];
    assert_eq!(entries(text_bytes.max(deflated_bytes)), two_and_one);
    assert_eq!(entries(text_bytes.max(deflated_bytes) - 1).len(), 3);

    let mut packager = Packager::with_limits(
        FileFormat::DEFAULT,
        "p",
        &head(FileFormat::DEFAULT),
        Vec::new(),
        EntryLimits { bytes: 20, ..WIDE },
    )
    .unwrap();
    let error = packager.push(one.clone()).unwrap_err();
    assert!(error.to_string().contains("does not fit into a ZIP entry"), "{error}");
}

#[test]
fn more_entries_than_sixteen_bits_count() {
    let limits = EntryLimits { rows: 1, ..WIDE };
    let one = chunk(1, b"1,a\r\n");
    for count in [65_534_usize, 65_535, 65_600] {
        let mut packager =
            Packager::with_limits(FileFormat::DEFAULT, "p", &head(FileFormat::DEFAULT), Vec::new(), limits).unwrap();
        (0..count).for_each(|_| packager.push(one.clone()).unwrap());
        let (packaged, bytes) = packager.finish().unwrap();
        let mut archive = ::zip::ZipArchive::new(Cursor::new(&bytes)).unwrap();
        assert_eq!((archive.len(), packaged.entries.len()), (count, count));
        let mut text = String::new();
        archive.by_index(count - 1).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "id,name\r\n1,a\r\n");
        assert_eq!(bytes.windows(4).any(|w| w == b"PK\x06\x06"), count >= 65_535, "{count}");
    }
}

/// The file begins with a hole, as a self-extracting one begins with a program, so that offsets
/// are those of an archive of that many bytes.
#[test]
fn offsets_beyond_four_gibibytes_read_back() {
    let one = rows(0, 5);
    for start in [u64::from(u32::MAX) - 60, u64::from(u32::MAX), 5 << 30] {
        let mut sink = tempfile::tempfile().unwrap();
        sink.seek(SeekFrom::Start(start)).unwrap();
        let limits = EntryLimits { rows: 5, ..WIDE };
        let mut packager =
            Packager::with_limits(FileFormat::DEFAULT, "payments", &head(FileFormat::DEFAULT), sink, limits).unwrap();
        packager.out.skip(start);
        packager = packager.with_rows_expected(10);
        packager.push(one.clone()).unwrap();
        packager.push(one.clone()).unwrap();
        let (packaged, sink) = packager.finish().unwrap();
        let mut archive = ::zip::ZipArchive::new(sink).unwrap();
        assert_eq!(archive.len(), 2);
        for i in 0..2 {
            let mut file = archive.by_index(i).unwrap();
            assert!(file.header_start() >= start);
            let mut text = Vec::new();
            file.read_to_end(&mut text).unwrap();
            assert_eq!(sha256(&text), packaged.entries[i].sha256);
        }
    }
}

/// Takes so many bytes, then fails.
#[derive(Debug)]
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0 == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let taken = bytes.len().min(self.0);
        self.0 -= taken;
        Ok(taken)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn an_error_of_the_sink_comes_through_wherever_it_happens() {
    let chunks = [rows(0, 5), rows(5, 5)];
    for format in FileFormat::ALL {
        let bytes = pack(format, WIDE, None, &chunks).1.len();
        for room in 0..bytes {
            let result = Packager::new(format, "payments", &head(format), Full(room)).and_then(|mut packager| {
                chunks.iter().try_for_each(|c| packager.push(c.clone()))?;
                packager.finish()
            });
            assert_eq!(result.unwrap_err().kind(), io::ErrorKind::StorageFull, "{format} after {room} bytes");
        }
        let mut packager = Packager::new(format, "payments", &head(format), Full(bytes)).unwrap();
        chunks.iter().for_each(|c| packager.push(c.clone()).unwrap());
        packager.finish().unwrap();
    }
}

#[test]
fn nothing_follows_an_error() {
    let mut packager = Packager::new(FileFormat::DEFAULT, "p", &head(FileFormat::DEFAULT), Vec::new()).unwrap();
    let plain = Chunk { deflated: None, ..rows(0, 1) };
    assert!(packager.push(plain).unwrap_err().to_string().contains("deflated form is missing"));
    assert!(packager.push(rows(0, 1)).unwrap_err().to_string().contains("given up"));
    assert!(packager.finish().is_err());

    let mut packager = Packager::new(FileFormat::DEFAULT, "p", &head(FileFormat::DEFAULT), Vec::new()).unwrap();
    assert!(packager.push(Chunk { rows: 2, ..rows(0, 1) }).is_err());
}

#[test]
fn gzip_counts_its_text_modulo_two_to_the_32() {
    let mut joined = Joined::default();
    let text = Bytes::from(vec![0; 1 << 20]);
    let crc32 = crc32fast::hash(&text);
    (0..4097).for_each(|_| joined.add(crc32, &text, &Bytes::new()));
    assert_eq!(joined.gzip_trailer()[4..], (1_u32 << 20).to_le_bytes());
}

#[test]
fn deflating_takes_any_length() {
    for length in [0, 1, 63, 64, 1000, 1 << 20] {
        let mut state = 1_u32;
        let text: Vec<u8> = (0..length)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            })
            .collect();
        let piece = Piece::new(&text).unwrap();
        let stream = [&piece.deflated[..], &piece.deflated[..], FINAL_BLOCK].concat();
        let mut inflated = Vec::new();
        flate2::bufread::DeflateDecoder::new(&stream[..]).read_to_end(&mut inflated).unwrap();
        assert_eq!(inflated, [&text[..], &text[..]].concat(), "{length} bytes");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However rows are cut into chunks, the text is the same, in every format.
    #[test]
    fn chunks_do_not_show(cells in prop::collection::vec("[^\"\r\n]{0,12}", 0..60), cuts in prop::collection::vec(1_usize..12, 1..30)) {
        let lines: Vec<String> = cells.iter().map(|c| format!("1,\"{c}\"\r\n")).collect();
        let mut chunks = Vec::new();
        let mut rest = &lines[..];
        for cut in cuts.iter().cycle() {
            if rest.is_empty() { break; }
            let (head, tail) = rest.split_at((*cut).min(rest.len()));
            chunks.push(chunk(head.len() as u64, head.concat().as_bytes()));
            rest = tail;
        }
        for format in texts() {
            let (packaged, bytes) = pack(format, WIDE, Some(lines.len() as u64), &chunks);
            prop_assert_eq!(text_in(format, &packaged, &bytes), [HEADER, lines.concat().as_bytes()].concat());
        }
    }
}
