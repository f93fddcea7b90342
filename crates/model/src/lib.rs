//! The nouns of the service: reports and their fields, exports and their legal moves, viewers and
//! their scope, ids, exact money, time, error codes.
//!
//! Everything here is plain data and pure functions. No I/O, no async, no clock but an injected
//! one: [`time::Clock`].

pub mod access;
pub mod chunk;
pub mod error;
pub mod export;
pub mod format;
pub mod id;
pub mod money;
pub mod report;
pub mod sheet;
pub mod time;
pub mod totals;

pub use access::{Grant, Pair, Role, Scope, Viewer};
pub use chunk::Chunk;
pub use error::ErrorCode;
pub use export::{Export, Failure, Progress, Status, Warning};
pub use format::{DecimalSign, Dialect, FileFormat, Packaging, Separator, TextFormat};
pub use id::{ExportId, ParticipantId, PrincipalId, TenantId};
pub use money::{Amount, Number};
pub use report::{Catalog, Field, FieldType, Report, ReportName};
pub use time::{Clock, Timestamp};
pub use totals::Totals;
