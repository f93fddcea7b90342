//! Retention: what goes when.

use payouts_model::{ReportName, Status};

use super::{Fixture, QUEUE_MAX, accept, after, claim, completion, everything, id, key, request, see};
use crate::{Accepted, CreateExport, FILE_EXPIRED_WARNING, IDEMPOTENCY_KEY_MS, Store};

async fn completed(store: &dyn Store, n: u32, expires_ms: i64) {
    accept(store, request(n)).await;
    let held = claim(store, after(100)).await;
    let done = crate::Completion { file_expires_at: after(expires_ms), ..completion(&held, 2) };
    assert!(store.complete(&held, done, after(200)).await.unwrap());
}

/// An expired file is marked once, with a warning; the Export stays Completed, its manifest too.
pub async fn files_expire_once(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    completed(&*store, 0, 1_000).await;
    completed(&*store, 1, 2_000).await;
    assert_eq!(store.expire_files(after(999), 10).await.unwrap(), vec![]);
    assert!(store.owns_file(id(1), 1).await.unwrap());
    let revision = see(&*store, id(1)).await.revision;
    assert_eq!(store.expire_files(after(1_000), 10).await.unwrap(), vec![(id(1), 1)]);
    assert_eq!(store.expire_files(after(1_000), 10).await.unwrap(), vec![]);
    assert!(!store.owns_file(id(1), 1).await.unwrap());
    assert!(store.owns_file(id(2), 1).await.unwrap());
    let seen = see(&*store, id(1)).await;
    assert_eq!((seen.status, seen.file, seen.revision > revision), (Status::Completed, None, true));
    assert_eq!(seen.file_expires_at, Some(after(1_000)));
    assert_eq!(seen.warnings.iter().map(|w| w.code.as_str()).collect::<Vec<_>>(), [FILE_EXPIRED_WARNING]);
    assert!(store.manifest(&everything(), ReportName::Payments, id(1)).await.unwrap().is_some());
    completed(&*store, 2, 2_000).await;
    assert_eq!(store.expire_files(after(9_000), 1).await.unwrap().len(), 1, "at most so many");
    assert_eq!(store.expire_files(after(9_000), 9).await.unwrap().len(), 1);
}

/// Old Exports go; open ones and ones with a file stay.
pub async fn purging_spares_files(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    completed(&*store, 0, 1_000).await;
    completed(&*store, 1, 90_000).await;
    accept(&*store, request(2)).await;
    store.expire_files(after(1_000), 10).await.unwrap();
    assert_eq!(store.purge(after(200), 10).await.unwrap(), 0, "ended before, not at");
    assert_eq!(store.purge(after(50_000), 10).await.unwrap(), 1);
    let left = store.list(&everything(), None, None, 10, None).await.unwrap();
    assert_eq!(left.items.iter().map(|v| v.export.id).collect::<Vec<_>>(), [id(3), id(2)]);
    assert_eq!(see(&*store, id(2)).await.scope, request(1).scope, "scopes in use stay");
}

/// Keys go after 24 hours.
pub async fn keys_are_purged_after_a_day(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    accept(&*store, CreateExport { idempotency: key("k", "d"), ..request(0) }).await;
    assert_eq!(store.purge_keys(after(IDEMPOTENCY_KEY_MS - 1)).await.unwrap(), 0);
    assert_eq!(store.purge_keys(after(IDEMPOTENCY_KEY_MS)).await.unwrap(), 1);
    let again = CreateExport { idempotency: key("k", "other"), ..request(1) };
    assert!(matches!(store.accept(again, QUEUE_MAX).await.unwrap(), Accepted::New { .. }));
}
