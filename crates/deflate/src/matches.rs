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
const LONG: usize = 14;
/// Bytes that the short hash looks at: the shortest match that is taken.
const SHORT: usize = 7;

/// Offsets by hash. What is not set is 0, which is an offset like any other: every candidate is
/// compared with the text.
type Offsets = Box<[u32; 1 << HASH_BITS]>;

/// Finds matches.
#[derive(Debug)]
pub struct Finder {
    long: Offsets,
    short: Offsets,
}

impl Default for Finder {
    fn default() -> Self {
        Self { long: Box::new([0; 1 << HASH_BITS]), short: Box::new([0; 1 << HASH_BITS]) }
    }
}

/// The eight bytes from `at` on, first one lowest; 0 where there are fewer.
#[inline]
fn word(text: &[u8], at: usize) -> u64 {
    text.get(at..at + 8).map_or(0, |b| u64::from_le_bytes(b.try_into().expect("eight bytes")))
}

fn hash(value: u64) -> usize {
    (value.wrapping_mul(0x9E37_79B1_85EB_CA87) >> (64 - HASH_BITS)) as usize
}

/// How many bytes agree from `from` and from `start` on, `from < start`, at most `most`; the first
/// `length` of them are known to.
#[inline]
fn agreeing(text: &[u8], from: usize, start: usize, mut length: usize, most: usize) -> usize {
    let most = most.min(text.len() - start);
    let (left, right) = (&text[from..from + most], &text[start..start + most]);
    while length + 8 <= most {
        let differ = word(left, length) ^ word(right, length);
        if differ != 0 {
            return length + (differ.trailing_zeros() / 8) as usize;
        }
        length += 8;
    }
    length + left[length..].iter().zip(&right[length..]).take_while(|(x, y)| x == y).count()
}

/// How many bytes agree before `from` and before `start`, at most 8.
#[inline]
fn agreeing_before(text: &[u8], from: usize, start: usize) -> usize {
    if from < 8 {
        return 0;
    }
    ((word(text, from - 8) ^ word(text, start - 8)).leading_zeros() / 8) as usize
}

impl Finder {
    /// Cuts `text` into tokens that cover it exactly; answers how many bytes are literals.
    pub fn find(&mut self, text: &[u8], field_starts: &[u32], columns: usize, tokens: &mut Vec<Token>) -> usize {
        tokens.clear();
        self.long.fill(0);
        self.short.fill(0);
        let mut at = 0; // everything before is in tokens
        let mut matched = 0;
        for (index, &start) in field_starts.iter().enumerate() {
            let start = start as usize;
            if start + LONG > text.len() {
                break;
            }
            let here = word(text, start);
            if start < at {
                // Long matches that begin in here were begun before it.
                self.short[hash(here << (64 - 8 * SHORT))] = start as u32;
                continue;
            }
            let (long, short) = self.exchange(text, start, here);
            let above = index.checked_sub(columns).map_or(start, |i| field_starts[i] as usize);
            // The last place with the same first bytes is asked only where neither the row above nor a
            // longer agreement gives a match.
            let found = best(text, start, here, [above, long]).or_else(|| best(text, start, here, [short]));
            let Some((from, length)) = found else { continue };
            // The separator at least, often the end of the field before it.
            let before = agreeing_before(text, from, start).min(start - at);
            at = push(tokens, at, start - before, from - before, length + before);
            matched += length + before;
        }
        push_literals(tokens, text.len() - at);
        text.len() - matched
    }

    /// The last fields that began with the same bytes, replaced by this one, which begins with
    /// `here`.
    #[inline]
    fn exchange(&mut self, text: &[u8], start: usize, here: u64) -> (usize, usize) {
        let short = hash(here << (64 - 8 * SHORT));
        let long = hash(here ^ word(text, start + LONG - 8).rotate_left(29));
        let now = start as u32;
        let found = (self.long[long] as usize, self.short[short] as usize);
        self.long[long] = now;
        self.short[short] = now;
        found
    }
}

/// The longest match among places, if there is one of at least [`SHORT`] bytes. A place may be
/// anywhere; one that is not before `start`, or too far, is none.
#[inline]
fn best<const N: usize>(text: &[u8], start: usize, here: u64, places: [usize; N]) -> Option<(usize, usize)> {
    // All are looked at before the first branch, since none can be predicted.
    let differs = places.map(|from| {
        let differ = here ^ word(text, from);
        let reached = start.wrapping_sub(from).wrapping_sub(1) < DISTANCE_MAX;
        if reached { differ } else { 1 }
    });
    if differs.iter().fold(true, |none, d| none & (d << (64 - 8 * SHORT) != 0)) {
        return None;
    }
    let mut found = (start, 0);
    for (from, differ) in places.into_iter().zip(differs) {
        if differ != 0 {
            let length = (differ.trailing_zeros() / 8) as usize;
            if length > found.1 {
                found = (from, length);
            }
        } else if from != found.0 {
            // Matches longer than one token are cut in `push`.
            let length = agreeing(text, from, start, 8, 4 * LENGTH_MAX);
            if length > found.1 {
                found = (from, length);
            }
        }
    }
    (found.1 >= SHORT).then_some(found)
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
