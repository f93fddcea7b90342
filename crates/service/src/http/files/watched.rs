//! A download as it goes on: it ends when its file is deleted, when its viewer may no longer see
//! it, and with the connection.
//!
//! Invariant: before each piece that is read after the file was deleted here, the deletion is
//! noticed; one by another process, and a grant that ended, within [`LOOK_AGAIN`]. A download that
//! ends so breaks off: what was announced never arrives, so that nobody takes a part for the whole.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, BoxStream, Stream, StreamExt};
use payouts_model::{ExportId, PrincipalId, ReportName, TenantId, Viewer};
use tokio::sync::broadcast::{self, error::TryRecvError};
use tokio::time::Instant;

use crate::app::App;
use crate::http::places::Place;

/// How long a download goes on unasked.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// What is downloaded, and for whom.
#[derive(Clone, Debug)]
pub(super) struct Watched {
    pub tenant: TenantId,
    pub principal: PrincipalId,
    pub report: ReportName,
    pub export: ExportId,
    pub fence: u64,
}

/// Why a download broke off.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    /// The file.
    #[error("the file cannot be read")]
    Blob(#[from] payouts_blob::Error),
    /// Nobody may have it any more.
    #[error("the file was deleted, or its viewer may not see it any more")]
    Gone,
}

struct Download {
    app: Arc<App>,
    what: Watched,
    pieces: BoxStream<'static, Result<Bytes, payouts_blob::Error>>,
    changes: broadcast::Receiver<ExportId>,
    looked_at: Instant,
    _place: Place,
}

/// The pieces for as long as they may go out. The changes are listened to from before the file was
/// found, so that no deletion falls between.
pub(super) fn watched(
    app: &Arc<App>,
    what: Watched,
    pieces: BoxStream<'static, Result<Bytes, payouts_blob::Error>>,
    changes: broadcast::Receiver<ExportId>,
    place: Place,
) -> impl Stream<Item = Result<Bytes, Broken>> + Send + 'static {
    let download = Download { app: app.clone(), what, pieces, changes, looked_at: Instant::now(), _place: place };
    stream::try_unfold(download, |mut download| async move {
        if download.due() && !download.may_go_on().await {
            return Err(Broken::Gone);
        }
        match download.pieces.next().await {
            Some(piece) => Ok(Some((piece?, download))),
            None => Ok(None),
        }
    })
}

impl Download {
    /// Whether it is time to look again: something happened to this Export, or may have.
    fn due(&mut self) -> bool {
        loop {
            match self.changes.try_recv() {
                Ok(changed) if changed != self.what.export => {}
                Ok(_) | Err(TryRecvError::Lagged(_)) => return true,
                Err(TryRecvError::Empty | TryRecvError::Closed) => return self.looked_at.elapsed() >= LOOK_AGAIN,
            }
        }
    }

    async fn may_go_on(&mut self) -> bool {
        self.looked_at = Instant::now();
        let Watched { tenant, principal, report, export, fence } = &self.what;
        let now = self.app.clock.now();
        let store = &self.app.store;
        let found = async {
            let (role, scope) = store.access(tenant, principal, now).await?;
            let viewer = Viewer { tenant: tenant.clone(), principal: principal.clone(), role, scope };
            store.find(&viewer, *report, *export).await
        };
        match found.await {
            Ok(found) => found.is_some_and(|v| {
                v.full && !v.export.file_expired(now) && v.export.file.is_some_and(|f| f.fence == *fence)
            }),
            Err(error) => {
                tracing::warn!(export.id = %export, error = &error as &dyn std::error::Error, "cannot see whether a download may go on");
                true
            }
        }
    }
}
