//! Where the text repeats: tried at the starts of fields only.

use crate::tables::{DISTANCE_MAX, LENGTH_MAX};

/// Some literals, then a match (none if `length` is 0: the text ends, or the run is cut).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// Literals before the match.
    pub literals: u32,
    /// The match's length, 3 to 258, or 0.
    pub length: u16,
    /// The match's distance; 32,768 is its low 16 bits like any other, since 0 is no distance.
    pub distance: u16,
}

const HASH_BITS: u32 = 13;
/// Bytes that the long hash looks at.
const LONG: usize = 12;
/// Bytes that the short hash looks at: the shortest match that is taken.
const SHORT: usize = 5;

/// Finds matches; its tables hold offsets plus one, 0 is empty.
#[derive(Debug)]
pub struct Finder {
    long: Vec<u32>,
    short: Vec<u32>,
}

impl Default for Finder {
    fn default() -> Self {
        Self { long: vec![0; 1 << HASH_BITS], short: vec![0; 1 << HASH_BITS] }
    }
}

fn word(text: &[u8], at: usize) -> u64 {
    text.get(at..at + 8).map_or(0, |b| u64::from_le_bytes(b.try_into().expect("eight bytes")))
}

fn hash(value: u64) -> usize {
    (value.wrapping_mul(0x9E37_79B1_85EB_CA87) >> (64 - HASH_BITS)) as usize
}

/// How many bytes agree from `a` and from `b` on, `a < b`, at most `most`.
#[inline]
fn agreeing(text: &[u8], a: usize, b: usize, most: usize) -> usize {
    let most = most.min(text.len() - b);
    let (left, right) = (&text[a..a + most], &text[b..b + most]);
    let mut length = 0;
    let mut pairs = left.chunks_exact(8).zip(right.chunks_exact(8));
    for (x, y) in &mut pairs {
        let x = u64::from_le_bytes(x.try_into().expect("eight bytes"));
        let y = u64::from_le_bytes(y.try_into().expect("eight bytes"));
        if x != y {
            return length + ((x ^ y).trailing_zeros() / 8) as usize;
        }
        length += 8;
    }
    length + left[length..].iter().zip(&right[length..]).take_while(|(x, y)| x == y).count()
}

impl Finder {
    /// Cuts `text` into tokens that cover it exactly.
    pub fn find(&mut self, text: &[u8], field_starts: &[u32], columns: usize, tokens: &mut Vec<Token>) {
        tokens.clear();
        self.long.fill(0);
        self.short.fill(0);
        let mut at = 0; // everything before is in tokens
        let mut done = 0; // everything before is matched or literal for certain
        for (index, &start) in field_starts.iter().enumerate() {
            let start = start as usize;
            if start + 8 + LONG > text.len() {
                break;
            }
            let (long, short) = self.exchange(text, start);
            if start < done {
                continue;
            }
            let above = index.checked_sub(columns).map_or(0, |i| field_starts[i] as usize + 1);
            let Some((from, length)) = best(text, start, [above, long, short]) else { continue };
            at = push(tokens, at, start, from, length);
            done = at;
        }
        push_literals(tokens, text.len() - at);
    }

    /// The last fields that began with the same bytes (plus one, 0: none), replaced by this one.
    #[inline]
    fn exchange(&mut self, text: &[u8], start: usize) -> (usize, usize) {
        let first = word(text, start);
        let short = hash(first << (64 - 8 * SHORT));
        let long = hash(first ^ word(text, start + LONG - 8).rotate_left(29));
        let now = start as u32 + 1;
        let found = (self.long[long] as usize, self.short[short] as usize);
        self.long[long] = now;
        self.short[short] = now;
        found
    }
}

/// The longest match among places (plus one), if one pays: a far short one costs more bits than
/// its literals.
#[inline]
fn best(text: &[u8], start: usize, places: [usize; 3]) -> Option<(usize, usize)> {
    let mut found = (0, 0);
    for place in places {
        let Some(from) = place.checked_sub(1) else { continue };
        if from >= start || start - from > DISTANCE_MAX || from == found.0 && found.1 > 0 {
            continue;
        }
        // Matches longer than one token are cut in `push`.
        let length = agreeing(text, from, start, 4 * LENGTH_MAX);
        if length > found.1 {
            found = (from, length);
        }
    }
    let least = if start - found.0 > 4096 { SHORT + 1 } else { SHORT };
    (found.1 >= least).then_some(found)
}

/// Appends literals up to `start` and the match there; answers where it ends.
fn push(tokens: &mut Vec<Token>, at: usize, start: usize, from: usize, length: usize) -> usize {
    let mut literals = (start - at) as u32;
    let mut left = length;
    while left > 0 {
        // A rest of fewer than 3 bytes cannot be a match: take some from this one.
        let take = if left > LENGTH_MAX && left < LENGTH_MAX + 3 { LENGTH_MAX - 3 } else { left.min(LENGTH_MAX) };
        tokens.push(Token { literals, length: take as u16, distance: (start - from) as u16 });
        literals = 0;
        left -= take;
    }
    start + length
}

fn push_literals(tokens: &mut Vec<Token>, count: usize) {
    tokens.push(Token { literals: count as u32, length: 0, distance: 0 });
}
