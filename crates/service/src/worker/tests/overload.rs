//! Slots, sizes and room; and files that are sealed when their Export is deleted.

use payouts_model::{Export, ExportId};

use super::bench::{stopped, viewer};
use super::*;

/// A bench whose first writer meets trouble, with a configuration of its own.
async fn configured(trouble: Trouble, change: impl FnOnce(&mut crate::Config)) -> (Bench, Arc<Gate>) {
    let gate = Arc::new(Gate::default());
    let own = gate.clone();
    let bench = Bench::with(move |app: &mut App| {
        app.blobs = Arc::new(Troubled { inner: app.blobs.clone(), trouble, times: 1.into(), gate: own });
        change(&mut app.config);
        app.room = Room::new(app.config.limits.tenant_files_bytes, app.config.limits.files_bytes);
    });
    (bench.await, gate)
}

/// Asks for no rows.
async fn ask_small(bench: &Bench) -> ExportId {
    let nobody = payouts_model::Pair { participant: Some(ParticipantId::new("no-such-one")), program: None };
    bench.ask(|c| c.scope = [nobody].into_iter().collect()).await
}

async fn put_off(bench: &Bench, id: ExportId) -> Export {
    bench.until(id, |e| e.fence > 0 && e.progress.rows_expected == Some(ROWS)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_small_export_does_not_wait_behind_large_ones() {
    let (bench, gate) = configured(Trouble::Gate, |c| (c.workers, c.large_rows) = (2, ROWS - 1)).await;
    let mut large = Vec::new();
    for _ in 0..3 {
        large.push(bench.ask(|_| {}).await);
    }
    let small = ask_small(&bench).await;
    let (stop, worker) = bench.start().await;
    gate.reached().await;
    // The first large one stands still; both others have been looked at and stand aside.
    let done = bench.until_ended(small).await;
    assert_eq!((done.status, done.progress.rows_expected), (Status::Completed, Some(0)));
    for id in &large[1..] {
        let waiting = put_off(&bench, *id).await;
        assert_eq!((waiting.status, waiting.failed_attempts, waiting.lost_leases), (Status::Processing, 0, 0));
    }
    let late = ask_small(&bench).await;
    assert_eq!(bench.until_ended(late).await.status, Status::Completed);
    for id in &large[1..] {
        assert_eq!(bench.see(*id).await.fence, 1, "looked at once, not over and over");
    }
    gate.open();
    for id in large {
        assert_eq!(bench.until_ended(id).await.status, Status::Completed);
    }
    stopped(stop, worker).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_bounds_how_many_run() {
    let memory = |c: &mut crate::Config| {
        c.workers = 8;
        c.export_memory_bytes = c.engine.memory_bytes;
    };
    let (bench, gate) = configured(Trouble::Gate, memory).await;
    assert_eq!(bench.app.config.slots(), 1);
    let (first, second) = (bench.ask(|_| {}).await, ask_small(&bench).await);
    let (stop, worker) = bench.start().await;
    gate.reached().await;
    bench.until(first, |e| e.progress.rows_expected.is_some()).await;
    assert_eq!(bench.see(second).await.status, Status::Queued);
    gate.open();
    assert_eq!(bench.until_ended(second).await.status, Status::Completed);
    stopped(stop, worker).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_does_not_fit_fails_and_names_the_limit() {
    for (tenant_files_bytes, files_bytes, name) in
        [(100_000, u64::MAX, "limits.tenant_files_bytes"), (u64::MAX, 100_000, "limits.files_bytes")]
    {
        let (bench, _) = configured(Trouble::None, |c| {
            (c.limits.tenant_files_bytes, c.limits.files_bytes) = (tenant_files_bytes, files_bytes);
        })
        .await;
        let (stop, worker) = bench.start().await;
        let large = bench.ask(|_| {}).await;
        let failure = bench.until_ended(large).await.failure.expect("a failure");
        assert_eq!((failure.code, failure.retryable), (ErrorCode::StorageFull, true));
        assert!(failure.message.contains(name) && failure.message.contains("100000"), "{}", failure.message);
        let small = ask_small(&bench).await;
        assert_eq!(bench.until_ended(small).await.status, Status::Completed, "what fits is made");
        stopped(stop, worker).await;
        assert_eq!((bench.partial_files(), bench.app.blobs.list().await.expect("list").len()), (0, 1));
    }
}

/// The race known from other export servers: the file is there already when DELETE comes, and its
/// worker has yet to publish it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_worker_does_not_bring_a_deleted_file_back() {
    for heard in [false, true] {
        let (bench, gate) = configured(Trouble::Sealed, |_| {}).await;
        let (stop, worker) = bench.start().await;
        let id = bench.ask(|_| {}).await;
        gate.reached().await;
        let sealed = BlobName::ExportFile { export: id, fence: 1 };
        assert_eq!(bench.app.blobs.list().await.expect("list"), [sealed]);
        let deleted = bench.app.store.delete(&viewer(), PAYMENTS, id, bench.clock.now()).await.expect("delete");
        assert!(matches!(deleted, Deleted::Gone(was) if was.status == Status::Processing && was.file.is_none()));
        if heard {
            bench.app.signals.changed(id);
        }
        gate.open();
        stopped(stop, worker).await;
        assert_eq!(bench.app.blobs.list().await.expect("list"), [], "heard: {heard}");
        assert_eq!(bench.partial_files(), 0);
        assert_eq!(bench.app.store.find(&viewer(), PAYMENTS, id).await.expect("find"), None);
    }
}

/// The same with a worker that dies between sealing and publishing: the next sweep takes the file.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_workers_sealed_file_of_a_deleted_export_is_swept() {
    let bench = Bench::new().await;
    let id = bench.ask(|_| {}).await;
    let terms = ClaimTerms::any(60_000, 10);
    let claim = bench.app.store.claim("dead", &terms, bench.clock.now()).await.expect("claim").expect("it");
    let sealed = BlobName::ExportFile { export: id, fence: claim.fence };
    bench.app.blobs.create(sealed).expect("create").seal(0).expect("seal");
    assert_eq!(sweeper::sweep(&bench.app, true).await.files_without_owner, 0, "its worker may be alive");
    bench.app.store.delete(&viewer(), PAYMENTS, id, bench.clock.now()).await.expect("delete");
    assert_eq!(sweeper::sweep(&bench.app, true).await.files_without_owner, 1);
    assert_eq!(bench.app.blobs.list().await.expect("list"), []);
}
