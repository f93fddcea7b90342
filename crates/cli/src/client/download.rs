//! The download: resumed after a broken connection, over a fresh link when the old one ended.

use std::io::SeekFrom;
use std::path::{Path, PathBuf};

use payouts_model::ReportName;
use reqwest::header::{CONTENT_RANGE, ETAG, HeaderMap, HeaderValue, IF_RANGE, RANGE};
use reqwest::{Response, StatusCode};
use tokio::io::{AsyncSeekExt as _, AsyncWriteExt as _};

use super::{ATTEMPTS_MAX, Client, Error, Event, ExportView, Observer, backoff, passes};

/// How an attempt ended without the whole file.
enum Broken {
    /// The link has ended or is not accepted any more.
    Link(Error),
    /// The connection broke, or the service had no time.
    Passing(Error),
    /// There is no sense in going on.
    Final(Error),
}

impl Client {
    /// Downloads the Export's file to `part`, going on where an earlier attempt ended.
    pub(super) async fn download(
        &self,
        report: ReportName,
        export: &ExportView,
        total: u64,
        part: &Path,
        observer: Observer<'_>,
    ) -> Result<(), Error> {
        let mut link = export.blob_location.clone();
        let mut failures = 0;
        let mut done_before = 0;
        loop {
            if link.is_empty() {
                let reason = format!("export {} has no file any more", export.request_id);
                return Err(Error::Answer { doing: "cannot download".into(), reason });
            }
            let broken = match self.attempt(&link, total, part, observer).await {
                Ok(()) => return Ok(()),
                Err(broken) => broken,
            };
            let done = std::fs::metadata(part).map_or(0, |m| m.len());
            failures = if done > done_before { 1 } else { failures + 1 };
            done_before = done;
            let (error, renew) = match broken {
                Broken::Final(error) => return Err(error),
                Broken::Link(error) => (error, true),
                Broken::Passing(error) => (error, false),
            };
            if failures >= ATTEMPTS_MAX {
                return Err(error);
            }
            observer(Event::Retrying(&error.to_string()));
            if failures > 1 {
                tokio::time::sleep(backoff(failures)).await;
            }
            if renew {
                link = self.get(report, &export.request_id, observer).await?.blob_location;
            }
        }
    }

    async fn attempt(&self, link: &str, total: u64, part: &Path, observer: Observer<'_>) -> Result<(), Broken> {
        let io = |source| Broken::Final(Error::Io { doing: format!("cannot write {}", part.display()), source });
        let have = std::fs::metadata(part).map_or(0, |m| m.len());
        let etag = std::fs::read_to_string(etag_path(part)).ok().filter(|_| have > 0);
        let mut headers = HeaderMap::new();
        if let Some(tag) = etag.as_deref().and_then(|t| HeaderValue::from_str(t).ok()) {
            headers.insert(RANGE, format!("bytes={have}-").parse().expect("digits are a header value"));
            headers.insert(IF_RANGE, tag);
        }
        let passing = |source| Broken::Passing(Error::Transport { doing: "the download broke off".into(), source });
        // No token: the link carries its own, and may lead to another host.
        let mut response = self.http.get(link).headers(headers).send().await.map_err(passing)?;
        let start = match response.status() {
            StatusCode::OK => 0,
            StatusCode::PARTIAL_CONTENT if range_start(&response) == Some(have) => have,
            StatusCode::RANGE_NOT_SATISFIABLE if have == total => return Ok(()),
            StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE => {
                forget(part);
                let reason = "the service answered another range than was asked for".into();
                return Err(Broken::Passing(Error::Answer { doing: "the download broke off".into(), reason }));
            }
            status if matches!(status.as_u16(), 401 | 403 | 404 | 410) => {
                return Err(Broken::Link(Error::refused(response).await));
            }
            status if passes(status) => return Err(Broken::Passing(Error::refused(response).await)),
            _ => return Err(Broken::Final(Error::refused(response).await)),
        };
        let tag = response.headers().get(ETAG).and_then(|v| v.to_str().ok()).map(str::to_owned);
        let mut file =
            tokio::fs::OpenOptions::new().create(true).write(true).truncate(false).open(part).await.map_err(io)?;
        file.set_len(start).await.map_err(io)?;
        file.seek(SeekFrom::Start(start)).await.map_err(io)?;
        match tag {
            Some(tag) => std::fs::write(etag_path(part), tag).map_err(io)?,
            None => drop(std::fs::remove_file(etag_path(part))),
        }
        let mut done = start;
        let ended = loop {
            match response.chunk().await {
                Ok(Some(chunk)) => {
                    file.write_all(&chunk).await.map_err(io)?;
                    done += chunk.len() as u64;
                    observer(Event::Downloading { done, total });
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(passing(error)),
            }
        };
        file.flush().await.map_err(io)?;
        ended?;
        if done < total {
            let reason = format!("{done} of {total} bytes came");
            return Err(Broken::Passing(Error::Answer { doing: "the download broke off".into(), reason }));
        }
        file.sync_all().await.map_err(io)
    }
}

fn range_start(response: &Response) -> Option<u64> {
    let text = response.headers().get(CONTENT_RANGE)?.to_str().ok()?;
    text.strip_prefix("bytes ")?.split('-').next()?.parse().ok()
}

/// Remembers which file the part is of.
fn etag_path(part: &Path) -> PathBuf {
    let mut name = part.as_os_str().to_owned();
    name.push(".etag");
    name.into()
}

/// Removes what was downloaded so far.
pub(super) fn forget(part: &Path) {
    // Not being there is what is wanted.
    drop(std::fs::remove_file(part));
    drop(std::fs::remove_file(etag_path(part)));
}

/// Gives the checked file its name, in one step.
pub(super) fn publish(part: &Path, out: &Path) -> Result<(), Error> {
    std::fs::rename(part, out)
        .map_err(|source| Error::Io { doing: format!("cannot give the file its name {}", out.display()), source })?;
    drop(std::fs::remove_file(etag_path(part)));
    Ok(())
}
