//! Text into DEFLATE blocks that can be joined to others, and nothing else: the one place to put a
//! faster compressor.
//!
//! Invariant of [`deflate`]: the result ends on a byte boundary, has no final block, refers to
//! nothing before itself, and depends on its input alone.

use std::cell::RefCell;

use flate2::{Compress, Compression, FlushCompress, Status};

struct Compressor {
    state: Compress,
    buffer: Vec<u8>,
}

thread_local! {
    // The compressor's tables are a quarter of a megabyte: made once per thread, reset per chunk.
    static COMPRESSOR: RefCell<Compressor> = RefCell::new(Compressor { state: Compress::new(Compression::fast(), false), buffer: Vec::new() });
}

/// Compresses `text` into blocks that end with a sync flush.
pub fn deflate(text: &[u8]) -> Vec<u8> {
    if text.is_empty() {
        return Vec::new();
    }
    COMPRESSOR.with_borrow_mut(|compressor| {
        let Compressor { state, buffer } = compressor;
        state.reset();
        buffer.clear();
        // Room for the worst case at once: where the output is cut must never matter.
        buffer.reserve(text.len() + text.len() / 8 + 1024);
        loop {
            let taken = usize::try_from(state.total_in()).expect("a chunk fits into memory");
            let status = state
                .compress_vec(&text[taken..], buffer, FlushCompress::Sync)
                .expect("a fresh compressor takes any text");
            let done = state.total_in() as usize == text.len() && buffer.len() < buffer.capacity();
            if done {
                break;
            }
            assert!(!matches!(status, Status::StreamEnd), "a sync flush never ends the stream");
            buffer.reserve(64 * 1024);
        }
        buffer.as_slice().to_vec()
    })
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
        let mut stream: Vec<u8> = pieces.iter().flat_map(|p| deflate(p)).collect();
        assert_eq!(deflate(&pieces[0]), deflate(&pieces[0]));
        stream.extend_from_slice(&[0x03, 0x00]); // an empty final block
        let mut text = Vec::new();
        flate2::read::DeflateDecoder::new(stream.as_slice()).read_to_end(&mut text).unwrap();
        assert_eq!(text, pieces.concat());
    }
}
