//! The queue: claims, and what a worker writes under its claim.
//!
//! A held Export has `lease_until`; ending the lease in any way clears it, so that a write under
//! an old claim finds nothing even if the fence is still the newest.

use payouts_model::export::Move;
use payouts_model::{Failure, Status, Timestamp, Warning};

use super::rows::{ExportRow, count, export_sql, json, number, states, target, to_json};
use super::{SqliteStore, WriteTx, at, commit};
use crate::{Claim, Completion, Error, FAILED_LEASES_CODE, LetGo};

const CLAIM: &str = "claim an export";
const WORK: &str = "write under a claim";

/// What could be claimed next.
#[derive(sqlx::FromRow)]
struct Candidate {
    seq: i64,
    status: String,
    lost_leases: i64,
    lease_until: Option<i64>,
}

impl SqliteStore {
    pub(super) async fn claim_next(
        &self,
        node: &str,
        lease_ms: i64,
        lost_leases_max: u32,
        now: Timestamp,
    ) -> Result<Option<Claim>, Error> {
        let mut tx = self.begin(CLAIM).await?;
        let claimed = loop {
            let Some(candidate) = next_candidate(&mut tx, now).await.map_err(at(CLAIM, true))? else { break None };
            // A lease that somebody let go of was not lost; one that ran out was.
            let lost_leases = candidate.lost_leases + i64::from(candidate.lease_until.is_some());
            if lost_leases >= i64::from(lost_leases_max) {
                fail_as_lost(&mut tx, candidate.seq, lost_leases, now).await.map_err(at(CLAIM, true))?;
                continue;
            }
            let movement = if candidate.status == Status::Queued.as_str() { Move::Claim } else { Move::Reclaim };
            let row: ExportRow = sqlx::query_as(export_sql!(
                "UPDATE exports SET status = ?1, fence = fence + 1, lease_node = ?2, lease_until = ?3, not_before = NULL, \
                 lost_leases = ?4, started_at = coalesce(started_at, ?5), revision = revision + 1 \
                 WHERE seq = ?6 AND status IN (SELECT value FROM json_each(?7)) RETURNING",
                ""
            ))
            .bind(target(movement))
            .bind(node)
            .bind(now.plus_ms(lease_ms).0)
            .bind(lost_leases)
            .bind(now.0)
            .bind(candidate.seq)
            .bind(states(movement))
            .fetch_one(&mut *tx)
            .await
            .map_err(at(CLAIM, true))?;
            take_turn(&mut tx, &row.tenant).await.map_err(at(CLAIM, true))?;
            break Some(row);
        };
        let claim = match claimed {
            Some(row) => {
                let export = self.export(&mut tx, row).await?;
                Some(Claim { fence: export.fence, export })
            }
            None => None,
        };
        commit(tx, CLAIM).await?;
        Ok(claim)
    }

    pub(super) async fn fix_version(&self, claim: &Claim, version: u64) -> Result<Option<u64>, Error> {
        let mut tx = self.begin(WORK).await?;
        let fixed: Option<i64> = sqlx::query_scalar(
            "UPDATE exports SET data_version = coalesce(data_version, ?1), revision = revision + 1 \
             WHERE id = ?2 AND fence = ?3 AND lease_until IS NOT NULL AND status IN (SELECT value FROM json_each(?4)) \
             RETURNING data_version",
        )
        .bind(count(version))
        .bind(claim.export.id.to_string())
        .bind(count(claim.fence))
        .bind(states(Move::Complete))
        .fetch_optional(&mut *tx)
        .await
        .map_err(at(WORK, true))?;
        commit(tx, WORK).await?;
        fixed.map(|v| number(v, || "data version".to_owned())).transpose()
    }

    pub(super) async fn renew(
        &self,
        claim: &Claim,
        rows_done: u64,
        rows_expected: Option<u64>,
        until: Timestamp,
    ) -> Result<bool, Error> {
        let mut tx = self.begin(WORK).await?;
        let written = sqlx::query(
            "UPDATE exports SET lease_until = ?1, \
             revision = revision + (?2 > rows_done OR coalesce(?3, rows_expected) IS NOT rows_expected), \
             rows_done = max(rows_done, ?2), rows_expected = coalesce(?3, rows_expected) \
             WHERE id = ?4 AND fence = ?5 AND lease_until IS NOT NULL AND status IN (SELECT value FROM json_each(?6))",
        )
        .bind(until.0)
        .bind(count(rows_done))
        .bind(rows_expected.map(count))
        .bind(claim.export.id.to_string())
        .bind(count(claim.fence))
        .bind(states(Move::Complete))
        .execute(&mut *tx)
        .await
        .map_err(at(WORK, true))?;
        commit(tx, WORK).await?;
        Ok(written.rows_affected() == 1)
    }

    pub(super) async fn publish(&self, claim: &Claim, completion: Completion, now: Timestamp) -> Result<bool, Error> {
        let Completion { file, manifest, file_expires_at, reproducible_until, warnings } = completion;
        let mut tx = self.begin(WORK).await?;
        let Some((seq, warnings)) = held_with_warnings(&mut tx, claim, &warnings).await? else { return Ok(false) };
        let written = sqlx::query(
            "UPDATE exports SET status = ?1, ended_at = ?2, lease_node = NULL, lease_until = NULL, not_before = NULL, \
             rows_done = ?3, rows_expected = ?3, file_fence = ?4, file = ?5, file_expires_at = ?6, manifest = ?7, \
             warnings = ?8, reproducible_until = ?12, revision = revision + 1 \
             WHERE seq = ?9 AND fence = ?10 AND lease_until IS NOT NULL AND status IN (SELECT value FROM json_each(?11))",
        )
        .bind(target(Move::Complete))
        .bind(now.0)
        .bind(count(file.rows))
        .bind(count(file.fence))
        .bind(to_json(&file))
        .bind(file_expires_at.0)
        .bind(manifest)
        .bind(warnings)
        .bind(seq)
        .bind(count(claim.fence))
        .bind(states(Move::Complete))
        .bind(reproducible_until.map(|at| at.0))
        .execute(&mut *tx)
        .await
        .map_err(at(WORK, true))?;
        commit(tx, WORK).await?;
        Ok(written.rows_affected() == 1)
    }

    pub(super) async fn release(
        &self,
        claim: &Claim,
        how: LetGo,
        attempts_max: u32,
        now: Timestamp,
    ) -> Result<Option<Status>, Error> {
        let mut tx = self.begin(WORK).await?;
        let held: Option<(i64, i64)> = sqlx::query_as(
            "SELECT seq, failed_attempts FROM exports \
             WHERE id = ?1 AND fence = ?2 AND lease_until IS NOT NULL AND status IN (SELECT value FROM json_each(?3))",
        )
        .bind(claim.export.id.to_string())
        .bind(count(claim.fence))
        .bind(states(Move::Release))
        .fetch_optional(&mut *tx)
        .await
        .map_err(at(WORK, true))?;
        let Some((seq, attempts)) = held else { return Ok(None) };
        let written = match how {
            LetGo::Retry { failure, manifest, not_before: _ } if attempts + 1 >= i64::from(attempts_max) => {
                fail(&mut tx, seq, attempts + 1, &failure, manifest, now).await
            }
            LetGo::Retry { failure: _, manifest: _, not_before } => {
                hand_back(&mut tx, seq, attempts + 1, not_before).await
            }
            LetGo::Fail { failure, manifest } => fail(&mut tx, seq, attempts, &failure, manifest, now).await,
            LetGo::HandBack => hand_back(&mut tx, seq, attempts, now).await,
        };
        let status = written.map_err(at(WORK, true))?;
        commit(tx, WORK).await?;
        Ok(Some(status))
    }

    pub(super) async fn end_leases(&self, node: &str, now: Timestamp) -> Result<u64, Error> {
        let mut tx = self.begin(CLAIM).await?;
        let ended = sqlx::query(
            "UPDATE exports SET lost_leases = lost_leases + 1, lease_node = NULL, lease_until = NULL, not_before = ?1, \
             revision = revision + 1 \
             WHERE lease_node = ?2 AND ended_at IS NULL AND status IN (SELECT value FROM json_each(?3))",
        )
        .bind(now.0)
        .bind(node)
        .bind(states(Move::Release))
        .execute(&mut *tx)
        .await
        .map_err(at(CLAIM, true))?;
        commit(tx, CLAIM).await?;
        Ok(ended.rows_affected())
    }

    pub(super) async fn earliest_due(&self) -> Result<Option<Timestamp>, Error> {
        let mut reader = self.reader(CLAIM).await?;
        let due: Option<i64> = sqlx::query_scalar(
            "SELECT min(coalesce(lease_until, not_before)) FROM exports WHERE ended_at IS NULL AND status = ?1",
        )
        .bind(Status::Processing.as_str())
        .fetch_one(&mut *reader)
        .await
        .map_err(at(CLAIM, true))?;
        Ok(due.map(Timestamp))
    }
}

/// Steps from tenant to tenant in the index; each step reads the head of that tenant's queue and
/// its few running ones, so that the length of the queues does not matter.
pub(super) const NEXT_CANDIDATE: &str = "WITH RECURSIVE tenants (tenant) AS ( \
             SELECT min(tenant) FROM exports WHERE ended_at IS NULL \
             UNION ALL \
             SELECT (SELECT min(e.tenant) FROM exports e WHERE e.ended_at IS NULL AND e.tenant > tenants.tenant) \
             FROM tenants WHERE tenants.tenant IS NOT NULL \
         ), heads (tenant, queued, ended) AS ( \
             SELECT tenant, \
                 (SELECT min(e.seq) FROM exports e \
                  WHERE e.ended_at IS NULL AND e.tenant = tenants.tenant AND e.status = 'Queued'), \
                 (SELECT min(e.seq) FROM exports e \
                  WHERE e.ended_at IS NULL AND e.tenant = tenants.tenant AND e.status = 'Processing' \
                  AND coalesce(e.lease_until, e.not_before, 0) <= ?1) \
             FROM tenants WHERE tenant IS NOT NULL \
         ) \
         SELECT e.seq, e.status, e.lost_leases, e.lease_until FROM heads \
         JOIN exports e ON e.seq = min(coalesce(heads.queued, heads.ended), coalesce(heads.ended, heads.queued)) \
         ORDER BY (SELECT count(*) FROM exports r WHERE r.ended_at IS NULL AND r.tenant = heads.tenant \
                   AND r.status = 'Processing' AND r.lease_until > ?1), \
                  (SELECT turn FROM turns WHERE turns.tenant = heads.tenant), e.seq \
         LIMIT 1";

/// The oldest claimable Export of the tenant that has the fewest running; among those, of the one
/// that was served longest ago (never is longest).
async fn next_candidate(tx: &mut WriteTx, now: Timestamp) -> Result<Option<Candidate>, sqlx::Error> {
    sqlx::query_as(NEXT_CANDIDATE).bind(now.0).fetch_optional(&mut **tx).await
}

/// Puts the tenant last among those with as many running.
async fn take_turn(tx: &mut WriteTx, tenant: &str) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO turns (tenant, turn) SELECT ?1, coalesce(max(turn), 0) + 1 FROM turns WHERE true \
         ON CONFLICT (tenant) DO UPDATE SET turn = excluded.turn",
    )
    .bind(tenant)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The row's number and its warnings with new ones added, if the claim still holds.
async fn held_with_warnings(tx: &mut WriteTx, claim: &Claim, new: &[Warning]) -> Result<Option<(i64, String)>, Error> {
    let held: Option<(i64, String)> =
        sqlx::query_as("SELECT seq, warnings FROM exports WHERE id = ?1 AND fence = ?2 AND lease_until IS NOT NULL")
            .bind(claim.export.id.to_string())
            .bind(count(claim.fence))
            .fetch_optional(&mut **tx)
            .await
            .map_err(at(WORK, true))?;
    let Some((seq, text)) = held else { return Ok(None) };
    let mut warnings: Vec<Warning> = json(&text, || format!("warnings of export {}", claim.export.id))?;
    warnings.extend_from_slice(new);
    Ok(Some((seq, to_json(&warnings))))
}

async fn hand_back(
    tx: &mut WriteTx,
    seq: i64,
    failed_attempts: i64,
    not_before: Timestamp,
) -> Result<Status, sqlx::Error> {
    sqlx::query(
        "UPDATE exports SET status = ?1, failed_attempts = ?2, lease_node = NULL, lease_until = NULL, not_before = ?3, \
         revision = revision + 1 WHERE seq = ?4 AND status IN (SELECT value FROM json_each(?5))",
    )
    .bind(target(Move::Release))
    .bind(failed_attempts)
    .bind(not_before.0)
    .bind(seq)
    .bind(states(Move::Release))
    .execute(&mut **tx)
    .await?;
    Ok(Status::Processing)
}

async fn fail(
    tx: &mut WriteTx,
    seq: i64,
    failed_attempts: i64,
    failure: &Failure,
    manifest: Option<String>,
    now: Timestamp,
) -> Result<Status, sqlx::Error> {
    sqlx::query(
        "UPDATE exports SET status = ?1, ended_at = ?2, failed_attempts = ?3, lease_node = NULL, lease_until = NULL, \
         not_before = NULL, failure = ?4, manifest = ?5, revision = revision + 1 \
         WHERE seq = ?6 AND status IN (SELECT value FROM json_each(?7))",
    )
    .bind(target(Move::Fail))
    .bind(now.0)
    .bind(failed_attempts)
    .bind(to_json(failure))
    .bind(manifest)
    .bind(seq)
    .bind(states(Move::Fail))
    .execute(&mut **tx)
    .await?;
    Ok(Status::Failed)
}

/// Gives up an Export whose leases were lost too often: whatever it does to its workers, it must
/// not do it for ever.
async fn fail_as_lost(tx: &mut WriteTx, seq: i64, lost_leases: i64, now: Timestamp) -> Result<(), sqlx::Error> {
    let failure = Failure {
        code: FAILED_LEASES_CODE,
        message: format!(
            "{lost_leases} workers lost this export before it was done. Ask again with a narrower filter, or tell the operator."
        ),
        retryable: true,
    };
    sqlx::query(
        "UPDATE exports SET status = ?1, ended_at = ?2, lost_leases = ?3, lease_node = NULL, lease_until = NULL, \
         not_before = NULL, failure = ?4, revision = revision + 1 \
         WHERE seq = ?5 AND status IN (SELECT value FROM json_each(?6))",
    )
    .bind(target(Move::Fail))
    .bind(now.0)
    .bind(lost_leases)
    .bind(to_json(&failure))
    .bind(seq)
    .bind(states(Move::Fail))
    .execute(&mut **tx)
    .await?;
    Ok(())
}
