//! How many Exports are made at a time, and which of them may be large.
//!
//! Invariants: with two slots and more, one is never taken by an Export of more rows than the
//! configuration calls large, so that a small one waits for a small one at most; with one slot there
//! is nothing to keep. How large an Export is is known once its rows are counted: until then it
//! counts as small in a slot that is kept, and as large in any other.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::Config;

/// All slots.
#[derive(Debug)]
pub(super) struct Slots {
    any: Arc<Semaphore>,
    large: Arc<Semaphore>,
    large_rows: u64,
}

/// One that is taken until this is dropped.
#[derive(Debug)]
pub(super) struct Slot {
    /// Absent in a slot that is kept for small ones.
    large: Option<OwnedSemaphorePermit>,
    more: Arc<Semaphore>,
    large_rows: u64,
    _any: OwnedSemaphorePermit,
}

impl Slots {
    pub(super) fn new(config: &Config) -> Self {
        let slots = config.slots();
        if slots < config.workers {
            tracing::warn!(
                workers = config.workers,
                slots,
                memory_bytes = config.engine.memory_bytes,
                export_memory_bytes = config.export_memory_bytes,
                "engine.memory_bytes does not go round for all workers: fewer exports run at a time"
            );
        }
        let any = Arc::new(Semaphore::new(slots));
        let large = Arc::new(Semaphore::new(slots.saturating_sub(1).max(1)));
        Self { any, large, large_rows: config.large_rows }
    }

    /// Waits for a free one.
    pub(super) async fn free(&self) -> Slot {
        let any = self.any.clone().acquire_owned().await.expect("the semaphore is never closed");
        let large = self.large.clone().try_acquire_owned().ok();
        Slot { large, more: self.large.clone(), large_rows: self.large_rows, _any: any }
    }

    /// The rows that fit into the next free one; `None`: any number.
    pub(super) fn rows_max(&self) -> Option<u64> {
        (self.large.available_permits() == 0).then_some(self.large_rows)
    }
}

impl Slot {
    /// The rows that fit into it; `None`: any number.
    pub(super) fn rows_max(&self) -> Option<u64> {
        self.large.is_none().then_some(self.large_rows)
    }

    /// Whether it takes an Export of so many rows, as is known now. A small one leaves the place of
    /// a large one free.
    pub(super) fn takes(&mut self, rows: u64) -> bool {
        if rows <= self.large_rows {
            self.large = None;
            return true;
        }
        if self.large.is_none() {
            self.large = self.more.clone().try_acquire_owned().ok();
        }
        self.large.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(workers: usize) -> Slots {
        let (any, large) = (Arc::new(Semaphore::new(workers)), Arc::new(Semaphore::new(workers.max(2) - 1)));
        Slots { any, large, large_rows: 10 }
    }

    #[tokio::test]
    async fn the_last_slot_is_for_small_ones() {
        let slots = slots(2);
        let mut first = slots.free().await;
        assert_eq!((first.rows_max(), slots.rows_max()), (None, Some(10)));
        let mut second = slots.free().await;
        assert_eq!(second.rows_max(), Some(10));
        assert!(first.takes(11) && !second.takes(11) && second.takes(10));
        drop(first);
        assert!(second.takes(11), "nobody holds the place of a large one any more");
    }

    #[tokio::test]
    async fn a_small_one_leaves_the_place_of_a_large_one() {
        let slots = slots(3);
        let (mut first, mut second) = (slots.free().await, slots.free().await);
        assert_eq!(slots.rows_max(), Some(10));
        assert!(first.takes(3) && second.takes(30));
        assert_eq!((slots.rows_max(), slots.free().await.rows_max()), (None, None));
    }

    #[tokio::test]
    async fn a_single_slot_takes_everything() {
        let slots = slots(1);
        let mut only = slots.free().await;
        assert!(only.takes(u64::MAX) && only.takes(1));
    }
}
