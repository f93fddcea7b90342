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
