//! A filter in plain English, for people who do not read `$filter`.
//!
//! Made from the typed predicate, never from the text, so that it says what was understood. It is for
//! reading alone: what cannot be said shortly is cut, and nothing is ever read back from here.

mod values;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono_tz::Tz;
use payouts_filter::ast::{ArithmeticOp, CompareOp, Function, Value};
use payouts_filter::{Expr, Filter};
use payouts_model::export::Query;
use payouts_model::{Export, ExportId, FieldType, Report};

use super::labels;
use values::Bound;

/// Values of a list that are shown.
const LISTED_MAX: usize = 3;
/// The longest text.
const CHARS_MAX: usize = 400;
/// Parts inside of parts; deeper ones are left out.
const DEPTH_MAX: usize = 8;
/// A longer filter is a list of ids; reading it again for every look would cost more than it tells.
const NORMAL_FORM_BYTES_MAX: usize = 256 * 1024;

/// Exports whose words are kept.
const KEPT_MAX: usize = 2_000;

/// What was asked for.
pub fn query(report: &Report, query: &Query) -> String {
    if query.filter.trim().is_empty() {
        return "Every row".into();
    }
    if query.filter.len() > NORMAL_FORM_BYTES_MAX {
        return format!("A filter of {} characters", labels::grouped(query.filter.len() as u64));
    }
    let time_zone = query.time_zone.parse().unwrap_or(Tz::UTC);
    match Filter::parse_normal(&query.filter, report) {
        Ok(Some(filter)) => {
            let text = labels::capitalised(&predicate(report, &filter.predicate, time_zone));
            // Nothing was asked for: the service chose the window, and says so.
            if query.text.trim().is_empty() { format!("{text} (no filter: the last three years)") } else { text }
        }
        Ok(None) => "Every row".into(),
        // Of another version, or over columns that the configuration no longer has.
        Err(_) => "A filter that this version cannot read any more".into(),
    }
}

/// A predicate; times as they are in `time_zone`.
pub fn predicate(report: &Report, expr: &Expr, time_zone: Tz) -> String {
    let printer = Printer { report, time_zone };
    let text = match expr {
        Expr::And(parts) => printer.all(parts, 0).join("; "),
        Expr::Or(_) if printer.one_of(expr).is_none() => format!("either {}", printer.any(expr, 0).join(", or ")),
        other => printer.part(other, 0),
    };
    if text.chars().count() <= CHARS_MAX {
        return text;
    }
    let cut: String = text.chars().take(CHARS_MAX).collect();
    // At a word's end, so that no number is shown in part.
    let end = cut.rfind(' ').unwrap_or(cut.len());
    format!("{} …", cut[..end].trim_end_matches([',', ';']))
}

/// Words of Exports that were looked at lately: what an Export was asked for never changes.
#[derive(Debug, Default)]
pub struct Words(Mutex<HashMap<ExportId, String>>);

impl Words {
    /// What an Export was asked for.
    pub fn of(&self, report: &Report, export: &Export) -> String {
        if let Some(known) = self.lock().get(&export.id) {
            return known.clone();
        }
        let words = query(report, &export.query);
        let mut all = self.lock();
        if all.len() >= KEPT_MAX {
            all.clear();
        }
        all.insert(export.id, words.clone());
        words
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ExportId, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Printer<'r> {
    report: &'r Report,
    time_zone: Tz,
}

/// A comparison of a field with a value, the field on the left.
struct Comparison<'e> {
    field: usize,
    op: CompareOp,
    value: &'e Value,
}

impl Printer<'_> {
    /// Conditions that must all hold; the two ends of a range are one.
    fn all(&self, parts: &[Expr], depth: usize) -> Vec<String> {
        let mut taken = vec![false; parts.len()];
        let mut texts = Vec::new();
        for (i, part) in parts.iter().enumerate() {
            if taken[i] {
                continue;
            }
            let lower = comparison(part).filter(|c| matches!(c.op, CompareOp::Ge | CompareOp::Gt));
            let upper = lower.as_ref().and_then(|lower| {
                let later = parts.iter().enumerate().skip(i + 1).filter(|(j, _)| !taken[*j]);
                let of_field = later.filter_map(|(j, part)| Some((j, comparison(part)?)));
                of_field
                    .into_iter()
                    .find(|(_, c)| c.field == lower.field && matches!(c.op, CompareOp::Lt | CompareOp::Le))
            });
            match (lower, upper) {
                (Some(lower), Some((j, upper))) => {
                    taken[j] = true;
                    texts.push(self.range(&lower, &upper));
                }
                _ => texts.push(self.part(part, depth)),
            }
        }
        texts
    }

    fn any(&self, expr: &Expr, depth: usize) -> Vec<String> {
        match expr {
            Expr::Or(parts) => parts.iter().map(|part| self.part(part, depth + 1)).collect(),
            other => vec![self.part(other, depth)],
        }
    }

    /// One condition, as it stands beside others.
    fn part(&self, expr: &Expr, depth: usize) -> String {
        if depth > DEPTH_MAX {
            return "…".into();
        }
        match expr {
            Expr::Literal(Value::Boolean(true)) => "every row".into(),
            Expr::Literal(_) => "no row".into(),
            Expr::Field(field) => format!("{} is yes", self.label(*field)),
            Expr::And(parts) => {
                let text = self.all(parts, depth + 1).join(" and ");
                if depth == 0 { text } else { format!("({text})") }
            }
            Expr::Or(_) => match self.one_of(expr) {
                Some(text) => text,
                None if depth == 0 => format!("either {}", self.any(expr, depth).join(" or ")),
                None => format!("({})", self.any(expr, depth).join(" or ")),
            },
            Expr::Not(inner) => self.not(inner, depth),
            Expr::Compare { op, left, right, .. } => self.compare(expr, *op, left, right, depth),
            Expr::In { operand, list, .. } => {
                format!("{} is {}", self.operand(operand, depth + 1), self.listed(self.kind(operand), list, "or"))
            }
            Expr::Call { function, args } => self.call(*function, args, depth),
            Expr::Arithmetic { .. } | Expr::Negate(_) => self.operand(expr, depth),
        }
    }

    /// `a eq 1 or a eq 2 or a in (3)` as one list.
    fn one_of(&self, expr: &Expr) -> Option<String> {
        let Expr::Or(parts) = expr else { return None };
        let mut of = None;
        let mut all = Vec::new();
        for part in parts {
            let (field, values) = match part {
                Expr::In { operand, list, .. } => match **operand {
                    Expr::Field(field) => (field, list.iter().collect::<Vec<_>>()),
                    _ => return None,
                },
                other => match comparison(other) {
                    Some(Comparison { field, op: CompareOp::Eq, value }) => (field, vec![value]),
                    _ => return None,
                },
            };
            if *of.get_or_insert(field) != field {
                return None;
            }
            all.extend(values.into_iter().cloned());
        }
        let field = of?;
        Some(format!("{} is {}", self.label(field), self.listed(Some(self.report.fields[field].kind), &all, "or")))
    }

    fn not(&self, inner: &Expr, depth: usize) -> String {
        match inner {
            Expr::Field(field) => format!("{} is no", self.label(*field)),
            Expr::Not(twice) => self.part(twice, depth),
            Expr::In { operand, list, .. } if list.len() == 1 => {
                format!("{} is not {}", self.operand(operand, depth + 1), self.listed(self.kind(operand), list, "or"))
            }
            Expr::In { operand, list, .. } => {
                format!(
                    "{} is none of {}",
                    self.operand(operand, depth + 1),
                    self.listed(self.kind(operand), list, "and")
                )
            }
            Expr::Call { function: Function::Contains, args } => self.between(args, "does not contain", depth),
            Expr::Call { function: Function::StartsWith, args } => self.between(args, "does not begin with", depth),
            Expr::Call { function: Function::EndsWith, args } => self.between(args, "does not end with", depth),
            _ => match comparison(inner) {
                Some(Comparison { field, op: CompareOp::Eq, value }) => {
                    self.equality(&self.label(field), Some(field), value, true)
                }
                Some(Comparison { field, op: CompareOp::Ne, value }) => {
                    self.equality(&self.label(field), Some(field), value, false)
                }
                _ => match self.part(inner, depth + 1) {
                    text if text.starts_with('(') => format!("not {text}"),
                    text => format!("not ({text})"),
                },
            },
        }
    }

    fn compare(&self, whole: &Expr, op: CompareOp, left: &Expr, right: &Expr, depth: usize) -> String {
        if let Some(Comparison { field, op, value }) = comparison(whole) {
            let label = self.label(field);
            return match op {
                CompareOp::Eq => self.equality(&label, Some(field), value, false),
                CompareOp::Ne => self.equality(&label, Some(field), value, true),
                order => format!("{label} {}", self.bound(order, value)),
            };
        }
        if let (Expr::Literal(value), false) = (right, matches!(left, Expr::Literal(_))) {
            let subject = self.operand(left, depth + 1);
            return match op {
                CompareOp::Eq => self.equality(&subject, None, value, false),
                CompareOp::Ne => self.equality(&subject, None, value, true),
                order => format!("{subject} is {}", values::order(order, &self.value(None, value))),
            };
        }
        let (left, right) = (self.operand(left, depth + 1), self.operand(right, depth + 1));
        match op {
            CompareOp::Eq => format!("{left} is equal to {right}"),
            CompareOp::Ne => format!("{left} is not equal to {right}"),
            order => format!("{left} is {}", values::order(order, &right)),
        }
    }

    fn equality(&self, subject: &str, field: Option<usize>, value: &Value, not: bool) -> String {
        let kind = field.map(|f| self.report.fields[f].kind);
        let word = if not { "is not" } else { "is" };
        match (value, not) {
            (Value::Boolean(yes), _) => format!("{subject} is {}", if *yes != not { "yes" } else { "no" }),
            _ => format!("{subject} {word} {}", self.value(kind, value)),
        }
    }

    fn range(&self, lower: &Comparison<'_>, upper: &Comparison<'_>) -> String {
        let label = self.label(lower.field);
        if values::is_time(lower.value) && values::is_time(upper.value) {
            let from = self.bound(lower.op, lower.value);
            let to = self.bound(upper.op, upper.value);
            let joint = if to.starts_with("to ") { " " } else { ", " };
            return format!("{label} {from}{joint}{to}");
        }
        let (least, greatest) = (self.value(None, lower.value), self.value(None, upper.value));
        match (lower.op, upper.op) {
            (CompareOp::Ge, CompareOp::Le) => format!("{label} between {least} and {greatest}"),
            (from, to) => format!("{label} is {} and {}", values::order(from, &least), values::order(to, &greatest)),
        }
    }

    /// One end of a range, as it follows the field's name.
    fn bound(&self, op: CompareOp, value: &Value) -> String {
        match values::bound(op, value, self.time_zone) {
            Some(Bound { word, at }) => format!("{word} {at}"),
            None => format!("is {}", values::order(op, &self.value(None, value))),
        }
    }

    /// What is compared, when it is more than a field.
    fn operand(&self, expr: &Expr, depth: usize) -> String {
        if depth > DEPTH_MAX {
            return "…".into();
        }
        let of = |e: &Expr| self.operand(e, depth + 1);
        match expr {
            Expr::Literal(value) => self.value(None, value),
            Expr::Field(field) => self.label(*field),
            Expr::Negate(inner) => format!("minus {}", of(inner)),
            Expr::Arithmetic { op, left, right } => {
                let word = match op {
                    ArithmeticOp::Add => "plus",
                    ArithmeticOp::Sub => "minus",
                    ArithmeticOp::Mul => "times",
                    ArithmeticOp::Div | ArithmeticOp::DivBy => "divided by",
                    ArithmeticOp::Mod => "modulo",
                };
                format!("({} {word} {})", of(left), of(right))
            }
            Expr::Call { function, args } => self.call(*function, args, depth),
            condition => format!("({})", self.part(condition, depth + 1)),
        }
    }

    fn call(&self, function: Function, args: &[Expr], depth: usize) -> String {
        let first = |text: &str| {
            let of = args.first().map_or_else(String::new, |arg| self.operand(arg, depth + 1));
            format!("{text} of {of}")
        };
        match function {
            Function::Contains => self.between(args, "contains", depth),
            Function::StartsWith => self.between(args, "begins with", depth),
            Function::EndsWith => self.between(args, "ends with", depth),
            Function::Concat => self.between(args, "followed by", depth),
            Function::Length => first("the length"),
            Function::IndexOf => first("the place of a text"),
            Function::Substring => first("a part"),
            Function::ToLower => first("the small letters"),
            Function::ToUpper => first("the capitals"),
            Function::Trim => first("the trimmed text"),
            Function::Year => first("the year"),
            Function::Month => first("the month"),
            Function::Day => first("the day of the month"),
            Function::Hour => first("the hour"),
            Function::Minute => first("the minute"),
            Function::Second => first("the second"),
            Function::FractionalSeconds => first("the fraction of the second"),
            Function::Date => first("the day"),
            Function::Time => first("the time of day"),
            Function::TotalOffsetMinutes => first("the offset in minutes"),
            Function::Round => first("the rounded value"),
            Function::Floor => first("the value, rounded down,"),
            Function::Ceiling => first("the value, rounded up,"),
        }
    }

    fn between(&self, args: &[Expr], word: &str, depth: usize) -> String {
        let texts: Vec<String> = args.iter().map(|arg| self.operand(arg, depth + 1)).collect();
        texts.join(&format!(" {word} "))
    }

    fn label(&self, field: usize) -> String {
        labels::field(&self.report.fields[field])
    }

    fn kind(&self, operand: &Expr) -> Option<FieldType> {
        if let Expr::Field(field) = operand { Some(self.report.fields[*field].kind) } else { None }
    }

    fn value(&self, kind: Option<FieldType>, value: &Value) -> String {
        values::text(kind, value, self.time_zone)
    }

    /// Some values of a list, and how many there are.
    fn listed(&self, kind: Option<FieldType>, list: &[Value], joint: &str) -> String {
        let texts: Vec<String> = list.iter().take(LISTED_MAX).map(|value| self.value(kind, value)).collect();
        match (list.len(), texts.as_slice()) {
            (0, _) => "one of none".into(),
            (n, _) if n > LISTED_MAX => format!("one of {} ({}, …)", labels::grouped(n as u64), texts.join(", ")),
            (_, [one]) => one.clone(),
            (_, [most @ .., last]) => format!("{} {joint} {last}", most.join(", ")),
            (_, []) => String::new(),
        }
    }
}

/// A comparison of a field with a value, whichever side they stand on.
fn comparison(expr: &Expr) -> Option<Comparison<'_>> {
    let Expr::Compare { op, left, right, .. } = expr else { return None };
    match (&**left, &**right) {
        (Expr::Field(field), Expr::Literal(value)) => Some(Comparison { field: *field, op: *op, value }),
        (Expr::Literal(value), Expr::Field(field)) => {
            let op = match op {
                CompareOp::Gt => CompareOp::Lt,
                CompareOp::Ge => CompareOp::Le,
                CompareOp::Lt => CompareOp::Gt,
                CompareOp::Le => CompareOp::Ge,
                same => *same,
            };
            Some(Comparison { field: *field, op, value })
        }
        _ => None,
    }
}
