//! Comparisons of ordered values (amounts, numbers, integers, dates, instants, truth values) with
//! literals, in the stored column's own units, so that statistics can prune by them.
//!
//! A literal is placed among the integers that the column stores ([`Scaled`]): on one of them,
//! between two, or beyond all. So `10.00005` against a column of four decimals, or a number that
//! no column could hold, compares as it should and is never rounded.

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Expr as Plan, lit};
use payouts_filter::ast::{CompareOp, Value};
use payouts_filter::number::Scaled;
use payouts_ledger::ReadAs;
use payouts_model::FieldType;

use super::{Stored, Want, null_test, or};

const DAY_MICROS: i128 = 86_400_000_000;

/// A boolean field by itself.
pub(super) fn boolean(stored: &Stored, want: Want) -> Option<Plan> {
    (stored.data_type == DataType::Boolean).then(|| stored.column.clone().eq(lit(want == Want::True)))
}

/// A comparison with a literal that is not null.
pub(super) fn compare(stored: &Stored, kind: FieldType, op: CompareOp, value: &Value, want: Want) -> Option<Plan> {
    if let (FieldType::Boolean, Value::Boolean(b), DataType::Boolean) = (kind, value, &stored.data_type) {
        let literal = lit(*b);
        return match (op, want) {
            (CompareOp::Eq, Want::True) | (CompareOp::Ne, Want::False) => Some(stored.column.clone().eq(literal)),
            (CompareOp::Ne, Want::True) | (CompareOp::Eq, Want::False) => {
                Some(or(stored.column.clone().not_eq(literal), null_test(stored, true)))
            }
            _ => None,
        };
    }
    let place = if *value == Value::NaN { None } else { Some(place(stored, kind, value)?) };
    let Some(place) = place else {
        // Not a number: equal to nothing, unordered.
        return Some(lit((op == CompareOp::Ne) == (want == Want::True)));
    };
    let truth = |op| truth(stored, op, place);
    Some(match (want, op) {
        (Want::True, op) => truth(op),
        (Want::False, CompareOp::Eq) => truth(CompareOp::Ne),
        (Want::False, CompareOp::Ne) => truth(CompareOp::Eq),
        (Want::False, CompareOp::Gt) => or(truth(CompareOp::Le), null_test(stored, true)),
        (Want::False, CompareOp::Ge) => or(truth(CompareOp::Lt), null_test(stored, true)),
        (Want::False, CompareOp::Lt) => or(truth(CompareOp::Ge), null_test(stored, true)),
        (Want::False, CompareOp::Le) => or(truth(CompareOp::Gt), null_test(stored, true)),
    })
}

/// Whether the column is one of `values` (none of them null); null where the column is.
pub(super) fn contained(stored: &Stored, kind: FieldType, values: &[&Value]) -> Option<Plan> {
    let mut list = Vec::new();
    for value in values {
        if **value == Value::NaN {
            continue;
        }
        if let (FieldType::Boolean, Value::Boolean(b), DataType::Boolean) = (kind, value, &stored.data_type) {
            list.push(lit(*b));
            continue;
        }
        if let Scaled::Exact(n) = place(stored, kind, value)? {
            list.extend(scalar(&stored.data_type, n).map(lit));
        }
    }
    Some(in_list(stored, list))
}

/// Longer lists do not prune pages: a limit of the query engine.
const PAGE_PRUNING_LIST_MAX: usize = 20;

/// Lists up to this long are cut into several that do.
const CUT_LIST_MAX: usize = 160;

/// A membership test; null where the column is null.
pub(super) fn in_list(stored: &Stored, mut list: Vec<Plan>) -> Plan {
    match list.len() {
        0 => lit(false),
        1 => stored.column.clone().eq(list.swap_remove(0)),
        n if n <= PAGE_PRUNING_LIST_MAX || n > CUT_LIST_MAX => stored.column.clone().in_list(list, false),
        _ => {
            let short =
                list.chunks(PAGE_PRUNING_LIST_MAX).map(|part| stored.column.clone().in_list(part.to_vec(), false));
            short.reduce(or).expect("the list is not empty")
        }
    }
}

/// Rows for which `column op place` holds, as the interpreter sees it.
fn truth(stored: &Stored, op: CompareOp, place: Scaled) -> Plan {
    let place = match place {
        // A number outside the stored type is beyond all of its values.
        Scaled::Exact(n) | Scaled::Between(n) if scalar(&stored.data_type, n).is_none() => {
            if n >= 0 {
                Scaled::Above
            } else {
                Scaled::Below
            }
        }
        other => other,
    };
    let column = || stored.column.clone();
    let at = |n: i128| lit(scalar(&stored.data_type, n).expect("the place was checked against the type"));
    match (place, op) {
        (Scaled::Exact(n), CompareOp::Eq) => column().eq(at(n)),
        (Scaled::Exact(n), CompareOp::Ne) => or(column().not_eq(at(n)), null_test(stored, true)),
        (_, CompareOp::Eq) => lit(false),
        (_, CompareOp::Ne) => lit(true),
        (Scaled::Exact(n) | Scaled::Between(n), CompareOp::Gt) => column().gt(at(n)),
        (Scaled::Exact(n), CompareOp::Ge) => column().gt_eq(at(n)),
        (Scaled::Between(n), CompareOp::Ge) => column().gt(at(n)),
        (Scaled::Exact(n), CompareOp::Lt) => column().lt(at(n)),
        (Scaled::Between(n), CompareOp::Lt) => column().lt_eq(at(n)),
        (Scaled::Exact(n) | Scaled::Between(n), CompareOp::Le) => column().lt_eq(at(n)),
        (Scaled::Above, CompareOp::Lt | CompareOp::Le) | (Scaled::Below, CompareOp::Gt | CompareOp::Ge) => {
            null_test(stored, false)
        }
        (Scaled::Above, CompareOp::Gt | CompareOp::Ge) | (Scaled::Below, CompareOp::Lt | CompareOp::Le) => lit(false),
    }
}

/// Where a literal lies among the integers that the column stores; `None` if this pair is not
/// compared natively.
fn place(stored: &Stored, kind: FieldType, value: &Value) -> Option<Scaled> {
    if stored.read == ReadAs::RoundedFloat {
        return None;
    }
    match (kind, value) {
        (FieldType::Amount | FieldType::Number | FieldType::Integer, Value::Number(number)) => {
            number_scale(&stored.data_type).map(|scale| number.scaled(scale))
        }
        (FieldType::Amount | FieldType::Number | FieldType::Integer, Value::Infinity(above)) => {
            number_scale(&stored.data_type).map(|_| if *above { Scaled::Above } else { Scaled::Below })
        }
        (FieldType::Date, Value::Date(day)) if stored.data_type == DataType::Date32 => {
            Some(Scaled::Exact(i128::from(*day)))
        }
        (FieldType::Date, Value::Instant(micros)) if stored.data_type == DataType::Date32 => {
            Some(divide(i128::from(*micros), DAY_MICROS))
        }
        (FieldType::Timestamp, Value::Instant(micros)) => {
            let micros = i128::from(*micros);
            match &stored.data_type {
                DataType::Timestamp(_, None) if stored.read != ReadAs::Utc => None,
                DataType::Timestamp(TimeUnit::Nanosecond, _) => Some(Scaled::Exact(micros * 1000)),
                DataType::Timestamp(TimeUnit::Microsecond, _) => Some(Scaled::Exact(micros)),
                DataType::Timestamp(TimeUnit::Millisecond, _) => Some(divide(micros, 1000)),
                DataType::Timestamp(TimeUnit::Second, _) => Some(divide(micros, 1_000_000)),
                _ => None,
            }
        }
        _ => None,
    }
}

fn divide(value: i128, by: i128) -> Scaled {
    let quotient = value.div_euclid(by);
    if value.rem_euclid(by) == 0 { Scaled::Exact(quotient) } else { Scaled::Between(quotient) }
}

fn number_scale(data_type: &DataType) -> Option<u32> {
    match data_type {
        DataType::Decimal128(_, scale) => u32::try_from(*scale).ok(),
        t if t.is_integer() => Some(0),
        _ => None,
    }
}

/// The stored integer `n` as a literal of the column's type; `None` if the type cannot hold it.
fn scalar(data_type: &DataType, n: i128) -> Option<ScalarValue> {
    Some(match data_type {
        DataType::Decimal128(precision, scale) => {
            let bound = 10_i128.checked_pow(u32::from(*precision))?;
            if n.checked_abs()? >= bound {
                return None;
            }
            ScalarValue::Decimal128(Some(n), *precision, *scale)
        }
        DataType::Int8 => ScalarValue::Int8(Some(n.try_into().ok()?)),
        DataType::Int16 => ScalarValue::Int16(Some(n.try_into().ok()?)),
        DataType::Int32 => ScalarValue::Int32(Some(n.try_into().ok()?)),
        DataType::Int64 => ScalarValue::Int64(Some(n.try_into().ok()?)),
        DataType::UInt8 => ScalarValue::UInt8(Some(n.try_into().ok()?)),
        DataType::UInt16 => ScalarValue::UInt16(Some(n.try_into().ok()?)),
        DataType::UInt32 => ScalarValue::UInt32(Some(n.try_into().ok()?)),
        DataType::UInt64 => ScalarValue::UInt64(Some(n.try_into().ok()?)),
        DataType::Date32 => ScalarValue::Date32(Some(n.try_into().ok()?)),
        DataType::Timestamp(unit, zone) => {
            let n = Some(n.try_into().ok()?);
            match unit {
                TimeUnit::Second => ScalarValue::TimestampSecond(n, zone.clone()),
                TimeUnit::Millisecond => ScalarValue::TimestampMillisecond(n, zone.clone()),
                TimeUnit::Microsecond => ScalarValue::TimestampMicrosecond(n, zone.clone()),
                TimeUnit::Nanosecond => ScalarValue::TimestampNanosecond(n, zone.clone()),
            }
        }
        _ => return None,
    })
}
