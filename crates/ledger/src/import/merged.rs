//! Sorted rows as blocks of columns, one after the other.

use std::sync::Arc;

use super::block::{Block, Shape};
use super::decode::Decoder;
use super::rows_ahead::{Blocks, RowsAhead};
use super::runs::Heap;
use crate::Error;

/// Rows of a block; it goes on to the end of a key, up to twice as many.
const BLOCK_ROWS: usize = 8192;
/// A block ends earlier if its rows are so large.
const BLOCK_BYTES: usize = 8 << 20;

/// See the module.
pub(super) type Merged = RowsAhead<MergedBlocks>;

/// The blocks of [`Merged`].
pub(super) struct MergedBlocks {
    heap: Heap,
    decoder: Decoder,
    /// Whether the newest block's last key ends in it.
    whole: bool,
}

impl Merged {
    /// Before the first row.
    pub fn new(shape: &Arc<Shape>, heap: Heap) -> Result<Self, Error> {
        Self::of(MergedBlocks { heap, decoder: Decoder::new(shape), whole: true })
    }

    /// The next rows that each are alone with their key, if there are any: their block, the first,
    /// and how many they are. Rows of one key must always be taken together.
    pub fn alone(&self) -> Option<(Arc<Block>, usize, usize)> {
        let block = self.block.as_ref()?;
        let rows = block.rows();
        let end_of_key = |i: usize| if i + 1 == rows { self.blocks.whole } else { block.key(i) != block.key(i + 1) };
        let count = (self.at..rows).take_while(|&i| end_of_key(i)).count();
        (count > 0).then(|| (block.clone(), self.at, count))
    }
}

impl Blocks for MergedBlocks {
    fn next_block(&mut self) -> Result<Option<Block>, Error> {
        let mut bytes = 0;
        self.whole = true;
        while let Some(row) = self.heap.row() {
            if self.decoder.rows() >= BLOCK_ROWS || bytes >= BLOCK_BYTES {
                self.whole = !self.decoder.ends_with(row.key());
                if self.whole || self.decoder.rows() >= 2 * BLOCK_ROWS || bytes >= 2 * BLOCK_BYTES {
                    break;
                }
                self.whole = true;
            }
            bytes += row.0.len();
            self.decoder.push(row);
            self.heap.advance()?;
        }
        if self.decoder.rows() == 0 { Ok(None) } else { Ok(Some(self.decoder.take()?)) }
    }
}
