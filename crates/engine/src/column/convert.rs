//! The conversions behind [`FieldReader::read`](super::FieldReader::read): each is exact or an
//! error.

use std::fmt::Display;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, Decimal64Array, PrimitiveArray, TimestampMicrosecondArray,
};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{
    DataType, Date32Type, Date64Type, Decimal64Type, Decimal128Type, Decimal256Type, Float32Type, Float64Type,
    Int64Type, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType, UInt64Type,
};
use payouts_model::FieldType;

use super::{Column, How, TextColumn};

/// Scaled integers below this fit decimal(18, s).
const LIMIT_18: i64 = 10_i64.pow(18);

pub(super) fn read(array: &ArrayRef, kind: FieldType, how: How) -> Result<Column, String> {
    if array.null_count() == array.len() && !array.is_empty() || *array.data_type() == DataType::Null {
        return Ok(Column::Null);
    }
    Ok(match kind {
        FieldType::Id | FieldType::Text | FieldType::Enum | FieldType::Guid => Column::Text(text(array, kind)?),
        FieldType::Amount => Column::Amount(scaled(array, 4, how)?),
        FieldType::Number => Column::Number(scaled(array, 8, how)?),
        FieldType::Integer => Column::Integer(integer(array, how)?),
        FieldType::Date => Column::Date(date(array)?),
        FieldType::Timestamp => Column::Instant(instant(array, how)?),
        FieldType::Boolean => match array.as_boolean_opt() {
            Some(a) => Column::Boolean(a.clone()),
            None => return Err(mismatch(array, "true or false")),
        },
    })
}

fn mismatch(array: &ArrayRef, expected: &str) -> String {
    format!("stored as {}, expected {expected}", array.data_type())
}

fn cast(array: &ArrayRef, to: &DataType) -> Result<ArrayRef, String> {
    let options = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(array, to, &options).map_err(|e| e.to_string())
}

fn text(array: &ArrayRef, kind: FieldType) -> Result<TextColumn, String> {
    Ok(match array.data_type() {
        DataType::Utf8View => TextColumn::View(array.as_string_view().clone()),
        DataType::Utf8 => TextColumn::Utf8(array.as_string().clone()),
        DataType::LargeUtf8 => TextColumn::Large(array.as_string().clone()),
        DataType::Dictionary(_, values) if values.is_string() || **values == DataType::Utf8View => {
            let dictionary = array.as_any_dictionary();
            let keys = cast(&arrow::array::make_array(dictionary.keys().to_data()), &DataType::Int32)?;
            let values = cast(dictionary.values(), &DataType::Utf8)?;
            TextColumn::Dictionary { keys: keys.as_primitive().clone(), values: values.as_string().clone() }
        }
        // An id kept as a number has no leading zeros to lose.
        t if t.is_integer() && kind == FieldType::Id => {
            TextColumn::View(cast(array, &DataType::Utf8View)?.as_string_view().clone())
        }
        _ => return Err(mismatch(array, "text")),
    })
}

/// Converts every value that is there; the first that cannot be is the error.
fn map<A: ArrowPrimitiveType, B: ArrowPrimitiveType>(
    array: &ArrayRef,
    expected: &str,
    convert: impl Fn(A::Native) -> Option<B::Native>,
) -> Result<PrimitiveArray<B>, String>
where
    A::Native: Display,
{
    array.as_primitive::<A>().try_unary(|v| convert(v).ok_or_else(|| format!("value {v} is not {expected}")))
}

fn scaled(array: &ArrayRef, scale: u32, how: How) -> Result<Decimal64Array, String> {
    let expected = format!("within decimal(18,{scale}) without rounding");
    let fits = |v: i128| i64::try_from(v).ok().filter(|v| v.abs() < LIMIT_18);
    let whole = |v: i128| v.checked_mul(10_i128.pow(scale)).and_then(fits);
    match array.data_type() {
        DataType::Decimal64(_, s) if i64::from(*s) == i64::from(scale) => {
            Ok(array.as_primitive::<Decimal64Type>().clone())
        }
        DataType::Decimal128(_, s) => {
            let s = i32::from(*s);
            map::<Decimal128Type, Decimal64Type>(array, &expected, |v| rescale(v, s, scale as i32).and_then(fits))
        }
        DataType::Decimal32(p, s) | DataType::Decimal64(p, s) => {
            let wide = cast(array, &DataType::Decimal128(*p, *s))?;
            scaled(&wide, scale, how)
        }
        DataType::Decimal256(_, s) => {
            let s = i32::from(*s);
            map::<Decimal256Type, Decimal64Type>(array, &expected, |v| {
                v.to_i128().and_then(|v| rescale(v, s, scale as i32)).and_then(fits)
            })
        }
        DataType::UInt64 => map::<UInt64Type, Decimal64Type>(array, &expected, |v| whole(i128::from(v))),
        t if t.is_integer() => {
            map::<Int64Type, Decimal64Type>(&cast(array, &DataType::Int64)?, &expected, |v| whole(i128::from(v)))
        }
        DataType::Float64 if how == How::RoundedFloat => {
            map::<Float64Type, Decimal64Type>(array, "a number in range", |v| {
                round_text(v.is_finite().then(|| v.to_string())?.as_str(), scale).and_then(fits)
            })
        }
        DataType::Float32 if how == How::RoundedFloat => {
            map::<Float32Type, Decimal64Type>(array, "a number in range", |v| {
                round_text(v.is_finite().then(|| v.to_string())?.as_str(), scale).and_then(fits)
            })
        }
        DataType::Float64 | DataType::Float32 => {
            Err(mismatch(array, "a decimal (a float only if the mapping says float = \"round\")"))
        }
        _ => Err(mismatch(array, "a decimal")),
    }
}

fn rescale(value: i128, from: i32, to: i32) -> Option<i128> {
    let power = |n: i32| 10_i128.checked_pow(u32::try_from(n).ok()?);
    if from <= to {
        return value.checked_mul(power(to - from)?);
    }
    let divisor = match power(from - to) {
        Some(divisor) => divisor,
        None => return (value == 0).then_some(0),
    };
    (value % divisor == 0).then_some(value / divisor)
}

/// Plain decimal text as an integer scaled by 10^`scale`, rounded half away from zero.
pub(super) fn round_text(text: &str, scale: u32) -> Option<i128> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let mut value: i128 = 0;
    let kept = fraction.bytes().chain(std::iter::repeat(b'0')).take(scale as usize);
    for digit in whole.bytes().chain(kept) {
        value = value.checked_mul(10)?.checked_add(i128::from(digit.checked_sub(b'0').filter(|d| *d < 10)?))?;
    }
    if fraction.as_bytes().get(scale as usize).is_some_and(|d| *d >= b'5') {
        value += 1;
    }
    Some(if negative { -value } else { value })
}

fn integer(array: &ArrayRef, how: How) -> Result<PrimitiveArray<Int64Type>, String> {
    match array.data_type() {
        DataType::Int64 => Ok(array.as_primitive::<Int64Type>().clone()),
        t if t.is_integer() => Ok(cast(array, &DataType::Int64)?.as_primitive::<Int64Type>().clone()),
        DataType::Decimal128(_, s) => {
            let s = i32::from(*s);
            map::<Decimal128Type, Int64Type>(array, "an integer", |v| {
                rescale(v, s, 0).and_then(|v| i64::try_from(v).ok())
            })
        }
        DataType::Decimal32(p, s) | DataType::Decimal64(p, s) => {
            integer(&cast(array, &DataType::Decimal128(*p, *s))?, how)
        }
        DataType::Float64 if how == How::RoundedFloat => {
            map::<Float64Type, Int64Type>(array, "a number in range", |v| {
                round_text(v.is_finite().then(|| v.to_string())?.as_str(), 0).and_then(|v| i64::try_from(v).ok())
            })
        }
        DataType::Float32 if how == How::RoundedFloat => {
            map::<Float32Type, Int64Type>(array, "a number in range", |v| {
                round_text(v.is_finite().then(|| v.to_string())?.as_str(), 0).and_then(|v| i64::try_from(v).ok())
            })
        }
        _ => Err(mismatch(array, "an integer")),
    }
}

fn date(array: &ArrayRef) -> Result<PrimitiveArray<Date32Type>, String> {
    const DAY_MS: i64 = 86_400_000;
    match array.data_type() {
        DataType::Date32 => Ok(array.as_primitive::<Date32Type>().clone()),
        DataType::Date64 => map::<Date64Type, Date32Type>(array, "a whole day in milliseconds", |v| {
            (v % DAY_MS == 0).then(|| i32::try_from(v / DAY_MS).ok()).flatten()
        }),
        _ => Err(mismatch(array, "a date")),
    }
}

fn instant(array: &ArrayRef, how: How) -> Result<TimestampMicrosecondArray, String> {
    let DataType::Timestamp(unit, zone) = array.data_type() else {
        return Err(mismatch(array, "a timestamp"));
    };
    if zone.is_none() && how != How::Utc {
        return Err(mismatch(array, "a timestamp with a zone (without one only if the mapping says zone = \"UTC\")"));
    }
    match unit {
        TimeUnit::Microsecond => Ok(array.as_primitive::<TimestampMicrosecondType>().clone()),
        TimeUnit::Second => map::<TimestampSecondType, TimestampMicrosecondType>(array, "an instant in range", |v| {
            v.checked_mul(1_000_000)
        }),
        TimeUnit::Millisecond => {
            map::<TimestampMillisecondType, TimestampMicrosecondType>(array, "an instant in range", |v| {
                v.checked_mul(1000)
            })
        }
        TimeUnit::Nanosecond => {
            map::<TimestampNanosecondType, TimestampMicrosecondType>(array, "an instant in whole microseconds", |v| {
                (v % 1000 == 0).then_some(v / 1000)
            })
        }
    }
}
