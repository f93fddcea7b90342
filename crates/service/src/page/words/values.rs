//! Values in words: days and times as they are in a time zone, ids and texts so that they can be told
//! apart from the words around them.

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta};
use chrono_tz::Tz;
use payouts_filter::ast::{CompareOp, Value};
use payouts_model::FieldType;

/// The longest text that is shown whole.
const TEXT_CHARS_MAX: usize = 60;

/// One end of a time.
pub(super) struct Bound {
    /// Such as "from".
    pub word: &'static str,
    /// The day, or the instant.
    pub at: String,
}

/// Whether a value is a day or an instant.
pub(super) fn is_time(value: &Value) -> bool {
    matches!(value, Value::Date(_) | Value::Instant(_))
}

/// A comparison with a day or an instant.
pub(super) fn bound(op: CompareOp, value: &Value, time_zone: Tz) -> Option<Bound> {
    let word = match op {
        CompareOp::Ge => "from",
        CompareOp::Gt => "after",
        CompareOp::Lt => "before",
        CompareOp::Le => "to",
        CompareOp::Eq | CompareOp::Ne => return None,
    };
    match value {
        Value::Date(days) => Some(Bound { word, at: date(*days) }),
        Value::Instant(micros) => {
            let local = local(*micros, time_zone);
            let midnight = local.filter(|at| at.time() == NaiveTime::MIN);
            match (midnight, op) {
                (Some(at), CompareOp::Ge) => Some(Bound { word, at: at.date_naive().to_string() }),
                // Before a day begins is up to the day before it, to its last moment.
                (Some(at), CompareOp::Lt) => {
                    let last = at.date_naive().pred_opt()?;
                    Some(Bound { word: "to", at: last.to_string() })
                }
                _ => Some(Bound { word, at: instant(*micros, time_zone) }),
            }
        }
        _ => None,
    }
}

/// A comparison by order with what is no time, as it follows "is".
pub(super) fn order(op: CompareOp, value: &str) -> String {
    let word = match op {
        CompareOp::Ge => "at least",
        CompareOp::Gt => "more than",
        CompareOp::Lt => "less than",
        CompareOp::Le => "at most",
        CompareOp::Eq => "equal to",
        CompareOp::Ne => "not equal to",
    };
    format!("{word} {value}")
}

/// A value; `kind` is that of the field that it is a value of.
pub(super) fn text(kind: Option<FieldType>, value: &Value, time_zone: Tz) -> String {
    match value {
        Value::Null => "empty".into(),
        Value::Boolean(yes) => if *yes { "yes" } else { "no" }.into(),
        Value::Number(number) => number.to_string(),
        Value::Infinity(positive) => if *positive { "infinity" } else { "minus infinity" }.into(),
        Value::NaN => "not a number".into(),
        Value::Text(text) => quoted(kind, text),
        Value::Date(days) => date(*days),
        Value::Instant(micros) => instant(*micros, time_zone),
        Value::TimeOfDay(micros) => time_of_day(*micros),
        Value::Duration(micros) => format!("{} seconds", seconds(*micros)),
    }
}

/// Ids and values of a list stand bare; any other text could be mistaken for words.
fn quoted(kind: Option<FieldType>, text: &str) -> String {
    let mut shown: String = text.chars().take(TEXT_CHARS_MAX).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    let bare = matches!(kind, Some(FieldType::Id | FieldType::Enum | FieldType::Guid))
        && !text.is_empty()
        && !text.contains([',', ';', '(', ')', '“', '”']);
    if bare { shown } else { format!("“{shown}”") }
}

fn date(days: i32) -> String {
    NaiveDate::from_epoch_days(days).map_or_else(|| format!("day {days}"), |date| date.to_string())
}

fn local(micros: i64, time_zone: Tz) -> Option<DateTime<Tz>> {
    DateTime::from_timestamp_micros(micros).map(|at| at.with_timezone(&time_zone))
}

fn instant(micros: i64, time_zone: Tz) -> String {
    let Some(at) = local(micros, time_zone) else { return format!("{micros} microseconds after 1970") };
    let zone = if time_zone == Tz::UTC { "UTC".to_owned() } else { at.format("%Z").to_string() };
    format!("{} {} {zone}", at.date_naive(), clock(at.time()))
}

fn time_of_day(micros: i64) -> String {
    NaiveTime::MIN.overflowing_add_signed(TimeDelta::microseconds(micros)).0.format("%H:%M:%S%.f").to_string()
}

/// Without what is nothing.
fn clock(time: NaiveTime) -> String {
    let whole_minute = time.format("%S%.f").to_string() == "00";
    time.format(if whole_minute { "%H:%M" } else { "%H:%M:%S%.f" }).to_string()
}

/// Seconds with as many decimals as there are.
fn seconds(micros: i64) -> String {
    let sign = if micros < 0 { "-" } else { "" };
    let (whole, rest) = (micros.unsigned_abs() / 1_000_000, micros.unsigned_abs() % 1_000_000);
    let text = format!("{sign}{whole}.{rest:06}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
