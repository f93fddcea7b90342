//! Bits into bytes, least significant first.

use crate::huffman::Entry;

/// Writes bits into a buffer that is large enough for what comes (see [`BitWriter::new`]). At most
/// 63 bits may wait between flushes.
#[derive(Debug)]
pub struct BitWriter<'a> {
    buffer: &'a mut [u8],
    at: usize,
    waiting: u64,
    count: u32,
}

/// Bits of the longest literal code: four of them fit beside the 7 bits that a flush may leave.
pub const LITERAL_BITS_MAX: u8 = 14;

impl<'a> BitWriter<'a> {
    /// Writes from the start of `buffer`, which is at least eight bytes longer than all that will
    /// be written.
    pub fn new(buffer: &'a mut [u8]) -> Self {
        Self { buffer, at: 0, waiting: 0, count: 0 }
    }

    /// Adds the low `count` bits of `value`, whose other bits are 0.
    #[inline]
    pub fn put(&mut self, value: u64, count: u32) {
        self.waiting |= value << self.count;
        self.count += count;
    }

    /// Adds a code.
    #[inline]
    pub fn code(&mut self, entry: Entry) {
        self.put(u64::from(entry.code), u32::from(entry.length));
    }

    /// Moves whole bytes out, so that fewer than 8 bits wait.
    #[inline]
    pub fn flush(&mut self) {
        self.buffer[self.at..self.at + 8].copy_from_slice(&self.waiting.to_le_bytes());
        self.at += (self.count >> 3) as usize;
        self.waiting >>= self.count & 0x38;
        self.count &= 7;
    }

    /// Adds the codes of `bytes`; flushed before and after.
    #[inline]
    pub fn codes(&mut self, bytes: &[u8], entries: &[Entry; 256]) {
        let mut fours = bytes.chunks_exact(4);
        for four in &mut fours {
            self.code(entries[usize::from(four[0])]);
            self.code(entries[usize::from(four[1])]);
            self.code(entries[usize::from(four[2])]);
            self.code(entries[usize::from(four[3])]);
            self.flush();
        }
        for byte in fours.remainder() {
            self.code(entries[usize::from(*byte)]);
        }
        self.flush();
    }

    /// Ends on a byte boundary with an empty stored block that is not the last; answers how many
    /// bytes were written in all.
    pub fn empty_stored_block(mut self) -> usize {
        self.put(0, 3);
        self.count = self.count.next_multiple_of(8);
        self.flush();
        self.buffer[self.at..self.at + 4].copy_from_slice(&[0x00, 0x00, 0xff, 0xff]);
        self.at + 4
    }
}
