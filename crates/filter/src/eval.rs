//! The meaning of a predicate, row by row: the reference that every other evaluation must agree
//! with, and what the engine uses for what it cannot express natively.
//!
//! Comparisons are never null. `and`, `or` and `not` are three-valued. Arithmetic and functions
//! answer null where an argument is null or the result does not exist.

mod functions;

use std::cmp::Ordering;

use payouts_model::{FieldType, Report, id};

use crate::ast::{ArithmeticOp, Collation, CompareOp, Expr, Value};
use crate::number::Decimal;

/// Microseconds in a day.
pub(crate) const DAY_US: i64 = 86_400_000_000;

/// A row that can be asked for a field.
pub trait Row {
    /// The value of the field with this index in the report.
    fn value(&self, field: usize) -> Value;
}

/// Evaluates `expr` over `row`. A predicate's answer is a boolean or null.
pub fn eval(expr: &Expr, row: &dyn Row, report: &Report) -> Value {
    match expr {
        Expr::Literal(value) => value.clone(),
        Expr::Field(index) => row.value(*index),
        Expr::Compare { op, collation, left, right } => {
            let (left, right) = (eval(left, row, report), eval(right, row, report));
            Value::Boolean(compare(*op, *collation, &left, &right))
        }
        Expr::In { operand, collation, list } => {
            let operand = eval(operand, row, report);
            Value::Boolean(list.iter().any(|value| equal(*collation, &operand, value)))
        }
        Expr::And(parts) => three_valued(parts, false, row, report),
        Expr::Or(parts) => three_valued(parts, true, row, report),
        Expr::Not(inner) => match eval(inner, row, report) {
            Value::Boolean(value) => Value::Boolean(!value),
            _ => Value::Null,
        },
        Expr::Arithmetic { .. } => arithmetic_chain(expr, row, report).0,
        Expr::Negate(inner) => match eval(inner, row, report) {
            Value::Number(number) => Value::Number(number.negate()),
            Value::Infinity(positive) => Value::Infinity(!positive),
            Value::NaN => Value::NaN,
            Value::Duration(us) => us.checked_neg().map_or(Value::Null, Value::Duration),
            _ => Value::Null,
        },
        Expr::Call { function, args } => {
            let args: Vec<Value> = args.iter().map(|a| eval(a, row, report)).collect();
            functions::call(*function, &args)
        }
    }
}

/// `and` if `decides` is false, `or` if it is true: that value decides, else null, else the other.
fn three_valued(parts: &[Expr], decides: bool, row: &dyn Row, report: &Report) -> Value {
    let mut null = false;
    for part in parts {
        match eval(part, row, report) {
            Value::Boolean(value) if value == decides => return Value::Boolean(decides),
            Value::Boolean(_) => {}
            _ => null = true,
        }
    }
    if null { Value::Null } else { Value::Boolean(!decides) }
}

/// Whether `left op right` holds; never null.
pub fn compare(op: CompareOp, collation: Collation, left: &Value, right: &Value) -> bool {
    match op {
        CompareOp::Eq => equal(collation, left, right),
        CompareOp::Ne => !equal(collation, left, right),
        CompareOp::Gt => order(left, right).is_some_and(Ordering::is_gt),
        CompareOp::Ge => order(left, right).is_some_and(Ordering::is_ge),
        CompareOp::Lt => order(left, right).is_some_and(Ordering::is_lt),
        CompareOp::Le => order(left, right).is_some_and(Ordering::is_le),
    }
}

/// Whether two values are equal; null equals only null, not-a-number nothing.
pub fn equal(collation: Collation, left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Null, Value::Null) => true,
        (Value::Null, _) | (_, Value::Null) => false,
        (Value::Text(a), Value::Text(b)) => match collation {
            Collation::Exact => a == b,
            Collation::Id => id::canonical(a) == id::canonical(b),
            Collation::IgnoreCase => a.eq_ignore_ascii_case(b),
        },
        _ => order(left, right) == Some(Ordering::Equal),
    }
}

/// How two values are ordered; `None` where they are not: null, not-a-number, other types.
fn order(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Number(a), Value::Number(b)) => Some(a.cmp(b)),
        (Value::Infinity(a), Value::Infinity(b)) | (Value::Boolean(a), Value::Boolean(b)) => Some(a.cmp(b)),
        (Value::Number(_), Value::Infinity(positive)) => {
            Some(if *positive { Ordering::Less } else { Ordering::Greater })
        }
        (Value::Infinity(positive), Value::Number(_)) => {
            Some(if *positive { Ordering::Greater } else { Ordering::Less })
        }
        (Value::Text(a), Value::Text(b)) => Some(a.cmp(b)),
        (Value::Date(a), Value::Date(b)) => Some(a.cmp(b)),
        (Value::Date(a), Value::Instant(b)) => Some((i128::from(*a) * i128::from(DAY_US)).cmp(&i128::from(*b))),
        (Value::Instant(a), Value::Date(b)) => Some(i128::from(*a).cmp(&(i128::from(*b) * i128::from(DAY_US)))),
        (Value::Instant(a), Value::Instant(b))
        | (Value::TimeOfDay(a), Value::TimeOfDay(b))
        | (Value::Duration(a), Value::Duration(b)) => Some(a.cmp(b)),
        _ => None,
    }
}

/// Evaluates a chain of arithmetic from its left end without recursing into it, since a chain may
/// be thousands of operations long. Answers whether the result's type is a whole number's, too.
fn arithmetic_chain(expr: &Expr, row: &dyn Row, report: &Report) -> (Value, bool) {
    let mut steps = Vec::new();
    let mut first = expr;
    while let Expr::Arithmetic { op, left, right } = first {
        steps.push((*op, &**right));
        first = left;
    }
    let mut result = operand(first, row, report);
    for (op, right) in steps.into_iter().rev() {
        let (right, right_whole) = operand(right, row, report);
        let whole = result.1 && right_whole && op != ArithmeticOp::DivBy;
        result = (arithmetic(op, &result.0, &right, whole), whole);
    }
    result
}

/// A value, and whether its type is a whole number's: fields of type integer, whole literals, and
/// what is made of them.
fn operand(expr: &Expr, row: &dyn Row, report: &Report) -> (Value, bool) {
    match expr {
        Expr::Arithmetic { .. } => arithmetic_chain(expr, row, report),
        Expr::Negate(inner) => {
            let (value, whole) = operand(inner, row, report);
            let value = match value {
                Value::Number(number) => Value::Number(number.negate()),
                _ => eval(expr, row, report),
            };
            (value, whole)
        }
        Expr::Literal(Value::Number(number)) => (Value::Number(number.clone()), number.is_whole()),
        Expr::Field(index) => (row.value(*index), report.fields[*index].kind == FieldType::Integer),
        Expr::Call { function, .. } => (eval(expr, row, report), functions::answers_integer(*function)),
        _ => (eval(expr, row, report), false),
    }
}

fn arithmetic(op: ArithmeticOp, left: &Value, right: &Value, whole: bool) -> Value {
    use ArithmeticOp::{Add, Div, DivBy, Mod, Mul, Sub};
    let number = |n: Option<Decimal>| n.map_or(Value::Null, Value::Number);
    let duration = |us: Option<i64>| us.map_or(Value::Null, Value::Duration);
    match (left, op, right) {
        (Value::Number(a), Add, Value::Number(b)) => number(a.add(b)),
        (Value::Number(a), Sub, Value::Number(b)) => number(a.sub(b)),
        (Value::Number(a), Mul, Value::Number(b)) => number(a.mul(b)),
        (Value::Number(a), Div, Value::Number(b)) if whole => number(a.div_whole(b)),
        (Value::Number(a), Div | DivBy, Value::Number(b)) => number(a.div(b)),
        (Value::Number(a), Mod, Value::Number(b)) => number(a.rem(b)),
        (Value::Instant(a), Add, Value::Duration(b)) | (Value::Duration(b), Add, Value::Instant(a)) => {
            a.checked_add(*b).map_or(Value::Null, Value::Instant)
        }
        (Value::Instant(a), Sub, Value::Duration(b)) => a.checked_sub(*b).map_or(Value::Null, Value::Instant),
        (Value::Instant(a), Sub, Value::Instant(b)) => duration(a.checked_sub(*b)),
        (Value::Date(a), Add, Value::Duration(b)) | (Value::Duration(b), Add, Value::Date(a)) => moved(*a, Some(*b)),
        (Value::Date(a), Sub, Value::Duration(b)) => moved(*a, b.checked_neg()),
        (Value::Date(a), Sub, Value::Date(b)) => duration((i64::from(*a) - i64::from(*b)).checked_mul(DAY_US)),
        (Value::Duration(a), Add, Value::Duration(b)) => duration(a.checked_add(*b)),
        (Value::Duration(a), Sub, Value::Duration(b)) => duration(a.checked_sub(*b)),
        (Value::Duration(a), Mul, Value::Number(b)) | (Value::Number(b), Mul, Value::Duration(a)) => {
            duration(Decimal::from_integer(*a).mul(b).and_then(|d| d.round()).and_then(|d| d.to_i64()))
        }
        (Value::Duration(a), Div | DivBy, Value::Number(b)) => {
            duration(Decimal::from_integer(*a).div(b).and_then(|d| d.round()).and_then(|d| d.to_i64()))
        }
        _ => special(op, left, right),
    }
}

/// A day moved by a duration; the part of a day that is left over counts as the day it falls in.
fn moved(day: i32, by_us: Option<i64>) -> Value {
    let at = by_us.and_then(|us| (i64::from(day) * DAY_US).checked_add(us));
    at.and_then(|us| i32::try_from(us.div_euclid(DAY_US)).ok()).map_or(Value::Null, Value::Date)
}

/// Arithmetic with INF and NaN, as IEEE 754 has it; everything else is null.
fn special(op: ArithmeticOp, left: &Value, right: &Value) -> Value {
    use ArithmeticOp::{Add, Div, DivBy, Mod, Mul, Sub};
    let sign = |v: &Value| match v {
        Value::Number(n) if n.is_zero() => Some(0),
        Value::Number(n) => Some(if n.is_negative() { -1 } else { 1 }),
        Value::Infinity(positive) => Some(if *positive { 1 } else { -1 }),
        _ => None,
    };
    let numeric = |v: &Value| matches!(v, Value::Number(_) | Value::Infinity(_) | Value::NaN);
    if !numeric(left) || !numeric(right) {
        return Value::Null;
    }
    let (Some(a), Some(b)) = (sign(left), sign(right)) else { return Value::NaN };
    let infinite = |v: &Value| matches!(v, Value::Infinity(_));
    match op {
        Add | Sub => match (infinite(left), infinite(right)) {
            (true, true) if (a == b) == (op == Add) => left.clone(),
            (true, true) => Value::NaN,
            (true, false) => left.clone(),
            _ => Value::Infinity((b > 0) == (op == Add)),
        },
        Mul if a * b == 0 => Value::NaN,
        Mul => Value::Infinity(a * b > 0),
        Div | DivBy => match (infinite(left), infinite(right)) {
            (true, true) => Value::NaN,
            (true, false) if b == 0 => Value::Null,
            (true, false) => Value::Infinity(a * b > 0),
            _ => Value::Number(Decimal::ZERO),
        },
        Mod if infinite(left) => Value::NaN,
        Mod => left.clone(),
    }
}

#[cfg(test)]
mod tests;
