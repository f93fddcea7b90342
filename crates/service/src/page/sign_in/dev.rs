//! With `--dev`: choosing whom to be, among those who have grants.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use payouts_model::{ErrorCode, Grant, PrincipalId, TenantId};

use super::signed_in;
use crate::app::App;
use crate::auth::{Caller, Identity, dev};
use crate::http::Error;
use crate::http::base_url::BaseUrl;
use crate::page::session::{SESSION_MS_MAX, check_origin, read_form};

/// The most users that are offered.
const USERS_MAX: usize = 50;

/// A user to choose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Tenant and principal, as the form sends them.
    pub value: String,
    /// The principal.
    pub name: String,
    /// The tenant.
    pub tenant: String,
    /// What the grants come to.
    pub sees: String,
}

/// Everybody who has a grant in force. A grant to a whole tenant is offered as one user of it.
pub async fn users(app: &App) -> Result<Vec<User>, Error> {
    let now = app.clock.now();
    let grants = app.store.grants().await?;
    let mut pairs: BTreeMap<(TenantId, PrincipalId), Vec<Grant>> = BTreeMap::new();
    for grant in grants.into_iter().filter(|g| g.until.is_none_or(|until| until > now)) {
        let principal = grant.principal.clone().unwrap_or_else(|| PrincipalId::new(dev::PRINCIPAL));
        pairs.entry((grant.tenant.clone(), principal)).or_default().push(grant);
    }
    let user = |((tenant, principal), grants): ((TenantId, PrincipalId), Vec<Grant>)| User {
        value: format!("{principal}@{tenant}"),
        name: principal.to_string(),
        tenant: tenant.to_string(),
        sees: sees(&grants),
    };
    Ok(pairs.into_iter().take(USERS_MAX).map(user).collect())
}

fn sees(grants: &[Grant]) -> String {
    let admin = grants.iter().any(|g| g.role == payouts_model::Role::Admin);
    let everybody = grants.iter().any(|g| g.pair.participant.is_none());
    let mut participants: Vec<_> = grants.iter().filter_map(|g| g.pair.participant.as_ref()).collect();
    participants.sort();
    participants.dedup();
    let what = match (everybody, participants.len()) {
        (true, _) => "all participants".to_owned(),
        (false, 1) => "1 participant".to_owned(),
        (false, n) => format!("{n} participants"),
    };
    if admin { format!("{what}, admin") } else { what }
}

/// `POST /sign-in/dev`: no secret is asked for, as the built-in issuer asks for none.
pub async fn choose(State(app): State<Arc<App>>, base: BaseUrl, request: Request) -> Result<Response, Error> {
    let (parts, body) = request.into_parts();
    check_origin(&parts.headers, &base)?;
    let fields = read_form(&parts.headers, body, &app.config.limits).await?;
    let value = |name: &str| fields.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value);
    let wanted = users(&app).await?.into_iter().find(|user| user.value == value("user"));
    let user = wanted.ok_or_else(|| {
        let message = "That user has no grant any more. Choose another one.";
        Error::new(ErrorCode::InvalidParameter, message).target("user")
    })?;
    let caller = Caller { tenant: TenantId::new(user.tenant), principal: PrincipalId::new(user.name) };
    let until = app.clock.now().plus_ms(SESSION_MS_MAX);
    Ok(signed_in(&app, Identity { caller, admin: false }, None, until, value("to")))
}
