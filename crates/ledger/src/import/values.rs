//! One text into one typed value, exactly, and back again for people.

use std::borrow::Cow;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Date32Type, Decimal128Type, Int64Type, TimestampMicrosecondType};
use chrono::{NaiveDate, NaiveTime};
use payouts_model::money::parse_scaled;
use payouts_model::{Amount, Field, FieldType, Number, Timestamp};

use super::nearest;

/// A field of a row as it came.
#[derive(Clone, Debug)]
pub(super) struct Cell<'a> {
    /// Its text.
    pub text: Cow<'a, str>,
    /// Whether it stood in quotes: an empty one is then an empty text, not null.
    pub quoted: bool,
}

impl Cell<'_> {
    /// Null.
    pub const NULL: Cell<'static> = Cell { text: Cow::Borrowed(""), quoted: false };

    /// Whether it holds no value for a field of this kind: only texts can be empty texts.
    pub fn null(&self, kind: FieldType) -> bool {
        self.text.is_empty() && (!self.quoted || kind != FieldType::Text)
    }
}

/// A typed value.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    /// None.
    Null,
    /// A text, an id, a GUID, or an enumerated value in its canonical spelling.
    Text(&'a str),
    /// An integer, the digits of an amount or a number, or microseconds since 1970.
    Number(i64),
    /// Days since 1970-01-01.
    Days(i32),
    /// True or false.
    Boolean(bool),
}

/// The value of `field` that a cell holds, or why it does not hold one. `last` is the place of the
/// enumerated value of the row before: mostly the next one too.
pub(super) fn parse<'a>(field: &'a Field, cell: &'a Cell<'_>, last: &mut usize) -> Result<Value<'a>, String> {
    if cell.null(field.kind) {
        return if field.nullable { Ok(Value::Null) } else { Err("empty, but a value is required".into()) };
    }
    let text = &*cell.text;
    let scaled = |scale: u32| {
        let digits = parse_scaled(text, scale).map_err(|e| e.to_string())?;
        i64::try_from(digits).map(Value::Number).map_err(|_| "more digits than there is room for".to_owned())
    };
    Ok(match field.kind {
        FieldType::Enum => Value::Text(enumerated(field, text, last)?),
        FieldType::Guid => Value::Text(guid(text)?),
        FieldType::Id => Value::Text(id(text)?),
        FieldType::Text => Value::Text(text),
        FieldType::Amount => scaled(Amount::SCALE)?,
        FieldType::Number => scaled(Number::SCALE)?,
        FieldType::Integer => Value::Number(text.parse().map_err(|_| "not a whole number such as 42")?),
        FieldType::Date => Value::Days(date(text).ok_or("not a date such as 2023-05-15")?),
        FieldType::Timestamp => Value::Number(instant(text)?.0),
        FieldType::Boolean => Value::Boolean(boolean(text).ok_or("neither true nor false")?),
    })
}

fn enumerated<'f>(field: &'f Field, text: &str, last: &mut usize) -> Result<&'f str, String> {
    if let Some(value) = field.values.get(*last).filter(|v| ***v == *text) {
        return Ok(value);
    }
    match field.values.iter().position(|v| v.eq_ignore_ascii_case(text)) {
        Some(index) => {
            *last = index;
            Ok(&field.values[index])
        }
        None => Err(unknown_value(field, text)),
    }
}

/// Why `text` is not a value of an enumerated field.
pub(super) fn unknown_value(field: &Field, text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    match nearest(&lower, field.values.iter().map(|v| (v.to_ascii_lowercase(), v))) {
        Some((distance, value)) if distance <= 1.max(value.len() / 3) => {
            format!("not a value of {}; did you mean {value}?", field.name)
        }
        _ => format!("not a value of {}: expected one of {}", field.name, field.values.join(", ")),
    }
}

fn guid(text: &str) -> Result<&str, String> {
    match uuid::Uuid::try_parse(text) {
        Ok(_) => Ok(text),
        Err(_) => Err("not a GUID such as 6f1b7a52-0c1e-4f5e-9a43-2f0a8f3f7c11".into()),
    }
}

/// Ids are taken as they are, but for what a spreadsheet makes of a long one.
fn id(text: &str) -> Result<&str, String> {
    let exponent = memchr::memchr2(b'E', b'e', text.as_bytes());
    let rounded = exponent.map(|at| (&text[..at], &text[at + 1..])).is_some_and(|(mantissa, exponent)| {
        exponent.strip_prefix('+').is_some_and(|e| !e.is_empty() && e.bytes().all(|b| b.is_ascii_digit()))
            && mantissa.starts_with(|c: char| c.is_ascii_digit())
            && mantissa.bytes().all(|b| b.is_ascii_digit() || b == b'.' || b == b',')
    });
    if rounded {
        return Err("a number in scientific notation: a spreadsheet has rounded this id; export the file again and do not save it from the spreadsheet".into());
    }
    Ok(text)
}

fn boolean(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("true") { Some(true) } else { text.eq_ignore_ascii_case("false").then_some(false) }
}

fn digits(bytes: &[u8]) -> Option<u32> {
    bytes.iter().try_fold(0u32, |n, b| b.is_ascii_digit().then(|| n * 10 + u32::from(b - b'0')))
}

fn day(bytes: &[u8]) -> Option<NaiveDate> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = *bytes else { return None };
    let year = i32::try_from(digits(&[y1, y2, y3, y4])?).ok().filter(|y| *y > 0)?;
    NaiveDate::from_ymd_opt(year, digits(&[m1, m2])?, digits(&[d1, d2])?)
}

/// Days since 1970-01-01. A midnight behind the date changes nothing and is let pass.
fn date(text: &str) -> Option<i32> {
    let (head, tail) = text.as_bytes().split_at_checked(10)?;
    let midnight = || {
        let time = tail.strip_prefix(b"T").or(tail.strip_prefix(b" "))?;
        let time = time.strip_suffix(b"Z").unwrap_or(time).strip_prefix(b"00:00:00")?;
        (time.is_empty() || (time[0] == b'.' && time[1..].iter().all(|b| *b == b'0'))).then_some(())
    };
    if !tail.is_empty() {
        midnight()?;
    }
    Some(day(head)?.to_epoch_days())
}

const INSTANT: &str = "not an instant such as 2023-05-15T04:11:55.647Z (with Z or an offset such as +02:00)";

/// An ISO instant with its zone, to the microsecond.
pub(super) fn instant(text: &str) -> Result<Timestamp, String> {
    let (head, rest) = text.as_bytes().split_at_checked(19).ok_or(INSTANT)?;
    let [b'T' | b't' | b' ', h1, h2, b':', m1, m2, b':', s1, s2] = head[10..] else { return Err(INSTANT.into()) };
    let two = |a: u8, b: u8| digits(&[a, b]).ok_or(INSTANT);
    let time = NaiveTime::from_hms_opt(two(h1, h2)?, two(m1, m2)?, two(s1, s2)?).ok_or(INSTANT)?;
    let whole = day(&head[..10]).ok_or(INSTANT)?.and_time(time).and_utc().timestamp();
    let (fraction, zone) = match rest.strip_prefix(b".") {
        Some(rest) => rest.split_at(rest.iter().position(|b| !b.is_ascii_digit()).unwrap_or(rest.len())),
        None => (&[][..], rest),
    };
    if rest.first() == Some(&b'.') && fraction.is_empty() {
        return Err(INSTANT.into());
    }
    let mut micros = 0i64;
    for place in 0..6 {
        micros = micros * 10 + i64::from(fraction.get(place).map_or(0, |b| b - b'0'));
    }
    if fraction.iter().skip(6).any(|b| *b != b'0') {
        return Err("more than 6 digits of a second".into());
    }
    let offset_s = match *zone {
        [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] | [sign @ (b'+' | b'-'), h1, h2, m1, m2] => {
            let (hours, minutes) = (two(h1, h2)?, two(m1, m2)?);
            if hours > 23 || minutes > 59 {
                return Err(INSTANT.into());
            }
            let offset = i64::from(hours * 3600 + minutes * 60);
            if sign == b'-' { -offset } else { offset }
        }
        [] => return Err("an instant without a zone: add Z if it is UTC, or an offset such as +02:00".into()),
        _ => return Err(INSTANT.into()),
    };
    Ok(Timestamp((whole - offset_s) * 1_000_000 + micros))
}

/// The text of a value as an export prints it; `None` for null.
pub(super) fn print(field: &Field, batch: &RecordBatch, column: usize, row: usize) -> Option<String> {
    let array = batch.column(column);
    if array.is_null(row) {
        return None;
    }
    Some(match field.kind {
        FieldType::Amount => Amount(array.as_primitive::<Decimal128Type>().value(row)).to_string(),
        FieldType::Number => Number(array.as_primitive::<Decimal128Type>().value(row)).to_string(),
        FieldType::Integer => array.as_primitive::<Int64Type>().value(row).to_string(),
        FieldType::Id | FieldType::Text | FieldType::Enum | FieldType::Guid => {
            array.as_string::<i32>().value(row).to_owned()
        }
        FieldType::Date => {
            let days = array.as_primitive::<Date32Type>().value(row);
            NaiveDate::from_epoch_days(days).map_or_else(|| days.to_string(), |d| d.to_string())
        }
        FieldType::Timestamp => Timestamp(array.as_primitive::<TimestampMicrosecondType>().value(row)).to_string(),
        FieldType::Boolean => array.as_boolean().value(row).to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_exact_to_the_microsecond() {
        let at = |text: &str| instant(text).map(|t| t.to_string());
        assert_eq!(at("2023-05-15T04:11:55.647Z").unwrap(), "2023-05-15T04:11:55.647Z");
        assert_eq!(at("2023-05-25T21:20:46.3727560Z").unwrap(), "2023-05-25T21:20:46.372756Z");
        assert_eq!(at("2023-05-15 04:11:55+02:30").unwrap(), "2023-05-15T01:41:55Z");
        assert_eq!(at("1969-12-31T23:59:59.5Z").unwrap(), "1969-12-31T23:59:59.5Z");
        assert!(at("2023-05-25T21:20:46.3727561Z").unwrap_err().contains("6 digits"));
        assert!(at("2023-05-15T04:11:55").unwrap_err().contains("without a zone"));
        for bad in [
            "",
            "2023-02-30T00:00:00Z",
            "2023-05-15T24:00:00Z",
            "2023-05-15T04:11:55.Z",
            "15.05.2023",
            "2023-05-15T04:11:55+25:00",
            "ä023-05-15T04:11:55Z",
        ] {
            assert!(at(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn dates_may_carry_a_midnight_only() {
        assert_eq!(date("1970-01-02"), Some(1));
        assert_eq!(date("1970-01-02T00:00:00.000Z"), Some(1));
        assert_eq!(date("1970-01-02T00:00:01"), None);
        assert_eq!(date("1970-1-2"), None);
        assert_eq!(date("5/15/2023"), None);
    }

    #[test]
    fn ids_that_a_spreadsheet_rounded_are_refused() {
        assert!(id("6.77240E+11").is_err());
        assert!(id("006772397028").is_ok());
        assert!(id("1E5").is_ok(), "could be a real id");
    }
}
