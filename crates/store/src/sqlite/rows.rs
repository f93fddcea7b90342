//! How an Export lies in its row: the one place that turns rows into Exports, and the scopes that
//! rows name by digest.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use payouts_model::export::{Move, Progress};
use payouts_model::{Export, PrincipalId, Scope, Status, TenantId, Timestamp};
use serde::de::DeserializeOwned;
use sqlx::SqliteConnection;

use super::{SqliteStore, at};
use crate::Error;

/// A statement that gives [`ExportRow`]s: the columns, then what follows them.
macro_rules! export_sql {
    ($before:literal, $after:literal) => {
        concat!(
            $before,
            " seq, id, report, tenant, principal, status, query, scope, created_at, started_at, ended_at, \
              failed_attempts, lost_leases, fence, data_version, rows_done, rows_expected, file, \
              file_expires_at, failure, warnings, revision, held_at, trace ",
            $after
        )
    };
}
pub(super) use export_sql;

/// Statements that insert 1, 2, 3 … rows into a table: one to run for any number of rows, each
/// prepared once.
pub(super) struct Inserts([Arc<str>; Inserts::ROWS_MAX]);

impl Inserts {
    /// The most rows of one statement.
    pub const ROWS_MAX: usize = 64;

    /// Into `table (columns…)` rows of the form `(?, …)`.
    pub fn new(table: &str, row: &str) -> Self {
        let of = |rows: usize| format!("INSERT INTO {table} VALUES {}", vec![row; rows].join(", ")).into();
        Self(std::array::from_fn(|at| of(at + 1)))
    }

    /// The statement for so many rows.
    pub fn of(&self, rows: usize) -> Arc<str> {
        self.0[rows - 1].clone()
    }
}

/// An Export as it lies in the table.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(super) struct ExportRow {
    pub seq: i64,
    pub id: String,
    pub report: String,
    pub tenant: String,
    pub principal: String,
    pub status: String,
    pub query: String,
    pub scope: String,
    pub created_at: i64,
    pub started_at: Option<i64>,
    pub ended_at: Option<i64>,
    pub failed_attempts: i64,
    pub lost_leases: i64,
    pub fence: i64,
    pub data_version: Option<i64>,
    pub rows_done: i64,
    pub rows_expected: Option<i64>,
    pub file: Option<String>,
    pub file_expires_at: Option<i64>,
    pub failure: Option<String>,
    pub warnings: String,
    pub revision: i64,
    pub held_at: Option<i64>,
    pub trace: Option<String>,
}

impl ExportRow {
    /// The Export, with the scope that its digest names.
    pub(super) fn into_export(self, scope: &Scope) -> Result<Export, Error> {
        let Self {
            seq: _,
            id,
            report,
            tenant,
            principal,
            status,
            query,
            scope: _,
            created_at,
            started_at,
            ended_at,
            failed_attempts,
            lost_leases,
            fence,
            data_version,
            rows_done,
            rows_expected,
            file,
            file_expires_at,
            failure,
            warnings,
            revision,
            held_at,
            trace: _,
        } = self;
        let what = |column: &str| format!("{column} of export {id}");
        Ok(Export {
            report: report.parse().map_err(|_| Error::Corrupt { what: what("report") })?,
            tenant: TenantId::new(tenant),
            principal: PrincipalId::new(principal),
            status: status.parse().map_err(|_| Error::Corrupt { what: what("status") })?,
            query: json(&query, || what("query"))?,
            scope: scope.clone(),
            created_at: Timestamp(created_at),
            started_at: started_at.map(Timestamp),
            ended_at: ended_at.map(Timestamp),
            failed_attempts: number(failed_attempts, || what("failed_attempts"))?,
            lost_leases: number(lost_leases, || what("lost_leases"))?,
            fence: number(fence, || what("fence"))?,
            data_version: data_version.map(|v| number(v, || what("data_version"))).transpose()?,
            progress: Progress {
                rows_done: number(rows_done, || what("rows_done"))?,
                rows_expected: rows_expected.map(|v| number(v, || what("rows_expected"))).transpose()?,
            },
            file: file.map(|text| json(&text, || what("file"))).transpose()?,
            file_expires_at: file_expires_at.map(Timestamp),
            failure: failure.map(|text| json(&text, || what("failure"))).transpose()?,
            warnings: json(&warnings, || what("warnings"))?,
            revision: number(revision, || what("revision"))?,
            held_at: held_at.map(Timestamp),
            id: id.parse().map_err(|_| Error::Corrupt { what: what("id") })?,
        })
    }
}

/// Reads a JSON column.
pub(super) fn json<T: DeserializeOwned>(text: &str, what: impl Fn() -> String) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|e| Error::Corrupt { what: format!("{}: {e}", what()) })
}

/// Writes a JSON column.
pub(super) fn to_json<T: serde::Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).expect("plain data with text keys is always JSON")
}

/// Reads a column that is never negative.
pub(super) fn number<T: TryFrom<i64>>(value: i64, what: impl Fn() -> String) -> Result<T, Error> {
    T::try_from(value).map_err(|_| Error::Corrupt { what: what() })
}

/// Writes a count. Counts beyond what a column holds do not occur; the greatest stands for them.
pub(super) fn count(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// The states that a move is legal in, as the JSON array that statements filter on.
pub(super) fn states(movement: Move) -> String {
    to_json(&movement.from().iter().map(|s| s.as_str()).collect::<Vec<_>>())
}

/// The state that a move leads to.
pub(super) fn target(movement: Move) -> &'static str {
    movement.to().map_or("", Status::as_str)
}

/// Scopes by digest. A digest names its content, so that what is cached never grows old.
#[derive(Debug, Default)]
pub(super) struct ScopeCache(Mutex<HashMap<String, Scope>>);

/// Scopes kept in memory: distinct ones are few, as many Exports share one.
const CACHED_SCOPES_MAX: usize = 1_000;

impl ScopeCache {
    fn get(&self, digest: &str) -> Option<Scope> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(digest).cloned()
    }

    fn put(&self, digest: String, scope: Scope) {
        let mut cached = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if cached.len() >= CACHED_SCOPES_MAX {
            cached.clear();
        }
        cached.insert(digest, scope);
    }
}

impl ScopeCache {
    /// The scope that a digest names.
    pub(super) async fn scope(&self, connection: &mut SqliteConnection, digest: &str) -> Result<Scope, Error> {
        if let Some(scope) = self.get(digest) {
            return Ok(scope);
        }
        let pairs: Option<String> = sqlx::query_scalar("SELECT pairs FROM scopes WHERE digest = ?1")
            .bind(digest)
            .fetch_optional(connection)
            .await
            .map_err(at("read a scope", true))?;
        let what = || format!("scope {digest}");
        let pairs = pairs.ok_or_else(|| Error::Corrupt { what: what() })?;
        let scope: Scope = json(&pairs, what)?;
        self.put(digest.to_owned(), scope.clone());
        Ok(scope)
    }

    /// The Export of a row.
    pub(super) async fn export(&self, connection: &mut SqliteConnection, row: ExportRow) -> Result<Export, Error> {
        let scope = self.scope(connection, &row.scope).await?;
        row.into_export(&scope)
    }
}

impl SqliteStore {
    /// The scope that a digest names.
    pub(super) async fn scope(&self, connection: &mut SqliteConnection, digest: &str) -> Result<Scope, Error> {
        self.scopes.scope(connection, digest).await
    }

    /// The Export of a row.
    pub(super) async fn export(&self, connection: &mut SqliteConnection, row: ExportRow) -> Result<Export, Error> {
        self.scopes.export(connection, row).await
    }
}
