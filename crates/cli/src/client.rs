//! The client side of the contract: ask, wait, download, check.
//!
//! Invariants: the file appears under its name only after size, SHA-256 and rows were checked
//! against the manifest; a repeated POST carries the same idempotency key, so it never makes a
//! second Export; the service's Retry-After is obeyed up to [`WAIT_SECONDS_MAX`].

mod api;
mod check;
mod download;
mod error;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use payouts_model::{FileFormat, ReportName};
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Method, Response, StatusCode};
use url::Url;
use uuid::Uuid;

pub use api::{ExportView, ManifestView, TotalView};
pub use check::{Checked, check_totals};
pub use error::Error;

/// The longest pause between two questions, whatever the service asks for.
pub const WAIT_SECONDS_MAX: u64 = 30;

/// Failures in a row that are taken before giving up.
const ATTEMPTS_MAX: u32 = 7;

/// A filter longer than this goes into the body: proxies cut long URLs.
const URL_FILTER_BYTES_MAX: usize = 4 * 1024;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The report.
    pub report: ReportName,
    /// The `$filter`.
    pub filter: Option<String>,
    /// The file's format; the service's default if absent.
    pub format: Option<FileFormat>,
    /// The columns, as `$select` takes them.
    pub select: Option<String>,
    /// The IANA time zone that rules bare dates.
    pub time_zone: Option<String>,
}

/// What happens, for whoever shows it.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// The Export is queued.
    Accepted(&'a ExportView),
    /// It is being made.
    Waiting(&'a ExportView),
    /// The service or the connection failed; trying again.
    Retrying(&'a str),
    /// The file is coming.
    Downloading {
        /** bytes here */
        done: u64,
        /** bytes in all */
        total: u64,
    },
    /// The file is here and is being checked.
    Checking,
}

/// Told what happens.
pub type Observer<'a> = &'a (dyn Fn(Event<'_>) + Sync);

/// A file that is proved to be the Export.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// Its manifest.
    pub manifest: ManifestView,
    /// The manifest as it came.
    pub manifest_text: String,
    /// What was counted in the file.
    pub checked: Checked,
}

/// A service and the token it is asked with.
#[derive(Debug)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    token: String,
}

impl Client {
    /// A client of the service at `base` (with its path prefix, if it has one).
    pub fn new(base: &str, token: &str) -> Result<Self, Error> {
        let bad = |reason: &str| Error::Usage { message: format!("'{base}' is not the URL of a service: {reason}") };
        let parsed = Url::parse(base).map_err(|e| bad(&e.to_string()))?;
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err(bad("it must begin with http:// or https://"));
        }
        let token = token.trim();
        if token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(Error::Usage {
                message: "the token is empty or has blanks or control characters in it".into(),
            });
        }
        let http = reqwest::Client::builder()
            .user_agent(concat!("payouts-cli/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_secs(10))
            .read_timeout(Duration::from_secs(90))
            .build()
            .map_err(|source| Error::Transport { doing: "cannot make an HTTP client".into(), source })?;
        Ok(Self { http, base: parsed, token: token.to_owned() })
    }

    /// Asks for an Export.
    pub async fn ask(&self, ask: &Ask, observer: Observer<'_>) -> Result<ExportView, Error> {
        let mut url = self.url(ask.report, &[]);
        let mut body = None;
        {
            let mut query = url.query_pairs_mut();
            match &ask.filter {
                Some(filter) if filter.len() > URL_FILTER_BYTES_MAX => {
                    body = Some(serde_json::json!({ "filter": filter }).to_string())
                }
                Some(filter) => {
                    query.append_pair("$filter", filter);
                }
                None => {}
            }
            let format = ask.format.map(|f| f.to_string());
            let dialect = ask.format.and_then(|f| f.text.dialect());
            let separator = dialect.map(|d| d.separator.to_string());
            let decimal = dialect.map(|d| d.decimal.to_string());
            let signs = [("separator", &separator), ("decimal", &decimal)];
            for (name, value) in [("fileFormat", &format), ("$select", &ask.select), ("timeZone", &ask.time_zone)]
                .into_iter()
                .chain(signs)
            {
                if let Some(value) = value {
                    query.append_pair(name, value);
                }
            }
        }
        if url.query() == Some("") {
            url.set_query(None);
        }
        let mut headers = HeaderMap::new();
        let key = Uuid::new_v4().to_string();
        headers.insert("Idempotency-Key", key.parse().expect("a GUID is a header value"));
        let response = self.send(Method::POST, &url, &headers, body.as_deref(), observer).await;
        let response = response.map_err(|e| e.with_filter(ask.filter.as_deref()))?;
        let export: ExportView = api::json(response).await?;
        observer(Event::Accepted(&export));
        Ok(export)
    }

    /// The Export as it is now.
    pub async fn get(&self, report: ReportName, id: &str, observer: Observer<'_>) -> Result<ExportView, Error> {
        let response = self.send(Method::GET, &self.url(report, &[id]), &HeaderMap::new(), None, observer).await?;
        api::json(response).await
    }

    /// Waits until the Export has ended; a failed one is an error.
    pub async fn wait(
        &self,
        report: ReportName,
        mut export: ExportView,
        observer: Observer<'_>,
    ) -> Result<ExportView, Error> {
        let url = self.url(report, &[&export.request_id]);
        let mut pause = Duration::from_secs(1);
        while !export.ended() {
            let asked_at = Instant::now();
            let mut headers = HeaderMap::new();
            let hold = format!("wait={}", pause.as_secs().clamp(1, WAIT_SECONDS_MAX));
            headers.insert("Prefer", hold.parse().expect("digits are a header value"));
            let response = self.send(Method::GET, &url, &headers, None, observer).await?;
            pause = retry_after(&response).unwrap_or(Duration::from_secs(1));
            export = api::json(response).await?;
            observer(Event::Waiting(&export));
            // A service that held the question has done the waiting itself.
            if !export.ended() {
                tokio::time::sleep(pause.saturating_sub(asked_at.elapsed())).await;
            }
        }
        match export.failure() {
            Some(error) => Err(error),
            None => Ok(export),
        }
    }

    /// The manifest of an ended Export, read and as it came.
    pub async fn manifest(
        &self,
        report: ReportName,
        id: &str,
        observer: Observer<'_>,
    ) -> Result<(ManifestView, String), Error> {
        let url = self.url(report, &[id, "manifest"]);
        let response = self.send(Method::GET, &url, &HeaderMap::new(), None, observer).await?;
        let doing = || "cannot read the manifest".to_owned();
        let text = response.text().await.map_err(|source| Error::Transport { doing: doing(), source })?;
        let manifest =
            serde_json::from_str(&text).map_err(|e| Error::Answer { doing: doing(), reason: e.to_string() })?;
        Ok((manifest, text))
    }

    /// Waits, downloads to `out`, checks, and only then gives the file its name.
    pub async fn fetch(
        &self,
        report: ReportName,
        export: ExportView,
        out: &Path,
        observer: Observer<'_>,
    ) -> Result<Fetched, Error> {
        let export = self.wait(report, export, observer).await?;
        let (manifest, manifest_text) = self.manifest(report, &export.request_id, observer).await?;
        let file = manifest.file()?.clone();
        let part = part_path(out);
        self.download(report, &export, file.bytes, &part, observer).await?;
        observer(Event::Checking);
        let (path, expected) = (part.clone(), manifest.clone());
        let checked =
            tokio::task::spawn_blocking(move || check::check(&path, &expected)).await.expect("checking does not panic");
        let checked = match checked {
            Ok(checked) => checked,
            Err(error) => {
                // A file that is not right must not be resumed.
                download::forget(&part);
                return Err(error);
            }
        };
        download::publish(&part, out)?;
        Ok(Fetched { manifest, manifest_text, checked })
    }

    fn url(&self, report: ReportName, more: &[&str]) -> Url {
        let mut url = self.base.clone();
        url.set_query(None);
        url.set_fragment(None);
        url.path_segments_mut()
            .expect("an http URL has a path")
            .pop_if_empty()
            .extend(["v1.0", "payouts", report.as_str()])
            .extend(more);
        url
    }

    /// Sends until there is an answer that is worth something. Everything that is sent here may be
    /// sent twice.
    async fn send(
        &self,
        method: Method,
        url: &Url,
        headers: &HeaderMap,
        body: Option<&str>,
        observer: Observer<'_>,
    ) -> Result<Response, Error> {
        let mut failures = 0;
        loop {
            let mut request =
                self.http.request(method.clone(), url.clone()).bearer_auth(&self.token).headers(headers.clone());
            if let Some(body) = body {
                request = request.header("Content-Type", "application/json").body(body.to_owned());
            }
            let (error, pause) = match request.send().await {
                Ok(response) if response.status().is_success() => return Ok(response),
                Ok(response) => {
                    let (status, pause) = (response.status(), retry_after(&response));
                    let error = Error::refused(response).await;
                    if !passes(status) {
                        return Err(error);
                    }
                    (error, pause)
                }
                Err(source) => (Error::Transport { doing: format!("cannot reach {}", self.base), source }, None),
            };
            failures += 1;
            // A service that is not there, or that breaks at this request, will hardly change soon.
            let stubborn = match &error {
                Error::Transport { source, .. } => source.is_connect(),
                Error::Refused { status, .. } => *status == 500,
                _ => false,
            };
            if failures >= ATTEMPTS_MAX || (stubborn && failures >= 3) {
                return Err(error);
            }
            observer(Event::Retrying(&error.to_string()));
            tokio::time::sleep(pause.unwrap_or_else(|| backoff(failures))).await;
        }
    }
}

/// Whether the same request may succeed later.
fn passes(status: StatusCode) -> bool {
    matches!(status.as_u16(), 429 | 500 | 502 | 503 | 504)
}

fn backoff(failures: u32) -> Duration {
    Duration::from_millis(250 << failures.min(5))
}

fn retry_after(response: &Response) -> Option<Duration> {
    let seconds: u64 = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds.min(WAIT_SECONDS_MAX)))
}

/// Where the file grows: beside its place.
fn part_path(out: &Path) -> PathBuf {
    let mut name = out.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    out.with_file_name(name)
}
