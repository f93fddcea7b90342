//! Plans over small tables of our own making: what comes out, in which order, and what does not.

mod determinism;
pub(crate) mod fixture;
mod foreign;
mod preview;
mod pruning;
mod scope;
mod stopped;
mod values;
