//! The `$filter` dialect: text in, typed predicate and normal form out.
//!
//! Pure: no I/O, no arrow, no async. See `docs/filter.md` for the grammar.

pub mod ast;
pub mod error;
pub mod eval;
pub mod limits;
pub mod number;
pub mod request;
pub mod suggest;

mod dates;
mod lexer;
mod outer;
mod parser;
mod print;
mod syntax;
mod types;

#[cfg(test)]
mod cases;

use std::collections::{BTreeSet, HashMap};

use chrono::{Months, NaiveDate};
use chrono_tz::Tz;
use payouts_model::report::FieldRole;
use payouts_model::{FieldType, ParticipantId, Report, Timestamp};

pub use ast::Expr;
use ast::{Collation, CompareOp, Value};
pub use error::Error;
use limits::Limits;

/// The default window reaches back so far.
const WINDOW_MONTHS: u32 = 36;

/// What a text is read against.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The report whose fields may be named.
    pub report: &'a Report,
    /// Rules bare dates against instants.
    pub time_zone: Tz,
    /// What `now()` means.
    pub now: Timestamp,
    /// Old programme name to the new ones that it selects too.
    pub program_aliases: &'a HashMap<String, Vec<String>>,
}

/// An accepted filter.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    /// The typed predicate.
    pub predicate: Expr,
    /// The text in normal form: parses back to an equal predicate under any context of the same
    /// report.
    pub normal_form: String,
}

impl Filter {
    /// Reads `text`. `None` if it is blank: every row.
    pub fn parse(text: &str, context: &Context<'_>) -> Result<Option<Self>, Error> {
        // What was sent counts, also what goes with the blanks around it.
        if text.len() > Limits::REQUEST.bytes {
            return Err(error::Problem::too_long(text, Limits::REQUEST.bytes).into_error(text, 0));
        }
        let (base, inner) = outer::inner(text);
        if inner.is_empty() {
            return Ok(None);
        }
        read(inner, context, Limits::REQUEST).map(Some).map_err(|problem| problem.into_error(text, base))
    }

    /// Reads a text in normal form back. It needs no context, and the limits are those of what a
    /// request may become. `None` if it is blank.
    pub fn parse_normal(text: &str, report: &Report) -> Result<Option<Self>, Error> {
        if text.trim().is_empty() {
            return Ok(None);
        }
        let context = Context { report, time_zone: Tz::UTC, now: Timestamp(0), program_aliases: &HashMap::new() };
        read(text, &context, Limits::NORMAL).map(Some).map_err(|problem| problem.into_error(text, 0))
    }

    /// The filter with this predicate, which must be one that the dialect can express.
    pub fn from_predicate(predicate: Expr, report: &Report) -> Self {
        let normal_form = print::print(&predicate, report);
        Self { predicate, normal_form }
    }

    /// Both this filter and `other`.
    #[must_use]
    pub fn and(self, other: Self, report: &Report) -> Self {
        Self::from_predicate(Expr::all(vec![self.predicate, other.predicate]), report)
    }

    /// The filter of a request that has none: from 00:00 UTC of the day three years before `now`.
    pub fn window(report: &Report, now: Timestamp) -> Self {
        let field = report.role(FieldRole::Window);
        let day = now.date().checked_sub_months(Months::new(WINDOW_MONTHS)).unwrap_or_default();
        let value = match report.fields[field].kind {
            FieldType::Date => Value::Date(day.to_epoch_days()),
            _ => Value::Instant(Timestamp::start_of(day).0),
        };
        let predicate = Expr::Compare {
            op: CompareOp::Ge,
            collation: Collation::Exact,
            left: Box::new(Expr::Field(field)),
            right: Box::new(Expr::Literal(value)),
        };
        Self::from_predicate(predicate, report)
    }

    /// The participants that the top level names by `eq` or `in`: all of them, also where two
    /// conditions exclude each other; `None` if it names none.
    pub fn participants(&self, report: &Report) -> Option<BTreeSet<ParticipantId>> {
        let field = report.role(FieldRole::Participant);
        let sets = self.top_level().iter().filter_map(|part| texts_of(part, field));
        sets.map(|texts| texts.into_iter().map(ParticipantId::new).collect::<BTreeSet<_>>())
            .reduce(|a, b| a.union(&b).cloned().collect())
    }

    /// The ids that the top level lists by `eq` or `in`: fields of type id, and the canonical texts.
    pub fn id_lists(&self, report: &Report) -> Vec<(usize, Vec<String>)> {
        let mut lists = Vec::new();
        for part in self.top_level() {
            let Some(field) = field_of(part).filter(|f| report.fields[*f].kind == FieldType::Id) else { continue };
            if let Some(texts) = texts_of(part, field) {
                lists.push((field, texts.into_iter().map(str::to_owned).collect()));
            }
        }
        lists
    }

    fn top_level(&self) -> &[Expr] {
        match &self.predicate {
            Expr::And(parts) => parts,
            one => std::slice::from_ref(one),
        }
    }
}

/// The instant at which `day` begins in `zone`: what a bare date means against an instant. `None`
/// if that lies outside of what a filter can say.
pub fn start_of_day(day: NaiveDate, zone: Tz) -> Option<Timestamp> {
    dates::start_of_day(day.to_epoch_days(), zone).ok().map(Timestamp)
}

fn read(text: &str, context: &Context<'_>, limits: Limits) -> Result<Filter, error::Problem> {
    let nodes = parser::Parser::parse(text, context.report, limits)?;
    let predicate = types::Typer { context }.predicate(nodes)?;
    Ok(Filter::from_predicate(predicate, context.report))
}

/// The field that an `eq` or `in` is about.
fn field_of(part: &Expr) -> Option<usize> {
    let operand = match part {
        Expr::Compare { op: CompareOp::Eq, left, .. } => left,
        Expr::In { operand, .. } => operand,
        _ => return None,
    };
    if let Expr::Field(field) = **operand { Some(field) } else { None }
}

/// The texts that an `eq` or `in` allows `field` to be; `None` if it is about something else, or
/// allows null.
fn texts_of(part: &Expr, field: usize) -> Option<Vec<&str>> {
    if field_of(part) != Some(field) {
        return None;
    }
    fn text(value: &Value) -> Option<&str> {
        if let Value::Text(text) = value { Some(text) } else { None }
    }
    match part {
        Expr::Compare { right, .. } => match &**right {
            Expr::Literal(value) => text(value).map(|t| vec![t]),
            _ => None,
        },
        Expr::In { list, .. } => list.iter().map(text).collect(),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
