//! What was answered is there afterwards, and for others.

use payouts_model::{ErrorCode, Grant, Pair, ReportName, Role, Scope, Status, TenantId, Warning};

use super::{
    ATTEMPTS_MAX, Fixture, START, accept, after, by, claim, completion, everything, failure, key, limit, request, see,
};
use crate::{Accepted, CreateExport, LetGo};

/// Exports in every state, keys and manifests outlive the store that wrote them, member by member.
pub async fn everything_survives_a_new_store(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let done = accept(
        &*store,
        CreateExport {
            warnings: vec![Warning { code: "ParticipantsNotGranted".to_owned(), message: "1 of 2".to_owned() }],
            idempotency: key("k", "d"),
            ..request(0)
        },
    )
    .await;
    let held = claim(&*store, after(10)).await;
    store.fix_data_version(&held, 7).await.unwrap();
    store.heartbeat(&held, 1, Some(3), 10_000, after(20)).await.unwrap();
    assert!(store.complete(&held, completion(&held, 3), after(30)).await.unwrap());
    let failed = accept(&*store, request(1)).await;
    let held = claim(&*store, after(40)).await;
    let how = LetGo::Fail { failure: failure(ErrorCode::StorageFull), manifest: Some("{}".into()) };
    store.let_go(&held, how, ATTEMPTS_MAX, after(50)).await.unwrap();
    let queued = accept(&*store, request(2)).await;
    let before = [see(&*store, done.id).await, see(&*store, failed.id).await, see(&*store, queued.id).await];
    drop(store);

    let store = fixture.open().await;
    let now = [see(&*store, done.id).await, see(&*store, failed.id).await, see(&*store, queued.id).await];
    assert_eq!(now, before);
    assert_eq!(now[0].data_version, Some(7));
    assert_eq!(now[1].failure, Some(failure(ErrorCode::StorageFull)));
    let manifest = store.manifest(&everything(), ReportName::Payments, done.id).await.unwrap();
    assert_eq!(manifest.as_deref(), Some("{\"rowCount\":3}"));
    let again = CreateExport { idempotency: key("k", "d"), ..request(3) };
    assert!(matches!(store.accept(again, limit(10)).await.unwrap(), Accepted::Replayed(_)));
}

/// Two stores on one database: what one writes the other reads, grants too.
pub async fn another_process_sees_it_at_once(fixture: &dyn Fixture) {
    let (one, other) = (fixture.open().await, fixture.open().await);
    let made = accept(&*one, request(0)).await;
    assert_eq!(see(&*other, made.id).await, made);
    let held = claim(&*other, after(10)).await;
    assert_eq!(see(&*one, made.id).await.status, Status::Processing);
    assert!(one.heartbeat(&held, 1, None, 10_000, after(20)).await.unwrap());
    let grant = Grant {
        tenant: TenantId::new("t"),
        principal: None,
        pair: Pair { participant: None, program: None },
        role: Role::Viewer,
        until: None,
    };
    one.grant(std::slice::from_ref(&grant), &by()).await.unwrap();
    let access = other.access(&grant.tenant, &everything().principal, START).await.unwrap();
    assert_eq!(access, (Role::Viewer, Scope::everything()));
    other.ping().await.unwrap();
}
