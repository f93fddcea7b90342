//! From a claim to a sealed file: fix the data version, plan, count (or collect, if it is small),
//! write.

use std::sync::Arc;

use futures::StreamExt;
use payouts_blob::BlobName;
use payouts_engine::{Plan, Started};
use payouts_faults::{Point, pass};
use payouts_filter::{Expr, Filter};
use payouts_ledger::Snapshot;
use payouts_model::export::Query;
use payouts_model::sheet::SheetColumn;
use payouts_model::{Packaging, Report};
use payouts_package::{Head, Packaged};
use payouts_store::Claim;
use tracing::Instrument;

use super::fault::{Broken, Fault};
use super::heart::Progress;
use super::slots::Slot;
use super::trail::Trail;
use super::writing::{Target, Writing};
use crate::App;

/// Makes and seals the file of a claim. `writing` is left to the caller, who waits for its thread
/// whatever becomes of this future.
pub(super) async fn make(
    app: &Arc<App>,
    claim: &Claim,
    slot: &mut Slot,
    progress: &Arc<Progress>,
    trail: &mut Trail,
    writing: &mut Option<Writing>,
) -> Result<Packaged, Broken> {
    let export = &claim.export;
    step(Point::ExportClaimed).await?;
    let (plan, started) = start(app, claim, trail).await?;
    step(Point::ExportPlanned).await?;
    let Started { rows: rows_expected, mut chunks, complete } = started;
    // What is complete will be published before anybody could have read how far it is.
    progress.set_rows_expected(rows_expected, !complete);
    if !slot.takes(rows_expected) {
        return Err(Broken::TooLarge { rows_expected });
    }

    trail.next("write");
    let target = Target {
        name: BlobName::ExportFile { export: export.id, fence: claim.fence },
        format: export.query.format,
        stem: export.report.as_str(),
        head: head(app, &plan),
        rows_expected,
        growing: app.room.begin(&export.tenant, app.store.file_bytes(&export.tenant).await?),
    };
    let writing = writing.insert(trail.span().in_scope(|| Writing::start(app, target, progress.clone())));
    while let Some(chunk) = chunks.next().await {
        if !writing.push(chunk?).await {
            break;
        }
    }
    let sealed = writing.finish().await?;
    trail.next_at("seal", sealed.written_at);
    if sealed.packaged.totals.rows != rows_expected {
        return Err(Broken::Fault(Fault::miscounted(rows_expected, sealed.packaged.totals.rows)));
    }
    Ok(sealed.packaged)
}

async fn step(point: Point) -> Result<(), Broken> {
    pass(point).await.map_err(|e| Broken::Fault(Fault::passing("beginning its work", &e)))
}

/// Plans and begins over the snapshot that the Export reads: the newest at its first claim, the
/// same ever after.
///
/// The store writes the version down while the engine is at work already; nothing is made of that
/// work before the store has answered, and if it knows of another version the work is done again.
async fn start(app: &App, claim: &Claim, trail: &mut Trail) -> Result<(Plan, Started), Broken> {
    let report = claim.export.report;
    let mut version = claim.export.data_version;
    loop {
        let snapshot = app.ledger.snapshot(report, version).instrument(trail.span()).await?;
        trail.data_version = Some(snapshot.version);
        trail.data_as_of = Some(snapshot.data_as_of);
        let plan = plan(snapshot, claim).map_err(Broken::Fault)?;
        trail.next("count");
        let used = plan.snapshot.version;
        let fixing = async {
            match version {
                Some(version) => Ok(Some(version)),
                None => app.store.fix_data_version(claim, used).await,
            }
        };
        let (fixed, started) = tokio::join!(fixing, app.engine.start(&plan).instrument(trail.span()));
        let fixed = fixed?.ok_or(Broken::Lost)?;
        if fixed == used {
            return Ok((plan, started?));
        }
        version = Some(fixed);
    }
}

fn plan(snapshot: Arc<Snapshot>, claim: &Claim) -> Result<Plan, Fault> {
    let query = &claim.export.query;
    let report = snapshot.report.clone();
    Ok(Plan {
        predicate: predicate(query, &report)?,
        columns: columns(query, &report)?,
        scope: claim.export.scope.clone(),
        text: query.format.text,
        packaging: query.format.packaging,
        snapshot,
    })
}

/// What the file, or every part of it, begins with.
fn head(app: &App, plan: &Plan) -> Head {
    let fields = &plan.snapshot.report.fields;
    let column = |&at: &usize| SheetColumn { name: fields[at].name.to_string(), kind: fields[at].kind };
    match plan.packaging {
        Packaging::Workbook => Head::Sheet(plan.columns.iter().map(column).collect()),
        Packaging::Plain | Packaging::Zip | Packaging::Gzip => Head::Text(app.engine.header(plan)),
    }
}

/// The normal form read again. It means the same whatever the time zone and the aliases are now.
fn predicate(query: &Query, report: &Report) -> Result<Option<Expr>, Fault> {
    match Filter::parse_normal(&query.filter, report) {
        Ok(filter) => Ok(filter.map(|f| f.predicate)),
        // The code alone: the text of a filter is not for the log.
        Err(error) => Err(Fault::obsolete("The filter names a field or a value", error.code.to_string())),
    }
}

fn columns(query: &Query, report: &Report) -> Result<Vec<usize>, Fault> {
    let find = |name: &String| {
        let obsolete =
            || Fault::obsolete(&format!("The request selects the column '{name}'"), format!("no column {name}"));
        report.fields.iter().position(|f| *f.name == **name).ok_or_else(obsolete)
    };
    query.columns.iter().map(find).collect()
}
