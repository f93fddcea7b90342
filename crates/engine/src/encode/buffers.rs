//! Buffers that come back: a chunk's text is a megabyte or two, made on one thread and dropped on
//! another, thousands of times. Taking the same few again keeps memory level and saves clearing
//! fresh pages.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

/// Buffers that are kept for the next taker; more are dropped.
const KEPT_MAX: usize = 12;

/// A few buffers, shared by the jobs of one plan.
#[derive(Clone, Debug, Default)]
pub(crate) struct Buffers(Arc<Mutex<Vec<Vec<u8>>>>);

/// A buffer on loan; it goes back when the last [`Bytes`] of it is dropped.
struct Loan {
    buffer: Vec<u8>,
    home: Buffers,
}

impl AsRef<[u8]> for Loan {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        let mut kept = self.home.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT_MAX {
            kept.push(std::mem::take(&mut self.buffer));
        }
    }
}

impl Buffers {
    /// An empty buffer, with room if one came back.
    pub fn take(&self) -> Vec<u8> {
        let mut buffer = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        buffer.clear();
        buffer
    }

    /// The buffer's bytes, which bring it back.
    pub fn lend(&self, buffer: Vec<u8>) -> Bytes {
        Bytes::from_owner(Loan { buffer, home: self.clone() })
    }
}
