//! The answers of the service, as far as a client needs them. Unknown members are passed over, and
//! those that an older service lacks are empty.

use payouts_model::totals::Sum;
use payouts_model::{Amount, Dialect, FileFormat};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Error;

/// An Export.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExportView {
    /// Its id.
    pub request_id: String,
    /// Queued, Processing, Completed or Failed.
    pub status: String,
    /// The file's link; empty until there is one.
    #[serde(default)]
    pub blob_location: String,
    /// How far it is.
    #[serde(default)]
    pub progress: Option<ProgressView>,
    /// Why it failed.
    #[serde(default)]
    pub error: Option<FailureView>,
    /// What the caller should know.
    #[serde(default)]
    pub warnings: Vec<WarningView>,
}

/// How far an Export is.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProgressView {
    /// Rows written.
    pub rows_done: Option<u64>,
    /// Rows expected.
    pub rows_expected: Option<u64>,
    /// Its place in the queue.
    pub queue_position: Option<u64>,
}

/// Why an Export failed.
#[derive(Clone, Debug, Deserialize)]
pub struct FailureView {
    /// The code.
    pub code: String,
    /// What happened and what to do.
    pub message: String,
    /// Whether asking again may help.
    #[serde(default)]
    pub retryable: bool,
}

/// Something to know.
#[derive(Clone, Debug, Deserialize)]
pub struct WarningView {
    /// A stable code.
    pub code: String,
    /// What it means.
    pub message: String,
}

impl ExportView {
    /// Whether it will not change any more.
    pub fn ended(&self) -> bool {
        matches!(self.status.as_str(), "Completed" | "Failed")
    }

    /// Why it failed, if it did.
    pub fn failure(&self) -> Option<Error> {
        if self.status != "Failed" {
            return None;
        }
        let (code, message, retryable) = match &self.error {
            Some(FailureView { code, message, retryable }) => (code.clone(), message.clone(), *retryable),
            None => ("Failed".into(), "the service gives no reason".into(), true),
        };
        Some(Error::Failed { id: self.request_id.clone(), code, message, retryable })
    }
}

/// The parts of a manifest that prove a file.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ManifestView {
    /// Data rows.
    pub row_count: Option<u64>,
    /// The format.
    pub file_format: String,
    /// The separator and the decimal sign, where the format leaves a choice.
    #[serde(default)]
    pub dialect: Option<Dialect>,
    /// The file.
    #[serde(default)]
    pub files: Vec<FileView>,
    /// The report.
    #[serde(default)]
    pub report: String,
    /// The columns, in file order.
    #[serde(default)]
    pub columns: Vec<String>,
    /// Sums.
    #[serde(default)]
    pub totals: Vec<TotalView>,
    /// Sums by program and order type besides.
    #[serde(default)]
    pub totals_by_program: Vec<ProgramTotalView>,
    /// The version of the data.
    #[serde(default)]
    pub data_version: Option<u64>,
}

/// A file of a manifest.
#[derive(Clone, Debug, Deserialize)]
pub struct FileView {
    /// Its bytes.
    pub bytes: u64,
    /// SHA-256 of them, lower-case hex.
    pub sha256: String,
    /// What is inside, for a ZIP or a workbook.
    #[serde(default)]
    pub entries: Vec<EntryView>,
}

/// An entry of a ZIP.
#[derive(Clone, Debug, Deserialize)]
pub struct EntryView {
    /// Its name.
    pub name: String,
    /// Bytes of its text.
    pub bytes: u64,
    /// Data rows.
    pub rows: u64,
    /// SHA-256 of its text, lower-case hex.
    pub sha256: String,
}

/// A sum of a manifest.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TotalView {
    /// The amount column.
    pub column: String,
    /// The currency.
    pub currency: String,
    /// The payment status.
    #[serde(default)]
    pub payment_status: String,
    /// Rows with an amount.
    pub rows: u64,
    /// The exact sum.
    pub sum: String,
    /// The exact sum of the negative ones.
    #[serde(default)]
    pub negative_sum: String,
}

/// A sum of one program and order type.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProgramTotalView {
    /// The program.
    pub program_name: String,
    /// The order type.
    pub order_type: String,
    /// The sum.
    #[serde(flatten)]
    pub total: TotalView,
}

impl TotalView {
    /// The sum as numbers.
    pub fn exact(&self) -> Result<Sum, Error> {
        let read = |text: &str| {
            wide(text).map(Amount).ok_or_else(|| Error::Answer {
                doing: "cannot use the manifest".into(),
                reason: format!("a sum of {} is '{text}', which is no amount", self.column),
            })
        };
        Ok(Sum { rows: self.rows, sum: read(&self.sum)?, negative: read(&self.negative_sum)? })
    }
}

/// A sum in ten-thousandths: it may have more digits than one amount.
fn wide(text: &str) -> Option<i128> {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |d| (-1, d));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let plain = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || fraction.len() > 4 || !plain(whole) || !plain(fraction) {
        return None;
    }
    format!("{whole}{fraction:0<4}").parse::<i128>().ok().map(|value| sign * value)
}

impl ManifestView {
    /// The file's format.
    pub fn format(&self) -> Result<FileFormat, Error> {
        let format = FileFormat::parse(&self.file_format);
        let chosen = self.dialect.and_then(|dialect| format?.with_dialect(dialect));
        chosen.or(format).ok_or_else(|| Error::Answer {
            doing: "cannot check the file".into(),
            reason: format!("the manifest names the format '{}', which this version does not know", self.file_format),
        })
    }

    /// The one file of a completed Export.
    pub fn file(&self) -> Result<&FileView, Error> {
        match self.files.as_slice() {
            [file] => Ok(file),
            files => Err(Error::Answer {
                doing: "cannot use the manifest".into(),
                reason: format!("it lists {} files, not one", files.len()),
            }),
        }
    }
}

/// Reads an answer.
pub async fn json<T: DeserializeOwned>(response: reqwest::Response) -> Result<T, Error> {
    let doing = || format!("cannot read the answer of {}", response_path(response.url()));
    let doing = doing();
    let bytes = response.bytes().await.map_err(|source| Error::Transport { doing: doing.clone(), source })?;
    serde_json::from_slice(&bytes)
        .map_err(|e| Error::Answer { doing, reason: format!("{e}; is this the URL of a payouts service?") })
}

/// An address without its query, which may hold filters and links' signatures.
fn response_path(url: &url::Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.into()
}
