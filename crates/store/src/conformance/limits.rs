//! Limits of what is accepted: queues of all tenants together, and room for files.

use payouts_model::{ReportName, TenantId};

use super::{Fixture, accept, after, claim, completion, everything, key, limit, request, request_of};
use crate::{AcceptLimits, Accepted, CreateExport, FileBytes, Store};

/// All queues together have a limit, exact among tenants and callers that come at once; what leaves
/// the queue makes room.
pub async fn all_queues_have_a_limit(fixture: &dyn Fixture) {
    let stores = [fixture.open().await, fixture.open().await];
    let limits = AcceptLimits { queue_max: 10, ..limit(1_000) };
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..32 {
        let store = std::sync::Arc::clone(&stores[n as usize % 2]);
        let create = request_of(["t", "u", "v"][n as usize % 3], n);
        tasks.spawn(async move { store.accept(create, limits).await.unwrap() });
    }
    let answers = tasks.join_all().await;
    let refused = answers.iter().filter(|a| **a == Accepted::ServiceQueueFull { limit: 10 }).count();
    assert_eq!(refused, 22, "{answers:?}");
    let store = &stores[0];
    claim(&**store, after(100)).await;
    assert!(matches!(store.accept(request(40), limits).await.unwrap(), Accepted::New { .. }));
    assert_eq!(store.accept(request(41), limits).await.unwrap(), Accepted::ServiceQueueFull { limit: 10 });
    let page = store.list(&everything(), None, None, 1, None).await.unwrap();
    store.delete(&everything(), ReportName::Payments, page.items[0].export.id, after(101)).await.unwrap();
    assert!(matches!(store.accept(request(42), limits).await.unwrap(), Accepted::New { .. }));
    // The tenant's own limit is named first: that one the caller can do something about.
    let both = AcceptLimits { tenant_queue_max: 1, ..limits };
    assert_eq!(store.accept(request(43), both).await.unwrap(), Accepted::QueueFull { limit: 1 });
}

/// Files of 101 bytes each (see [`completion`]).
async fn with_file(store: &dyn Store, create: CreateExport) -> crate::Claim {
    accept(store, create).await;
    let held = claim(store, after(50)).await;
    assert!(store.complete(&held, completion(&held, 1), after(60)).await.unwrap());
    held
}

/// A tenant whose files take their room is refused until some of them go; a replay is nothing new,
/// and other tenants are not concerned.
pub async fn files_have_a_limit(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let limits = AcceptLimits { tenant_files_bytes: 202, ..limit(1_000) };
    let first = with_file(&*store, CreateExport { idempotency: key("k", "d"), ..request(0) }).await;
    assert!(matches!(store.accept(request_of("u", 9), limits).await.unwrap(), Accepted::New { .. }));
    store.claim("node", &super::TERMS, after(55)).await.unwrap().unwrap();
    with_file(&*store, request(1)).await;
    assert_eq!(store.accept(request(2), limits).await.unwrap(), Accepted::StorageFull { limit_bytes: 202 });
    let again = CreateExport { idempotency: key("k", "d"), ..request(3) };
    assert!(matches!(store.accept(again, limits).await.unwrap(), Accepted::Replayed(_)));
    assert!(matches!(store.accept(request_of("u", 4), limits).await.unwrap(), Accepted::New { .. }));
    store.delete(&everything(), ReportName::Payments, first.export.id, after(70)).await.unwrap();
    assert!(matches!(store.accept(request(5), limits).await.unwrap(), Accepted::New { .. }));
}

/// Room is taken by publishing and given back by deleting, by the end of retention and by nothing
/// else.
pub async fn room_is_counted_through_a_files_life(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let (t, u) = (TenantId::new("t"), TenantId::new("u"));
    let bytes = async |tenant| store.file_bytes(tenant).await.unwrap();
    assert_eq!(bytes(&t).await, FileBytes::default());
    let first = with_file(&*store, request(0)).await;
    with_file(&*store, request(1)).await;
    with_file(&*store, request_of("u", 2)).await;
    assert_eq!(bytes(&t).await, FileBytes { tenant: 202, total: 303 });
    assert_eq!(bytes(&u).await, FileBytes { tenant: 101, total: 303 });
    assert!(!store.complete(&first, completion(&first, 1), after(61)).await.unwrap());
    store.delete(&everything(), ReportName::Payments, first.export.id, after(70)).await.unwrap();
    assert_eq!(bytes(&t).await, FileBytes { tenant: 101, total: 202 });
    assert_eq!(store.expire_files(after(2_000_000), 10).await.unwrap().len(), 2);
    assert_eq!(bytes(&t).await, FileBytes::default());
    assert_eq!(store.purge(after(2_000_000), 10).await.unwrap(), 2);
    assert_eq!(bytes(&u).await, FileBytes::default());
}
