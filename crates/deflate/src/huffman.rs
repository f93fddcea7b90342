//! Huffman codes of limited length, and the header that tells a decoder of them.

use crate::bits::BitWriter;
use crate::tables::{DISTANCE_CODES, LITERAL_CODES};

/// A code as it is written: its bits reversed, and how many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// The bits, first one lowest.
    pub code: u16,
    /// How many.
    pub length: u8,
}

/// The codes of an alphabet.
#[derive(Debug)]
pub struct Codes<const N: usize> {
    /// By symbol; length 0 where the symbol does not occur.
    pub entries: [Entry; N],
}

impl<const N: usize> Codes<N> {
    /// The best codes of at most `length_max` bits for these counts, near enough: lengths beyond
    /// the limit are cut and paid for by the cheapest others. At least two symbols get a code, so
    /// that every decoder takes the table.
    pub fn of(counts: &[u32; N], length_max: u8) -> Self {
        let mut symbols: Vec<(u32, u16)> =
            (0..N as u16).map(|s| (counts[usize::from(s)], s)).filter(|(c, _)| *c > 0).collect();
        for symbol in 0..N as u16 {
            if symbols.len() >= 2 {
                break;
            }
            if counts[usize::from(symbol)] == 0 {
                symbols.push((1, symbol));
            }
        }
        symbols.sort_unstable();
        let mut lengths = tree_lengths(&symbols);
        limit(&mut lengths, length_max);
        let mut by_symbol = [0_u8; N];
        for ((_, symbol), length) in symbols.iter().zip(lengths) {
            by_symbol[usize::from(*symbol)] = length;
        }
        Self { entries: canonical(&by_symbol) }
    }
}

/// Depths of the leaves of a Huffman tree; `symbols` are sorted by count.
fn tree_lengths(symbols: &[(u32, u16)]) -> Vec<u8> {
    let leaves = symbols.len();
    let mut weights: Vec<u64> = symbols.iter().map(|(c, _)| u64::from(*c)).collect();
    let mut parents = vec![0_usize; 2 * leaves - 1];
    let (mut leaf, mut inner) = (0, leaves);
    for next in leaves..2 * leaves - 1 {
        let mut sum = 0;
        for _ in 0..2 {
            let take_leaf = leaf < leaves && (inner >= next || weights[leaf] <= weights[inner]);
            let node = if take_leaf { &mut leaf } else { &mut inner };
            sum += weights[*node];
            parents[*node] = next;
            *node += 1;
        }
        weights.push(sum);
    }
    let mut depths = vec![0_u8; 2 * leaves - 1];
    for node in (0..2 * leaves - 2).rev() {
        depths[node] = depths[parents[node]].saturating_add(1);
    }
    depths.truncate(leaves);
    depths
}

/// Cuts lengths at `most` and lengthens others until the code is prefix-free again. Lengths come
/// by ascending count, so longest first.
fn limit(lengths: &mut [u8], most: u8) {
    let unit = |length: u8| 1_u64 << (most - length);
    for length in lengths.iter_mut() {
        *length = (*length).min(most);
    }
    let room = 1_u64 << most;
    let mut used: u64 = lengths.iter().map(|&l| unit(l)).sum();
    while used > room {
        // The rarest symbol whose code can grow.
        let rarest = lengths.iter_mut().find(|l| **l < most).expect("an alphabet of 286 fits into 15 bits");
        used -= unit(*rarest) / 2;
        *rarest += 1;
    }
    // What that left over goes to the most frequent symbols that can use it.
    for length in lengths.iter_mut().rev() {
        while *length > 1 && used + unit(*length) <= room {
            used += unit(*length);
            *length -= 1;
        }
    }
}

/// Codes in the order of RFC 1951, section 3.2.2.
fn canonical<const N: usize>(lengths: &[u8; N]) -> [Entry; N] {
    let mut next = [0_u32; 17];
    for &length in lengths.iter().filter(|l| **l > 0) {
        next[usize::from(length) + 1] += 1;
    }
    for length in 1..17 {
        next[length] = (next[length] + next[length - 1]) << u32::from(length > 1);
    }
    std::array::from_fn(|symbol| {
        let length = lengths[symbol];
        if length == 0 {
            return Entry::default();
        }
        let code = next[usize::from(length)];
        next[usize::from(length)] += 1;
        Entry { code: (code as u16).reverse_bits() >> (16 - length), length }
    })
}

/// The order in which the lengths of the code-length alphabet are sent.
const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// Begins a block that is not the last, with codes of its own.
pub fn write_header(literals: &Codes<LITERAL_CODES>, distances: &Codes<DISTANCE_CODES>, bits: &mut BitWriter<'_>) {
    let used = |entries: &[Entry], least: usize| {
        entries.iter().rposition(|e| e.length > 0).map_or(least, |i| (i + 1).max(least))
    };
    let literals_used = used(&literals.entries, 257);
    let distances_used = used(&distances.entries, 1);
    let lengths: Vec<u8> = literals.entries[..literals_used]
        .iter()
        .chain(&distances.entries[..distances_used])
        .map(|e| e.length)
        .collect();
    let runs = run_lengths(&lengths);
    let mut counts = [0_u32; 19];
    for &(symbol, _, _) in &runs {
        counts[usize::from(symbol)] += 1;
    }
    let codes = Codes::<19>::of(&counts, 7);
    let sent = ORDER.iter().rposition(|&s| codes.entries[s].length > 0).map_or(4, |i| (i + 1).max(4));
    bits.put(0b100, 3); // not the last; codes follow
    bits.put(literals_used as u64 - 257, 5);
    bits.put(distances_used as u64 - 1, 5);
    bits.put(sent as u64 - 4, 4);
    bits.flush();
    for &symbol in &ORDER[..sent] {
        bits.put(u64::from(codes.entries[symbol].length), 3);
        bits.flush();
    }
    for (symbol, extra, extra_bits) in runs {
        bits.code(codes.entries[usize::from(symbol)]);
        bits.put(u64::from(extra), extra_bits);
        bits.flush();
    }
}

/// Code lengths as symbols of the code-length alphabet: symbol, extra bits, their number.
fn run_lengths(lengths: &[u8]) -> Vec<(u8, u8, u32)> {
    let mut runs = Vec::new();
    for run in lengths.chunk_by(|a, b| a == b) {
        let (length, mut left) = (run[0], run.len());
        if length == 0 {
            while left >= 3 {
                let take = left.min(138);
                runs.push(if take <= 10 { (17, take as u8 - 3, 3) } else { (18, take as u8 - 11, 7) });
                left -= take;
            }
        } else {
            runs.push((length, 0, 0));
            left -= 1;
            while left >= 3 {
                let take = left.min(6);
                runs.push((16, take as u8 - 3, 2));
                left -= take;
            }
        }
        runs.extend(std::iter::repeat_n((length, 0, 0), left));
    }
    runs
}

#[cfg(test)]
mod tests;
