//! One file per command: its arguments, and a plot of named steps.

pub mod audit;
pub mod demo;
pub mod export;
pub mod grant;
pub mod grants;
pub mod import;
pub mod revoke;
pub mod sample;
pub mod serve;
pub mod token;
