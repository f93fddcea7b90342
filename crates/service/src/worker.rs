//! The life of an attempt: claim, make the file, seal, publish.
//!
//! Invariants: a worker holds no transaction while it works, only a lease that a heartbeat renews;
//! every write carries the fence; whatever ends an attempt, its writer has ended and its file is
//! gone unless it was published. A crash is an expired lease, not a repair.
//!
//! Rooms: `node` (who this process is, what it does at start), `attempt` (one claim from beginning
//! to end), `file` (plan, count, write), `writing` (the thread that packages), `heart` (lease and
//! progress), `slots` (how many at a time, and of which size), `room` (how large files may grow),
//! `fault` (what went wrong and whether it may pass), `trail` (steps with times).

mod attempt;
mod fault;
mod file;
mod heart;
mod node;
mod room;
mod slots;
#[cfg(test)]
pub(crate) mod tests;
mod trail;
mod writing;

use std::sync::Arc;
use std::time::Duration;

use payouts_model::Timestamp;
use payouts_store::ClaimTerms;
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

pub use node::{Node, StartError, prepare};
pub use room::Room;
use slots::Slots;

use crate::shutdown::{Stage, Stop, Tasks};
use crate::{App, metrics, sweeper};

/// How often a worker looks by itself for rows that another process queued, in milliseconds.
const LOOK_EVERY_MS: i64 = 1_000;
/// A clock that goes back by less is only being set, in milliseconds.
const CLOCK_BACK_MS: i64 = 1_000;
/// The shortest wait between two looks, in milliseconds.
const LOOK_AGAIN_MS: i64 = 10;

/// Prepares this process (see [`prepare`]) and starts the worker, the sweeper and, if configured,
/// the metrics listener. Everything that can be refused is refused before anything runs.
pub async fn background(app: &Arc<App>, tasks: &mut Tasks) -> Result<(), StartError> {
    metrics::recorder();
    let node = prepare(app).await?;
    if let Some(listener) = metrics_listener(app).await? {
        tasks.spawn(Stage::Sweeping, "metrics", |stop| metrics::serve(app.clone(), listener, stop));
    }
    tasks.spawn(Stage::Sweeping, "sweeper", |stop| sweeper::run(app.clone(), stop));
    tasks.spawn(Stage::Working, "worker", |stop| run(app.clone(), node, stop));
    Ok(())
}

/// The listener for metrics, if one is configured. A development service does without it when the
/// address is taken, so that two of them run side by side; any other one is refused.
async fn metrics_listener(app: &App) -> Result<Option<TcpListener>, StartError> {
    let Some(address) = app.config.admin_listen else { return Ok(None) };
    match TcpListener::bind(address).await {
        Ok(listener) => {
            // Port 0 takes a free one.
            let address = listener.local_addr().unwrap_or(address);
            info!(%address, "metrics are at /metrics");
            Ok(Some(listener))
        }
        Err(error) if app.config.dev => {
            warn!(%address, %error, "no metrics: admin_listen cannot be used");
            Ok(None)
        }
        Err(source) => Err(StartError::AdminListen { address, source }),
    }
}

/// Makes files, as many at a time as [`crate::Config::slots`] says, until told to stop; returns when the
/// last attempt has ended or was handed back.
pub async fn run(app: Arc<App>, node: Node, stop: Stop) {
    if app.config.workers == 0 {
        return stop.begun().await;
    }
    let slots = Slots::new(&app.config);
    let attempts = TaskTracker::new();
    let mut latest = app.clock.now();
    loop {
        latest = keep_time(&app, latest).await;
        let slot = tokio::select! {
            biased;
            () = stop.begun() => break,
            slot = slots.free() => slot,
        };
        let config = &app.config;
        let terms = ClaimTerms {
            lease_ms: config.lease_ms,
            lost_leases_max: config.lost_leases_max,
            tenant_running_max: config.limits.tenant_running_max,
            rows_max: slot.rows_max(),
        };
        match app.store.claim(node.id(), &terms, app.clock.now()).await {
            Ok(Some(claim)) => {
                let (app, stop) = (app.clone(), stop.clone());
                attempts.spawn(async move {
                    attempt::run(&app, claim, slot, &stop).await;
                    // It may have left a retry with a delay, which whoever waits does not know of.
                    app.signals.work.notify_one();
                });
            }
            Ok(None) => {
                drop(slot);
                wait(&app, slots.rows_max(), &stop).await;
            }
            Err(error) => {
                drop(slot);
                error!(error = &error as &dyn std::error::Error, "cannot claim");
                tokio::select! {
                    () = stop.begun() => {}
                    () = tokio::time::sleep(Duration::from_millis(LOOK_EVERY_MS.unsigned_abs())) => {}
                }
            }
        }
    }
    attempts.close();
    attempts.wait().await;
}

/// Answers the latest time seen. Where the clock has gone back since, leases and delays that it set
/// while it was ahead are shortened: nothing waits until a wrong time comes true.
async fn keep_time(app: &App, latest: Timestamp) -> Timestamp {
    let now = app.clock.now();
    if now.ms_since(latest) > -CLOCK_BACK_MS {
        return latest.max(now);
    }
    match pull_back(app).await {
        Ok(shortened) => {
            warn!(by_ms = latest.ms_since(now), shortened, "the clock has gone back");
            now
        }
        Err(error) => {
            error!(error = &error as &dyn std::error::Error, "the clock has gone back, and leases cannot be shortened");
            latest
        }
    }
}

/// Shortens leases and delays to the longest that are given now.
async fn pull_back(app: &App) -> Result<u64, payouts_store::Error> {
    let now = app.clock.now();
    app.store.pull_back(now.plus_ms(app.config.lease_ms), now.plus_ms(attempt::RETRY_MAX_MS)).await
}

/// Waits until there may be something to claim.
async fn wait(app: &App, rows_max: Option<u64>, stop: &Stop) {
    let look_ms = match app.store.next_due(rows_max).await {
        Ok(Some(due)) => due.ms_since(app.clock.now()).saturating_add(1).clamp(LOOK_AGAIN_MS, LOOK_EVERY_MS),
        Ok(None) => LOOK_EVERY_MS,
        Err(error) => {
            error!(error = &error as &dyn std::error::Error, "cannot see when the next export is due");
            LOOK_EVERY_MS
        }
    };
    tokio::select! {
        () = stop.begun() => {}
        () = app.signals.work.notified() => {}
        () = tokio::time::sleep(Duration::from_millis(look_ms.unsigned_abs())) => {}
    }
}
