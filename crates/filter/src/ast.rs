//! The typed predicate: what an accepted filter means, with every habit and every type resolved.

use crate::number::Decimal;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// null
    Null,
    /// true or false
    Boolean(bool),
    /// An exact number of any size.
    Number(Decimal),
    /// INF (true) or -INF (false).
    Infinity(bool),
    /// Not a number: equal to nothing, not even itself.
    NaN,
    /// Text.
    Text(String),
    /// A day: days since 1970-01-01.
    Date(i32),
    /// An instant: microseconds since 1970-01-01T00:00:00Z.
    Instant(i64),
    /// A time of day in microseconds.
    TimeOfDay(i64),
    /// A duration in microseconds.
    Duration(i64),
}

/// How texts are compared for equality.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Collation {
    /// To the letter (also every comparison of what is not text).
    Exact,
    /// As ids: both sides in canonical text, see `payouts_model::id::canonical`. A literal is
    /// already canonical.
    Id,
    /// Ignoring ASCII case (enumerated values, GUIDs). A literal keeps the case it is printed in.
    IgnoreCase,
}

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the OData names")]
pub enum CompareOp {
    Eq,
    Ne,
    Gt,
    Ge,
    Lt,
    Le,
}

/// Arithmetic; `Div` between whole numbers cuts towards zero, `DivBy` never does: see docs/filter.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the OData names")]
pub enum ArithmeticOp {
    Add,
    Sub,
    Mul,
    Div,
    DivBy,
    Mod,
}

/// A function of OData 4.01 that a flat row can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the OData names")]
pub enum Function {
    Contains,
    StartsWith,
    EndsWith,
    Length,
    IndexOf,
    Substring,
    ToLower,
    ToUpper,
    Trim,
    Concat,
    Year,
    Month,
    Day,
    Hour,
    Minute,
    Second,
    FractionalSeconds,
    Date,
    Time,
    TotalOffsetMinutes,
    Round,
    Floor,
    Ceiling,
}

/// A typed expression. `now()`, `mindatetime()` and `maxdatetime()` are literals already; bare
/// dates against instants are comparisons of instants already.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// A value.
    Literal(Value),
    /// A field, by its index in the report.
    Field(usize),
    /// A comparison; never null: null equals only null, `Gt Ge Lt Le` with a null are false. A
    /// date field against an instant counts as its day's 00:00Z.
    Compare {
        /** which */
        op: CompareOp,
        /** how texts are equal */
        collation: Collation,
        /** left */
        left: Box<Expr>,
        /** right */
        right: Box<Expr>,
    },
    /// A chain of `Eq`; false for an empty list.
    In {
        /** what is looked for */
        operand: Box<Expr>,
        /** how texts are equal */
        collation: Collation,
        /** where */
        list: Vec<Value>,
    },
    /// Three-valued and of two or more.
    And(Vec<Expr>),
    /// Three-valued or of two or more.
    Or(Vec<Expr>),
    /// Three-valued not.
    Not(Box<Expr>),
    /// Exact arithmetic; null on division by zero or overflow.
    Arithmetic {
        /** which */
        op: ArithmeticOp,
        /** left */
        left: Box<Expr>,
        /** right */
        right: Box<Expr>,
    },
    /// Unary minus.
    Negate(Box<Expr>),
    /// A function call; null if an argument is null.
    Call {
        /** which */
        function: Function,
        /** arguments */
        args: Vec<Expr>,
    },
}

impl Expr {
    /// All of `parts`: chains inside are taken apart, a single part stays itself.
    pub fn all(parts: Vec<Self>) -> Self {
        let mut flat = Vec::with_capacity(parts.len());
        for part in parts {
            match part {
                Self::And(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        match flat.len() {
            0 => Self::Literal(Value::Boolean(true)),
            1 => flat.swap_remove(0),
            _ => Self::And(flat),
        }
    }

    /// Any of `parts`: chains inside are taken apart, a single part stays itself.
    pub fn any(parts: Vec<Self>) -> Self {
        let mut flat = Vec::with_capacity(parts.len());
        for part in parts {
            match part {
                Self::Or(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        match flat.len() {
            0 => Self::Literal(Value::Boolean(false)),
            1 => flat.swap_remove(0),
            _ => Self::Or(flat),
        }
    }
}
