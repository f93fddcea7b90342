//! Signed links.

/// The keys that sign links.
#[derive(Debug)]
pub struct LinkKeys;
