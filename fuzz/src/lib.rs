//! What several targets need: the input taken bit by bit, a ledger to import into, and a count of
//! records that is not the importer's own.

#![cfg(feature = "targets")]

pub mod input;
pub mod place;
pub mod records;
