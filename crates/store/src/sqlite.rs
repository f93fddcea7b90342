//! The store in a SQLite file.
//!
//! Invariants: one connection writes and every write is one `BEGIN IMMEDIATE` transaction, so that
//! writers (also of other processes: the command line opens the same file) take turns and none
//! fails half way for want of a lock; acceptances that wait at the same time share a transaction;
//! commits are synced before they are answered; the file is
//! private to its user. Every UPDATE of an Export filters on the states of its
//! [`Move`](payouts_model::export::Move).

mod accept;
mod audit;
mod claim;
mod grants;
mod hold;
mod inspect;
mod read;
mod rows;
mod sweep;
#[cfg(test)]
mod tests;
mod work;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use payouts_model::{
    Export, ExportId, Grant, PrincipalId, ReportName, Role, Scope, Status, TenantId, Timestamp, Viewer,
};
use sqlx::migrate::MigrateError;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Connection as _, Sqlite};

use crate::audit::{By, Entry, Head, Record};
use crate::{
    AcceptLimits, Accepted, Claim, ClaimTerms, Completion, CreateExport, Deleted, Due, Error, FileBytes, LeaseLosses,
    LetGo, Narrow, Oldest, Page, Store, Visible,
};
pub use inspect::{OpenExport, StoredFile};
use rows::ScopeCache;

/// The file's name under the data directory.
pub const FILE_NAME: &str = "payouts.db";

/// How long a writer waits for another process's transaction, in milliseconds. Transactions last
/// milliseconds; this is for a machine that stalls.
const BUSY_TIMEOUT_MS: u64 = 15_000;
/// Pages of the log that are gathered before they go into the file: 32 MiB. Acceptances write the
/// same pages over and over, and each is copied and synced once per round.
const WAL_PAGES: u32 = 8_192;
/// The writer's page cache: the leaves that acceptances of the last hours touched.
const WRITER_CACHE_KIB: u32 = 16 * 1_024;
/// Statements that the writer keeps prepared: those that insert so and so many rows, and the others.
const WRITER_STATEMENTS: usize = 2 * rows::Inserts::ROWS_MAX + 100;
/// Connections that only read. WAL readers never wait for the writer.
const READERS_MAX: u32 = 4;

/// A transaction that holds the write lock.
type WriteTx = sqlx::Transaction<'static, Sqlite>;

/// Exports, grants and keys in one SQLite file.
#[derive(Debug)]
pub struct SqliteStore {
    writer: SqlitePool,
    readers: SqlitePool,
    scopes: Arc<ScopeCache>,
    line: accept::Line,
    trail: audit::Trail,
    access: grants::AccessCache,
    losses: claim::Losses,
}

impl SqliteStore {
    /// Opens `payouts.db` under `data_dir`, made if missing (the folder too), and brings it to
    /// this version's tables.
    ///
    /// # Errors
    /// When the file cannot be made or read, or a newer version of the program has changed it.
    pub async fn open(data_dir: &Path) -> Result<Self, Error> {
        let path = data_dir.join(FILE_NAME);
        let guard = {
            let (dir, path) = (data_dir.to_owned(), path.clone());
            tokio::task::spawn_blocking(move || prepare(&dir, &path))
                .await
                .map_err(|e| io::Error::other(e.to_string()))
                .flatten()
                .map_err(|e| at("open", true)(e.into()))?
        };
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            // Undo data of a statement; a file for it would double what an acceptance writes.
            .pragma("temp_store", "MEMORY")
            .pragma("wal_autocheckpoint", WAL_PAGES.to_string())
            .busy_timeout(Duration::from_millis(BUSY_TIMEOUT_MS));
        let pool = |max: u32| {
            let wait = Duration::from_millis(2 * BUSY_TIMEOUT_MS);
            SqlitePoolOptions::new()
                .max_connections(max)
                .acquire_timeout(wait)
                .idle_timeout(None)
                .max_lifetime(None)
                // A file does not go away as a server does.
                .test_before_acquire(false)
        };
        let writer = options.clone().pragma("cache_size", format!("-{WRITER_CACHE_KIB}"));
        let writer = writer.statement_cache_capacity(WRITER_STATEMENTS);
        let writer =
            pool(1).before_acquire(|c, _| Box::pin(sound(c))).connect_with(writer).await.map_err(at("open", true))?;
        sqlx::migrate!("./migrations").run(&writer).await.map_err(|e| migration_error(&path, e))?;
        let readers = pool(READERS_MAX).connect_with(options).await.map_err(at("open", true))?;
        drop(guard);
        let scopes = Arc::new(ScopeCache::default());
        let line = accept::Line::open(writer.clone(), scopes.clone());
        let trail = audit::Trail::open(writer.clone());
        let (access, losses) = (grants::AccessCache::default(), claim::Losses::default());
        Ok(Self { writer, readers, scopes, line, trail, access, losses })
    }

    /// Opens the database of `data_dir` for reading alone, beside whoever works with it: nothing is
    /// made, changed or brought up to date, and every write fails. `None` if there is no database.
    ///
    /// # Errors
    /// When the file cannot be read, or another version of the program wrote its tables.
    pub async fn open_read_only(data_dir: &Path) -> Result<Option<Self>, Error> {
        let path = data_dir.join(FILE_NAME);
        if !path.exists() {
            return Ok(None);
        }
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .read_only(true)
            .busy_timeout(Duration::from_millis(BUSY_TIMEOUT_MS));
        let pool = SqlitePoolOptions::new().max_connections(1).idle_timeout(None).max_lifetime(None);
        let readers = pool.connect_with(options).await.map_err(at("open", true))?;
        let found: Option<i64> = sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations WHERE success")
            .fetch_one(&readers)
            .await
            .map_err(at("read the version of the tables", true))?;
        let known = sqlx::migrate!("./migrations").iter().map(|m| m.version).max().unwrap_or_default();
        let version = found.unwrap_or_default();
        let path = path.display().to_string();
        match version.cmp(&known) {
            std::cmp::Ordering::Less => return Err(Error::NotUpgraded { path, version }),
            std::cmp::Ordering::Greater => return Err(Error::OtherVersion { path, version }),
            std::cmp::Ordering::Equal => {}
        }
        let scopes = Arc::new(ScopeCache::default());
        let line = accept::Line::open(readers.clone(), scopes.clone());
        let trail = audit::Trail::open(readers.clone());
        let (access, losses) = (grants::AccessCache::default(), claim::Losses::default());
        Ok(Some(Self { writer: readers.clone(), readers, scopes, line, trail, access, losses }))
    }

    /// Waits for what is under way and closes the file.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    async fn begin(&self, context: &'static str) -> Result<WriteTx, Error> {
        self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(at(context, true))
    }

    async fn reader(&self, context: &'static str) -> Result<sqlx::pool::PoolConnection<Sqlite>, Error> {
        self.readers.acquire().await.map_err(at(context, true))
    }
}

/// Whether a connection may begin a transaction.
///
/// Where a disk is full or breaks, SQLite ends the transaction by itself, and the rollback that
/// follows finds none and fails; the connection then counts one transaction too many for ever and
/// would refuse all writes, so it is replaced.
async fn sound(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    if !connection.is_in_transaction() {
        return Ok(true);
    }
    // A rollback may be on its way still.
    connection.ping().await?;
    Ok(!connection.is_in_transaction())
}

/// An error of the database while doing `context`. Before the commit every transaction is
/// certainly aborted; a commit that fails may have taken effect.
fn at(context: &'static str, aborted: bool) -> impl FnOnce(sqlx::Error) -> Error {
    move |source| Error::Database { context, aborted, source }
}

fn migration_error(path: &Path, error: MigrateError) -> Error {
    match error {
        MigrateError::VersionMissing(version) | MigrateError::VersionMismatch(version) => {
            Error::OtherVersion { path: path.display().to_string(), version }
        }
        other => at("bring the tables to this version", true)(other.into()),
    }
}

async fn commit(tx: WriteTx, context: &'static str) -> Result<(), Error> {
    tx.commit().await.map_err(at(context, false))
}

/// Makes the folder and an empty private file, and holds the lock under which processes that
/// start at the same time migrate one after the other.
///
/// The database file itself is never opened here once it exists: closing a descriptor of it would
/// drop the locks that SQLite holds in this process.
fn prepare(data_dir: &Path, path: &Path) -> io::Result<fs::File> {
    if !data_dir.exists() {
        private_dir(data_dir)?;
    }
    let lock = private(fs::OpenOptions::new().write(true).create(true).truncate(false)).open(lock_path(data_dir))?;
    lock.lock()?;
    match private(fs::OpenOptions::new().write(true).create_new(true)).open(path) {
        Ok(_) => {}
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => restrict(path)?,
        Err(e) => return Err(e),
    }
    Ok(lock)
}

fn lock_path(data_dir: &Path) -> PathBuf {
    data_dir.join("payouts.db.lock")
}

#[cfg(unix)]
fn private_dir(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

#[cfg(unix)]
fn private(options: &mut fs::OpenOptions) -> &mut fs::OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;
    options.mode(0o600)
}

#[cfg(unix)]
fn restrict(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    if fs::metadata(path)?.permissions().mode() & 0o077 != 0 {
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    }
    Ok(())
}

#[cfg(not(unix))]
fn private_dir(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)
}

#[cfg(not(unix))]
fn private(options: &mut fs::OpenOptions) -> &mut fs::OpenOptions {
    options
}

#[cfg(not(unix))]
fn restrict(_path: &Path) -> io::Result<()> {
    Ok(())
}

#[async_trait]
impl Store for SqliteStore {
    async fn accept(&self, create: CreateExport, limits: AcceptLimits) -> Result<Accepted, Error> {
        self.accept_export(create, limits).await
    }
    async fn find(&self, viewer: &Viewer, report: ReportName, id: ExportId) -> Result<Option<Visible>, Error> {
        self.find_export(viewer, report, id).await
    }
    async fn manifest(&self, viewer: &Viewer, report: ReportName, id: ExportId) -> Result<Option<String>, Error> {
        self.find_manifest(viewer, report, id).await
    }
    async fn search(
        &self,
        viewer: &Viewer,
        narrow: Narrow<'_>,
        top: u64,
        after: Option<(Timestamp, ExportId)>,
    ) -> Result<Page, Error> {
        self.list_exports(viewer, narrow, top, after).await
    }
    async fn delete(
        &self,
        viewer: &Viewer,
        report: ReportName,
        id: ExportId,
        now: Timestamp,
    ) -> Result<Deleted, Error> {
        self.delete_export(viewer, report, id, now).await
    }

    async fn claim(&self, node: &str, terms: &ClaimTerms, now: Timestamp) -> Result<Option<Claim>, Error> {
        self.claim_next(node, terms, now).await
    }
    async fn fix_data_version(&self, claim: &Claim, version: u64) -> Result<Option<u64>, Error> {
        self.fix_version(claim, version).await
    }
    async fn heartbeat(
        &self,
        claim: &Claim,
        rows_done: u64,
        rows_expected: Option<u64>,
        lease_ms: i64,
        now: Timestamp,
    ) -> Result<bool, Error> {
        self.renew(claim, rows_done, rows_expected, now.plus_ms(lease_ms)).await
    }
    async fn complete(&self, claim: &Claim, completion: Completion, now: Timestamp) -> Result<bool, Error> {
        self.publish(claim, completion, now).await
    }
    async fn let_go(
        &self,
        claim: &Claim,
        how: LetGo,
        attempts_max: u32,
        now: Timestamp,
    ) -> Result<Option<Status>, Error> {
        self.release(claim, how, attempts_max, now).await
    }
    async fn take_back(&self, node: &str, now: Timestamp) -> Result<u64, Error> {
        self.end_leases(node, now).await
    }
    async fn pull_back(&self, lease_until: Timestamp, not_before: Timestamp) -> Result<u64, Error> {
        self.shorten(lease_until, not_before).await
    }
    async fn next_due(&self, rows_max: Option<u64>) -> Result<Option<Timestamp>, Error> {
        self.earliest_due(rows_max).await
    }

    async fn owns_file(&self, id: ExportId, fence: u64) -> Result<bool, Error> {
        self.file_has_owner(id, fence).await
    }
    async fn expire_files(&self, now: Timestamp, max: u64) -> Result<Vec<(ExportId, u64)>, Error> {
        self.mark_expired(now, max).await
    }
    async fn purge(&self, before: Timestamp, max: u64) -> Result<u64, Error> {
        self.purge_exports(before, max).await
    }
    async fn due(&self, now: Timestamp, before: Timestamp, max: u64) -> Result<Vec<Due>, Error> {
        self.list_due(now, before, max).await
    }
    async fn hold(&self, id: ExportId, held_at: Option<Timestamp>, by: &By) -> Result<Option<Export>, Error> {
        self.set_hold(id, held_at, by).await
    }
    async fn versions_in_use(&self, report: ReportName, now: Timestamp) -> Result<BTreeSet<u64>, Error> {
        self.data_versions_in_use(report, now).await
    }
    async fn purge_keys(&self, now: Timestamp) -> Result<u64, Error> {
        self.purge_old_keys(now).await
    }

    async fn access(&self, tenant: &TenantId, principal: &PrincipalId, now: Timestamp) -> Result<(Role, Scope), Error> {
        self.grants_in_force(tenant, principal, now).await
    }
    async fn grants(&self) -> Result<Vec<Grant>, Error> {
        self.all_grants().await
    }
    async fn grant(&self, grants: &[Grant], by: &By) -> Result<u64, Error> {
        self.add_grants(grants, by).await
    }
    async fn revoke(&self, grants: &[Grant], by: &By) -> Result<u64, Error> {
        self.remove_grants(grants, by).await
    }
    async fn apply_grants(&self, grants: &[Grant], by: &By) -> Result<(u64, u64), Error> {
        self.replace_grants(grants, by).await
    }

    async fn audit(&self, record: &Record) -> Result<Head, Error> {
        self.append_record(record).await
    }
    async fn audit_head(&self) -> Result<Head, Error> {
        self.newest_record().await
    }
    async fn audit_entries(&self, after: u64, max: u64) -> Result<Vec<Entry>, Error> {
        self.records_after(after, max).await
    }

    async fn ping(&self) -> Result<(), Error> {
        let mut reader = self.reader("ping").await?;
        sqlx::query("SELECT count(*) FROM grants WHERE tenant = ''")
            .execute(&mut *reader)
            .await
            .map_err(at("ping", true))?;
        Ok(())
    }
    async fn file_bytes(&self, tenant: &TenantId) -> Result<FileBytes, Error> {
        self.published_bytes(tenant).await
    }
    async fn counts(&self) -> Result<Vec<(ReportName, Status, u64)>, Error> {
        self.count_by_status().await
    }
    async fn oldest(&self) -> Result<Oldest, Error> {
        self.longest_waits().await
    }
    fn lease_losses(&self) -> LeaseLosses {
        self.losses.so_far()
    }
}
