//! The heartbeat of an attempt: renews the lease, writes progress, notices that the claim is lost.
//!
//! Invariants: nothing is done for an Export whose lease may have ended by our own clock; progress
//! is below the whole until the file is published.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use payouts_model::{ExportId, Timestamp};
use payouts_store::Claim;
use tokio::sync::Notify;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::App;

/// Progress is written so often if it moved, in milliseconds; the lease at least every third.
const PROGRESS_EVERY_MS: i64 = 1_000;

/// How far an attempt is, as its parts see it.
#[derive(Debug)]
pub(super) struct Progress {
    rows_done: AtomicU64,
    rows_expected: AtomicU64,
    news: Notify,
}

impl Default for Progress {
    fn default() -> Self {
        Self { rows_done: AtomicU64::new(0), rows_expected: AtomicU64::new(u64::MAX), news: Notify::new() }
    }
}

impl Progress {
    /// So many rows are written.
    pub(super) fn set_rows_done(&self, rows: u64) {
        self.rows_done.store(rows, Ordering::Relaxed);
    }

    /// So many rows will be; told to callers at once, or with the next beat.
    pub(super) fn set_rows_expected(&self, rows: u64, at_once: bool) {
        self.rows_expected.store(rows, Ordering::Relaxed);
        if at_once {
            self.news.notify_one();
        }
    }

    /// Rows done and expected, as callers may see them: not all before the file is published.
    fn shown(&self) -> (u64, Option<u64>) {
        let done = self.rows_done.load(Ordering::Relaxed);
        match self.rows_expected.load(Ordering::Relaxed) {
            u64::MAX => (0, None),
            expected => (done.min(expected.saturating_sub(1)), Some(expected)),
        }
    }
}

/// A beating heart; it stops when this is dropped.
#[derive(Debug)]
pub(super) struct Heart {
    task: JoinHandle<()>,
    lost: CancellationToken,
}

impl Heart {
    pub(super) fn start(app: &Arc<App>, claim: &Claim, progress: Arc<Progress>) -> Self {
        let lost = CancellationToken::new();
        // Before the first beat: a deletion from now on is heard.
        let changes = app.signals.changes();
        let claimed_at = app.clock.now();
        let task = tokio::spawn(beat(app.clone(), claim.clone(), progress, changes, claimed_at, lost.clone()));
        Self { task, lost }
    }

    /// Waits until the claim is lost.
    pub(super) async fn lost(&self) {
        self.lost.cancelled().await;
    }
}

impl Drop for Heart {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn beat(
    app: Arc<App>,
    claim: Claim,
    progress: Arc<Progress>,
    mut changes: broadcast::Receiver<ExportId>,
    claimed_at: Timestamp,
    lost: CancellationToken,
) {
    // Whatever ends this task without a word, the attempt must not go on without a heart.
    let _lost_at_end = lost.clone().drop_guard();
    let lease_ms = app.config.lease_ms;
    let tick = Duration::from_millis((lease_ms / 3).clamp(1, PROGRESS_EVERY_MS).unsigned_abs());
    let patience = Duration::from_millis((lease_ms / 3).max(1).unsigned_abs());
    let id = claim.export.id;
    let mut renewed_at = claimed_at;
    let mut written = (0, None);
    loop {
        let asked = tokio::select! {
            () = tokio::time::sleep(tick) => false,
            () = progress.news.notified() => true,
            () = change_of(&mut changes, id) => true,
        };
        let shown = progress.shown();
        // A clock that went back is a reason to renew: others judge the lease by it.
        let since_ms = app.clock.now().ms_since(renewed_at);
        if !asked && shown == written && (0..lease_ms / 3).contains(&since_ms) {
            continue;
        }
        let now = app.clock.now();
        // A store that does not answer in time may as well not answer: the lease goes on ending.
        let told = timeout(patience, app.store.heartbeat(&claim, shown.0, shown.1, lease_ms, now)).await;
        match told {
            Ok(Ok(true)) => (renewed_at, written) = (now, shown),
            Ok(Ok(false)) => return,
            Ok(Err(error)) => warn!(export.id = %id, error = &error as &dyn std::error::Error, "a heartbeat failed"),
            Err(_) => warn!(export.id = %id, "a heartbeat was not answered in time"),
        }
        if app.clock.now().ms_since(renewed_at) >= lease_ms {
            warn!(export.id = %id, "the lease has run out");
            return;
        }
    }
}

/// Waits until this Export changed, or may have.
async fn change_of(changes: &mut broadcast::Receiver<ExportId>, id: ExportId) {
    loop {
        match changes.recv().await {
            Ok(changed) if changed != id => {}
            Ok(_) | Err(RecvError::Lagged(_)) => return,
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}
