//! What is dropped stops: what was not begun is never run, and nothing is held any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::StreamExt;
use payouts_model::Scope;

use super::fixture::{engine, plan, table};
use crate::layout::Layout;

const ROWS: usize = 40_000;
const ROWS_PER_JOB: usize = 100;
const THREADS: usize = 2;
/// No wait in these tests is longer.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_scan_runs_no_further_jobs() {
    let table = table(ROWS, 2_000, 500);
    let engine = engine(THREADS);
    let plan = plan(&table.snapshot, None, Scope::everything());
    let layout = Layout::new(&plan.snapshot, &[], &[0]);
    let scan = engine.pipeline.plan(&plan, &layout).await.unwrap();
    let run = Arc::new(AtomicUsize::new(0));
    let own = run.clone();
    let mut results = engine.pipeline.run(scan, ROWS_PER_JOB, move |_| Ok(own.fetch_add(1, Ordering::SeqCst))).boxed();
    results.next().await.unwrap().unwrap();
    drop(results);
    // The job holds the other counter: it is gone when nothing can run any more.
    let deadline = Instant::now() + PATIENCE;
    while Arc::strong_count(&run) > 1 {
        assert!(Instant::now() < deadline, "the scan goes on without anybody who reads it");
        tokio::task::yield_now().await;
    }
    let run = run.load(Ordering::SeqCst);
    assert!(run < ROWS / ROWS_PER_JOB / 4, "{run} of {} jobs were run for one result", ROWS / ROWS_PER_JOB);
}
