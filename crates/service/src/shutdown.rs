//! In which order the service stops: first it accepts nothing more, then it lets work under way
//! go on for a stated time, then it hands the rest back, then it stops sweeping.
//!
//! Invariants: every task belongs to a [`Stage`]; a stage's tasks get one [`Stop`]; stopping ends
//! within the grace and [`HAND_BACK_MS`] twice, whatever the tasks do.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::future::{Future, pending};
use std::time::Duration;

use tokio::task::{Id, JoinSet};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

/// How long tasks get, once their grace is over, to put things down: a worker hands its Export
/// back, a connection is closed.
pub const HAND_BACK_MS: u64 = 5_000;

/// Tells a task to stop: soon, then now.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    begun: CancellationToken,
    over: CancellationToken,
}

impl Stop {
    /// One that nobody has asked for yet.
    pub fn new() -> Self {
        Self::default()
    }
    /// Asks to begin nothing new.
    pub fn begin(&self) {
        self.begun.cancel();
    }
    /// Ends the grace: what is under way is put down.
    pub fn end(&self) {
        self.begun.cancel();
        self.over.cancel();
    }
    /// Waits until nothing new may be begun.
    pub async fn begun(&self) {
        self.begun.cancelled().await;
    }
    /// Waits until the grace is over.
    pub async fn over(&self) {
        self.over.cancelled().await;
    }
    /// Whether nothing new may be begun.
    pub fn has_begun(&self) -> bool {
        self.begun.is_cancelled()
    }
}

/// What a task is part of; stages stop in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Listeners and what they answer.
    Answering,
    /// Workers.
    Working,
    /// The sweeper, and the listener for metrics: of use to the end.
    Sweeping,
}

/// The tasks of one stage.
#[derive(Debug, Default)]
struct Group {
    stop: Stop,
    tasks: JoinSet<()>,
    names: HashMap<Id, &'static str>,
}

impl Group {
    /// Waits for the next task to end; for ever if there is none. Says which.
    async fn next(&mut self) -> &'static str {
        match self.tasks.join_next_with_id().await {
            Some(Ok((id, ()))) => self.names.remove(&id).unwrap_or("task"),
            Some(Err(failed)) => {
                let name = self.names.remove(&failed.id()).unwrap_or("task");
                if !failed.is_cancelled() {
                    error!(task = name, error = %failed, "a task broke off");
                }
                name
            }
            None => pending().await,
        }
    }

    /// Waits until all tasks ended, at most until `deadline`.
    async fn drain(&mut self, deadline: Instant) {
        while !self.tasks.is_empty() && timeout_at(deadline, self.next()).await.is_ok() {}
    }

    /// Aborts what still runs.
    fn abort(&mut self, stage: Stage) {
        for name in self.names.values() {
            warn!(task = name, stage = ?stage, "did not stop in time");
        }
        self.tasks.abort_all();
    }
}

/// Every task of the running service.
#[derive(Debug)]
pub struct Tasks {
    answering: Group,
    working: Group,
    sweeping: Group,
    hand_back: Duration,
}

impl Default for Tasks {
    fn default() -> Self {
        let group = Group::default;
        let hand_back = Duration::from_millis(HAND_BACK_MS);
        Self { answering: group(), working: group(), sweeping: group(), hand_back }
    }
}

impl Tasks {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts a task of a stage; it ends by itself once its [`Stop`] says so.
    pub fn spawn<F>(&mut self, stage: Stage, name: &'static str, task: impl FnOnce(Stop) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let group = match stage {
            Stage::Answering => &mut self.answering,
            Stage::Working => &mut self.working,
            Stage::Sweeping => &mut self.sweeping,
        };
        let handle = group.tasks.spawn(task(group.stop.clone()));
        group.names.insert(handle.id(), name);
    }

    /// Runs until `signal` (see [`terminated`]) and then stops in order. A task that ends before
    /// stops everything too: `Err` names it.
    pub async fn run_until(mut self, signal: impl Future<Output = ()>, grace_ms: u64) -> Result<(), &'static str> {
        let broken = tokio::select! {
            () = signal => None,
            name = self.answering.next() => Some(name),
            name = self.working.next() => Some(name),
            name = self.sweeping.next() => Some(name),
        };
        if let Some(name) = broken {
            error!(task = name, "a task of the service ended by itself: stopping");
        }
        self.stop(grace_ms).await;
        broken.map_or(Ok(()), Err)
    }

    /// Stops in order; returns when everything has ended.
    pub async fn stop(mut self, grace_ms: u64) {
        info!(grace_ms, "stopping: nothing new is accepted or begun");
        self.answering.stop.begin();
        self.working.stop.begin();
        let grace = Instant::now() + Duration::from_millis(grace_ms);
        tokio::join!(self.answering.drain(grace), self.working.drain(grace));
        self.answering.stop.end();
        self.working.stop.end();
        let hand_back = Instant::now() + self.hand_back;
        tokio::join!(self.answering.drain(hand_back), self.working.drain(hand_back));
        self.answering.abort(Stage::Answering);
        self.working.abort(Stage::Working);
        info!("stopping: work is done or handed back");
        self.sweeping.stop.end();
        self.sweeping.drain(Instant::now() + self.hand_back).await;
        self.sweeping.abort(Stage::Sweeping);
        info!("stopped");
    }
}

/// Waits for the signal that asks a service to stop: Ctrl-C or SIGTERM.
pub async fn terminated() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => {
                tokio::select! {
                    _ = tokio::signal::ctrl_c() => {}
                    _ = terminate.recv() => {}
                }
                return;
            }
            Err(error) => warn!(%error, "no SIGTERM handler: only Ctrl-C stops in order"),
        }
    }
    if let Err(error) = tokio::signal::ctrl_c().await {
        warn!(%error, "no Ctrl-C handler: the service has to be killed");
        pending::<()>().await;
    }
}
