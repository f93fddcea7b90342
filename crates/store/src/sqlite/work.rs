//! What a worker writes under its claim.
//!
//! A held Export has `lease_until`; ending the lease in any way clears it, so that a write under
//! an old claim finds nothing even if the fence is still the newest.

use payouts_faults::{Point, pass};
use payouts_model::export::Move;
use payouts_model::{Failure, Status, Timestamp, Warning};

use super::rows::{count, json, number, states, target, to_json};
use super::{SqliteStore, WriteTx, at, commit};
use crate::{Claim, Completion, Error, LetGo, ManifestText};

const WORK: &str = "write under a claim";

/// A statement about the Export that a claim holds, and nothing if it holds it no more. ?1 is the
/// Export's id, ?2 the fence, ?3 the states that the move begins in.
macro_rules! under_claim {
    ($statement:literal) => {
        under_claim!($statement, "")
    };
    ($statement:literal, $end:literal) => {
        concat!(
            $statement,
            " WHERE id = ?1 AND fence = ?2 AND lease_until IS NOT NULL \
              AND status IN (SELECT value FROM json_each(?3))",
            $end
        )
    };
}

impl SqliteStore {
    pub(super) async fn fix_version(&self, claim: &Claim, version: u64) -> Result<Option<u64>, Error> {
        let mut tx = self.begin(WORK).await?;
        let fixed: Option<i64> = sqlx::query_scalar(under_claim!(
            "UPDATE exports SET data_version = coalesce(data_version, ?4), revision = revision + 1",
            " RETURNING data_version"
        ))
        .bind(claim.export.id.to_string())
        .bind(count(claim.fence))
        .bind(states(Move::Complete))
        .bind(count(version))
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
        let written = sqlx::query(under_claim!(
            "UPDATE exports SET lease_until = ?4, \
             revision = revision + (?5 > rows_done OR coalesce(?6, rows_expected) IS NOT rows_expected), \
             rows_done = max(rows_done, ?5), rows_expected = coalesce(?6, rows_expected)"
        ))
        .bind(claim.export.id.to_string())
        .bind(count(claim.fence))
        .bind(states(Move::Complete))
        .bind(until.0)
        .bind(count(rows_done))
        .bind(rows_expected.map(count))
        .execute(&mut *tx)
        .await
        .map_err(at(WORK, true))?;
        commit(tx, WORK).await?;
        Ok(written.rows_affected() == 1)
    }

    pub(super) async fn publish(&self, claim: &Claim, completion: Completion, now: Timestamp) -> Result<bool, Error> {
        let Completion { file, manifest, file_expires_at, reproducible_until, warnings } = completion;
        let mut tx = self.begin(WORK).await?;
        let Some(warnings) = held_warnings(&mut tx, claim, &warnings).await? else { return Ok(false) };
        let written = sqlx::query(under_claim!(
            "UPDATE exports SET status = ?4, ended_at = ?5, lease_node = NULL, lease_until = NULL, not_before = NULL, \
             rows_done = ?6, rows_expected = ?6, file_fence = ?7, file = ?8, file_expires_at = ?9, manifest_zstd = ?10, \
             warnings = ?11, reproducible_until = ?12, revision = revision + 1"
        ))
        .bind(claim.export.id.to_string())
        .bind(count(claim.fence))
        .bind(states(Move::Complete))
        .bind(target(Move::Complete))
        .bind(now.0)
        .bind(count(file.rows))
        .bind(count(file.fence))
        .bind(to_json(&file))
        .bind(file_expires_at.0)
        .bind(manifest.packed())
        .bind(warnings)
        .bind(reproducible_until.map(|at| at.0))
        .execute(&mut *tx)
        .await
        .map_err(at(WORK, true))?;
        pass(Point::ExportFlip).await.map_err(|e| at(WORK, true)(e.into()))?;
        commit(tx, WORK).await?;
        pass(Point::ExportFlipped).await.map_err(|e| at(WORK, false)(e.into()))?;
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
        let held: Option<(i64, i64)> = sqlx::query_as(under_claim!("SELECT seq, failed_attempts FROM exports"))
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
                hand_back(&mut tx, seq, attempts + 1, None, not_before).await
            }
            LetGo::Fail { failure, manifest } => fail(&mut tx, seq, attempts, &failure, manifest, now).await,
            LetGo::HandBack => hand_back(&mut tx, seq, attempts, None, now).await,
            LetGo::PutOff { rows_expected } => hand_back(&mut tx, seq, attempts, Some(rows_expected), now).await,
        };
        let status = written.map_err(at(WORK, true))?;
        commit(tx, WORK).await?;
        Ok(Some(status))
    }
}

/// The Export's warnings with new ones added, if the claim still holds.
async fn held_warnings(tx: &mut WriteTx, claim: &Claim, new: &[Warning]) -> Result<Option<String>, Error> {
    let held: Option<String> = sqlx::query_scalar(under_claim!("SELECT warnings FROM exports"))
        .bind(claim.export.id.to_string())
        .bind(count(claim.fence))
        .bind(states(Move::Complete))
        .fetch_optional(&mut **tx)
        .await
        .map_err(at(WORK, true))?;
    let Some(text) = held else { return Ok(None) };
    let mut warnings: Vec<Warning> = json(&text, || format!("warnings of export {}", claim.export.id))?;
    warnings.extend_from_slice(new);
    Ok(Some(to_json(&warnings)))
}

async fn hand_back(
    tx: &mut WriteTx,
    seq: i64,
    failed_attempts: i64,
    rows_expected: Option<u64>,
    not_before: Timestamp,
) -> Result<Status, sqlx::Error> {
    sqlx::query(
        "UPDATE exports SET status = ?1, failed_attempts = ?2, lease_node = NULL, lease_until = NULL, not_before = ?3, \
         rows_expected = coalesce(?6, rows_expected), revision = revision + 1 \
         WHERE seq = ?4 AND status IN (SELECT value FROM json_each(?5))",
    )
    .bind(target(Move::Release))
    .bind(failed_attempts)
    .bind(not_before.0)
    .bind(seq)
    .bind(states(Move::Release))
    .bind(rows_expected.map(count))
    .execute(&mut **tx)
    .await?;
    Ok(Status::Processing)
}

async fn fail(
    tx: &mut WriteTx,
    seq: i64,
    failed_attempts: i64,
    failure: &Failure,
    manifest: Option<ManifestText>,
    now: Timestamp,
) -> Result<Status, sqlx::Error> {
    sqlx::query(
        "UPDATE exports SET status = ?1, ended_at = ?2, failed_attempts = ?3, lease_node = NULL, lease_until = NULL, \
         not_before = NULL, failure = ?4, manifest_zstd = ?5, revision = revision + 1 \
         WHERE seq = ?6 AND status IN (SELECT value FROM json_each(?7))",
    )
    .bind(target(Move::Fail))
    .bind(now.0)
    .bind(failed_attempts)
    .bind(to_json(failure))
    .bind(manifest.as_ref().map(ManifestText::packed))
    .bind(seq)
    .bind(states(Move::Fail))
    .execute(&mut **tx)
    .await?;
    Ok(Status::Failed)
}
