//! Acceptance: key, queue limit and insert in one transaction.

use payouts_model::Status;
use payouts_model::export::{Export, Progress};

use super::rows::{ExportRow, count, export_sql, to_json};
use super::{SqliteStore, WriteTx, at, commit};
use crate::{Accepted, CreateExport, Error, IDEMPOTENCY_KEY_MS, IdempotencyKey};

const ACCEPT: &str = "accept an export";

impl SqliteStore {
    pub(super) async fn accept_export(&self, create: CreateExport, tenant_queue_max: u64) -> Result<Accepted, Error> {
        let mut tx = self.begin(ACCEPT).await?;
        if let Some(key) = &create.idempotency
            && let Some(answer) = self.held_by_key(&mut tx, &create, key).await?
        {
            return Ok(answer);
        }
        let queued: i64 =
            sqlx::query_scalar("SELECT count(*) FROM exports WHERE tenant = ?1 AND status = ?2 AND ended_at IS NULL")
                .bind(create.tenant.as_str())
                .bind(Status::Queued.as_str())
                .fetch_one(&mut *tx)
                .await
                .map_err(at(ACCEPT, true))?;
        if queued >= count(tenant_queue_max) {
            return Ok(Accepted::QueueFull { limit: tenant_queue_max });
        }
        let export = insert(&mut tx, create).await.map_err(at(ACCEPT, true))?;
        commit(tx, ACCEPT).await?;
        Ok(Accepted::New(export))
    }

    /// What the key answers; `None` if it is free (again). A free key's old row is deleted.
    async fn held_by_key(
        &self,
        tx: &mut WriteTx,
        create: &CreateExport,
        key: &IdempotencyKey,
    ) -> Result<Option<Accepted>, Error> {
        let held: Option<(String, String, i64)> = sqlx::query_as(
            "SELECT request_digest, export, created_at FROM idempotency_keys WHERE tenant = ?1 AND principal = ?2 AND key = ?3",
        )
        .bind(create.tenant.as_str())
        .bind(create.principal.as_str())
        .bind(&key.key)
        .fetch_optional(&mut **tx)
        .await
        .map_err(at(ACCEPT, true))?;
        let Some((digest, id, created_at)) = held else { return Ok(None) };
        let row: ExportRow = sqlx::query_as(export_sql!("SELECT", "FROM exports WHERE id = ?1"))
            .bind(&id)
            .fetch_one(&mut **tx)
            .await
            .map_err(at(ACCEPT, true))?;
        let old = created_at <= create.created_at.plus_ms(-IDEMPOTENCY_KEY_MS).0;
        if old || row.status == Status::Failed.as_str() {
            sqlx::query("DELETE FROM idempotency_keys WHERE tenant = ?1 AND principal = ?2 AND key = ?3")
                .bind(create.tenant.as_str())
                .bind(create.principal.as_str())
                .bind(&key.key)
                .execute(&mut **tx)
                .await
                .map_err(at(ACCEPT, true))?;
            return Ok(None);
        }
        if digest != key.request_digest {
            return Ok(Some(Accepted::KeyReused));
        }
        Ok(Some(Accepted::Replayed(self.export(&mut **tx, row).await?)))
    }
}

async fn insert(tx: &mut WriteTx, create: CreateExport) -> Result<Export, sqlx::Error> {
    let CreateExport { id, report, tenant, principal, query, scope, warnings, idempotency, created_at } = create;
    let digest = scope.digest();
    sqlx::query("INSERT INTO scopes (digest, pairs) VALUES (?1, ?2) ON CONFLICT (digest) DO NOTHING")
        .bind(&digest)
        .bind(to_json(&scope))
        .execute(&mut **tx)
        .await?;
    sqlx::query(
        "INSERT INTO exports (id, report, tenant, principal, status, query, scope, created_at, warnings, revision) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 1)",
    )
    .bind(id.to_string())
    .bind(report.as_str())
    .bind(tenant.as_str())
    .bind(principal.as_str())
    .bind(Status::Queued.as_str())
    .bind(to_json(&query))
    .bind(&digest)
    .bind(created_at.0)
    .bind(to_json(&warnings))
    .execute(&mut **tx)
    .await?;
    if let Some(IdempotencyKey { key, request_digest }) = idempotency {
        sqlx::query(
            "INSERT INTO idempotency_keys (tenant, principal, key, request_digest, export, created_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )
        .bind(tenant.as_str())
        .bind(principal.as_str())
        .bind(key)
        .bind(request_digest)
        .bind(id.to_string())
        .bind(created_at.0)
        .execute(&mut **tx)
        .await?;
    }
    Ok(Export {
        id,
        report,
        tenant,
        principal,
        status: Status::Queued,
        query,
        scope,
        created_at,
        started_at: None,
        ended_at: None,
        failed_attempts: 0,
        lost_leases: 0,
        fence: 0,
        data_version: None,
        progress: Progress::default(),
        file: None,
        file_expires_at: None,
        failure: None,
        warnings,
        revision: 1,
    })
}
