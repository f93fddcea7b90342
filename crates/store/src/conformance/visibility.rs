//! Who sees, lists and deletes what.

use payouts_model::{ExportId, PrincipalId, ReportName, Role, Scope, Status, Viewer};

use super::{
    Fixture, LEASE_MS, accept, after, claim, completion, everything, id, key, request, request_of, scope, try_claim,
    viewer,
};
use crate::{CreateExport, Deleted, Narrow, Oldest, Store};

const PAYMENTS: ReportName = ReportName::Payments;

fn scoped(n: u32, pairs: &[(&str, &str)]) -> CreateExport {
    CreateExport { scope: scope(pairs), ..request(n) }
}

fn sees(role: Role, pairs: &[(&str, &str)]) -> Viewer {
    viewer("t", "someone", role, scope(pairs))
}

async fn find(store: &dyn Store, viewer: &Viewer, id: ExportId) -> Option<bool> {
    store.find(viewer, PAYMENTS, id).await.unwrap().map(|v| v.full)
}

/// Participants and programs; `*` is all.
type Pairs = &'static [(&'static str, &'static str)];

/// A text is looked for in filter, principal and id, within what the viewer sees.
pub async fn lists_are_searched(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let mut asked = scoped(0, &[("1", "P")]);
    asked.query.text = "programName eq 'Élan Ltd'".into();
    asked.query.filter = "programName eq 'Elan 100%_'".into();
    let first = accept(&*store, asked).await;
    accept(&*store, scoped(1, &[("2", "P")])).await;
    let found = async |who: &Viewer, text: &str| {
        let narrow = Narrow { text: Some(text), ..Narrow::default() };
        let page = store.search(who, narrow, 10, None).await.unwrap();
        assert_eq!(page.total, page.items.len() as u64, "{text}");
        page.items.into_iter().map(|v| v.export.id).collect::<Vec<_>>()
    };
    let all = everything();
    for text in ["PROGRAMNAME EQ 'É", "elan 100%_", &first.id.to_string()] {
        assert_eq!(found(&all, text).await, [first.id], "{text}");
    }
    assert_eq!(found(&all, first.principal.as_str()).await.len(), 2);
    for text in ["elan%", "no such text"] {
        assert!(found(&all, text).await.is_empty(), "{text}");
    }
    assert!(found(&sees(Role::Viewer, &[("2", "P")]), "elan").await.is_empty(), "not what one may not see");
}

/// All pairs are needed, "all" is only in "all", and another tenant sees nothing.
pub async fn scope_decides(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let made = accept(&*store, scoped(0, &[("1", "P"), ("2", "P")])).await.id;
    let wide = accept(&*store, scoped(1, &[("*", "P")])).await.id;
    let cases: [(Pairs, bool, bool); 6] = [
        (&[("1", "P"), ("2", "P")], true, false),
        (&[("1", "P"), ("02", "*")], true, false),
        (&[("1", "P"), ("2", "Q")], false, false),
        (&[("1", "P")], false, false),
        (&[("*", "P")], true, true),
        (&[("*", "Q"), ("1", "*")], false, false),
    ];
    for (pairs, narrow_seen, wide_seen) in cases {
        let who = sees(Role::Viewer, pairs);
        assert_eq!(find(&*store, &who, made).await, narrow_seen.then_some(true), "{pairs:?}");
        assert_eq!(find(&*store, &who, wide).await, wide_seen.then_some(true), "{pairs:?}");
        let listed = store.list(&who, None, None, 10, None).await.unwrap();
        assert_eq!(listed.total, u64::from(narrow_seen) + u64::from(wide_seen), "{pairs:?}");
    }
    let stranger = viewer("u", "p", Role::Admin, Scope::everything());
    assert_eq!(find(&*store, &stranger, made).await, None);
    assert_eq!(store.list(&stranger, None, None, 10, None).await.unwrap().total, 0);
    assert_eq!(store.delete(&stranger, PAYMENTS, made, after(9)).await.unwrap(), Deleted::NotFound);
}

/// An admin sees the state of everything in the tenant, in full only what its scope contains.
pub async fn admins_see_states(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let inside = accept(&*store, scoped(0, &[("1", "P")])).await.id;
    let outside = accept(&*store, scoped(1, &[("2", "P")])).await.id;
    accept(&*store, request_of("u", 2)).await;
    let admin = sees(Role::Admin, &[("1", "*")]);
    assert_eq!(find(&*store, &admin, inside).await, Some(true));
    assert_eq!(find(&*store, &admin, outside).await, Some(false));
    assert_eq!(find(&*store, &admin, id(3)).await, None);
    let page = store.list(&admin, None, None, 10, None).await.unwrap();
    assert_eq!(
        page.items.iter().map(|v| (v.export.id, v.full)).collect::<Vec<_>>(),
        [(outside, false), (inside, true)]
    );
    assert_eq!(page.total, 2);
}

/// The maker and an admin delete, the maker also without the grants that seeing it needs; another
/// viewer who sees it may not; another who does not see it, finds nothing.
pub async fn makers_and_admins_delete(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let made = accept(&*store, scoped(0, &[("1", "P")])).await.id;
    let other = sees(Role::Viewer, &[("*", "*")]);
    assert_eq!(store.delete(&other, PAYMENTS, made, after(1)).await.unwrap(), Deleted::NotTheOwner);
    let poor = sees(Role::Viewer, &[("9", "*")]);
    assert_eq!(store.delete(&poor, PAYMENTS, made, after(1)).await.unwrap(), Deleted::NotFound);
    let namesake = viewer("u", "p", Role::Viewer, Scope::everything());
    assert_eq!(store.delete(&namesake, PAYMENTS, made, after(1)).await.unwrap(), Deleted::NotFound);
    let wrong_report = store.delete(&everything(), ReportName::TransactionHistory, made, after(1)).await.unwrap();
    assert_eq!(wrong_report, Deleted::NotFound);
    match store.delete(&everything(), PAYMENTS, made, after(1)).await.unwrap() {
        Deleted::Gone(export) => assert_eq!((export.id, export.status), (made, Status::Queued)),
        answer => panic!("{answer:?}"),
    }
    assert_eq!(store.delete(&everything(), PAYMENTS, made, after(1)).await.unwrap(), Deleted::NotFound);
    let second = accept(&*store, scoped(1, &[("1", "P")])).await.id;
    let admin = sees(Role::Admin, &[("9", "*")]);
    assert!(matches!(store.delete(&admin, PAYMENTS, second, after(1)).await.unwrap(), Deleted::Gone(_)));
    assert_eq!(find(&*store, &admin, second).await, None);
    let third = accept(&*store, scoped(2, &[("1", "P"), ("2", "P")])).await.id;
    let maker = viewer("t", "p", Role::Viewer, scope(&[("1", "P")]));
    assert_eq!(find(&*store, &maker, third).await, None);
    assert!(matches!(store.delete(&maker, PAYMENTS, third, after(1)).await.unwrap(), Deleted::Gone(_)));
    assert_eq!(find(&*store, &everything(), third).await, None);
}

/// A deletion works in every state and leaves nothing: no file, no lease, nothing to claim.
pub async fn deleting_frees_everything(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    for n in 0..3 {
        accept(&*store, CreateExport { idempotency: key(&n.to_string(), "d"), ..request(n) }).await;
    }
    let done = claim(&*store, after(10)).await;
    assert!(store.complete(&done, completion(&done, 1), after(11)).await.unwrap());
    let running = claim(&*store, after(12)).await;
    for n in 1..=3 {
        assert!(matches!(store.delete(&everything(), PAYMENTS, id(n), after(20)).await.unwrap(), Deleted::Gone(_)));
    }
    assert!(!store.owns_file(done.export.id, done.fence).await.unwrap());
    assert!(!store.owns_file(running.export.id, running.fence).await.unwrap());
    assert_eq!(try_claim(&*store, after(10 * LEASE_MS)).await, None);
    assert_eq!(store.counts().await.unwrap(), vec![]);
    assert_eq!(store.list(&everything(), None, None, 10, None).await.unwrap().total, 0);
}

/// Pages hold every Export once, newest first, ties too.
pub async fn lists_page_newest_first(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    for n in 0..7 {
        accept(&*store, CreateExport { created_at: after(i64::from(n / 3)), ..request(n) }).await;
    }
    let mut seen = Vec::new();
    let mut next = None;
    loop {
        let page = store.list(&everything(), Some(PAYMENTS), None, 2, next).await.unwrap();
        assert_eq!(page.total, 7);
        assert!(page.items.len() <= 2);
        seen.extend(page.items.iter().map(|v| v.export.id));
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    assert_eq!(seen, [7, 6, 5, 4, 3, 2, 1].map(id));
    let exact = store.list(&everything(), None, None, 7, None).await.unwrap();
    assert_eq!((exact.items.len(), exact.next), (7, None));
}

/// A list narrows by report and status.
pub async fn lists_narrow(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    accept(&*store, request(0)).await;
    accept(&*store, request(1)).await;
    accept(&*store, CreateExport { report: ReportName::TransactionHistory, ..request(2) }).await;
    claim(&*store, after(10)).await;
    let count = async |report, status| store.list(&everything(), report, status, 10, None).await.unwrap().total;
    assert_eq!(count(None, None).await, 3);
    assert_eq!(count(Some(PAYMENTS), None).await, 2);
    assert_eq!(count(Some(PAYMENTS), Some(Status::Queued)).await, 1);
    assert_eq!(count(None, Some(Status::Queued)).await, 2);
    assert_eq!(count(None, Some(Status::Failed)).await, 0);
}

/// A manifest is for those who see the Export in full, once it ended.
pub async fn manifests_need_the_whole_scope(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let made = accept(&*store, scoped(0, &[("1", "P")])).await.id;
    assert_eq!(store.manifest(&everything(), PAYMENTS, made).await.unwrap(), None);
    let held = claim(&*store, after(10)).await;
    assert!(store.complete(&held, completion(&held, 1), after(20)).await.unwrap());
    assert!(store.manifest(&everything(), PAYMENTS, made).await.unwrap().is_some());
    assert_eq!(store.manifest(&everything(), ReportName::TransactionHistory, made).await.unwrap(), None);
    for who in [
        sees(Role::Admin, &[("2", "*")]),
        sees(Role::Viewer, &[("2", "*")]),
        viewer("u", "p", Role::Admin, Scope::everything()),
    ] {
        assert_eq!(store.manifest(&who, PAYMENTS, made).await.unwrap(), None);
    }
}

/// Counts are by report and status over all tenants.
pub async fn counts_add_up(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    accept(&*store, request(0)).await;
    accept(&*store, request_of("u", 1)).await;
    accept(
        &*store,
        CreateExport { principal: PrincipalId::new("q"), report: ReportName::TransactionHistory, ..request(2) },
    )
    .await;
    claim(&*store, after(10)).await;
    let mut counts = store.counts().await.unwrap();
    counts.sort_by_key(|(report, status, _)| (*report, status.as_str()));
    let expected = [
        (PAYMENTS, Status::Processing, 1),
        (PAYMENTS, Status::Queued, 1),
        (ReportName::TransactionHistory, Status::Queued, 1),
    ];
    assert_eq!(counts, expected);
}

/// The longest wait of each state, over all tenants and principals; what ended waits no more.
pub async fn the_longest_waits_are_told(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    assert_eq!(store.oldest().await.unwrap(), Oldest::default());
    accept(&*store, request_of("b", 5)).await;
    accept(&*store, request_of("c", 3)).await;
    accept(&*store, CreateExport { principal: PrincipalId::new("q"), ..request_of("b", 1) }).await;
    let oldest = |queued, begun| Oldest { queued_since: queued, processing_since: begun };
    assert_eq!(store.oldest().await.unwrap(), oldest(Some(after(1)), None));
    let mut held = Vec::new();
    for n in 0..3 {
        held.push(claim(&*store, after(10 + n)).await);
    }
    assert_eq!(store.oldest().await.unwrap(), oldest(None, Some(after(10))));
    assert!(store.complete(&held[0], completion(&held[0], 1), after(20)).await.unwrap());
    assert_eq!(store.oldest().await.unwrap(), oldest(None, Some(after(11))));
}
