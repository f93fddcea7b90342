//! Grants: who may see what. Read anew at every call, so that a change by another process is at
//! work at once.

use std::collections::BTreeSet;

use payouts_model::{Grant, Pair, ParticipantId, PrincipalId, Role, Scope, TenantId, Timestamp};

use super::{SqliteStore, WriteTx, at, commit};
use crate::Error;

const GRANTS: &str = "read grants";
const CHANGE: &str = "change grants";

/// A grant as it lies in the table.
#[derive(sqlx::FromRow)]
struct GrantRow {
    tenant: String,
    principal: String,
    participant: String,
    program: String,
    role: String,
    until: Option<i64>,
}

impl GrantRow {
    fn into_grant(self) -> Result<Grant, Error> {
        let Self { tenant, principal, participant, program, role, until } = self;
        Ok(Grant {
            pair: Pair {
                participant: one(&participant)?.map(ParticipantId::new),
                program: one(&program)?.map(str::to_owned),
            },
            principal: one(&principal)?.map(PrincipalId::new),
            role: read_role(&role)?,
            tenant: TenantId::new(tenant),
            until: until.map(Timestamp),
        })
    }
}

/// `*` is all, `=` and a value is that one: no value can be mistaken for all.
fn one(column: &str) -> Result<Option<&str>, Error> {
    match column.strip_prefix('=') {
        Some(value) => Ok(Some(value)),
        None if column == "*" => Ok(None),
        None => Err(Error::Corrupt { what: format!("grant of '{column}'") }),
    }
}

fn column(value: Option<&str>) -> String {
    value.map_or_else(|| "*".to_owned(), |v| format!("={v}"))
}

fn read_role(text: &str) -> Result<Role, Error> {
    let found = [Role::Viewer, Role::Admin].into_iter().find(|r| r.as_str() == text);
    found.ok_or_else(|| Error::Corrupt { what: format!("role '{text}' of a grant") })
}

impl SqliteStore {
    pub(super) async fn grants_in_force(
        &self,
        tenant: &TenantId,
        principal: &PrincipalId,
        now: Timestamp,
    ) -> Result<(Role, Scope), Error> {
        let mut reader = self.reader(GRANTS).await?;
        let rows: Vec<(String, String, String)> = sqlx::query_as(
            "SELECT participant, program, role FROM grants \
             WHERE tenant = ?1 AND principal IN ('*', ?2) AND (until IS NULL OR until > ?3)",
        )
        .bind(tenant.as_str())
        .bind(column(Some(principal.as_str())))
        .bind(now.0)
        .fetch_all(&mut *reader)
        .await
        .map_err(at(GRANTS, true))?;
        let mut role = Role::Viewer;
        let mut pairs = Vec::with_capacity(rows.len());
        for (participant, program, as_role) in &rows {
            role = role.max(read_role(as_role)?);
            pairs.push(Pair {
                participant: one(participant)?.map(ParticipantId::new),
                program: one(program)?.map(str::to_owned),
            });
        }
        Ok((role, pairs.into_iter().collect()))
    }

    pub(super) async fn all_grants(&self) -> Result<Vec<Grant>, Error> {
        let mut reader = self.reader(GRANTS).await?;
        let rows: Vec<GrantRow> =
            sqlx::query_as("SELECT tenant, principal, participant, program, role, until FROM grants")
                .fetch_all(&mut *reader)
                .await
                .map_err(at(GRANTS, true))?;
        sorted(rows)
    }

    pub(super) async fn add_grants(&self, grants: &[Grant]) -> Result<u64, Error> {
        let mut tx = self.begin(CHANGE).await?;
        let mut changed = 0;
        for grant in grants {
            changed += add(&mut tx, grant).await.map_err(at(CHANGE, true))?;
        }
        commit(tx, CHANGE).await?;
        Ok(changed)
    }

    pub(super) async fn remove_grants(&self, grants: &[Grant]) -> Result<u64, Error> {
        let mut tx = self.begin(CHANGE).await?;
        let mut removed = 0;
        for grant in grants {
            removed += remove(&mut tx, grant).await.map_err(at(CHANGE, true))?;
        }
        commit(tx, CHANGE).await?;
        Ok(removed)
    }

    pub(super) async fn replace_grants(&self, grants: &[Grant]) -> Result<(u64, u64), Error> {
        let mut tx = self.begin(CHANGE).await?;
        let rows: Vec<GrantRow> =
            sqlx::query_as("SELECT tenant, principal, participant, program, role, until FROM grants")
                .fetch_all(&mut *tx)
                .await
                .map_err(at(CHANGE, true))?;
        let wanted: BTreeSet<&Grant> = grants.iter().collect();
        let (mut added, mut removed) = (0, 0);
        // Old ones go first: a changed `until` is one removed and one added.
        for grant in sorted(rows)?.iter().filter(|g| !wanted.contains(g)) {
            removed += remove(&mut tx, grant).await.map_err(at(CHANGE, true))?;
        }
        for grant in wanted {
            added += add(&mut tx, grant).await.map_err(at(CHANGE, true))?;
        }
        commit(tx, CHANGE).await?;
        Ok((added, removed))
    }
}

fn sorted(rows: Vec<GrantRow>) -> Result<Vec<Grant>, Error> {
    let mut grants = rows.into_iter().map(GrantRow::into_grant).collect::<Result<Vec<_>, _>>()?;
    grants.sort();
    Ok(grants)
}

async fn add(tx: &mut WriteTx, grant: &Grant) -> Result<u64, sqlx::Error> {
    let Grant { tenant, principal, pair, role, until } = grant;
    let done = sqlx::query(
        "INSERT INTO grants (tenant, principal, participant, program, role, until) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
         ON CONFLICT (tenant, principal, participant, program, role) \
         DO UPDATE SET until = excluded.until WHERE until IS NOT excluded.until",
    )
    .bind(tenant.as_str())
    .bind(column(principal.as_ref().map(PrincipalId::as_str)))
    .bind(column(pair.participant.as_ref().map(ParticipantId::as_str)))
    .bind(column(pair.program.as_deref()))
    .bind(role.as_str())
    .bind(until.map(|t| t.0))
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected())
}

async fn remove(tx: &mut WriteTx, grant: &Grant) -> Result<u64, sqlx::Error> {
    let Grant { tenant, principal, pair, role, until: _ } = grant;
    let done = sqlx::query(
        "DELETE FROM grants WHERE tenant = ?1 AND principal = ?2 AND participant = ?3 AND program = ?4 AND role = ?5",
    )
    .bind(tenant.as_str())
    .bind(column(principal.as_ref().map(PrincipalId::as_str)))
    .bind(column(pair.participant.as_ref().map(ParticipantId::as_str)))
    .bind(column(pair.program.as_deref()))
    .bind(role.as_str())
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected())
}
