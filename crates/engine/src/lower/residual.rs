//! What the stored columns cannot answer by themselves: one function that holds a typed predicate
//! and asks the reference interpreter row by row, over the columns that the predicate names.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray};
use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{
    ColumnarValue, Expr as Plan, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, lit,
};
use payouts_filter::Expr;
use payouts_filter::ast::Value;
use payouts_filter::eval::{Row, eval};
use payouts_model::Report;

use super::{BadDataSlot, Stored, Want};
use crate::column::{Column, FieldReader};

/// `expr` is true (or false) by the interpreter; never null.
pub(super) fn call(
    expr: &Expr,
    report: &Arc<Report>,
    stored: &[Option<Stored>],
    want: Want,
    slot: &BadDataSlot,
) -> Plan {
    let mut fields = Vec::new();
    named_fields(expr, &mut fields);
    fields.sort_unstable();
    fields.dedup();
    let mut args = Vec::new();
    let mut readers = Vec::new();
    for field in fields {
        if let Some(stored) = &stored[field] {
            let spec = &report.fields[field];
            readers.push((field, FieldReader { name: spec.name.clone(), kind: spec.kind, how: stored.read.into() }));
            args.push(stored.column.clone());
        }
    }
    if args.is_empty() {
        // Constants and columns that the table lacks: the same for every row.
        let row = BatchRow { fields: &[], columns: &[], row: 0 };
        return lit(eval(expr, &row, report) == Value::Boolean(want == Want::True));
    }
    let signature = Signature::any(args.len(), Volatility::Immutable);
    ScalarUDF::from(Predicate {
        expr: expr.clone(),
        report: report.clone(),
        readers,
        want,
        signature,
        slot: slot.clone(),
    })
    .call(args)
}

/// The fields that a predicate names. A chain of arithmetic may be thousands deep on its left.
fn named_fields(expr: &Expr, fields: &mut Vec<usize>) {
    let mut rest = vec![expr];
    while let Some(expr) = rest.pop() {
        match expr {
            Expr::Literal(_) => {}
            Expr::Field(field) => fields.push(*field),
            Expr::Compare { left, right, .. } | Expr::Arithmetic { left, right, .. } => {
                rest.extend([&**left, &**right])
            }
            Expr::In { operand: inner, .. } | Expr::Not(inner) | Expr::Negate(inner) => rest.push(inner),
            Expr::And(parts) | Expr::Or(parts) | Expr::Call { args: parts, .. } => rest.extend(parts),
        }
    }
}

/// An error that says what is wrong with the data, left in the slot as well.
pub(super) fn bad_data(slot: &BadDataSlot, text: &str) -> DataFusionError {
    slot.put(text);
    DataFusionError::Execution(text.to_owned())
}

#[derive(Debug)]
struct Predicate {
    expr: Expr,
    report: Arc<Report>,
    readers: Vec<(usize, FieldReader)>,
    want: Want,
    signature: Signature,
    slot: BadDataSlot,
}

impl PartialEq for Predicate {
    fn eq(&self, other: &Self) -> bool {
        self.want == other.want
            && self.readers == other.readers
            && self.expr == other.expr
            && self.report.name == other.report.name
    }
}

// A literal NaN is not equal to itself; two predicates with one are then merely not shared.
impl Eq for Predicate {}

impl Hash for Predicate {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.want.hash(state);
        self.readers.hash(state);
    }
}

struct BatchRow<'a> {
    fields: &'a [(usize, FieldReader)],
    columns: &'a [Column],
    row: usize,
}

impl Row for BatchRow<'_> {
    fn value(&self, field: usize) -> Value {
        match self.fields.iter().position(|(f, _)| *f == field) {
            Some(at) => self.columns[at].value(self.row),
            None => Value::Null,
        }
    }
}

impl ScalarUDFImpl for Predicate {
    fn name(&self) -> &'static str {
        match self.want {
            Want::True => "odata_predicate",
            Want::False => "odata_predicate_false",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let mut columns = Vec::with_capacity(args.args.len());
        for (value, (_, reader)) in args.args.iter().zip(&self.readers) {
            let array = value.to_array(rows)?;
            columns.push(reader.read(&array).map_err(|text| bad_data(&self.slot, &text))?);
        }
        let wanted = Value::Boolean(self.want == Want::True);
        let holds =
            |row| eval(&self.expr, &BatchRow { fields: &self.readers, columns: &columns, row }, &self.report) == wanted;
        let found: BooleanArray = (0..rows).map(|row| Some(holds(row))).collect();
        Ok(ColumnarValue::Array(Arc::new(found) as ArrayRef))
    }
}
