//! Function calls.

use super::coerce::unquoted;
use super::{Form, Operand, Ty, Typer, natural, natural_value};
use crate::ast::{Expr, Function};
use crate::dates::{Fine, MAX_DATETIME_MICROS, MIN_DATETIME_MICROS};
use crate::error::{Problem, Span};
use crate::lexer::Lit;
use crate::syntax::{Called, name_of};

/// What an argument must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Text,
    Number,
    /// A number that is whole by its type.
    Whole,
    /// A date or an instant.
    Day,
    /// An instant or a time of day.
    Clock,
    Instant,
}

impl Wanted {
    fn accepts(self, ty: Ty) -> bool {
        match self {
            _ if ty == Ty::Null => true,
            Self::Text => ty.is_text(),
            Self::Number => ty.is_number(),
            Self::Whole => ty == Ty::Integer,
            Self::Day => matches!(ty, Ty::Date | Ty::Instant),
            Self::Clock => matches!(ty, Ty::Instant | Ty::Time),
            Self::Instant => ty == Ty::Instant,
        }
    }

    fn shown(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::Number => "a number",
            Self::Whole => "an integer",
            Self::Day => "a date or an instant",
            Self::Clock => "an instant or a time of day",
            Self::Instant => "an instant",
        }
    }

    /// A quoted literal as what is wanted.
    fn unquote(self, text: &str) -> Option<Lit<'_>> {
        let types: &[Ty] = match self {
            Self::Text => &[],
            Self::Number | Self::Whole => &[Ty::Decimal],
            Self::Day | Self::Instant => &[Ty::Instant],
            Self::Clock => &[Ty::Instant, Ty::Time],
        };
        types.iter().find_map(|ty| unquoted(text, *ty)).filter(|lit| self.accepts(natural(lit)))
    }
}

/// What a function takes, and the type that it answers.
fn signature(function: Function) -> (&'static [Wanted], Ty) {
    use Wanted::{Clock, Day, Instant, Number, Text, Whole};
    match function {
        Function::Contains | Function::StartsWith | Function::EndsWith => (&[Text, Text], Ty::Boolean),
        Function::Length => (&[Text], Ty::Integer),
        Function::IndexOf => (&[Text, Text], Ty::Integer),
        Function::Substring => (&[Text, Whole, Whole], Ty::Text),
        Function::ToLower | Function::ToUpper | Function::Trim => (&[Text], Ty::Text),
        Function::Concat => (&[Text, Text], Ty::Text),
        Function::Year | Function::Month | Function::Day => (&[Day], Ty::Integer),
        Function::Hour | Function::Minute | Function::Second => (&[Clock], Ty::Integer),
        Function::FractionalSeconds => (&[Clock], Ty::Decimal),
        Function::Date => (&[Day], Ty::Date),
        Function::Time => (&[Instant], Ty::Time),
        Function::TotalOffsetMinutes => (&[Instant], Ty::Integer),
        Function::Round | Function::Floor | Function::Ceiling => (&[Number], Ty::Decimal),
    }
}

impl<'c> Typer<'c> {
    pub(super) fn call<'t>(&self, called: Called, args: Vec<Operand<'t>>, span: Span) -> Result<Operand<'t>, Problem> {
        let instant = |micros| Ok(Operand::literal(Lit::Instant { at: Fine::exact(micros), offset_min: 0 }, span));
        let function = match called {
            Called::Now => return instant(self.context.now.0),
            Called::MinDateTime => return instant(MIN_DATETIME_MICROS),
            Called::MaxDateTime => return instant(MAX_DATETIME_MICROS),
            Called::Function(function) => function,
        };
        let (wanted, ty) = signature(function);
        let size = args.iter().map(|a| a.size).sum::<usize>() + 1;
        let mut exprs = Vec::with_capacity(args.len());
        for (arg, wanted) in args.into_iter().zip(wanted) {
            if function == Function::TotalOffsetMinutes
                && let Form::Literal(Lit::Instant { offset_min, .. }) = arg.form
            {
                let raw = offset_min.unsigned_abs().to_string().into();
                return Ok(Operand::literal(Lit::Number { raw, negative: offset_min < 0 }, span));
            }
            // The day of a date is the date; a literal one stays a literal.
            if function == Function::Date
                && let Some(date) = bare_date(&arg)
            {
                return Ok(Operand::literal(Lit::Date(date), span));
            }
            exprs.push(self.argument(function, arg, *wanted)?);
        }
        if function == Function::Date
            && let [(_, Ty::Date)] = exprs[..]
        {
            let (expr, ty) = exprs.swap_remove(0);
            return Ok(Operand::typed(expr, ty, span, size));
        }
        let args = exprs.into_iter().map(|(expr, _)| expr).collect();
        Ok(Operand::typed(Expr::Call { function, args }, ty, span, size))
    }

    fn argument(&self, function: Function, arg: Operand<'_>, wanted: Wanted) -> Result<(Expr, Ty), Problem> {
        let span = arg.span;
        let ty = arg.ty();
        let refused = || {
            let name = name_of(Called::Function(function));
            let advice = match (wanted, ty) {
                (Wanted::Text, Ty::Integer | Ty::Decimal) if arg.is_literal() => ": write it between ' and '",
                (Wanted::Clock | Wanted::Instant, Ty::Date) => ": a date has no time of day",
                _ => "",
            };
            let message =
                format!("{name} takes {} here, and {} is {}{advice}.", wanted.shown(), self.describe(&arg), ty.shown());
            Problem::kind(span, message)
        };
        match &arg.form {
            Form::Literal(Lit::Text(text)) if wanted != Wanted::Text => {
                let lit = wanted.unquote(text).ok_or_else(refused)?;
                literal_argument(function, &lit, span)
            }
            _ if !wanted.accepts(ty) => Err(refused()),
            Form::Literal(lit) => literal_argument(function, lit, span),
            Form::Typed(..) => match arg.form {
                Form::Typed(expr, ty) => Ok((expr, ty)),
                Form::Literal(_) => unreachable!("matched above"),
            },
        }
    }
}

/// The day that a literal without a time names.
fn bare_date(arg: &Operand<'_>) -> Option<i32> {
    match &arg.form {
        Form::Literal(Lit::Date(days)) => Some(*days),
        Form::Literal(Lit::Text(text)) => match unquoted(text, Ty::Date)? {
            Lit::Date(days) => Some(days),
            _ => None,
        },
        _ => None,
    }
}

/// A literal with an offset keeps its local time in the functions that ask for parts of it.
fn literal_argument(function: Function, lit: &Lit<'_>, span: Span) -> Result<(Expr, Ty), Problem> {
    let lit = match lit {
        Lit::Instant { at, offset_min } => {
            let local = Fine { micros: at.micros + i64::from(*offset_min) * 60_000_000, ..*at };
            Lit::Instant { at: if keeps_fraction(function) { local } else { Fine::exact(local.micros) }, offset_min: 0 }
        }
        Lit::Time(at) if !keeps_fraction(function) => Lit::Time(Fine::exact(at.micros)),
        other => other.clone(),
    };
    Ok((Expr::Literal(natural_value(&lit, span)?), natural(&lit)))
}

/// Whether the answer would show what is finer than a microsecond.
fn keeps_fraction(function: Function) -> bool {
    matches!(function, Function::FractionalSeconds | Function::Time)
}
