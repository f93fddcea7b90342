//! One transaction's worth of acceptances: what each caller is to be told, and the rows of those
//! that are new. A handful of statements, whatever the number of callers.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::LazyLock;

use payouts_model::export::{Export, Progress};
use payouts_model::{Scope, Status};
use sqlx::AssertSqlSafe;

use super::Waiting;
use crate::sqlite::rows::{ExportRow, Inserts, ScopeCache, export_sql, to_json};
use crate::sqlite::{WriteTx, audit};
use crate::{AcceptLimits, Accepted, CreateExport, Error, IDEMPOTENCY_KEY_MS, IdempotencyKey};

/// What a caller is to be told once the transaction is durable.
#[derive(Debug)]
pub(super) enum Decision {
    New {
        queue_position: u64,
    },
    Replayed(Box<Export>),
    KeyReused,
    /// One of the refusals that name a limit.
    Full(Box<Accepted>),
    Unreadable(Error),
}

/// Who holds an idempotency key.
struct Held<'a> {
    digest: std::borrow::Cow<'a, str>,
    created_at: i64,
    by: Holder,
}

/// An Export of the table, or the one of the batch at this place.
enum Holder {
    Row(Box<ExportRow>),
    Batch(usize),
}

impl Holder {
    fn failed(&self) -> bool {
        matches!(self, Self::Row(row) if row.status == Status::Failed.as_str())
    }
}

/// A key with whose it is.
type Key<'a> = (&'a str, &'a str, &'a str);

fn key_of(create: &CreateExport) -> Option<(Key<'_>, &IdempotencyKey)> {
    let key = create.idempotency.as_ref()?;
    Some(((create.tenant.as_str(), create.principal.as_str(), &key.key), key))
}

/// Decides each in its order, as if they came one after the other, and inserts the new ones.
pub(super) async fn decide_and_insert(
    tx: &mut WriteTx,
    scopes: &ScopeCache,
    batch: &[Waiting],
) -> Result<Vec<Decision>, sqlx::Error> {
    let mut keys = held_keys(tx, batch).await?;
    let before = before(tx, batch).await?;
    let mut lengths: BTreeMap<&str, (u64, u64)> =
        before.tenants.iter().map(|(tenant, queued, bytes)| (tenant.as_str(), (*queued, *bytes))).collect();
    let mut queued_in_all = before.queued_in_all;
    let mut decisions = Vec::with_capacity(batch.len());
    let mut new = Vec::with_capacity(batch.len());
    let mut records = Vec::with_capacity(batch.len());
    for (place, Waiting { create, record, limits, .. }) in batch.iter().enumerate() {
        let keyed = key_of(create);
        if let Some((whose, key)) = keyed
            && let Some(held) = keys.get(&whose)
            && held.created_at > create.created_at.plus_ms(-IDEMPOTENCY_KEY_MS).0
            && !held.by.failed()
        {
            decisions.push(if held.digest == key.request_digest {
                replayed(tx, scopes, &held.by, batch).await
            } else {
                Decision::KeyReused
            });
            continue;
        }
        let (queued, files_bytes) = lengths.entry(create.tenant.as_str()).or_default();
        if let Some(full) = full(limits, *queued, queued_in_all, *files_bytes) {
            decisions.push(Decision::Full(Box::new(full)));
            continue;
        }
        *queued += 1;
        queued_in_all += 1;
        decisions.push(Decision::New { queue_position: *queued });
        new.push(create);
        records.push(record.as_str());
        if let Some((whose, key)) = keyed {
            let digest = key.request_digest.as_str().into();
            keys.insert(whose, Held { digest, created_at: create.created_at.0, by: Holder::Batch(place) });
        }
    }
    insert_scopes(tx, &new, &before.scopes).await?;
    insert_exports(tx, &new).await?;
    insert_keys(tx, &new).await?;
    audit::append(tx, &records).await?;
    Ok(decisions)
}

/// The limit that is reached, if one is: the tenant's own first, as those the caller can do
/// something about.
fn full(limits: &AcceptLimits, queued: u64, queued_in_all: u64, files_bytes: u64) -> Option<Accepted> {
    let AcceptLimits { tenant_queue_max, queue_max, tenant_files_bytes } = *limits;
    if queued >= tenant_queue_max {
        Some(Accepted::QueueFull { limit: tenant_queue_max })
    } else if files_bytes >= tenant_files_bytes {
        Some(Accepted::StorageFull { limit_bytes: tenant_files_bytes })
    } else if queued_in_all >= queue_max {
        Some(Accepted::ServiceQueueFull { limit: queue_max })
    } else {
        None
    }
}

async fn replayed(tx: &mut WriteTx, scopes: &ScopeCache, by: &Holder, batch: &[Waiting]) -> Decision {
    match by {
        Holder::Batch(place) => Decision::Replayed(Box::new(queued(batch[*place].create.clone()))),
        Holder::Row(row) => match scopes.export(tx, (**row).clone()).await {
            Ok(export) => Decision::Replayed(Box::new(export)),
            Err(error) => Decision::Unreadable(error),
        },
    }
}

/// The keys of the batch that are held already.
async fn held_keys<'a>(tx: &mut WriteTx, batch: &'a [Waiting]) -> Result<HashMap<Key<'a>, Held<'a>>, sqlx::Error> {
    let asked: Vec<Key<'a>> = batch.iter().filter_map(|w| key_of(&w.create)).map(|(key, _)| key).collect();
    let mut keys = HashMap::with_capacity(asked.len());
    if asked.is_empty() {
        return Ok(keys);
    }
    let found: Vec<(i64, String, i64, String)> = sqlx::query_as(
        "SELECT asked.key, k.request_digest, k.created_at, k.export FROM json_each(?1) AS asked \
         CROSS JOIN idempotency_keys k ON k.tenant = asked.value ->> 0 AND k.principal = asked.value ->> 1 \
         AND k.key = asked.value ->> 2",
    )
    .bind(to_json(&asked))
    .fetch_all(&mut **tx)
    .await?;
    for (place, digest, created_at, id) in found {
        let row: ExportRow =
            sqlx::query_as(export_sql!("SELECT", "FROM exports WHERE id = ?1")).bind(id).fetch_one(&mut **tx).await?;
        let whose = usize::try_from(place).ok().and_then(|place| asked.get(place));
        let whose = whose.expect("a place in the array that was asked with");
        keys.insert(*whose, Held { digest: digest.into(), created_at, by: Holder::Row(Box::new(row)) });
    }
    Ok(keys)
}

/// What stands before the batch: the queues and files of its tenants, the length of all queues, and
/// which of its scopes are recorded.
#[derive(Default)]
struct Before {
    tenants: Vec<(String, u64, u64)>,
    queued_in_all: u64,
    scopes: BTreeSet<String>,
}

async fn before(tx: &mut WriteTx, batch: &[Waiting]) -> Result<Before, sqlx::Error> {
    let tenants: BTreeSet<&str> = batch.iter().map(|w| w.create.tenant.as_str()).collect();
    let digests: BTreeSet<String> = batch.iter().map(|w| w.create.scope.digest()).collect();
    let found: Vec<(i64, String, i64, i64)> =
        sqlx::query_as(BEFORE).bind(to_json(&tenants)).bind(to_json(&digests)).fetch_all(&mut **tx).await?;
    let mut before = Before::default();
    for (kind, name, queued, bytes) in found {
        let queued = u64::try_from(queued).unwrap_or(0);
        match kind {
            OF_TENANT => before.tenants.push((name, queued, u64::try_from(bytes).unwrap_or(0))),
            OF_SCOPE => _ = before.scopes.insert(name),
            _ => before.queued_in_all = queued,
        }
    }
    Ok(before)
}

/// Kinds of rows of [`BEFORE`]; the third is the one of all.
const OF_TENANT: i64 = 1;
const OF_SCOPE: i64 = 2;

/// The lengths of the queues of tenants and the room of their files, the length of all queues, and
/// those of some scopes that there are. Nothing in it walks over Exports.
pub(in crate::sqlite) const BEFORE: &str = "SELECT 1, value, \
     coalesce((SELECT sum(b.queued) FROM queue_blocks b WHERE b.tenant = value), 0), \
     coalesce((SELECT f.bytes FROM file_bytes f WHERE f.tenant = value), 0) FROM json_each(?1) \
     UNION ALL SELECT 2, value, 0, 0 FROM json_each(?2) WHERE EXISTS (SELECT 1 FROM scopes s WHERE s.digest = value) \
     UNION ALL SELECT 3, '', l.queued, 0 FROM queue_length l WHERE l.one = 1";

async fn insert_scopes(
    tx: &mut WriteTx,
    new: &[&CreateExport],
    recorded: &BTreeSet<String>,
) -> Result<(), sqlx::Error> {
    let missing: BTreeMap<String, &Scope> =
        new.iter().map(|c| (c.scope.digest(), &c.scope)).filter(|(digest, _)| !recorded.contains(digest)).collect();
    for (digest, scope) in missing {
        sqlx::query("INSERT INTO scopes (digest, pairs) VALUES (?1, ?2) ON CONFLICT (digest) DO NOTHING")
            .bind(digest)
            .bind(to_json(scope))
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}

static INSERTS: LazyLock<Inserts> = LazyLock::new(|| {
    let columns = "id, report, tenant, principal, status, query, scope, created_at, warnings, trace, revision";
    let row = format!("(?, ?, ?, ?, '{}', ?, ?, ?, ?, ?, 1)", Status::Queued.as_str());
    Inserts::new(&format!("exports ({columns})"), &row)
});

async fn insert_exports(tx: &mut WriteTx, new: &[&CreateExport]) -> Result<(), sqlx::Error> {
    for rows in new.chunks(Inserts::ROWS_MAX) {
        let mut insert = sqlx::query(AssertSqlSafe(INSERTS.of(rows.len())));
        for create in rows {
            insert = insert
                .bind(create.id.to_string())
                .bind(create.report.as_str())
                .bind(create.tenant.as_str())
                .bind(create.principal.as_str())
                .bind(to_json(&create.query))
                .bind(create.scope.digest())
                .bind(create.created_at.0)
                .bind(to_json(&create.warnings))
                .bind(create.trace.as_deref());
        }
        insert.execute(&mut **tx).await?;
    }
    Ok(())
}

/// Records the keys of the new ones, in place of what held them before.
async fn insert_keys(tx: &mut WriteTx, new: &[&CreateExport]) -> Result<(), sqlx::Error> {
    let keys: Vec<_> = new
        .iter()
        .filter_map(|create| {
            let ((tenant, principal, key), IdempotencyKey { key: _, request_digest }) = key_of(create)?;
            Some((tenant, principal, key, request_digest, create.id.to_string(), create.created_at.0))
        })
        .collect();
    if keys.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO idempotency_keys (tenant, principal, key, request_digest, export, created_at) \
         SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5 FROM json_each(?1) \
         WHERE true ON CONFLICT (tenant, principal, key) DO UPDATE SET request_digest = excluded.request_digest, \
         export = excluded.export, created_at = excluded.created_at",
    )
    .bind(to_json(&keys))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The Export as it is accepted.
pub(super) fn queued(create: CreateExport) -> Export {
    let CreateExport { id, report, tenant, principal, query, scope, warnings, idempotency: _, created_at, trace: _ } =
        create;
    Export {
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
        held_at: None,
    }
}
