//! What operators do with single Exports and with old data: holds, what retention would delete,
//! and which data versions are still needed.

use std::collections::BTreeSet;

use payouts_model::{Export, ExportId, ReportName, Timestamp};

use super::rows::{ExportRow, count, export_sql, number};
use super::{SqliteStore, at, audit, commit};
use crate::audit::{By, Event, Record};
use crate::{Due, DueWhat, Error};

const HOLD: &str = "hold an export";
const DUE: &str = "list what retention deletes";
const VERSIONS: &str = "list data versions in use";

impl SqliteStore {
    pub(super) async fn set_hold(
        &self,
        id: ExportId,
        held_at: Option<Timestamp>,
        by: &By,
    ) -> Result<Option<Export>, Error> {
        let mut tx = self.begin(HOLD).await?;
        let changes: Option<bool> =
            sqlx::query_scalar("SELECT (?1 IS NULL) <> (held_at IS NULL) FROM exports WHERE id = ?2")
                .bind(held_at.map(|at| at.0))
                .bind(id.to_string())
                .fetch_optional(&mut *tx)
                .await
                .map_err(at(HOLD, true))?;
        let row: Option<ExportRow> = sqlx::query_as(export_sql!(
            "UPDATE exports SET revision = revision + ((?1 IS NULL) <> (held_at IS NULL)), \
             held_at = CASE WHEN ?1 IS NULL THEN NULL ELSE coalesce(held_at, ?1) END \
             WHERE id = ?2 RETURNING",
            ""
        ))
        .bind(held_at.map(|at| at.0))
        .bind(id.to_string())
        .fetch_optional(&mut *tx)
        .await
        .map_err(at(HOLD, true))?;
        let export = match row {
            Some(row) => Some(self.export(&mut tx, row).await?),
            None => None,
        };
        if changes == Some(true) {
            let event = match held_at {
                Some(_) => Event::ExportHeld { export: id },
                None => Event::ExportReleased { export: id },
            };
            audit::append(&mut tx, &[&Record::new(by, event).to_text()]).await.map_err(at(HOLD, true))?;
        }
        commit(tx, HOLD).await?;
        Ok(export)
    }

    pub(super) async fn list_due(&self, now: Timestamp, before: Timestamp, max: u64) -> Result<Vec<Due>, Error> {
        // One snapshot, so that no Export is told of twice.
        let mut tx = self.readers.begin().await.map_err(at(DUE, true))?;
        let files: Vec<ExportRow> = sqlx::query_as(export_sql!(
            "SELECT",
            "FROM exports WHERE file_fence IS NOT NULL AND file_expires_at <= ?1 AND held_at IS NULL \
             ORDER BY file_expires_at LIMIT ?2"
        ))
        .bind(now.0)
        .bind(count(max))
        .fetch_all(&mut *tx)
        .await
        .map_err(at(DUE, true))?;
        let exports: Vec<ExportRow> = sqlx::query_as(export_sql!(
            "SELECT",
            "FROM exports WHERE ended_at IS NOT NULL AND ended_at < ?1 AND file_fence IS NULL AND held_at IS NULL \
             ORDER BY ended_at LIMIT ?2"
        ))
        .bind(before.0)
        .bind(count(max))
        .fetch_all(&mut *tx)
        .await
        .map_err(at(DUE, true))?;
        let mut due = Vec::with_capacity(files.len() + exports.len());
        for row in files.into_iter().chain(exports) {
            let export = self.export(&mut tx, row).await?;
            let what = match (&export.file, export.file_expires_at, export.ended_at) {
                (Some(_), Some(expired_at), _) => DueWhat::File { expired_at },
                (_, _, Some(ended_at)) => DueWhat::Export { ended_at },
                (_, _, None) => return Err(Error::Corrupt { what: format!("times of export {}", export.id) }),
            };
            due.push(Due { export, what });
        }
        Ok(due)
    }

    pub(super) async fn data_versions_in_use(
        &self,
        report: ReportName,
        now: Timestamp,
    ) -> Result<BTreeSet<u64>, Error> {
        let mut reader = self.reader(VERSIONS).await?;
        let versions: Vec<i64> = sqlx::query_scalar(
            "SELECT DISTINCT data_version FROM exports \
             WHERE report = ?1 AND data_version IS NOT NULL AND (ended_at IS NULL OR reproducible_until >= ?2)",
        )
        .bind(report.as_str())
        .bind(now.0)
        .fetch_all(&mut *reader)
        .await
        .map_err(at(VERSIONS, true))?;
        versions.into_iter().map(|v| number(v, || "data version".to_owned())).collect()
    }
}
