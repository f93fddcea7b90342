//! The untyped tree to the typed predicate: every habit resolved, every comparison checked.
//!
//! A loop over the list of nodes; operands are typed before what is made of them. A literal keeps
//! its text until something tells which type is wanted.

mod arithmetic;
mod calls;
mod coerce;
mod compare;
mod membership;

use payouts_model::report::FieldRole;
use payouts_model::{FieldType, Report};

use crate::Context;
use crate::ast::{Collation, Expr, Value};
use crate::error::{Problem, Span, excerpt};
use crate::lexer::Lit;
use crate::number::Decimal;
use crate::syntax::{Kind, Node, NodeId};

/// What an expression answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ty {
    Null,
    Boolean,
    Integer,
    Decimal,
    Text,
    Id,
    /// With the index of the field that has the values.
    Enum(usize),
    Guid,
    Date,
    Instant,
    Time,
    Duration,
}

impl Ty {
    pub fn of_field(index: usize, kind: FieldType) -> Self {
        match kind {
            FieldType::Amount | FieldType::Number => Self::Decimal,
            FieldType::Integer => Self::Integer,
            FieldType::Id => Self::Id,
            FieldType::Text => Self::Text,
            FieldType::Enum => Self::Enum(index),
            FieldType::Guid => Self::Guid,
            FieldType::Date => Self::Date,
            FieldType::Timestamp => Self::Instant,
            FieldType::Boolean => Self::Boolean,
        }
    }

    pub fn is_text(self) -> bool {
        matches!(self, Self::Text | Self::Id | Self::Enum(_) | Self::Guid)
    }

    pub fn is_number(self) -> bool {
        matches!(self, Self::Integer | Self::Decimal)
    }

    /// With its article, for messages.
    pub fn shown(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "a boolean",
            Self::Integer => "an integer",
            Self::Decimal => "a number",
            Self::Text => "a text",
            Self::Id => "an id",
            Self::Enum(_) => "an enumerated text",
            Self::Guid => "a GUID",
            Self::Date => "a date",
            Self::Instant => "an instant",
            Self::Time => "a time of day",
            Self::Duration => "a duration",
        }
    }
}

/// A typed operand.
#[derive(Clone, Debug)]
pub(crate) struct Operand<'t> {
    pub form: Form<'t>,
    pub span: Span,
    /// How many nodes it has, roughly: what copying it costs.
    pub size: usize,
}

#[derive(Clone, Debug)]
pub(crate) enum Form<'t> {
    Literal(Lit<'t>),
    Typed(Expr, Ty),
}

impl<'t> Operand<'t> {
    pub fn literal(lit: Lit<'t>, span: Span) -> Self {
        Self { form: Form::Literal(lit), span, size: 1 }
    }

    /// A field by its index.
    pub fn field(field: usize, report: &Report) -> Self {
        // Where it stands does not matter to who asks for it by index.
        let ty = Ty::of_field(field, report.fields[field].kind);
        Self::typed(Expr::Field(field), ty, Span::new(0, 0), 1)
    }

    fn typed(expr: Expr, ty: Ty, span: Span, size: usize) -> Self {
        Self { form: Form::Typed(expr, ty), span, size }
    }

    /// The type; a literal's is the one that it has by itself.
    pub fn ty(&self) -> Ty {
        match &self.form {
            Form::Typed(_, ty) => *ty,
            Form::Literal(lit) => natural(lit),
        }
    }

    fn is_literal(&self) -> bool {
        matches!(self.form, Form::Literal(_))
    }
}

/// The type that a literal has by itself.
pub(crate) fn natural(lit: &Lit<'_>) -> Ty {
    match lit {
        Lit::Null => Ty::Null,
        Lit::Boolean(_) => Ty::Boolean,
        Lit::Number { raw, .. } if raw.bytes().all(|b| b.is_ascii_digit()) => Ty::Integer,
        Lit::Number { .. } | Lit::Infinity(_) | Lit::NaN => Ty::Decimal,
        Lit::Text(_) => Ty::Text,
        Lit::Guid(_) => Ty::Guid,
        Lit::Date(_) => Ty::Date,
        Lit::Instant { .. } => Ty::Instant,
        Lit::Time(_) => Ty::Time,
        Lit::Duration(_) => Ty::Duration,
    }
}

/// The value that a literal has by itself.
pub(crate) fn natural_value(lit: &Lit<'_>, span: Span) -> Result<Value, Problem> {
    let exact = |fine: &crate::dates::Fine| match fine.tail_picos {
        0 => Ok(fine.micros),
        _ => Err(Problem::kind(span, "Finer than a microsecond: that can be compared with, but not calculated with.")),
    };
    Ok(match lit {
        Lit::Null => Value::Null,
        Lit::Boolean(value) => Value::Boolean(*value),
        Lit::Number { raw, negative } => number(raw, *negative, span)?,
        Lit::Infinity(positive) => Value::Infinity(*positive),
        Lit::NaN => Value::NaN,
        Lit::Text(text) => Value::Text(text.as_ref().to_owned()),
        Lit::Guid(guid) => Value::Text(guid.as_ref().to_owned()),
        Lit::Date(days) => Value::Date(*days),
        Lit::Instant { at, .. } => Value::Instant(exact(at)?),
        Lit::Time(at) => Value::TimeOfDay(exact(at)?),
        Lit::Duration(fine) => Value::Duration(exact(fine)?),
    })
}

fn number(raw: &str, negative: bool, span: Span) -> Result<Value, Problem> {
    let number = Decimal::parse(raw)
        .ok_or_else(|| Problem::syntax(span, format!("'{}' is not a number such as 1234.56 or 1e6.", excerpt(raw))))?;
    Ok(Value::Number(if negative { number.negate() } else { number }))
}

/// Types trees against one report and one request.
#[derive(Clone, Copy)]
pub(crate) struct Typer<'c> {
    pub context: &'c Context<'c>,
}

impl<'c> Typer<'c> {
    /// The predicate of a whole tree.
    pub fn predicate(&self, nodes: Vec<Node<'_>>) -> Result<Expr, Problem> {
        let mut typed: Vec<Option<Operand<'_>>> = Vec::with_capacity(nodes.len());
        for Node { kind, span } in nodes {
            let operand = self.node(kind, span, &mut typed)?;
            typed.push(operand);
        }
        let root = typed.pop().flatten().expect("a tree has a root");
        self.condition(root, "The filter as a whole")
    }

    fn node<'t>(
        &self,
        kind: Kind<'t>,
        span: Span,
        typed: &mut [Option<Operand<'t>>],
    ) -> Result<Option<Operand<'t>>, Problem> {
        let mut take = |id: NodeId| typed[id].take().expect("a node is used once, after it was typed");
        let operand = match kind {
            Kind::Moved => return Ok(None),
            Kind::Literal(lit) => Operand::literal(lit, span),
            Kind::Field(field) => Operand { span, ..Operand::field(field, self.context.report) },
            Kind::Not(inner) => {
                let inner = take(inner);
                let size = inner.size + 1;
                let inner = self.condition(inner, "What follows not")?;
                Operand::typed(Expr::Not(Box::new(inner)), Ty::Boolean, span, size)
            }
            Kind::And(parts) | Kind::Or(parts) if parts.is_empty() => return Ok(None),
            Kind::And(parts) => self.chain(parts.into_iter().map(take).collect(), true, span)?,
            Kind::Or(parts) => self.chain(parts.into_iter().map(take).collect(), false, span)?,
            Kind::Negate(inner) => self.negate(take(inner), span)?,
            Kind::Compare(op, left, right) => {
                let (left, right) = (take(left), take(right));
                let size = left.size + right.size + 1;
                match self.compare(op, left, right)? {
                    // What is settled already is a literal like one that was written.
                    Expr::Literal(Value::Boolean(value)) => Operand::literal(Lit::Boolean(value), span),
                    expr => Operand::typed(expr, Ty::Boolean, span, size),
                }
            }
            Kind::Arithmetic(op, left, right) => {
                let (left, right) = (take(left), take(right));
                self.arithmetic(op, left, right, span)?
            }
            Kind::In(operand, list) => {
                let operand = take(operand);
                let size = operand.size + 1;
                Operand::typed(self.membership(operand, list)?, Ty::Boolean, span, size)
            }
            Kind::Call(called, args) => {
                let args = args.into_iter().map(take).collect();
                self.call(called, args, span)?
            }
        };
        Ok(Some(operand))
    }

    fn chain<'t>(&self, parts: Vec<Operand<'t>>, all: bool, span: Span) -> Result<Operand<'t>, Problem> {
        let name = if all { "and" } else { "or" };
        let size = parts.iter().map(|p| p.size + 1).sum();
        let mut conditions = Vec::with_capacity(parts.len());
        for part in parts {
            conditions.push(self.condition(part, &format!("Each side of {name}"))?);
        }
        let expr = if all { Expr::all(conditions) } else { Expr::any(conditions) };
        Ok(Operand::typed(expr, Ty::Boolean, span, size))
    }

    /// An operand that must be true or false.
    fn condition(&self, operand: Operand<'_>, what: &str) -> Result<Expr, Problem> {
        let span = operand.span;
        match operand.form {
            Form::Typed(expr, Ty::Boolean) => Ok(expr),
            Form::Literal(Lit::Boolean(value)) => Ok(Expr::Literal(Value::Boolean(value))),
            Form::Literal(Lit::Null) => Ok(Expr::Literal(Value::Null)),
            _ => {
                let advice = match &operand.form {
                    Form::Typed(Expr::Field(field), _) => {
                        let name = &self.context.report.fields[*field].name;
                        format!("compare it, as in {name} eq …")
                    }
                    _ => "compare it with something".to_owned(),
                };
                let binding = if what.ends_with("not") {
                    " not binds tighter than eq and its like: write not (…) around a comparison."
                } else {
                    ""
                };
                Err(Problem::kind(
                    span,
                    format!(
                        "{what} must be true or false, and {} is {}: {advice}.{binding}",
                        self.describe(&operand),
                        operand.ty().shown()
                    ),
                ))
            }
        }
    }

    fn negate<'t>(&self, inner: Operand<'t>, span: Span) -> Result<Operand<'t>, Problem> {
        let (ty, size) = (inner.ty(), inner.size + 1);
        let refused = |what: String| {
            Problem::kind(span, format!("Minus stands before numbers and durations, and {what} is {}.", ty.shown()))
        };
        if let Form::Literal(Lit::Text(text)) = &inner.form {
            return Err(refused(format!("'{}'", excerpt(text))));
        }
        match inner.form {
            Form::Literal(ref lit) => match crate::parser::negated(lit.clone()) {
                Some(lit) => Ok(Operand { form: Form::Literal(lit), span, size }),
                None => Err(refused(self.describe(&inner))),
            },
            Form::Typed(expr, ty) if ty.is_number() || ty == Ty::Duration => {
                Ok(Operand::typed(Expr::Negate(Box::new(expr)), ty, span, size))
            }
            Form::Typed(..) => Err(refused(self.describe(&inner))),
        }
    }

    /// An operand as messages name it.
    fn describe(&self, operand: &Operand<'_>) -> String {
        match &operand.form {
            Form::Typed(Expr::Field(field), _) => self.context.report.fields[*field].name.to_string(),
            Form::Typed(Expr::Call { function, .. }, _) => {
                format!("{}(…)", crate::syntax::name_of(crate::syntax::Called::Function(*function)))
            }
            Form::Typed(Expr::Arithmetic { .. } | Expr::Negate(_), _) => "the calculation".to_owned(),
            Form::Typed(..) => "the condition".to_owned(),
            Form::Literal(lit) => describe_literal(lit),
        }
    }

    /// The programmes that `name` selects besides itself.
    fn program_aliases(&self, expr: &Expr, name: &str) -> &'c [String] {
        let program = self.context.report.role(FieldRole::Program);
        if *expr != Expr::Field(program) {
            return &[];
        }
        self.context.program_aliases.get(name).map_or(&[], Vec::as_slice)
    }
}

/// A literal as messages name it.
fn describe_literal(lit: &Lit<'_>) -> String {
    match lit {
        Lit::Text(text) => format!("'{}'", excerpt(text)),
        Lit::Number { raw, negative } => format!("{}{}", if *negative { "-" } else { "" }, excerpt(raw)),
        Lit::Date(days) => crate::dates::print_date(*days),
        Lit::Instant { at, .. } => crate::dates::print_instant(at.micros),
        Lit::Guid(guid) => guid.as_ref().to_owned(),
        Lit::Boolean(value) => value.to_string(),
        Lit::Null => "null".to_owned(),
        Lit::Infinity(_) => "INF".to_owned(),
        Lit::NaN => "NaN".to_owned(),
        Lit::Time(at) => crate::dates::print_time(at.micros),
        Lit::Duration(fine) => crate::dates::print_duration(fine.micros),
    }
}

/// The collation of two expressions of text types.
fn collation(left: Ty, right: Ty) -> Collation {
    match (left, right) {
        (Ty::Id, Ty::Id) => Collation::Id,
        (Ty::Enum(_) | Ty::Guid, _) | (_, Ty::Enum(_) | Ty::Guid) => Collation::IgnoreCase,
        _ => Collation::Exact,
    }
}
