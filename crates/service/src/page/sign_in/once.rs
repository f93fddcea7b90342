//! A link that signs in one user, once: how `payouts demo` opens straight into the page. With `--dev`
//! alone.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::State;
use axum::response::Response;
use payouts_model::{ErrorCode, Timestamp};

use super::{query_of, signed_in, value_of};
use crate::app::App;
use crate::auth::{Caller, Identity};
use crate::http::Error;
use crate::http::wire::RawText;
use crate::page::session::{self, SESSION_MS_MAX};

/// How long a link works.
const LINK_MS: i64 = 10 * 60 * 1000;
/// Links in all; whoever makes more forgets the others.
const LINKS_MAX: usize = 100;

/// Links that were not used yet.
#[derive(Debug, Default)]
pub struct OneTimeLinks {
    by_digest: Mutex<HashMap<[u8; 32], (Caller, Timestamp)>>,
}

impl OneTimeLinks {
    /// The path of a link for `caller`.
    pub fn make(&self, caller: Caller, now: Timestamp) -> String {
        let secret = session::secret();
        let mut links = self.by_digest.lock().unwrap_or_else(PoisonError::into_inner);
        links.retain(|_, (_, until)| *until > now);
        if links.len() >= LINKS_MAX {
            links.clear();
        }
        links.insert(session::digest(&secret), (caller, now.plus_ms(LINK_MS)));
        format!("/sign-in/once?code={secret}")
    }

    /// Whom a link signs in; it does so once.
    fn take(&self, secret: &str, now: Timestamp) -> Option<Caller> {
        let mut links = self.by_digest.lock().unwrap_or_else(PoisonError::into_inner);
        let (caller, until) = links.remove(&session::digest(secret))?;
        (until > now).then_some(caller)
    }
}

/// `GET /sign-in/once`.
pub async fn once(State(app): State<Arc<App>>, RawText(raw_query): RawText) -> Result<Response, Error> {
    let now = app.clock.now();
    let query = query_of(&raw_query);
    let caller = app.page.links.take(value_of(&query, "code"), now).ok_or_else(|| {
        let message = "This link was used already, or its ten minutes are over. Sign in to go on.";
        Error::new(ErrorCode::Unauthenticated, message)
    })?;
    Ok(signed_in(&app, Identity { caller, admin: false }, None, now.plus_ms(SESSION_MS_MAX), "/"))
}

#[cfg(test)]
mod tests {
    use payouts_model::{PrincipalId, TenantId};

    use super::*;

    #[test]
    fn a_link_works_once_and_for_ten_minutes() {
        let (links, now) = (OneTimeLinks::default(), Timestamp(0));
        let caller = Caller { tenant: TenantId::new("demo"), principal: PrincipalId::new("you") };
        let code = |path: String| path.split_once("code=").unwrap().1.to_owned();
        let first = code(links.make(caller.clone(), now));
        assert_eq!(links.take("", now), None);
        assert_eq!(links.take(&first, now), Some(caller.clone()));
        assert_eq!(links.take(&first, now), None);
        let late = code(links.make(caller, now));
        assert_eq!(links.take(&late, now.plus_ms(LINK_MS)), None);
    }
}
