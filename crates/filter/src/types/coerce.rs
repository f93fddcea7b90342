//! A literal against a type: quoted dates and numbers, ids of digits, enumerated values in any
//! case, bare dates against instants.

use payouts_model::id;

use super::{Ty, Typer, describe_literal, natural};
use crate::ast::{Collation, Value};
use crate::dates::{self, Fine};
use crate::error::{Problem, Span, excerpt};
use crate::lexer::{Lit, guid_at, number_len};
use crate::suggest;

/// What a literal is against a type.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Against {
    /// Exactly this.
    Value(Value, Collation),
    /// A bare date against instants: a day of the request's time zone.
    Day(i32),
    /// Strictly between this value and the next one of its type.
    After(Value),
}

/// What is asked of the literal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// Whether it is equal.
    Equal,
    /// Which is greater.
    Order,
}

impl Typer<'_> {
    /// What `lit` is against an expression of type `ty`, which messages call `other`.
    pub(super) fn against(
        &self,
        lit: &Lit<'_>,
        span: Span,
        ty: Ty,
        asked: Asked,
        other: &str,
    ) -> Result<Against, Problem> {
        let exact = |value| Ok(Against::Value(value, Collation::Exact));
        if *lit == Lit::Null {
            return exact(Value::Null);
        }
        match (ty, lit) {
            (Ty::Null, _) => exact(super::natural_value(lit, span)?),
            (Ty::Boolean, Lit::Boolean(value)) => exact(Value::Boolean(*value)),
            (Ty::Integer | Ty::Decimal, Lit::Number { .. } | Lit::Infinity(_) | Lit::NaN) => {
                exact(super::natural_value(lit, span)?)
            }
            (Ty::Id, Lit::Number { raw, negative: false }) if raw.bytes().all(|b| b.is_ascii_digit()) => {
                Ok(Against::Value(Value::Text(id::canonical(raw).to_owned()), Collation::Id))
            }
            (Ty::Id, Lit::Text(text)) => Ok(Against::Value(Value::Text(id::canonical(text).to_owned()), Collation::Id)),
            (Ty::Id, Lit::Guid(guid)) => Ok(Against::Value(Value::Text(guid.as_ref().to_owned()), Collation::Id)),
            (Ty::Guid, Lit::Guid(guid)) => {
                Ok(Against::Value(Value::Text(guid.as_ref().to_owned()), Collation::IgnoreCase))
            }
            (Ty::Text, Lit::Text(text)) => exact(Value::Text(text.as_ref().to_owned())),
            (Ty::Enum(_), Lit::Text(text)) if asked == Asked::Order => exact(Value::Text(text.as_ref().to_owned())),
            (Ty::Enum(field), Lit::Text(text)) => self.enumerated(field, text, span),
            (Ty::Instant, Lit::Date(days)) => Ok(Against::Day(*days)),
            (Ty::Date, Lit::Date(days)) => exact(Value::Date(*days)),
            (Ty::Date | Ty::Instant, Lit::Instant { at, .. }) => Ok(fine(*at, Value::Instant)),
            (Ty::Time, Lit::Time(at)) => Ok(fine(*at, Value::TimeOfDay)),
            (Ty::Duration, Lit::Duration(at)) => Ok(fine(*at, Value::Duration)),
            (_, Lit::Text(text)) if !ty.is_text() || ty == Ty::Guid => {
                let unquoted = unquoted(text, ty).ok_or_else(|| unreadable(text, span, ty, other))?;
                self.against(&unquoted, span, ty, asked, other)
            }
            _ => Err(mismatch(lit, span, ty, other)),
        }
    }

    /// An enumerated value in the spelling of the field table.
    fn enumerated(&self, field: usize, text: &str, span: Span) -> Result<Against, Problem> {
        let field = &self.context.report.fields[field];
        if let Some(value) = field.values.iter().find(|v| v.eq_ignore_ascii_case(text)) {
            return Ok(Against::Value(Value::Text(value.to_string()), Collation::IgnoreCase));
        }
        let nearest = suggest::nearest(text, field.values.iter().map(|v| &**v));
        let values = field.values.iter().map(|v| format!("'{v}'")).collect::<Vec<_>>().join(", ");
        let message = format!(
            "'{}' is not a value of {}.{} Its values are {values}.",
            excerpt(text),
            field.name,
            suggest::hint(&nearest)
        );
        Err(Problem::kind(span, message).nearest(nearest))
    }
}

fn fine(at: Fine, value: fn(i64) -> Value) -> Against {
    let value = value(at.micros);
    if at.tail_picos == 0 { Against::Value(value, Collation::Exact) } else { Against::After(value) }
}

/// A text literal read as a literal of type `ty`, which is none of text.
pub(super) fn unquoted<'t>(text: &'t str, ty: Ty) -> Option<Lit<'t>> {
    let text = text.trim();
    match ty {
        Ty::Boolean if text.eq_ignore_ascii_case("true") => Some(Lit::Boolean(true)),
        Ty::Boolean if text.eq_ignore_ascii_case("false") => Some(Lit::Boolean(false)),
        Ty::Integer | Ty::Decimal => {
            let (negative, digits) = text.strip_prefix('-').map_or((false, text), |d| (true, d));
            let whole = digits.starts_with(|c: char| c.is_ascii_digit()) && number_len(digits) == digits.len();
            whole.then_some(Lit::Number { raw: digits.into(), negative })
        }
        Ty::Date | Ty::Instant => dates::whole(text).filter(|l| matches!(l, Lit::Date(_) | Lit::Instant { .. })),
        Ty::Time => dates::whole(text).filter(|l| matches!(l, Lit::Time(_))),
        Ty::Duration => dates::duration(text).ok().map(Lit::Duration),
        Ty::Guid => guid_at(text).filter(|g| g.len() == text.len()).map(|g| Lit::Guid(g.into())),
        _ => None,
    }
}

/// The literal without its hold on the text.
pub(super) fn owned(lit: Lit<'_>) -> Lit<'static> {
    match lit {
        Lit::Number { raw, negative } => Lit::Number { raw: raw.into_owned().into(), negative },
        Lit::Instant { at, offset_min } => Lit::Instant { at, offset_min },
        Lit::Date(days) => Lit::Date(days),
        Lit::Time(at) => Lit::Time(at),
        Lit::Duration(fine) => Lit::Duration(fine),
        Lit::Boolean(value) => Lit::Boolean(value),
        Lit::Infinity(positive) => Lit::Infinity(positive),
        Lit::NaN => Lit::NaN,
        Lit::Text(text) => Lit::Text(text.into_owned().into()),
        Lit::Guid(guid) => Lit::Guid(guid.into_owned().into()),
        Lit::Null => Lit::Null,
    }
}

/// How a literal of type `ty` is written.
fn example(ty: Ty) -> &'static str {
    match ty {
        Ty::Null => "null",
        Ty::Boolean => "true or false",
        Ty::Integer | Ty::Decimal => "1234.56",
        Ty::Text | Ty::Enum(_) => "'text'",
        Ty::Id => "1000042 or '1000042'",
        Ty::Guid => "5f0c1e2a-0b3d-4c5e-8f90-a1b2c3d4e5f6",
        Ty::Date => "2023-05-31",
        Ty::Instant => "2023-05-31T04:11:55Z or 2023-05-31",
        Ty::Time => "04:11:55",
        Ty::Duration => "duration'P1DT2H'",
    }
}

pub(super) fn unreadable(text: &str, span: Span, ty: Ty, other: &str) -> Problem {
    if text.trim().is_empty() {
        let message = format!("{other} is {}, and an empty text is none: write null for an empty field.", ty.shown());
        return Problem::kind(span, message);
    }
    if matches!(ty, Ty::Instant | Ty::Date)
        && let Some(Err(dates::Malformed(why))) = dates::scan(text.trim())
    {
        return Problem::kind(span, format!("{other} is {}, and '{}' is none: {why}.", ty.shown(), excerpt(text)));
    }
    Problem::kind(
        span,
        format!("{other} is {}, and the text '{}' is none: write {}.", ty.shown(), excerpt(text), example(ty)),
    )
}

fn mismatch(lit: &Lit<'_>, span: Span, ty: Ty, other: &str) -> Problem {
    let what = describe_literal(lit);
    let advice = match (ty, lit) {
        (Ty::Text | Ty::Enum(_), _) => format!("write it between ' and ': '{}'", what.trim_matches('\'')),
        (Ty::Id, Lit::Number { .. }) => "write the digits of the id, or the id between ' and '".to_owned(),
        _ => format!("write {}", example(ty)),
    };
    Problem::kind(
        span,
        format!("{other} is {} and cannot be compared with {what}, {}: {advice}.", ty.shown(), natural(lit).shown()),
    )
}
