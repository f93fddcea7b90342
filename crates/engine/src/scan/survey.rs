//! What a plan has to look at, and which of it the plan selects.

use std::sync::Arc;

use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::common::DFSchema;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::execution_props::ExecutionProps;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::physical_expr::{PhysicalExpr, create_physical_expr};
use payouts_ledger::{ColumnSource, Snapshot};

use super::Context;
use super::narrow::Narrow;
use super::pieces::{Piece, PiecesError, pieces, pruned_pieces};
use super::prune::Pruner;
use crate::fault::{BadDataSlot, classify};
use crate::lower::{Lowering, constant, participants};
use crate::{Error, Plan};

/// Of more rows than this the filter is not pushed into the decoder.
const PUSHED_ROWS_MAX: u64 = 1 << 20;

/// What is left of the table once all that can be known beforehand is left out.
#[derive(Debug)]
pub struct Survey {
    /// The table's columns that fields come from.
    pub(super) schema: TableSchema,
    /// asked ∧ scope; `None`: every row.
    pub(super) predicate: Option<Arc<dyn PhysicalExpr>>,
    pub(super) pieces: Vec<Piece>,
    /// Columns that may be read narrowly.
    pub(super) narrow: Narrow,
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) bad_data: BadDataSlot,
}

/// The rows that a plan selects.
#[derive(Debug, Default)]
pub struct Selection {
    /// How many.
    pub rows: u64,
    /// For each piece of the survey which of the rows to look at; `None` where that is not kept.
    pub(super) pieces: Vec<Option<BooleanBuffer>>,
}

impl Selection {
    /// Adds what was found in the next piece.
    pub fn add(&mut self, rows: u64, which: Option<BooleanBuffer>) {
        self.rows += rows;
        self.pieces.push(which);
    }
}

impl Survey {
    /// Of the rows that satisfy asked ∧ scope. Blocks: it may read the ends of files.
    pub fn new(plan: &Plan, context: &Context) -> Result<Self, Error> {
        let bad_data = BadDataSlot::default();
        let snapshot = &plan.snapshot;
        let schema = table_schema(snapshot);
        let full = schema.table_schema().clone();
        let lowering =
            Lowering::new(&snapshot.report, &snapshot.columns, &full, bad_data.clone()).with_id_lengths(snapshot);
        let rows = lowering.rows(plan.predicate.as_ref(), &plan.scope);
        let none = rows.as_ref().and_then(constant) == Some(false);
        let mut survey = Self {
            schema,
            predicate: None,
            pieces: Vec::new(),
            narrow: Narrow::default(),
            snapshot: snapshot.clone(),
            bad_data,
        };
        if none || snapshot.files.is_empty() {
            return Ok(survey);
        }
        let fail = |e: DataFusionError| classify(e, &survey.bad_data, context.limit_bytes);
        let predicate = match rows.filter(|rows| constant(rows).is_none()) {
            Some(rows) => Some(physical(&rows, &full).map_err(fail)?),
            None => None,
        };
        context.footers.follow(snapshot);
        let partitions = survey.schema.table_partition_cols();
        let pieces = match &predicate {
            None => pieces(snapshot, partitions, &context.footers),
            Some(predicate) => {
                let denial = lowering.denial(plan.predicate.as_ref(), &plan.scope);
                let denial = denial.map(|rows| physical(&rows, &full)).transpose().map_err(fail)?;
                let ids = participants(&snapshot.report, plan.predicate.as_ref(), &plan.scope);
                let pruner = Pruner::new(predicate, denial, &full, ids);
                pruned_pieces(snapshot, partitions, &pruner, &context.footers)
            }
        };
        survey.pieces = pieces.map_err(|e| match e {
            PiecesError::Ours(error) => error,
            PiecesError::Footer(error) => fail(error.into()),
        })?;
        // Pieces of one file follow each other.
        let files = survey.pieces.chunk_by(|a, b| std::ptr::eq(a.footer(), b.footer()));
        survey.narrow = Narrow::of(survey.schema.file_schema(), files.map(|pieces| pieces[0].footer()));
        survey.predicate = predicate;
        Ok(survey)
    }

    /// Whether so many rows have to be tested that the filter is not pushed into the decoder.
    pub fn tests_many(&self) -> bool {
        self.rows_to_test() > PUSHED_ROWS_MAX
    }

    /// How many rows have to be tested one by one.
    pub fn rows_to_test(&self) -> u64 {
        self.pieces.iter().filter(|piece| piece.tested).filter_map(|piece| piece.rows).sum()
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
