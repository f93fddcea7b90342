//! The scan of a plan: explicit files cut into contiguous ranges in ledger order, the predicate
//! pushed into the Parquet decoder, only the needed columns read.
//!
//! Invariant: part `n` of a scan holds the rows before those of part `n + 1`, and within a part
//! rows come as they are stored. Nothing above the scan repartitions or sorts. Files are listed in
//! the plan with their ranges; nothing in it holds an open handle.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::common::config::TableParquetOptions;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
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
use crate::lower::{Lowering, constant};
use crate::{Error, Plan};

/// Bytes of a file that make one part: about a row group.
const PART_BYTES: u64 = 4 << 20;

/// What a filter may keep of decoded columns, so that they need not be decoded twice.
const PREDICATE_CACHE_BYTES: usize = 8 << 20;

/// Lists of literals up to this long prune by statistics.
const PRUNING_LIST_MAX: usize = 160;

/// What the scans of an engine share.
#[derive(Clone, Debug)]
pub struct Context {
    /// DataFusion's context: memory pool, object stores, cache of file footers.
    pub task: Arc<TaskContext>,
    /// The limit to name when memory runs out.
    pub limit_bytes: usize,
}

/// A scan that is ready to run, part by part.
#[derive(Clone, Debug)]
pub struct Scan {
    exec: Option<Arc<DataSourceExec>>,
    context: Context,
    bad_data: BadDataSlot,
    filtered: bool,
}

impl Scan {
    /// The plan's rows (asked ∧ scope) with the stored columns that `layout` reads.
    pub fn new(plan: &Plan, layout: &Layout, context: Context) -> Result<Self, Error> {
        let bad_data = BadDataSlot::default();
        let fail = |e: DataFusionError| classify(e, &bad_data, context.limit_bytes);
        let schema = table_schema(&plan.snapshot);
        let full = schema.table_schema().clone();
        let lowering = Lowering::new(&plan.snapshot.report, &plan.snapshot.columns, &full, bad_data.clone());
        let rows = lowering.rows(plan.predicate.as_ref(), &plan.scope);
        let none = rows.as_ref().and_then(constant) == Some(false);
        if none || plan.snapshot.files.is_empty() {
            return Ok(Self { exec: None, context, bad_data, filtered: true });
        }
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
        let filtered = predicate.is_some();
        let source = source(schema, predicate, &context).map_err(fail)?;
        let config = FileScanConfigBuilder::new(ObjectStoreUrl::local_filesystem(), Arc::new(source.clone()))
            .with_file_groups(parts(&plan.snapshot, source_partitions(&source))?)
            .with_projection_indices(Some(projection))
            .map_err(fail)?
            // Without this, idle partitions would take the files of others.
            .with_preserve_order(true)
            .build();
        Ok(Self { exec: Some(DataSourceExec::from_data_source(config)), context, bad_data, filtered })
    }

    /// How many parts there are.
    pub fn parts(&self) -> usize {
        self.exec.as_ref().map_or(0, |e| e.properties().partitioning.partition_count())
    }

    /// Whether there is a predicate, so that batches may be sparse.
    pub fn filtered(&self) -> bool {
        self.filtered
    }

    /// Runs one part.
    pub fn open(&self, part: usize) -> Result<SendableRecordBatchStream, Error> {
        let exec = self.exec.as_ref().expect("a part is one of those counted");
        exec.execute(part, self.context.task.clone()).map_err(|e| self.fail(e))
    }

    /// Sorts an error of this scan.
    pub fn fail(&self, error: DataFusionError) -> Error {
        classify(error, &self.bad_data, self.context.limit_bytes)
    }

    /// The plan node, to explain it or read its metrics; `None` if no row can match.
    pub fn exec(&self) -> Option<&Arc<DataSourceExec>> {
        self.exec.as_ref()
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
    context: &Context,
) -> Result<ParquetSource, DataFusionError> {
    let mut options = TableParquetOptions::default();
    options.global.pushdown_filters = true;
    options.global.reorder_filters = true;
    options.global.pruning = true;
    options.global.enable_page_index = true;
    options.global.bloom_filter_on_read = true;
    options.global.max_predicate_cache_size = Some(PREDICATE_CACHE_BYTES);
    options.global.max_in_list_size = PRUNING_LIST_MAX;
    let runtime = context.task.runtime_env();
    let store = runtime.object_store(ObjectStoreUrl::local_filesystem())?;
    let reader = CachedParquetFileReaderFactory::new(store, runtime.cache_manager.get_file_metadata_cache());
    let source = ParquetSource::new(schema)
        .with_table_parquet_options(options)
        .with_parquet_file_reader_factory(Arc::new(reader));
    Ok(match predicate {
        Some(predicate) => source.with_predicate(predicate),
        None => source,
    })
}

fn source_partitions(source: &ParquetSource) -> Vec<FieldRef> {
    use datafusion::datasource::physical_plan::FileSource;
    source.table_schema().table_partition_cols().iter().cloned().collect()
}

/// One group per range of a file, in order. A row group belongs to the range that its first page
/// begins in, so the ranges of a file hold each of its row groups once and in order.
fn parts(snapshot: &Snapshot, partition_columns: Vec<FieldRef>) -> Result<Vec<FileGroup>, Error> {
    let mut groups = Vec::new();
    for file in &snapshot.files {
        let meta = object_meta(file)?;
        let values =
            partition_columns.iter().map(|column| partition_value(file, column)).collect::<Result<Vec<_>, _>>()?;
        let ranges = meta.size.div_ceil(PART_BYTES).max(1);
        for range in 0..ranges {
            let start = (range * PART_BYTES) as i64;
            let end = if range + 1 == ranges { i64::MAX } else { ((range + 1) * PART_BYTES) as i64 };
            let mut part = PartitionedFile::new_from_meta(meta.clone()).with_range(start, end);
            part.partition_values.clone_from(&values);
            groups.push(FileGroup::new(vec![part]));
        }
    }
    Ok(groups)
}

/// Looks the file up, so that one that is gone is noticed before anything is written, and so that
/// the cache of footers never mistakes one file for another of the same name.
fn object_meta(file: &DataFile) -> Result<ObjectMeta, Error> {
    let gone = |e: std::io::Error| {
        let error = std::io::Error::new(e.kind(), format!("{}: {e}", file.path.display()));
        if e.kind() == std::io::ErrorKind::NotFound {
            Error::SnapshotGone(Box::new(error))
        } else {
            Error::Query(Box::new(error))
        }
    };
    let found = std::fs::metadata(&file.path).map_err(gone)?;
    let location = Path::from_absolute_path(std::path::absolute(&file.path).map_err(gone)?)
        .map_err(|e| Error::Query(Box::new(e)))?;
    let last_modified = found.modified().map(Into::into).unwrap_or_default();
    Ok(ObjectMeta { location, last_modified, size: found.len(), e_tag: None, version: None })
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
