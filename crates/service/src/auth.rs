//! Who calls: tokens of the configured OIDC issuers and of the built-in development issuer.
//!
//! Invariants: a [`Caller`] exists only for a token whose signature, issuer, audience and times
//! were checked; a [`Viewer`] is built anew for every request, so a grant or its end is at work at
//! once; whoever is refused learns nothing but that. Tokens are never logged.
//!
//! Rooms: `token` (what a token must be), `keys` (an issuer's published keys), `kept` (the same on
//! disk), `cache` (tokens that were verified lately), `rate` (requests per caller, polls apart),
//! `code` (people who sign in to the page), `dev` (the built-in issuer).
//!
//! The tenant of a caller is `tenant` of its issuer's configuration where that is set, otherwise
//! the text of the tenant claim (`tid`) after the issuer's `tenant_prefix`. The configuration sees
//! to it that two issuers never lead to one tenant. The development issuer's tenant is the first
//! part of the path that the token was asked at.
//!
//! Whoever lacks the scopes and roles that an issuer's rules ask for is refused with 403, whoever is
//! not believed with 401.

mod cache;
pub mod code;
pub mod dev;
mod kept;
mod keys;
mod rate;
#[cfg(test)]
mod tests;
mod token;

use std::path::Path;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;
use payouts_model::{ErrorCode, ExportId, PrincipalId, Role, TenantId, Timestamp, Viewer};

use crate::app::App;
use crate::config::{Config, IssuerConfig, PermissionRule};
use crate::http::standing::Standing;
use crate::metrics;
use cache::Verified;
use keys::{KeySource, Unknown};
use rate::Rate;
use token::{Claims, Refusal, Unverified};

/// A token longer than this is refused unread.
pub const TOKEN_BYTES_MAX: usize = 16 * 1024;

/// Somebody whose token was verified.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Caller {
    /// The tenant.
    pub tenant: TenantId,
    /// The user or application.
    pub principal: PrincipalId,
}

/// A caller, and what the token says about the caller's role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Who.
    pub caller: Caller,
    /// Whether the token makes the caller an admin of the tenant, whatever the grants say.
    pub admin: bool,
}

/// Why a request is refused before any handler runs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Rejection {
    /// Unauthenticated, InsufficientScope, NoGrants, TooManyRequests, Unavailable or Internal.
    pub code: ErrorCode,
    /// For the caller.
    pub message: String,
    /// The `WWW-Authenticate` header of a 401.
    pub www_authenticate: Option<&'static str>,
    /// When to try again, in seconds.
    pub retry_after_seconds: Option<u64>,
    /// The limit that was reached, by its name in `[limits]`.
    pub limit: Option<&'static str>,
}

/// Extractor: the caller has a valid token and at least one grant.
#[derive(Clone, Debug)]
pub struct Authenticated {
    /// The caller with the grants in force now.
    pub viewer: Viewer,
}

/// Checks tokens.
#[derive(Debug)]
pub struct Verifier {
    issuers: Vec<TrustedIssuer>,
    dev: Option<dev::Issuer>,
    verified: Verified,
    rate: Rate,
    client: reqwest::Client,
    code: code::Flow,
}

#[derive(Debug)]
struct TrustedIssuer {
    rules: IssuerConfig,
    keys: Arc<KeySource>,
}

/// Why tokens cannot be checked at all.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The development issuer's key file.
    #[error("{context}")]
    Key {
        /// Doing what, with which file.
        context: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The client that fetches issuers' keys.
    #[error("cannot make the HTTP client that fetches the token issuers' keys")]
    Client(#[source] reqwest::Error),
}

impl Verifier {
    /// A verifier of the issuers that `config` names; with `dev` the built-in one too. Takes the
    /// keys that were fetched before the last stop and fetches nothing yet: an issuer that is out
    /// of reach must not keep the service from starting.
    pub fn new(config: &Config) -> Result<Self, Error> {
        let client = keys::client().map_err(Error::Client)?;
        let folder = config.keys_dir().join("issuers");
        let keys_client = client.clone();
        let issuers = config.issuers.iter().map(|rules| TrustedIssuer {
            rules: rules.clone(),
            keys: Arc::new(KeySource::new(keys_client.clone(), &rules.discovery_url, &rules.issuer, &folder)),
        });
        let dev = if config.dev { Some(dev_issuer(&config.keys_dir())?) } else { None };
        Ok(Self {
            issuers: issuers.collect(),
            dev,
            verified: Verified::default(),
            rate: Rate::new(&config.limits),
            client,
            code: code::Flow::default(),
        })
    }

    /// The built-in issuer, when it is on.
    pub fn dev(&self) -> Option<&dev::Issuer> {
        self.dev.as_ref()
    }

    /// Counts a look at one Export: polling one that is there is free, anything else counts as any
    /// request.
    pub fn count_look(&self, viewer: &Viewer, found: Option<ExportId>, now: Timestamp) -> Result<(), Rejection> {
        let caller = Caller { tenant: viewer.tenant.clone(), principal: viewer.principal.clone() };
        match found {
            Some(export) => self.rate.admit_poll(&caller, export, now),
            None => self.rate.admit(&caller, &http::Method::GET, now),
        }
    }

    /// The values of `RateLimit-Policy` and `RateLimit` for an answer to the caller.
    pub fn rate_headers(&self, caller: &Caller, method: &http::Method, now: Timestamp) -> [http::HeaderValue; 2] {
        self.rate.headers(caller, method, now)
    }

    /// The caller that a bearer token speaks for.
    pub async fn verify(&self, token: &str, now: Timestamp) -> Result<Identity, Rejection> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(refuse("too long"));
        }
        if let Some(identity) = self.verified.get(token, now) {
            return Ok(identity);
        }
        let unverified = Unverified::read(token).map_err(refuse)?;
        let (identity, expires_at) = match &self.dev {
            Some(dev) if unverified.issuer() == Some(dev::ISSUER) => {
                dev.check(token, &unverified, now).map_err(refuse)?
            }
            _ => self.check(token, &unverified, now).await?,
        };
        self.verified.put(token, identity.clone(), expires_at, now);
        Ok(identity)
    }

    async fn check(
        &self,
        token: &str,
        unverified: &Unverified,
        now: Timestamp,
    ) -> Result<(Identity, Timestamp), Rejection> {
        let issuer = self.issuer_of(unverified)?;
        let claims = issuer.claims(token, unverified, now).await?;
        issuer.identity(&claims, &issuer.rules, now)
    }

    /// The issuer that a token says it is from.
    fn issuer_of(&self, unverified: &Unverified) -> Result<&TrustedIssuer, Rejection> {
        let found = self.issuers.iter().find(|i| unverified.is_from(&i.rules.issuer));
        found.ok_or_else(|| refuse("unknown issuer"))
    }
}

impl TrustedIssuer {
    /// The claims of a token, if a key of the issuer signed them.
    async fn claims(&self, token: &str, unverified: &Unverified, now: Timestamp) -> Result<Claims, Rejection> {
        let key = self.keys.find(unverified.kid(), now).await.map_err(|unknown| match unknown {
            Unknown::Key => refuse("unknown key"),
            Unknown::Everything => Rejection {
                code: ErrorCode::Unavailable,
                message: "The token issuer's keys cannot be fetched at the moment; try again.".into(),
                www_authenticate: None,
                retry_after_seconds: Some(5),
                limit: None,
            },
        })?;
        unverified.verify(token, &key).map_err(refuse)
    }

    /// Who signed claims speak for by these rules, and until when.
    fn identity(
        &self,
        claims: &Claims,
        rules: &IssuerConfig,
        now: Timestamp,
    ) -> Result<(Identity, Timestamp), Rejection> {
        token::check(claims, rules, now).map_err(|refusal| match refusal {
            Refusal::Invalid(reason) => refuse(reason),
            Refusal::Permission => Rejection::insufficient(&rules.permissions),
        })
    }
}

/// Opens the development issuer of a data directory's key folder; makes its key at first use.
pub fn dev_issuer(keys_dir: &Path) -> Result<dev::Issuer, Error> {
    dev::Issuer::open(keys_dir)
}

/// The same refusal whatever the reason; the reason is for the operator's log alone.
fn refuse(reason: &'static str) -> Rejection {
    tracing::debug!(reason, "token refused");
    metrics::token_refused(reason);
    Rejection::unauthenticated()
}

impl Rejection {
    fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), www_authenticate: None, retry_after_seconds: None, limit: None }
    }

    /// Not now, but after so many seconds.
    fn later(code: ErrorCode, message: impl Into<String>, seconds: u64) -> Self {
        Self { retry_after_seconds: Some(seconds), ..Self::new(code, message) }
    }

    /// 429: a limit is reached, by its name in `[limits]`. Not now, but after a second.
    pub fn beyond(limit: &'static str, message: impl Into<String>) -> Self {
        Self { limit: Some(limit), ..Self::later(ErrorCode::TooManyRequests, message, 1) }
    }

    /// 401, and nothing that helps an attacker.
    pub fn unauthenticated() -> Self {
        Self {
            code: ErrorCode::Unauthenticated,
            message: "A valid bearer token is needed.".into(),
            www_authenticate: Some("Bearer error=\"invalid_token\""),
            retry_after_seconds: None,
            limit: None,
        }
    }

    /// 403: the token is good, and names none of the scopes and roles that are asked for.
    fn insufficient(rule: &PermissionRule) -> Self {
        let named = [("scopes", &rule.required_scopes), ("roles", &rule.required_roles)]
            .into_iter()
            .filter(|(_, names)| !names.is_empty())
            .map(|(kind, names)| format!("{kind} ({})", names.join(", ")));
        let named = named.collect::<Vec<_>>().join(" or ");
        Self {
            code: ErrorCode::InsufficientScope,
            message: format!(
                "The token is valid, but has none of the {named} that this service asks for. Have one given to the caller and get a new token."
            ),
            www_authenticate: Some("Bearer error=\"insufficient_scope\""),
            retry_after_seconds: None,
            limit: None,
        }
    }
}

impl axum::response::IntoResponse for Rejection {
    fn into_response(self) -> axum::response::Response {
        crate::http::Error::from(self).into_response()
    }
}

/// The bearer token of a request, if it has exactly one `Authorization` header of that scheme.
pub fn bearer(headers: &http::HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(http::header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// Verifies the request's token, counts the request and looks the caller's grants up.
pub async fn authenticate(parts: &Parts, app: &App) -> Result<Viewer, Rejection> {
    let identity = verified(&parts.headers, app, app.clock.now()).await?;
    admit(identity, parts, app).await
}

/// Counts a request of somebody whose identity is known, and looks the grants up.
pub async fn admit(identity: Identity, parts: &Parts, app: &App) -> Result<Viewer, Rejection> {
    let now = app.clock.now();
    Standing::enter(&parts.extensions, &identity, app)?;
    app.tokens.rate.admit(&identity.caller, &parts.method, now)?;
    granted(identity, app, now).await
}

/// The same for a look at one Export, which [`Verifier::count_look`] counts once it is known
/// whether that is there. Whoever is granted nothing is counted here.
pub async fn authenticate_look(parts: &Parts, app: &App) -> Result<Viewer, Rejection> {
    let now = app.clock.now();
    let identity = verified(&parts.headers, app, now).await?;
    Standing::enter(&parts.extensions, &identity, app)?;
    match granted(identity.clone(), app, now).await {
        Ok(viewer) => Ok(viewer),
        Err(rejection) => Err(app.tokens.rate.admit(&identity.caller, &parts.method, now).err().unwrap_or(rejection)),
    }
}

async fn verified(headers: &http::HeaderMap, app: &App, now: Timestamp) -> Result<Identity, Rejection> {
    let token = bearer(headers).ok_or_else(|| refuse("no bearer token"))?;
    app.tokens.verify(token, now).await
}

/// The viewer that an identity is at this moment: with the grants in force.
pub async fn granted(identity: Identity, app: &App, now: Timestamp) -> Result<Viewer, Rejection> {
    let Identity { caller: Caller { tenant, principal }, admin } = identity;
    let (role, scope) = app.store.access(&tenant, &principal, now).await.map_err(|error| {
        tracing::error!(error = &error as &dyn std::error::Error, "grants cannot be read");
        Rejection::new(ErrorCode::Internal, "The grants cannot be read; try again.")
    })?;
    if scope.is_empty() {
        let message = format!(
            "Nothing is granted to principal '{principal}' of tenant '{tenant}'. \
             The operator grants it with: payouts grant --data DIR --tenant '{tenant}' --principal '{principal}' --participant ID"
        );
        return Err(Rejection::new(ErrorCode::NoGrants, message));
    }
    let role = if admin { Role::Admin } else { role };
    Ok(Viewer { tenant, principal, role, scope })
}

impl FromRequestParts<Arc<App>> for Authenticated {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Rejection> {
        Ok(Self { viewer: authenticate(parts, app).await? })
    }
}
