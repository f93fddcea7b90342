//! The alphabets of RFC 1951, section 3.2.5.

/// Literals, end of block and lengths.
pub const LITERAL_CODES: usize = 286;
/// Distances.
pub const DISTANCE_CODES: usize = 30;
/// The code that ends a block.
pub const END_OF_BLOCK: usize = 256;
/// The longest match.
pub const LENGTH_MAX: usize = 258;
/// The farthest match.
pub const DISTANCE_MAX: usize = 32_768;

/// Code, extra bits and their number of a match's length, 3 to 258.
#[inline]
pub fn length_code(length: u16) -> (usize, u32, u32) {
    if length == 258 {
        return (285, 0, 0);
    }
    let offset = u32::from(length) - 3;
    if offset < 8 {
        return (257 + offset as usize, 0, 0);
    }
    let extra_bits = offset.ilog2() - 2;
    let code = 257 + 4 * extra_bits + (offset >> extra_bits);
    (code as usize, offset & ((1 << extra_bits) - 1), extra_bits)
}

/// Code, extra bits and their number of a match's distance, 1 to 32,768.
#[inline]
pub fn distance_code(distance: u16) -> (usize, u32, u32) {
    // A distance of 32,768 is kept as 0 less one: see `Token`.
    let offset = u32::from(distance.wrapping_sub(1));
    if offset < 4 {
        return (offset as usize, 0, 0);
    }
    let extra_bits = offset.ilog2() - 1;
    let code = 2 * extra_bits + (offset >> extra_bits);
    (code as usize, offset & ((1 << extra_bits) - 1), extra_bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tables as the RFC prints them: first value and extra bits of each code.
    const LENGTHS: [(u16, u32); 29] = [
        (3, 0),
        (4, 0),
        (5, 0),
        (6, 0),
        (7, 0),
        (8, 0),
        (9, 0),
        (10, 0),
        (11, 1),
        (13, 1),
        (15, 1),
        (17, 1),
        (19, 2),
        (23, 2),
        (27, 2),
        (31, 2),
        (35, 3),
        (43, 3),
        (51, 3),
        (59, 3),
        (67, 4),
        (83, 4),
        (99, 4),
        (115, 4),
        (131, 5),
        (163, 5),
        (195, 5),
        (227, 5),
        (258, 0),
    ];
    const DISTANCES: [(u32, u32); 30] = [
        (1, 0),
        (2, 0),
        (3, 0),
        (4, 0),
        (5, 1),
        (7, 1),
        (9, 2),
        (13, 2),
        (17, 3),
        (25, 3),
        (33, 4),
        (49, 4),
        (65, 5),
        (97, 5),
        (129, 6),
        (193, 6),
        (257, 7),
        (385, 7),
        (513, 8),
        (769, 8),
        (1025, 9),
        (1537, 9),
        (2049, 10),
        (3073, 10),
        (4097, 11),
        (6145, 11),
        (8193, 12),
        (12289, 12),
        (16385, 13),
        (24577, 13),
    ];

    #[test]
    fn codes_are_those_of_the_rfc() {
        for length in 3..=258_u16 {
            let code = LENGTHS.iter().rposition(|(first, _)| *first <= length).unwrap();
            let (first, bits) = LENGTHS[code];
            assert_eq!(length_code(length), (257 + code, u32::from(length - first), bits), "{length}");
        }
        for distance in 1..=32_768_u32 {
            let code = DISTANCES.iter().rposition(|(first, _)| *first <= distance).unwrap();
            let (first, bits) = DISTANCES[code];
            assert_eq!(distance_code(distance as u16), (code, distance - first, bits), "{distance}");
        }
    }
}
