//! Retention: files, Exports and keys whose time is over.

use payouts_faults::{Point, pass};
use payouts_model::export::Move;
use payouts_model::{ExportId, Status, TenantId, Timestamp, Warning};

use super::rows::{count, json, number, states, to_json};
use super::{SqliteStore, at, commit};
use crate::{Error, FILE_EXPIRED_WARNING, FileBytes, IDEMPOTENCY_KEY_MS};

const SWEEP: &str = "sweep";

impl SqliteStore {
    pub(super) async fn file_has_owner(&self, id: ExportId, fence: u64) -> Result<bool, Error> {
        let mut reader = self.reader(SWEEP).await?;
        let owners: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM exports WHERE id = ?1 AND ( \
                 (status = ?3 AND file_fence = ?2) \
                 OR (fence = ?2 AND lease_until IS NOT NULL AND status IN (SELECT value FROM json_each(?4))))",
        )
        .bind(id.to_string())
        .bind(count(fence))
        .bind(Status::Completed.as_str())
        .bind(states(Move::Complete))
        .fetch_one(&mut *reader)
        .await
        .map_err(at(SWEEP, true))?;
        Ok(owners > 0)
    }

    pub(super) async fn published_bytes(&self, tenant: &TenantId) -> Result<FileBytes, Error> {
        const COUNT: &str = "count the bytes of files";
        let mut reader = self.reader(COUNT).await?;
        let (own, total): (i64, i64) = sqlx::query_as(
            "SELECT coalesce(sum(bytes) FILTER (WHERE tenant = ?1), 0), coalesce(sum(bytes), 0) FROM file_bytes",
        )
        .bind(tenant.as_str())
        .fetch_one(&mut *reader)
        .await
        .map_err(at(COUNT, true))?;
        let what = || "bytes of files".to_owned();
        Ok(FileBytes { tenant: number(own, what)?, total: number(total, what)? })
    }

    pub(super) async fn mark_expired(&self, now: Timestamp, max: u64) -> Result<Vec<(ExportId, u64)>, Error> {
        let mut tx = self.begin(SWEEP).await?;
        let due: Vec<(i64, String, i64, String)> = sqlx::query_as(
            "SELECT seq, id, file_fence, warnings FROM exports WHERE file_fence IS NOT NULL AND file_expires_at <= ?1 AND held_at IS NULL \
             ORDER BY file_expires_at LIMIT ?2",
        )
        .bind(now.0)
        .bind(count(max))
        .fetch_all(&mut *tx)
        .await
        .map_err(at(SWEEP, true))?;
        let mut marked = Vec::with_capacity(due.len());
        for (seq, id, fence, warnings) in due {
            let what = || format!("file of export {id}");
            let mut warnings: Vec<Warning> = json(&warnings, what)?;
            warnings.push(Warning {
                code: FILE_EXPIRED_WARNING.to_owned(),
                message:
                    "The file's retention is over and it was deleted. Ask again for the same export to get a new one."
                        .to_owned(),
            });
            sqlx::query("UPDATE exports SET file = NULL, file_fence = NULL, warnings = ?1, revision = revision + 1 WHERE seq = ?2")
                .bind(to_json(&warnings))
                .bind(seq)
                .execute(&mut *tx)
                .await
                .map_err(at(SWEEP, true))?;
            marked.push((id.parse().map_err(|_| Error::Corrupt { what: what() })?, number(fence, what)?));
        }
        if !marked.is_empty() {
            pass(Point::SweepExpire).await.map_err(|e| at(SWEEP, true)(e.into()))?;
        }
        commit(tx, SWEEP).await?;
        Ok(marked)
    }

    pub(super) async fn purge_exports(&self, before: Timestamp, max: u64) -> Result<u64, Error> {
        let mut tx = self.begin(SWEEP).await?;
        let purged = sqlx::query(
            "DELETE FROM exports WHERE seq IN ( \
                 SELECT seq FROM exports WHERE ended_at IS NOT NULL AND ended_at < ?1 AND file_fence IS NULL AND held_at IS NULL \
                 ORDER BY ended_at LIMIT ?2)",
        )
        .bind(before.0)
        .bind(count(max))
        .execute(&mut *tx)
        .await
        .map_err(at(SWEEP, true))?
        .rows_affected();
        if purged > 0 {
            sqlx::query(
                "DELETE FROM scopes WHERE NOT EXISTS (SELECT 1 FROM exports WHERE exports.scope = scopes.digest)",
            )
            .execute(&mut *tx)
            .await
            .map_err(at(SWEEP, true))?;
            pass(Point::SweepPurge).await.map_err(|e| at(SWEEP, true)(e.into()))?;
        }
        commit(tx, SWEEP).await?;
        Ok(purged)
    }

    pub(super) async fn purge_old_keys(&self, now: Timestamp) -> Result<u64, Error> {
        let mut tx = self.begin(SWEEP).await?;
        let purged = sqlx::query("DELETE FROM idempotency_keys WHERE created_at <= ?1")
            .bind(now.plus_ms(-IDEMPOTENCY_KEY_MS).0)
            .execute(&mut *tx)
            .await
            .map_err(at(SWEEP, true))?
            .rows_affected();
        commit(tx, SWEEP).await?;
        Ok(purged)
    }
}
