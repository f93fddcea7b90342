//! Grants: who may see what.

use payouts_model::{Grant, Pair, ParticipantId, PrincipalId, Role, Scope, TenantId, Timestamp};

use super::{Fixture, START, after, by, scope};

fn grant(principal: Option<&str>, participant: Option<&str>, program: Option<&str>) -> Grant {
    Grant {
        tenant: TenantId::new("t"),
        principal: principal.map(PrincipalId::new),
        pair: Pair { participant: participant.map(ParticipantId::new), program: program.map(str::to_owned) },
        role: Role::Viewer,
        until: None,
    }
}

fn holder(principal: &str) -> (TenantId, PrincipalId) {
    (TenantId::new("t"), PrincipalId::new(principal))
}

/// A principal has the tenant's pairs and its own, and the highest role among them.
pub async fn pairs_add_up(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let (t, p) = holder("p");
    assert_eq!(store.access(&t, &p, START).await.unwrap(), (Role::Viewer, Scope::default()));
    let given = [
        grant(None, Some("0042"), None),
        grant(Some("p"), Some("7"), Some("CSP, Indirect \"Provider\"")),
        Grant { role: Role::Admin, ..grant(Some("q"), None, Some("X")) },
        Grant { tenant: TenantId::new("u"), ..grant(None, None, None) },
    ];
    assert_eq!(store.grant(&given, &by()).await.unwrap(), 4);
    let expected = scope(&[("42", "*"), ("7", "CSP, Indirect \"Provider\"")]);
    assert_eq!(store.access(&t, &p, START).await.unwrap(), (Role::Viewer, expected));
    let q = PrincipalId::new("q");
    assert_eq!(store.access(&t, &q, START).await.unwrap(), (Role::Admin, scope(&[("42", "*"), ("*", "X")])));
    let mut sorted = given.to_vec();
    sorted.sort();
    assert_eq!(store.grants().await.unwrap(), sorted);
}

/// A grant is over at the instant it names, and so is its role.
pub async fn grants_run_out(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let (t, p) = holder("p");
    let until = Some(after(100));
    let given = [Grant { until, role: Role::Admin, ..grant(None, Some("1"), None) }, grant(None, Some("2"), None)];
    store.grant(&given, &by()).await.unwrap();
    let access = |at: Timestamp| store.access(&t, &p, at);
    assert_eq!(access(after(99)).await.unwrap(), (Role::Admin, scope(&[("1", "*"), ("2", "*")])));
    assert_eq!(access(after(100)).await.unwrap(), (Role::Viewer, scope(&[("2", "*")])));
}

/// The same pair again replaces `until`; nothing new is not counted.
pub async fn granting_again_changes_until(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let first = grant(None, Some("1"), None);
    assert_eq!(store.grant(&[first.clone(), grant(None, Some("2"), None)], &by()).await.unwrap(), 2);
    assert_eq!(store.grant(std::slice::from_ref(&first), &by()).await.unwrap(), 0);
    let limited = Grant { until: Some(after(5)), ..first };
    assert_eq!(store.grant(std::slice::from_ref(&limited), &by()).await.unwrap(), 1);
    assert_eq!(store.grants().await.unwrap(), vec![limited, grant(None, Some("2"), None)]);
}

/// Revoking takes the named ones, whatever their `until`, and nothing else.
pub async fn revoking_takes_exactly_those(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let kept = [grant(Some("p"), Some("1"), None), Grant { role: Role::Admin, ..grant(None, Some("1"), None) }];
    store.grant(&kept, &by()).await.unwrap();
    store.grant(&[Grant { until: Some(after(5)), ..grant(None, Some("1"), None) }], &by()).await.unwrap();
    let named = [grant(None, Some("1"), None), grant(None, Some("9"), None)];
    assert_eq!(store.revoke(&named, &by()).await.unwrap(), 1);
    let mut sorted = kept.to_vec();
    sorted.sort();
    assert_eq!(store.grants().await.unwrap(), sorted);
}

/// Applying a list makes the grants exactly that list, and again changes nothing.
pub async fn applying_makes_it_so(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    store.grant(&[grant(None, Some("1"), None), grant(None, Some("2"), None)], &by()).await.unwrap();
    let wanted = [grant(None, Some("2"), None), grant(None, Some("3"), None), grant(Some("p"), Some("3"), None)];
    assert_eq!(store.apply_grants(&wanted, &by()).await.unwrap(), (2, 1));
    assert_eq!(store.apply_grants(&wanted, &by()).await.unwrap(), (0, 0));
    let mut sorted = wanted.to_vec();
    sorted.sort();
    assert_eq!(store.grants().await.unwrap(), sorted);
    assert_eq!(store.apply_grants(&[], &by()).await.unwrap(), (0, 3));
}

/// A principal, participant or program with a strange name is that one, never all.
pub async fn names_that_look_like_all_are_not(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let (t, p) = holder("p");
    for name in ["*", "", "=", "=*", "%"] {
        let given = [grant(Some(name), Some("1"), None), grant(Some("p"), Some(name), Some(name))];
        store.apply_grants(&given, &by()).await.unwrap();
        let mut sorted = given.to_vec();
        sorted.sort();
        assert_eq!(store.grants().await.unwrap(), sorted);
        let (_, seen) = store.access(&t, &p, START).await.unwrap();
        assert_eq!(seen, [given[1].pair.clone()].into_iter().collect(), "{name:?}");
    }
}

/// What another process grants or revokes is at work at the next call, however often the access
/// was asked for before, and what runs out does so without anybody's doing.
pub async fn changes_elsewhere_are_at_work_at_once(fixture: &dyn Fixture) {
    let (here, elsewhere) = (fixture.open().await, fixture.open().await);
    let (t, p) = holder("p");
    let access = |at: Timestamp| here.access(&t, &p, at);
    let wide = grant(Some("p"), Some("1"), None);
    let brief = Grant { until: Some(after(100)), role: Role::Admin, ..grant(None, Some("2"), None) };
    for _ in 0..3 {
        assert_eq!(access(START).await.unwrap(), (Role::Viewer, Scope::default()));
        elsewhere.grant(std::slice::from_ref(&wide), &by()).await.unwrap();
        for _ in 0..2 {
            assert_eq!(access(START).await.unwrap(), (Role::Viewer, scope(&[("1", "*")])));
        }
        elsewhere.grant(std::slice::from_ref(&brief), &by()).await.unwrap();
        for _ in 0..2 {
            assert_eq!(access(after(99)).await.unwrap(), (Role::Admin, scope(&[("1", "*"), ("2", "*")])));
            assert_eq!(access(after(100)).await.unwrap(), (Role::Viewer, scope(&[("1", "*")])));
        }
        let longer = Grant { until: Some(after(200)), ..brief.clone() };
        elsewhere.grant(std::slice::from_ref(&longer), &by()).await.unwrap();
        assert_eq!(access(after(100)).await.unwrap().0, Role::Admin);
        elsewhere.revoke(&[wide.clone(), longer], &by()).await.unwrap();
    }
    let mut tasks = tokio::task::JoinSet::new();
    elsewhere.grant(&[wide], &by()).await.unwrap();
    for _ in 0..64 {
        let (store, t, p) = (std::sync::Arc::clone(&here), t.clone(), p.clone());
        tasks.spawn(async move { store.access(&t, &p, START).await.unwrap().1 });
    }
    assert!(tasks.join_all().await.into_iter().all(|seen| seen == scope(&[("1", "*")])));
}
