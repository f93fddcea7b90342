//! The meaning of a predicate, row by row: the reference that every other evaluation must agree
//! with, and what the engine uses for what it cannot express natively.

use payouts_model::Report;

use crate::ast::{Expr, Value};

/// A row that can be asked for a field.
pub trait Row {
    /// The value of the field with this index in the report.
    fn value(&self, field: usize) -> Value;
}

/// Evaluates `expr` over `row`.
pub fn eval(_expr: &Expr, _row: &dyn Row, _report: &Report) -> Value {
    todo!()
}
