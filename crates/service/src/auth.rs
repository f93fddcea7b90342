//! auth

/// Checks tokens.
#[derive(Debug)]
pub struct Verifier;
