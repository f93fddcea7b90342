//! The order of stopping, and what is done about tasks that do not.

use std::sync::{Arc, Mutex};

use super::*;

type Log = Arc<Mutex<Vec<&'static str>>>;

fn note(log: &Log, what: &'static str) {
    log.lock().unwrap().push(what);
}

#[tokio::test]
async fn stages_stop_in_order() {
    let log = Log::default();
    let mut tasks = Tasks::new();
    let own = log.clone();
    tasks.spawn(Stage::Sweeping, "sweeper", move |stop| async move {
        stop.begun().await;
        note(&own, "sweeper");
    });
    let own = log.clone();
    tasks.spawn(Stage::Working, "worker", move |stop| async move {
        stop.begun().await;
        note(&own, "no new work");
        stop.over().await;
        note(&own, "handed back");
    });
    let own = log.clone();
    tasks.spawn(Stage::Answering, "api", move |stop| async move {
        stop.begun().await;
        note(&own, "api");
    });
    assert_eq!(tasks.run_until(async {}, 50).await, Ok(()));
    let mut order = log.lock().unwrap().clone();
    order[..2].sort_unstable();
    assert_eq!(order, ["api", "no new work", "handed back", "sweeper"]);
}

#[tokio::test]
async fn a_task_that_hangs_is_aborted() {
    let (held, mut gone) = tokio::sync::oneshot::channel::<()>();
    let mut tasks = Tasks { hand_back: Duration::from_millis(10), ..Tasks::new() };
    tasks.spawn(Stage::Working, "stubborn", |_| async move {
        let _held = held;
        pending().await
    });
    tasks.stop(10).await;
    assert!((&mut gone).await.is_err(), "it was aborted");
}

#[tokio::test]
async fn a_task_that_ends_by_itself_stops_everything() {
    let mut tasks = Tasks::new();
    tasks.spawn(Stage::Answering, "api", |_| async {});
    tasks.spawn(Stage::Working, "worker", |stop| async move { stop.begun().await });
    assert_eq!(tasks.run_until(pending(), 1_000).await, Err("api"));
}
