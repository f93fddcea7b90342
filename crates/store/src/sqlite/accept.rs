//! Acceptance: one task writes for all callers. Whatever waits when the writer becomes free goes
//! into one transaction, so that one sync makes all of it durable.
//!
//! Invariants: Exports are accepted in the order in which they were handed in; nobody is answered
//! before the commit; what one caller's request does to the database concerns nobody else; a
//! caller that goes away while it waits is passed over, or accepted unheard if its batch has begun.

mod batch;

#[cfg(test)]
pub(super) use batch::BEFORE;

use std::io;
use std::sync::Arc;

use payouts_faults::{Point, pass};
use sqlx::error::ErrorKind;
use sqlx::sqlite::SqlitePool;
use tokio::sync::{mpsc, oneshot};

use self::batch::Decision;
use super::rows::ScopeCache;
use super::{SqliteStore, WriteTx, at};
use crate::audit::Record;
use crate::{AcceptLimits, Accepted, CreateExport, Error};

const ACCEPT: &str = "accept an export";
/// Callers in one transaction. Other writes wait for no more than this; at some twenty
/// microseconds each the sync still takes the most of it.
const BATCH_MAX: usize = 256;
/// Bytes of filters in one transaction, so that a batch of the longest ones stays in memory.
const BATCH_BYTES_MAX: usize = 8 << 20;
/// Callers that wait beside the batch under way; more of them wait to be let into the line.
const WAITING_MAX: usize = 1_024;
/// SQLite's code of a text that is longer than it can hold.
const SQLITE_TOOBIG: &str = "18";

/// A caller that waits.
#[derive(Debug)]
struct Waiting {
    create: CreateExport,
    /// What the audit record is to say of it: made by the caller, so that the writer need not.
    record: String,
    limits: AcceptLimits,
    answer: oneshot::Sender<Result<Accepted, Error>>,
}

/// The line of callers.
#[derive(Debug)]
pub(super) struct Line(mpsc::Sender<Waiting>);

impl Line {
    /// Opens the line. Its task ends with the last [`Line`].
    pub(super) fn open(writer: SqlitePool, scopes: Arc<ScopeCache>) -> Self {
        let (line, waiting) = mpsc::channel(WAITING_MAX);
        tokio::spawn(Acceptor { writer, scopes }.run(waiting));
        Self(line)
    }
}

impl SqliteStore {
    pub(super) async fn accept_export(&self, create: CreateExport, limits: AcceptLimits) -> Result<Accepted, Error> {
        let (answer, answered) = oneshot::channel();
        let gone = |aborted| at(ACCEPT, aborted)(sqlx::Error::WorkerCrashed);
        let record = Record::accepted(&create).to_text();
        self.line.0.send(Waiting { create, record, limits, answer }).await.map_err(|_| gone(true))?;
        answered.await.unwrap_or_else(|_| Err(gone(false)))
    }
}

/// Writes what waits.
struct Acceptor {
    writer: SqlitePool,
    scopes: Arc<ScopeCache>,
}

impl Acceptor {
    async fn run(self, mut line: mpsc::Receiver<Waiting>) {
        while let Some(first) = line.recv().await {
            // Whoever comes while the lock is waited for is taken along.
            let begun = self.begin().await;
            let batch = take_along(first, &mut line);
            match begun {
                Ok(tx) if !batch.is_empty() => self.serve(tx, batch).await,
                Ok(_) => {}
                Err(failed) => refuse(batch, failed),
            }
        }
    }

    async fn serve(&self, tx: WriteTx, batch: Vec<Waiting>) {
        match self.write(tx, &batch).await {
            Ok(decisions) => answer(batch, decisions),
            Err(failed) if failed.aborted && batch.len() > 1 && of_one_caller(&failed.source) => {
                for waiting in batch {
                    self.serve_alone([waiting]).await;
                }
            }
            Err(failed) => refuse(batch, failed),
        }
    }

    /// One of a batch cannot be written: each gets a transaction of its own, in their order.
    async fn serve_alone(&self, one: [Waiting; 1]) {
        let written = match self.begin().await {
            Ok(tx) => self.write(tx, &one).await,
            Err(failed) => Err(failed),
        };
        match written {
            Ok(decisions) => answer(one, decisions),
            Err(failed) => refuse(one, failed),
        }
    }

    async fn begin(&self) -> Result<WriteTx, Failed> {
        self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(|source| Failed { source, aborted: true })
    }

    async fn write(&self, mut tx: WriteTx, batch: &[Waiting]) -> Result<Vec<Decision>, Failed> {
        let decisions = batch::decide_and_insert(&mut tx, &self.scopes, batch)
            .await
            .map_err(|source| Failed { source, aborted: true })?;
        if decisions.iter().any(|d| matches!(d, Decision::New { .. })) {
            pass(Point::ExportAccept).await.map_err(|e| Failed { source: e.into(), aborted: true })?;
            // A commit that fails may have taken effect.
            tx.commit().await.map_err(|source| Failed { source, aborted: false })?;
            pass(Point::ExportAccepted).await.map_err(|e| Failed { source: e.into(), aborted: false })?;
        }
        Ok(decisions)
    }
}

/// Why a transaction failed, and whether it certainly did not take effect.
struct Failed {
    source: sqlx::Error,
    aborted: bool,
}

/// One failure, told to each caller that it concerns.
#[derive(Clone, Debug, thiserror::Error)]
#[error(transparent)]
pub(super) struct Shared(pub(super) Arc<sqlx::Error>);

/// The first, and whoever waits behind it and still listens, up to the limits.
fn take_along(first: Waiting, line: &mut mpsc::Receiver<Waiting>) -> Vec<Waiting> {
    let mut bytes = 0;
    let mut batch = Vec::with_capacity(line.len().min(BATCH_MAX) + 1);
    let mut next = Some(first);
    while let Some(waiting) = next {
        if !waiting.answer.is_closed() {
            bytes += waiting.create.query.text.len() + waiting.create.query.filter.len();
            batch.push(waiting);
        }
        next = if batch.len() < BATCH_MAX && bytes < BATCH_BYTES_MAX { line.try_recv().ok() } else { None };
    }
    batch
}

/// Whether what went wrong lies in one caller's row and not in the database.
fn of_one_caller(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(e) => e.kind() != ErrorKind::Other || e.code().as_deref() == Some(SQLITE_TOOBIG),
        _ => false,
    }
}

/// Tells every caller what became of its request. Those that have gone need no answer.
fn answer(batch: impl IntoIterator<Item = Waiting>, decisions: Vec<Decision>) {
    for (Waiting { create, answer, .. }, decision) in batch.into_iter().zip(decisions) {
        let accepted = match decision {
            Decision::New { queue_position } => Ok(Accepted::New { export: batch::queued(create), queue_position }),
            Decision::Replayed(export) => Ok(Accepted::Replayed(*export)),
            Decision::KeyReused => Ok(Accepted::KeyReused),
            Decision::Full(full) => Ok(*full),
            Decision::Unreadable(error) => Err(error),
        };
        drop(answer.send(accepted));
    }
}

/// Tells every caller that the database failed.
fn refuse(batch: impl IntoIterator<Item = Waiting>, Failed { source, aborted }: Failed) {
    let source = Shared(Arc::new(source));
    for waiting in batch {
        let error = sqlx::Error::Io(io::Error::other(source.clone()));
        drop(waiting.answer.send(Err(at(ACCEPT, aborted)(error))));
    }
}
