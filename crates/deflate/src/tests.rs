//! Every output inflates, by independent decoders, to exactly the text: zlib-rs and libdeflate
//! here, Python's zlib in `python`.

mod python;
mod tables;

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
    let mut decoder = flate2::read::DeflateDecoder::new(stream);
    decoder.read_to_end(&mut inflated).expect("zlib-rs takes it");
    assert!(inflated == text, "zlib-rs inflates to another text");
    assert_eq!(decoder.total_in(), stream.len() as u64, "nothing follows the final block");
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

/// Where lines begin.
fn lines(text: &[u8]) -> Vec<u32> {
    let after = |(i, b): (usize, &u8)| (*b == b'\n').then_some(i as u32 + 1);
    std::iter::once(0).chain(text.iter().enumerate().filter_map(after)).collect()
}

/// Texts at limits of the format, and where their fields start.
fn edges() -> Vec<(Vec<u8>, Vec<u32>)> {
    let mut edges: Vec<(Vec<u8>, Vec<u32>)> =
        vec![(vec![], vec![]), (b"a".to_vec(), vec![0]), (vec![b'a'; 62], vec![0, 1, 2, 3])];
    // Around one token's length, and around what is tried at once.
    for length in (20..30).chain(255..265).chain(510..522).chain(1030..1040) {
        let row: Vec<u8> = (0..length).map(|i| b'a' + (i % 23) as u8).collect();
        edges.push((row.repeat(3), vec![0, length, 2 * length]));
    }
    // Around the farthest distance.
    let first = "the same forty characters in every field";
    for gap in [32_727_usize, 32_728, 32_729, 40_000] {
        let at = (first.len() + gap) as u32;
        let text = format!("{first}{}{first}{first}", "x".repeat(gap));
        edges.push((text.into_bytes(), vec![0, at, at + first.len() as u32]));
    }
    // All 256 bytes, equally often and once.
    edges.push(((0..=255).collect::<Vec<u8>>().repeat(300), vec![]));
    edges.push(((0..=255).collect(), vec![0]));
    // Counts that grow like Fibonacci numbers make the deepest tree.
    let mut text = Vec::new();
    let (mut a, mut b) = (1_usize, 1_usize);
    for byte in b'a'..=b'z' {
        text.extend(std::iter::repeat_n(byte, a.min(200_000)));
        (a, b) = (b, a + b);
    }
    edges.push((text, vec![]));
    edges.push(many_blocks());
    edges
}

/// Enough short matches for several blocks, and one token more than two of them hold.
fn many_blocks() -> (Vec<u8>, Vec<u32>) {
    let row = |i: u32| format!("same,{:x}{:08x}\r\n", i % 11, i.wrapping_mul(2_654_435_761));
    let text: String = (0..150_000).map(row).collect();
    let starts = lines(text.as_bytes());
    (text.into_bytes(), starts)
}

#[test]
fn texts_at_the_limits_of_the_format() {
    for (text, starts) in edges() {
        for columns in [0, 1, 2, usize::MAX] {
            check(&text, &starts, columns);
        }
    }
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
fn several_blocks_are_written_and_each_has_codes_of_its_own() {
    let (text, starts) = many_blocks();
    let mut tokens = Vec::new();
    matches::Finder::default().find(&text, &starts, 1, &mut tokens);
    assert!(tokens.len() > 2 * TOKENS_PER_BLOCK, "{} tokens", tokens.len());
    // Letters first and digits after: one table for both would need a bit more for each.
    let letters: String = (0..70_000_u32).map(|i| format!("same,{}\r\n", letters_of(i))).collect();
    let both = [letters.as_bytes(), &text].concat();
    let (one, other) = (check(letters.as_bytes(), &lines(letters.as_bytes()), 1), check(&text, &starts, 1));
    let together = check(&both, &lines(&both), 1);
    assert!(together < (one + other) * 102 / 100, "{together} bytes, {one} and {other} alone");
}

fn letters_of(i: u32) -> String {
    let noise = i.wrapping_mul(2_246_822_519) ^ i.rotate_left(13);
    (0..8).map(|at| char::from(b'g' + (noise >> (4 * at) & 15) as u8)).collect()
}

#[test]
fn right_hints_find_what_repeats_and_wrong_ones_only_cost_size() {
    let row =
        |i: u32| format!("1000042,EnrollmentNumber,{i:07},\"Fabrikam, Inc.\",{:.2},EUR\r\n", f64::from(i % 977) * 1.7);
    let text: String = (0..20_000).map(row).collect();
    let starts: Vec<u32> =
        lines(text.as_bytes()).windows(2).flat_map(|line| [0, 8, 25, 33].map(|at| line[0] + at)).collect();
    let with = check(text.as_bytes(), &starts, 4);
    let without = check(text.as_bytes(), &[], 4);
    assert!(with * 3 < without, "{with} bytes with hints, {without} without");
    let beside: Vec<u32> = starts.iter().map(|s| s + 3).collect();
    check(text.as_bytes(), &beside, 3);
}

#[test]
fn noise_grows_by_next_to_nothing() {
    let mut state = 1_u64;
    let noise: Vec<u8> = (0..200_000)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        })
        .collect();
    let starts: Vec<u32> = (0..200_000).step_by(7).collect();
    assert!(check(&noise, &starts, 5) < noise.len() + noise.len() / 500 + 500);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_bytes_and_any_starts(text in prop::collection::vec(any::<u8>(), 0..3000), starts in prop::collection::vec(0..4000_u32, 0..200), columns in any::<usize>()) {
        check(&text, &starts, columns);
    }

    #[test]
    fn any_table_under_any_hints(table in tables::table(), hints in tables::hints()) {
        let (text, starts) = table.text();
        let (starts, columns) = hints.of(&text, starts, table.width());
        check(&text, &starts, columns);
    }

    /// What was compressed before, by the same encoder, changes nothing: pieces are equal alone
    /// and in company, and join in any order.
    #[test]
    fn outputs_join_in_any_order(pieces in prop::collection::vec((tables::table(), tables::hints()), 1..5), first in any::<prop::sample::Index>()) {
        let pieces: Vec<_> = pieces.iter().map(|(table, hints)| {
            let (text, starts) = table.text();
            let (starts, columns) = hints.of(&text, starts, table.width());
            (text, starts, columns)
        }).collect();
        let (mut encoder, mut stream, mut all) = (Encoder::default(), Vec::new(), Vec::new());
        let turned = first.index(pieces.len());
        for (text, starts, columns) in pieces[turned..].iter().chain(&pieces[..turned]) {
            let begin = stream.len();
            encoder.compress(text, starts, *columns, &mut stream);
            prop_assert!(stream[begin..] == compress(text, starts, *columns));
            all.extend_from_slice(text);
        }
        stream.extend_from_slice(&FINAL_BLOCK);
        assert_inflates(&stream, &all);
    }
}
