//! Retention and garbage: what goes when its time is over.
//!
//! Invariants: a row is changed before its file is deleted, so that nobody is ever sent to a file
//! that is gone; a file is deleted only if the store says that no Export owns it. Every sweep may
//! be cut short anywhere: the next one does the rest.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use payouts_blob::BlobName;
use payouts_blob::local::survey;
use payouts_faults::{Point, pass};
use payouts_model::Timestamp;
use payouts_store::{Due, DueWhat, Store};
use tracing::{info, warn};

use crate::shutdown::Stop;
use crate::{App, Config, metrics};

/// Between two sweeps, in milliseconds.
const SWEEP_EVERY_MS: u64 = 60_000;
/// Looking for files without an owner lists every file: at start and then once in so many sweeps.
const SWEEPS_PER_GARBAGE: u64 = 10;
/// Rows per transaction, so that a large backlog does not keep others waiting.
const BATCH: u64 = 500;
/// Whoever rotates reads another clock than this one.
const LINK_KEY_MARGIN_MS: i64 = 60_000;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// What a sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Files deleted because their retention was over.
    pub files_expired: u64,
    /// Exports deleted because their retention was over.
    pub exports_purged: u64,
    /// Idempotency keys deleted.
    pub keys_purged: u64,
    /// Files deleted that no Export owned.
    pub files_without_owner: u64,
    /// Link keys dropped: superseded for longer than a link lives.
    pub link_keys_dropped: u64,
}

/// Sweeps at once and then every minute until told to stop.
pub async fn run(app: Arc<App>, stop: Stop) {
    for round in 0_u64.. {
        let swept = tokio::select! {
            () = stop.over() => return,
            swept = sweep(&app, round.is_multiple_of(SWEEPS_PER_GARBAGE)) => swept,
        };
        if swept != Swept::default() {
            let Swept { files_expired, exports_purged, keys_purged, files_without_owner, link_keys_dropped } = swept;
            info!(files_expired, exports_purged, keys_purged, files_without_owner, link_keys_dropped, "swept");
        }
        tokio::select! {
            () = stop.begun() => return,
            () = tokio::time::sleep(Duration::from_millis(SWEEP_EVERY_MS)) => {}
        }
    }
}

/// One sweep; with `garbage` it also looks for files that no Export owns. What cannot be done is
/// logged and left to the next sweep.
pub async fn sweep(app: &Arc<App>, garbage: bool) -> Swept {
    let mut swept = Swept::default();
    let report = |what: &'static str, error: &(dyn std::error::Error + 'static)| {
        warn!(error, "{what}: the next sweep tries again")
    };
    if let Err(error) = expire_files(app, &mut swept).await {
        report("cannot expire files", &error);
    }
    if let Err(error) = purge(app, &mut swept).await {
        report("cannot purge exports", &error);
    }
    match app.store.purge_keys(app.clock.now()).await {
        Ok(purged) => swept.keys_purged = purged,
        Err(error) => report("cannot purge idempotency keys", &error),
    }
    match drop_link_keys(app).await {
        Ok(dropped) => swept.link_keys_dropped = dropped,
        Err(error) => report("cannot drop superseded link keys", &*error),
    }
    if garbage && let Err(error) = delete_garbage(app, &mut swept).await {
        report("cannot look for files without an owner", &*error);
    }
    metrics::files_expired(swept.files_expired);
    metrics::files_without_owner(swept.files_without_owner);
    swept
}

/// Something that a sweep would delete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueItem {
    /// The Export's id, or the file's path.
    pub which: String,
    /// Why.
    pub reason: Reason,
}

/// Why something would be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The file's days are over.
    FileExpired {
        /** since when */
        expired_at: Timestamp,
        /** its bytes */
        size_bytes: u64,
    },
    /// The Export's years are over.
    ExportExpired {
        /** when it ended */
        ended_at: Timestamp,
    },
    /// No Export owns the file.
    NoOwner,
}

/// What the next sweep would delete. Changes nothing, and may run beside the service.
pub async fn due(
    config: &Config,
    store: &dyn Store,
    now: Timestamp,
) -> Result<Vec<DueItem>, Box<dyn std::error::Error + Send + Sync>> {
    let before = export_cutoff(config, now);
    let listed = store.due(now, before, u64::MAX).await?;
    let mut due: Vec<DueItem> = listed
        .into_iter()
        .map(|Due { export, what }| DueItem {
            which: export.id.to_string(),
            reason: match what {
                DueWhat::File { expired_at } => {
                    Reason::FileExpired { expired_at, size_bytes: export.file.map_or(0, |f| f.size_bytes) }
                }
                DueWhat::Export { ended_at } => Reason::ExportExpired { ended_at },
            },
        })
        .collect();
    let root = config.files_dir();
    let found = tokio::task::spawn_blocking(move || survey(&root)).await??;
    for (BlobName::ExportFile { export, fence }, path) in found.files {
        if !store.owns_file(export, fence).await? && path.exists() {
            due.push(DueItem { which: path.display().to_string(), reason: Reason::NoOwner });
        }
    }
    Ok(due)
}

/// Exports that ended before this go.
fn export_cutoff(config: &Config, now: Timestamp) -> Timestamp {
    now.plus_ms(config.retention.export_days.saturating_mul(DAY_MS).saturating_neg())
}

async fn expire_files(app: &App, swept: &mut Swept) -> Result<(), payouts_store::Error> {
    loop {
        let expired = app.store.expire_files(app.clock.now(), BATCH).await?;
        if !expired.is_empty() && pass(Point::SweepExpired).await.is_err() {
            // As if every deletion failed: their files have no owner any more.
            continue;
        }
        for &(export, fence) in &expired {
            // If this fails the file has no owner any more: it goes as garbage.
            swept.files_expired += u64::from(delete(app, BlobName::ExportFile { export, fence }).await);
            app.signals.changed(export);
        }
        if (expired.len() as u64) < BATCH {
            return Ok(());
        }
    }
}

async fn purge(app: &App, swept: &mut Swept) -> Result<(), payouts_store::Error> {
    let before = export_cutoff(&app.config, app.clock.now());
    loop {
        let purged = app.store.purge(before, BATCH).await?;
        swept.exports_purged += purged;
        if purged < BATCH {
            return Ok(());
        }
    }
}

/// A key that was superseded a whole link's life ago has no link left to verify.
async fn drop_link_keys(app: &Arc<App>) -> Result<u64, Box<dyn std::error::Error + Send + Sync>> {
    let life_ms = app.config.link_lifetime_seconds.saturating_mul(1000).saturating_add(LINK_KEY_MARGIN_MS);
    let before = app.clock.now().plus_ms(life_ms.saturating_neg());
    let own = app.clone();
    Ok(tokio::task::spawn_blocking(move || own.links.drop_superseded(before)).await??.try_into()?)
}

async fn delete_garbage(app: &App, swept: &mut Swept) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    for name in app.blobs.list().await? {
        let BlobName::ExportFile { export, fence } = name;
        // Owned from the claim on, before there is a file: what has no owner now never gets one.
        if !app.store.owns_file(export, fence).await? {
            pass(Point::SweepGarbage).await?;
            swept.files_without_owner += u64::from(delete(app, name).await);
        }
    }
    Ok(())
}

async fn delete(app: &App, name: BlobName) -> bool {
    match app.blobs.delete(name).await {
        Ok(()) => true,
        Err(error) => {
            let BlobName::ExportFile { export, fence } = name;
            warn!(export.id = %export, fence, error = &error as &dyn std::error::Error, "cannot delete a file");
            false
        }
    }
}
