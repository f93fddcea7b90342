//! The functions of OData 4.01 that a flat row can use. Lengths and positions count code points.

use crate::ast::{Function, Value};
use crate::eval::DAY_US;
use crate::number::Decimal;

/// Whether the answer's type is a whole number's.
pub fn answers_integer(function: Function) -> bool {
    use Function as F;
    matches!(
        function,
        F::Length | F::IndexOf | F::Year | F::Month | F::Day | F::Hour | F::Minute | F::Second | F::TotalOffsetMinutes
    )
}

/// Calls a function; null if an argument is null.
pub fn call(function: Function, args: &[Value]) -> Value {
    match args {
        [value] => one(function, value),
        [Value::Text(a), Value::Text(b)] => two_texts(function, a, b),
        [Value::Text(text), Value::Number(start)] if function == Function::Substring => substring(text, start, None),
        [Value::Text(text), Value::Number(start), Value::Number(length)] if function == Function::Substring => {
            substring(text, start, Some(length))
        }
        _ => Value::Null,
    }
}

fn integer(value: i64) -> Value {
    Value::Number(Decimal::from_integer(value))
}

fn two_texts(function: Function, a: &str, b: &str) -> Value {
    match function {
        Function::Contains => Value::Boolean(a.contains(b)),
        Function::StartsWith => Value::Boolean(a.starts_with(b)),
        Function::EndsWith => Value::Boolean(a.ends_with(b)),
        Function::IndexOf => integer(a.find(b).map_or(-1, |at| a[..at].chars().count() as i64)),
        Function::Concat => Value::Text([a, b].concat()),
        _ => Value::Null,
    }
}

/// From the zero-based `start` on; beyond the end it is empty, before the start it is null.
fn substring(text: &str, start: &Decimal, length: Option<&Decimal>) -> Value {
    // A whole number too large for i64 is beyond the end like any other.
    let clamp = |n: &Decimal| match n {
        n if n.is_negative() || !n.is_whole() => None,
        n => Some(n.to_i64().unwrap_or(i64::MAX) as usize),
    };
    let Some(start) = clamp(start) else { return Value::Null };
    let rest = text.chars().skip(start);
    match length.map(clamp) {
        None => Value::Text(rest.collect()),
        Some(Some(length)) => Value::Text(rest.take(length).collect()),
        Some(None) => Value::Null,
    }
}

fn one(function: Function, value: &Value) -> Value {
    use Function as F;
    match (function, value) {
        (F::Length, Value::Text(text)) => integer(text.chars().count() as i64),
        (F::ToLower, Value::Text(text)) => Value::Text(text.chars().flat_map(char::to_lowercase).collect()),
        (F::ToUpper, Value::Text(text)) => Value::Text(text.chars().flat_map(char::to_uppercase).collect()),
        (F::Trim, Value::Text(text)) => Value::Text(text.trim().to_owned()),
        (F::Year | F::Month | F::Day, Value::Date(day)) => date_part(function, i64::from(*day)),
        (F::Year | F::Month | F::Day, Value::Instant(us)) => date_part(function, us.div_euclid(DAY_US)),
        (F::Hour | F::Minute | F::Second | F::FractionalSeconds, Value::Instant(us) | Value::TimeOfDay(us)) => {
            time_part(function, us.rem_euclid(DAY_US))
        }
        (F::Date, Value::Instant(us)) => i32::try_from(us.div_euclid(DAY_US)).map_or(Value::Null, Value::Date),
        (F::Date, Value::Date(day)) => Value::Date(*day),
        (F::Time, Value::Instant(us)) => Value::TimeOfDay(us.rem_euclid(DAY_US)),
        (F::TotalOffsetMinutes, Value::Instant(_)) => integer(0),
        (F::Round, Value::Number(n)) => n.round().map_or(Value::Null, Value::Number),
        (F::Floor, Value::Number(n)) => n.floor().map_or(Value::Null, Value::Number),
        (F::Ceiling, Value::Number(n)) => n.ceiling().map_or(Value::Null, Value::Number),
        (F::Round | F::Floor | F::Ceiling, Value::Infinity(_) | Value::NaN) => value.clone(),
        _ => Value::Null,
    }
}

fn date_part(function: Function, day: i64) -> Value {
    use chrono::Datelike;
    let date = i32::try_from(day).ok().and_then(chrono::NaiveDate::from_epoch_days);
    let Some(date) = date else { return Value::Null };
    integer(match function {
        Function::Year => i64::from(date.year()),
        Function::Month => i64::from(date.month()),
        _ => i64::from(date.day()),
    })
}

fn time_part(function: Function, us: i64) -> Value {
    match function {
        Function::Hour => integer(us / 3_600_000_000),
        Function::Minute => integer(us / 60_000_000 % 60),
        Function::Second => integer(us / 1_000_000 % 60),
        _ => Value::Number(Decimal::from_scaled(i128::from(us % 1_000_000), 6)),
    }
}
