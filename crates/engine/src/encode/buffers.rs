//! Buffers that come back: a chunk's text is some two megabytes, made on one thread and dropped on
//! another, thousands of times. Taking the same few again keeps memory level and saves clearing
//! fresh pages.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

/// Buffers that are kept for the next taker; more are dropped.
const KEPT_MAX: usize = 8;

/// A few buffers, shared by the jobs of one plan.
#[derive(Clone, Debug)]
pub(crate) struct Buffers<T = u8>(Arc<Mutex<Vec<Vec<T>>>>);

/// A buffer on loan; it goes back when the last [`Bytes`] of it is dropped.
struct Loan {
    buffer: Vec<u8>,
    length: usize,
    home: Buffers,
}

impl AsRef<[u8]> for Loan {
    fn as_ref(&self) -> &[u8] {
        &self.buffer[..self.length]
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        self.home.put(std::mem::take(&mut self.buffer));
    }
}

impl<T> Default for Buffers<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T> Buffers<T> {
    /// A buffer: one that came back as it was left, or an empty one. Clearing it would mean to fill
    /// it again before it can be written by position.
    pub fn take(&self) -> Vec<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    /// Keeps a buffer for the next taker.
    pub fn put(&self, buffer: Vec<T>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT_MAX {
            kept.push(buffer);
        }
    }
}

impl Buffers {
    /// The buffer's first `length` bytes, which bring it back.
    pub fn lend(&self, buffer: Vec<u8>, length: usize) -> Bytes {
        Bytes::from_owner(Loan { buffer, length, home: self.clone() })
    }
}

/// Where fields begin, in a buffer that need not be cleared.
#[derive(Debug, Default)]
pub(super) struct Starts {
    buffer: Vec<u32>,
    written: usize,
}

impl Starts {
    /// None yet; what the buffer holds does not matter.
    pub fn new(buffer: Vec<u32>) -> Self {
        Self { buffer, written: 0 }
    }

    /// So many more, each of which is to be set: they hold anything.
    pub fn more(&mut self, count: usize) -> &mut [u32] {
        let from = self.written;
        self.written += count;
        if self.buffer.len() < self.written {
            self.buffer.resize(self.written, 0);
        }
        &mut self.buffer[from..self.written]
    }

    /// Those that were set.
    pub fn written(&self) -> &[u32] {
        &self.buffer[..self.written]
    }

    /// The buffer back.
    pub fn into_buffer(self) -> Vec<u32> {
        self.buffer
    }
}
