//! Shares of tenants and of their principals, and what passes what.

use payouts_model::{PrincipalId, Status};

use super::{
    ATTEMPTS_MAX, Fixture, LEASE_MS, START, TERMS, accept, after, claim, completion, id, limit, request, see, try_claim,
};
use crate::{Accepted, Claim, ClaimTerms, CreateExport, LetGo, PUT_OFF_MAX, Store};

/// Of one principal of a tenant.
fn of(tenant: &str, principal: &str, n: u32) -> CreateExport {
    let tenant = payouts_model::TenantId::new(tenant);
    CreateExport { tenant, principal: PrincipalId::new(principal), ..request(n) }
}

async fn queue(store: &dyn Store, tenant: &str, principal: &str, numbers: std::ops::Range<u32>) {
    for n in numbers {
        let accepted = store.accept(of(tenant, principal, n), limit(100_000)).await.expect("accept");
        assert!(matches!(accepted, Accepted::New { .. }), "{accepted:?}");
    }
}

async fn finish(store: &dyn Store, held: &Claim) {
    assert!(store.complete(held, completion(held, 1), after(20)).await.unwrap());
}

fn whose(held: &Claim) -> String {
    format!("{}/{}", held.export.tenant, held.export.principal)
}

/// With one slot the principals of a tenant take turns, whatever each has queued.
pub async fn principals_take_turns(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    queue(&*store, "t", "many", 0..4).await;
    queue(&*store, "t", "one", 4..5).await;
    queue(&*store, "t", "two", 5..7).await;
    let mut order = Vec::new();
    while let Some(held) = try_claim(&*store, after(10)).await {
        finish(&*store, &held).await;
        order.push(held.export.principal.as_str().to_owned());
    }
    assert_eq!(order, ["many", "one", "two", "many", "two", "many", "many"]);
}

/// With several slots the principal with the fewest running is next.
pub async fn a_principal_cannot_crowd_out_another(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    queue(&*store, "t", "many", 0..100).await;
    let mut running = Vec::new();
    for _ in 0..4 {
        running.push(claim(&*store, after(10)).await);
    }
    queue(&*store, "t", "one", 100..102).await;
    finish(&*store, &running.remove(0)).await;
    assert_eq!(whose(&claim(&*store, after(10)).await), "t/one");
    finish(&*store, &running.remove(0)).await;
    assert_eq!(whose(&claim(&*store, after(10)).await), "t/one");
}

/// A thousand queued of one tenant, whatever the number of its principals, and one of another:
/// that one is claimed next.
pub async fn one_of_another_tenant_is_next(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    for principal in 0..10 {
        let first = principal * 100;
        queue(&*store, "a", &format!("p{principal}"), first..first + 100).await;
    }
    let (first, second) = (claim(&*store, after(10)).await, claim(&*store, after(10)).await);
    assert_eq!((first.export.tenant.as_str(), second.export.tenant.as_str()), ("a", "a"));
    queue(&*store, "b", "p0", 1_000..1_001).await;
    finish(&*store, &first).await;
    assert_eq!(whose(&claim(&*store, after(10)).await), "b/p0");
    assert_eq!(claim(&*store, after(10)).await.export.tenant.as_str(), "a", "nobody else wants the slot");
}

/// Shares are of those who want something: a tenant that is alone takes all.
pub async fn whoever_is_alone_has_every_slot(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    queue(&*store, "b", "p", 50..51).await;
    finish(&*store, &claim(&*store, after(10)).await).await;
    queue(&*store, "a", "p", 0..40).await;
    for n in 0..40 {
        assert_eq!(claim(&*store, after(10)).await.export.id, id(n + 1));
    }
    assert_eq!(try_claim(&*store, after(10)).await, None);
}

/// At the cap of a tenant none of its queued ones is claimed; others are, and so is what was begun.
pub async fn running_ones_have_a_cap(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let terms = ClaimTerms { tenant_running_max: 2, ..TERMS };
    let next = async |ms| store.claim("node", &terms, after(ms)).await.unwrap();
    queue(&*store, "a", "p", 0..5).await;
    let (first, second) = (next(10).await.unwrap(), next(10).await.unwrap());
    assert_eq!(next(10).await, None);
    queue(&*store, "b", "p", 5..6).await;
    assert_eq!(whose(&next(10).await.unwrap()), "b/p");
    assert_eq!(next(10).await, None);
    store.let_go(&first, LetGo::HandBack, ATTEMPTS_MAX, after(11)).await.unwrap();
    let again = next(11).await.expect("what was begun is taken up again at the cap");
    assert_eq!(again.export.id, first.export.id);
    finish(&*store, &second).await;
    assert_eq!(next(12).await.expect("one below the cap").export.id, id(3));
    assert_eq!(next(12).await, None);
    // Dead workers hold nothing up: their Exports are claimed again, cap or not.
    let late = LEASE_MS + 20;
    for _ in 0..3 {
        assert_eq!(next(late).await.expect("a lease that ran out").export.lost_leases, 1);
    }
    assert_eq!(next(late).await, None);
}

async fn put_off(store: &dyn Store, held: &Claim, rows_expected: u64) {
    let how = LetGo::PutOff { rows_expected };
    assert_eq!(store.let_go(held, how, ATTEMPTS_MAX, after(10)).await.unwrap(), Some(Status::Processing));
}

/// What is known to be too large stands aside for a slot that is kept for smaller ones, keeps its
/// place for the others, and needs no looking at meanwhile.
pub async fn small_ones_pass_put_off_ones(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let small = ClaimTerms { rows_max: Some(1_000), ..TERMS };
    queue(&*store, "t", "p", 0..3).await;
    let large = store.claim("node", &small, after(10)).await.unwrap().unwrap();
    assert_eq!(large.export.id, id(1), "its size is not known yet");
    put_off(&*store, &large, 10_000_000).await;
    assert_eq!(store.next_due(Some(1_000)).await.unwrap(), None);
    assert_eq!(store.next_due(None).await.unwrap(), Some(after(10)));
    let next = store.claim("node", &small, after(10)).await.unwrap().unwrap();
    assert_eq!(next.export.id, id(2), "the small one passes");
    assert_eq!(claim(&*store, after(10)).await.export.id, id(1), "the oldest is first for any other slot");
    assert_eq!(claim(&*store, after(10)).await.export.id, id(3));
    assert_eq!(store.claim("node", &small, after(10)).await.unwrap(), None);
}

/// A principal's queue is not looked through for ever: after so many put-off ones the rest waits,
/// for that principal alone.
pub async fn only_so_many_are_put_off(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let small = ClaimTerms { rows_max: Some(1_000), ..TERMS };
    let most = u32::try_from(PUT_OFF_MAX).unwrap();
    queue(&*store, "t", "p", 0..most + 4).await;
    queue(&*store, "t", "q", 100..101).await;
    for _ in 0..=most {
        let held = store.claim("node", &small, after(10)).await.unwrap().unwrap();
        if held.export.principal.as_str() == "p" {
            put_off(&*store, &held, 1_001).await
        } else {
            finish(&*store, &held).await
        }
    }
    assert_eq!(store.claim("node", &small, after(10)).await.unwrap(), None);
    queue(&*store, "t", "q", 101..102).await;
    assert_eq!(whose(&store.claim("node", &small, after(10)).await.unwrap().unwrap()), "t/q");
    assert_eq!(claim(&*store, after(10)).await.export.id, id(1), "the slots for large ones go on");
}

/// Putting off is no attempt, loses no lease and frees the share.
pub async fn putting_off_counts_as_nothing(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let made = accept(&*store, request(0)).await.id;
    let held = claim(&*store, START).await;
    put_off(&*store, &held, 5_000).await;
    let seen = see(&*store, made).await;
    assert_eq!((seen.status, seen.failed_attempts, seen.lost_leases), (Status::Processing, 0, 0));
    assert_eq!(seen.progress.rows_expected, Some(5_000));
    assert!(!store.heartbeat(&held, 1, None, LEASE_MS, after(11)).await.unwrap());
    let again = claim(&*store, after(11)).await;
    assert_eq!((again.export.id, again.fence), (made, held.fence + 1));
}

/// A long queue of one principal is one head: what others queue behind it is found at once.
pub async fn a_long_queue_has_one_head(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    queue(&*store, "a", "p", 0..3_000).await;
    for n in 0..50 {
        queue(&*store, "a", &format!("q{n:02}"), 3_000 + n..3_001 + n).await;
    }
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..51 {
        seen.insert(whose(&claim(&*store, after(10)).await));
    }
    assert_eq!(seen.len(), 51, "each principal once before any twice: {seen:?}");
}
