//! Any bytes as tables and as texts with any field starts: what the encoder makes of them is
//! joined as an export joins it, and two independent decoders inflate it to exactly the text.

#![no_main]

use std::io::Read;

use flate2::read::DeflateDecoder;
use flate2::{Compress, Compression, FlushCompress};
use libfuzzer_sys::fuzz_target;
use payouts_deflate::{Encoder, FINAL_BLOCK};
use payouts_fuzz::input::Input;

/// The longest text of a run: longer than the window of 32 KiB and than a block of 65,536 tokens
/// needs, short enough for many runs a second.
const TEXT_BYTES_MAX: usize = 600 << 10;

/// What is given to the encoder in one call.
#[derive(Default)]
struct Piece {
    text: Vec<u8>,
    starts: Vec<u32>,
    columns: usize,
}

/// A table as an export writes it: values from a small list, numbers that count, empty fields,
/// rows that repeat, fields longer than a match, all as the input says.
fn table(input: &mut Input<'_>) -> Piece {
    let columns = usize::from(input.byte() % 40) + 1;
    let values: Vec<&[u8]> = (0..input.byte() % 16)
        .map(|_| {
            let length = usize::from(input.byte());
            input.bytes(length % 64)
        })
        .collect();
    let mut piece = Piece { columns, ..Piece::default() };
    let mut number = input.number();
    let rows = usize::from(input.byte()) * usize::from(input.byte() % 8 + 1) + 1;
    // Each row follows the recipe from the start again, changed by what is left of the input.
    let length = usize::from(input.byte()) % 64 + 1;
    let recipe = input.bytes(length);
    for row in 0..rows {
        for column in 0..columns {
            piece.starts.push(piece.text.len() as u32);
            let step = recipe.get((row * (recipe.len() % 2) + column) % recipe.len().max(1)).copied();
            let step = step.unwrap_or(0);
            let twist = if step & 0x80 == 0 { 0 } else { input.byte() };
            match (step ^ twist) % 8 {
                0 => {}
                1..=3 if !values.is_empty() => {
                    piece.text.extend_from_slice(values[usize::from((step / 8) ^ twist) % values.len()]);
                }
                4 => {
                    number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    piece.text.extend_from_slice(number.to_string().as_bytes());
                }
                5 => {
                    number = number.wrapping_add(u32::from(twist % 4));
                    piece.text.extend_from_slice(number.to_string().as_bytes());
                }
                6 => piece.text.extend(std::iter::repeat_n(step, usize::from(twist) * 5)),
                _ => piece.text.extend_from_slice(&[step, twist]),
            }
            piece.text.extend_from_slice(if column + 1 == columns { b"\r\n" } else { b"," });
            if piece.text.len() > TEXT_BYTES_MAX {
                return piece;
            }
        }
    }
    piece
}

/// A text with starts that need not be right, ascending or inside it. Starts that do ascend try
/// the most matches.
fn anything(input: &mut Input<'_>) -> Piece {
    let (how, length, times) = (input.byte(), input.number() as usize % 5000, usize::from(input.byte()));
    let unit = input.bytes(length);
    let mut text = Vec::new();
    for time in 0..times % 64 + 1 {
        text.extend_from_slice(unit);
        if how & 1 == 0 {
            text.push(time as u8);
        }
    }
    text.truncate(TEXT_BYTES_MAX);
    let count = usize::from(input.byte()) * if how & 2 == 0 { 1 } else { 16 };
    let (mut starts, mut start) = (Vec::new(), 0_u32);
    for _ in 0..count {
        start = match how & 12 {
            0 => input.number(),
            4 => start.wrapping_add(u32::from(input.byte())),
            8 => start.wrapping_add(input.number() >> 20),
            _ => start + 1,
        };
        starts.push(start);
    }
    if how & 16 != 0 {
        starts.sort_unstable();
    }
    let columns = if how & 32 == 0 { usize::from(input.byte()) } else { input.number() as usize };
    Piece { text, starts, columns }
}

/// A piece by a library that ends with a sync flush, as the header of a file is made.
fn by_library(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() * 2 + 1024);
    Compress::new(Compression::default(), false).compress_vec(text, &mut out, FlushCompress::Sync).expect("room");
    out
}

fn assert_inflates(stream: &[u8], text: &[u8]) {
    let mut decoder = DeflateDecoder::new(stream);
    let mut inflated = Vec::with_capacity(text.len());
    decoder.read_to_end(&mut inflated).expect("zlib-rs takes it");
    assert!(inflated == text, "zlib-rs inflates to another text");
    assert_eq!(decoder.total_in(), stream.len() as u64, "nothing follows the final block");
    let mut inflated = vec![0; text.len()];
    let length =
        libdeflater::Decompressor::new().deflate_decompress(stream, &mut inflated).expect("libdeflate takes it");
    assert!(inflated[..length] == *text, "libdeflate inflates to another text");
}

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let mut encoder = Encoder::default();
    let (mut text, mut stream) = (Vec::new(), Vec::new());
    let mut pieces = 0;
    while pieces < 8 && (pieces == 0 || input.some()) && text.len() < TEXT_BYTES_MAX {
        let kind = input.byte();
        let piece = if kind % 2 == 0 { table(&mut input) } else { anything(&mut input) };
        if kind % 16 == 15 {
            stream.extend_from_slice(&by_library(&piece.text));
        } else {
            let begin = stream.len();
            encoder.compress(&piece.text, &piece.starts, piece.columns, &mut stream);
            assert!(stream.ends_with(&[0, 0, 0xff, 0xff]), "ends on a byte boundary");
            if kind % 16 >= 12 {
                let mut alone = Vec::new();
                Encoder::default().compress(&piece.text, &piece.starts, piece.columns, &mut alone);
                assert!(alone == stream[begin..], "what was compressed before changes the output");
            }
        }
        text.extend_from_slice(&piece.text);
        pieces += 1;
    }
    stream.extend_from_slice(&FINAL_BLOCK);
    assert_inflates(&stream, &text);
});
