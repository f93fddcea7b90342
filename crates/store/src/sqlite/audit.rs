//! The audit record in its table: extending the chain, within the transaction of what it records
//! or, for what lies outside the database, in one of its own.
//!
//! Invariants: the chain is extended only under the write lock, so that no two records follow the
//! same one, whichever process writes them; records that wait at the same time share a
//! transaction; [`Store::audit`](crate::Store::audit) answers after the commit.

use std::io;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use sqlx::sqlite::SqlitePool;
use sqlx::{AssertSqlSafe, SqliteConnection};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use super::accept::Shared;
use super::rows::{Inserts, count, number};
use super::{SqliteStore, WriteTx, at};
use crate::Error;
use crate::audit::{Entry, Hash, Head, Record};

const AUDIT: &str = "write the audit record";
const READ: &str = "read the audit record";
/// Records in one transaction of their own.
const BATCH_MAX: usize = 256;
/// Records that wait; more wait to be let into the line.
const WAITING_MAX: usize = 1_024;
/// How long a record that nobody waits for is kept back, so that it shares its sync with others.
const LINGER: Duration = Duration::from_millis(250);

/// A record that waits to be written.
#[derive(Debug)]
struct Waiting {
    record: String,
    can_wait: bool,
    answer: oneshot::Sender<Result<Head, Error>>,
}

/// The line of records that concern nothing in the database.
#[derive(Debug)]
pub(super) struct Trail(mpsc::Sender<Waiting>);

impl Trail {
    /// Opens the line. Its task ends with the last [`Trail`].
    pub(super) fn open(writer: SqlitePool) -> Self {
        let (line, waiting) = mpsc::channel(WAITING_MAX);
        tokio::spawn(run(writer, waiting));
        Self(line)
    }
}

impl SqliteStore {
    pub(super) async fn append_record(&self, record: &Record) -> Result<Head, Error> {
        let (answer, answered) = oneshot::channel();
        let gone = |aborted| at(AUDIT, aborted)(sqlx::Error::WorkerCrashed);
        let waiting = Waiting { record: record.to_text(), can_wait: record.can_wait(), answer };
        self.trail.0.send(waiting).await.map_err(|_| gone(true))?;
        answered.await.unwrap_or_else(|_| Err(gone(false)))
    }

    pub(super) async fn newest_record(&self) -> Result<Head, Error> {
        let mut reader = self.reader(READ).await?;
        head(&mut reader).await.map_err(at(READ, true))
    }

    pub(super) async fn records_after(&self, after: u64, max: u64) -> Result<Vec<Entry>, Error> {
        let mut reader = self.reader(READ).await?;
        // Numbers below the first do not occur; whoever put them there must not hide them.
        let after = if after == 0 { i64::MIN } else { count(after) };
        let rows: Vec<(i64, String, Vec<u8>)> =
            sqlx::query_as("SELECT seq, record, hash FROM audit WHERE seq > ?1 ORDER BY seq LIMIT ?2")
                .bind(after)
                .bind(count(max))
                .fetch_all(&mut *reader)
                .await
                .map_err(at(READ, true))?;
        let read = |(seq, record, hash): (i64, String, Vec<u8>)| {
            let what = || format!("audit record {seq}");
            let hash = hash.try_into().map(Hash).map_err(|_| Error::Corrupt { what: what() })?;
            Ok(Entry { seq: number(seq, what)?, record, hash })
        };
        rows.into_iter().map(read).collect()
    }
}

/// Writes what waits.
async fn run(writer: SqlitePool, mut line: mpsc::Receiver<Waiting>) {
    while let Some(first) = line.recv().await {
        let mut batch = vec![first];
        linger(&mut batch, &mut line).await;
        let begun = writer.begin_with("BEGIN IMMEDIATE").await.map_err(|source| (source, true));
        // Whoever came while the lock was waited for is taken along.
        while batch.len() < BATCH_MAX
            && let Ok(next) = line.try_recv()
        {
            batch.push(next);
        }
        let written = match begun {
            Ok(tx) => write(tx, &batch).await,
            Err(failed) => Err(failed),
        };
        answer(batch, written);
    }
}

/// Waits for company while nobody in the batch is in a hurry.
async fn linger(batch: &mut Vec<Waiting>, line: &mut mpsc::Receiver<Waiting>) {
    let until = Instant::now() + LINGER;
    while batch.len() < BATCH_MAX && batch.iter().all(|waiting| waiting.can_wait) {
        match timeout_at(until, line.recv()).await {
            Ok(Some(next)) => batch.push(next),
            Ok(None) | Err(_) => return,
        }
    }
}

async fn write(mut tx: WriteTx, batch: &[Waiting]) -> Result<Head, (sqlx::Error, bool)> {
    let records: Vec<&str> = batch.iter().map(|waiting| waiting.record.as_str()).collect();
    let head = append(&mut tx, &records).await.map_err(|source| (source, true))?;
    // A commit that fails may have taken effect.
    tx.commit().await.map_err(|source| (source, false))?;
    Ok(head)
}

/// Tells everybody who still listens.
fn answer(batch: Vec<Waiting>, written: Result<Head, (sqlx::Error, bool)>) {
    let written = written.map_err(|(source, aborted)| (Shared(Arc::new(source)), aborted));
    for Waiting { answer, .. } in batch {
        let told = written.clone().map_err(|(source, aborted)| {
            let source = sqlx::Error::Io(io::Error::other(source));
            at(AUDIT, aborted)(source)
        });
        drop(answer.send(told));
    }
}

async fn head(connection: &mut SqliteConnection) -> Result<Head, sqlx::Error> {
    let newest: Option<(i64, Vec<u8>)> =
        sqlx::query_as("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1").fetch_optional(connection).await?;
    let Some((seq, hash)) = newest else { return Ok(Head::NONE) };
    let wrong = || sqlx::Error::Decode(format!("audit record {seq} is not readable").into());
    let hash = hash.try_into().map(Hash).map_err(|_| wrong())?;
    Ok(Head { seq: u64::try_from(seq).map_err(|_| wrong())?, hash })
}

static INSERTS: LazyLock<Inserts> = LazyLock::new(|| Inserts::new("audit (seq, record, hash)", "(?, ?, ?)"));

/// Extends the chain within a transaction. Answers the new head.
pub(super) async fn append(tx: &mut WriteTx, records: &[&str]) -> Result<Head, sqlx::Error> {
    if records.is_empty() {
        return Ok(Head::NONE);
    }
    let mut newest = head(tx).await?;
    for rows in records.chunks(Inserts::ROWS_MAX) {
        let mut insert = sqlx::query(AssertSqlSafe(INSERTS.of(rows.len())));
        for &record in rows {
            newest = newest.after(record);
            insert = insert.bind(count(newest.seq)).bind(record).bind(newest.hash.0.to_vec());
        }
        insert.execute(&mut **tx).await?;
    }
    Ok(newest)
}
