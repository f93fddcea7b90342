//! POST preview: what the export would hold, without making it. One at a time per caller, bounded
//! in time; dropped, and with it the scan, when the caller goes away.

use std::collections::HashSet;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use indexmap::IndexMap;
use payouts_model::{ErrorCode, PrincipalId, TenantId, Totals, Viewer};
use payouts_package::manifest::{ProgramTotal, Total, totals, totals_by_program};
use serde::Serialize;
use tokio::sync::Notify;

use super::asked::Asked;
use crate::app::App;
use crate::http::error::Error;
use crate::http::extract::{Reported, Viewing};
use crate::http::view::WarningView;
use crate::http::wire::RawText;

/// Rows that a preview shows.
const FIRST_ROWS_MAX: usize = 20;

/// Who is running a preview now.
#[derive(Debug, Default)]
pub struct Previews {
    running: Mutex<HashSet<(TenantId, PrincipalId)>>,
    /// Told whenever a place is free again.
    left: Notify,
}

/// A caller's one place; free again when dropped, also when the caller goes away.
#[derive(Debug)]
pub struct Place<'a> {
    previews: &'a Previews,
    caller: (TenantId, PrincipalId),
}

impl Previews {
    fn enter(&self, viewer: &Viewer) -> Result<Place<'_>, Error> {
        let caller = (viewer.tenant.clone(), viewer.principal.clone());
        if self.running.lock().unwrap_or_else(PoisonError::into_inner).insert(caller.clone()) {
            return Ok(Place { previews: self, caller });
        }
        let message =
            "A preview of yours is still running, and one runs at a time. Wait for it, or end its connection.";
        Err(Error::new(ErrorCode::TooManyRequests, message).retry_after(1))
    }

    /// The caller's place as soon as it is free: whoever looks at the export page gives a preview
    /// up by asking for the next one, and the end of the first is noticed a moment later.
    pub async fn wait(&self, viewer: &Viewer) -> Place<'_> {
        loop {
            let mut left = pin!(self.left.notified());
            // Before it looks, so that no place becomes free unnoticed in between.
            left.as_mut().enable();
            if let Ok(place) = self.enter(viewer) {
                return place;
            }
            left.await;
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.previews.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.caller);
        self.previews.left.notify_waiters();
    }
}

/// What an export would hold.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Preview)]
pub struct PreviewView {
    /// Data rows.
    row_count: u64,
    /// Sums by amount column, currency and payment status, as in the manifest.
    #[schema(value_type = Vec<Object>)]
    totals: Vec<Total>,
    /// The same by program and order type besides.
    #[schema(value_type = Vec<Object>)]
    totals_by_program: Vec<ProgramTotal>,
    /// By month in the time zone of the request.
    months: Vec<MonthView>,
    /// The columns, in file order.
    columns: Vec<String>,
    /// The first rows, by column; null is empty.
    #[schema(value_type = Vec<Object>)]
    first_rows: Vec<IndexMap<String, Option<String>>>,
    /// What the filter was taken to mean, with window and now() fixed.
    filter: String,
    /// The IANA time zone that ruled bare dates and months.
    time_zone: String,
    /// Ids of a list that matched nothing.
    not_found: Vec<String>,
    /// The version of the ledger that was read.
    data_version: u64,
    /// The newest import in it.
    data_as_of: String,
    /// What to know.
    warnings: Vec<WarningView>,
}

/// Rows and sums of one month.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PreviewMonth)]
struct MonthView {
    /// Such as 2026-05.
    month: String,
    /// Data rows.
    row_count: u64,
    /// Sums by amount column, currency and payment status.
    #[schema(value_type = Vec<Object>)]
    totals: Vec<Total>,
}

/// The handler.
pub async fn preview(
    State(app): State<Arc<App>>,
    Reported(report): Reported,
    Viewing(viewer): Viewing,
    headers: HeaderMap,
    RawText(raw_query): RawText,
    body: Body,
) -> Result<Response, Error> {
    let now = app.clock.now();
    let asked = Asked::read(&app, report, &viewer, &raw_query, &headers, body, now).await?;
    let _place = app.http.previews.enter(&viewer)?;
    let seconds = app.config.limits.preview_seconds;
    let view = tokio::time::timeout(Duration::from_secs(seconds), look(&app, asked)).await.map_err(|_| {
        let message = format!(
            "The preview took longer than {seconds} s and was given up. Narrow the filter, or queue the export itself."
        );
        Error::new(ErrorCode::PreviewTimeout, message).retry_after(1).limit("preview_seconds")
    })??;
    Ok(super::json(serde_json::to_vec(&view).expect("a view is always JSON")))
}

async fn look(app: &App, asked: Asked) -> Result<PreviewView, Error> {
    let snapshot = app.ledger.snapshot(asked.report.name, None).await?;
    let (data_version, data_as_of) = (snapshot.version, snapshot.data_as_of);
    let plan = asked.plan(snapshot);
    let found = app.engine.preview(&plan, asked.time_zone, &asked.id_lists, FIRST_ROWS_MAX).await?;
    let columns = asked.query.columns;
    let row = |values: Vec<Option<String>>| columns.iter().cloned().zip(values).collect();
    let month = |(month, sums): (String, Totals)| MonthView { month, row_count: sums.rows, totals: totals(&sums) };
    Ok(PreviewView {
        row_count: found.totals.rows,
        totals: totals(&found.totals),
        totals_by_program: totals_by_program(&found.totals),
        months: found.months.into_iter().map(month).collect(),
        first_rows: found.first_rows.into_iter().map(row).collect(),
        columns,
        filter: asked.query.filter,
        time_zone: asked.query.time_zone,
        not_found: found.not_found,
        data_version,
        data_as_of: data_as_of.to_string(),
        warnings: asked.warnings.into_iter().map(WarningView::from).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_per_caller() {
        let viewer = |principal: &str| Viewer {
            tenant: TenantId::new("t"),
            principal: PrincipalId::new(principal),
            role: payouts_model::Role::Viewer,
            scope: payouts_model::Scope::everything(),
        };
        let previews = Previews::default();
        let place = previews.enter(&viewer("a")).unwrap();
        assert_eq!(previews.enter(&viewer("a")).unwrap_err().code(), ErrorCode::TooManyRequests);
        assert!(previews.enter(&viewer("b")).is_ok());
        drop(place);
        assert!(previews.enter(&viewer("a")).is_ok());
    }

    #[tokio::test]
    async fn whoever_waits_gets_the_place_when_it_is_left() {
        use futures::FutureExt;
        let viewer = Viewer {
            tenant: TenantId::new("t"),
            principal: PrincipalId::new("a"),
            role: payouts_model::Role::Viewer,
            scope: payouts_model::Scope::everything(),
        };
        let previews = Previews::default();
        let place = previews.enter(&viewer).unwrap();
        let mut waiting = Box::pin(previews.wait(&viewer));
        assert!(waiting.as_mut().now_or_never().is_none());
        drop(place);
        assert!(waiting.now_or_never().is_some());
    }
}
