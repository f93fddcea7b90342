//! One file per command: its arguments, and a plot of named steps.

pub mod audit;
pub mod demo;
pub mod doctor;
pub mod export;
pub mod grant;
pub mod grants;
pub mod hold;
pub mod import;
pub mod keys;
pub mod ledger;
pub mod revoke;
pub mod sample;
pub mod serve;
pub mod sweep;
pub mod token;
pub mod verify;
