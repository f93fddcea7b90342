//! The suite of all stores over SQLite files, and what is SQLite's own.

use std::sync::Arc;

use async_trait::async_trait;

use super::{FILE_NAME, SqliteStore};
use crate::Store;
use crate::conformance::{Fixture, accept, request, see};

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
async fn a_full_queue_does_not_slow_a_claim_down_to_its_length() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path()).await.unwrap();
    let plan: Vec<(i64, i64, i64, String)> = sqlx::query_as(
        "EXPLAIN QUERY PLAN SELECT min(e.seq) FROM exports e \
         WHERE e.ended_at IS NULL AND e.tenant = 't' AND e.status = 'Queued'",
    )
    .fetch_all(&store.readers)
    .await
    .unwrap();
    assert!(plan.iter().all(|(.., step)| step.contains("exports_open")), "{plan:?}");
}
