//! Who is signed in to the page.
//!
//! Invariants: a session is made only from a verified identity and ends no later than that did; the
//! cookie holds a random name of it and nothing else, and only a digest of the name is kept, so that
//! memory gives nobody away; what may be seen is looked up anew for every request ([`Visit`]), so a
//! grant or its end is at work at once. Sessions live in this process: after a restart people sign in
//! again. A form that changes something is taken only as [`Posted`].

mod cookie;
mod posted;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Redirect, Response};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::request::Parts;
use http::{HeaderMap, Method};
use payouts_model::{Timestamp, Viewer};
use sha2::{Digest, Sha256};

use super::layout::Shell;
use crate::app::App;
use crate::auth::{self, Caller, Identity, Rejection};
use crate::config::Config;
use crate::http::Error;
use crate::http::base_url::BaseUrl;

pub use cookie::{Cookies, unusable as cookies_unusable, values as cookie_values};
pub use posted::{Posted, check_origin, read_form};

/// The longest that a session lasts, whatever the issuer says: a working day.
pub const SESSION_MS_MAX: i64 = 12 * 60 * 60 * 1000;
/// Sessions in all; beyond it the one that ends first goes.
const SESSIONS_MAX: usize = 10_000;
/// Sessions of one user; beyond it the one that ends first goes.
const SESSIONS_OF_CALLER_MAX: usize = 20;
/// The longest name of a user that is shown.
const NAME_CHARS_MAX: usize = 80;

type Digested = [u8; 32];

/// Somebody who signed in.
#[derive(Debug)]
pub struct Session {
    identity: Identity,
    name: String,
    csrf: String,
    expires_at: Timestamp,
    digest: Digested,
}

impl Session {
    /// Who.
    pub fn caller(&self) -> &Caller {
        &self.identity.caller
    }

    /// Who, and what the token said about the role.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// How pages name the user.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The token that forms send back.
    pub fn csrf(&self) -> &str {
        &self.csrf
    }

    /// When it ends.
    pub fn expires_at(&self) -> Timestamp {
        self.expires_at
    }
}

/// Everybody who is signed in.
#[derive(Debug, Default)]
pub struct Sessions {
    by_digest: Mutex<HashMap<Digested, Arc<Session>>>,
}

impl Sessions {
    /// Begins a session that ends at `until` at the latest. Answers the secret that its cookie holds.
    /// `name` is how the issuer calls the user, if it does.
    pub fn begin(&self, identity: Identity, name: Option<&str>, until: Timestamp, now: Timestamp) -> String {
        let secret = secret();
        let plain = |name: &str| name.chars().filter(|c| !c.is_control()).take(NAME_CHARS_MAX).collect::<String>();
        let name = name.map(plain).filter(|n| !n.trim().is_empty());
        let session = Arc::new(Session {
            name: name.unwrap_or_else(|| plain(identity.caller.principal.as_str())),
            identity,
            csrf: self::secret(),
            expires_at: until.min(now.plus_ms(SESSION_MS_MAX)),
            digest: digest(&secret),
        });
        let mut all = self.lock();
        all.retain(|_, s| s.expires_at > now);
        let of_caller = |s: &Session| s.identity.caller == session.identity.caller;
        if all.values().filter(|s| of_caller(s)).count() >= SESSIONS_OF_CALLER_MAX {
            drop_first(&mut all, of_caller);
        }
        if all.len() >= SESSIONS_MAX {
            drop_first(&mut all, |_| true);
        }
        all.insert(session.digest, session);
        secret
    }

    /// The session of a request's cookie, if it has not ended.
    pub fn of(&self, config: &Config, headers: &HeaderMap, now: Timestamp) -> Option<Arc<Session>> {
        let name = Cookies::new(config).session;
        let all = self.lock();
        let found = cookie::values(headers, &name).find_map(|secret| all.get(&digest(secret)).cloned());
        found.filter(|session| session.expires_at > now)
    }

    /// Whether a session is still on.
    pub fn lasts(&self, session: &Session, now: Timestamp) -> bool {
        session.expires_at > now && self.lock().contains_key(&session.digest)
    }

    /// Ends a session.
    pub fn end(&self, session: &Session) {
        self.lock().remove(&session.digest);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Digested, Arc<Session>>> {
        self.by_digest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn drop_first(all: &mut HashMap<Digested, Arc<Session>>, which: impl Fn(&Session) -> bool) {
    let first = all.values().filter(|s| which(s)).min_by_key(|s| s.expires_at).map(|s| s.digest);
    if let Some(first) = first {
        all.remove(&first);
    }
}

/// A text that nobody guesses: 256 bits.
pub(super) fn secret() -> String {
    let mut bytes = [0_u8; 32];
    aws_lc_rs::rand::fill(&mut bytes).expect("the system has randomness");
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

pub(super) fn digest(secret: &str) -> Digested {
    Sha256::digest(secret.as_bytes()).into()
}

/// Extractor: somebody signed in, with the grants in force now. Whoever is not is sent to the
/// sign-in page, if a browser navigates, or refused, if a script asks.
#[derive(Clone, Debug)]
pub struct Visit {
    /// What finders and plans take.
    pub viewer: Viewer,
    /// The session.
    pub session: Arc<Session>,
    /// What absolute URLs begin with.
    pub base: BaseUrl,
    /// For templates.
    pub shell: Shell,
}

/// Why there is no visit.
#[derive(Debug)]
pub enum NoVisit {
    /// To the sign-in page.
    SignIn(String),
    /// As the API refuses.
    Refused(Error),
}

impl IntoResponse for NoVisit {
    fn into_response(self) -> Response {
        match self {
            Self::SignIn(to) => Redirect::to(&to).into_response(),
            Self::Refused(error) => error.into_response(),
        }
    }
}

impl From<Rejection> for NoVisit {
    fn from(rejection: Rejection) -> Self {
        Self::Refused(rejection.into())
    }
}

impl From<Error> for NoVisit {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl Visit {
    /// The visit of a request that has this session; counts it.
    async fn of(session: Arc<Session>, parts: &Parts, app: &App) -> Result<Self, NoVisit> {
        let base = BaseUrl::of(&app.config, &parts.headers, &parts.uri)?;
        let viewer = auth::admit(session.identity.clone(), parts, app).await?;
        let shell = Shell::new(app, Some(&session));
        Ok(Self { viewer, session, base, shell })
    }
}

impl FromRequestParts<Arc<App>> for Visit {
    type Rejection = NoVisit;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, NoVisit> {
        match app.page.sessions.of(&app.config, &parts.headers, app.clock.now()) {
            Some(session) => Self::of(session, parts, app).await,
            None => Err(not_signed_in(parts, app)),
        }
    }
}

fn not_signed_in(parts: &Parts, app: &App) -> NoVisit {
    if !navigates(&parts.headers) {
        let message = "You are not signed in, or your session has ended. Sign in again.";
        return Error::new(payouts_model::ErrorCode::Unauthenticated, message).into();
    }
    // A page to come back to is one that is looked at; what a form would have done is asked again.
    let asked = parts.uri.path_and_query().map_or("/", |p| p.as_str());
    let back = if parts.method == Method::GET { asked } else { "/" };
    let had_one = cookie::values(&parts.headers, &Cookies::new(&app.config).session).next().is_some();
    let to: String = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(had_one.then_some(("ended", "1")))
        .append_pair("to", back)
        .finish();
    NoVisit::SignIn(Shell::new(app, None).url(&format!("/sign-in?{to}")))
}

/// Whether a browser shows what comes, as far as it says so.
fn navigates(headers: &HeaderMap) -> bool {
    headers.get("sec-fetch-mode").is_none_or(|mode| mode == "navigate")
}

#[cfg(test)]
mod tests;
