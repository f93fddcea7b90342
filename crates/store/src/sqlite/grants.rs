//! Grants: who may see what. What they add up to is remembered, but the database is asked at every
//! call whether they have changed, so that a change by another process is at work at once.

mod cache;

use std::collections::BTreeSet;

use payouts_model::{Grant, Pair, ParticipantId, PrincipalId, Role, Scope, TenantId, Timestamp};

use super::{SqliteStore, WriteTx, at, audit, commit};
use crate::Error;
use crate::audit::{By, Event, Record};
use cache::Access;
pub(super) use cache::AccessCache;

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

/// The version of the grants, and a grant if there is one.
#[derive(sqlx::FromRow)]
struct AccessRow {
    version: i64,
    participant: Option<String>,
    program: Option<String>,
    role: Option<String>,
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
        let version = self.grants_version().await?;
        let holder = (tenant.clone(), principal.clone());
        if let Some(access) = self.access.get(&holder, version, now) {
            return Ok(access);
        }
        let access = self.read_access(tenant, principal, now).await?;
        let answer = (access.role, access.scope.clone());
        self.access.put(holder, access);
        Ok(answer)
    }

    async fn read_access(&self, tenant: &TenantId, principal: &PrincipalId, now: Timestamp) -> Result<Access, Error> {
        let mut reader = self.reader(GRANTS).await?;
        // Version and grants in one statement, that is of one moment.
        let rows: Vec<AccessRow> = sqlx::query_as(
            "SELECT v.version, g.participant, g.program, g.role, g.until FROM grants_version v \
             LEFT JOIN grants g ON g.tenant = ?1 AND g.principal IN ('*', ?2)",
        )
        .bind(tenant.as_str())
        .bind(column(Some(principal.as_str())))
        .fetch_all(&mut *reader)
        .await
        .map_err(at(GRANTS, true))?;
        let mut access = Access {
            version: 0,
            from: Timestamp(i64::MIN),
            until: Timestamp(i64::MAX),
            role: Role::Viewer,
            scope: Scope::default(),
        };
        let mut pairs = Vec::with_capacity(rows.len());
        for AccessRow { version, participant, program, role, until } in &rows {
            access.version = *version;
            let (Some(participant), Some(program), Some(role)) = (participant, program, role) else { continue };
            match until.map(Timestamp) {
                Some(until) if until <= now => {
                    access.from = access.from.max(until);
                    continue;
                }
                Some(until) => access.until = access.until.min(until),
                None => {}
            }
            access.role = access.role.max(read_role(role)?);
            pairs.push(Pair {
                participant: one(participant)?.map(ParticipantId::new),
                program: one(program)?.map(str::to_owned),
            });
        }
        access.scope = pairs.into_iter().collect();
        Ok(access)
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

    pub(super) async fn add_grants(&self, grants: &[Grant], by: &By) -> Result<u64, Error> {
        let mut tx = self.begin(CHANGE).await?;
        let mut changes = Changes::new(by, false);
        for grant in grants {
            changes.add(&mut tx, grant).await.map_err(at(CHANGE, true))?;
        }
        Ok(changes.commit(tx).await?.0)
    }

    pub(super) async fn remove_grants(&self, grants: &[Grant], by: &By) -> Result<u64, Error> {
        let mut tx = self.begin(CHANGE).await?;
        let mut changes = Changes::new(by, false);
        for grant in grants {
            changes.remove(&mut tx, grant).await.map_err(at(CHANGE, true))?;
        }
        Ok(changes.commit(tx).await?.1)
    }

    pub(super) async fn replace_grants(&self, grants: &[Grant], by: &By) -> Result<(u64, u64), Error> {
        let mut tx = self.begin(CHANGE).await?;
        let rows: Vec<GrantRow> =
            sqlx::query_as("SELECT tenant, principal, participant, program, role, until FROM grants")
                .fetch_all(&mut *tx)
                .await
                .map_err(at(CHANGE, true))?;
        let wanted: BTreeSet<&Grant> = grants.iter().collect();
        let mut changes = Changes::new(by, true);
        // Old ones go first: a changed `until` is one removed and one added.
        for grant in sorted(rows)?.iter().filter(|g| !wanted.contains(g)) {
            changes.remove(&mut tx, grant).await.map_err(at(CHANGE, true))?;
        }
        for grant in wanted {
            changes.add(&mut tx, grant).await.map_err(at(CHANGE, true))?;
        }
        changes.commit(tx).await
    }
}

/// What one transaction changes, and its audit records.
struct Changes<'a> {
    by: &'a By,
    applied: bool,
    added: u64,
    removed: u64,
    records: Vec<String>,
}

impl<'a> Changes<'a> {
    fn new(by: &'a By, applied: bool) -> Self {
        Self { by, applied, added: 0, removed: 0, records: Vec::new() }
    }

    async fn add(&mut self, tx: &mut WriteTx, grant: &Grant) -> Result<(), sqlx::Error> {
        if add(tx, grant).await? > 0 {
            self.added += 1;
            self.record(Event::GrantGiven { grant: grant.into(), applied: self.applied });
        }
        Ok(())
    }

    async fn remove(&mut self, tx: &mut WriteTx, grant: &Grant) -> Result<(), sqlx::Error> {
        if remove(tx, grant).await? > 0 {
            self.removed += 1;
            self.record(Event::GrantRevoked { grant: grant.into(), applied: self.applied });
        }
        Ok(())
    }

    fn record(&mut self, event: Event) {
        self.records.push(Record::new(self.by, event).to_text());
    }

    /// Answers (added, removed).
    async fn commit(self, mut tx: WriteTx) -> Result<(u64, u64), Error> {
        let records: Vec<&str> = self.records.iter().map(String::as_str).collect();
        audit::append(&mut tx, &records).await.map_err(at(CHANGE, true))?;
        commit(tx, CHANGE).await?;
        Ok((self.added, self.removed))
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
