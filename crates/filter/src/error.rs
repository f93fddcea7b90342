//! Why a filter was refused, and where.

use payouts_model::ErrorCode;

/// A refusal. Offsets count characters of the text as the caller sent it, decoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// FilterSyntax, FilterUnknownField, FilterType, FilterUnsupported or FilterLimit.
    pub code: ErrorCode,
    /// What is wrong and what would be right.
    pub message: String,
    /// Where, in characters.
    pub offset: usize,
    /// How long, in characters; 0 at the end of the text.
    pub length: usize,
    /// What could stand there.
    pub expected: Vec<String>,
    /// For a misspelt name or value, the nearest ones.
    pub nearest: Vec<String>,
}

/// A stretch of the text that is being read, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub start: usize,
    pub end: usize,
}

impl Span {
    pub fn new(start: usize, end: usize) -> Self {
        Self { start, end }
    }
    /// From the start of this one to the end of the other.
    pub fn to(self, other: Self) -> Self {
        Self { start: self.start, end: other.end }
    }
}

/// A refusal before its place is turned into characters of what the caller sent.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    pub code: ErrorCode,
    pub message: String,
    pub span: Span,
    pub expected: &'static [&'static str],
    pub nearest: Vec<String>,
}

impl Problem {
    pub fn new(code: ErrorCode, span: Span, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), span, expected: &[], nearest: Vec::new() }
    }
    pub fn syntax(span: Span, message: impl Into<String>) -> Self {
        Self::new(ErrorCode::FilterSyntax, span, message)
    }
    pub fn kind(span: Span, message: impl Into<String>) -> Self {
        Self::new(ErrorCode::FilterType, span, message)
    }
    pub fn unsupported(span: Span, message: impl Into<String>) -> Self {
        Self::new(ErrorCode::FilterUnsupported, span, message)
    }
    pub fn limit(span: Span, message: impl Into<String>) -> Self {
        Self::new(ErrorCode::FilterLimit, span, message)
    }
    pub fn too_long(text: &str, bytes_max: usize) -> Self {
        let message = format!("The filter has {} bytes; it may have {bytes_max}.", text.len());
        Self::limit(Span::new(0, text.len()), message)
    }
    pub fn expected(mut self, expected: &'static [&'static str]) -> Self {
        self.expected = expected;
        self
    }
    pub fn nearest(mut self, nearest: Vec<String>) -> Self {
        self.nearest = nearest;
        self
    }

    /// The refusal in characters of `sent`, of which the text that was read begins at byte `base`.
    pub fn into_error(self, sent: &str, base: usize) -> Error {
        let count = |from: usize, to: usize| sent.get(from..to).map_or(0, |s| s.chars().count());
        let (start, end) = (base + self.span.start, base + self.span.end);
        Error {
            code: self.code,
            message: sentence(self.message),
            offset: count(0, start),
            length: count(start, end),
            expected: self.expected.iter().map(|&e| e.to_owned()).collect(),
            nearest: self.nearest,
        }
    }
}

/// The message with a capital, where it does not begin with a name that the caller wrote.
fn sentence(message: String) -> String {
    match message
        .strip_prefix("the ")
        .map(|rest| ("The ", rest))
        .or(message.strip_prefix("a ").map(|rest| ("A ", rest)))
    {
        Some((article, rest)) => [article, rest].concat(),
        None => message,
    }
}

/// At most 40 characters of `text`, for messages.
pub(crate) fn excerpt(text: &str) -> String {
    match text.char_indices().nth(40) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}
