//! The manifest: JSON that lets finance trust the file.
//!
//! Owns the document's shape; it is kept for years, so members are added and never change their
//! meaning ([`MANIFEST_VERSION`] counts changes that old readers would misread). Amounts are exact
//! decimals as texts. Equal inputs give equal bytes: members in the order of the structs, lists
//! sorted.

mod lines;
mod totals;

#[cfg(test)]
mod tests;

use std::io;

use payouts_model::{
    Dialect, Export, ExportId, Failure, Pair, PrincipalId, ReportName, Scope, Status, TenantId, Timestamp, Warning,
};
use serde::{Deserialize, Serialize};

use crate::{Entry, Packaged};

pub use totals::{ProgramTotal, Total, totals, totals_by_program};

/// The version of the document's shape.
pub const MANIFEST_VERSION: u32 = 1;

/// Up to so many participants, and pairs, are listed; beyond it the digest alone tells.
pub const SCOPE_LISTED_MAX: usize = 1_000;

/// What is known of an Export once it has ended. Instants are ISO 8601 in UTC.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// [`MANIFEST_VERSION`] when it was written.
    pub manifest_version: u32,
    /// Whose manifest it is.
    pub request_id: ExportId,
    /// The report.
    pub report: ReportName,
    /// Completed or Failed.
    pub status: Status,
    /// Why it was given up (Failed only).
    pub error: Option<Failure>,
    /// Data rows in the file; `None` if there is no file.
    pub row_count: Option<u64>,
    /// Sums by amount column, currency and payment status.
    pub totals: Vec<Total>,
    /// The same by program and order type besides.
    pub totals_by_program: Vec<ProgramTotal>,
    /// Least and greatest value of each date and timestamp column that has any.
    pub dates: Vec<Dates>,
    /// The file, if there is one.
    pub files: Vec<File>,
    /// What the caller asked for, as the Export says it.
    pub request_query_string: String,
    /// What that means.
    pub filter: Filter,
    /// Whose rows it could hold.
    pub scope: ScopeSummary,
    /// The version of the ledger that was read.
    pub data_version: Option<u64>,
    /// The newest import in that version.
    pub data_as_of: Option<String>,
    /// Until when that version stays readable, so that the same request over it gives the same
    /// bytes; `None` where the service cannot promise it.
    #[serde(default)]
    pub reproducible_until: Option<String>,
    /// The columns, in file order.
    pub columns: Vec<String>,
    /// The IANA time zone that ruled bare dates.
    pub time_zone: String,
    /// The format, as `fileFormat` takes it.
    pub file_format: String,
    /// The separator and the decimal sign, where the format leaves a choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dialect: Option<Dialect>,
    /// Who asked.
    pub requested_by: RequestedBy,
    /// When it was accepted.
    pub requested_at: String,
    /// What was done, in order.
    pub steps: Vec<Step>,
    /// What the caller should know.
    pub warnings: Vec<Warning>,
}

/// The span of a date or timestamp column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Dates {
    /// The column.
    pub column: String,
    /// Its least value.
    pub least: String,
    /// Its greatest value.
    pub greatest: String,
}

/// A file as it is downloaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct File {
    /// The name it is saved under.
    pub name: String,
    /// Its bytes.
    pub bytes: u64,
    /// SHA-256 of those bytes, lower-case hex.
    pub sha256: String,
    /// What is inside, for a ZIP and for a workbook, which is one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entries: Vec<Entry>,
}

/// What a filter was taken to mean.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Filter {
    /// The normal form, default window included; empty means every row.
    pub normal_form: String,
    /// Whether the normal form is the default window, because nothing was asked.
    pub default_window: bool,
    /// The instant that `now()` and the window were fixed at.
    pub now: String,
}

/// The pairs of participant and program that an Export was confined to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScopeSummary {
    /// How many participants, or "all".
    pub participant_count: Count,
    /// SHA-256 of the sorted pairs as compact JSON, lower-case hex.
    pub digest: String,
    /// The participants, unless it is all or more than [`SCOPE_LISTED_MAX`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub participants: Option<Vec<String>>,
    /// The pairs, unless more than [`SCOPE_LISTED_MAX`]; `null` in a pair means all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pairs: Option<Vec<Pair>>,
}

/// A number, or the word "all".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Count {
    /// So many.
    Number(u64),
    /// All, also future ones.
    All(All),
}

/// The word "all".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum All {
    /// Every one.
    All,
}

impl From<&Scope> for ScopeSummary {
    fn from(scope: &Scope) -> Self {
        let participants = scope.participants();
        let participant_count = match &participants {
            Some(ids) => Count::Number(ids.len() as u64),
            None => Count::All(All::All),
        };
        let listed = participants.filter(|ids| ids.len() <= SCOPE_LISTED_MAX);
        let pairs = scope.pairs();
        Self {
            participant_count,
            digest: scope.digest(),
            participants: listed.map(|ids| ids.into_iter().map(|id| id.as_str().to_owned()).collect()),
            pairs: (pairs.len() <= SCOPE_LISTED_MAX).then(|| pairs.cloned().collect()),
        }
    }
}

/// Who asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestedBy {
    /// The tenant.
    pub tenant_id: TenantId,
    /// The principal.
    pub principal_id: PrincipalId,
}

/// One step of the work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// What was done, such as `write`.
    pub name: String,
    /// When it began.
    pub started_at: String,
    /// When it ended; `None` for the step that failed.
    pub ended_at: Option<String>,
}

impl Step {
    /// A step between two instants.
    pub fn new(name: impl Into<String>, started_at: Timestamp, ended_at: Option<Timestamp>) -> Self {
        Self { name: name.into(), started_at: started_at.to_string(), ended_at: ended_at.map(|at| at.to_string()) }
    }
}

/// What the Export's row does not know when the manifest is made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extras {
    /// The version of the ledger; the Export's own if `None`.
    pub data_version: Option<u64>,
    /// The newest import in that version.
    pub data_as_of: Option<Timestamp>,
    /// Until when that version stays readable.
    pub reproducible_until: Option<Timestamp>,
    /// What was done, in order.
    pub steps: Vec<Step>,
    /// Warnings besides those of the Export.
    pub warnings: Vec<Warning>,
}

impl Manifest {
    /// The manifest of an Export whose file is sealed. `download_name` is the name that the file
    /// is saved under.
    pub fn completed(export: &Export, packaged: &Packaged, download_name: &str, extras: Extras) -> Self {
        let Packaged { bytes, sha256, entries, totals: sums, beyond: _ } = packaged;
        let dates = sums.spans.iter().map(|(column, (least, greatest))| Dates {
            column: column.to_string(),
            least: least.to_string(),
            greatest: greatest.to_string(),
        });
        let file =
            File { name: download_name.to_owned(), bytes: *bytes, sha256: sha256.clone(), entries: entries.clone() };
        Self {
            status: Status::Completed,
            row_count: Some(sums.rows),
            totals: totals(sums),
            totals_by_program: totals_by_program(sums),
            dates: dates.collect(),
            files: vec![file],
            ..Self::base(export, extras)
        }
    }

    /// The manifest of an Export that is given up for this reason.
    pub fn failed(export: &Export, failure: Failure, extras: Extras) -> Self {
        Self { error: Some(failure), ..Self::base(export, extras) }
    }

    /// All that does not depend on a file; Failed.
    fn base(export: &Export, extras: Extras) -> Self {
        let Extras { data_version, data_as_of, reproducible_until, steps, warnings } = extras;
        let query = &export.query;
        Self {
            manifest_version: MANIFEST_VERSION,
            request_id: export.id,
            report: export.report,
            status: Status::Failed,
            error: None,
            row_count: None,
            totals: Vec::new(),
            totals_by_program: Vec::new(),
            dates: Vec::new(),
            files: Vec::new(),
            request_query_string: query.text.clone(),
            filter: Filter {
                normal_form: query.filter.clone(),
                default_window: query.text.is_empty() && !query.filter.is_empty(),
                now: query.now.to_string(),
            },
            scope: ScopeSummary::from(&export.scope),
            data_version: data_version.or(export.data_version),
            data_as_of: data_as_of.map(|at| at.to_string()),
            reproducible_until: reproducible_until.map(|at| at.to_string()),
            columns: query.columns.clone(),
            time_zone: query.time_zone.clone(),
            file_format: query.format.to_string(),
            dialect: query.format.text.dialect(),
            requested_by: RequestedBy { tenant_id: export.tenant.clone(), principal_id: export.principal.clone() },
            requested_at: export.created_at.to_string(),
            steps,
            warnings: export.warnings.iter().cloned().chain(warnings).collect(),
        }
    }

    /// The document, laid out for people by [`lines`]: there may be thousands of sums, each one a
    /// line.
    pub fn to_json(&self) -> String {
        lines::to_json(self)
    }

    /// Writes the same into `out`.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_json(&self, out: impl io::Write) -> io::Result<()> {
        lines::write_json(self, out)
    }

    /// Reads a document back.
    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }
}
