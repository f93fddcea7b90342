//! From a request's parameters to one filter text: `$filter`, every filter name as a parameter of
//! its own, `Multiple filters`, the habits of repeated prefixes and outer quotes.

use payouts_model::Report;

/// A refusal that concerns a parameter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct ParameterError {
    /// The parameter as the caller wrote it.
    pub parameter: String,
    /// What is wrong with it; offsets count in the parameter's value.
    pub error: crate::Error,
}

/// Whether `name` is a filter parameter of the report: a field's name, a filter name (any case) or
/// `Multiple filters`.
pub fn takes(_report: &Report, _name: &str) -> bool {
    todo!()
}

/// Joins `$filter` (decoded; at most one) and the other filter parameters (name and value,
/// decoded, in the order they came) into the text that `requestQueryString` shows: repeated
/// prefixes and outer quotes removed, parameters appended in normal form with ` and `.
/// Empty if there is no filter of any kind.
pub fn assemble(_context: &crate::Context<'_>, _filter: Option<&str>, _parameters: &[(String, String)]) -> Result<String, ParameterError> {
    todo!()
}
