//! A buffer that is written at a position. Room is made once for many values, which are then
//! written in pieces of fixed size and may overshoot: what is behind the position counts for
//! nothing.

/// How far a piece of fixed size may reach beyond what it means to write.
const OVERSHOOT: usize = 32;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Pen {
    bytes: Vec<u8>,
    at: usize,
}

impl Pen {
    /// Writes from the start of a buffer, whose contents do not matter.
    pub fn new(buffer: Vec<u8>) -> Self {
        Self { bytes: buffer, at: 0 }
    }

    /// Writes from the start of a new buffer with room for so many bytes.
    pub fn with_room(bytes: usize) -> Self {
        Self::new(vec![0; bytes + OVERSHOOT])
    }

    /// The buffer and how much of it was written.
    pub fn into_parts(self) -> (Vec<u8>, usize) {
        (self.bytes, self.at)
    }

    /// What was written.
    pub fn written(&self) -> &[u8] {
        &self.bytes[..self.at]
    }

    /// All of the buffer, also what was not written.
    pub fn all(&self) -> &[u8] {
        &self.bytes
    }

    /// Goes to a position, before which everything counts as written.
    #[inline]
    pub fn seek(&mut self, at: usize) {
        self.at = at;
    }

    /// Changes a byte, wherever it is.
    #[inline]
    pub fn set(&mut self, at: usize, byte: u8) {
        self.bytes[at] = byte;
    }

    /// The room for so many bytes, and as much behind it as a piece may overshoot.
    #[inline]
    pub fn room(&mut self, bytes: usize) -> &mut [u8] {
        self.make_room(bytes);
        &mut self.bytes[self.at..self.at + bytes + OVERSHOOT]
    }

    /// How much was written.
    #[inline]
    pub fn at(&self) -> usize {
        self.at
    }

    /// Makes room for so many more bytes. Nothing but this and [`Self::room`] does.
    #[inline]
    pub fn make_room(&mut self, bytes: usize) {
        let least = self.at + bytes + OVERSHOOT;
        if self.bytes.len() < least {
            self.grow(least);
        }
    }

    #[cold]
    fn grow(&mut self, least: usize) {
        self.bytes.resize(least.max(self.bytes.len() * 5 / 4), 0);
    }

    /// Writes a byte.
    #[inline]
    pub fn byte(&mut self, byte: u8) {
        self.bytes[self.at] = byte;
        self.at += 1;
    }

    /// Writes bytes of any number.
    #[inline]
    pub fn slice(&mut self, bytes: &[u8]) {
        self.bytes[self.at..self.at + bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len();
    }

    /// Writes the first `count` bytes of a piece of at most [`OVERSHOOT`] bytes.
    #[inline]
    pub fn part<const N: usize>(&mut self, piece: &[u8; N], count: usize) {
        const { assert!(N <= OVERSHOOT) };
        self.bytes[self.at..][..N].copy_from_slice(piece);
        self.at += count;
    }
}
