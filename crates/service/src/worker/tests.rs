//! Attempts over the real parts: SQLite, local files, a small sample ledger; faults are put into
//! the files.

mod bench;
mod overload;
mod trouble;

use payouts_blob::BlobName;
use payouts_model::{Clock, ErrorCode, ParticipantId, ReportName, Status};
use payouts_store::Deleted;
use sha2::{Digest, Sha256};
use tokio::time::timeout;

use super::*;
use bench::{content, stopped, viewer};
use trouble::{Gate, Trouble, Troubled};

pub(crate) use bench::Bench;

const PAYMENTS: ReportName = ReportName::Payments;
/// Payments in the ledger of all tests.
const ROWS: u64 = 3_000;
/// No wait in these tests is longer.
const PATIENCE: Duration = Duration::from_secs(60);

async fn troubled(trouble: Trouble, times: u32) -> (Bench, Arc<Gate>) {
    let gate = Arc::new(Gate::default());
    let own = gate.clone();
    let change = move |app: &mut App| {
        app.blobs = Arc::new(Troubled { inner: app.blobs.clone(), trouble, times: times.into(), gate: own });
    };
    (Bench::with(change).await, gate)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_worker_makes_a_whole_file() {
    let bench = Bench::new().await;
    let (stop, worker) = bench.start().await;
    let id = bench.ask(|_| {}).await;
    let done = bench.until_ended(id).await;
    assert_eq!((done.status, done.failure.as_ref()), (Status::Completed, None));
    let file = done.file.clone().expect("a file");
    assert_eq!((file.rows, done.progress.rows_done, done.progress.rows_expected), (ROWS, ROWS, Some(ROWS)));
    let bytes = content(&bench.app, &done).await;
    assert_eq!(bytes.len() as u64, file.size_bytes);
    let hex: String = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(hex, file.sha256);
    assert!(bytes.starts_with(b"participantID,"));
    let manifest = bench.manifest(id).await;
    assert_eq!((manifest.row_count, manifest.data_version), (Some(ROWS), done.data_version));
    assert_eq!(manifest.files[0].sha256, hex);
    assert_eq!(manifest.files[0].name, file.download_name);
    let steps: Vec<_> = manifest.steps.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(steps, ["queue", "plan", "count", "write", "seal"]);
    assert!(manifest.steps.iter().all(|s| s.ended_at.is_some()));
    assert_eq!(bench.partial_files(), 0);
    stopped(stop, worker).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_result_is_a_header() {
    let bench = Bench::new().await;
    let (stop, worker) = bench.start().await;
    let nobody =
        payouts_model::Pair { participant: Some(payouts_model::ParticipantId::new("no-such-one")), program: None };
    let id = bench.ask(|c| c.scope = [nobody].into_iter().collect()).await;
    let done = bench.until_ended(id).await;
    assert_eq!((done.status, done.progress.rows_expected), (Status::Completed, Some(0)));
    let text = String::from_utf8(content(&bench.app, &done).await).expect("UTF-8");
    assert_eq!(text.matches("\r\n").count(), 1);
    stopped(stop, worker).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn filter_scope_and_columns_rule_the_file() {
    let bench = Bench::new().await;
    let (stop, worker) = bench.start().await;
    let all = bench.ask(|c| c.query.columns = ["participantID", "paymentStatus"].map(str::to_owned).to_vec()).await;
    let all = String::from_utf8(content(&bench.app, &bench.until_ended(all).await).await).expect("UTF-8");
    let (header, rows) = all.split_once("\r\n").expect("a header");
    assert_eq!(header, "participantID,paymentStatus");
    let first = rows.split_once(',').expect("a row").0.to_owned();

    let own = payouts_model::Pair { participant: Some(ParticipantId::new(&first)), program: None };
    let asked = bench
        .ask(|c| {
            c.query.columns = vec!["participantID".to_owned(), "paymentStatus".to_owned()];
            c.query.filter = "paymentStatus eq 'SENT' or true".to_owned();
            c.scope = [own].into_iter().collect();
        })
        .await;
    let done = bench.until_ended(asked).await;
    assert_eq!(done.failure, None);
    let text = String::from_utf8(content(&bench.app, &done).await).expect("UTF-8");
    let expected: String = rows.split_inclusive("\r\n").filter(|r| r.starts_with(&format!("{first},"))).collect();
    assert_eq!(text.split_once("\r\n").expect("a header").1, expected);

    let gone = bench.ask(|c| c.query.filter = "oldField eq 'secret'".to_owned()).await;
    let failure = bench.until_ended(gone).await.failure.expect("a failure");
    assert_eq!(failure.code, ErrorCode::RequestObsolete);
    assert!(!failure.message.contains("secret"), "{}", failure.message);
    stopped(stop, worker).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_that_pass_are_tried_again() {
    for trouble in [Trouble::Io, Trouble::Panic] {
        let (bench, _) = troubled(trouble, 2).await;
        let (stop, worker) = bench.start().await;
        let id = bench.ask(|_| {}).await;
        for attempts in 1..=2 {
            let waiting = bench.until(id, |e| e.failed_attempts == attempts).await;
            assert_eq!(waiting.status, Status::Processing, "{trouble:?}");
            bench.pass_delay();
        }
        let done = bench.until_ended(id).await;
        assert_eq!((done.status, done.fence), (Status::Completed, 3), "{trouble:?}");
        stopped(stop, worker).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_third_fault_is_the_last() {
    let (bench, _) = troubled(Trouble::Io, 9).await;
    let (stop, worker) = bench.start().await;
    let id = bench.ask(|_| {}).await;
    for attempts in 1..=2 {
        bench.until(id, |e| e.failed_attempts == attempts).await;
        bench.pass_delay();
    }
    let failed = bench.until_ended(id).await;
    let failure = failed.failure.expect("a failure");
    assert_eq!((failure.code, failure.retryable), (ErrorCode::AttemptsExhausted, true));
    assert!(!failure.message.contains("coughs"), "{}", failure.message);
    let manifest = bench.manifest(id).await;
    assert_eq!((manifest.status, manifest.row_count), (Status::Failed, None));
    let last = manifest.steps.last().expect("steps");
    assert_eq!((last.name.as_str(), last.ended_at.as_ref()), ("write", None));
    stopped(stop, worker).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lasting_faults_fail_at_once() {
    let (bench, _) = troubled(Trouble::Full, 1).await;
    let (stop, worker) = bench.start().await;
    let full = bench.ask(|_| {}).await;
    let failed = bench.until_ended(full).await;
    assert_eq!((failed.failed_attempts, failed.failure.expect("a failure").code), (0, ErrorCode::StorageFull));
    let obsolete = bench.ask(|c| c.query.columns.push("oldColumn".to_owned())).await;
    let failure = bench.until_ended(obsolete).await.failure.expect("a failure");
    assert_eq!(failure.code, ErrorCode::RequestObsolete);
    assert!(failure.message.contains("'oldColumn'"), "{}", failure.message);
    stopped(stop, worker).await;

    let gone = bench.ask(|_| {}).await;
    let held = bench
        .app
        .store
        .claim("another", &payouts_store::ClaimTerms::any(1_000, 10), bench.clock.now())
        .await
        .expect("claim")
        .expect("one");
    bench.app.store.fix_data_version(&held, 99).await.expect("write");
    bench.clock.advance_ms(1_000);
    let (stop, worker) = bench.start().await;
    let failure = bench.until_ended(gone).await.failure.expect("a failure");
    assert_eq!(failure.code, ErrorCode::SnapshotGone);
    stopped(stop, worker).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_stops_the_attempt_and_leaves_nothing() {
    let (bench, gate) = troubled(Trouble::Gate, 1).await;
    let (stop, worker) = bench.start().await;
    let id = bench.ask(|_| {}).await;
    gate.reached().await;
    let deleted = bench.app.store.delete(&viewer(), PAYMENTS, id, bench.clock.now()).await.expect("delete");
    assert!(matches!(deleted, Deleted::Gone(_)));
    bench.app.signals.changed(id);
    gate.open();
    // The only slot is free again, so the deleted one's attempt has ended.
    let next = bench.ask(|_| {}).await;
    let done = bench.until_ended(next).await;
    assert_eq!(done.status, Status::Completed);
    let blobs = bench.app.blobs.list().await.expect("list");
    assert_eq!(blobs, [BlobName::ExportFile { export: next, fence: 1 }]);
    assert_eq!(bench.partial_files(), 0);
    stopped(stop, worker).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_lease_stops_the_attempt() {
    let (bench, gate) = troubled(Trouble::Gate, 1).await;
    let (stop, worker) = bench.start().await;
    let id = bench.ask(|_| {}).await;
    gate.reached().await;
    bench.until(id, |e| e.progress.rows_expected.is_some()).await;
    // Another node finds the lease over, as after a machine that stood still.
    let later = bench.clock.now().plus_ms(bench.app.config.lease_ms);
    let theirs = bench
        .app
        .store
        .claim("another", &payouts_store::ClaimTerms::any(60_000, 10), later)
        .await
        .expect("claim")
        .expect("it");
    assert_eq!((theirs.export.id, theirs.fence), (id, 2));
    bench.app.signals.changed(id);
    gate.open();
    stopped(stop, worker).await;
    assert_eq!(bench.app.blobs.list().await.expect("list"), []);
    assert_eq!(bench.partial_files(), 0);
    let seen = bench.see(id).await;
    assert_eq!((seen.status, seen.fence, seen.failed_attempts, seen.lost_leases), (Status::Processing, 2, 0, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopping_service_hands_back_and_the_next_one_finishes() {
    let (bench, gate) = troubled(Trouble::Gate, 1).await;
    let (stop, worker) = bench.start().await;
    let id = bench.ask(|_| {}).await;
    gate.reached().await;
    stop.end();
    gate.open();
    stopped(stop, worker).await;
    let seen = bench.see(id).await;
    assert_eq!((seen.status, seen.failed_attempts, seen.lost_leases), (Status::Processing, 0, 0));
    assert_eq!(bench.partial_files(), 0);
    let (stop, worker) = bench.start().await;
    let done = bench.until_ended(id).await;
    assert_eq!((done.status, done.lost_leases, done.fence), (Status::Completed, 0, 2));
    stopped(stop, worker).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_under_way_is_finished_within_the_grace() {
    let (bench, gate) = troubled(Trouble::Gate, 1).await;
    let (stop, worker) = bench.start().await;
    let id = bench.ask(|_| {}).await;
    gate.reached().await;
    stop.begin();
    let late = bench.ask(|_| {}).await;
    gate.open();
    timeout(PATIENCE, worker).await.expect("it stops").expect("it does not panic");
    assert_eq!(bench.see(id).await.status, Status::Completed);
    assert_eq!(bench.see(late).await.status, Status::Queued);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_service_is_taken_up_at_once() {
    let bench = Bench::new().await;
    let node = Node::open(bench.folder.path()).expect("the node");
    let id = bench.ask(|_| {}).await;
    // What a kill leaves: a claim, a half-written file, and a sealed one that was not published.
    let claim = bench
        .app
        .store
        .claim(node.id(), &payouts_store::ClaimTerms::any(60_000, 10), bench.clock.now())
        .await
        .expect("claim")
        .expect("it");
    let sealed = BlobName::ExportFile { export: id, fence: claim.fence };
    bench.app.blobs.create(sealed).expect("create").seal(0).expect("seal");
    std::mem::forget(bench.app.blobs.create(sealed).expect("create"));
    assert_eq!(bench.partial_files(), 1);
    drop(node);

    let (stop, worker) = bench.start().await;
    assert_eq!(bench.partial_files(), 0);
    let done = bench.until_ended(id).await;
    assert_eq!((done.status, done.lost_leases, done.failed_attempts), (Status::Completed, 1, 0));
    let swept = sweeper::sweep(&bench.app, true).await;
    assert_eq!(swept.files_without_owner, 1);
    let own = BlobName::ExportFile { export: id, fence: done.fence };
    assert_eq!(bench.app.blobs.list().await.expect("list"), [own]);
    stopped(stop, worker).await;
}

#[test]
fn one_service_per_data_directory() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let first = Node::open(folder.path()).expect("the node");
    let second = Node::open(folder.path());
    assert!(matches!(second, Err(StartError::InUse { .. })), "{second:?}");
    let id = first.id().to_owned();
    drop(first);
    assert_eq!(Node::open(folder.path()).expect("the node").id(), id, "a restarted process is the same node");
}
