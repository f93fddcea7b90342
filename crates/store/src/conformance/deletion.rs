//! DELETE against workers: whoever is first wins, and nothing that was deleted comes back.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use payouts_model::{ErrorCode, ExportId, ReportName, Status};

use super::{
    ATTEMPTS_MAX, Fixture, LEASE_MS, LIMITS, START, accept, after, claim, completion, everything, failure, id, request,
    try_claim,
};
use crate::{Accepted, Claim, Deleted, FileBytes, LetGo, Store};

const PAYMENTS: ReportName = ReportName::Payments;

async fn delete(store: &dyn Store, id: ExportId) -> Deleted {
    store.delete(&everything(), PAYMENTS, id, after(1)).await.unwrap()
}

/// Neither row, nor file, nor room, nor a place in a queue.
async fn nothing_is_left(store: &dyn Store, id: ExportId, fences: u64) {
    let viewer = everything();
    assert_eq!(store.find(&viewer, PAYMENTS, id).await.unwrap(), None);
    assert_eq!(store.manifest(&viewer, PAYMENTS, id).await.unwrap(), None);
    assert_eq!(delete(store, id).await, Deleted::NotFound);
    for fence in 0..=fences + 1 {
        assert!(!store.owns_file(id, fence).await.unwrap(), "fence {fence}");
    }
    assert_eq!(store.list(&viewer, None, None, 10, None).await.unwrap().total, 0);
    assert_eq!(store.counts().await.unwrap(), vec![]);
    assert_eq!(store.file_bytes(&viewer.tenant).await.unwrap(), FileBytes::default());
    assert_eq!(try_claim(store, after(100 * LEASE_MS)).await, None);
}

/// A worker that has sealed its file when the Export is deleted publishes nothing, under whichever
/// of its writes it learns of it, and owns nothing: the sweeper may take the file.
pub async fn a_late_worker_brings_nothing_back(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let made = accept(&*store, request(0)).await.id;
    let early = claim(&*store, START).await;
    let late = claim(&*store, after(LEASE_MS)).await;
    assert!(store.owns_file(made, late.fence).await.unwrap());
    assert!(matches!(delete(&*store, made).await, Deleted::Gone(_)));
    for held in [&early, &late] {
        assert!(!store.complete(held, completion(held, 5), after(2)).await.unwrap());
        assert!(!store.heartbeat(held, 1, Some(5), LEASE_MS, after(2)).await.unwrap());
        assert_eq!(store.fix_data_version(held, 1).await.unwrap(), None);
        for how in [LetGo::HandBack, LetGo::PutOff { rows_expected: 5 }] {
            assert_eq!(store.let_go(held, how, ATTEMPTS_MAX, after(2)).await.unwrap(), None);
        }
    }
    nothing_is_left(&*store, made, late.fence).await;
}

/// Deleted at each step of its life an Export leaves nothing.
pub async fn deleted_at_every_step(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let retry = || LetGo::Retry { failure: failure(ErrorCode::Internal), manifest: None, not_before: after(500) };
    let fail = || LetGo::Fail { failure: failure(ErrorCode::StorageFull), manifest: Some("{}".into()) };
    for step in 0..9_u32 {
        let made = accept(&*store, request(step)).await.id;
        let mut fences = 0;
        let mut expected = Status::Queued;
        if step > 0 {
            let held = claim(&*store, START).await;
            (fences, expected) = (held.fence, Status::Processing);
            let let_go = async |how| store.let_go(&held, how, ATTEMPTS_MAX, after(1)).await.unwrap().unwrap();
            match step {
                2 => _ = store.fix_data_version(&held, 4).await.unwrap(),
                3 => assert!(store.heartbeat(&held, 3, Some(9), LEASE_MS, after(1)).await.unwrap()),
                4 => _ = let_go(retry()).await,
                5 => _ = let_go(LetGo::HandBack).await,
                6 => fences = claim(&*store, after(LEASE_MS)).await.fence,
                7 => expected = let_go(fail()).await,
                8 => {
                    assert!(store.complete(&held, completion(&held, 9), after(1)).await.unwrap());
                    expected = Status::Completed;
                }
                _ => {}
            }
        }
        match delete(&*store, made).await {
            Deleted::Gone(was) => assert_eq!((was.status, was.file.is_some()), (expected, step == 8), "step {step}"),
            other => panic!("step {step}: {other:?}"),
        }
        nothing_is_left(&*store, made, fences).await;
    }
}

/// What the workers of a race were told about each of their claims.
type Published = Arc<Mutex<HashMap<ExportId, bool>>>;

async fn work(store: Arc<dyn Store>, published: Published) {
    while let Some(held) = try_claim(&*store, after(10)).await {
        store.fix_data_version(&held, 1).await.unwrap();
        tokio::task::yield_now().await;
        store.heartbeat(&held, 1, Some(2), LEASE_MS, after(10)).await.unwrap();
        let done: bool = complete(&*store, &held).await;
        let before = published.lock().unwrap().insert(held.export.id, done);
        assert_eq!(before, None, "claimed twice");
    }
}

async fn complete(store: &dyn Store, held: &Claim) -> bool {
    store.complete(held, completion(held, 2), after(10)).await.unwrap()
}

/// Workers and callers who delete, all at once: each Export is either published and there, or
/// published and then deleted with its file named, or deleted and never published.
pub async fn deletions_race_with_workers(fixture: &dyn Fixture) {
    const EXPORTS: u32 = 240;
    let stores = [fixture.open().await, fixture.open().await];
    for n in 0..EXPORTS {
        assert!(matches!(stores[0].accept(request(n), LIMITS).await.unwrap(), Accepted::New { .. }));
    }
    let published = Published::default();
    let mut workers = tokio::task::JoinSet::new();
    let mut deleters = tokio::task::JoinSet::new();
    for n in 0..4_usize {
        workers.spawn(work(Arc::clone(&stores[n % 2]), Arc::clone(&published)));
        let store = Arc::clone(&stores[n % 2]);
        deleters.spawn(async move {
            let mut gone = Vec::new();
            // From both ends and the middle: some before, some behind and some beside the workers.
            for i in (0..EXPORTS).filter(|i| i % 8 == 2 * u32::try_from(n).unwrap()) {
                let n = if i % 16 < 8 { i } else { EXPORTS - 1 - i / 2 * 2 };
                if let Deleted::Gone(was) = delete(&*store, id(u128::from(n) + 1)).await {
                    gone.push(was);
                }
            }
            gone
        });
    }
    let gone: Vec<_> = deleters.join_all().await.into_iter().flatten().collect();
    workers.join_all().await;
    let published = published.lock().unwrap().clone();
    let ids: HashSet<_> = gone.iter().map(|e| e.id).collect();
    assert_eq!(ids.len(), gone.len(), "deleted twice");
    for was in &gone {
        let told = published.get(&was.id).copied();
        assert_eq!(was.status == Status::Completed, told == Some(true), "{:?} but {told:?}", was.status);
        assert_eq!(was.file.is_some(), told == Some(true));
        assert!(!stores[1].owns_file(was.id, was.fence).await.unwrap());
    }
    let left = EXPORTS as usize - gone.len();
    assert_eq!(published.iter().filter(|(id, _)| !ids.contains(id)).filter(|(_, done)| **done).count(), left);
    let counts = stores[1].counts().await.unwrap();
    assert_eq!(counts, vec![(PAYMENTS, Status::Completed, left as u64)]);
    // 102 bytes each, see `completion`.
    let bytes = stores[1].file_bytes(&everything().tenant).await.unwrap();
    assert_eq!(bytes.total, 102 * left as u64);
}
