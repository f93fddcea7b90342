//! Text into DEFLATE blocks that can be joined to others, and nothing else.
//!
//! Invariant of [`deflate`]: the result ends on a byte boundary, has no final block, refers to
//! nothing before itself, and depends on its input alone.

use std::cell::RefCell;

use payouts_deflate::Encoder;

thread_local! {
    // The encoder's tables and buffers are made once per thread.
    static ENCODER: RefCell<Encoder> = RefCell::default();
}

/// Appends `text`, compressed into blocks that end on a byte boundary, to `out`. `starts` says
/// where its fields begin, `columns` of them to a row.
pub fn deflate(text: &[u8], starts: &[u32], columns: usize, out: &mut Vec<u8>) {
    if !text.is_empty() {
        ENCODER.with_borrow_mut(|encoder| encoder.compress(text, starts, columns, out));
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn pieces_join_into_one_stream() {
        let mut state = 1_u64;
        let mut noise = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        };
        let pieces =
            [b"participantID,earned\r\n".repeat(5000), vec![], (0..300_000).map(|_| noise()).collect(), b"x".to_vec()];
        let mut stream = Vec::new();
        for piece in &pieces {
            deflate(piece, &[0, 22], 1, &mut stream);
        }
        stream.extend_from_slice(&[0x03, 0x00]); // an empty final block
        let mut text = Vec::new();
        flate2::read::DeflateDecoder::new(stream.as_slice()).read_to_end(&mut text).unwrap();
        assert_eq!(text, pieces.concat());
    }
}
