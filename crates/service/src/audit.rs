//! The head of the audit record in the log: at start, every hour and at the end. Kept elsewhere
//! (logs are), it proves later that nothing up to there was changed.

use std::sync::Arc;
use std::time::Duration;

use payouts_model::Timestamp;
use tracing::{error, info, warn};

use crate::App;
use crate::shutdown::Stop;

/// Between two heads, in milliseconds.
const EVERY_MS: i64 = 60 * 60 * 1000;
/// How often the clock is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// How long the ends of downloads, and the head after them, may take when the service stops.
const FINISH: Duration = Duration::from_secs(5);

/// When the next head is due.
#[derive(Clone, Copy, Debug)]
struct Hourly {
    last: Timestamp,
}

impl Hourly {
    /// Whether an hour has passed; then the next one begins. A clock that was set back begins anew.
    fn due(&mut self, now: Timestamp) -> bool {
        let passed = now.ms_since(self.last);
        let due = !(0..EVERY_MS).contains(&passed);
        if due {
            self.last = now;
        }
        due
    }
}

/// Logs the head every hour until told to stop.
pub async fn run(app: Arc<App>, stop: Stop) {
    let mut hourly = Hourly { last: app.clock.now() };
    loop {
        tokio::select! {
            () = stop.begun() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        if hourly.due(app.clock.now()) {
            log_head(&app).await;
        }
    }
}

/// Logs the head as `payouts audit verify --head` takes it.
pub async fn log_head(app: &App) {
    match app.store.audit_head().await {
        Ok(head) => info!(audit.head = %head, "audit head"),
        Err(error) => error!(error = &error as &dyn std::error::Error, "the audit record cannot be read"),
    }
}

/// When nothing is answered any more: waits for what is still to be recorded, and logs the head.
pub async fn finish(app: &App) {
    app.trails.close();
    let recorded = async {
        app.trails.wait().await;
        log_head(app).await;
    };
    if tokio::time::timeout(FINISH, recorded).await.is_err() {
        warn!(downloads = app.trails.len(), "the ends of downloads could not be recorded in time");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_due_every_hour_by_the_clock() {
        let start = Timestamp(1_780_000_000_000_000);
        let mut hourly = Hourly { last: start };
        let mut due = |ms: i64| hourly.due(start.plus_ms(ms));
        assert!(!due(0) && !due(EVERY_MS - 1));
        assert!(due(EVERY_MS));
        assert!(!due(2 * EVERY_MS - 1));
        assert!(due(5 * EVERY_MS), "a machine that slept owes one, not three");
        assert!(!due(6 * EVERY_MS - 1));
        assert!(due(1_000), "a clock that was set back");
        assert!(!due(2_000));
    }
}
