//! Tokens to the untyped tree: operator precedence with a stack of its own.
//!
//! Invariant: no recursion, so depth costs heap and is counted, never stack.

mod words;

pub(crate) use words::{is_operator, negated};

use payouts_model::{ErrorCode, Report};

use crate::error::{Problem, Span, excerpt};
use crate::lexer::{Lexer, Lit, Token};
use crate::limits::Limits;
use crate::suggest;
use crate::syntax::{Called, Kind, Node, NodeId, Operator, precedence};

const OPERAND: &[&str] = &["field", "literal", "function", "(", "not", "-"];
const OPERATOR: &[&str] = &[
    "eq",
    "ne",
    "gt",
    "ge",
    "lt",
    "le",
    "in",
    "and",
    "or",
    "add",
    "sub",
    "mul",
    "div",
    "divby",
    "mod",
    "end of filter",
];
const OPERATOR_OR_CLOSE: &[&str] =
    &[")", "eq", "ne", "gt", "ge", "lt", "le", "in", "and", "or", "add", "sub", "mul", "div", "divby", "mod"];
const OPERATOR_OR_COMMA: &[&str] =
    &[",", ")", "eq", "ne", "gt", "ge", "lt", "le", "in", "and", "or", "add", "sub", "mul", "div", "divby", "mod"];

/// What waits for the operand that is being read.
enum Frame {
    Paren { at: Span },
    Call { called: Called, name: Span, args: Vec<NodeId> },
    Not { at: Span },
    Minus { at: Span },
    Binary { op: Operator, left: NodeId },
}

pub(crate) struct Parser<'t, 'r> {
    lexer: Lexer<'t>,
    peeked: Option<(Token<'t>, Span)>,
    report: &'r Report,
    limits: Limits,
    nodes: Vec<Node<'t>>,
    stack: Vec<Frame>,
    /// Frames of the stack that are not between two operands.
    depth: usize,
    /// What counts towards the limit of nodes.
    counted: usize,
}

impl<'t, 'r> Parser<'t, 'r> {
    /// Reads all of `text`, which is not blank. The last node is the root.
    pub fn parse(text: &'t str, report: &'r Report, limits: Limits) -> Result<Vec<Node<'t>>, Problem> {
        if text.len() > limits.bytes {
            return Err(Problem::too_long(text, limits.bytes));
        }
        let mut parser = Self {
            lexer: Lexer::new(text, limits),
            peeked: None,
            report,
            limits,
            nodes: Vec::new(),
            stack: Vec::new(),
            depth: 0,
            counted: 0,
        };
        loop {
            let operand = parser.operand()?;
            if parser.operators(operand)? {
                return Ok(parser.nodes);
            }
        }
    }

    fn next(&mut self) -> Result<(Token<'t>, Span), Problem> {
        match self.peeked.take() {
            Some(token) => Ok(token),
            None => self.lexer.next(),
        }
    }

    fn peek(&mut self) -> Result<&Token<'t>, Problem> {
        if self.peeked.is_none() {
            self.peeked = Some(self.lexer.next()?);
        }
        Ok(&self.peeked.as_ref().expect("it was just filled").0)
    }

    fn count(&mut self, span: Span) -> Result<(), Problem> {
        self.counted += 1;
        if self.counted <= self.limits.nodes {
            return Ok(());
        }
        Err(Problem::limit(
            span,
            format!(
                "The filter has more than {} fields, literals, operators and calls. Many values of one field fit into one list: field in (…).",
                self.limits.nodes
            ),
        ))
    }

    fn push(&mut self, kind: Kind<'t>, span: Span) -> Result<NodeId, Problem> {
        self.count(span)?;
        self.nodes.push(Node { kind, span });
        Ok(self.nodes.len() - 1)
    }

    fn open(&mut self, frame: Frame, span: Span) -> Result<(), Problem> {
        self.depth += 1;
        if self.depth > self.limits.depth {
            return Err(Problem::limit(
                span,
                format!(
                    "The filter is more than {} levels deep: parentheses, not, minus and calls inside each other.",
                    self.limits.depth
                ),
            ));
        }
        self.stack.push(frame);
        Ok(())
    }

    /// Reads up to the end of the next plain operand, stacking what stands before it.
    fn operand(&mut self) -> Result<NodeId, Problem> {
        loop {
            let (token, span) = self.next()?;
            match token {
                Token::Open => self.open(Frame::Paren { at: span }, span)?,
                Token::Minus => {
                    self.count(span)?;
                    self.open(Frame::Minus { at: span }, span)?;
                }
                Token::Literal(lit) => return self.push(Kind::Literal(lit), span),
                Token::Word(word) => {
                    if let Some(node) = self.operand_word(word, span)? {
                        return Ok(node);
                    }
                }
                other => return Err(self.no_operand(&other, span)),
            }
        }
    }

    fn operand_word(&mut self, word: &'t str, span: Span) -> Result<Option<NodeId>, Problem> {
        if word.eq_ignore_ascii_case("not") {
            self.count(span)?;
            self.open(Frame::Not { at: span }, span)?;
            return Ok(None);
        }
        if let Some(lit) = words::literal(word) {
            return self.push(Kind::Literal(lit), span).map(Some);
        }
        if *self.peek()? == Token::Slash {
            return Err(words::path(word, span));
        }
        if *self.peek()? == Token::Open && Operator::named(word).is_none() {
            return self.call(word, span);
        }
        match self.report.index_of(word) {
            Some(field) => self.push(Kind::Field(field), span).map(Some),
            None if Operator::named(word).is_some() => Err(self.no_operand(&Token::Word(word), span)),
            None => Err(self.unknown_field(word, span)),
        }
    }

    fn unknown_field(&self, word: &str, span: Span) -> Problem {
        if word.contains('.') {
            return words::unknown_function(word, span);
        }
        if let Some(problem) = words::function_without_parentheses(word, span) {
            return problem;
        }
        let nearest = suggest::nearest(word, self.report.filter_names().map(|(name, _)| name));
        // Behind an operator a text without its quotes is as likely as a misspelt name.
        let after_operator = matches!(self.stack.last(), Some(Frame::Binary { op: Operator::Compare(_), .. }));
        let text = if after_operator { " If it is a text, write it between ' and '." } else { "" };
        let (report, shown) = (self.report.name, excerpt(word));
        let message = format!("{report} has no field '{shown}'.{}{text}", suggest::hint(&nearest));
        Problem::new(ErrorCode::FilterUnknownField, span, message).nearest(nearest)
    }

    /// The name of a function has been read; its parenthesis is next.
    fn call(&mut self, word: &'t str, span: Span) -> Result<Option<NodeId>, Problem> {
        let called = words::function(word, span)?;
        let (_, open) = self.next()?;
        self.count(span)?;
        if *self.peek()? == Token::Close {
            let (_, close) = self.next()?;
            words::check_count(called, 0, span.to(close))?;
            self.nodes.push(Node { kind: Kind::Call(called, Vec::new()), span: span.to(close) });
            return Ok(Some(self.nodes.len() - 1));
        }
        self.open(Frame::Call { called, name: span, args: Vec::new() }, span.to(open))?;
        Ok(None)
    }

    fn no_operand(&self, token: &Token<'t>, span: Span) -> Problem {
        let message = match token {
            Token::End => match self.stack.last() {
                None => "The filter is empty.".to_owned(),
                Some(_) => "The filter ends where a field, a literal or a function should follow. \
                            In a URL an & inside a text must be sent as %26, or it cuts the filter off."
                    .to_owned(),
            },
            Token::Close if matches!(self.stack.last(), Some(Frame::Paren { .. })) => {
                "There is nothing between the parentheses.".to_owned()
            }
            other => format!("{} cannot stand here: a field, a literal or a function should.", words::show(other)),
        };
        Problem::syntax(span, message).expected(OPERAND)
    }

    /// Reads what follows an operand, up to the next operator that needs another one (false) or
    /// the end of the text (true).
    fn operators(&mut self, mut operand: NodeId) -> Result<bool, Problem> {
        loop {
            let (token, span) = self.next()?;
            match token {
                Token::End => {
                    operand = self.reduce(operand, 0)?;
                    debug_assert_eq!(operand + 1, self.nodes.len(), "the root is the last node");
                    return match self.stack.last() {
                        None => Ok(true),
                        Some(Frame::Paren { at } | Frame::Call { name: at, .. }) => {
                            let at = *at;
                            Err(self.unclosed(span, at))
                        }
                        Some(_) => Err(self.no_operator(&Token::End, span)),
                    };
                }
                Token::Close => operand = self.close(operand, span)?,
                Token::Comma => {
                    operand = self.reduce(operand, 0)?;
                    match self.stack.last_mut() {
                        Some(Frame::Call { args, .. }) => args.push(operand),
                        _ => return Err(self.no_operator(&Token::Comma, span)),
                    }
                    return Ok(false);
                }
                other => {
                    let Some(op) = words::operator(&other) else { return Err(self.no_operator(&other, span)) };
                    self.count(span)?;
                    operand = self.reduce(operand, op.precedence())?;
                    if op == Operator::In {
                        operand = self.list(operand)?;
                        continue;
                    }
                    self.stack.push(Frame::Binary { op, left: operand });
                    return Ok(false);
                }
            }
        }
    }

    fn unclosed(&self, end: Span, opened: Span) -> Problem {
        let opened = excerpt(self.lexer.text_from(opened.start));
        let message = format!("A ) is missing: the filter ends before the parenthesis of {opened} is closed.");
        Problem::syntax(end, message).expected(OPERATOR_OR_CLOSE)
    }

    fn no_operator(&self, token: &Token<'t>, span: Span) -> Problem {
        let inside = self.stack.iter().rev().find(|f| matches!(f, Frame::Paren { .. } | Frame::Call { .. }));
        let expected = match inside {
            None => OPERATOR,
            Some(Frame::Call { .. }) => OPERATOR_OR_COMMA,
            Some(_) => OPERATOR_OR_CLOSE,
        };
        let message = match token {
            Token::Close => "There is no open parenthesis that this one closes.".to_owned(),
            Token::Comma => "A comma may stand only in a list after in, or between arguments of a function.".to_owned(),
            Token::Slash => "A / has no meaning here: divisions are written div or divby, days 2023-05-31.".to_owned(),
            Token::Word(word) if word.eq_ignore_ascii_case("has") => {
                return Problem::unsupported(
                    span,
                    "has asks for flags, and no field holds flags: compare with eq or in.",
                );
            }
            Token::Word(word) => return words::no_operator(word, span, expected),
            other => format!("{} cannot stand here: an operator such as eq or and should.", words::show(other)),
        };
        Problem::syntax(span, message).expected(expected)
    }

    fn close(&mut self, operand: NodeId, span: Span) -> Result<NodeId, Problem> {
        let operand = self.reduce(operand, 0)?;
        match self.stack.pop() {
            Some(Frame::Paren { at }) => {
                self.depth -= 1;
                self.nodes[operand].span = at.to(span);
                Ok(operand)
            }
            Some(Frame::Call { called, name, mut args }) => {
                self.depth -= 1;
                args.push(operand);
                words::check_count(called, args.len(), name.to(span))?;
                self.nodes.push(Node { kind: Kind::Call(called, args), span: name.to(span) });
                Ok(self.nodes.len() - 1)
            }
            _ => Err(self.no_operator(&Token::Close, span)),
        }
    }

    /// Gives `operand` to every waiting frame that binds at least as tightly as `binding`.
    fn reduce(&mut self, mut operand: NodeId, binding: u8) -> Result<NodeId, Problem> {
        loop {
            let waits = match self.stack.last() {
                Some(Frame::Binary { op, .. }) => op.precedence() >= binding,
                Some(Frame::Not { .. } | Frame::Minus { .. }) => precedence::PREFIX >= binding,
                _ => false,
            };
            if !waits {
                return Ok(operand);
            }
            let end = self.nodes[operand].span;
            let (kind, start) = match self.stack.pop() {
                Some(Frame::Not { at }) => {
                    self.depth -= 1;
                    (Kind::Not(operand), at)
                }
                Some(Frame::Minus { at }) => {
                    self.depth -= 1;
                    (Kind::Negate(operand), at)
                }
                Some(Frame::Binary { op, left }) => (self.binary(op, left, operand), self.nodes[left].span),
                _ => return Ok(operand),
            };
            self.nodes.push(Node { kind, span: start.to(end) });
            operand = self.nodes.len() - 1;
        }
    }

    /// A chain of `and` or `or` is one node, whatever its parentheses.
    fn binary(&mut self, op: Operator, left: NodeId, right: NodeId) -> Kind<'t> {
        match op {
            Operator::Compare(op) => Kind::Compare(op, left, right),
            Operator::Arithmetic(op) => Kind::Arithmetic(op, left, right),
            Operator::And | Operator::Or | Operator::In => {
                let all = op == Operator::And;
                let mut parts = self.take_parts(left, all);
                parts.extend(self.take_parts(right, all));
                if all { Kind::And(parts) } else { Kind::Or(parts) }
            }
        }
    }

    fn take_parts(&mut self, node: NodeId, all: bool) -> Vec<NodeId> {
        match (&mut self.nodes[node].kind, all) {
            (Kind::And(parts), true) | (Kind::Or(parts), false) => {
                let parts = std::mem::take(parts);
                self.nodes[node].kind = Kind::Moved;
                parts
            }
            _ => vec![node],
        }
    }

    /// The list after `in`.
    fn list(&mut self, operand: NodeId) -> Result<NodeId, Problem> {
        let (token, open) = self.next()?;
        if token != Token::Open {
            let message = format!("After in a list should follow, such as ('A', 'B'); {} does.", words::show(&token));
            return Err(Problem::syntax(open, message).expected(&["("]));
        }
        let mut values = Vec::new();
        let mut close = open;
        if *self.peek()? == Token::Close {
            close = self.next()?.1;
        }
        while close == open {
            let (lit, span) = self.list_value()?;
            values.push((lit, span));
            if values.len() > self.limits.list_values {
                let message = format!("The list has more than {} values.", self.limits.list_values);
                return Err(Problem::limit(span, message));
            }
            match self.next()? {
                (Token::Comma, _) => {}
                (Token::Close, span) => close = span,
                (other, span) => {
                    let message = match other {
                        Token::End => "The filter ends inside a list: ) is missing. In a URL an & inside a text must be sent as %26, or it cuts the filter off.".to_owned(),
                        other => format!("Between the values of a list stand commas, not {}.", words::show(&other)),
                    };
                    return Err(Problem::syntax(span, message).expected(&[",", ")"]));
                }
            }
        }
        let span = self.nodes[operand].span.to(close);
        self.nodes.push(Node { kind: Kind::In(operand, values), span });
        Ok(self.nodes.len() - 1)
    }

    fn list_value(&mut self) -> Result<(Lit<'t>, Span), Problem> {
        let (token, span) = self.next()?;
        let (lit, span) = match token {
            Token::Literal(lit) => (Some(lit), span),
            Token::Word(word) => (words::literal(word), span),
            Token::Minus => {
                let (token, end) = self.next()?;
                let lit = match token {
                    Token::Literal(lit) => Some(lit),
                    Token::Word(word) => words::literal(word),
                    _ => None,
                };
                (lit.and_then(words::negated), span.to(end))
            }
            _ => (None, span),
        };
        lit.map(|lit| (lit, span)).ok_or_else(|| {
            let message = "A list after in holds literals: numbers, texts between ' and ', dates, null. \
                           To compare with a field, write eq and or.";
            Problem::syntax(span, message).expected(&["literal", ")"])
        })
    }
}
