//! The scan of a plan: explicit files cut into contiguous parts in ledger order, the predicate
//! pushed into the Parquet decoder, only the needed columns read. What can be known beforehand not
//! to hold a selected row is not part of the plan ([`prune`]).
//!
//! Invariant: part `n` of a scan holds the rows before those of part `n + 1`, and within a part
//! rows come as they are stored. Nothing above the scan repartitions or sorts. Files are listed in
//! the plan with their ranges; nothing in it holds an open handle.

mod bloom;
mod footers;
mod prune;

use std::path::Path as FilePath;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::common::config::TableParquetOptions;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::ParquetAccessPlan;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::execution_props::ExecutionProps;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::physical_expr::{PhysicalExpr, create_physical_expr};
use datafusion::physical_plan::{ExecutionPlan, SendableRecordBatchStream};
use object_store::ObjectMeta;
use object_store::path::Path;
use payouts_ledger::{ColumnSource, DataFile, Snapshot};

use crate::fault::{BadDataSlot, classify};
use crate::layout::Layout;
use crate::lower::{Lowering, constant, participants};
use crate::{Error, Plan};
pub(crate) use footers::Footers;
use footers::{Located, Readers};
use prune::{Candidate, PRUNING_LIST_MAX, Pruner};

/// Bytes that make one part: about a row group.
const PART_BYTES: u64 = 4 << 20;

/// What a filter may keep of decoded columns, so that they need not be decoded twice.
const PREDICATE_CACHE_BYTES: usize = 8 << 20;

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

/// A scan that is ready to run, part by part.
#[derive(Clone, Debug)]
pub struct Scan {
    parts: Vec<Part>,
    /// For parts that have to be filtered.
    filtering: Option<Arc<DataSourceExec>>,
    /// For parts whose every row is selected.
    passing: Option<Arc<DataSourceExec>>,
    context: Context,
    bad_data: BadDataSlot,
}

/// A run of rows that are read in one go.
#[derive(Clone, Debug)]
struct Part {
    /// Whether its rows have to be filtered.
    filtered: bool,
    /// How many rows it has, if that is known beforehand.
    rows: Option<u64>,
    /// Its place in the node that reads it.
    place: usize,
}

/// Parts with the files and row groups that they read.
#[derive(Default)]
struct Parts {
    parts: Vec<Part>,
    filtering: Vec<FileGroup>,
    passing: Vec<FileGroup>,
}

impl Parts {
    fn add(&mut self, filtered: bool, rows: Option<u64>, group: FileGroup) {
        let groups = if filtered { &mut self.filtering } else { &mut self.passing };
        self.parts.push(Part { filtered, rows, place: groups.len() });
        groups.push(group);
    }
}

impl Scan {
    /// The plan's rows (asked ∧ scope) with the stored columns that `layout` reads. Blocks: it may
    /// read the ends of files.
    pub fn new(plan: &Plan, layout: &Layout, context: Context) -> Result<Self, Error> {
        let bad_data = BadDataSlot::default();
        let schema = table_schema(&plan.snapshot);
        let full = schema.table_schema().clone();
        let lowering = Lowering::new(&plan.snapshot.report, &plan.snapshot.columns, &full, bad_data.clone())
            .with_id_lengths(&plan.snapshot);
        let rows = lowering.rows(plan.predicate.as_ref(), &plan.scope);
        let none = rows.as_ref().and_then(constant) == Some(false);
        let mut scan = Self { parts: Vec::new(), filtering: None, passing: None, context, bad_data };
        if none || plan.snapshot.files.is_empty() {
            return Ok(scan);
        }
        let fail = |e: DataFusionError| classify(e, &scan.bad_data, scan.context.limit_bytes);
        let predicate = match rows.filter(|rows| constant(rows).is_none()) {
            Some(rows) => Some(physical(&rows, &full).map_err(fail)?),
            None => None,
        };
        let mut projection = Vec::with_capacity(layout.stored().len());
        for name in layout.stored() {
            let index = full.index_of(name).map_err(|_| {
                Error::BadData(format!("the table has no column {name}, which the report is mapped to"))
            })?;
            projection.push(index);
        }
        scan.context.footers.follow(&plan.snapshot);
        let partitions = schema.table_partition_cols().iter().cloned().collect();
        let parts = match &predicate {
            None => parts(&plan.snapshot, partitions)?,
            Some(predicate) => {
                let denial = lowering.denial(plan.predicate.as_ref(), &plan.scope);
                let denial = denial.map(|rows| physical(&rows, &full)).transpose().map_err(fail)?;
                let ids = participants(&plan.snapshot.report, plan.predicate.as_ref(), &plan.scope);
                let pruner = Pruner::new(predicate, denial, &full, ids);
                parts_of(&plan.snapshot, partitions, &pruner, &scan.context.footers).map_err(|e| match e {
                    PartsError::Ours(error) => error,
                    PartsError::Footer(error) => fail(error.into()),
                })?
            }
        };
        let node = |groups: Vec<FileGroup>, predicate| {
            if groups.is_empty() {
                return Ok(None);
            }
            let source = source(schema.clone(), predicate, plan, &scan.context)?;
            let config = FileScanConfigBuilder::new(ObjectStoreUrl::local_filesystem(), Arc::new(source))
                .with_file_groups(groups)
                .with_projection_indices(Some(projection.clone()))?
                // Without this, idle partitions would take the files of others.
                .with_preserve_order(true)
                .build();
            Ok(Some(DataSourceExec::from_data_source(config)))
        };
        let (filtering, passing) =
            (node(parts.filtering, predicate).map_err(fail)?, node(parts.passing, None).map_err(fail)?);
        (scan.parts, scan.filtering, scan.passing) = (parts.parts, filtering, passing);
        Ok(scan)
    }

    /// How many parts there are.
    pub fn parts(&self) -> usize {
        self.parts.len()
    }

    /// Whether a part is filtered, so that its batches may be sparse.
    pub fn filtered(&self, part: usize) -> bool {
        self.parts[part].filtered
    }

    /// How many rows a part has, if that is known without reading it.
    pub fn rows(&self, part: usize) -> Option<u64> {
        self.parts[part].rows
    }

    /// Runs one part.
    pub fn open(&self, part: usize) -> Result<SendableRecordBatchStream, Error> {
        let part = &self.parts[part];
        let exec = if part.filtered { &self.filtering } else { &self.passing };
        let exec = exec.as_ref().expect("a part has the node that reads it");
        exec.execute(part.place, self.context.task.clone()).map_err(|e| self.fail(e))
    }

    /// Sorts an error of this scan.
    pub fn fail(&self, error: DataFusionError) -> Error {
        classify(error, &self.bad_data, self.context.limit_bytes)
    }

    /// The plan node that filters, to explain it or read its metrics; `None` if there is nothing to
    /// be filtered.
    pub fn filtering(&self) -> Option<&Arc<DataSourceExec>> {
        self.filtering.as_ref()
    }
}

/// The schema to scan with: the columns that fields come from, text as views, partition columns
/// last. Everything may be null: a file may lack a column that came later.
fn table_schema(snapshot: &Snapshot) -> TableSchema {
    let partitioned = |name: &str| snapshot.files.iter().any(|f| f.partition_values.iter().any(|(n, _)| n == name));
    let used =
        |name: &str| snapshot.columns.iter().any(|c| matches!(c, ColumnSource::Column { name: n, .. } if n == name));
    let view = |field: &FieldRef| {
        let data_type = match field.data_type() {
            DataType::Utf8 | DataType::LargeUtf8 => DataType::Utf8View,
            other => other.clone(),
        };
        Arc::new(Field::new(field.name(), data_type, true))
    };
    let fields: Vec<FieldRef> = snapshot.schema.fields().iter().filter(|f| used(f.name())).map(view).collect();
    let (mut partitions, stored): (Vec<FieldRef>, Vec<FieldRef>) =
        fields.into_iter().partition(|f| partitioned(f.name()));
    // A table's log may know a partition column that the files' schema does not.
    for column in &snapshot.columns {
        if let ColumnSource::Column { name, .. } = column
            && partitioned(name)
            && !partitions.iter().any(|f| f.name() == name)
        {
            partitions.push(Arc::new(Field::new(name, DataType::Utf8View, true)));
        }
    }
    let schema: SchemaRef = Arc::new(Schema::new(stored));
    TableSchema::builder(schema).with_table_partition_cols(partitions).build()
}

fn physical(
    rows: &datafusion::logical_expr::Expr,
    schema: &SchemaRef,
) -> Result<Arc<dyn PhysicalExpr>, DataFusionError> {
    let schema = DFSchema::try_from(schema.clone())?;
    create_physical_expr(rows, &schema, &ExecutionProps::new(), &PhysicalPlanningContext::default())
}

fn source(
    schema: TableSchema,
    predicate: Option<Arc<dyn PhysicalExpr>>,
    plan: &Plan,
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
    let reader = Readers::new(plan.snapshot.report.name, store, context.footers.clone());
    let source = ParquetSource::new(schema)
        .with_table_parquet_options(options)
        .with_parquet_file_reader_factory(Arc::new(reader));
    Ok(match predicate {
        Some(predicate) => source.with_predicate(predicate),
        None => source,
    })
}

/// One group per range of a file, in order. A row group belongs to the range that its first page
/// begins in, so the ranges of a file hold each of its row groups once and in order.
fn parts(snapshot: &Snapshot, partition_columns: Vec<FieldRef>) -> Result<Parts, Error> {
    let mut parts = Parts::default();
    for file in &snapshot.files {
        let located = locate(&file.path)?;
        let whole = partitioned_file(&located, partition_values(file, &partition_columns)?)?;
        let ranges = located.size_bytes.div_ceil(PART_BYTES).max(1);
        for range in 0..ranges {
            let start = (range * PART_BYTES) as i64;
            let end = if range + 1 == ranges { i64::MAX } else { ((range + 1) * PART_BYTES) as i64 };
            parts.add(false, None, FileGroup::new(vec![whole.clone().with_range(start, end)]));
        }
    }
    Ok(parts)
}

/// Why the parts cannot be told.
enum PartsError {
    Ours(Error),
    Footer(parquet::errors::ParquetError),
}

impl From<Error> for PartsError {
    fn from(error: Error) -> Self {
        Self::Ours(error)
    }
}

/// One group per row group, or few small ones, that may hold selected rows; in order.
fn parts_of(
    snapshot: &Snapshot,
    partition_columns: Vec<FieldRef>,
    pruner: &Pruner,
    footers: &Footers,
) -> Result<Parts, PartsError> {
    let mut parts = Parts::default();
    for file in &snapshot.files {
        if pruner.ranges(file).is_some_and(|ranges| ranges.is_empty()) {
            continue;
        }
        let located = locate(&file.path)?;
        let footer = footers.get(snapshot.report.name, &located).map_err(PartsError::Footer)?;
        let values = partition_values(file, &partition_columns)?;
        let named = partition_columns.iter().map(|c| c.name().clone()).zip(values.iter().cloned()).collect();
        let candidates = pruner.candidates(file, &located, &footer, &named);
        let whole = partitioned_file(&located, values)?;
        let mut rest = candidates.as_slice();
        while let Some(first) = rest.first() {
            let mut bytes = first.bytes;
            let more = rest[1..].iter().take_while(|next| {
                bytes += next.bytes;
                bytes <= PART_BYTES && next.whole.is_some() == first.whole.is_some()
            });
            let (part, after) = rest.split_at(1 + more.count());
            let access = access_plan(part, footer.metadata.num_row_groups());
            let rows = part.iter().map(|candidate| candidate.whole).sum();
            parts.add(first.whole.is_none(), rows, FileGroup::new(vec![whole.clone().with_extension(access)]));
            rest = after;
        }
    }
    Ok(parts)
}

fn access_plan(candidates: &[Candidate], row_groups: usize) -> ParquetAccessPlan {
    let mut access = ParquetAccessPlan::new_none(row_groups);
    for candidate in candidates {
        access.scan(candidate.group);
        if let Some(rows) = &candidate.rows {
            access.scan_selection(candidate.group, rows.clone());
        }
    }
    access
}

/// Looks the file up, so that one that is gone is noticed before anything is written, and so that
/// the footers that are kept never mistake one file for another of the same name.
fn locate(path: &FilePath) -> Result<Located, Error> {
    let found = std::fs::metadata(path).map_err(|e| gone(path, &e))?;
    let path = std::path::absolute(path).map_err(|e| gone(path, &e))?;
    Ok(Located { path, size_bytes: found.len(), modified: found.modified().ok() })
}

fn gone(path: &FilePath, cause: &std::io::Error) -> Error {
    let error = std::io::Error::new(cause.kind(), format!("{}: {cause}", path.display()));
    if error.kind() == std::io::ErrorKind::NotFound {
        Error::SnapshotGone(Box::new(error))
    } else {
        Error::Query(Box::new(error))
    }
}

fn partitioned_file(located: &Located, values: Vec<ScalarValue>) -> Result<PartitionedFile, Error> {
    let location = Path::from_absolute_path(&located.path).map_err(|e| Error::Query(Box::new(e)))?;
    let last_modified = located.modified.map(Into::into).unwrap_or_default();
    let meta = ObjectMeta { location, last_modified, size: located.size_bytes, e_tag: None, version: None };
    let mut file = PartitionedFile::new_from_meta(meta).with_extension(located.clone());
    file.partition_values = values;
    Ok(file)
}

fn partition_values(file: &DataFile, columns: &[FieldRef]) -> Result<Vec<ScalarValue>, Error> {
    columns.iter().map(|column| partition_value(file, column)).collect()
}

fn partition_value(file: &DataFile, column: &FieldRef) -> Result<ScalarValue, Error> {
    let text =
        file.partition_values.iter().find(|(name, _)| name == column.name()).and_then(|(_, text)| text.as_deref());
    let bad = |e: DataFusionError| {
        Error::BadData(format!("partition column {} of {}: {e}", column.name(), file.path.display()))
    };
    match (text, column.data_type()) {
        (None, data_type) => ScalarValue::try_from(data_type).map_err(bad),
        (Some(text), DataType::Utf8View) => Ok(ScalarValue::Utf8View(Some(text.to_owned()))),
        (Some(text), data_type) => ScalarValue::try_from_string(text.to_owned(), data_type).map_err(bad),
    }
}
