//! GET without an id: the list, newest first.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use payouts_model::{ErrorCode, ExportId, Timestamp};

use crate::app::App;
use crate::http::base_url::BaseUrl;
use crate::http::error::Error;
use crate::http::extract::{Reported, Viewing};
use crate::http::params::ListParams;
use crate::http::view::{ExportListView, request_path};
use crate::http::wire::RawText;

/// Exports of one page unless `$top` says otherwise.
const TOP_DEFAULT: u64 = 50;

/// The handler.
pub async fn list(
    State(app): State<Arc<App>>,
    Reported(report): Reported,
    Viewing(viewer): Viewing,
    base: BaseUrl,
    RawText(raw_query): RawText,
) -> Result<Response, Error> {
    let now = app.clock.now();
    let params = ListParams::parse(&raw_query)?;
    let after = params.skip_token.as_deref().map(read_token).transpose()?;
    let top = params.top.unwrap_or(TOP_DEFAULT);
    let page = app.store.list(&viewer, Some(report), params.status, top, after).await?;
    let next_link = page.next.map(|next| {
        let status = params.status.map(|s| format!("&status={s}")).unwrap_or_default();
        base.join(&format!("{}?$top={top}{status}&$skiptoken={}", request_path(report), write_token(next)))
    });
    let value = page.items.iter().map(|visible| super::members(&app, &base, &viewer, visible, now)).collect();
    let view = ExportListView { value, next_link, total_count: page.total };
    Ok(super::json(serde_json::to_vec(&view).expect("a view is always JSON")))
}

/// The form of a `$skiptoken`: instant in microseconds and id of the last Export of a page.
pub const TOKEN_PATTERN: &str = "^(0|[1-9][0-9]{0,17})\\.[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$";

/// The `$skiptoken` of the page that follows this Export.
pub fn write_token((at, id): (Timestamp, ExportId)) -> String {
    format!("{}.{id}", at.0)
}

/// Reads a `$skiptoken`, spelt exactly as [`write_token`] does.
pub fn read_token(token: &str) -> Result<(Timestamp, ExportId), Error> {
    let read = || {
        let (at, id) = token.split_once('.')?;
        let digits = (1..=18).contains(&at.len()) && at.bytes().all(|b| b.is_ascii_digit());
        let place = (Timestamp(at.parse().ok().filter(|_| digits)?), id.parse::<ExportId>().ok()?);
        (write_token(place) == token).then_some(place)
    };
    read().ok_or_else(|| {
        let message = "This $skiptoken is not one of this service. Follow nextLink as it is.";
        Error::new(ErrorCode::InvalidParameter, message).target("$skiptoken")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_read_back() {
        let at = (Timestamp(1_700_000_000_123_456), "6a1d1f0e-7c3b-4f52-9d0a-2f6c4c1b8e11".parse().unwrap());
        assert_eq!(read_token(&write_token(at)).unwrap(), at);
        let id = "6a1d1f0e-7c3b-4f52-9d0a-2f6c4c1b8e11";
        let bad = ["", "x", "1.2", "1.6A1D1F0E-7c3b-4f52-9d0a-2f6c4c1b8e11"].map(str::to_owned);
        for bad in bad
            .into_iter()
            .chain(["+1", "-1", "007", "00", "", " 1", "1000000000000000000"].map(|at| format!("{at}.{id}")))
        {
            assert!(read_token(&bad).is_err(), "{bad}");
        }
        assert!(read_token(&format!("0.{id}")).is_ok());
    }
}
