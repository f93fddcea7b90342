//! The input of a run, taken from its front.

/// Bytes of the input, taken one after the other; 0 when there are no more.
pub struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        self.0.split_off_first().copied().unwrap_or(0)
    }

    /// The next four.
    pub fn number(&mut self) -> u32 {
        u32::from_le_bytes([self.byte(), self.byte(), self.byte(), self.byte()])
    }

    /// The next ones, `most` at most.
    pub fn bytes(&mut self, most: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(most.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// The next ones, as many as the byte in front of them says.
    pub fn counted(&mut self) -> &'a [u8] {
        let length = usize::from(self.byte());
        self.bytes(length)
    }

    /// One of these.
    pub fn one_of<'c, T>(&mut self, all: &'c [T]) -> &'c T {
        &all[usize::from(self.byte()) % all.len()]
    }

    /// Whether there are any left.
    pub fn some(&self) -> bool {
        !self.0.is_empty()
    }
}
