//! The scan of a plan: explicit files cut into contiguous pieces in ledger order, only the needed
//! columns read. What can be known beforehand not to hold a selected row is not part of it
//! ([`prune`]).
//!
//! Rows are told apart in one of three ways ([`How`]), which differ in what they cost and never in
//! what they give.
//!
//! Invariant: part `n` of a scan holds the rows before those of part `n + 1`, and within a part
//! rows come as they are stored. Nothing above the scan repartitions or sorts. Files are listed in
//! the plan with their ranges; nothing in it holds an open handle.

mod bloom;
mod footers;
mod narrow;
mod pieces;
mod prune;
mod sieve;
mod survey;

use std::sync::Arc;

use arrow::array::{BooleanBufferBuilder, RecordBatch};
use arrow::buffer::BooleanBuffer;
use datafusion::common::config::TableParquetOptions;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::utils::{collect_columns, reassign_expr_columns};
use datafusion::physical_plan::{ExecutionPlan, SendableRecordBatchStream};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};

use crate::Error;
use crate::fault::classify;
use crate::pipeline::BATCH_ROWS;
pub(crate) use footers::Footers;
use footers::Readers;
use narrow::Narrow;
use prune::PRUNING_LIST_MAX;
use sieve::{Test, sieve};
pub use survey::{Selection, Survey};

/// Values that a batch may have: of wide tables, the rows of many columns would be too much to keep.
const BATCH_VALUES: usize = 1 << 18;

/// What a filter may keep of decoded columns, so that they need not be decoded twice.
const PREDICATE_CACHE_BYTES: usize = 8 << 20;

/// Of a piece that has at least so many rows for each selected one, only the selected ones are
/// decoded; of others all rows are, which is quicker than to skip one here and one there.
const SPARSE_FROM: usize = 32;

/// What the scans of an engine share.
#[derive(Clone, Debug)]
pub struct Context {
    /// DataFusion's context: memory pool, object stores.
    pub task: Arc<TaskContext>,
    /// The footers of files.
    pub(crate) footers: Arc<Footers>,
    /// The limit to name when memory runs out.
    pub limit_bytes: usize,
}

/// How the selected rows are told from the others, where it is not known of a whole piece.
#[derive(Clone, Debug)]
pub enum How {
    /// In the decoder: the filter's columns are decoded first, and of the others what it selects.
    /// For few rows.
    Pushed,
    /// In the batches that the decoder gives. For many rows.
    Tested,
    /// They are known.
    Known(Arc<Selection>),
}

/// A scan that is ready to run, part by part.
#[derive(Clone, Debug)]
pub struct Scan {
    survey: Arc<Survey>,
    parts: Vec<Part>,
    /// Filters in the decoder.
    pushing: Option<Arc<DataSourceExec>>,
    /// Gives what it reads.
    passing: Option<Arc<DataSourceExec>>,
    /// Gives what it reads, with the filter's columns behind the others.
    testing: Option<Arc<DataSourceExec>>,
    test: Option<Test>,
    context: Context,
}

/// A run of rows that are read in one go: which node reads it, and its place there.
#[derive(Clone, Debug)]
enum Part {
    /// Filtered by its node.
    Pushed(usize),
    /// Selected as a whole; how many rows, if that is known.
    Passed(usize, Option<u64>),
    /// Its node decodes the few selected rows.
    Picked(usize),
    /// To be filtered batch by batch.
    Tested(usize),
    /// To be filtered by what is known.
    Chosen(usize, BooleanBuffer),
}

impl Scan {
    /// The rows of a survey with these stored columns.
    pub fn new(survey: Arc<Survey>, columns: &[String], context: Context, how: &How) -> Result<Self, Error> {
        let full = survey.schema.table_schema().clone();
        let mut projection = Vec::with_capacity(columns.len());
        for name in columns {
            let index = full.index_of(name).map_err(|_| {
                Error::BadData(format!("the table has no column {name}, which the report is mapped to"))
            })?;
            projection.push(index);
        }
        let (mut pushed, mut passed, mut tested) = (Vec::new(), Vec::new(), Vec::new());
        let mut parts = Vec::with_capacity(survey.pieces.len());
        let add = |groups: &mut Vec<FileGroup>, group| {
            groups.push(group);
            groups.len() - 1
        };
        let predicate = survey.predicate.as_ref();
        // What a filter looks at is as the filter expects it.
        let filtered = predicate.map(|p| collect_columns(p).iter().map(|c| c.name().to_owned()).collect());
        let beside_filter = survey.narrow.without(&filtered.unwrap_or_default());
        let wide = Narrow::default();
        for (number, piece) in survey.pieces.iter().enumerate() {
            let known = match how {
                How::Known(selection) => selection.pieces[number].as_ref(),
                How::Pushed | How::Tested => None,
            };
            let part = match (how, known) {
                _ if !piece.tested => Part::Passed(add(&mut passed, piece.whole(&survey.narrow)), piece.rows),
                (How::Tested, _) => Part::Tested(add(&mut tested, piece.whole(&beside_filter))),
                (_, None) => Part::Pushed(add(&mut pushed, piece.whole(&wide))),
                (_, Some(rows)) => match rows.count_set_bits() {
                    0 => continue,
                    all if all == rows.len() => Part::Passed(add(&mut passed, piece.whole(&survey.narrow)), piece.rows),
                    few if few * SPARSE_FROM <= rows.len() => {
                        Part::Picked(add(&mut passed, piece.chosen(&survey.narrow, rows)))
                    }
                    _ => Part::Chosen(add(&mut passed, piece.whole(&survey.narrow)), rows.clone()),
                },
            };
            parts.push(part);
        }
        let fail = |e: DataFusionError| classify(e, &survey.bad_data, context.limit_bytes);
        let mut test = None;
        let mut tested_projection = projection.clone();
        if let Some(predicate) = predicate.filter(|_| !tested.is_empty()) {
            let mut needed: Vec<usize> = collect_columns(predicate).iter().map(|column| column.index()).collect();
            needed.sort_unstable();
            needed.retain(|column| !projection.contains(column));
            tested_projection.extend(needed);
            let given = Arc::new(full.project(&tested_projection).map_err(|e| fail(e.into()))?);
            let predicate = reassign_expr_columns(predicate.clone(), &given).map_err(fail)?;
            test = Some(Test { predicate, columns: projection.len() });
        }
        let node = |groups: Vec<FileGroup>,
                    predicate: Option<&Arc<dyn PhysicalExpr>>,
                    narrow: &Narrow,
                    projection: &[usize]| {
            if groups.is_empty() {
                return Ok(None);
            }
            let source = source(&survey, predicate, narrow, &context)?;
            let config = FileScanConfigBuilder::new(ObjectStoreUrl::local_filesystem(), Arc::new(source))
                .with_file_groups(groups)
                .with_projection_indices(Some(projection.to_vec()))?
                .with_batch_size(Some(BATCH_ROWS.min(BATCH_VALUES / projection.len().max(1))))
                // Without this, idle partitions would take the files of others.
                .with_preserve_order(true)
                .build();
            Ok(Some(DataSourceExec::from_data_source(config)))
        };
        let pushing = node(pushed, predicate, &wide, &projection).map_err(fail)?;
        let passing = node(passed, None, &survey.narrow, &projection).map_err(fail)?;
        let testing = node(tested, None, &beside_filter, &tested_projection).map_err(fail)?;
        Ok(Self { parts, pushing, passing, testing, test, survey, context })
    }

    /// How many parts there are.
    pub fn parts(&self) -> usize {
        self.parts.len()
    }

    /// Runs one part; gives no empty batch.
    pub fn open(&self, part: usize) -> Result<BoxStream<'static, Result<RecordBatch, Error>>, Error> {
        let stream = match &self.parts[part] {
            Part::Pushed(place) => self.execute(self.pushing.as_ref(), *place)?.boxed(),
            Part::Passed(place, _) | Part::Picked(place) => self.execute(self.passing.as_ref(), *place)?.boxed(),
            Part::Tested(place) => {
                let test = self.test().clone();
                let stream = self.execute(self.testing.as_ref(), *place)?;
                sieve(stream, test.columns, move |batch| test.of(batch)).boxed()
            }
            Part::Chosen(place, rows) => {
                let stream = self.execute(self.passing.as_ref(), *place)?;
                let (columns, rows) = (stream.schema().fields().len(), rows.clone());
                let mut at = 0;
                let chosen = move |batch: &RecordBatch| {
                    at += batch.num_rows();
                    Ok(rows.slice(at - batch.num_rows(), batch.num_rows()))
                };
                sieve(stream, columns, chosen).boxed()
            }
        };
        let (bad_data, limit_bytes) = (self.survey.bad_data.clone(), self.context.limit_bytes);
        let stream = stream.map_err(move |e| classify(e, &bad_data, limit_bytes));
        Ok(stream.try_filter(|batch| std::future::ready(batch.num_rows() > 0)).boxed())
    }

    /// How many rows a part gives, if that is known beforehand.
    pub fn rows(&self, part: usize) -> Option<u64> {
        match self.parts[part] {
            Part::Passed(_, rows) => rows,
            Part::Pushed(_) | Part::Picked(_) | Part::Tested(_) | Part::Chosen(..) => None,
        }
    }

    /// Whether what a part gives may keep more of its file in memory than it shows.
    pub fn sparse(&self, part: usize) -> bool {
        !matches!(self.parts[part], Part::Passed(..))
    }

    /// Whether that is so of any part.
    pub fn any_sparse(&self) -> bool {
        (0..self.parts()).any(|part| self.sparse(part))
    }

    /// How many rows of a part are selected, and, if it is tested, which ones.
    pub async fn select(&self, part: usize) -> Result<(u64, Option<BooleanBuffer>), Error> {
        if let Some(rows) = self.rows(part) {
            return Ok((rows, None));
        }
        match &self.parts[part] {
            Part::Tested(place) => {
                let fail = |e| classify(e, &self.survey.bad_data, self.context.limit_bytes);
                let mut chosen = BooleanBufferBuilder::new(0);
                let mut stream = self.execute(self.testing.as_ref(), *place)?;
                while let Some(batch) = stream.next().await {
                    chosen.append_buffer(&batch.and_then(|batch| self.test().of(&batch)).map_err(fail)?);
                }
                let chosen = chosen.finish();
                Ok((chosen.count_set_bits() as u64, Some(chosen)))
            }
            _ => {
                let mut rows = 0;
                let mut stream = self.open(part)?;
                while let Some(batch) = stream.next().await {
                    rows += batch?.num_rows() as u64;
                }
                Ok((rows, None))
            }
        }
    }

    fn execute(&self, node: Option<&Arc<DataSourceExec>>, place: usize) -> Result<SendableRecordBatchStream, Error> {
        let node = node.expect("a part has the node that reads it");
        node.execute(place, self.context.task.clone())
            .map_err(|e| classify(e, &self.survey.bad_data, self.context.limit_bytes))
    }

    fn test(&self) -> &Test {
        self.test.as_ref().expect("where something is tested, there is a test")
    }

    /// The plan node that filters in the decoder, to explain it or read its metrics; `None` if nothing is
    /// filtered there.
    pub fn pushing(&self) -> Option<&Arc<DataSourceExec>> {
        self.pushing.as_ref()
    }
}

fn source(
    survey: &Survey,
    predicate: Option<&Arc<dyn PhysicalExpr>>,
    narrow: &Narrow,
    context: &Context,
) -> Result<ParquetSource, DataFusionError> {
    let mut options = TableParquetOptions::default();
    options.global.pushdown_filters = true;
    options.global.reorder_filters = true;
    options.global.pruning = true;
    options.global.enable_page_index = true;
    // Asked beforehand, without reading whole filters.
    options.global.bloom_filter_on_read = false;
    options.global.max_predicate_cache_size = Some(PREDICATE_CACHE_BYTES);
    options.global.max_in_list_size = PRUNING_LIST_MAX;
    let runtime = context.task.runtime_env();
    let store = runtime.object_store(ObjectStoreUrl::local_filesystem())?;
    let reader = Readers::new(survey.snapshot.report.name, store, context.footers.clone());
    let source = ParquetSource::new(narrow.table(&survey.schema))
        .with_table_parquet_options(options)
        .with_parquet_file_reader_factory(Arc::new(reader));
    Ok(match predicate {
        Some(predicate) => source.with_predicate(predicate.clone()),
        None => source,
    })
}
