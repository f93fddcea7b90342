//! `in`: a chain of `eq` over a list of literals.

use std::collections::HashSet;

use super::coerce::{Against, Asked};
use super::compare::within;
use super::{Form, Operand, Ty, Typer, collation, natural_value};
use crate::ast::{Collation, Expr, Value};
use crate::error::{Problem, Span};
use crate::lexer::Lit;

/// Up to so many stretches of days are compared as instants, which storage can prune by.
const RANGES_MAX: usize = 64;

impl Typer<'_> {
    pub(crate) fn membership(&self, operand: Operand<'_>, list: Vec<(Lit<'_>, Span)>) -> Result<Expr, Problem> {
        let (ty, span, size) = (operand.ty(), operand.span, operand.size);
        let described = self.describe(&operand);
        let expr = match operand.form {
            Form::Typed(expr, _) => expr,
            Form::Literal(lit) => Expr::Literal(natural_value(&lit, span)?),
        };
        let mut values = Vec::with_capacity(list.len());
        let mut days = Vec::new();
        let own = if ty == Ty::Id { Collation::Id } else { collation(ty, ty) };
        for (lit, at) in &list {
            match self.against(lit, *at, ty, Asked::Equal, &described)? {
                Against::Value(Value::Instant(_), _) if ty == Ty::Date && matches!(expr, Expr::Literal(_)) => {
                    return Err(Problem::kind(
                        *at,
                        "A day is compared with a list of days: write dates without a time.",
                    ));
                }
                Against::Value(value, _) => values.push(value),
                Against::Day(day) => days.push((day, *at)),
                // Nothing that is counted in microseconds equals what lies between two of them.
                Against::After(_) => {}
            }
        }
        self.add_aliases(&expr, &mut values);
        if days.is_empty() {
            return Ok(Expr::In { operand: Box::new(expr), collation: own, list: values });
        }
        let mut parts = self.days(expr.clone(), days, size)?;
        if !values.is_empty() {
            parts.push(Expr::In { operand: Box::new(expr), collation: own, list: values });
        }
        Ok(Expr::any(parts))
    }

    /// An old programme name selects the new ones, too.
    fn add_aliases(&self, expr: &Expr, values: &mut Vec<Value>) {
        if self.context.program_aliases.is_empty() {
            return;
        }
        let mut more = Vec::new();
        for value in &*values {
            if let Value::Text(text) = value {
                more.extend(self.program_aliases(expr, text));
            }
        }
        if more.is_empty() {
            return;
        }
        let mut seen: HashSet<String> =
            values.iter().filter_map(|v| if let Value::Text(t) = v { Some(t.clone()) } else { None }).collect();
        values.extend(more.into_iter().filter(|t| seen.insert((*t).clone())).map(|t| Value::Text(t.clone())));
    }

    /// Days of the request's time zone, as few stretches as they make.
    fn days(&self, expr: Expr, mut days: Vec<(i32, Span)>, size: usize) -> Result<Vec<Expr>, Problem> {
        let whole = Span::new(days[0].1.start, days[days.len() - 1].1.end);
        days.sort_unstable_by_key(|d| d.0);
        days.dedup_by_key(|d| d.0);
        let mut ranges: Vec<(i64, i64)> = Vec::new();
        for (day, at) in &days {
            let (start, end) = self.day(*day, *at)?;
            match ranges.last_mut() {
                Some(last) if last.1 == start => last.1 = end,
                _ => ranges.push((start, end)),
            }
        }
        if ranges.len() > RANGES_MAX && self.context.time_zone == chrono_tz::UTC {
            let list = days.iter().map(|(day, _)| Value::Date(*day)).collect();
            let date = Expr::Call { function: crate::ast::Function::Date, args: vec![expr] };
            return Ok(vec![Expr::In { operand: Box::new(date), collation: Collation::Exact, list }]);
        }
        if size > 1 && ranges.len().saturating_mul(size) > crate::limits::NODES_MAX {
            let message = format!(
                "{} separate days in {} against a calculation of {size} nodes are too many: compare the field itself, or send instants.",
                ranges.len(),
                self.context.time_zone.name()
            );
            return Err(Problem::limit(whole, message));
        }
        Ok(ranges.into_iter().map(|(start, end)| within(expr.clone(), start, end)).collect())
    }
}
