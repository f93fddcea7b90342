//! The audit record: what is done is in it, once, and what is not done is not.

use std::sync::Arc;

use payouts_model::{ExportId, Grant, Pair, ParticipantId, ReportName, Role, TenantId};

use super::{Fixture, START, accept, after, by, claim, completion, everything, id, key, request};
use crate::audit::{Check, Entry, Event, Head, Record};
use crate::{CreateExport, Deleted, Store};

fn grant(participant: &str) -> Grant {
    Grant {
        tenant: TenantId::new("t"),
        principal: None,
        pair: Pair { participant: Some(ParticipantId::new(participant)), program: None },
        role: Role::Viewer,
        until: None,
    }
}

/// A download that ended.
fn ended(n: u128) -> Record {
    let event = Event::DownloadEnded { export: id(n), request: n.to_string(), sent_bytes: 5 };
    Record::new(&by(), event)
}

/// Every record in order; the chain is whole and its head is the store's.
async fn entries(store: &dyn Store) -> Vec<Entry> {
    let entries = store.audit_entries(0, 100_000).await.expect("entries");
    let mut check = Check::new(Vec::new());
    for entry in &entries {
        check.next(entry).expect("a whole chain");
    }
    assert_eq!(check.end(), Ok(store.audit_head().await.expect("head")));
    entries
}

/// Whether each record in its place holds each text.
#[track_caller]
fn assert_holds(entries: &[Entry], texts: &[&[&str]]) {
    assert_eq!(entries.len(), texts.len(), "{entries:#?}");
    for (entry, texts) in entries.iter().zip(texts) {
        for text in *texts {
            assert!(entry.record.contains(text), "'{text}' is not in {}", entry.record);
        }
    }
}

/// Acceptances, deletions and changes of grants are recorded with who and what, and outlive a store.
pub async fn what_is_done_is_recorded(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    assert_eq!(store.audit_head().await.unwrap(), Head::NONE);
    store.grant(&[grant("1"), grant("2")], &by()).await.unwrap();
    let made = accept(&*store, request(0)).await.id;
    store.revoke(&[grant("1")], &by()).await.unwrap();
    store.apply_grants(&[grant("3")], &by()).await.unwrap();
    let deleted = store.delete(&everything(), ReportName::Payments, made, after(77)).await.unwrap();
    assert!(matches!(deleted, Deleted::Gone(_)));
    let head = store.audit(&ended(9)).await.unwrap();
    assert_eq!(store.audit_head().await.unwrap(), head);
    drop(store);
    let store = fixture.open().await;
    let (made, at) = (made.to_string(), after(77).to_string());
    assert_holds(
        &entries(&*store).await,
        &[
            &["grant.given", "\"participant\":\"1\"", "{\"operator\":\"op\"}", "\"applied\":false"],
            &["grant.given", "\"participant\":\"2\""],
            &["export.accepted", &made, "{\"tenant\":\"t\",\"principal\":\"p\"}"],
            &["grant.revoked", "\"participant\":\"1\"", "\"applied\":false"],
            &["grant.revoked", "\"participant\":\"2\"", "\"applied\":true"],
            &["grant.given", "\"participant\":\"3\"", "\"applied\":true"],
            &["export.deleted", &made, &at, "\"madeBy\":\"p\"", "\"status\":\"Queued\""],
            &["download.ended"],
        ],
    );
}

/// What is refused, answered again, already so or not there leaves no record.
pub async fn nothing_is_recorded_that_was_not_done(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let keyed = CreateExport { idempotency: key("k", "d"), ..request(0) };
    accept(&*store, keyed.clone()).await;
    store.grant(&[grant("1")], &by()).await.unwrap();
    let before = entries(&*store).await;
    store.accept(CreateExport { id: id(50), ..keyed.clone() }, super::limit(10)).await.unwrap();
    store.accept(CreateExport { id: id(51), idempotency: key("k", "other"), ..keyed }, super::limit(10)).await.unwrap();
    store.accept(request(1), super::limit(1)).await.unwrap();
    store.delete(&everything(), ReportName::Payments, ExportId(uuid::Uuid::nil()), START).await.unwrap();
    store.grant(&[grant("1")], &by()).await.unwrap();
    store.revoke(&[grant("2")], &by()).await.unwrap();
    store.apply_grants(&[grant("1")], &by()).await.unwrap();
    assert_eq!(entries(&*store).await, before);
}

/// Two stores, as two processes have them, and many tasks of each: one chain, everything in it
/// once.
pub async fn many_writers_make_one_chain(fixture: &dyn Fixture) {
    let stores = [fixture.open().await, fixture.open().await];
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..64_u32 {
        let store = Arc::clone(&stores[n as usize % 2]);
        tasks.spawn(async move {
            accept(&*store, request(n)).await;
            store.grant(&[grant(&n.to_string())], &by()).await.unwrap();
            store.audit(&ended(u128::from(n) + 1)).await.unwrap();
            if n % 4 == 0 {
                let made = id(u128::from(n) + 1);
                store.delete(&everything(), ReportName::Payments, made, after(1)).await.unwrap();
            }
        });
    }
    tasks.join_all().await;
    let entries = entries(&*stores[0]).await;
    let of = |action: &str| entries.iter().filter(|e| e.record.contains(action)).count();
    let counts = ["export.accepted", "grant.given", "download.ended", "export.deleted"].map(of);
    assert_eq!(counts, [64, 64, 64, 16]);
    for n in 1..=64 {
        let accepted = |e: &&Entry| e.record.contains("export.accepted") && e.record.contains(&id(n).to_string());
        assert_eq!(entries.iter().filter(accepted).count(), 1, "{n}");
    }
}

/// Pages of any size put together are the whole.
pub async fn pages_hold_every_record_once(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    for n in 0..7 {
        accept(&*store, request(n)).await;
    }
    let whole = entries(&*store).await;
    for size in [1, 2, 3, 7, 8] {
        let (mut read, mut after) = (Vec::new(), 0);
        loop {
            let page = store.audit_entries(after, size).await.unwrap();
            let Some(last) = page.last() else { break };
            after = last.seq;
            read.extend(page);
        }
        assert_eq!(read, whole);
    }
}

/// Files, Exports and keys go; the record of them stays.
pub async fn it_is_never_swept(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    accept(&*store, CreateExport { idempotency: key("k", "d"), ..request(0) }).await;
    let held = claim(&*store, after(100)).await;
    assert!(store.complete(&held, completion(&held, 2), after(200)).await.unwrap());
    let before = entries(&*store).await;
    let late = after(i64::from(u32::MAX));
    assert_eq!(store.expire_files(late, 10).await.unwrap().len(), 1);
    assert_eq!(store.purge(late, 10).await.unwrap(), 1);
    store.purge_keys(late).await.unwrap();
    assert_eq!(entries(&*store).await, before);
}
