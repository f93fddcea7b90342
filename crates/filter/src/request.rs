//! From a request's parameters to one filter: `$filter`, every filter name as a parameter of its
//! own, `Multiple filters`, the habits of repeated prefixes and outer quotes.

use payouts_model::Report;

use crate::ast::{CompareOp, Expr};
use crate::error::{Problem, Span};
use crate::lexer::{Lexer, Lit, Token};
use crate::limits::{LITERAL_CHARS_MAX, Limits};
use crate::parser::{Parser, is_operator};
use crate::syntax::Kind;
use crate::types::{Operand, Typer};
use crate::{Context, Filter, outer, print};

/// The parameter that holds a whole filter beside `$filter`.
pub const MULTIPLE_FILTERS: &str = "Multiple filters";

/// A refusal that concerns a parameter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct ParameterError {
    /// The parameter as the caller wrote it.
    pub parameter: String,
    /// What is wrong with it; offsets count in the parameter's value.
    pub error: crate::Error,
}

/// All that a request says about rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Assembled {
    /// What `requestQueryString` shows; empty if there is no filter of any kind.
    pub text: String,
    /// What it means; `None` if there is no filter of any kind.
    pub filter: Option<Filter>,
}

/// Whether `name` is a filter parameter of the report: a field's name, a filter name (any case) or
/// `Multiple filters`.
pub fn takes(report: &Report, name: &str) -> bool {
    names_whole_filter(name) || report.index_of(name).is_some()
}

fn names_whole_filter(name: &str) -> bool {
    name.trim().eq_ignore_ascii_case(MULTIPLE_FILTERS)
}

/// Reads `$filter` (decoded; at most one) and the other filter parameters (name and value, decoded,
/// in the order they came). The text is `$filter` without repeated prefixes and outer quotes, and
/// the parameters behind it in normal form, joined by ` and `. Every part obeys the limits by
/// itself; what they are together may be more than one text of a request may be.
pub fn read(
    context: &Context<'_>,
    filter: Option<&str>,
    parameters: &[(String, String)],
) -> Result<Assembled, ParameterError> {
    let mut text = String::new();
    let mut predicates = Vec::new();
    if let Some(sent) = filter {
        let fail = |error| ParameterError { parameter: "$filter".into(), error };
        if let Some(filter) = Filter::parse(sent, context).map_err(fail)? {
            text = outer::inner(sent).1.to_owned();
            predicates.push(filter.predicate);
        }
    }
    let more = parameter_predicates(context, parameters)?;
    if !more.is_empty() && matches!(predicates[..], [Expr::Or(_)]) {
        text = format!("({text})");
    }
    for predicate in more {
        if !text.is_empty() {
            text.push_str(" and ");
        }
        let normal = print::print(&predicate, context.report);
        // Beside another condition an `or` needs its parentheses; alone they do no harm.
        text.push_str(&if matches!(predicate, Expr::Or(_)) { format!("({normal})") } else { normal });
        predicates.push(predicate);
    }
    let filter = (!predicates.is_empty()).then(|| Filter::from_predicate(Expr::all(predicates), context.report));
    Ok(Assembled { text, filter })
}

/// What the parameters ask for, in the order of their first appearance; bare values of one
/// parameter are alternatives.
fn parameter_predicates(context: &Context<'_>, parameters: &[(String, String)]) -> Result<Vec<Expr>, ParameterError> {
    let mut bare: Vec<(String, Bare<'_>)> = Vec::new();
    let mut order: Vec<Asked> = Vec::new();
    for (name, value) in parameters {
        let fail = |error| ParameterError { parameter: name.clone(), error };
        if names_whole_filter(name) {
            order.extend(Filter::parse(value, context).map_err(fail)?.map(|f| Asked::Whole(f.predicate)));
            continue;
        }
        let Some(field) = context.report.index_of(name) else {
            let problem = Problem::new(
                payouts_model::ErrorCode::FilterUnknownField,
                Span::new(0, 0),
                format!("{} has no field '{name}'.", context.report.name),
            );
            return Err(fail(problem.into_error(value, 0)));
        };
        match one_value(context, name, value, field).map_err(|(p, base)| fail(p.into_error(value, base)))? {
            Value::Expression(predicate) => order.push(Asked::Whole(predicate)),
            Value::Bare(lit) => {
                let key = name.to_ascii_lowercase();
                match bare.iter_mut().find(|(k, _)| *k == key) {
                    Some((_, found)) => found.values.push(lit),
                    None => {
                        order.push(Asked::Bare(bare.len()));
                        bare.push((key, Bare { field, values: vec![lit], name }));
                    }
                }
            }
        }
    }
    let mut predicates = Vec::with_capacity(order.len());
    for asked in order {
        predicates.push(match asked {
            Asked::Whole(predicate) => predicate,
            Asked::Bare(i) => bare[i].1.predicate(context)?,
        });
    }
    Ok(predicates)
}

enum Asked {
    Whole(Expr),
    /// An index into the list of bare values.
    Bare(usize),
}

enum Value<'t> {
    Expression(Expr),
    Bare(Lit<'t>),
}

/// The bare values of one parameter.
struct Bare<'t> {
    field: usize,
    values: Vec<Lit<'t>>,
    name: &'t str,
}

impl Bare<'_> {
    fn predicate(&self, context: &Context<'_>) -> Result<Expr, ParameterError> {
        let typer = Typer { context };
        let nowhere = Span::new(0, 0);
        let result = match &self.values[..] {
            [one] => equals(&typer, self.field, one.clone(), nowhere),
            several => typer.membership(
                Operand::field(self.field, context.report),
                several.iter().map(|lit| (lit.clone(), nowhere)).collect(),
            ),
        };
        result.map_err(|p| ParameterError { parameter: self.name.to_owned(), error: p.into_error("", 0) })
    }
}

fn equals(typer: &Typer<'_>, field: usize, lit: Lit<'_>, span: Span) -> Result<Expr, Problem> {
    let field = Operand::field(field, typer.context.report);
    typer.compare(CompareOp::Eq, field, Operand::literal(lit, span))
}

/// The meaning of one parameter's value, checked; a problem counts from the byte beside it.
fn one_value<'t>(
    context: &Context<'_>,
    name: &str,
    value: &'t str,
    field: usize,
) -> Result<Value<'t>, (Problem, usize)> {
    let trimmed = value.trim();
    let at = value.len() - value.trim_start().len();
    let typer = Typer { context };
    if let Some(text) = quoted(trimmed) {
        let lit = Lit::Text(text);
        equals(&typer, field, lit.clone(), Span::new(0, trimmed.len())).map_err(|p| (p, at))?;
        return Ok(Value::Bare(lit));
    }
    let (at, inner) = outer::inner(value);
    if inner.is_empty() {
        let message =
            format!("{name} has no value: write one, write null for an empty field, or leave the parameter out.");
        return Err((Problem::syntax(Span::new(0, 0), message).expected(&["literal"]), at));
    }
    if begins_with_own_name(context.report, inner, field) {
        return expression(context, inner, field).map(Value::Expression).map_err(|p| (p, at));
    }
    let span = Span::new(0, inner.len());
    let chars = inner.chars().count();
    if chars > LITERAL_CHARS_MAX {
        let message = format!("A value of {chars} characters; a literal has at most {LITERAL_CHARS_MAX}.");
        return Err((Problem::limit(span, message), at));
    }
    let lit = if inner.eq_ignore_ascii_case("null") { Lit::Null } else { Lit::Text(inner.into()) };
    equals(&typer, field, lit.clone(), span).map_err(|p| (p, at))?;
    Ok(Value::Bare(lit))
}

/// The text of a value that is one text literal.
fn quoted(value: &str) -> Option<std::borrow::Cow<'_, str>> {
    let mut lexer = Lexer::new(value, Limits::REQUEST);
    match (lexer.next(), lexer.next()) {
        (Ok((Token::Literal(Lit::Text(text)), _)), Ok((Token::End, _))) => Some(text),
        _ => None,
    }
}

/// Whether a value begins with the name of its own field and an operator, perhaps behind
/// parentheses and `not`.
fn begins_with_own_name(report: &Report, value: &str, field: usize) -> bool {
    let mut lexer = Lexer::new(value, Limits::REQUEST);
    loop {
        match lexer.next() {
            Ok((Token::Open, _)) => {}
            Ok((Token::Word(word), _)) if word.eq_ignore_ascii_case("not") => {}
            Ok((Token::Word(word), _)) if report.index_of(word) == Some(field) => {
                // What cannot be read behind the name, such as >=, is refused as an expression.
                return lexer.next().map_or(true, |(token, _)| is_operator(&token));
            }
            _ => return false,
        }
    }
}

/// An expression that may name no other field.
fn expression(context: &Context<'_>, text: &str, field: usize) -> Result<Expr, Problem> {
    let nodes = Parser::parse(text, context.report, Limits::REQUEST)?;
    for node in &nodes {
        if let Kind::Field(other) = node.kind
            && other != field
        {
            let (own, other) = (&context.report.fields[field].name, &context.report.fields[other].name);
            let message = format!(
                "A parameter of its own may name no field but its own: this one is about {own}, not {other}. Send $filter."
            );
            return Err(Problem::unsupported(node.span, message));
        }
    }
    Typer { context }.predicate(nodes)
}

#[cfg(test)]
mod tests;
