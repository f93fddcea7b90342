//! The queue: whose turn it is, and what becomes of those whose worker is gone.

use std::collections::HashSet;
use std::sync::Arc;

use payouts_model::{ErrorCode, Status};

use super::{
    ATTEMPTS_MAX, Fixture, LEASE_MS, LOST_MAX, START, TERMS, accept, after, claim, completion, everything, failure, id,
    limit, request, request_of, see, try_claim,
};
use crate::{ClaimTerms, CreateExport, LeaseLosses, LetGo, Store};

/// In the order of acceptance, whatever their clocks said.
pub async fn oldest_first_within_a_tenant(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    for n in [2, 0, 1] {
        accept(&*store, request(n)).await;
    }
    for n in [2, 0, 1] {
        let held = claim(&*store, after(10)).await;
        assert_eq!((held.export.id, held.fence), (id(n + 1), 1));
        assert_eq!((held.export.status, held.export.started_at), (Status::Processing, Some(after(10))));
    }
    assert_eq!(try_claim(&*store, after(10)).await, None);
}

/// A tenant with a thousand queued waits its turn: one with fewer running goes first.
pub async fn fewest_running_first(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    for n in 0..6 {
        accept(&*store, request_of("many", n)).await;
    }
    accept(&*store, request_of("one", 6)).await;
    accept(&*store, request_of("two", 7)).await;
    accept(&*store, request_of("two", 8)).await;
    let mut order = Vec::new();
    for _ in 0..9 {
        order.push(claim(&*store, after(10)).await.export.tenant.as_str().to_owned());
    }
    assert_eq!(order, ["many", "one", "two", "many", "two", "many", "many", "many", "many"]);
}

/// With one slot nobody has any running when it is free: tenants take turns all the same.
pub async fn tenants_take_turns(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    for n in 0..4 {
        accept(&*store, request_of("many", n)).await;
    }
    accept(&*store, request_of("one", 4)).await;
    accept(&*store, request_of("two", 5)).await;
    let mut order = Vec::new();
    for _ in 0..6 {
        let held = claim(&*store, after(10)).await;
        assert!(store.complete(&held, completion(&held, 1), after(11)).await.unwrap());
        order.push(held.export.tenant.as_str().to_owned());
    }
    assert_eq!(order, ["many", "one", "two", "many", "many", "many"]);
}

/// A lease that ran out is claimed again under a greater fence, and counts as lost.
pub async fn ended_leases_are_claimed_again(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    accept(&*store, request(0)).await;
    let first = claim(&*store, START).await;
    assert_eq!(store.next_due(None).await.unwrap(), Some(after(LEASE_MS)));
    assert_eq!(try_claim(&*store, after(LEASE_MS - 1)).await, None);
    let second = claim(&*store, after(LEASE_MS)).await;
    assert_eq!(second.export.id, first.export.id);
    assert!(second.fence > first.fence);
    assert_eq!((second.export.lost_leases, second.export.failed_attempts), (1, 0));
    assert_eq!(second.export.started_at, Some(START), "the first attempt's");
}

/// A store tells what its own calls found lost: leases that ran out, those of a dead predecessor,
/// and Exports that were given up for it.
pub async fn lost_leases_are_counted(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    accept(&*store, request(0)).await;
    claim(&*store, START).await;
    assert_eq!(store.lease_losses(), LeaseLosses::default());
    claim(&*store, after(LEASE_MS)).await;
    assert_eq!(store.lease_losses(), LeaseLosses { ran_out: 1, ..LeaseLosses::default() });
    store.take_back("node", after(LEASE_MS + 1)).await.unwrap();
    claim(&*store, after(LEASE_MS + 1)).await;
    assert_eq!(store.lease_losses(), LeaseLosses { ran_out: 1, taken_back: 1, given_up: 0 });
    let strict = ClaimTerms { lost_leases_max: 3, ..TERMS };
    assert_eq!(store.claim("node", &strict, after(3 * LEASE_MS)).await.unwrap(), None);
    assert_eq!(store.lease_losses(), LeaseLosses { ran_out: 2, taken_back: 1, given_up: 1 });
    assert_eq!(fixture.open().await.lease_losses(), LeaseLosses::default(), "another process's");
}

/// Every claim knows the trace that the request was part of.
pub async fn traces_go_along(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let trace = Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned());
    accept(&*store, CreateExport { trace: trace.clone(), ..request(0) }).await;
    accept(&*store, request(1)).await;
    assert_eq!(claim(&*store, START).await.trace, trace);
    assert_eq!(claim(&*store, START).await.trace, None);
    assert_eq!(claim(&*store, after(LEASE_MS)).await.trace, trace, "at the next attempt too");
}

/// Ten lost leases: Failed, and the search goes on to the next.
pub async fn ten_lost_leases_are_enough(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let doomed = accept(&*store, request(0)).await;
    for n in 0..LOST_MAX {
        assert_eq!(claim(&*store, after(i64::from(n) * LEASE_MS)).await.export.id, doomed.id);
    }
    let next = accept(&*store, request(1)).await;
    let end = after(i64::from(LOST_MAX) * LEASE_MS);
    assert_eq!(claim(&*store, end).await.export.id, next.id);
    let seen = see(&*store, doomed.id).await;
    assert_eq!((seen.status, seen.lost_leases, seen.ended_at), (Status::Failed, LOST_MAX, Some(end)));
    assert_eq!(seen.failure.unwrap().code, ErrorCode::WorkerLost);
}

/// A restarted node takes back what its predecessor held, at once, and nothing of other nodes.
pub async fn taken_back_at_once(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    accept(&*store, request(0)).await;
    accept(&*store, request(1)).await;
    let ours = claim(&*store, START).await;
    let theirs = store.claim("other", &TERMS, START).await.unwrap().unwrap();
    assert_eq!(store.take_back("node", after(1)).await.unwrap(), 1);
    assert_eq!(store.take_back("node", after(1)).await.unwrap(), 0);
    assert_eq!(store.next_due(None).await.unwrap(), Some(after(1)));
    assert!(!store.heartbeat(&ours, 1, None, LEASE_MS, after(1)).await.unwrap(), "the dead one's write");
    let again = claim(&*store, after(1)).await;
    assert_eq!((again.export.id, again.export.lost_leases), (ours.export.id, 1));
    assert!(store.heartbeat(&theirs, 1, None, LEASE_MS, after(1)).await.unwrap());
}

/// Leases and delays that a clock far ahead has set are shortened, and nothing else is.
pub async fn a_clock_that_went_back_holds_nothing_up(fixture: &dyn Fixture) {
    const DAY_MS: i64 = 86_400_000;
    let store = fixture.open().await;
    for n in 0..4 {
        accept(&*store, request(n)).await;
    }
    let (running, delayed) = (claim(&*store, after(DAY_MS)).await, claim(&*store, after(DAY_MS)).await);
    let how = LetGo::Retry { failure: failure(ErrorCode::Internal), manifest: None, not_before: after(DAY_MS + 500) };
    store.let_go(&delayed, how, ATTEMPTS_MAX, after(DAY_MS)).await.unwrap();
    let right = claim(&*store, START).await;
    let (right_before, queued) = (see(&*store, right.export.id).await, see(&*store, id(4)).await);

    let (lease_until, not_before) = (after(LEASE_MS + 2), after(2 * LEASE_MS));
    assert_eq!(store.pull_back(lease_until, not_before).await.unwrap(), 2);
    assert_eq!(store.pull_back(lease_until, not_before).await.unwrap(), 0, "they were shortened already");
    assert_eq!(see(&*store, right.export.id).await, right_before, "a lease of the right clock stays");
    assert_eq!(see(&*store, id(4)).await, queued);
    assert_eq!(store.next_due(None).await.unwrap(), Some(after(LEASE_MS)), "it ends when it did");
    // Whoever lives renews; whoever is gone is waited for no longer than its lease.
    assert!(store.heartbeat(&right, 1, None, 3 * LEASE_MS, after(1)).await.unwrap());
    assert_eq!(claim(&*store, after(1)).await.export.id, id(4));
    assert_eq!(try_claim(&*store, after(1 + LEASE_MS)).await.map(|c| c.export.id), Some(id(4)), "its lease ended");
    assert_eq!(try_claim(&*store, after(1 + LEASE_MS)).await, None);
    let ended = claim(&*store, lease_until).await;
    assert_eq!((ended.export.id, ended.export.lost_leases), (running.export.id, 1));
    assert!(!store.heartbeat(&running, 1, None, LEASE_MS, lease_until).await.unwrap(), "it is another's now");
    assert_eq!(try_claim(&*store, not_before.plus_ms(-1)).await, None);
    let retried = claim(&*store, not_before).await;
    assert_eq!((retried.export.id, retried.export.lost_leases), (delayed.export.id, 0));
    // What has ended is past all clocks.
    assert!(store.complete(&retried, completion(&retried, 1), not_before).await.unwrap());
    let done = see(&*store, retried.export.id).await;
    store.pull_back(START, START).await.unwrap();
    assert_eq!(see(&*store, retried.export.id).await, done);
}

/// A retry is not claimed before its time, and says when that is.
pub async fn delays_are_honoured(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    assert_eq!(store.next_due(None).await.unwrap(), None);
    accept(&*store, request(0)).await;
    assert_eq!(store.next_due(None).await.unwrap(), None, "a queued one needs no waiting");
    let held = claim(&*store, START).await;
    let how = LetGo::Retry { failure: failure(ErrorCode::Internal), manifest: None, not_before: after(500) };
    assert_eq!(store.let_go(&held, how, ATTEMPTS_MAX, after(1)).await.unwrap(), Some(Status::Processing));
    assert_eq!(store.next_due(None).await.unwrap(), Some(after(500)));
    assert_eq!(try_claim(&*store, after(499)).await, None);
    let again = claim(&*store, after(500)).await;
    assert_eq!((again.export.failed_attempts, again.export.lost_leases), (1, 0));
}

/// What a stopping worker hands back counts as nothing and can be claimed at once.
pub async fn handed_back_at_once(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    accept(&*store, request(0)).await;
    let held = claim(&*store, START).await;
    assert_eq!(store.let_go(&held, LetGo::HandBack, ATTEMPTS_MAX, after(1)).await.unwrap(), Some(Status::Processing));
    let again = store.claim("other", &TERMS, after(1)).await.unwrap().unwrap();
    assert_eq!((again.export.failed_attempts, again.export.lost_leases, again.fence), (0, 0, 2));
}

/// Places count from one within the tenant and only come nearer.
pub async fn positions_count_from_one(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    for n in 0..3 {
        accept(&*store, request(n)).await;
        accept(&*store, request_of("other", n + 10)).await;
    }
    let viewer = everything();
    let page = store.list(&viewer, None, None, 10, None).await.unwrap();
    assert_eq!(page.items.iter().map(|v| v.queue_position).collect::<Vec<_>>(), [3, 2, 1]);
    claim(&*store, after(20)).await;
    let mut places = Vec::new();
    for n in 0..3 {
        places.push(
            store.find(&viewer, payouts_model::ReportName::Payments, id(n + 1)).await.unwrap().unwrap().queue_position,
        );
    }
    assert_eq!(places, [0, 1, 2]);
}

/// Places are right in a long queue that others share, also after some of it was claimed, deleted
/// or failed.
pub async fn positions_in_long_queues(fixture: &dyn Fixture) {
    const QUEUED: u32 = 2_600;
    let store = fixture.open().await;
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..QUEUED {
        let store = Arc::clone(&store);
        let create = if n % 5 == 0 { request_of("other", n) } else { request(n) };
        tasks.spawn(async move { store.accept(create, limit(10_000)).await.unwrap() });
    }
    tasks.join_all().await;
    let viewer = everything();
    for n in 0..300 {
        let held = claim(&*store, after(100)).await;
        if n % 3 == 0 {
            let how = LetGo::Fail { failure: failure(ErrorCode::Internal), manifest: None };
            store.let_go(&held, how, ATTEMPTS_MAX, after(101)).await.unwrap();
        }
    }
    let report = payouts_model::ReportName::Payments;
    for n in (1_201..1_300).step_by(2) {
        store.delete(&viewer, report, id(n), after(102)).await.unwrap();
    }
    let mut places = Vec::new();
    let mut after_item = None;
    loop {
        let page = store.list(&viewer, None, Some(Status::Queued), 200, after_item).await.unwrap();
        places.extend(page.items.iter().map(|v| (v.queue_position, v.export.id)));
        after_item = page.next;
        if after_item.is_none() {
            break;
        }
    }
    places.sort_unstable();
    assert_eq!(
        places.iter().map(|(place, _)| *place).collect::<Vec<_>>(),
        (1..=places.len() as u64).collect::<Vec<_>>()
    );
    for (place, id) in places.iter().step_by(97) {
        let seen = store.find(&viewer, report, *id).await.unwrap().unwrap();
        assert_eq!(seen.queue_position, *place);
    }
    // The order of the places is the order of the claims.
    let mut ours = places.iter().map(|(_, id)| *id);
    for _ in 0..20 {
        let held = claim(&*store, after(103)).await;
        if held.export.tenant == viewer.tenant {
            assert_eq!(Some(held.export.id), ours.next());
        }
    }
    let again = fixture.open().await;
    let last = places.last().unwrap().1;
    let taken = places.len() - ours.len();
    let seen = again.find(&viewer, report, last).await.unwrap().unwrap();
    assert_eq!(seen.queue_position, (places.len() - taken) as u64);
}

/// Eight claimers over two stores: each Export is claimed once.
pub async fn eight_claimers_take_each_once(fixture: &dyn Fixture) {
    let stores = [fixture.open().await, fixture.open().await];
    for n in 0..40 {
        accept(&*stores[0], request_of(["a", "b", "c"][n as usize % 3], n)).await;
    }
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..8 {
        let store: Arc<dyn Store> = Arc::clone(&stores[n % 2]);
        tasks.spawn(async move {
            let mut taken = Vec::new();
            while let Some(held) = try_claim(&*store, after(100)).await {
                taken.push(held.export.id);
            }
            taken
        });
    }
    let taken: Vec<_> = tasks.join_all().await.into_iter().flatten().collect();
    assert_eq!(taken.len(), 40);
    assert_eq!(taken.iter().collect::<HashSet<_>>().len(), 40);
}
