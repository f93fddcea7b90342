//! The suite of all stores over SQLite files, and what is SQLite's own.

use std::sync::Arc;

use async_trait::async_trait;

use super::{FILE_NAME, SqliteStore};
use crate::conformance::{Fixture, accept, request, see};
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

/// Every step of a claim reads through the index of the queue, so that the queue's length does
/// not matter.
#[tokio::test]
async fn claims_read_heads_of_queues() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path()).await.unwrap();
    let plan: Vec<(i64, i64, i64, String)> =
        sqlx::query_as(sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {}", super::work::NEXT_CANDIDATE)))
            .fetch_all(&store.readers)
            .await
            .unwrap();
    let scans: Vec<_> = plan.iter().map(|(.., step)| step).filter(|step| step.starts_with("SCAN")).collect();
    let expected = |step: &str| ["SCAN steps", "SCAN tenants", "SCAN heads"].iter().any(|s| step.starts_with(s));
    assert!(scans.iter().all(|step| expected(step)), "{plan:#?}");
    let searched = plan.iter().filter(|(.., step)| step.contains("INDEX exports_open")).count();
    assert!(searched >= 5, "{plan:#?}");
}
