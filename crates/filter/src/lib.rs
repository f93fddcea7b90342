//! The `$filter` dialect: text in, typed predicate and normal form out.
//!
//! Pure: no I/O, no arrow, no async. See `docs/filter.md` for the grammar.

pub mod ast;
pub mod error;
pub mod eval;
pub mod number;
pub mod request;

use std::collections::{BTreeSet, HashMap};

use chrono_tz::Tz;
use payouts_model::{ParticipantId, Report, Timestamp};

pub use ast::Expr;
pub use error::Error;

/// What a text is read against.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The report whose fields may be named.
    pub report: &'a Report,
    /// Rules bare dates against instants.
    pub time_zone: Tz,
    /// What `now()` means.
    pub now: Timestamp,
    /// Old programme name to the new ones that it selects too.
    pub program_aliases: &'a HashMap<String, Vec<String>>,
}

/// An accepted filter.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    /// The typed predicate.
    pub predicate: Expr,
    /// The text in normal form: parses back to an equal predicate under any context of the same
    /// report.
    pub normal_form: String,
}

impl Filter {
    /// Reads `text`. `None` if it is blank: every row.
    pub fn parse(_text: &str, _context: &Context<'_>) -> Result<Option<Self>, Error> {
        todo!()
    }

    /// The participants that the top level names by `eq` or `in` (an `and` of several names their
    /// intersection); `None` if it names none.
    pub fn participants(&self, _report: &Report) -> Option<BTreeSet<ParticipantId>> {
        todo!()
    }
}
