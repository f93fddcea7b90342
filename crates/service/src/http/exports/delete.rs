//! DELETE: cancels and forgets, in every state. The row goes first, so that the link is dead
//! before the file is.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use payouts_blob::BlobName;
use payouts_faults::{Point, pass};
use payouts_model::{ErrorCode, Export, ExportId, ReportName, Timestamp, Viewer};
use payouts_store::{Deleted, Visible};

use crate::app::App;
use crate::http::error::Error;
use crate::http::extract::{Identified, Reported, Viewing};
use crate::http::view::{ExportMembers, ExportView};

/// The handler. Answers the Export as it was, without its link.
pub async fn delete(
    State(app): State<Arc<App>>,
    Reported(report): Reported,
    Viewing(viewer): Viewing,
    Identified(id): Identified,
) -> Result<Response, Error> {
    let now = app.clock.now();
    let visible = app.store.find(&viewer, report, id).await?;
    let export = forget(&app, &viewer, report, id, now).await?;
    let (full, queue_position) = visible.map_or((false, 0), |v| (v.full, v.queue_position));
    let members = ExportMembers::new(&Visible { export, full, queue_position }, None, now);
    Ok(super::json(serde_json::to_vec(&ExportView::from(members)).expect("a view is always JSON")))
}

/// Deletes an Export, then its file. Answers the Export as it was.
pub async fn forget(
    app: &App,
    viewer: &Viewer,
    report: ReportName,
    id: ExportId,
    now: Timestamp,
) -> Result<Export, Error> {
    let export = match app.store.delete(viewer, report, id, now).await? {
        Deleted::Gone(export) => *export,
        Deleted::NotTheOwner => return Err(not_the_owner()),
        Deleted::Held => return Err(held()),
        Deleted::NotFound => return Err(Error::export_not_found()),
    };
    tracing::info!(export.id = %export.id, tenant.id = %export.tenant, export.status = %export.status, "deleted");
    app.signals.changed(id);
    if let Some(file) = &export.file {
        let name = BlobName::ExportFile { export: id, fence: file.fence };
        let passed = pass(Point::ExportDeleted).await;
        let passed = passed.map_err(|e| payouts_blob::Error::from_io("cannot go on to the file", e));
        let deleted = match passed {
            Ok(()) => app.blobs.delete(name).await,
            Err(error) => Err(error),
        };
        if let Err(error) = deleted {
            // Nobody can reach it any more; the sweeper tries again.
            tracing::warn!(export.id = %id, error = %error, "file of a deleted export stays for the sweeper");
        }
    }
    Ok(export)
}

/// Why an Export that can be seen cannot be deleted.
pub fn refused(export: &Export) -> Error {
    if export.held_at.is_some() { held() } else { not_the_owner() }
}

fn not_the_owner() -> Error {
    Error::new(ErrorCode::NotTheOwner, "Only whoever made this export, or an admin of the tenant, can delete it.")
}

fn held() -> Error {
    Error::new(
        ErrorCode::ExportHeld,
        "The operator holds this export: it and its file stay until it is released. Ask the operator, then delete it again.",
    )
}
