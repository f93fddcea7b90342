//! Rows one by one out of blocks, the next one known before it is taken.

use std::sync::Arc;

use super::block::{Block, RowRef};
use crate::Error;

/// Where blocks come from.
pub(super) trait Blocks {
    /// The next block, which may be empty; `None` behind the last, however often it is asked for.
    fn next_block(&mut self) -> Result<Option<Block>, Error>;
}

/// The rows of some blocks, in their order.
pub(super) struct RowsAhead<B> {
    pub(super) blocks: B,
    /// The block of the next row.
    pub(super) block: Option<Arc<Block>>,
    /// The next row's number in it.
    pub(super) at: usize,
    peeked: Option<RowRef>,
}

impl<B: Blocks> RowsAhead<B> {
    /// Before the first row.
    pub(super) fn of(blocks: B) -> Result<Self, Error> {
        let mut rows = Self { blocks, block: None, at: 0, peeked: None };
        rows.skip(0)?;
        Ok(rows)
    }

    /// The next row, which stays the next.
    pub fn peek(&self) -> Option<&RowRef> {
        self.peeked.as_ref()
    }

    /// Takes the next row.
    pub fn next(&mut self) -> Result<Option<RowRef>, Error> {
        let row = self.peeked.take();
        if row.is_some() {
            self.skip(1)?;
        }
        Ok(row)
    }

    /// Takes so many rows of the block.
    pub fn skip(&mut self, count: usize) -> Result<(), Error> {
        self.at += count;
        while self.block.as_ref().is_none_or(|b| self.at == b.rows()) {
            self.at = 0;
            self.block = self.blocks.next_block()?.map(Arc::new);
            if self.block.is_none() {
                break;
            }
        }
        self.peeked = self.block.as_ref().map(|b| RowRef::new(b, self.at));
        Ok(())
    }
}
