//! The queue: whose turn it is, and what becomes of leases that ended.
//!
//! Shares are of tenants first and of the principals of a tenant then, by what each has running and
//! by when it was served last. Nothing is set aside for anybody: with one tenant in the queue it
//! has every slot.

use std::sync::atomic::{AtomicU64, Ordering};

use payouts_faults::{Point, pass};
use payouts_model::export::Move;
use payouts_model::{Failure, Status, Timestamp};

use super::rows::{ExportRow, count, export_sql, states, target, to_json};
use super::{SqliteStore, WriteTx, at, commit};
use crate::{Claim, ClaimTerms, Error, FAILED_LEASES_CODE, LeaseLosses, Oldest, PUT_OFF_MAX};

const CLAIM: &str = "claim an export";

/// What could be claimed next.
#[derive(sqlx::FromRow)]
struct Candidate {
    seq: i64,
    status: String,
    lost_leases: i64,
    lease_until: Option<i64>,
}

/// Leases found lost, counted once what was done about them is written.
#[derive(Debug, Default)]
pub(super) struct Losses {
    ran_out: AtomicU64,
    taken_back: AtomicU64,
    given_up: AtomicU64,
}

impl Losses {
    fn add(&self, more: LeaseLosses) {
        let LeaseLosses { ran_out, taken_back, given_up } = more;
        self.ran_out.fetch_add(ran_out, Ordering::Relaxed);
        self.taken_back.fetch_add(taken_back, Ordering::Relaxed);
        self.given_up.fetch_add(given_up, Ordering::Relaxed);
    }

    pub(super) fn so_far(&self) -> LeaseLosses {
        LeaseLosses {
            ran_out: self.ran_out.load(Ordering::Relaxed),
            taken_back: self.taken_back.load(Ordering::Relaxed),
            given_up: self.given_up.load(Ordering::Relaxed),
        }
    }
}

impl SqliteStore {
    pub(super) async fn claim_next(
        &self,
        node: &str,
        terms: &ClaimTerms,
        now: Timestamp,
    ) -> Result<Option<Claim>, Error> {
        let mut tx = self.begin(CLAIM).await?;
        let mut lost = LeaseLosses::default();
        let claimed = loop {
            let Some(candidate) = next_candidate(&mut tx, terms, now).await.map_err(at(CLAIM, true))? else {
                break None;
            };
            // A lease that somebody let go of was not lost; one that ran out was.
            let lost_leases = candidate.lost_leases + i64::from(candidate.lease_until.is_some());
            lost.ran_out += u64::from(candidate.lease_until.is_some());
            if lost_leases >= i64::from(terms.lost_leases_max) {
                lost.given_up += 1;
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
            .bind(now.plus_ms(terms.lease_ms).0)
            .bind(lost_leases)
            .bind(now.0)
            .bind(candidate.seq)
            .bind(states(movement))
            .fetch_one(&mut *tx)
            .await
            .map_err(at(CLAIM, true))?;
            take_turns(&mut tx, &row.tenant, &row.principal).await.map_err(at(CLAIM, true))?;
            break Some(row);
        };
        let claim = match claimed {
            Some(mut row) => {
                let trace = row.trace.take();
                let export = self.export(&mut tx, row).await?;
                Some(Claim { fence: export.fence, export, trace })
            }
            None => None,
        };
        if claim.is_some() {
            pass(Point::ExportClaim).await.map_err(|e| at(CLAIM, true)(e.into()))?;
        }
        commit(tx, CLAIM).await?;
        self.losses.add(lost);
        Ok(claim)
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
        self.losses.add(LeaseLosses { taken_back: ended.rows_affected(), ..LeaseLosses::default() });
        Ok(ended.rows_affected())
    }

    pub(super) async fn shorten(&self, lease_until: Timestamp, not_before: Timestamp) -> Result<u64, Error> {
        let mut tx = self.begin(CLAIM).await?;
        let shortened = sqlx::query(PULL_BACK)
            .bind(lease_until.0)
            .bind(not_before.0)
            .execute(&mut *tx)
            .await
            .map_err(at(CLAIM, true))?;
        commit(tx, CLAIM).await?;
        Ok(shortened.rows_affected())
    }

    pub(super) async fn longest_waits(&self) -> Result<Oldest, Error> {
        let mut reader = self.reader(CLAIM).await?;
        let (queued, begun): (Option<i64>, Option<i64>) =
            sqlx::query_as(OLDEST).fetch_one(&mut *reader).await.map_err(at(CLAIM, true))?;
        Ok(Oldest { queued_since: queued.map(Timestamp), processing_since: begun.map(Timestamp) })
    }

    pub(super) async fn earliest_due(&self, rows_max: Option<u64>) -> Result<Option<Timestamp>, Error> {
        let mut reader = self.reader(CLAIM).await?;
        let due: Option<i64> = sqlx::query_scalar(EARLIEST_DUE)
            .bind(rows_max.map(count))
            .fetch_one(&mut *reader)
            .await
            .map_err(at(CLAIM, true))?;
        Ok(due.map(Timestamp))
    }
}

/// The heads of all queues, as a table of a recursive WITH: it steps in the index from the head of one
/// principal's queue to the next one's, so that the length of the queues does not matter: 100,000
/// queued Exports of 100 principals are a hundred steps. The plus signs take the columns' affinity
/// away, without which the index is entered by tenant alone.
macro_rules! queue_heads {
    () => {
        "queues (tenant, principal, seq) AS ( \
         SELECT e.tenant, e.principal, e.seq FROM exports e WHERE e.seq = ( \
                 SELECT n.seq FROM exports n INDEXED BY exports_queued WHERE n.status = 'Queued' \
                 ORDER BY n.tenant, n.principal, n.seq LIMIT 1) \
             UNION ALL \
         SELECT e.tenant, e.principal, e.seq FROM queues JOIN exports e ON e.seq = ( \
                 SELECT n.seq FROM exports n INDEXED BY exports_queued WHERE n.status = 'Queued' \
                 AND (n.tenant, n.principal) > (+queues.tenant, +queues.principal) \
                 ORDER BY n.tenant, n.principal, n.seq LIMIT 1) \
         ) "
    };
}

/// Steps through the heads of the queues as [`NEXT_CANDIDATE`] does, and looks at what was begun: the
/// oldest queued Export is the head of a queue.
pub(super) const OLDEST: &str = concat!(
    "WITH RECURSIVE ",
    queue_heads!(),
    "SELECT (SELECT min(e.created_at) FROM queues q CROSS JOIN exports e ON e.seq = q.seq), \
             (SELECT min(started_at) FROM exports INDEXED BY exports_begun WHERE status = 'Processing')"
);

/// Looks at what was begun, which is little: nothing else has a lease or a delay.
const PULL_BACK: &str = "UPDATE exports INDEXED BY exports_begun \
     SET lease_until = min(lease_until, ?1), not_before = min(not_before, ?2), revision = revision + 1 \
     WHERE status = 'Processing' AND (lease_until > ?1 OR not_before > ?2)";

/// Looks at what was begun, which is little.
pub(super) const EARLIEST_DUE: &str = "SELECT min(coalesce(lease_until, not_before)) FROM exports INDEXED BY exports_begun \
     WHERE status = 'Processing' AND (?1 IS NULL OR coalesce(rows_expected, 0) <= ?1)";

/// The heads of all queues, and what was begun and can be taken up again, in the order of shares.
///
/// `begun` holds few rows: as many as there are slots, retries and put-off ones. `queues` is of
/// [`queue_heads`].
pub(super) const NEXT_CANDIDATE: &str = concat!(
    "WITH RECURSIVE begun (tenant, principal, seq, running, ready, put_off) AS MATERIALIZED ( \
             SELECT tenant, principal, seq, coalesce(lease_until > ?1, false), \
                 coalesce(lease_until, not_before, 0) <= ?1 AND (?2 IS NULL OR coalesce(rows_expected, 0) <= ?2), \
                 lease_until IS NULL AND coalesce(rows_expected, 0) > ?2 \
             FROM exports INDEXED BY exports_begun WHERE status = 'Processing' \
         ), of_tenant (tenant, begun, running) AS MATERIALIZED ( \
             SELECT tenant, count(*), sum(running) FROM begun GROUP BY tenant \
         ), of_principal (tenant, principal, running, ready, put_off) AS MATERIALIZED ( \
             SELECT tenant, principal, sum(running), min(seq) FILTER (WHERE ready), coalesce(sum(put_off), 0) \
             FROM begun GROUP BY tenant, principal \
         ), ",
    queue_heads!(),
    ", heads (tenant, principal, seq) AS ( \
             SELECT q.tenant, q.principal, q.seq FROM queues q \
             LEFT JOIN of_tenant t ON t.tenant = q.tenant \
             LEFT JOIN of_principal p ON p.tenant = q.tenant AND p.principal = q.principal \
             WHERE coalesce(t.begun, 0) < ?3 AND coalesce(p.put_off, 0) < ?4 \
             UNION ALL \
             SELECT tenant, principal, ready FROM of_principal WHERE ready IS NOT NULL \
         ) \
         SELECT e.seq, e.status, e.lost_leases, e.lease_until FROM heads h CROSS JOIN exports e ON e.seq = h.seq \
         LEFT JOIN of_tenant t ON t.tenant = h.tenant \
         LEFT JOIN of_principal p ON p.tenant = h.tenant AND p.principal = h.principal \
         ORDER BY coalesce(t.running, 0), (SELECT turn FROM turns WHERE turns.tenant = h.tenant), \
                  coalesce(p.running, 0), \
                  (SELECT turn FROM principal_turns o WHERE o.tenant = h.tenant AND o.principal = h.principal), e.seq \
         LIMIT 1"
);

/// The next by [`NEXT_CANDIDATE`]. Who was never served waited longest.
async fn next_candidate(
    tx: &mut WriteTx,
    terms: &ClaimTerms,
    now: Timestamp,
) -> Result<Option<Candidate>, sqlx::Error> {
    sqlx::query_as(NEXT_CANDIDATE)
        .bind(now.0)
        .bind(terms.rows_max.map(count))
        .bind(count(terms.tenant_running_max))
        .bind(count(PUT_OFF_MAX))
        .fetch_optional(&mut **tx)
        .await
}

/// Puts the tenant last among those with as many running, and the principal among the tenant's.
async fn take_turns(tx: &mut WriteTx, tenant: &str, principal: &str) -> Result<(), sqlx::Error> {
    let turn: i64 = sqlx::query_scalar(
        "INSERT INTO turns (tenant, turn) SELECT ?1, coalesce(max(turn), 0) + 1 FROM turns WHERE true \
         ON CONFLICT (tenant) DO UPDATE SET turn = excluded.turn RETURNING turn",
    )
    .bind(tenant)
    .fetch_one(&mut **tx)
    .await?;
    sqlx::query(
        "INSERT INTO principal_turns (tenant, principal, turn) VALUES (?1, ?2, ?3) \
         ON CONFLICT (tenant, principal) DO UPDATE SET turn = excluded.turn",
    )
    .bind(tenant)
    .bind(principal)
    .bind(turn)
    .execute(&mut **tx)
    .await?;
    Ok(())
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
