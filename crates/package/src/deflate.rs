//! Pieces of DEFLATE streams and how they are joined.
//!
//! A piece ends on a byte boundary, has no final block and refers to nothing before itself
//! (RFC 1951, 3.2.3); pieces one after another and [`FINAL_BLOCK`] are one valid stream.

use std::io;

use bytes::Bytes;
use flate2::{Compress, Compression, FlushCompress};

/// An empty block with fixed codes that is marked final: ends a stream of joined pieces.
pub(crate) const FINAL_BLOCK: &[u8] = &[0x03, 0x00];

/// A gzip member's header (RFC 1952): deflate, no flags, no time, unknown system. Nothing in it
/// depends on when or where the file is made.
pub(crate) const GZIP_HEADER: &[u8] = &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// A text with its deflated form.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    pub(crate) text: Bytes,
    pub(crate) deflated: Bytes,
    pub(crate) crc32: u32,
}

impl Piece {
    /// Deflates `text` so that it can be joined to others.
    pub(crate) fn new(text: &[u8]) -> io::Result<Self> {
        let mut stream = Compress::new(Compression::default(), false);
        let mut deflated = Vec::with_capacity(text.len() / 2 + 64);
        // A sync flush is complete only when it left room in the output.
        loop {
            let consumed = usize::try_from(stream.total_in()).map_err(io::Error::other)?;
            stream.compress_vec(&text[consumed..], &mut deflated, FlushCompress::Sync).map_err(io::Error::other)?;
            if stream.total_in() == text.len() as u64 && deflated.len() < deflated.capacity() {
                break;
            }
            deflated.reserve(deflated.capacity());
        }
        Ok(Self { text: Bytes::copy_from_slice(text), deflated: deflated.into(), crc32: crc32fast::hash(text) })
    }
}

/// What is known of the pieces that were joined so far.
#[derive(Debug, Default)]
pub(crate) struct Joined {
    crc: crc32fast::Hasher,
    deflated_bytes: u64,
}

impl Joined {
    /// Adds a piece whose CRC-32 is known.
    pub(crate) fn add(&mut self, crc32: u32, text: &Bytes, deflated: &Bytes) {
        self.crc.combine(&crc32fast::Hasher::new_with_initial_len(crc32, text.len() as u64));
        self.deflated_bytes += deflated.len() as u64;
    }

    /// CRC-32 of the text.
    pub(crate) fn crc32(&self) -> u32 {
        self.crc.clone().finalize()
    }

    /// Bytes of the text.
    pub(crate) fn text_bytes(&self) -> u64 {
        self.crc.total_len()
    }

    /// Bytes of the deflated stream, without its final block.
    pub(crate) fn deflated_bytes(&self) -> u64 {
        self.deflated_bytes
    }

    /// What ends a gzip member: CRC-32 and length of the text modulo 2^32.
    pub(crate) fn gzip_trailer(&self) -> Bytes {
        let length = self.text_bytes() % (1 << 32);
        let length = u32::try_from(length).expect("a remainder of 2^32 has 32 bits");
        [self.crc32().to_le_bytes(), length.to_le_bytes()].concat().into()
    }
}
