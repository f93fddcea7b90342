//! The suite of all stores over SQLite files, and what is SQLite's own.

use std::sync::Arc;

use async_trait::async_trait;

use super::{FILE_NAME, SqliteStore};
use crate::conformance::{Fixture, accept, by, limit, request, see};
use crate::{Error, Store};

/// A data directory of its own.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
}

#[async_trait]
impl Fixture for Folder {
    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(SqliteStore::open(self.0.path()).await.unwrap())
    }
}

mod conforms {
    use super::Folder;
    crate::conformance_tests!(Folder::new());
}

#[cfg(unix)]
#[tokio::test]
async fn files_are_private() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("made/by/open");
    let store = SqliteStore::open(&data).await.unwrap();
    accept(&store, request(0)).await;
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    for entry in std::fs::read_dir(&data).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
    store.close().await;
    std::fs::set_permissions(data.join(FILE_NAME), std::fs::Permissions::from_mode(0o644)).unwrap();
    SqliteStore::open(&data).await.unwrap();
    assert_eq!(mode(&data.join(FILE_NAME)), 0o600, "opening makes it private again");
}

#[tokio::test]
async fn closing_and_opening_again_keeps_everything() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path()).await.unwrap();
    let made = accept(&store, request(0)).await;
    store.close().await;
    assert!(store.ping().await.is_err());
    let store = SqliteStore::open(folder.path()).await.unwrap();
    assert_eq!(see(&store, made.id).await, made);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_may_open_a_new_folder_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let path = folder.path().to_owned();
        tasks.spawn(async move { SqliteStore::open(&path).await.map(|_| ()) });
    }
    for opened in tasks.join_all().await {
        opened.unwrap();
    }
}

#[tokio::test]
async fn a_newer_versions_database_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path()).await.unwrap();
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (9000, 'from the future', true, x'00', 0)",
    )
    .execute(&store.writer)
    .await
    .unwrap();
    store.close().await;
    let error = SqliteStore::open(folder.path()).await.unwrap_err();
    assert!(matches!(error, Error::OtherVersion { version: 9000, .. }), "{error}");
}

#[tokio::test]
async fn what_is_no_database_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE_NAME);
    let text = "dear diary\n".repeat(500);
    std::fs::write(&path, &text).unwrap();
    assert!(SqliteStore::open(folder.path()).await.is_err());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}

async fn steps(store: &SqliteStore, sql: &str) -> Vec<String> {
    let plan: Vec<(i64, i64, i64, String)> = sqlx::query_as(sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}")))
        .fetch_all(&store.readers)
        .await
        .unwrap();
    plan.into_iter().map(|(.., step)| step).collect()
}

/// A claim walks over what was begun, which is little, and steps from head to head of the queues:
/// the queues' length does not matter. Nothing walks over the Exports.
#[tokio::test]
async fn claims_read_heads_of_queues() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path()).await.unwrap();
    let plan = steps(&store, super::claim::NEXT_CANDIDATE).await;
    let small = ["begun", "queues", "q", "h", "of_tenant", "of_principal"].map(|t| format!("SCAN {t}"));
    // The one is little; of the other only the first entry is read, as LIMIT 1 says.
    let (begun, first) = ("SCAN exports USING INDEX exports_begun", "SCAN n USING COVERING INDEX exports_queued");
    for step in plan.iter().filter(|step| step.starts_with("SCAN")) {
        assert!(step == begun || step == first || small.contains(step), "{step}: {plan:#?}");
    }
    for once in [begun, first] {
        assert_eq!(plan.iter().filter(|s| *s == once).count(), 1, "{plan:#?}");
    }
    // From one head to the next: a seek to the first entry beyond this pair.
    let next = "SEARCH n USING COVERING INDEX exports_queued ((tenant,principal)>(?,?))";
    assert!(plan.iter().any(|s| s == next), "{plan:#?}");
    for seek in ["SEARCH e USING INTEGER PRIMARY KEY (rowid=?)", "SEARCH turns USING PRIMARY KEY (tenant=?)"] {
        assert!(plan.iter().any(|s| s == seek), "{seek}: {plan:#?}");
    }
    let oldest = steps(&store, super::claim::OLDEST).await;
    for step in oldest.iter().filter(|step| step.starts_with("SCAN")) {
        assert!(
            step == begun || step == first || ["SCAN queues", "SCAN CONSTANT ROW"].contains(&&**step),
            "{step}: {oldest:#?}"
        );
    }
    assert!(oldest.iter().any(|s| s == next), "{oldest:#?}");
    let due = steps(&store, super::claim::EARLIEST_DUE).await;
    assert!(due.len() == 1 && due[0].ends_with("exports USING INDEX exports_begun"), "{due:?}");
}

/// Lengths and places of queues are sums over blocks and parts of one, never walks over the table.
#[tokio::test]
async fn queue_lengths_and_places_read_blocks() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path()).await.unwrap();
    for sql in [super::read::POSITIONS, super::accept::BEFORE] {
        let steps = steps(&store, sql).await;
        assert!(steps.iter().any(|s| s.starts_with("SEARCH b USING PRIMARY KEY")), "{steps:#?}");
        let scans = steps.iter().filter(|s| s.starts_with("SCAN"));
        assert!(scans.clone().all(|s| s.contains("VIRTUAL TABLE")), "{steps:#?}");
        if sql == super::read::POSITIONS {
            let range = "USING COVERING INDEX exports_open (tenant=? AND status=? AND seq>? AND seq<?)";
            assert!(steps.iter().any(|s| s.contains(range)), "{steps:#?}");
        }
    }
}

/// What was queued before the blocks were counted is counted.
#[tokio::test]
async fn a_database_of_the_first_version_is_brought_up() {
    use sqlx::Connection;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE_NAME);
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let mut old = sqlx::sqlite::SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::migrate!("./migrations").run_to(1, &mut old).await.unwrap();
    let create = request(0);
    sqlx::raw_sql("INSERT INTO scopes VALUES ('d', '[{\"participant\":null,\"program\":null}]')")
        .execute(&mut old)
        .await
        .unwrap();
    let mut filling = old.begin().await.unwrap();
    for n in 0..3_000 {
        sqlx::query(
            "INSERT INTO exports (id, report, tenant, principal, status, query, scope, created_at, ended_at, \
             rows_expected, manifest) VALUES (?1, 'payments', ?2, 'p', ?3, ?4, 'd', ?5, ?6, 0, ?7)",
        )
        .bind(crate::conformance::id(n + 1).to_string())
        .bind(if n % 3 == 0 { "u" } else { "t" })
        .bind(if n % 2 == 0 { "Queued" } else { "Completed" })
        .bind(super::rows::to_json(&create.query))
        .bind(i64::try_from(n).unwrap())
        .bind((n % 2 == 1).then_some(1))
        .bind((n % 2 == 1).then(|| format!("{{\"rowCount\":{n}}}")))
        .execute(&mut *filling)
        .await
        .unwrap();
    }
    filling.commit().await.unwrap();
    old.close().await.unwrap();
    let store = SqliteStore::open(folder.path()).await.unwrap();
    let new = crate::CreateExport { id: crate::conformance::id(10_000), ..request(1) };
    let accepted = store.accept(new.clone(), limit(1_001)).await.unwrap();
    assert!(matches!(accepted, crate::Accepted::New { queue_position: 1_001, .. }), "{accepted:?}");
    let full =
        store.accept(crate::CreateExport { id: crate::conformance::id(10_001), ..new }, limit(1_001)).await.unwrap();
    assert_eq!(full, crate::Accepted::QueueFull { limit: 1_001 });
    // Its manifests are text, and are read as ever.
    let viewer = crate::conformance::everything();
    let text = store.manifest(&viewer, payouts_model::ReportName::Payments, crate::conformance::id(2)).await;
    assert_eq!(text.unwrap().as_deref(), Some("{\"rowCount\":1}"));
}

/// The blocks agree with the table after every kind of move, and none is left of an empty queue.
#[tokio::test]
async fn blocks_agree_with_the_table() {
    use crate::conformance::{after, claim, completion, everything};
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path()).await.unwrap();
    let mut made = Vec::new();
    for n in 0..20 {
        made.push(accept(&store, request(n)).await.id);
    }
    for n in 0..10 {
        let held = claim(&store, after(10)).await;
        if n % 2 == 0 {
            assert!(store.complete(&held, completion(&held, 1), after(11)).await.unwrap());
        } else {
            store.let_go(&held, crate::LetGo::HandBack, 3, after(11)).await.unwrap();
        }
    }
    let sums = || async {
        let sum = sqlx::query_scalar::<_, i64>("SELECT coalesce(sum(queued), 0) FROM queue_blocks");
        sum.fetch_one(&store.readers).await.unwrap()
    };
    assert_eq!(sums().await, 10);
    for id in made {
        store.delete(&everything(), payouts_model::ReportName::Payments, id, after(20)).await.unwrap();
    }
    assert_eq!(sums().await, 0);
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM queue_blocks").fetch_one(&store.readers).await.unwrap();
    assert_eq!(rows, 0);
}

/// Everybody who waits is told when the database is gone, and nobody waits for ever.
#[tokio::test]
async fn callers_of_a_closed_store_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path()).await.unwrap();
    store.close().await;
    let error = store.accept(request(0), limit(10)).await.unwrap_err();
    assert!(matches!(error, Error::Database { aborted: true, .. }), "{error:?}");
}

#[tokio::test]
async fn reading_alone_makes_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    assert!(SqliteStore::open_read_only(folder.path()).await.unwrap().is_none());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    let store = SqliteStore::open(folder.path()).await.unwrap();
    let made = accept(&store, request(0)).await;
    let reading = SqliteStore::open_read_only(folder.path()).await.unwrap().unwrap();
    assert_eq!(see(&reading, made.id).await, made, "beside one who writes");
    assert_eq!(reading.integrity().await.unwrap(), Vec::<String>::new());
    assert_eq!(reading.open_exports().await.unwrap().len(), 1);
    assert!(reading.hold(made.id, Some(made.created_at), &by()).await.is_err(), "it cannot write");
    store.close().await;
    sqlx::query("DELETE FROM _sqlx_migrations WHERE version = (SELECT max(version) FROM _sqlx_migrations)")
        .execute(
            &sqlx::SqlitePool::connect(&format!("sqlite://{}", folder.path().join(FILE_NAME).display())).await.unwrap(),
        )
        .await
        .unwrap();
    reading.close().await;
    let older = SqliteStore::open_read_only(folder.path()).await.unwrap_err();
    assert!(matches!(older, Error::NotUpgraded { .. }), "{older}");
}

/// What cannot be recorded is not done: acceptance, deletion, granting and revoking fail with the
/// record, and leave nothing.
#[tokio::test]
async fn nothing_is_done_without_its_record() {
    use crate::conformance::{everything, id};
    use payouts_model::{Grant, Pair, ReportName, Role, TenantId};
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path()).await.unwrap();
    let grant = |tenant: &str| Grant {
        tenant: TenantId::new(tenant),
        principal: None,
        pair: Pair { participant: None, program: None },
        role: Role::Viewer,
        until: None,
    };
    let made = accept(&store, request(0)).await;
    store.grant(&[grant("t")], &by()).await.unwrap();
    let head = store.audit_head().await.unwrap();
    sqlx::raw_sql("CREATE TRIGGER broken BEFORE INSERT ON audit BEGIN SELECT raise(ABORT, 'no room'); END")
        .execute(&store.writer)
        .await
        .unwrap();
    let refused = store.accept(request(1), limit(10)).await.unwrap_err();
    assert!(matches!(refused, Error::Database { aborted: true, .. }), "{refused:?}");
    let now = crate::conformance::START;
    store.delete(&everything(), ReportName::Payments, made.id, now).await.unwrap_err();
    store.grant(&[grant("u")], &by()).await.unwrap_err();
    store.revoke(&[grant("t")], &by()).await.unwrap_err();
    store.apply_grants(&[], &by()).await.unwrap_err();
    assert_eq!(see(&store, made.id).await, made);
    assert!(store.find(&everything(), ReportName::Payments, id(2)).await.unwrap().is_none());
    assert_eq!(store.grants().await.unwrap(), [grant("t")]);
    assert_eq!(store.audit_head().await.unwrap(), head);
    sqlx::raw_sql("DROP TRIGGER broken").execute(&store.writer).await.unwrap();
    accept(&store, request(1)).await;
    assert_eq!(store.audit_head().await.unwrap().seq, head.seq + 1);
}

/// The tables themselves refuse to change or lose a record.
#[tokio::test]
async fn audit_records_are_append_only() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path()).await.unwrap();
    accept(&store, request(0)).await;
    for sql in ["UPDATE audit SET record = '{}'", "DELETE FROM audit", "UPDATE audit SET seq = 7"] {
        let refused = sqlx::raw_sql(sql).execute(&store.writer).await.unwrap_err();
        assert!(refused.to_string().contains("never"), "{sql}: {refused}");
    }
    assert_eq!(store.audit_entries(0, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_full_disk_does_not_stop_the_store_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path()).await.unwrap();
    let before = accept(&store, request(0)).await;
    // The file may not grow: SQLite ends the transaction by itself, as on a full disk.
    sqlx::query("PRAGMA max_page_count = 1").execute(&store.writer).await.unwrap();
    let mut long = request(1);
    long.query.text = "x".repeat(1 << 20);
    assert!(matches!(store.accept(long, limit(100)).await, Err(Error::Database { .. })));
    let after = accept(&store, request(2)).await;
    assert_eq!(see(&store, before.id).await, before);
    assert_eq!(see(&store, after.id).await, after);
}
