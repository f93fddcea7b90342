//! What a worker writes under its claim, and that nobody else's claim writes anything.

use payouts_model::export::Progress;
use payouts_model::{ErrorCode, ReportName, Status, Timestamp, Warning};

use super::{
    ATTEMPTS_MAX, Fixture, LEASE_MS, START, accept, after, claim, completion, everything, failure, request, see,
    try_claim,
};
use crate::{Claim, Completion, LetGo, Store};

fn retry(not_before: Timestamp) -> LetGo {
    LetGo::Retry { failure: failure(ErrorCode::AttemptsExhausted), manifest: Some("{}".into()), not_before }
}

/// The first claim fixes the version; retries keep it.
pub async fn data_version_is_fixed_once(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    accept(&*store, request(0)).await;
    let first = claim(&*store, START).await;
    assert_eq!(first.export.data_version, None);
    assert_eq!(store.fix_data_version(&first, 4).await.unwrap(), Some(4));
    let second = claim(&*store, after(LEASE_MS)).await;
    assert_eq!(second.export.data_version, Some(4));
    assert_eq!(store.fix_data_version(&second, 5).await.unwrap(), Some(4));
    assert_eq!(store.fix_data_version(&first, 6).await.unwrap(), None);
}

/// Progress never goes back, over attempts neither, and a heartbeat that moved nothing is no
/// change for whoever polls.
pub async fn progress_never_goes_back(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let made = accept(&*store, request(0)).await.id;
    let first = claim(&*store, START).await;
    assert!(store.heartbeat(&first, 10, Some(100), LEASE_MS, after(1)).await.unwrap());
    let seen = see(&*store, made).await;
    assert_eq!(seen.progress, Progress { rows_done: 10, rows_expected: Some(100) });
    assert!(store.heartbeat(&first, 10, None, LEASE_MS, after(2)).await.unwrap());
    assert_eq!(see(&*store, made).await.revision, seen.revision);
    let second = claim(&*store, after(2 + LEASE_MS)).await;
    assert!(store.heartbeat(&second, 0, Some(100), LEASE_MS, after(3 + LEASE_MS)).await.unwrap());
    assert_eq!(see(&*store, made).await.progress, Progress { rows_done: 10, rows_expected: Some(100) });
    assert!(store.heartbeat(&second, 11, None, LEASE_MS, after(4 + LEASE_MS)).await.unwrap());
    assert_eq!(see(&*store, made).await.progress.rows_done, 11);
    assert_eq!(store.next_due(None).await.unwrap(), Some(after(4 + 2 * LEASE_MS)), "the lease was renewed");
}

/// Completing publishes file, manifest and exact progress.
pub async fn completing_publishes(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let made = accept(&*store, request(0)).await;
    let held = claim(&*store, START).await;
    assert!(store.owns_file(made.id, held.fence).await.unwrap());
    let warning = Warning { code: "W".to_owned(), message: "m".to_owned() };
    let done = Completion { warnings: vec![warning.clone()], ..completion(&held, 42) };
    assert!(store.complete(&held, done.clone(), after(5)).await.unwrap());
    let seen = see(&*store, made.id).await;
    assert_eq!((seen.status, seen.ended_at, seen.file), (Status::Completed, Some(after(5)), Some(done.file)));
    assert_eq!(seen.progress, Progress { rows_done: 42, rows_expected: Some(42) });
    assert_eq!((seen.warnings, seen.file_expires_at), (vec![warning], Some(done.file_expires_at)));
    assert!(store.owns_file(made.id, held.fence).await.unwrap());
    assert!(!store.owns_file(made.id, held.fence + 1).await.unwrap());
    assert_eq!(store.next_due(None).await.unwrap(), None);
    assert!(!store.complete(&held, completion(&held, 1), after(6)).await.unwrap(), "once is all");
    assert_eq!(store.let_go(&held, LetGo::HandBack, ATTEMPTS_MAX, after(6)).await.unwrap(), None);
}

async fn writes_nothing(store: &dyn Store, old: &Claim, at: Timestamp) {
    let before = see(store, old.export.id).await;
    assert!(!store.heartbeat(old, 99, Some(99), LEASE_MS, at).await.unwrap());
    assert_eq!(store.fix_data_version(old, 99).await.unwrap(), None);
    assert!(!store.complete(old, completion(old, 99), at).await.unwrap());
    for how in [retry(at), LetGo::HandBack, LetGo::Fail { failure: failure(ErrorCode::StorageFull), manifest: None }] {
        assert_eq!(store.let_go(old, how, ATTEMPTS_MAX, at).await.unwrap(), None);
    }
    assert_eq!(see(store, old.export.id).await, before);
}

/// Every write under an old fence, or after letting go, changes nothing and says so.
pub async fn old_fences_change_nothing(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    accept(&*store, request(0)).await;
    let first = claim(&*store, START).await;
    let second = claim(&*store, after(LEASE_MS)).await;
    writes_nothing(&*store, &first, after(LEASE_MS)).await;
    assert!(!store.owns_file(first.export.id, first.fence).await.unwrap());
    assert!(store.owns_file(second.export.id, second.fence).await.unwrap());
    store.let_go(&second, LetGo::HandBack, ATTEMPTS_MAX, after(LEASE_MS)).await.unwrap().unwrap();
    writes_nothing(&*store, &second, after(LEASE_MS)).await;
    assert!(!store.owns_file(second.export.id, second.fence).await.unwrap());
    let third = claim(&*store, after(LEASE_MS)).await;
    assert!(store.complete(&third, completion(&third, 1), after(LEASE_MS)).await.unwrap());
    for old in [&first, &second, &third] {
        writes_nothing(&*store, old, after(LEASE_MS)).await;
    }
}

/// The third fault that may pass fails the Export with what it met.
pub async fn third_fault_fails(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let made = accept(&*store, request(0)).await.id;
    for attempt in 1..=ATTEMPTS_MAX {
        let held = claim(&*store, after(i64::from(attempt))).await;
        let led_to = store.let_go(&held, retry(START), ATTEMPTS_MAX, after(10)).await.unwrap();
        let expected = if attempt == ATTEMPTS_MAX { Status::Failed } else { Status::Processing };
        assert_eq!(led_to, Some(expected));
    }
    let seen = see(&*store, made).await;
    assert_eq!((seen.failed_attempts, seen.failure), (ATTEMPTS_MAX, Some(failure(ErrorCode::AttemptsExhausted))));
    assert_eq!(seen.ended_at, Some(after(10)));
    let manifest = store.manifest(&everything(), ReportName::Payments, made).await.unwrap();
    assert_eq!(manifest.as_deref(), Some("{}"));
    assert_eq!(try_claim(&*store, after(100)).await, None);
}

/// Given up at once, with a manifest.
pub async fn failing_is_final(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let made = accept(&*store, request(0)).await.id;
    let held = claim(&*store, START).await;
    let how = LetGo::Fail { failure: failure(ErrorCode::SnapshotGone), manifest: Some("{\"a\":1}".into()) };
    assert_eq!(store.let_go(&held, how, ATTEMPTS_MAX, after(1)).await.unwrap(), Some(Status::Failed));
    let seen = see(&*store, made).await;
    assert_eq!((seen.status, seen.failed_attempts), (Status::Failed, 0));
    let manifest = store.manifest(&everything(), ReportName::Payments, made).await.unwrap();
    assert_eq!(manifest.as_deref(), Some("{\"a\":1}"));
    assert_eq!(store.next_due(None).await.unwrap(), None);
}

/// A deletion ends a running claim: its writes say so and bring nothing back.
pub async fn deleting_ends_a_claim(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let made = accept(&*store, request(0)).await.id;
    let held = claim(&*store, START).await;
    store.delete(&everything(), ReportName::Payments, made, after(1)).await.unwrap();
    assert!(!store.heartbeat(&held, 1, None, LEASE_MS, after(2)).await.unwrap());
    assert!(!store.complete(&held, completion(&held, 1), after(2)).await.unwrap());
    assert_eq!(store.let_go(&held, LetGo::HandBack, ATTEMPTS_MAX, after(2)).await.unwrap(), None);
    assert_eq!(store.find(&everything(), ReportName::Payments, made).await.unwrap(), None);
}
