//! What an examination asks of the database: whether it is whole, and what it says of files, leases
//! and data versions. Reads only.

use payouts_model::export::FileInfo;
use payouts_model::{ExportId, ReportName, Timestamp};

use super::rows::{count, json, number};
use super::{SqliteStore, at};
use crate::Error;

const INSPECT: &str = "examine the database";

/// The file that a Completed Export has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredFile {
    /// Where it stands among all: the place to go on from.
    pub seq: i64,
    /// Whose.
    pub export: ExportId,
    /// Of which attempt.
    pub fence: u64,
    /// What the row says of it.
    pub file: FileInfo,
}

/// An Export that has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenExport {
    /// Which.
    pub export: ExportId,
    /// Of which report.
    pub report: ReportName,
    /// The data version that it began with.
    pub data_version: Option<u64>,
    /// When its lease ends, if a worker has it.
    pub lease_until: Option<Timestamp>,
}

impl SqliteStore {
    /// What is wrong with the database's own structure; nothing if it is whole.
    pub async fn integrity(&self) -> Result<Vec<String>, Error> {
        let mut reader = self.reader(INSPECT).await?;
        let found: Vec<String> = sqlx::query_scalar("PRAGMA integrity_check(20)")
            .fetch_all(&mut *reader)
            .await
            .map_err(at(INSPECT, true))?;
        let mut problems: Vec<String> = found.into_iter().filter(|line| line != "ok").collect();
        let broken: Vec<(String, Option<i64>, String, i64)> =
            sqlx::query_as("PRAGMA foreign_key_check").fetch_all(&mut *reader).await.map_err(at(INSPECT, true))?;
        let told = broken.into_iter().take(20);
        problems
            .extend(told.map(|(table, _, parent, _)| format!("a row of {table} refers to a missing one of {parent}")));
        Ok(problems)
    }

    /// Files of Completed Exports beyond place `after`, at most `max`.
    pub async fn files_after(&self, after: i64, max: u64) -> Result<Vec<StoredFile>, Error> {
        let mut reader = self.reader(INSPECT).await?;
        let rows: Vec<(i64, String, i64, String)> = sqlx::query_as(
            "SELECT seq, id, file_fence, file FROM exports WHERE file_fence IS NOT NULL AND seq > ?1 ORDER BY seq LIMIT ?2",
        )
        .bind(after)
        .bind(count(max))
        .fetch_all(&mut *reader)
        .await
        .map_err(at(INSPECT, true))?;
        let read = |(seq, id, fence, file): (i64, String, i64, String)| {
            let what = || format!("file of export {id}");
            Ok(StoredFile {
                seq,
                export: id.parse().map_err(|_| Error::Corrupt { what: what() })?,
                fence: number(fence, what)?,
                file: json(&file, what)?,
            })
        };
        rows.into_iter().map(read).collect()
    }

    /// Every Export that has not ended.
    pub async fn open_exports(&self) -> Result<Vec<OpenExport>, Error> {
        let mut reader = self.reader(INSPECT).await?;
        let rows: Vec<(String, String, Option<i64>, Option<i64>)> = sqlx::query_as(
            "SELECT id, report, data_version, lease_until FROM exports WHERE ended_at IS NULL ORDER BY seq",
        )
        .fetch_all(&mut *reader)
        .await
        .map_err(at(INSPECT, true))?;
        let read = |(id, report, version, lease): (String, String, Option<i64>, Option<i64>)| {
            let what = || format!("export {id}");
            Ok(OpenExport {
                report: report.parse().map_err(|_| Error::Corrupt { what: what() })?,
                data_version: version.map(|v| number(v, what)).transpose()?,
                lease_until: lease.map(Timestamp),
                export: id.parse().map_err(|_| Error::Corrupt { what: what() })?,
            })
        };
        rows.into_iter().map(read).collect()
    }
}
