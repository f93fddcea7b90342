//! Retention: what goes when.

use payouts_model::{ReportName, Status};

use super::{Fixture, LIMITS, accept, after, by, claim, completion, everything, id, key, request, see};
use crate::{Accepted, CreateExport, Deleted, Due, DueWhat, FILE_EXPIRED_WARNING, IDEMPOTENCY_KEY_MS, Store};

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
    assert!(matches!(store.accept(again, LIMITS).await.unwrap(), Accepted::New { .. }));
}

/// A held Export keeps row, manifest and file, whoever wants to delete it; a released one goes in
/// its time. Holding again changes nothing.
pub async fn a_hold_stops_everything(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    completed(&*store, 0, 1_000).await;
    completed(&*store, 1, 1_000).await;
    let revision = see(&*store, id(1)).await.revision;
    let held = store.hold(id(1), Some(after(300)), &by()).await.unwrap().unwrap();
    assert_eq!((held.held_at, held.revision), (Some(after(300)), revision + 1));
    let again = store.hold(id(1), Some(after(400)), &by()).await.unwrap().unwrap();
    assert_eq!(again, held, "held since when it was");
    let recorded = async || store.audit_head().await.unwrap().seq;
    let before = recorded().await;
    assert_eq!(see(&*store, id(1)).await, held);
    assert_eq!(store.hold(id(9), Some(after(300)), &by()).await.unwrap(), None);
    assert_eq!(store.expire_files(after(9_000), 10).await.unwrap(), vec![(id(2), 1)]);
    assert!(store.owns_file(id(1), 1).await.unwrap());
    assert_eq!(store.purge(after(9_000), 10).await.unwrap(), 1);
    let refused = store.delete(&everything(), ReportName::Payments, id(1), after(9_000)).await.unwrap();
    assert_eq!(refused, Deleted::Held);
    assert!(store.manifest(&everything(), ReportName::Payments, id(1)).await.unwrap().is_some());
    let free = store.hold(id(1), None, &by()).await.unwrap().unwrap();
    assert_eq!((free.held_at, free.revision), (None, held.revision + 1));
    store.hold(id(1), None, &by()).await.unwrap();
    assert_eq!(recorded().await, before + 1, "the release is recorded, and once");
    assert_eq!(store.expire_files(after(9_000), 10).await.unwrap(), vec![(id(1), 1)]);
    // One without a file is held as well, also before it has ended.
    store.hold(id(1), Some(after(9_000)), &by()).await.unwrap();
    assert_eq!(store.purge(after(9_000), 10).await.unwrap(), 0);
    let open = accept(&*store, request(2)).await;
    store.hold(open.id, Some(after(9_000)), &by()).await.unwrap();
    let refused = store.delete(&everything(), ReportName::Payments, open.id, after(9_000)).await.unwrap();
    assert_eq!(refused, Deleted::Held);
}

/// The list of what retention would delete is what it deletes, and making it deletes nothing.
pub async fn what_is_due_is_what_goes(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    for (n, expires_ms) in [(0, 1_000), (1, 2_000), (2, 3_000), (3, 1_500)] {
        completed(&*store, n, expires_ms).await;
    }
    store.expire_files(after(1_000), 10).await.unwrap();
    store.hold(id(4), Some(after(300)), &by()).await.unwrap();
    let brief = |due: Vec<Due>| due.into_iter().map(|d| (d.export.id, d.what)).collect::<Vec<_>>();
    let listed = brief(store.due(after(2_500), after(2_500), 10).await.unwrap());
    let file = DueWhat::File { expired_at: after(2_000) };
    assert_eq!(listed, [(id(2), file), (id(1), DueWhat::Export { ended_at: after(200) })]);
    assert_eq!(brief(store.due(after(2_500), after(2_500), 10).await.unwrap()), listed, "nothing went");
    assert_eq!(store.due(after(999), after(200), 10).await.unwrap(), vec![]);
    assert_eq!(store.due(after(9_000), after(100), 1).await.unwrap().len(), 1, "at most so many");
    assert_eq!(store.expire_files(after(2_500), 10).await.unwrap(), vec![(id(2), 1)]);
    assert_eq!(store.purge(after(2_500), 10).await.unwrap(), 2, "also the one whose file has just gone");
}

/// Versions are in use while an Export that began with them has not ended, and for as long as a
/// manifest promises; of their own report only.
pub async fn versions_are_in_use_as_promised(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let versions = async |report, ms| store.versions_in_use(report, after(ms)).await.unwrap();
    accept(&*store, request(0)).await;
    assert!(versions(ReportName::Payments, 0).await.is_empty(), "none is fixed yet");
    let held = claim(&*store, after(100)).await;
    store.fix_data_version(&held, 7).await.unwrap();
    assert!(versions(ReportName::Payments, 9_000_000).await.into_iter().eq([7]));
    let promise = crate::Completion { reproducible_until: Some(after(5_000)), ..completion(&held, 2) };
    assert!(store.complete(&held, promise, after(200)).await.unwrap());
    assert!(versions(ReportName::Payments, 5_000).await.into_iter().eq([7]));
    assert!(versions(ReportName::TransactionHistory, 5_000).await.is_empty());
    assert!(versions(ReportName::Payments, 5_001).await.is_empty());
}
