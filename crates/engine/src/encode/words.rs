//! Values as the file prints them, each with its end in a slot of fixed size: a row is put together
//! by copying slots one after the other, whatever is in them.

use super::pen::Pen;

/// Bytes of a slot; the last one is the length.
pub(super) const SLOT: usize = 32;

/// A length that says that the value is longer: the slot begins with its place in [`Words::long`]
/// and its length.
const LONG: u8 = u8::MAX;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Words {
    slots: Pen,
    count: usize,
    long: Vec<u8>,
    longest: usize,
}

impl Words {
    /// With room for so many values that fit into their slots.
    pub fn with_room(count: usize) -> Self {
        Self { slots: Pen::with_room((count + 1) * SLOT), ..Self::default() }
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.count = 0;
        self.long.clear();
        self.longest = 0;
    }

    /// Adds a value, which `write` lays down in at most `bytes_max` bytes.
    #[inline]
    pub fn add(&mut self, bytes_max: usize, write: impl FnOnce(&mut Pen)) {
        let from = self.count * SLOT;
        self.slots.seek(from);
        self.slots.make_room(bytes_max.max(SLOT));
        write(&mut self.slots);
        let length = self.slots.at() - from;
        self.longest = self.longest.max(length);
        if length < SLOT {
            self.slots.set(from + SLOT - 1, length as u8);
        } else {
            self.put_away(from, length);
        }
        self.count += 1;
    }

    #[cold]
    fn put_away(&mut self, from: usize, length: usize) {
        let place = self.long.len();
        self.long.extend_from_slice(&self.slots.written()[from..]);
        for (at, part) in [(0, place), (4, length)] {
            let bytes = u32::try_from(part).expect("a batch holds less than 4 GiB of text").to_le_bytes();
            bytes.into_iter().enumerate().for_each(|(i, byte)| self.slots.set(from + at + i, byte));
        }
        self.slots.set(from + SLOT - 1, LONG);
    }

    /// The length of the longest value.
    pub fn longest(&self) -> usize {
        self.longest
    }

    /// The slots in the order they were added; what is behind them means nothing.
    pub fn slots(&self) -> &[[u8; SLOT]] {
        self.slots.all().as_chunks().0
    }

    /// Copies the value of a slot to the start of `room`, which is at least [`SLOT`] bytes longer than
    /// it; answers its length.
    #[inline]
    pub fn copy(&self, slot: &[u8; SLOT], room: &mut [u8]) -> usize {
        let length = slot[SLOT - 1];
        if length == LONG {
            return self.copy_long(slot, room);
        }
        room[..SLOT].copy_from_slice(slot);
        usize::from(length)
    }

    #[inline(never)]
    fn copy_long(&self, slot: &[u8; SLOT], room: &mut [u8]) -> usize {
        let part = |at: usize| u32::from_le_bytes(slot[at..at + 4].try_into().expect("four bytes")) as usize;
        let (place, length) = (part(0), part(4));
        room[..length].copy_from_slice(&self.long[place..place + length]);
        length
    }
}
