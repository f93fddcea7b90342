//! Acceptance: keys and limits.

use std::sync::Arc;

use payouts_model::{ErrorCode, PrincipalId, ReportName, Status, TenantId};

use super::{
    ATTEMPTS_MAX, Fixture, LIMITS, TERMS, accept, after, claim, completion, everything, failure, id, key, limit,
    request, request_of, see,
};
use crate::{Accepted, CreateExport, IDEMPOTENCY_KEY_MS, LetGo};

fn keyed(n: u32, name: &str, digest: &str) -> CreateExport {
    CreateExport { idempotency: key(name, digest), ..request(n) }
}

/// What was accepted is found as it was accepted.
pub async fn new_exports_are_queued(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let made = accept(&*store, request(0)).await;
    assert_eq!((made.status, made.fence, made.revision), (Status::Queued, 0, 1));
    let seen = store.find(&everything(), ReportName::Payments, made.id).await.unwrap().unwrap();
    assert_eq!((seen.export, seen.full, seen.queue_position), (made.clone(), true, 1));
    assert_eq!(store.find(&everything(), ReportName::TransactionHistory, made.id).await.unwrap(), None);
}

/// The same key with the same request answers the first Export as it is now; another request under
/// the key is refused.
pub async fn same_key_replays(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let first = accept(&*store, keyed(0, "k", "d")).await;
    assert_eq!(store.accept(keyed(1, "k", "d"), LIMITS).await.unwrap(), Accepted::Replayed(first.clone()));
    assert_eq!(store.accept(keyed(2, "k", "other"), LIMITS).await.unwrap(), Accepted::KeyReused);
    let held = claim(&*store, after(10)).await;
    assert!(store.complete(&held, completion(&held, 3), after(20)).await.unwrap());
    match store.accept(keyed(3, "k", "d"), LIMITS).await.unwrap() {
        Accepted::Replayed(export) => assert_eq!((export.id, export.status), (first.id, Status::Completed)),
        other => panic!("{other:?}"),
    }
}

/// A Failed or deleted Export frees its key.
pub async fn key_is_free_again(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let first = accept(&*store, keyed(0, "k", "d")).await;
    let held = claim(&*store, after(10)).await;
    let how = LetGo::Fail { failure: failure(ErrorCode::SnapshotGone), manifest: None };
    store.let_go(&held, how, ATTEMPTS_MAX, after(20)).await.unwrap();
    let second = accept(&*store, keyed(1, "k", "another")).await;
    assert_ne!(first.id, second.id);
    store.delete(&everything(), ReportName::Payments, second.id, after(30)).await.unwrap();
    accept(&*store, keyed(2, "k", "a third")).await;
    assert_eq!(see(&*store, first.id).await.status, Status::Failed);
}

/// A key holds 24 hours.
pub async fn key_holds_a_day(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let first = accept(&*store, keyed(0, "k", "d")).await;
    let late = CreateExport { created_at: after(IDEMPOTENCY_KEY_MS - 1), ..keyed(1, "k", "d") };
    assert_eq!(store.accept(late.clone(), LIMITS).await.unwrap(), Accepted::Replayed(first));
    accept(&*store, CreateExport { created_at: after(IDEMPOTENCY_KEY_MS), ..late }).await;
}

/// The same key of another principal or tenant is another key.
pub async fn keys_belong_to_one_principal(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    accept(&*store, keyed(0, "k", "d")).await;
    accept(&*store, CreateExport { principal: PrincipalId::new("q"), ..keyed(1, "k", "d") }).await;
    accept(&*store, CreateExport { tenant: TenantId::new("u"), ..keyed(2, "k", "d") }).await;
}

/// The limit counts queued ones of one tenant; a replay is no new one.
pub async fn full_queue_refuses(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let first = accept(&*store, keyed(0, "k", "d")).await;
    accept(&*store, request(1)).await;
    assert_eq!(store.accept(request(2), limit(2)).await.unwrap(), Accepted::QueueFull { limit: 2 });
    assert_eq!(store.find(&everything(), ReportName::Payments, id(3)).await.unwrap(), None);
    assert_eq!(store.accept(keyed(3, "k", "d"), limit(2)).await.unwrap(), Accepted::Replayed(first));
    assert!(matches!(store.accept(request_of("u", 4), limit(2)).await.unwrap(), Accepted::New { .. }));
    store.claim("node", &TERMS, after(10)).await.unwrap().unwrap();
    assert!(
        matches!(store.accept(request(5), limit(2)).await.unwrap(), Accepted::New { .. }),
        "a running one is not queued"
    );
}

/// Fifty at once with one key: one Export.
pub async fn fifty_with_one_key_make_one(fixture: &dyn Fixture) {
    let stores = [fixture.open().await, fixture.open().await];
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..50 {
        let store = Arc::clone(&stores[n as usize % 2]);
        tasks.spawn(async move { store.accept(keyed(n, "k", "d"), LIMITS).await.unwrap() });
    }
    let (mut new, mut replayed) = (Vec::new(), Vec::new());
    for answer in tasks.join_all().await {
        match answer {
            Accepted::New { export, .. } => new.push(export.id),
            Accepted::Replayed(export) => replayed.push(export.id),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((new.len(), replayed.len()), (1, 49));
    assert!(replayed.iter().all(|id| *id == new[0]));
    let counts = stores[0].counts().await.unwrap();
    assert_eq!(counts, vec![(ReportName::Payments, Status::Queued, 1)]);
}

/// Sixty-four at once over two stores and a limit of forty: forty are in, each with its own place.
pub async fn limit_is_exact_among_many(fixture: &dyn Fixture) {
    let stores = [fixture.open().await, fixture.open().await];
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..64 {
        let store = Arc::clone(&stores[n as usize % 2]);
        tasks.spawn(async move { store.accept(request(n), limit(40)).await.unwrap() });
    }
    let (mut places, mut refused) = (Vec::new(), 0);
    for answer in tasks.join_all().await {
        match answer {
            Accepted::New { queue_position, .. } => places.push(queue_position),
            Accepted::QueueFull { limit: 40 } => refused += 1,
            other => panic!("{other:?}"),
        }
    }
    places.sort_unstable();
    assert_eq!((places, refused), ((1..=40).collect(), 24));
    let held = claim(&*stores[0], after(100)).await;
    assert!(matches!(
        stores[1].accept(request(100), limit(40)).await.unwrap(),
        Accepted::New { queue_position: 40, .. }
    ));
    stores[1].delete(&everything(), ReportName::Payments, held.export.id, after(110)).await.unwrap();
    assert_eq!(stores[0].accept(request(101), limit(40)).await.unwrap(), Accepted::QueueFull { limit: 40 });
}

/// An id that is taken fails its own request; those that come with it are accepted.
pub async fn one_callers_fault_is_its_own(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let taken = accept(&*store, request(0)).await;
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..20 {
        let store = Arc::clone(&store);
        let id = if n == 10 { taken.id } else { request(n + 1).id };
        tasks.spawn(async move { (n, store.accept(CreateExport { id, ..request(n + 1) }, LIMITS).await) });
    }
    for (n, answer) in tasks.join_all().await {
        assert_eq!(matches!(answer, Ok(Accepted::New { .. })), n != 10, "{n}: {answer:?}");
    }
    assert_eq!(store.counts().await.unwrap(), vec![(ReportName::Payments, Status::Queued, 20)]);
    assert_eq!(see(&*store, taken.id).await, taken);
}

/// Who asks first is queued first, also among those that wait together.
pub async fn order_is_kept(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let ask = |n| store.accept(request(n), LIMITS);
    let answers = tokio::join!(biased; ask(3), ask(0), ask(2), ask(1), ask(5), ask(4));
    let (a, b, c, d, e, f) = answers;
    for (n, answer) in [a, b, c, d, e, f].into_iter().enumerate() {
        assert!(matches!(answer, Ok(Accepted::New { queue_position, .. }) if queue_position == n as u64 + 1));
    }
    for n in [3, 0, 2, 1, 5, 4] {
        assert_eq!(claim(&*store, after(10)).await.export.id, id(n + 1));
    }
}

/// Callers that give up while they wait leave the others and the counts alone.
pub async fn callers_may_go_away(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let mut tasks = Vec::new();
    for n in 0..60 {
        let store = Arc::clone(&store);
        tasks.push(tokio::spawn(async move { store.accept(request(n), LIMITS).await.unwrap() }));
    }
    tokio::task::yield_now().await;
    for task in tasks.iter().step_by(2) {
        task.abort();
    }
    for (n, task) in tasks.into_iter().enumerate() {
        let answer = task.await;
        assert!(matches!(answer, Ok(Accepted::New { .. })) || n % 2 == 0, "{n}: {answer:?}");
    }
    let listed = store.list(&everything(), None, None, 100, None).await.unwrap();
    let mut places: Vec<_> = listed.items.iter().map(|v| v.queue_position).collect();
    places.sort_unstable();
    assert!((30..=60).contains(&listed.total));
    assert_eq!(places, (1..=listed.total).collect::<Vec<_>>());
    let Accepted::New { queue_position, .. } = store.accept(request(70), LIMITS).await.unwrap() else { panic!() };
    assert_eq!(queue_position, listed.total + 1);
}
