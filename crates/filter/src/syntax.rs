//! The untyped tree: nodes in one list, operands before what is made of them.
//!
//! Invariant: a node refers only to nodes before it and each node is referred to at most once, so
//! that every later pass is a loop over the list and no text can exhaust the stack.

use crate::ast::{ArithmeticOp, CompareOp, Function};
use crate::error::Span;
use crate::lexer::Lit;

/// A node's place in the list.
pub(crate) type NodeId = usize;

#[derive(Clone, Debug)]
pub(crate) struct Node<'t> {
    pub kind: Kind<'t>,
    /// All of it, with its parentheses.
    pub span: Span,
}

#[derive(Clone, Debug)]
pub(crate) enum Kind<'t> {
    /// Its parts were taken over by a longer chain.
    Moved,
    Literal(Lit<'t>),
    Field(usize),
    Not(NodeId),
    Negate(NodeId),
    And(Vec<NodeId>),
    Or(Vec<NodeId>),
    Compare(CompareOp, NodeId, NodeId),
    Arithmetic(ArithmeticOp, NodeId, NodeId),
    In(NodeId, Vec<(Lit<'t>, Span)>),
    Call(Called, Vec<NodeId>),
}

/// A function by name; the constants among them become literals when types are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Called {
    Function(Function),
    Now,
    MinDateTime,
    MaxDateTime,
}

/// Every function: its name, what it is, and how many arguments it takes.
pub(crate) const FUNCTIONS: [(&str, Called, std::ops::RangeInclusive<usize>); 26] = {
    use Called::Function as F;
    use Function as N;
    [
        ("contains", F(N::Contains), 2..=2),
        ("startswith", F(N::StartsWith), 2..=2),
        ("endswith", F(N::EndsWith), 2..=2),
        ("length", F(N::Length), 1..=1),
        ("indexof", F(N::IndexOf), 2..=2),
        ("substring", F(N::Substring), 2..=3),
        ("tolower", F(N::ToLower), 1..=1),
        ("toupper", F(N::ToUpper), 1..=1),
        ("trim", F(N::Trim), 1..=1),
        ("concat", F(N::Concat), 2..=2),
        ("year", F(N::Year), 1..=1),
        ("month", F(N::Month), 1..=1),
        ("day", F(N::Day), 1..=1),
        ("hour", F(N::Hour), 1..=1),
        ("minute", F(N::Minute), 1..=1),
        ("second", F(N::Second), 1..=1),
        ("fractionalseconds", F(N::FractionalSeconds), 1..=1),
        ("date", F(N::Date), 1..=1),
        ("time", F(N::Time), 1..=1),
        ("totaloffsetminutes", F(N::TotalOffsetMinutes), 1..=1),
        ("round", F(N::Round), 1..=1),
        ("floor", F(N::Floor), 1..=1),
        ("ceiling", F(N::Ceiling), 1..=1),
        ("now", Called::Now, 0..=0),
        ("mindatetime", Called::MinDateTime, 0..=0),
        ("maxdatetime", Called::MaxDateTime, 0..=0),
    ]
};

/// The name of a function, for the normal form and for messages.
pub(crate) fn name_of(called: Called) -> &'static str {
    FUNCTIONS.iter().find(|f| f.1 == called).map_or("", |f| f.0)
}

/// An operator between two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Or,
    And,
    Compare(CompareOp),
    Arithmetic(ArithmeticOp),
    In,
}

/// How tightly operators bind; `not` and minus stand between `mul` and `in`.
pub(crate) mod precedence {
    pub const OR: u8 = 1;
    pub const AND: u8 = 2;
    pub const EQUALITY: u8 = 3;
    pub const ORDER: u8 = 4;
    pub const ADD: u8 = 5;
    pub const MUL: u8 = 6;
    pub const PREFIX: u8 = 7;
    pub const IN: u8 = 8;
    pub const PRIMARY: u8 = 9;
}

impl Operator {
    pub fn named(word: &str) -> Option<Self> {
        use ArithmeticOp::{Add, Div, DivBy, Mod, Mul, Sub};
        use CompareOp::{Eq, Ge, Gt, Le, Lt, Ne};
        const ALL: [(&str, Operator); 15] = [
            ("eq", Operator::Compare(Eq)),
            ("ne", Operator::Compare(Ne)),
            ("gt", Operator::Compare(Gt)),
            ("ge", Operator::Compare(Ge)),
            ("lt", Operator::Compare(Lt)),
            ("le", Operator::Compare(Le)),
            ("and", Operator::And),
            ("or", Operator::Or),
            ("in", Operator::In),
            ("add", Operator::Arithmetic(Add)),
            ("sub", Operator::Arithmetic(Sub)),
            ("mul", Operator::Arithmetic(Mul)),
            ("div", Operator::Arithmetic(Div)),
            ("divby", Operator::Arithmetic(DivBy)),
            ("mod", Operator::Arithmetic(Mod)),
        ];
        ALL.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)).map(|(_, op)| *op)
    }

    pub fn precedence(self) -> u8 {
        match self {
            Self::Or => precedence::OR,
            Self::And => precedence::AND,
            Self::Compare(op) => compare_precedence(op),
            Self::Arithmetic(op) => arithmetic_precedence(op),
            Self::In => precedence::IN,
        }
    }
}

pub(crate) fn compare_precedence(op: CompareOp) -> u8 {
    if matches!(op, CompareOp::Eq | CompareOp::Ne) { precedence::EQUALITY } else { precedence::ORDER }
}

pub(crate) fn arithmetic_precedence(op: ArithmeticOp) -> u8 {
    if matches!(op, ArithmeticOp::Add | ArithmeticOp::Sub) { precedence::ADD } else { precedence::MUL }
}

pub(crate) fn compare_name(op: CompareOp) -> &'static str {
    match op {
        CompareOp::Eq => "eq",
        CompareOp::Ne => "ne",
        CompareOp::Gt => "gt",
        CompareOp::Ge => "ge",
        CompareOp::Lt => "lt",
        CompareOp::Le => "le",
    }
}

pub(crate) fn arithmetic_name(op: ArithmeticOp) -> &'static str {
    match op {
        ArithmeticOp::Add => "add",
        ArithmeticOp::Sub => "sub",
        ArithmeticOp::Mul => "mul",
        ArithmeticOp::Div => "div",
        ArithmeticOp::DivBy => "divby",
        ArithmeticOp::Mod => "mod",
    }
}
