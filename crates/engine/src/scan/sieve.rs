//! Batches of which some rows are selected, as full batches of those.

use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::buffer::BooleanBuffer;
use arrow::compute::{BatchCoalescer, filter_record_batch};
use datafusion::error::DataFusionError;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::SendableRecordBatchStream;
use futures::{Stream, StreamExt};

use crate::pipeline::BATCH_ROWS;

/// So many of one batch are given as they are; fewer wait for those of the next.
const ROWS_ENOUGH: usize = 1024;

/// A filter over batches whose first columns are the wanted ones.
#[derive(Clone, Debug)]
pub(super) struct Test {
    pub predicate: Arc<dyn PhysicalExpr>,
    /// How many columns are wanted; behind them come those that only the filter needs.
    pub columns: usize,
}

impl Test {
    /// Which rows of a batch are selected.
    pub fn of(&self, batch: &RecordBatch) -> Result<BooleanBuffer, DataFusionError> {
        let selected = self.predicate.evaluate(batch)?.into_array(batch.num_rows())?;
        let selected = selected.as_boolean();
        // Neither true nor false is not selected.
        Ok(match selected.nulls() {
            Some(known) => selected.values() & known.inner(),
            None => selected.values().clone(),
        })
    }
}

struct State<F> {
    stream: Option<SendableRecordBatchStream>,
    full: BatchCoalescer,
    /// Comes behind what is in `full`.
    next: Option<RecordBatch>,
    columns: Vec<usize>,
    choose: F,
}

/// The rows of a stream that `choose` says, in order, of its first `columns` columns.
pub(super) fn sieve<F>(
    stream: SendableRecordBatchStream,
    columns: usize,
    choose: F,
) -> impl Stream<Item = Result<RecordBatch, DataFusionError>>
where
    F: FnMut(&RecordBatch) -> Result<BooleanBuffer, DataFusionError>,
{
    let columns: Vec<usize> = (0..columns).collect();
    let schema = stream.schema();
    let schema = Arc::new(schema.project(&columns).expect("a stream has the columns that were asked of it"));
    let full = BatchCoalescer::new(schema, BATCH_ROWS);
    let state = State { stream: Some(stream), full, next: None, columns, choose };
    futures::stream::try_unfold(state, |mut state| async move { Ok(state.next().await?.map(|batch| (batch, state))) })
}

impl<F> State<F>
where
    F: FnMut(&RecordBatch) -> Result<BooleanBuffer, DataFusionError>,
{
    async fn next(&mut self) -> Result<Option<RecordBatch>, DataFusionError> {
        loop {
            if let Some(batch) = self.full.next_completed_batch().or_else(|| self.next.take()) {
                return Ok(Some(batch));
            }
            let Some(stream) = &mut self.stream else { return Ok(None) };
            let Some(batch) = stream.next().await.transpose()? else {
                self.stream = None;
                self.full.finish_buffered_batch()?;
                continue;
            };
            let chosen = (self.choose)(&batch)?;
            let rows = chosen.count_set_bits();
            if rows == 0 {
                continue;
            }
            let batch = batch.project(&self.columns)?;
            if self.columns.is_empty() {
                // Rows without columns cannot be gathered.
                let options = RecordBatchOptions::new().with_row_count(Some(rows));
                return Ok(Some(RecordBatch::try_new_with_options(batch.schema(), Vec::new(), &options)?));
            }
            let chosen = BooleanArray::new(chosen, None);
            if rows < ROWS_ENOUGH.min(batch.num_rows()) {
                self.full.push_batch_with_filter(batch, &chosen)?;
                continue;
            }
            self.full.finish_buffered_batch()?;
            self.next = Some(if rows == batch.num_rows() { batch } else { filter_record_batch(&batch, &chosen)? });
        }
    }
}
