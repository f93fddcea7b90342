//! The list as it changes: server-sent events, so that nobody has to look again.
//!
//! Invariants: a stream begins from what the page shows, which its digest says, so that whatever changed
//! between the page and the stream is the first event; every event is the whole list, in which rows that
//! the browser has are named and not repeated. A stream shows what its viewer may see at that moment,
//! since grants and session are looked at anew before every event, and it ends with either; it takes one
//! of the places of those who wait, not of those who are answered; it ends when the service stops, and
//! browsers come back by themselves. Where there is no stream, the script asks for the list now and then.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::Stream;
use payouts_model::{ErrorCode, ExportId};
use serde_json::json;
use std::collections::HashMap;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;

use super::list::{self, For, Looked, Rows};
use super::session::{NoVisit, Visit};
use crate::app::App;
use crate::auth;
use crate::http::Error;
use crate::http::places::Place;
use crate::http::standing::Standing;
use crate::http::wire::RawText;

/// How often progress is looked at, while there is any.
const LOOK_MOVING: Duration = Duration::from_secs(1);
/// How often the list is looked at otherwise: signals do not cross processes.
const LOOK_STILL: Duration = Duration::from_secs(5);
/// Changes that come together are told together.
const GATHER: Duration = Duration::from_millis(150);
/// A stream ends after this time; the browser begins another one.
const STREAM: Duration = Duration::from_secs(30 * 60);
/// Comments that keep proxies from closing an idle stream.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// One stream.
struct Live {
    app: Arc<App>,
    visit: Visit,
    looked: Looked,
    changes: Receiver<ExportId>,
    /// The list as the browser has it.
    seen: String,
    /// Its rows, as far as they were sent.
    sent: HashMap<ExportId, String>,
    moving: bool,
    first: bool,
    ends_at: Instant,
    _place: Place,
}

/// `GET /live`: with the list's own parameters, and `seen`, the digest of the list that the page has.
pub async fn live(
    State(app): State<Arc<App>>,
    visit: Visit,
    RawText(raw_query): RawText,
    axum::Extension(standing): axum::Extension<Standing>,
) -> Result<Response, NoVisit> {
    let place = app.http.held.enter(&visit.viewer.tenant).map_err(|_| {
        let message = "Too many wait for changes already (limits.held_max, limits.tenant_held_max).";
        Error::new(ErrorCode::TooManyRequests, message).retry_after(30)
    })?;
    standing.leave();
    let seen = url::form_urlencoded::parse(raw_query.as_bytes()).find(|(name, _)| name == "seen");
    let live = Live {
        looked: Looked::parse(&raw_query),
        changes: app.signals.changes(),
        seen: seen.map(|(_, value)| value.into_owned()).unwrap_or_default(),
        sent: HashMap::new(),
        // Until it is known better.
        moving: true,
        first: true,
        ends_at: Instant::now() + STREAM,
        _place: place,
        app,
        visit,
    };
    Ok(Sse::new(events(live)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response())
}

fn events(live: Live) -> impl Stream<Item = Result<Event, Infallible>> {
    futures::stream::unfold(Some(live), async |live| {
        let mut live = live?;
        match live.next().await {
            Told::Change(data) => Some((Ok(Event::default().event("list").data(data)), Some(live))),
            Told::Over => Some((Ok(Event::default().event("over").data("")), None)),
            Told::End => None,
        }
    })
}

/// What comes next.
enum Told {
    /// Rows have changed.
    Change(String),
    /// The session is over, or nothing may be seen any more.
    Over,
    /// Nothing more in this stream.
    End,
}

impl Live {
    async fn next(&mut self) -> Told {
        loop {
            if !std::mem::take(&mut self.first) && !self.wait().await {
                return Told::End;
            }
            let now = self.app.clock.now();
            if !self.app.page.sessions.lasts(&self.visit.session, now) {
                return Told::Over;
            }
            match auth::granted(self.visit.session.identity().clone(), &self.app, now).await {
                Ok(viewer) => self.visit.viewer = viewer,
                Err(rejection) if rejection.code == ErrorCode::NoGrants => return Told::Over,
                Err(_) => return Told::End,
            }
            let visit = &self.visit;
            let of = For { viewer: &visit.viewer, base: &visit.base, shell: &visit.shell };
            let Ok(rows) = Rows::find(&self.app, of, &self.looked).await else { return Told::End };
            self.moving = rows.moving;
            if rows.seen == self.seen {
                // What the page was made with is what it has.
                self.sent = rows.rows.into_iter().collect();
                continue;
            }
            return match self.change(rows) {
                Ok(data) => Told::Change(data),
                Err(_) => Told::End,
            };
        }
    }

    /// Waits for a change, or until it is time to look; `false`: the stream is over.
    async fn wait(&mut self) -> bool {
        let look_at = Instant::now() + if self.moving { LOOK_MOVING } else { LOOK_STILL };
        if look_at >= self.ends_at {
            return false;
        }
        tokio::select! {
            change = self.changes.recv() => {
                if matches!(change, Err(RecvError::Closed)) {
                    return false;
                }
                tokio::time::sleep(GATHER).await;
                while self.changes.try_recv().is_ok() {}
            }
            () = tokio::time::sleep_until(look_at) => {}
            () = self.app.stop.cancelled() => return false,
        }
        true
    }

    /// The event: the list, without those rows that the browser has as they are.
    fn change(&mut self, mut rows: Rows) -> Result<String, Error> {
        let now: HashMap<ExportId, String> = rows.rows.iter().cloned().collect();
        rows.keep(|id, html| self.sent.get(&id).is_some_and(|sent| sent == html));
        let html = list::part(&self.visit.shell, &self.looked, &rows)?;
        self.seen = rows.seen;
        self.sent = now;
        Ok(json!({ "html": html }).to_string())
    }
}
