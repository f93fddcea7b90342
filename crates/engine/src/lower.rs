//! The typed predicate and the scope as one DataFusion expression over the stored columns.
//!
//! Invariant: the expression is true for exactly the rows for which the reference interpreter
//! ([`payouts_filter::eval::eval`]) gives true. The interpreter is three-valued; what is built here
//! is asked only "is it true" or "is it false" ([`Want`]), which turns `not` into the other
//! question for its operand and leaves nothing but `and` and `or` above the leaves. A leaf's
//! expression may be null instead of false: under `and` and `or` that is the same.
//!
//! What the stored column can answer by itself becomes a native comparison that prunes files, row
//! groups and pages ([`native`], [`text`]); everything else goes row by row through the
//! interpreter ([`residual`]).

mod membership;
mod native;
mod residual;
mod text;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::datatypes::{DataType, Schema};
use datafusion::common::{Column, ScalarValue};
use datafusion::logical_expr::{Expr as Plan, lit};
use payouts_filter::Expr;
use payouts_filter::ast::{Collation, CompareOp, Function, Value};
use payouts_ledger::{ColumnSource, Lengths, ReadAs, Snapshot};
use payouts_model::id::canonical;
use payouts_model::report::FieldRole;
use payouts_model::{Report, Scope};

pub(crate) use crate::fault::BadDataSlot;

/// Which answer of a three-valued predicate is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Want {
    /// Rows for which it is true.
    True,
    /// Rows for which it is false (not null).
    False,
}

impl Want {
    fn other(self) -> Self {
        match self {
            Self::True => Self::False,
            Self::False => Self::True,
        }
    }
}

/// What a field is stored as.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    /// The stored column.
    pub column: Plan,
    /// Its type.
    pub data_type: DataType,
    /// How it is read.
    pub read: ReadAs,
    /// Bytes of the shortest and of the longest text, if that is known of all of the table;
    /// `Some(None)`: there is none.
    pub lengths: Option<Lengths>,
}

/// Lowers predicates over one table.
#[derive(Clone, Debug)]
pub struct Lowering {
    report: Arc<Report>,
    stored: Vec<Option<Stored>>,
    bad_data: BadDataSlot,
}

impl Lowering {
    /// Lowers for a table whose fields come from `columns`, over stored columns of `schema`.
    pub fn new(report: &Arc<Report>, columns: &[ColumnSource], schema: &Schema, bad_data: BadDataSlot) -> Self {
        let stored = |source: &ColumnSource| match source {
            ColumnSource::Null => None,
            ColumnSource::Column { name, read } => {
                let field = schema.field_with_name(name).ok()?;
                Some(Stored {
                    column: Plan::Column(Column::from_name(name)),
                    data_type: field.data_type().clone(),
                    read: *read,
                    lengths: None,
                })
            }
        };
        Self { report: report.clone(), stored: columns.iter().map(stored).collect(), bad_data }
    }

    /// The same, with what the snapshot knows of the lengths of ids.
    pub fn with_id_lengths(mut self, snapshot: &Snapshot) -> Self {
        for stored in self.stored.iter_mut().flatten() {
            if let Plan::Column(column) = &stored.column {
                stored.lengths = snapshot.id_lengths(&column.name);
            }
        }
        self
    }

    /// The rows of the scope for which `predicate` is true; `None`: every row.
    pub fn rows(&self, predicate: Option<&Expr>, scope: &Scope) -> Option<Plan> {
        let scope = scope_predicate(&self.report, scope);
        let parts: Vec<Plan> = scope.iter().chain(predicate).map(|e| self.lower(e, Want::True)).collect();
        parts.into_iter().reduce(and)
    }

    /// The rows that [`Lowering::rows`] leaves out, if that can be said of each by itself.
    pub fn denial(&self, predicate: Option<&Expr>, scope: &Scope) -> Option<Plan> {
        let asked = predicate.filter(|p| never_null(p) && scope_predicate(&self.report, scope).is_none())?;
        Some(self.lower(asked, Want::False)).filter(|rows| constant(rows).is_none())
    }

    /// The rows for which `expr` is true, or for which it is false.
    pub fn lower(&self, expr: &Expr, want: Want) -> Plan {
        match expr {
            Expr::Literal(value) => lit(*value == Value::Boolean(want == Want::True)),
            Expr::Not(inner) => self.lower(inner, want.other()),
            Expr::And(parts) => self.join(parts, want, want == Want::True),
            Expr::Or(parts) => self.join(parts, want, want == Want::False),
            _ => self.leaf(expr, want).unwrap_or_else(|| self.residual(expr, want)),
        }
    }

    fn join(&self, parts: &[Expr], want: Want, all: bool) -> Plan {
        let parts = parts.iter().map(|p| self.lower(p, want));
        // A balanced tree: a chain of thousands must not be thousands deep.
        balanced(parts.collect(), if all { and } else { or }).unwrap_or_else(|| lit(all))
    }

    /// A leaf that the stored column can answer.
    fn leaf(&self, expr: &Expr, want: Want) -> Option<Plan> {
        match expr {
            Expr::Field(field) => native::boolean(self.stored(*field)?, want),
            Expr::Compare { op, collation, left, right } => match (&**left, &**right) {
                (Expr::Field(field), Expr::Literal(value)) => self.compare(*field, *op, *collation, value, want),
                (Expr::Literal(value), Expr::Field(field)) => {
                    self.compare(*field, mirror(*op), *collation, value, want)
                }
                _ => None,
            },
            Expr::In { operand, collation, list } => match &**operand {
                Expr::Field(field) => self.contained(*field, *collation, list, want),
                _ => None,
            },
            Expr::Call { function, args } => match (function, args.as_slice()) {
                (
                    Function::StartsWith | Function::Contains | Function::EndsWith,
                    [Expr::Field(field), Expr::Literal(Value::Text(text))],
                ) => text::search(self.stored(*field)?, *function, text, want),
                _ => None,
            },
            _ => None,
        }
    }

    fn stored(&self, field: usize) -> Option<&Stored> {
        self.stored[field].as_ref()
    }

    fn compare(&self, field: usize, op: CompareOp, collation: Collation, value: &Value, want: Want) -> Option<Plan> {
        let stored = self.stored(field)?;
        if *value == Value::Null {
            return match op {
                CompareOp::Eq => Some(null_test(stored, want == Want::True)),
                CompareOp::Ne => Some(null_test(stored, want == Want::False)),
                CompareOp::Gt | CompareOp::Ge | CompareOp::Lt | CompareOp::Le => Some(lit(want == Want::False)),
            };
        }
        let kind = self.report.fields[field].kind;
        if kind.stored_as_text() {
            return text::compare(stored, op, collation, value, want, &self.bad_data);
        }
        native::compare(stored, kind, op, value, want)
    }

    fn contained(&self, field: usize, collation: Collation, list: &[Value], want: Want) -> Option<Plan> {
        if list.is_empty() {
            return Some(lit(want == Want::False));
        }
        let stored = self.stored(field)?;
        let kind = self.report.fields[field].kind;
        let null = list.contains(&Value::Null);
        let values: Vec<&Value> = list.iter().filter(|v| **v != Value::Null).collect();
        let found = if kind.stored_as_text() {
            text::contained(stored, collation, &values, &self.bad_data)?
        } else {
            native::contained(stored, kind, &values)?
        };
        Some(match (want, null) {
            (Want::True, false) => found,
            (Want::True, true) => or(found, null_test(stored, true)),
            (Want::False, false) => or(not(found), null_test(stored, true)),
            (Want::False, true) => and(not(found), null_test(stored, false)),
        })
    }

    fn residual(&self, expr: &Expr, want: Want) -> Plan {
        residual::call(expr, &self.report, &self.stored, want, &self.bad_data)
    }
}

/// The canonical participants that every selected row has one of; `None`: any.
pub fn participants(report: &Report, predicate: Option<&Expr>, scope: &Scope) -> Option<BTreeSet<String>> {
    let participant = report.role(FieldRole::Participant);
    let scope = scope_predicate(report, scope);
    narrowest(scope.iter().chain(predicate).map(|e| named(e, participant)))
}

/// The canonical ids of a field without which `expr` is not true; `None`: it does not say.
fn named(expr: &Expr, field: usize) -> Option<BTreeSet<String>> {
    let id = |value: &Value| match value {
        Value::Text(text) => Some(canonical(text).to_owned()),
        _ => None,
    };
    let of_field = |e: &Expr| matches!(e, Expr::Field(f) if *f == field);
    // Ignoring case, a word may stand for several ids.
    let by_id = |collation: &Collation| matches!(collation, Collation::Id | Collation::Exact);
    match expr {
        Expr::Compare { op: CompareOp::Eq, collation, left, right } if by_id(collation) => match (&**left, &**right) {
            (f, Expr::Literal(value)) | (Expr::Literal(value), f) if of_field(f) => Some([id(value)?].into()),
            _ => None,
        },
        Expr::In { operand, collation, list } if of_field(operand) && by_id(collation) => list.iter().map(id).collect(),
        Expr::And(parts) => narrowest(parts.iter().map(|e| named(e, field))),
        Expr::Or(parts) => {
            let all: Option<Vec<_>> = parts.iter().map(|e| named(e, field)).collect();
            Some(all?.into_iter().flatten().collect())
        }
        _ => None,
    }
}

/// What all of those that say something agree on.
fn narrowest(sets: impl Iterator<Item = Option<BTreeSet<String>>>) -> Option<BTreeSet<String>> {
    sets.flatten().reduce(|a, b| a.intersection(&b).cloned().collect())
}

/// The scope as a predicate; `None`: it allows every row. An empty scope allows none.
pub fn scope_predicate(report: &Report, scope: &Scope) -> Option<Expr> {
    let mut by_participant: BTreeMap<&str, BTreeSet<Option<&str>>> = BTreeMap::new();
    let mut of_all: BTreeSet<&str> = BTreeSet::new();
    for pair in scope.pairs() {
        match (&pair.participant, &pair.program) {
            (None, None) => return None,
            (None, Some(program)) => {
                of_all.insert(program);
            }
            (Some(participant), program) => {
                by_participant.entry(participant.as_str()).or_default().insert(program.as_deref());
            }
        }
    }
    let mut by_programs: BTreeMap<BTreeSet<Option<&str>>, Vec<&str>> = BTreeMap::new();
    for (participant, programs) in by_participant {
        by_programs.entry(programs).or_default().push(participant);
    }
    let texts = |list: Vec<&str>| list.into_iter().map(|t| Value::Text(t.to_owned())).collect();
    let participants = |list: Vec<&str>| Expr::In {
        operand: Box::new(Expr::Field(report.role(FieldRole::Participant))),
        collation: Collation::Id,
        list: texts(list),
    };
    let programs = |list: Vec<&str>| Expr::In {
        operand: Box::new(Expr::Field(report.role(FieldRole::Program))),
        collation: Collation::Exact,
        list: texts(list),
    };
    let mut parts = Vec::new();
    if !of_all.is_empty() {
        parts.push(programs(of_all.into_iter().collect()));
    }
    for (names, ids) in by_programs {
        if names.contains(&None) {
            parts.push(participants(ids));
        } else {
            parts.push(Expr::And(vec![participants(ids), programs(names.into_iter().flatten().collect())]));
        }
    }
    Some(match parts.len() {
        0 => Expr::Literal(Value::Boolean(false)),
        1 => parts.swap_remove(0),
        _ => Expr::Or(parts),
    })
}

fn mirror(op: CompareOp) -> CompareOp {
    match op {
        CompareOp::Eq | CompareOp::Ne => op,
        CompareOp::Gt => CompareOp::Lt,
        CompareOp::Ge => CompareOp::Le,
        CompareOp::Lt => CompareOp::Gt,
        CompareOp::Le => CompareOp::Ge,
    }
}

/// Whether a predicate is true or false for every row.
fn never_null(expr: &Expr) -> bool {
    match expr {
        Expr::Compare { .. } | Expr::In { .. } => true,
        Expr::And(parts) | Expr::Or(parts) => parts.iter().all(never_null),
        Expr::Not(inner) => never_null(inner),
        _ => false,
    }
}

fn balanced(mut parts: Vec<Plan>, join: fn(Plan, Plan) -> Plan) -> Option<Plan> {
    while parts.len() > 1 {
        let mut next = Vec::with_capacity(parts.len().div_ceil(2));
        let mut rest = parts.into_iter();
        while let Some(left) = rest.next() {
            next.push(match rest.next() {
                Some(right) => join(left, right),
                None => left,
            });
        }
        parts = next;
    }
    parts.pop()
}

/// `and`, with constants folded.
pub(crate) fn and(left: Plan, right: Plan) -> Plan {
    match (constant(&left), constant(&right)) {
        (Some(false), _) | (_, Some(false)) => lit(false),
        (Some(true), _) => right,
        (_, Some(true)) => left,
        _ => left.and(right),
    }
}

/// `or`, with constants folded.
pub(crate) fn or(left: Plan, right: Plan) -> Plan {
    match (constant(&left), constant(&right)) {
        (Some(true), _) | (_, Some(true)) => lit(true),
        (Some(false), _) => right,
        (_, Some(false)) => left,
        _ => left.or(right),
    }
}

/// `not`, with constants folded; null stays null.
pub(crate) fn not(inner: Plan) -> Plan {
    match constant(&inner) {
        Some(value) => lit(!value),
        None => Plan::Not(Box::new(inner)),
    }
}

/// What a constant expression says.
pub(crate) fn constant(plan: &Plan) -> Option<bool> {
    match plan {
        Plan::Literal(ScalarValue::Boolean(Some(value)), _) => Some(*value),
        _ => None,
    }
}

pub(crate) fn null_test(stored: &Stored, null: bool) -> Plan {
    if null { stored.column.clone().is_null() } else { stored.column.clone().is_not_null() }
}
