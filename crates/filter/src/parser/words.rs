//! What single words and tokens mean to the parser, and how they are named in messages.

use std::borrow::Cow;

use crate::ast::CompareOp;
use crate::error::{Problem, Span, excerpt};
use crate::lexer::{Lit, Token};
use crate::suggest;
use crate::syntax::{Called, FUNCTIONS, Operator, name_of};

/// A literal that is written as a word.
pub(super) fn literal(word: &str) -> Option<Lit<'static>> {
    let is = |name: &str| word.eq_ignore_ascii_case(name);
    match () {
        () if is("null") => Some(Lit::Null),
        () if is("true") => Some(Lit::Boolean(true)),
        () if is("false") => Some(Lit::Boolean(false)),
        () if is("inf") => Some(Lit::Infinity(true)),
        () if is("nan") => Some(Lit::NaN),
        () => None,
    }
}

/// The literal with a minus before it; `None` if it has no sign.
pub(crate) fn negated(lit: Lit<'_>) -> Option<Lit<'_>> {
    Some(match lit {
        Lit::Number { raw, negative } => Lit::Number { raw, negative: !negative },
        Lit::Infinity(positive) => Lit::Infinity(!positive),
        Lit::Duration(fine) => Lit::Duration(fine.negated()?),
        Lit::Null => Lit::Null,
        Lit::NaN => Lit::NaN,
        _ => return None,
    })
}

pub(super) fn operator(token: &Token<'_>) -> Option<Operator> {
    match token {
        Token::Equals => Some(Operator::Compare(CompareOp::Eq)),
        Token::Word(word) => Operator::named(word),
        _ => None,
    }
}

/// Whether an operator stands between the operands before and after this token.
pub(crate) fn is_operator(token: &Token<'_>) -> bool {
    operator(token).is_some()
}

/// The function that `word` names.
pub(super) fn function(word: &str, span: Span) -> Result<Called, Problem> {
    let found = FUNCTIONS.iter().find(|f| f.0.eq_ignore_ascii_case(word));
    found.map(|f| f.1).ok_or_else(|| unknown_function(word, span))
}

pub(super) fn unknown_function(word: &str, span: Span) -> Problem {
    let lower = word.to_ascii_lowercase();
    let reason = match lower.as_str() {
        "any" | "all" => {
            "asks about the members of a collection, and a row has no collections: compare the field itself"
        }
        "cast" | "isof" => "asks about types at run time, and every field here has one fixed type",
        "substringof" => "is of an older OData: write contains(text, part)",
        "replace" => "is of an older OData and has no successor",
        "totalseconds" => "is not offered: compare durations with each other, such as duration'PT1H'",
        "matchespattern" => "is not offered: use contains, startswith and endswith",
        "hassubset" | "hassubsequence" => "asks about collections, and a row has none",
        "case" => "is not offered: write the cases with and and or",
        "exists" | "$count" => "asks about collections, and a row has none",
        geo if geo.starts_with("geo.") => "asks about places, and no field holds one",
        qualified if qualified.contains('.') => {
            "is a qualified name, and there are no types or functions of one's own here"
        }
        _ => {
            let nearest = suggest::nearest(word, FUNCTIONS.iter().map(|f| f.0));
            let message = format!("There is no function '{}'.{}", excerpt(word), suggest::hint(&nearest));
            return Problem::syntax(span, message).expected(&["function"]).nearest(nearest);
        }
    };
    Problem::unsupported(span, format!("{} {reason}.", excerpt(word)))
}

/// The name of a function where a field should stand.
pub(super) fn function_without_parentheses(word: &str, span: Span) -> Option<Problem> {
    let (name, _, takes) = FUNCTIONS.iter().find(|f| f.0.eq_ignore_ascii_case(word))?;
    let call = if *takes.end() == 0 { format!("{name}()") } else { format!("{name}(…)") };
    Some(Problem::syntax(span, format!("{name} is a function: write {call}.")).expected(&["("]))
}

/// A word before a slash.
pub(super) fn path(word: &str, span: Span) -> Problem {
    Problem::unsupported(
        span,
        format!(
            "'{}/…' is a path, and a flat row has nothing behind a field: no collections, no other rows. A division is written div or divby.",
            excerpt(word)
        ),
    )
}

/// A word where an operator should stand.
pub(super) fn no_operator(word: &str, span: Span, expected: &'static [&'static str]) -> Problem {
    const NAMES: [&str; 15] =
        ["eq", "ne", "gt", "ge", "lt", "le", "and", "or", "in", "add", "sub", "mul", "div", "divby", "mod"];
    let other = match word.to_ascii_lowercase().as_str() {
        "equals" | "equal" | "is" => Some("eq"),
        "neq" => Some("ne"),
        "gte" => Some("ge"),
        "lte" => Some("le"),
        "adn" | "nad" => Some("and"),
        _ => None,
    };
    // Two letters of which one is wrong are like half of all operators.
    let nearest: Vec<String> = match other {
        Some(name) => vec![name.to_owned()],
        None => suggest::nearest(word, NAMES.iter().copied().filter(|n| n.len() > 2)),
    };
    let message = match word.to_ascii_lowercase().as_str() {
        "like" => "There is no operator 'like': write contains(field, 'part'), startswith or endswith.".to_owned(),
        "between" => "There is no operator 'between': write field ge low and field le high.".to_owned(),
        _ => format!(
            "'{}' cannot stand here: an operator such as eq or and should.{} A text of several words stands between ' and '.",
            excerpt(word),
            suggest::hint(&nearest)
        ),
    };
    Problem::syntax(span, message).expected(expected).nearest(nearest)
}

pub(super) fn check_count(called: Called, given: usize, span: Span) -> Result<(), Problem> {
    let name = name_of(called);
    let Some((_, _, takes)) = FUNCTIONS.iter().find(|f| f.1 == called) else { return Ok(()) };
    if takes.contains(&given) {
        return Ok(());
    }
    let takes = match (takes.start(), takes.end()) {
        (0, 0) => "no arguments".to_owned(),
        (1, 1) => "one argument".to_owned(),
        (a, b) if a == b => format!("{a} arguments"),
        (a, b) => format!("{a} or {b} arguments"),
    };
    Err(Problem::syntax(
        span,
        format!("{name} takes {takes}, and {given} {} given.", if given == 1 { "is" } else { "are" }),
    ))
}

/// A token as messages name it.
pub(super) fn show(token: &Token<'_>) -> Cow<'static, str> {
    match token {
        Token::End => "the end of the filter".into(),
        Token::Open => "(".into(),
        Token::Close => ")".into(),
        Token::Comma => "a comma".into(),
        Token::Minus => "a minus".into(),
        Token::Equals => "=".into(),
        Token::Slash => "a /".into(),
        Token::Word(word) => format!("'{}'", excerpt(word)).into(),
        Token::Literal(Lit::Text(text)) => format!("the text '{}'", excerpt(text)).into(),
        Token::Literal(Lit::Number { raw, .. }) => format!("the number {}", excerpt(raw)).into(),
        Token::Literal(Lit::Guid(guid)) => format!("the GUID {guid}").into(),
        Token::Literal(_) => "a literal".into(),
    }
}
