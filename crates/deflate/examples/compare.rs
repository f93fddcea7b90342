//! Compares this encoder with libraries on a CSV file: `compare FILE [REPEATS]`.
//!
//! One thread, pieces of about 1 MiB cut at line ends, as exports cut them. Prints size and speed.

use std::time::Instant;

fn field_starts(text: &[u8]) -> (Vec<u32>, usize) {
    let (mut starts, mut quoted, mut columns) = (vec![0], false, 0);
    for (i, &byte) in text.iter().enumerate() {
        match byte {
            b'"' => quoted = !quoted,
            b',' | b'\n' if !quoted => {
                starts.push(i as u32 + 1);
                if columns == 0 && byte == b'\n' {
                    columns = starts.len() - 1;
                }
            }
            _ => {}
        }
    }
    (starts, columns.max(1))
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let text = std::fs::read(arguments.next().expect("a file")).expect("a readable file");
    let repeats: usize = arguments.next().map_or(3, |n| n.parse().expect("a number"));
    let mut pieces = Vec::new();
    let mut rest = &text[..];
    while !rest.is_empty() {
        let at = rest.len().min(1 << 20);
        let end = rest[at..].iter().position(|&b| b == b'\n').map_or(rest.len(), |p| at + p + 1);
        let (starts, columns) = field_starts(&rest[..end]);
        pieces.push((&rest[..end], starts, columns));
        rest = &rest[end..];
    }
    let report = |name: &str, run: &mut dyn FnMut() -> usize| {
        let mut best = f64::MAX;
        let mut size = 0;
        for _ in 0..repeats {
            let begin = Instant::now();
            size = run();
            best = best.min(begin.elapsed().as_secs_f64());
        }
        println!(
            "{name:16} {:8.1} MB {:6.3} of the text {:7.0} MB/s",
            size as f64 / 1e6,
            size as f64 / text.len() as f64,
            text.len() as f64 / 1e6 / best
        );
    };
    let mut encoder = payouts_deflate::Encoder::default();
    report("this", &mut || {
        let mut out = Vec::new();
        pieces
            .iter()
            .map(|(text, starts, columns)| {
                out.clear();
                encoder.compress(text, starts, *columns, &mut out);
                out.len()
            })
            .sum()
    });
    for level in [1, 2, 6] {
        let mut library = libdeflater::Compressor::new(libdeflater::CompressionLvl::new(level).expect("a level"));
        let mut out = vec![0; 4 << 20];
        report(&format!("libdeflate {level}"), &mut || {
            pieces.iter().map(|(text, ..)| library.deflate_compress(text, &mut out).expect("room")).sum()
        });
    }
    let mut library = flate2::Compress::new(flate2::Compression::new(1), false);
    let mut out = vec![0; 4 << 20];
    report("zlib-rs 1", &mut || {
        pieces
            .iter()
            .map(|(text, ..)| {
                library.reset();
                library.compress(text, &mut out, flate2::FlushCompress::Sync).expect("room");
                library.total_out() as usize
            })
            .sum()
    });
}
