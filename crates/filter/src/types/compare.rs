//! Comparisons.

use super::coerce::{Against, Asked, owned, unquoted, unreadable};
use super::{Form, Operand, Ty, Typer, collation, natural, natural_value};
use crate::ast::{Collation, CompareOp, Expr, Value};
use crate::dates;
use crate::error::{Problem, Span};
use crate::lexer::Lit;

/// The operator with its sides exchanged.
fn mirrored(op: CompareOp) -> CompareOp {
    match op {
        CompareOp::Eq | CompareOp::Ne => op,
        CompareOp::Gt => CompareOp::Lt,
        CompareOp::Ge => CompareOp::Le,
        CompareOp::Lt => CompareOp::Gt,
        CompareOp::Le => CompareOp::Ge,
    }
}

pub(super) fn compared(op: CompareOp, collation: Collation, left: Expr, right: Expr) -> Expr {
    Expr::Compare { op, collation, left: Box::new(left), right: Box::new(right) }
}

fn asked(op: CompareOp) -> Asked {
    if matches!(op, CompareOp::Eq | CompareOp::Ne) { Asked::Equal } else { Asked::Order }
}

impl Typer<'_> {
    /// `left op right`; a literal that stands on the left alone changes sides.
    pub(crate) fn compare(&self, op: CompareOp, left: Operand<'_>, right: Operand<'_>) -> Result<Expr, Problem> {
        let (op, left, right) =
            if left.is_literal() && !right.is_literal() { (mirrored(op), right, left) } else { (op, left, right) };
        let span = Span::new(left.span.start.min(right.span.start), left.span.end.max(right.span.end));
        self.check_order(op, &left, &right, span)?;
        let described = self.describe(&left);
        match (left.form, right.form) {
            (Form::Literal(a), Form::Literal(b)) => self.compare_literals(op, (a, left.span), (b, right.span)),
            (Form::Typed(expr, ty), Form::Literal(lit)) => {
                let against = self.against(&lit, right.span, ty, asked(op), &described)?;
                self.compare_with(op, expr, against, right.span)
            }
            (Form::Typed(a, left_ty), Form::Typed(b, right_ty)) => {
                if !comparable(left_ty, right_ty) {
                    let right = self.describe(&Operand::typed(b, right_ty, span, 0));
                    let message = format!(
                        "{described} is {} and cannot be compared with {right}, {}.",
                        left_ty.shown(),
                        right_ty.shown()
                    );
                    return Err(Problem::kind(span, message));
                }
                let collation = if asked(op) == Asked::Equal { collation(left_ty, right_ty) } else { Collation::Exact };
                Ok(compared(op, collation, a, b))
            }
            (Form::Literal(_), Form::Typed(..)) => unreachable!("a literal on the left changed sides"),
        }
    }

    fn check_order(&self, op: CompareOp, left: &Operand<'_>, right: &Operand<'_>, span: Span) -> Result<(), Problem> {
        if asked(op) == Asked::Equal {
            return Ok(());
        }
        for side in [left, right] {
            if matches!(side.ty(), Ty::Id | Ty::Guid) {
                let message = format!(
                    "{} is {} and has no order: use eq, ne or in, not {}.",
                    self.describe(side),
                    side.ty().shown(),
                    crate::syntax::compare_name(op)
                );
                return Err(Problem::kind(span, message).expected(&["eq", "ne", "in"]));
            }
        }
        Ok(())
    }

    /// An expression against what a literal is to it.
    fn compare_with(&self, op: CompareOp, expr: Expr, against: Against, span: Span) -> Result<Expr, Problem> {
        match against {
            Against::Value(Value::Text(text), Collation::Exact) if asked(op) == Asked::Equal => {
                Ok(self.compare_text(op, expr, text))
            }
            Against::Value(value, collation) => Ok(compared(op, collation, expr, Expr::Literal(value))),
            Against::Day(days) => self.compare_day(op, expr, days, span),
            Against::After(value) => {
                let op = match op {
                    CompareOp::Gt | CompareOp::Ge => CompareOp::Gt,
                    CompareOp::Lt | CompareOp::Le => CompareOp::Le,
                    CompareOp::Eq => return Ok(Expr::Literal(Value::Boolean(false))),
                    CompareOp::Ne => return Ok(Expr::Literal(Value::Boolean(true))),
                };
                Ok(compared(op, Collation::Exact, expr, Expr::Literal(value)))
            }
        }
    }

    /// An old programme name selects the new ones, too.
    fn compare_text(&self, op: CompareOp, expr: Expr, text: String) -> Expr {
        let aliases = self.program_aliases(&expr, &text);
        let mut list = vec![text];
        for alias in aliases {
            if !list.contains(alias) {
                list.push(alias.clone());
            }
        }
        let mut list: Vec<Value> = list.into_iter().map(Value::Text).collect();
        if list.len() == 1 {
            let text = list.pop().expect("the name itself is in it");
            return compared(op, Collation::Exact, expr, Expr::Literal(text));
        }
        let found = Expr::In { operand: Box::new(expr), collation: Collation::Exact, list };
        if op == CompareOp::Ne { Expr::Not(Box::new(found)) } else { found }
    }

    /// The instants at which a day of the request's time zone begins and ends.
    pub(super) fn day(&self, days: i32, span: Span) -> Result<(i64, i64), Problem> {
        let zone = self.context.time_zone;
        let bounds =
            dates::start_of_day(days, zone).and_then(|start| Ok((start, dates::start_of_day(days + 1, zone)?)));
        bounds.map_err(|dates::Outside| {
            let day = dates::print_date(days);
            Problem::kind(span, format!("The day {day} in {} lies outside the years 0000 to 99998.", zone.name()))
        })
    }

    fn compare_day(&self, op: CompareOp, expr: Expr, days: i32, span: Span) -> Result<Expr, Problem> {
        let (start, end) = self.day(days, span)?;
        let instant = |op, expr, at| compared(op, Collation::Exact, expr, Expr::Literal(Value::Instant(at)));
        Ok(match op {
            CompareOp::Ge | CompareOp::Lt => instant(op, expr, start),
            CompareOp::Gt => instant(CompareOp::Ge, expr, end),
            CompareOp::Le => instant(CompareOp::Lt, expr, end),
            CompareOp::Eq => within(expr, start, end),
            CompareOp::Ne => Expr::Not(Box::new(within(expr, start, end))),
        })
    }

    /// Two literals: a text is read as the other one's type, a bare date against an instant is a
    /// day. What is finer than a microsecond is settled here and now.
    fn compare_literals(
        &self,
        op: CompareOp,
        (a, a_span): (Lit<'_>, Span),
        (b, b_span): (Lit<'_>, Span),
    ) -> Result<Expr, Problem> {
        let (a, b) = (read_as(&a, a_span, &b)?, read_as(&b, b_span, &a)?);
        let settled = |answer| Ok(Expr::Literal(Value::Boolean(answer)));
        match (fine_of(&a), fine_of(&b)) {
            (Some(x), Some(y)) if (x.tail_picos, y.tail_picos) != (0, 0) && natural(&a) == natural(&b) => {
                return settled(holds(op, x.cmp(&y)));
            }
            _ => {}
        }
        match (&a, &b) {
            (Lit::Date(_), Lit::Instant { .. }) => {
                return self.compare_literals(mirrored(op), (b, b_span), (a, a_span));
            }
            (Lit::Instant { at, .. }, Lit::Date(days)) if at.tail_picos != 0 => {
                let (start, end) = self.day(*days, b_span)?;
                let (begun, ended) = (at.micros >= start, at.micros >= end);
                return settled(match op {
                    CompareOp::Ge => begun,
                    CompareOp::Lt => !begun,
                    CompareOp::Gt => ended,
                    CompareOp::Le => !ended,
                    CompareOp::Eq => begun && !ended,
                    CompareOp::Ne => !begun || ended,
                });
            }
            _ => {}
        }
        if a == Lit::Null {
            let value = Expr::Literal(natural_value(&b, b_span)?);
            return Ok(compared(op, Collation::Exact, Expr::Literal(Value::Null), value));
        }
        let against = self.against(&b, b_span, natural(&a), asked(op), &super::describe_literal(&a))?;
        self.compare_with(op, Expr::Literal(natural_value(&a, a_span)?), against, b_span)
    }
}

/// A text literal as a literal of the type of `other`, where that is not text.
fn read_as<'t>(lit: &Lit<'t>, span: Span, other: &Lit<'_>) -> Result<Lit<'t>, Problem> {
    match (lit, other) {
        (_, Lit::Text(_) | Lit::Null) => Ok(lit.clone()),
        (Lit::Text(text), _) => {
            let ty = natural(other);
            let read = unquoted(text, ty).map(owned);
            read.ok_or_else(|| unreadable(text, span, ty, &super::describe_literal(other)))
        }
        _ => Ok(lit.clone()),
    }
}

/// `start <= expr < end`.
pub(super) fn within(expr: Expr, start: i64, end: i64) -> Expr {
    let instant = |op, expr, at| compared(op, Collation::Exact, expr, Expr::Literal(Value::Instant(at)));
    Expr::And(vec![instant(CompareOp::Ge, expr.clone(), start), instant(CompareOp::Lt, expr, end)])
}

fn fine_of(lit: &Lit<'_>) -> Option<dates::Fine> {
    match lit {
        Lit::Instant { at, .. } | Lit::Time(at) | Lit::Duration(at) => Some(*at),
        _ => None,
    }
}

fn holds(op: CompareOp, order: std::cmp::Ordering) -> bool {
    match op {
        CompareOp::Eq => order.is_eq(),
        CompareOp::Ne => order.is_ne(),
        CompareOp::Gt => order.is_gt(),
        CompareOp::Ge => order.is_ge(),
        CompareOp::Lt => order.is_lt(),
        CompareOp::Le => order.is_le(),
    }
}

/// Whether two expressions that are no literals can be compared.
fn comparable(left: Ty, right: Ty) -> bool {
    left == right
        || left == Ty::Null
        || right == Ty::Null
        || (left.is_text() && right.is_text())
        || (left.is_number() && right.is_number())
        || matches!((left, right), (Ty::Date, Ty::Instant) | (Ty::Instant, Ty::Date))
}
