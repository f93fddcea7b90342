//! Compares this encoder with libraries on a CSV file, on one thread:
//! `cargo run --release -p payouts-deflate --example compare -- FILE [ROUNDS]`.
//!
//! The file is cut into pieces at line ends, as exports cut it. Everybody takes a turn in every
//! round and the best turn counts, since other work on the machine only ever slows down. Times are
//! this thread's time on a processor where the system tells it, else by the clock.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use libdeflater::CompressionLvl;
use payouts_deflate::Encoder;

/// Bytes of a piece: 1 MiB is what an export takes; the others show what that costs and gains.
const PIECES_BYTES: [usize; 4] = [1 << 20, 256 << 10, 64 << 10, 4 << 20];

struct Piece<'a> {
    text: &'a [u8],
    /// Where fields begin.
    fields: Vec<u32>,
    /// Where rows begin.
    rows: Vec<u32>,
}

/// Where fields and rows begin.
fn starts(text: &[u8]) -> (Vec<u32>, Vec<u32>) {
    let (mut fields, mut rows, mut quoted) = (vec![0], vec![0], false);
    for (i, &byte) in text.iter().enumerate() {
        match byte {
            b'"' => quoted = !quoted,
            b',' | b'\n' if !quoted && i + 1 < text.len() => {
                fields.push(i as u32 + 1);
                if byte == b'\n' {
                    rows.push(i as u32 + 1);
                }
            }
            _ => {}
        }
    }
    (fields, rows)
}

fn cut(text: &[u8], bytes: usize) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let at = rest.len().min(bytes);
        let end = rest[at..].iter().position(|&b| b == b'\n').map_or(rest.len(), |p| at + p + 1);
        let (text, after) = rest.split_at(end);
        let (fields, rows) = starts(text);
        pieces.push(Piece { text, fields, rows });
        rest = after;
    }
    pieces
}

/// Answers the compressed size of a piece.
type Compressor = Box<dyn FnMut(&Piece<'_>) -> usize>;

fn ours(starts: for<'a> fn(&'a Piece<'_>) -> (&'a [u32], usize)) -> Compressor {
    let (mut encoder, mut out) = (Encoder::default(), Vec::new());
    Box::new(move |piece| {
        out.clear();
        let (starts, columns) = starts(piece);
        encoder.compress(piece.text, starts, columns, &mut out);
        out.len()
    })
}

fn libdeflate(level: i32) -> Compressor {
    let mut library = libdeflater::Compressor::new(CompressionLvl::new(level).expect("a level"));
    let mut out = Vec::new();
    Box::new(move |piece| {
        out.resize(library.deflate_compress_bound(piece.text.len()), 0);
        library.deflate_compress(piece.text, &mut out).expect("room")
    })
}

fn zlib_rs(level: u32) -> Compressor {
    let mut library = flate2::Compress::new(flate2::Compression::new(level), false);
    let mut out = Vec::new();
    Box::new(move |piece| {
        out.resize(piece.text.len() * 2 + 1024, 0);
        library.reset();
        library.compress(piece.text, &mut out, flate2::FlushCompress::Sync).expect("room");
        library.total_out() as usize
    })
}

/// Time spent so far.
fn spent() -> Duration {
    static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = told.and_then(|t| t.split_whitespace().next()?.parse().ok());
    nanoseconds.map_or_else(|| BEGIN.elapsed(), Duration::from_nanos)
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let text = std::fs::read(arguments.next().expect("a file")).expect("a readable file");
    let rounds: usize = arguments.next().map_or(3, |n| n.parse().expect("a number of rounds"));
    for bytes in PIECES_BYTES {
        let pieces = cut(&text, bytes);
        println!("\n{:.1} MB of text in {} pieces of {} KiB", text.len() as f64 / 1e6, pieces.len(), bytes >> 10);
        let mut all: Vec<(&str, Compressor)> = vec![
            ("ours, told of fields", ours(|p| (&p.fields, p.fields.len() / p.rows.len()))),
            ("ours, told of rows", ours(|p| (&p.rows, 1))),
            ("ours, told nothing", ours(|_| (&[], 1))),
            ("libdeflate 1", libdeflate(1)),
            ("libdeflate 6", libdeflate(6)),
            ("zlib-rs 1", zlib_rs(1)),
        ];
        let mut best = vec![(Duration::MAX, 0); all.len()];
        for _ in 0..rounds {
            for ((_, compressor), (best, size)) in all.iter_mut().zip(&mut best) {
                let begin = spent();
                *size = pieces.iter().map(compressor).sum();
                *best = spent().saturating_sub(begin).min(*best);
            }
        }
        for ((name, _), (time, size)) in all.iter().zip(best) {
            let (megabytes, share) = (size as f64 / 1e6, size as f64 / text.len() as f64);
            let speed = text.len() as f64 / 1e6 / time.as_secs_f64();
            println!("{name:20} {megabytes:8.2} MB {share:7.4} {speed:6.0} MB/s");
        }
    }
}
