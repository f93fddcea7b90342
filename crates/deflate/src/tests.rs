//! Every output inflates, by two independent decoders, to exactly the text.

use std::io::Read;

use proptest::prelude::*;

use super::*;

fn compress(text: &[u8], starts: &[u32], columns: usize) -> Vec<u8> {
    let mut out = Vec::new();
    Encoder::default().compress(text, starts, columns, &mut out);
    out
}

fn assert_inflates(stream: &[u8], text: &[u8]) {
    let mut inflated = Vec::new();
    flate2::read::DeflateDecoder::new(stream).read_to_end(&mut inflated).expect("zlib-rs takes it");
    assert!(inflated == text, "zlib-rs inflates to another text");
    let mut inflated = vec![0; text.len()];
    let length =
        libdeflater::Decompressor::new().deflate_decompress(stream, &mut inflated).expect("libdeflate takes it");
    assert!(inflated[..length] == *text, "libdeflate inflates to another text");
}

fn check(text: &[u8], starts: &[u32], columns: usize) -> usize {
    let mut stream = compress(text, starts, columns);
    assert_eq!(stream[stream.len() - 4..], [0, 0, 0xff, 0xff], "ends on a byte boundary");
    let length = stream.len();
    stream.extend_from_slice(&FINAL_BLOCK);
    assert_inflates(&stream, text);
    length
}

/// A table as text, and where its fields start.
fn table(rows: &[Vec<String>]) -> (Vec<u8>, Vec<u32>) {
    let (mut text, mut starts) = (Vec::new(), Vec::new());
    for row in rows {
        for (i, field) in row.iter().enumerate() {
            starts.push(text.len() as u32);
            text.extend_from_slice(field.as_bytes());
            text.extend_from_slice(if i + 1 == row.len() { b"\r\n" } else { b"," });
        }
    }
    (text, starts)
}

#[test]
fn nothing_and_next_to_nothing() {
    check(b"", &[], 1);
    check(b"a", &[0], 1);
    check(b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", &[0, 1, 2, 3], 1);
}

#[test]
fn long_repeats_are_cut_into_tokens() {
    for length in 500..540 {
        let row: Vec<u8> = (0..length).map(|i| b'a' + (i % 23) as u8).collect();
        let text = [&row[..], &row, &row].concat();
        assert!(check(&text, &[0, length, 2 * length], 1) < 420, "the text once, and a few matches");
    }
}

#[test]
fn the_whole_window_is_used() {
    let first = "the same forty characters in every field";
    for gap in [32_727_usize, 32_728, 32_729, 40_000] {
        let middle = "x".repeat(gap);
        let text = format!("{first}{middle}{first}{first}");
        let at = (first.len() + gap) as u32;
        check(text.as_bytes(), &[0, at, at + first.len() as u32], 1);
    }
}

#[test]
fn outputs_join_in_any_order() {
    let (text, starts) = table(
        &(0..2000)
            .map(|i| vec![format!("{i}"), "EUR".into(), format!("{:.2}", f64::from(i) * 1.7)])
            .collect::<Vec<_>>(),
    );
    let mut encoder = Encoder::default();
    let mut stream = Vec::new();
    for _ in 0..3 {
        encoder.compress(&text, &starts, 3, &mut stream);
    }
    stream.extend_from_slice(&FINAL_BLOCK);
    assert_inflates(&stream, &text.repeat(3));
    assert_eq!(compress(&text, &starts, 3).len() * 3 + 2, stream.len(), "a call leaves nothing behind for the next");
}

#[test]
fn skewed_counts_stay_within_fifteen_bits() {
    // Counts that grow like Fibonacci numbers make the deepest tree.
    let mut text = Vec::new();
    let (mut a, mut b) = (1_usize, 1_usize);
    for byte in 0..26_u8 {
        text.extend(std::iter::repeat_n(byte + b'a', a.min(200_000)));
        (a, b) = (b, a + b);
    }
    check(&text, &[], 1);
}

proptest! {
    #[test]
    fn any_bytes_and_any_hints(text in proptest::collection::vec(any::<u8>(), 0..3000), mut starts in proptest::collection::vec(0..4000_u32, 0..200), columns in 1..9_usize, sorted in any::<bool>()) {
        if sorted {
            starts.sort_unstable();
        }
        check(&text, &starts, columns);
    }

    #[test]
    fn any_table(rows in proptest::collection::vec(proptest::collection::vec("[ab01.,\"é]{0,40}", 5), 0..300)) {
        let (text, starts) = table(&rows);
        check(&text, &starts, 5);
    }
}
