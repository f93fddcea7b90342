//! A DEFLATE encoder (RFC 1951) for tables as text, fed by whoever lays the text down.
//!
//! A general compressor spends its time searching for matches at every byte. In a table the places
//! where something repeats are known: fields begin there. [`Encoder::compress`] is told where
//! fields begin and looks only at those places: at the same column of the row above, and at the
//! last field that began with the same bytes. Matches run on over as many fields as agree.
//!
//! Field starts are hints: whatever they are, the output inflates to exactly the text.
//!
//! The output of one call is a run of non-final blocks that ends on a byte boundary and refers to
//! nothing before itself, so that outputs can be joined in any order; [`FINAL_BLOCK`] ends a
//! stream. Equal input gives equal output. No I/O, no `unsafe`, no dependencies.

mod bits;
mod huffman;
mod matches;
mod tables;

use bits::{BitWriter, LITERAL_BITS_MAX};
use matches::{Finder, Token};
use tables::{DISTANCE_CODES, END_OF_BLOCK, LITERAL_CODES, distance_code, length_code};

/// What ends a DEFLATE stream made of joined outputs: a final, empty block.
pub const FINAL_BLOCK: [u8; 2] = [0x03, 0x00];

/// Tokens in a block at most: tables of codes stay fitted to what they code.
const TOKENS_PER_BLOCK: usize = 1 << 16;
/// Of a block with at least so many tokens only a part is counted, ...
const SAMPLED_FROM: usize = 1 << 14;
/// ... one of so many runs ...
const SAMPLED_RUNS: usize = 8;
/// ... of so many tokens: long enough not to fall into step with the columns of a table.
const SAMPLED_TOKENS: usize = 64;
/// More than a block's header, its end and the writer's slack can take.
const HEADER_BYTES_MAX: usize = 1024;
/// What a literal takes at most.
const LITERAL_BYTES_MAX: usize = 2;
/// What a match takes at most: codes of 15 bits each, and 5 and 13 bits more.
const MATCH_BYTES_MAX: usize = 6;

/// Compresses texts one after the other; keeps its memory between calls, nothing else.
#[derive(Debug, Default)]
pub struct Encoder {
    finder: Finder,
    tokens: Vec<Token>,
    blocks: Blocks,
    buffer: Vec<u8>,
}

impl Encoder {
    /// Appends `text`, compressed, to `out`.
    ///
    /// `field_starts` are the offsets in `text` where fields begin, in ascending order (others
    /// are passed over), `columns` of them to a row. Texts of 4 GiB and more are not taken: cut
    /// them first; more than about 1 MiB at a time gains nothing.
    ///
    /// # Panics
    /// If `text` is 4 GiB or longer.
    pub fn compress(&mut self, text: &[u8], field_starts: &[u32], columns: usize, out: &mut Vec<u8>) {
        assert!(u32::try_from(text.len()).is_ok(), "texts are cut before they reach 4 GiB");
        let literals = self.finder.find(text, field_starts, columns, &mut self.tokens);
        let most = literals * LITERAL_BYTES_MAX
            + self.tokens.len() * MATCH_BYTES_MAX
            + (self.tokens.len() / TOKENS_PER_BLOCK + 1) * HEADER_BYTES_MAX;
        if self.buffer.len() < most {
            self.buffer.resize(most, 0);
        }
        let mut bits = BitWriter::new(&mut self.buffer);
        let mut at = 0;
        for tokens in self.tokens.chunks(TOKENS_PER_BLOCK) {
            at = self.blocks.write(text, at, tokens, &mut bits);
        }
        let written = bits.empty_stored_block();
        out.extend_from_slice(&self.buffer[..written]);
    }
}

/// Writes blocks; holds the counts and codes of the one being written.
#[derive(Debug)]
struct Blocks {
    literals: [u32; LITERAL_CODES],
    distances: [u32; DISTANCE_CODES],
}

impl Default for Blocks {
    fn default() -> Self {
        Self { literals: [0; LITERAL_CODES], distances: [0; DISTANCE_CODES] }
    }
}

impl Blocks {
    /// Writes the tokens that begin at offset `at` of `text` as one block; answers where they end.
    fn write(&mut self, text: &[u8], at: usize, tokens: &[Token], bits: &mut BitWriter<'_>) -> usize {
        let end = self.count(text, at, tokens);
        let literal_codes = huffman::Codes::<LITERAL_CODES>::of(&self.literals, LITERAL_BITS_MAX);
        let distance_codes = huffman::Codes::<DISTANCE_CODES>::of(&self.distances, 15);
        huffman::write_header(&literal_codes, &distance_codes, bits);
        let (literal, _) = literal_codes.entries.split_first_chunk::<256>().expect("286 codes");
        let lengths = Lengths::of(&literal_codes);
        let distance = &distance_codes.entries;
        let mut at = at;
        for token in tokens {
            let literals_end = at + token.literals as usize;
            bits.codes(&text[at..literals_end], literal);
            at = literals_end;
            if token.length > 0 {
                let (value, count) = lengths.0[usize::from(token.length)];
                bits.put(u64::from(value), u32::from(count));
                let (code, extra, extra_bits) = distance_code(token.distance);
                let entry = distance[code];
                bits.put(
                    u64::from(entry.code) | u64::from(extra) << entry.length,
                    u32::from(entry.length) + extra_bits,
                );
                bits.flush();
                at += token.length as usize;
            }
        }
        bits.code(literal_codes.entries[END_OF_BLOCK]);
        bits.flush();
        debug_assert_eq!(at, end);
        end
    }

    /// Counts the symbols of the tokens that begin at offset `at` of `text`; answers where they end.
    /// Of many tokens a part is counted, which tells as much as all of them; then every symbol that
    /// may occur gets a code, seen or not.
    fn count(&mut self, text: &[u8], at: usize, tokens: &[Token]) -> usize {
        let sampled = tokens.len() >= SAMPLED_FROM;
        self.literals.fill(0);
        self.distances.fill(0);
        self.literals[END_OF_BLOCK] = 1;
        if sampled {
            self.literals[..if text.is_ascii() { 128 } else { 256 }].fill(1);
            self.literals[END_OF_BLOCK..].fill(1);
            self.distances.fill(1);
        }
        let mut at = at;
        for (number, run) in tokens.chunks(SAMPLED_TOKENS).enumerate() {
            if sampled && number % SAMPLED_RUNS != 0 {
                at += run.iter().map(|t| t.literals as usize + usize::from(t.length)).sum::<usize>();
                continue;
            }
            for token in run {
                let literals_end = at + token.literals as usize;
                for &byte in &text[at..literals_end] {
                    self.literals[usize::from(byte)] += 1;
                }
                at = literals_end + usize::from(token.length);
                if token.length > 0 {
                    self.literals[length_code(token.length).0] += 1;
                    self.distances[distance_code(token.distance).0] += 1;
                }
            }
        }
        at
    }
}

/// Code and extra bits of every length as one value, and how many bits.
struct Lengths([(u32, u8); 259]);

impl Lengths {
    fn of(codes: &huffman::Codes<LITERAL_CODES>) -> Self {
        Self(std::array::from_fn(|length| {
            if length < 3 {
                return (0, 0);
            }
            let (code, extra, extra_bits) = length_code(length as u16);
            let entry = codes.entries[code];
            (u32::from(entry.code) | extra << entry.length, entry.length + extra_bits as u8)
        }))
    }
}

#[cfg(test)]
mod tests;
