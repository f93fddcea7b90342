//! One query plan per export, whose last operator emits finished file chunks in ledger order:
//! scan → filter (asked ∧ scope) → project → encode.

use std::sync::Arc;

use futures::stream::BoxStream;
use payouts_filter::Expr;
use payouts_ledger::Snapshot;
use payouts_model::{Chunk, Packaging, Scope, TextFormat, Totals};

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
    MemoryLimit { /** the limit */ limit_bytes: usize },
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

/// Runs plans.
#[derive(Clone, Debug)]
pub struct Engine {
    _limits: Limits,
}

/// What an export would hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Preview {
    /// Rows and sums.
    pub totals: Totals,
    /// Per month of the report's window field in the plan's time zone (`2023-05`): totals.
    pub months: std::collections::BTreeMap<String, Totals>,
    /// The first rows as texts, in the plan's columns; `None` is null.
    pub first_rows: Vec<Vec<Option<String>>>,
    /// Of the asked ids, those that matched nothing in the scope.
    pub not_found: Vec<String>,
}

impl Engine {
    /// An engine with these limits.
    pub fn new(limits: Limits) -> Self {
        Self { _limits: limits }
    }

    /// The header row as text, with its line end.
    pub fn header(&self, _plan: &Plan) -> Vec<u8> {
        todo!()
    }

    /// How many rows the plan selects.
    pub async fn count(&self, _plan: &Plan) -> Result<u64, Error> {
        todo!()
    }

    /// The chunks, in ledger order; deterministic. Dropping the stream stops the work.
    pub fn run(&self, _plan: &Plan) -> Result<BoxStream<'static, Result<Chunk, Error>>, Error> {
        todo!()
    }

    /// What an export would hold, without making it. `ids` are ids of `id_field` (an index) to
    /// look for.
    pub async fn preview(&self, _plan: &Plan, _time_zone: chrono_tz::Tz, _id_lists: &[(usize, Vec<String>)], _first_rows_max: usize) -> Result<Preview, Error> {
        todo!()
    }
}
