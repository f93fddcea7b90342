//! The published limits of a filter, and the wider ones under which a stored normal form is read
//! back.

/// The filter's text in a URL, in bytes. Checked where the URL is read.
pub const URL_BYTES_MAX: usize = 64 * 1024;
/// The filter's text in a body, in bytes: the most that is ever read.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Parentheses, `not`, minus and calls inside each other; a chain of one operator is one level.
pub const DEPTH_MAX: usize = 64;
/// Fields, literals, operators and calls, besides the values of `in` lists.
pub const NODES_MAX: usize = 4_000;
/// Values of one `in` list.
pub const LIST_VALUES_MAX: usize = 20_000;
/// Characters of a text or number literal.
pub const LITERAL_CHARS_MAX: usize = 1_024;

/// The limits that one reading obeys.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub bytes: usize,
    pub depth: usize,
    pub nodes: usize,
    pub list_values: usize,
    pub literal_chars: usize,
}

impl Limits {
    /// For what callers send.
    pub const REQUEST: Self = Self {
        bytes: BODY_BYTES_MAX,
        depth: DEPTH_MAX,
        nodes: NODES_MAX,
        list_values: LIST_VALUES_MAX,
        literal_chars: LITERAL_CHARS_MAX,
    };

    /// For our own normal forms: resolving habits (a day becomes two comparisons, an old programme
    /// name a list) adds a few levels and a small multiple of nodes, and several parameters are
    /// joined into one text.
    pub const NORMAL: Self = Self {
        bytes: 64 * BODY_BYTES_MAX,
        depth: DEPTH_MAX + 16,
        nodes: 64 * NODES_MAX,
        list_values: usize::MAX,
        literal_chars: BODY_BYTES_MAX,
    };
}
