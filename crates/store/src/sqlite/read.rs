//! What viewers see, and what they delete.

use std::collections::HashMap;

use payouts_faults::{Point, pass};
use payouts_model::export::Move;
use payouts_model::{ExportId, ReportName, Role, Scope, Status, TenantId, Timestamp, Viewer};
use sqlx::SqliteConnection;

use super::rows::{ExportRow, count, export_sql, number, states, to_json};
use super::{SqliteStore, at, audit, commit};
use crate::audit::Record;
use crate::{Deleted, Error, ManifestText, Narrow, Page, Visible};

const FIND: &str = "find an export";
const LIST: &str = "list exports";
const DELETE: &str = "delete an export";

/// The filter of a list, as statements bind it.
struct Listed<'a> {
    tenant: TenantId,
    report: Option<&'static str>,
    status: Option<&'static str>,
    text: Option<&'a str>,
    /// Digests of the scopes that may be listed, as a JSON array; `None`: all of them.
    scopes: Option<String>,
}

impl SqliteStore {
    pub(super) async fn find_export(
        &self,
        viewer: &Viewer,
        report: ReportName,
        id: ExportId,
    ) -> Result<Option<Visible>, Error> {
        let mut reader = self.reader(FIND).await?;
        let Some(row) = own_row(&mut reader, viewer, report, id).await.map_err(at(FIND, true))? else {
            return Ok(None);
        };
        let Some(full) = self.sees(&mut reader, viewer, &row).await? else { return Ok(None) };
        let queue_position = if row.status == Status::Queued.as_str() {
            let scopes = if counts_all(viewer) {
                None
            } else {
                listed_scopes(viewer, &self.contained_scopes(&mut reader, viewer).await?)
            };
            let places =
                positions(&mut reader, &viewer.tenant, scopes.as_deref(), &[row.seq]).await.map_err(at(FIND, true))?;
            // It may have been claimed since the row was read; as read, it was in the queue.
            number::<u64>(places.get(&row.seq).copied().unwrap_or(0), || "queue position".to_owned())?.max(1)
        } else {
            0
        };
        let export = self.export(&mut reader, row).await?;
        Ok(Some(Visible { export, full, queue_position }))
    }

    /// Whether the viewer sees this row: in full, its state only (an admin), or not at all.
    async fn sees(
        &self,
        connection: &mut SqliteConnection,
        viewer: &Viewer,
        row: &ExportRow,
    ) -> Result<Option<bool>, Error> {
        let scope = self.scope(connection, &row.scope).await?;
        let full = viewer.scope.contains(&scope);
        Ok((full || viewer.role == Role::Admin).then_some(full))
    }

    pub(super) async fn find_manifest(
        &self,
        viewer: &Viewer,
        report: ReportName,
        id: ExportId,
    ) -> Result<Option<String>, Error> {
        let mut reader = self.reader(FIND).await?;
        let Some(row) = own_row(&mut reader, viewer, report, id).await.map_err(at(FIND, true))? else {
            return Ok(None);
        };
        if row.ended_at.is_none() || self.sees(&mut reader, viewer, &row).await? != Some(true) {
            return Ok(None);
        }
        let kept: Option<(Option<Vec<u8>>, Option<String>)> =
            sqlx::query_as("SELECT manifest_zstd, manifest FROM exports WHERE seq = ?1")
                .bind(row.seq)
                .fetch_optional(&mut *reader)
                .await
                .map_err(at(FIND, true))?;
        // Nobody needs to wait for the connection while megabytes are unpacked.
        drop(reader);
        match kept {
            Some((Some(packed), _)) => match ManifestText::unpacked(&packed) {
                Ok(text) => Ok(Some(text)),
                Err(_) => Err(Error::Corrupt { what: format!("manifest of export {id}") }),
            },
            // Of a version that did not compress it.
            Some((None, text)) => Ok(text),
            None => Ok(None),
        }
    }

    pub(super) async fn list_exports(
        &self,
        viewer: &Viewer,
        narrow: Narrow<'_>,
        top: u64,
        after: Option<(Timestamp, ExportId)>,
    ) -> Result<Page, Error> {
        // One snapshot for rows, total and positions.
        let mut tx = self.readers.begin().await.map_err(at(LIST, true))?;
        let contained = self.contained_scopes(&mut tx, viewer).await?;
        let scopes = listed_scopes(viewer, &contained);
        let Narrow { report, status, text } = narrow;
        let narrow = Listed {
            tenant: viewer.tenant.clone(),
            report: report.map(ReportName::as_str),
            status: status.map(Status::as_str),
            text,
            scopes,
        };
        let total = total(&mut tx, &narrow).await.map_err(at(LIST, true))?;
        let mut rows = page(&mut tx, &narrow, top.saturating_add(1), after).await.map_err(at(LIST, true))?;
        let more = rows.len() as u64 > top;
        rows.truncate(usize::try_from(top).unwrap_or(usize::MAX));
        let queued: Vec<i64> = rows.iter().filter(|r| r.status == Status::Queued.as_str()).map(|row| row.seq).collect();
        let counted = narrow.scopes.as_deref().filter(|_| !counts_all(viewer));
        let positions = positions(&mut tx, &narrow.tenant, counted, &queued).await.map_err(at(LIST, true))?;
        let mut items = Vec::with_capacity(rows.len());
        for row in rows {
            let full = contained.get(&row.scope).copied().unwrap_or(false);
            let queue_position = positions.get(&row.seq).copied().unwrap_or(0);
            let export = self.export(&mut tx, row).await?;
            items.push(Visible {
                export,
                full,
                queue_position: number(queue_position, || "queue position".to_owned())?,
            });
        }
        let next = items.last().filter(|_| more).map(|v| (v.export.created_at, v.export.id));
        Ok(Page { items, total: number(total, || "total".to_owned())?, next })
    }

    /// Every scope that Exports of the viewer's tenant have, and whether the viewer's contains it.
    async fn contained_scopes(
        &self,
        connection: &mut SqliteConnection,
        viewer: &Viewer,
    ) -> Result<HashMap<String, bool>, Error> {
        // Steps from one digest to the next in the index, whatever the number of Exports.
        let digests: Vec<String> = sqlx::query_scalar(
            "WITH RECURSIVE steps (digest) AS ( \
                 SELECT min(scope) FROM exports WHERE tenant = ?1 \
                 UNION ALL \
                 SELECT (SELECT min(scope) FROM exports WHERE tenant = ?1 AND scope > steps.digest) \
                 FROM steps WHERE steps.digest IS NOT NULL \
             ) SELECT digest FROM steps WHERE digest IS NOT NULL",
        )
        .bind(viewer.tenant.as_str())
        .fetch_all(&mut *connection)
        .await
        .map_err(at(LIST, true))?;
        let mut contained = HashMap::with_capacity(digests.len());
        for digest in digests {
            let scope = self.scope(connection, &digest).await?;
            contained.insert(digest, viewer.scope.contains(&scope));
        }
        Ok(contained)
    }

    pub(super) async fn delete_export(
        &self,
        viewer: &Viewer,
        report: ReportName,
        id: ExportId,
        now: Timestamp,
    ) -> Result<Deleted, Error> {
        let mut tx = self.begin(DELETE).await?;
        let Some(row) = own_row(&mut tx, viewer, report, id).await.map_err(at(DELETE, true))? else {
            return Ok(Deleted::NotFound);
        };
        // Whoever made it may always take it back, also without the grants that seeing it needs.
        if row.principal != viewer.principal.as_str() && viewer.role != Role::Admin {
            let seen = self.sees(&mut tx, viewer, &row).await?.is_some();
            return Ok(if seen { Deleted::NotTheOwner } else { Deleted::NotFound });
        }
        if row.held_at.is_some() {
            return Ok(Deleted::Held);
        }
        sqlx::query("DELETE FROM exports WHERE seq = ?1 AND status IN (SELECT value FROM json_each(?2))")
            .bind(row.seq)
            .bind(states(Move::Delete))
            .execute(&mut *tx)
            .await
            .map_err(at(DELETE, true))?;
        let export = self.export(&mut tx, row).await?;
        let record = Record::deleted(viewer, &export, now).to_text();
        audit::append(&mut tx, &[&record]).await.map_err(at(DELETE, true))?;
        pass(Point::ExportDelete).await.map_err(|e| at(DELETE, true)(e.into()))?;
        commit(tx, DELETE).await?;
        Ok(Deleted::Gone(Box::new(export)))
    }

    pub(super) async fn count_by_status(&self) -> Result<Vec<(ReportName, Status, u64)>, Error> {
        let mut reader = self.reader("count exports").await?;
        let rows: Vec<(String, String, i64)> =
            sqlx::query_as("SELECT report, status, count(*) FROM exports GROUP BY report, status")
                .fetch_all(&mut *reader)
                .await
                .map_err(at("count exports", true))?;
        let read = |(report, status, n): (String, String, i64)| {
            let what = || format!("counts of {report} {status}");
            let corrupt = |_| Error::Corrupt { what: what() };
            Ok((report.parse().map_err(corrupt)?, status.parse().map_err(corrupt)?, number(n, what)?))
        };
        rows.into_iter().map(read).collect()
    }
}

/// Digests of the scopes that the viewer may list, as a JSON array; `None`: all of them.
fn listed_scopes(viewer: &Viewer, contained: &HashMap<String, bool>) -> Option<String> {
    (viewer.role != Role::Admin)
        .then(|| to_json(&contained.iter().filter(|(_, full)| **full).map(|(d, _)| d).collect::<Vec<_>>()))
}

/// The row of an Export of the viewer's tenant and this report.
async fn own_row(
    connection: &mut SqliteConnection,
    viewer: &Viewer,
    report: ReportName,
    id: ExportId,
) -> Result<Option<ExportRow>, sqlx::Error> {
    sqlx::query_as(export_sql!("SELECT", "FROM exports WHERE id = ?1 AND tenant = ?2 AND report = ?3"))
        .bind(id.to_string())
        .bind(viewer.tenant.as_str())
        .bind(report.as_str())
        .fetch_optional(connection)
        .await
}

/// Whether a row has the text that is looked for.
macro_rules! has_text {
    ($text:literal) => {
        concat!(
            "(",
            $text,
            " IS NULL OR instr(lower(id || char(10) || principal || char(10) || (query ->> 'text') \
             || char(10) || (query ->> 'filter')), lower(",
            $text,
            ")) > 0)"
        )
    };
}

async fn total(connection: &mut SqliteConnection, narrow: &Listed<'_>) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(concat!(
        "SELECT count(*) FROM exports WHERE tenant = ?1 AND (?2 IS NULL OR report = ?2) AND (?3 IS NULL OR status = ?3) \
         AND (?4 IS NULL OR scope IN (SELECT value FROM json_each(?4))) AND ",
        has_text!("?5")
    ))
    .bind(narrow.tenant.as_str())
    .bind(narrow.report)
    .bind(narrow.status)
    .bind(narrow.scopes.as_deref())
    .bind(narrow.text)
    .fetch_one(connection)
    .await
}

async fn page(
    connection: &mut SqliteConnection,
    narrow: &Listed<'_>,
    limit: u64,
    after: Option<(Timestamp, ExportId)>,
) -> Result<Vec<ExportRow>, sqlx::Error> {
    sqlx::query_as(concat!(
        export_sql!(
            "SELECT",
            "FROM exports WHERE tenant = ?1 AND (?2 IS NULL OR report = ?2) AND (?3 IS NULL OR status = ?3) \
             AND (?4 IS NULL OR scope IN (SELECT value FROM json_each(?4))) \
             AND (created_at, id) < (?5, ?6) AND "
        ),
        has_text!("?8"),
        " ORDER BY created_at DESC, id DESC LIMIT ?7"
    ))
    .bind(narrow.tenant.as_str())
    .bind(narrow.report)
    .bind(narrow.status)
    .bind(narrow.scopes.as_deref())
    .bind(after.map_or(i64::MAX, |(at, _)| at.0))
    // Sorts after every id.
    .bind(after.map_or_else(|| "~".to_owned(), |(_, id)| id.to_string()))
    .bind(count(limit))
    .bind(narrow.text)
    .fetch_all(connection)
    .await
}

/// The queued ones up to each of some acceptance numbers: whole blocks, and the part of its own.
/// Named indexes keep it from walking the table by number.
pub(super) const POSITIONS: &str = "SELECT asked.value, \
     coalesce((SELECT sum(b.queued) FROM queue_blocks b WHERE b.tenant = ?1 AND b.block < asked.value >> 10), 0) \
     + (SELECT count(*) FROM exports e INDEXED BY exports_open \
        WHERE e.ended_at IS NULL AND e.tenant = ?1 AND e.status = 'Queued' \
        AND e.seq BETWEEN asked.value >> 10 << 10 AND asked.value) \
     FROM json_each(?2) AS asked";

/// The same among the scopes of a JSON array: one pass over the queue, which a tenant's limit bounds.
const POSITIONS_AMONG: &str = "SELECT seq, place FROM ( \
     SELECT e.seq AS seq, row_number() OVER (ORDER BY e.seq) AS place FROM exports e INDEXED BY exports_open \
     WHERE e.ended_at IS NULL AND e.tenant = ?1 AND e.status = 'Queued' \
     AND e.seq <= (SELECT max(value) FROM json_each(?2)) AND e.scope IN (SELECT value FROM json_each(?3))) \
     WHERE seq IN (SELECT value FROM json_each(?2))";

/// Whether the viewer sees every Export of the tenant, whatever their scopes are.
fn counts_all(viewer: &Viewer) -> bool {
    viewer.role == Role::Admin || viewer.scope.contains(&Scope::everything())
}

/// The places of queued ones in their tenant's queue, by `seq`, among those of some scopes: a
/// place must not tell of Exports that the viewer cannot see. `None`: among all.
async fn positions(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
    scopes: Option<&str>,
    queued: &[i64],
) -> Result<HashMap<i64, i64>, sqlx::Error> {
    if queued.is_empty() {
        return Ok(HashMap::new());
    }
    let asked = sqlx::query_as(if scopes.is_some() { POSITIONS_AMONG } else { POSITIONS });
    let asked = asked.bind(tenant.as_str()).bind(to_json(queued));
    let found: Vec<(i64, i64)> = match scopes {
        Some(scopes) => asked.bind(scopes).fetch_all(connection).await?,
        None => asked.fetch_all(connection).await?,
    };
    Ok(found.into_iter().collect())
}
