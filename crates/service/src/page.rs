//! The export page.

pub mod form;
