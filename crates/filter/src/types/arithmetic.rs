//! Arithmetic.

use super::coerce::{owned, unquoted};
use super::{Form, Operand, Ty, Typer, natural_value};
use crate::ast::{ArithmeticOp, Expr};
use crate::error::{Problem, Span};
use crate::lexer::Lit;
use crate::syntax::arithmetic_name;

impl Typer<'_> {
    /// `left op right`. `div` stays only between two integers; otherwise it is `divby`.
    pub(super) fn arithmetic<'t>(
        &self,
        op: ArithmeticOp,
        left: Operand<'t>,
        right: Operand<'t>,
        span: Span,
    ) -> Result<Operand<'t>, Problem> {
        let size = left.size + right.size + 1;
        let left_text = self.describe(&left);
        let right_text = self.describe(&right);
        let (left_span, right_span) = (left.span, right.span);
        let (left, right) = (unquote(left, right.ty(), op), right);
        let (left_ty, right) = (left.ty(), unquote(right, left.ty(), op));
        let right_ty = right.ty();
        let Some(ty) = result(op, left_ty, right_ty) else {
            for (ty, what) in [(left_ty, &left_text), (right_ty, &right_text)] {
                if ty == Ty::Id {
                    return Err(Problem::kind(span, format!("{what} is an id, and ids are not calculated with.")));
                }
            }
            let advice = match (left_ty, right_ty) {
                (Ty::Date, Ty::Instant) | (Ty::Instant, Ty::Date) => {
                    ": write both as instants, such as 2023-05-31T00:00:00Z, or take date(…)"
                }
                (Ty::Date | Ty::Instant, Ty::Integer | Ty::Decimal) => {
                    ": days are added as durations, such as duration'P1D'"
                }
                _ => "",
            };
            let message = format!(
                "{} is not defined between {left_text}, {}, and {right_text}, {}{advice}.",
                arithmetic_name(op),
                left_ty.shown(),
                right_ty.shown()
            );
            return Err(Problem::kind(span, message));
        };
        let op = match op {
            ArithmeticOp::Div if !(left_ty == Ty::Integer && right_ty == Ty::Integer) => ArithmeticOp::DivBy,
            op => op,
        };
        let (left, right) = (finished(left, left_span)?, finished(right, right_span)?);
        let expr = Expr::Arithmetic { op, left: Box::new(left), right: Box::new(right) };
        Ok(Operand::typed(expr, ty, span, size))
    }
}

/// A text literal read as what the other side needs.
fn unquote<'t>(operand: Operand<'t>, other: Ty, op: ArithmeticOp) -> Operand<'t> {
    let Form::Literal(Lit::Text(text)) = &operand.form else { return operand };
    let wanted: &[Ty] = match (other, op) {
        (Ty::Integer | Ty::Decimal, _) => &[Ty::Decimal],
        (Ty::Date | Ty::Instant, ArithmeticOp::Add | ArithmeticOp::Sub) => &[Ty::Duration, Ty::Instant],
        (Ty::Duration, _) => &[Ty::Duration, Ty::Instant],
        _ => &[],
    };
    let read = wanted.iter().find_map(|ty| unquoted(text, *ty)).map(owned);
    read.map_or_else(|| operand.clone(), |lit| Operand::literal(lit, operand.span))
}

fn finished(operand: Operand<'_>, span: Span) -> Result<Expr, Problem> {
    match operand.form {
        Form::Typed(expr, _) => Ok(expr),
        Form::Literal(lit) => natural_value(&lit, span).map(Expr::Literal),
    }
}

/// The type of the result; `None` if there is none.
fn result(op: ArithmeticOp, left: Ty, right: Ty) -> Option<Ty> {
    use ArithmeticOp::{Add, Div, DivBy, Mul, Sub};
    Some(match (left, op, right) {
        (Ty::Integer, DivBy, Ty::Integer) => Ty::Decimal,
        (Ty::Integer, _, Ty::Integer) => Ty::Integer,
        (Ty::Integer | Ty::Decimal, _, Ty::Integer | Ty::Decimal) => Ty::Decimal,
        (Ty::Instant, Add | Sub, Ty::Duration) | (Ty::Duration, Add, Ty::Instant) => Ty::Instant,
        (Ty::Date, Add | Sub, Ty::Duration) | (Ty::Duration, Add, Ty::Date) => Ty::Date,
        (Ty::Instant, Sub, Ty::Instant) | (Ty::Date, Sub, Ty::Date) => Ty::Duration,
        (Ty::Duration, Add | Sub, Ty::Duration) => Ty::Duration,
        (Ty::Duration, Mul | Div | DivBy, Ty::Integer | Ty::Decimal) => Ty::Duration,
        (Ty::Integer | Ty::Decimal, Mul, Ty::Duration) => Ty::Duration,
        // Always null; the type only says what it may be compared with.
        (Ty::Null, _, Ty::Null) => Ty::Decimal,
        (Ty::Null, _, other) | (other, _, Ty::Null) if other.is_number() => Ty::Decimal,
        (Ty::Null, _, other) | (other, _, Ty::Null) if matches!(other, Ty::Date | Ty::Instant | Ty::Duration) => other,
        _ => return None,
    })
}
