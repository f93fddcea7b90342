//! What went wrong in an attempt, and whether trying again may help.
//!
//! Two audiences: the caller gets a code and a sentence without paths or data; the log gets the
//! chain of causes.

use std::any::Any;
use std::error::Error as StdError;
use std::io;

use payouts_model::{ErrorCode, Failure};

use super::room::NoRoom;
use super::writing::WriteError;

/// Why an attempt ended without a file.
#[derive(Debug)]
pub(super) enum Broken {
    /// The claim is not ours any more: nothing may be written.
    Lost,
    /// Its slot takes smaller ones only: it waits for another.
    TooLarge {
        /// The rows that were counted.
        rows_expected: u64,
    },
    /// Something went wrong.
    Fault(Fault),
}

/// Something that went wrong.
#[derive(Debug)]
pub(super) struct Fault {
    /// Whether another attempt may do better. Otherwise the Export is given up at once.
    pub passing: bool,
    /// What the caller is told when it is given up.
    pub failure: Failure,
    /// What the log is told.
    pub cause: String,
}

impl Fault {
    /// A fault that may pass. `what` completes "… while …".
    pub(super) fn passing(what: &str, cause: &dyn StdError) -> Self {
        Self::passing_for(what, chain(cause))
    }

    fn passing_for(what: &str, cause: String) -> Self {
        let message = format!(
            "The service met a fault while {what} and did not get past it in several attempts. \
             Ask again later; if it stays, tell the operator this request's id."
        );
        Self { passing: true, failure: Failure { code: ErrorCode::AttemptsExhausted, message, retryable: true }, cause }
    }

    fn lasting(code: ErrorCode, retryable: bool, message: impl Into<String>, cause: String) -> Self {
        Self { passing: false, failure: Failure { code, message: message.into(), retryable }, cause }
    }

    /// The configuration no longer has what the request names.
    pub(super) fn obsolete(what: &str, cause: String) -> Self {
        let message = format!("{what}, which the configuration has changed since the request was accepted. Ask again.");
        Self::lasting(ErrorCode::RequestObsolete, false, message, cause)
    }

    /// The same data version gave two numbers of rows.
    pub(super) fn miscounted(expected: u64, written: u64) -> Self {
        let message = "The service found that the file it had made was not whole and threw it away. Tell the operator this request's id.";
        Self::lasting(ErrorCode::Internal, true, message, format!("counted {expected} rows but wrote {written}"))
    }

    /// The attempt panicked: a bug, but perhaps not on the next try.
    pub(super) fn panicked(payload: &(dyn Any + Send)) -> Self {
        let text = payload.downcast_ref::<&str>().map(|s| (*s).to_owned());
        let text = text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_default();
        Self::passing_for("making the file", format!("panic: {text}"))
    }

    fn snapshot_gone(cause: String) -> Self {
        let message = "The files of the data version that this export began with are gone. Ask again to export the newest version.";
        Self::lasting(ErrorCode::SnapshotGone, true, message, cause)
    }

    fn unreadable(cause: String) -> Self {
        let message =
            "The ledger cannot be read rightly; the operator finds the cause in the log under this request's id.";
        Self::lasting(ErrorCode::LedgerUnreadable, false, message, cause)
    }

    /// A limit of room is reached, which the caller is told.
    fn no_room(no_room: &NoRoom, cause: String) -> Self {
        let message = match no_room {
            NoRoom::Tenant { .. } => {
                format!(
                    "{no_room}, and this one does not fit. Delete exports that you have downloaded, or narrow the filter."
                )
            }
            NoRoom::All { .. } => {
                format!("{no_room}, and this one does not fit. Ask again once some have been deleted.")
            }
        };
        Self::lasting(ErrorCode::StorageFull, true, message, cause)
    }

    fn storage_full(cause: String) -> Self {
        let message = "There is no room left for the file. Ask again once the operator has made room.";
        Self::lasting(ErrorCode::StorageFull, true, message, cause)
    }
}

/// An error and its causes in one line.
pub(super) fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

impl From<payouts_store::Error> for Broken {
    fn from(error: payouts_store::Error) -> Self {
        Self::Fault(Fault::passing("keeping its records", &error))
    }
}

impl From<payouts_ledger::Error> for Broken {
    fn from(error: payouts_ledger::Error) -> Self {
        use payouts_ledger::Error as E;
        let cause = chain(&error);
        Self::Fault(match error {
            E::VersionGone { .. } => Fault::snapshot_gone(cause),
            E::Missing { .. } | E::Unsupported { .. } | E::Invalid(_) => Fault::unreadable(cause),
            E::Conflict { .. } | E::Delta(_) | E::Io { .. } | E::Parquet(_) | E::Arrow(_) => {
                Fault::passing_for("opening the ledger", cause)
            }
        })
    }
}

impl From<payouts_engine::Error> for Broken {
    fn from(error: payouts_engine::Error) -> Self {
        use payouts_engine::Error as E;
        let cause = chain(&error);
        Self::Fault(match error {
            E::SnapshotGone(_) => Fault::snapshot_gone(cause),
            E::BadData(_) => Fault::unreadable(cause),
            E::MemoryLimit { .. } => Fault::passing_for("reading within its memory limit", cause),
            E::Query(_) => Fault::passing_for("reading the ledger", cause),
        })
    }
}

impl From<WriteError> for Broken {
    fn from(error: WriteError) -> Self {
        let cause = chain(&error);
        let full = |kind| {
            matches!(kind, io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge)
        };
        Self::Fault(match error {
            WriteError::Blob(payouts_blob::Error::StorageFull(_)) => Fault::storage_full(cause),
            WriteError::Package(e) if full(e.kind()) => {
                match e.get_ref().and_then(|inner| inner.downcast_ref::<NoRoom>()) {
                    Some(no_room) => Fault::no_room(no_room, cause),
                    None => Fault::storage_full(cause),
                }
            }
            WriteError::Blob(_) | WriteError::Package(_) => Fault::passing_for("writing the file", cause),
            WriteError::Panicked(payload) => Fault::panicked(&*payload),
            WriteError::Abandoned => Fault::passing_for("writing the file", cause),
        })
    }
}
