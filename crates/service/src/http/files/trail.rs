//! The audit trail of a download: one record before the first byte leaves, another when the last
//! one has left or the connection has ended before that.
//!
//! Invariants: what cannot be recorded is not sent; every start is followed by an end, unless the
//! process dies between them. Bytes are counted as they are handed to the connection: no more than
//! so many arrived.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, TryStreamExt};
use payouts_model::ExportId;
use payouts_store::audit::{Actor, By, Event, Record};
use tokio::runtime::Handle;

use crate::app::App;
use crate::metrics;

/// Who downloads what.
#[derive(Clone, Debug)]
pub struct Download {
    /// The Export.
    pub export: ExportId,
    /// For whom the link was made.
    pub by: Actor,
    /// The Request-ID of the call.
    pub request: String,
}

/// Records its end when it is dropped.
#[derive(Debug)]
struct Trail {
    app: Arc<App>,
    download: Download,
    asked_bytes: u64,
    sent_bytes: u64,
    refused: bool,
}

/// Records the start; the stream that it answers records the end.
pub async fn recorded<S, E>(
    app: &Arc<App>,
    download: Download,
    range: Range<u64>,
    stream: S,
) -> Result<BoxStream<'static, Result<Bytes, E>>, payouts_store::Error>
where
    S: Stream<Item = Result<Bytes, E>> + Send + 'static,
{
    let asked_bytes = range.end - range.start;
    let Download { export, by: _, request } = download.clone();
    let started = Event::DownloadStarted { export, request, from_bytes: range.start, asked_bytes };
    // Before the start is written: a client may go away meanwhile.
    let mut trail = Trail { app: app.clone(), download, asked_bytes, sent_bytes: 0, refused: false };
    let record = trail.record(started);
    if let Err(error) = app.store.audit(&record).await {
        trail.refused = true;
        return Err(error);
    }
    // By a method, so that the stream owns the whole trail and not its counter alone.
    Ok(stream.inspect_ok(move |piece| trail.sent(piece.len())).boxed())
}

impl Trail {
    fn sent(&mut self, bytes: usize) {
        self.sent_bytes += bytes as u64;
    }

    fn record(&self, event: Event) -> Record {
        Record::new(&By { actor: self.download.by.clone(), at: self.app.clock.now() }, event)
    }
}

impl Drop for Trail {
    fn drop(&mut self) {
        if self.refused {
            return;
        }
        let Download { export, by: _, request } = self.download.clone();
        let sent_bytes = self.sent_bytes;
        metrics::download_ended(sent_bytes == self.asked_bytes, sent_bytes);
        let record = self.record(if sent_bytes == self.asked_bytes {
            Event::DownloadEnded { export, request, sent_bytes }
        } else {
            Event::DownloadInterrupted { export, request, sent_bytes }
        });
        let Ok(runtime) = Handle::try_current() else {
            tracing::error!(export.id = %export, "the end of a download is not recorded: the process is ending");
            return;
        };
        let app = self.app.clone();
        let write = async move {
            if let Err(error) = app.store.audit(&record).await {
                tracing::error!(export.id = %export, error = &error as &dyn std::error::Error, "the end of a download is not recorded");
            }
        };
        self.app.trails.spawn_on(write, &runtime);
    }
}
