//! Any bytes as a ZIP, and ZIPs with entries of all kinds (names that lead out, bombs, packages in
//! packages) in which then single bytes, sizes and counts are made to lie: a clear error, or the rows
//! of exactly these entries; never more than the bound expanded, never a file outside.

#![no_main]

use std::io::{Cursor, Write};
use std::sync::LazyLock;

use flate2::Compression;
use flate2::write::GzEncoder;
use libfuzzer_sys::fuzz_target;
use payouts_fuzz::input::Input;
use payouts_fuzz::place::{Ask, OUTSIDE, Place, text};
use payouts_fuzz::records::rows;
use payouts_ledger::import::Limits;
use payouts_model::{Report, ReportName};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// What a file may always expand to in these runs; no input is large enough for more.
const EXPANDED_BYTES_MAX: u64 = 200_000;
const ENTRIES_MAX: usize = 4;

static PLACE: LazyLock<Place> = LazyLock::new(Place::new);

/// One entry, and what it should come to: its rows, or none if it is to be refused.
struct Entry {
    name: String,
    content: Vec<u8>,
    rows: Option<u64>,
}

impl Entry {
    /// Left out, as the folders and hidden files of archive tools are.
    fn hidden(&self) -> bool {
        self.name.ends_with(['/', '\\']) || self.name.starts_with("__MACOSX/") || {
            self.name.rsplit('/').next().is_some_and(|n| n.starts_with('.'))
        }
    }
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut out = GzEncoder::new(Vec::new(), Compression::fast());
    out.write_all(content).expect("memory");
    out.finish().expect("memory")
}

fn name(input: &mut Input<'_>, number: usize) -> String {
    let outside = OUTSIDE;
    match input.byte() % 12 {
        0 => format!("../../{outside}"),
        1 => format!("/{outside}"),
        2 => format!("..\\..\\{outside}"),
        3 => format!("a/../../../../../../{outside}"),
        4 => format!("folder-{number}/"),
        5 => format!("a/.hidden-{number}"),
        6 => format!("__MACOSX/._{number}"),
        7 => format!("{number}-{}", String::from_utf8_lossy(input.counted())),
        _ => format!("{number}.csv"),
    }
}

fn content(input: &mut Input<'_>, report: &Report) -> (Vec<u8>, Option<u64>) {
    let good = |rows: usize| (text(report, rows, b','), Some(rows as u64));
    match input.byte() % 8 {
        0 => {
            let mut content = text(report, 0, b',');
            content.extend_from_slice(input.counted());
            let count = rows(&content, b',');
            (content, Some(count))
        }
        // A bomb: some thousand times the same line.
        1 => {
            let line = text(report, 1, b',').split_off(text(report, 0, b',').len());
            let times = usize::from(input.byte()) * 20;
            let mut content = text(report, 0, b',');
            (0..times).for_each(|_| content.extend_from_slice(&line));
            (content, Some(times as u64))
        }
        2 => (gzip(&good(2).0), None),
        3 => (b"PK\x03\x04".repeat(usize::from(input.byte()) + 1), None),
        4 => ([b"PAR1", input.counted()].concat(), None),
        5 => (input.counted().to_vec(), None),
        _ => good(usize::from(input.byte() % 8)),
    }
}

fn archive(entries: &[Entry], stored: u8) -> Option<Vec<u8>> {
    let mut out = ZipWriter::new(Cursor::new(Vec::new()));
    for (i, entry) in entries.iter().enumerate() {
        let method = if stored >> i & 1 == 0 { CompressionMethod::Deflated } else { CompressionMethod::Stored };
        out.start_file(entry.name.as_str(), SimpleFileOptions::default().compression_method(method)).ok()?;
        out.write_all(&entry.content).expect("memory");
    }
    Some(out.finish().expect("memory").into_inner())
}

/// Puts lies into an archive; how many it were.
fn lie(input: &mut Input<'_>, archive: &mut Vec<u8>) -> usize {
    let lies = usize::from(input.byte() % 4);
    for _ in 0..lies {
        // Offsets of sizes, counts, digests, methods and places in the three kinds of header.
        let (mark, fields): (&[u8], &[usize]) = match input.byte() % 5 {
            0 => (b"PK\x03\x04", &[6, 8, 14, 18, 22, 26, 28]),
            1 => (b"PK\x01\x02", &[8, 10, 16, 20, 24, 28, 30, 42]),
            2 => (b"PK\x05\x06", &[4, 8, 10, 12, 16, 20]),
            3 => {
                let at = input.number() as usize % archive.len().max(1);
                archive.truncate(at);
                continue;
            }
            _ => (b"", &[0]),
        };
        let at = if mark.is_empty() {
            input.number() as usize % archive.len().max(1)
        } else {
            let places: Vec<usize> =
                archive.windows(4).enumerate().filter(|(_, w)| *w == mark).map(|(i, _)| i).collect();
            if places.is_empty() {
                continue;
            }
            *input.one_of(&places) + *input.one_of(fields)
        };
        for (i, byte) in input.counted().iter().take(8).enumerate() {
            if let Some(old) = archive.get_mut(at + i) {
                *old = *byte;
            }
        }
    }
    lies
}

fuzz_target!(init: { LazyLock::force(&PLACE); }, |data: &[u8]| {
    let mut input = Input(data);
    let how = input.byte();
    let limits = Limits {
        entries_max: ENTRIES_MAX,
        expanded_bytes_min: EXPANDED_BYTES_MAX,
        expansion_max: 1,
        chunk_bytes: 1 << 16,
        ..Limits::default()
    };
    let ask = Ask {
        report: ReportName::ALL[usize::from(how & 1) % ReportName::ALL.len()],
        rejects: how & 2 == 0,
        order_type: true,
        limits,
    };
    // The shortest row is a line end and a character.
    let rows_max = EXPANDED_BYTES_MAX / 2;
    if how & 4 != 0 {
        let done = PLACE.run(&ask, &[input.0]);
        assert!(done.rows().unwrap_or(0) <= rows_max + data.len() as u64, "{}", done.shown());
        return;
    }
    let stored = input.byte();
    let count = usize::from(input.byte() % 6);
    let report = PLACE.report(ask.report).clone();
    let entries: Vec<Entry> = (0..count)
        .map(|i| {
            let name = name(&mut input, i);
            let (content, rows) = content(&mut input, &report);
            Entry { name, content, rows }
        })
        .collect();
    // Two entries of one name cannot be written.
    let Some(mut packed) = archive(&entries, stored) else { return };
    let lies = lie(&mut input, &mut packed);
    let done = PLACE.run(&ask, &[packed.as_slice()]);
    assert!(done.rows().unwrap_or(0) <= rows_max, "{}", done.shown());
    if lies > 0 {
        assert_eq!(PLACE.run(&ask, &[packed.as_slice()]).shown(), done.shown(), "the same again");
        return;
    }
    let read: Vec<&Entry> = entries.iter().filter(|e| !e.hidden()).collect();
    let expanded: usize = read.iter().map(|e| e.content.len()).sum();
    let allowed = expanded as u64 <= EXPANDED_BYTES_MAX.max(packed.len() as u64);
    let expected: Option<u64> = read.iter().map(|e| e.rows).sum();
    match (done.rows(), expected) {
        (Some(rows), Some(expected)) => assert_eq!(rows, expected),
        (Some(_), None) => {
            // What was meant to be refused may be a table after all, if the input says so.
            let odd = read.iter().filter(|e| e.rows.is_none());
            assert!(odd.clone().all(|e| !e.content.starts_with(&[0x1f, 0x8b]) && !e.content.starts_with(b"PK\x03\x04")));
        }
        (None, Some(_)) => {
            let refused = entries.len() > ENTRIES_MAX || read.is_empty() || !allowed || !ask.rejects;
            assert!(refused, "good entries: {}", done.shown());
        }
        (None, None) => {}
    }
    assert!(done.rows().is_none() || allowed && entries.len() <= ENTRIES_MAX, "{expanded} bytes were expanded");
});
