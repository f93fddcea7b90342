//! The service: HTTP API, file links, authentication, limits, the worker loop and the sweeper.
//!
//! Rooms: `config` (what an operator sets), `auth` (who calls), `http` (one file per resource and
//! verb), `worker` (the life of an attempt), `sweeper` (retention and garbage), `app` (what they
//! all share), `audit` (its head in the log), `page` (the export page), `metrics` and `traces` (what
//! is seen of it from outside), `shutdown` (in which order it stops).

pub mod app;
pub mod audit;
pub mod auth;
pub mod config;
pub mod doctor;
pub mod http;
pub mod metrics;
pub mod page;
pub mod shutdown;
pub mod sweeper;
pub mod traces;
pub mod worker;

pub use app::App;
pub use config::Config;
