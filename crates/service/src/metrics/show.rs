//! The listener of its own that shows the numbers, and those that are looked up when it is asked.

use std::future::Future;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use metrics::{counter, gauge};
use payouts_model::{ReportName, Status, TenantId, Timestamp};
use payouts_store::{FAILED_LEASES_CODE, LeaseLosses, Oldest};
use tokio::net::TcpListener;
use tracing::{debug, error};

use super::{EXPORTS, FAILED, FREE, LEASES_LOST, LEDGER_AS_OF, LEDGER_VERSION, OLDEST, STORED};
use crate::App;
use crate::doctor::free_bytes;
use crate::shutdown::Stop;

/// `/metrics` for the listener of its own.
pub fn router(app: Arc<App>) -> Router {
    Router::new().route("/metrics", get(show)).with_state(app)
}

/// Serves [`router`] until told to stop.
pub fn serve(app: Arc<App>, listener: TcpListener, stop: Stop) -> impl Future<Output = ()> + Send {
    let served = axum::serve(listener, router(app)).with_graceful_shutdown(async move { stop.begun().await });
    async move {
        if let Err(error) = served.await {
            error!(%error, "the metrics listener broke off");
        }
    }
}

async fn show(State(app): State<Arc<App>>) -> Response {
    let Some(recorder) = super::recorder() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "metrics are recorded elsewhere\n").into_response();
    };
    if let Err(error) = look_at_store(&app).await {
        error!(error = &error as &dyn std::error::Error, "cannot count exports");
        return (StatusCode::SERVICE_UNAVAILABLE, "the store does not answer\n").into_response();
    }
    look_at_ledger(&app).await;
    look_at_disk(&app).await;
    recorder.run_upkeep();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], recorder.render()).into_response()
}

/// How much there is to do, since when, and what was lost.
async fn look_at_store(app: &App) -> Result<(), payouts_store::Error> {
    let counts = app.store.counts().await?;
    for report in ReportName::ALL {
        for status in Status::ALL {
            let found = counts.iter().find(|(r, s, _)| (*r, *s) == (report, status)).map_or(0, |(_, _, n)| *n);
            gauge!(EXPORTS, "report" => report.as_str(), "status" => status.as_str()).set(found as f64);
        }
    }
    let Oldest { queued_since, processing_since } = app.store.oldest().await?;
    let now = app.clock.now();
    for (status, since) in [(Status::Queued, queued_since), (Status::Processing, processing_since)] {
        let waited_ms = since.map_or(0, |since: Timestamp| now.ms_since(since).max(0));
        gauge!(OLDEST, "status" => status.as_str()).set(waited_ms as f64 / 1_000.0);
    }
    let LeaseLosses { ran_out, taken_back, given_up } = app.store.lease_losses();
    for (how, lost) in [("ran_out", ran_out), ("taken_back", taken_back)] {
        counter!(LEASES_LOST, "how" => how).absolute(lost);
    }
    // The store gives these up by itself, while it looks for something to claim.
    counter!(FAILED, "code" => FAILED_LEASES_CODE.as_str()).absolute(given_up);
    let stored = app.store.file_bytes(&TenantId::new("")).await?;
    gauge!(STORED).set(stored.total as f64);
    Ok(())
}

/// How new the data are. A ledger that is not there or cannot be read keeps what was last seen: its
/// age then says it.
async fn look_at_ledger(app: &App) {
    for report in ReportName::ALL {
        match app.ledger.snapshot(report, None).await {
            Ok(snapshot) => {
                gauge!(LEDGER_VERSION, "report" => report.as_str()).set(snapshot.version as f64);
                let as_of_ms = snapshot.data_as_of.ms_since(Timestamp(0));
                gauge!(LEDGER_AS_OF, "report" => report.as_str()).set(as_of_ms as f64 / 1_000.0);
            }
            Err(error) => debug!(report = %report, error = &error as &dyn std::error::Error, "no ledger to measure"),
        }
    }
}

async fn look_at_disk(app: &App) {
    let data = app.config.data_dir.clone();
    let places = [("ledger", data.join("ledger")), ("data", data), ("files", app.config.files_dir())];
    let measured = tokio::task::spawn_blocking(move || places.map(|(name, path)| (name, free_bytes(&path))));
    for (name, free) in measured.await.into_iter().flatten() {
        if let Some(free_bytes) = free {
            gauge!(FREE, "place" => name).set(free_bytes as f64);
        }
    }
}
