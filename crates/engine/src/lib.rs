//! One query plan per export, whose last operator emits finished file chunks in ledger order:
//! scan → filter (asked ∧ scope) → project → encode.
//!
//! The scan, the filter and the projection are DataFusion's ([`scan`], [`lower`]); what comes out
//! of its partitions is joined in sequence and cut into chunks by row position ([`pipeline`]), and
//! every chunk is encoded, added up and compressed on its own ([`encode`], [`totals`],
//! [`deflate`]). So the bytes depend on the plan alone, never on threads, batches or files' sizes.

pub mod batch;
pub mod column;
pub mod deflate;
pub mod encode;
mod fault;
pub mod layout;
pub mod lower;
mod pipeline;
mod preview;
pub mod scan;
pub mod totals;
pub mod values;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use payouts_filter::Expr;
use payouts_ledger::Snapshot;
use payouts_model::{Chunk, Packaging, Scope, TextFormat, Totals};
use tracing::{Instrument, debug_span, field};

use crate::layout::Layout;
use crate::pipeline::Pipeline;
use crate::scan::{How, Scan, Selection, Survey};

/// What is exported. Cannot be built without a scope.
#[derive(Clone, Debug)]
pub struct Plan {
    /// One version of the report's table.
    pub snapshot: Arc<Snapshot>,
    /// The asked predicate, window included; `None`: every row.
    pub predicate: Option<Expr>,
    /// The granted pairs: joined to the predicate, never left out.
    pub scope: Scope,
    /// The columns, as indexes into the report's fields, in file order.
    pub columns: Vec<usize>,
    /// The text.
    pub text: TextFormat,
    /// What it will be packed in: says whether chunks are deflated.
    pub packaging: Packaging,
}

/// What went wrong with a plan.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of the snapshot is gone.
    #[error("a file of the data version is gone")]
    SnapshotGone(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The table holds what the report does not allow.
    #[error("{0}")]
    BadData(String),
    /// The memory limit was reached.
    #[error("the memory limit of {limit_bytes} bytes was reached")]
    MemoryLimit {
        /** the limit */
        limit_bytes: usize,
    },
    /// The query engine.
    #[error("query engine")]
    Query(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Limits of the engine.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Threads that scan and encode.
    pub threads: usize,
    /// Memory of all plans together.
    pub memory_bytes: usize,
}

/// Runs plans, on threads of its own, so that a busy engine never keeps a network task waiting.
#[derive(Clone, Debug)]
pub struct Engine {
    limits: Limits,
    pipeline: Pipeline,
}

/// Chunks of an export that may be the whole of it before its rows are counted; the last has none.
const CHUNKS_AT_ONCE: usize = 5;

/// An export that has begun.
pub struct Started {
    /// The rows that the chunks have together.
    pub rows: u64,
    /// The chunks, in ledger order.
    pub chunks: BoxStream<'static, Result<Chunk, Error>>,
    /// Whether all chunks are made and wait in memory.
    pub complete: bool,
}

/// What an export would hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Preview {
    /// Rows and sums.
    pub totals: Totals,
    /// Per month of the report's window field in the asked time zone (`2023-05`): rows, and sums
    /// per amount column and currency; the rest of each key is empty.
    pub months: std::collections::BTreeMap<String, Totals>,
    /// The first rows as texts, in the plan's columns; `None` is null.
    pub first_rows: Vec<Vec<Option<String>>>,
    /// Of the asked ids, those that matched nothing in the scope.
    pub not_found: Vec<String>,
}

/// How many rows a plan selects, if it selects all and the table's log says exactly.
fn rows_by_log(plan: &Plan) -> Option<u64> {
    let all = plan.predicate.is_none() && lower::scope_predicate(&plan.snapshot.report, &plan.scope).is_none();
    plan.snapshot.rows().filter(|_| all)
}

impl Engine {
    /// An engine with these limits. Starts its threads.
    pub fn new(limits: Limits) -> Self {
        let limits = Limits { threads: limits.threads.max(1), ..limits };
        Self { limits, pipeline: Pipeline::new(limits) }
    }

    /// The limits it was made with.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// The header row as text, with its line end; of a worksheet the packager writes its own.
    pub fn header(&self, plan: &Plan) -> Vec<u8> {
        encode::header(&plan.snapshot.report, &plan.columns, plan.text)
    }

    /// How many rows the plan selects. Answered from the table's log where that is exact;
    /// otherwise only the columns that the filter names are read.
    pub async fn count(&self, plan: &Plan) -> Result<u64, Error> {
        match rows_by_log(plan) {
            Some(rows) => Ok(rows),
            None => Ok(self.select(&self.pipeline.survey(plan).await?).await?.rows),
        }
    }

    async fn select(&self, survey: &Arc<Survey>) -> Result<Selection, Error> {
        let span = debug_span!("engine.count", rows = field::Empty);
        let selection = self.pipeline.select(survey).instrument(span.clone()).await?;
        span.record("rows", selection.rows);
        Ok(selection)
    }

    /// Begins an export: its chunks as [`Engine::run`] gives them, and how many rows they have. A
    /// small result is made at once, which tells its rows, too. Where many rows have to be tested,
    /// that is done first, and what was found is used for reading.
    pub async fn start(&self, plan: &Plan) -> Result<Started, Error> {
        let survey = self.pipeline.survey(plan).await?;
        if survey.tests_many() {
            let selection = Arc::new(self.select(&survey).await?);
            let rows = selection.rows;
            let chunks = self.chunks(plan, Some((survey, How::Known(selection))));
            return Ok(Started { rows, chunks, complete: false });
        }
        let mut chunks = self.chunks(plan, Some((survey.clone(), How::Pushed)));
        let mut first = Vec::new();
        let mut ended = false;
        while first.len() < CHUNKS_AT_ONCE && !ended {
            match chunks.next().await.transpose()? {
                Some(chunk) => first.push(chunk),
                None => ended = true,
            }
        }
        let rows = match rows_by_log(plan) {
            _ if ended => first.iter().map(|c| c.rows).sum(),
            Some(rows) => rows,
            None => self.select(&survey).await?.rows,
        };
        let chunks = futures::stream::iter(first.into_iter().map(Ok)).chain(chunks).boxed();
        Ok(Started { rows, chunks, complete: ended })
    }

    /// The chunks, in ledger order; deterministic. The last one, if there are any, has no rows: it
    /// brings the sums of all. Dropping the stream stops the work.
    pub fn run(&self, plan: &Plan) -> BoxStream<'static, Result<Chunk, Error>> {
        self.chunks(plan, None)
    }

    fn chunks(&self, plan: &Plan, surveyed: Option<(Arc<Survey>, How)>) -> BoxStream<'static, Result<Chunk, Error>> {
        let layout = Layout::for_file(plan);
        let rows_per_chunk = layout.rows_per_chunk(plan.text);
        let (pipeline, plan) = (self.pipeline.clone(), plan.clone());
        let (data_version, files) = (plan.snapshot.version, plan.snapshot.files.len());
        // Open as long as the stream is: scan, filter, encoding, and the wait for whoever takes the chunks.
        let span = debug_span!("engine.run", data_version, files, rows = field::Empty);
        let planning = span.clone();
        let chunks = async move {
            let scan = match surveyed {
                Some((survey, how)) => Scan::new(survey, layout.stored(), pipeline.context(), &how)?,
                None => pipeline.plan(&plan, &layout).await?,
            };
            let job = Arc::new(encode::ChunkJob::new(&plan, layout, pipeline.threads()));
            let last = job.clone();
            let chunks = pipeline.run(scan, rows_per_chunk, move |part| job.run(&part));
            let rest = futures::stream::once(async move { last.rest() });
            Ok::<_, Error>(chunks.chain(rest.filter_map(async |rest| rest.map(Ok))))
        };
        let mut rows = 0;
        let chunks = futures::stream::once(chunks.instrument(planning)).try_flatten();
        let chunks = chunks.inspect_ok(move |chunk| {
            rows += chunk.rows;
            span.record("rows", rows);
        });
        chunks.boxed()
    }

    /// What an export would hold, without making it. `id_lists` are ids of a field (an index) to
    /// look for among the selected rows.
    pub async fn preview(
        &self,
        plan: &Plan,
        time_zone: chrono_tz::Tz,
        id_lists: &[(usize, Vec<String>)],
        first_rows_max: usize,
    ) -> Result<Preview, Error> {
        self.preview_of(plan, &plan.columns, time_zone, id_lists, first_rows_max).await
    }

    /// The same with the sums of `summed` alone: the fewer columns are added up, the sooner it is
    /// there. The first rows have the plan's columns.
    pub async fn preview_of(
        &self,
        plan: &Plan,
        summed: &[usize],
        time_zone: chrono_tz::Tz,
        id_lists: &[(usize, Vec<String>)],
        first_rows_max: usize,
    ) -> Result<Preview, Error> {
        preview::run(&self.pipeline, plan, summed, time_zone, id_lists, first_rows_max).await
    }

    /// What there is to choose from in a version of the table, as far as `scope` lets it be seen.
    pub async fn values(
        &self,
        snapshot: &Arc<Snapshot>,
        scope: &Scope,
        wanted: &values::Wanted,
    ) -> Result<values::Values, Error> {
        values::run(&self.pipeline, snapshot, scope, wanted).await
    }
}
