//! Who calls: tokens of the configured OIDC issuers and of the built-in development issuer.
//!
//! Invariants: a [`Caller`] exists only for a token whose signature, issuer, audience and times
//! were checked; a [`Viewer`](payouts_model::Viewer) is built anew for every request, so a grant or
//! its end is at work at once; whoever is refused learns nothing but that.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;
use payouts_model::{ErrorCode, PrincipalId, TenantId, Viewer};

use crate::app::App;
use crate::config::Config;

/// Somebody whose token was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The tenant.
    pub tenant: TenantId,
    /// The user or application.
    pub principal: PrincipalId,
}

/// Why a request is refused before any handler runs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Rejection {
    /// Unauthenticated, NoGrants, Unavailable or Internal.
    pub code: ErrorCode,
    /// For the caller.
    pub message: String,
    /// The `WWW-Authenticate` header of a 401.
    pub www_authenticate: Option<&'static str>,
}

/// Extractor: the caller has a valid token and at least one grant.
#[derive(Clone, Debug)]
pub struct Authenticated {
    /// The caller with the grants in force now.
    pub viewer: Viewer,
}

/// Checks tokens.
#[derive(Debug)]
pub struct Verifier {}

impl Verifier {
    /// A verifier of the issuers that `config` names; with `dev` the built-in one too.
    pub fn new(_config: &Config) -> Result<Self, Error> {
        Ok(Self {})
    }

    /// The caller that a bearer token speaks for.
    pub async fn verify(&self, _token: &str, _now: payouts_model::Timestamp) -> Result<Caller, Rejection> {
        Err(Rejection::unauthenticated())
    }
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
}

impl Rejection {
    /// 401, and nothing that helps an attacker.
    pub fn unauthenticated() -> Self {
        Self {
            code: ErrorCode::Unauthenticated,
            message: "A valid bearer token is needed.".into(),
            www_authenticate: Some("Bearer error=\"invalid_token\""),
        }
    }
}

impl axum::response::IntoResponse for Rejection {
    fn into_response(self) -> axum::response::Response {
        let status = http::StatusCode::from_u16(self.code.status()).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
        (status, self.message).into_response()
    }
}

impl FromRequestParts<Arc<App>> for Authenticated {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Rejection> {
        let header = parts.headers.get(http::header::AUTHORIZATION).and_then(|v| v.to_str().ok());
        let token = header.and_then(|v| v.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let (_, token) = token.ok_or_else(Rejection::unauthenticated)?;
        let now = app.clock.now();
        let Caller { tenant, principal } = app.tokens.verify(token.trim(), now).await?;
        let (role, scope) =
            app.store.access(&tenant, &principal, now).await.map_err(|_| Rejection::unauthenticated())?;
        Ok(Self { viewer: Viewer { tenant, principal, role, scope } })
    }
}
