//! Signing in with an issuer: there with state, nonce and PKCE, and back.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::{HeaderMap, header};
use payouts_model::ErrorCode;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::sealed::{Pending, SIGN_IN_SECONDS};
use super::{query_of, safe_target, signed_in, value_of};
use crate::app::App;
use crate::auth::code::{Begin, Redeem, not_confirmed};
use crate::http::Error;
use crate::http::base_url::BaseUrl;
use crate::http::wire::RawText;
use crate::page::session::{self, Cookies};

/// Where issuers send browsers back to.
pub const CALLBACK: &str = "/sign-in/callback";

/// `GET /sign-in/start`: to the issuer.
pub async fn start(State(app): State<Arc<App>>, base: BaseUrl, RawText(raw_query): RawText) -> Result<Response, Error> {
    let query = query_of(&raw_query);
    let issuer = value_of(&query, "issuer").parse::<usize>();
    let issuer = issuer.ok().filter(|place| app.tokens.page_issuer(*place).is_some()).ok_or_else(|| {
        Error::new(ErrorCode::InvalidParameter, "One does not sign in with this issuer. Choose again.").target("issuer")
    })?;
    let now = app.clock.now();
    let pending = Pending {
        issuer,
        state: session::secret(),
        nonce: session::secret(),
        verifier: session::secret(),
        to: safe_target(value_of(&query, "to")).to_owned(),
        began_at: now,
    };
    let challenge = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(pending.verifier.as_bytes()));
    let begin = Begin {
        redirect_uri: &base.join(CALLBACK),
        state: &pending.state,
        nonce: &pending.nonce,
        challenge: &challenge,
    };
    let url = app.tokens.authorization_url(issuer, &begin, now).await?;
    let cookies = Cookies::new(&app.config);
    let cookie = cookies.set(&cookies.sign_in, &app.page.sealer.seal(&pending), SIGN_IN_SECONDS);
    Ok(([(header::SET_COOKIE, cookie)], Redirect::to(url.as_str())).into_response())
}

/// `GET /sign-in/callback`: back from the issuer.
pub async fn callback(
    State(app): State<Arc<App>>,
    base: BaseUrl,
    headers: HeaderMap,
    RawText(raw_query): RawText,
) -> Response {
    let mut response = match came_back(&app, &base, &headers, &raw_query).await {
        Ok(response) => response,
        Err(error) => error.into_response(),
    };
    // Used, whatever came of it.
    let cookies = Cookies::new(&app.config);
    response.headers_mut().append(header::SET_COOKIE, cookies.set(&cookies.sign_in, "", 0));
    response
}

async fn came_back(app: &App, base: &BaseUrl, headers: &HeaderMap, raw_query: &str) -> Result<Response, Error> {
    let now = app.clock.now();
    let query = query_of(raw_query);
    let name = Cookies::new(&app.config).sign_in;
    let state = value_of(&query, "state");
    let same = |pending: &Pending| bool::from(pending.state.as_bytes().ct_eq(state.as_bytes()));
    let mut sealed = session::cookie_values(headers, &name).filter_map(|value| app.page.sealer.open(value, now));
    let pending = sealed.find(same).ok_or_else(not_confirmed)?;
    let asked = app.tokens.page_issuer(pending.issuer).ok_or_else(not_confirmed)?;
    // An answer that says whose it is (RFC 9207) is that of the issuer that was asked, or none.
    let said = value_of(&query, "iss");
    if !said.is_empty() && !asked.contains("{tid}") && said != asked {
        return Err(not_confirmed().into());
    }
    if !value_of(&query, "error").is_empty() {
        // Anybody can write the rest of this address: it is not shown.
        let message = "The issuer did not sign you in. Sign in again, or ask whoever manages your account.";
        return Err(Error::new(ErrorCode::Unauthenticated, message));
    }
    let redeem = Redeem {
        code: value_of(&query, "code"),
        redirect_uri: &base.join(CALLBACK),
        verifier: &pending.verifier,
        nonce: &pending.nonce,
    };
    let found = app.tokens.redeem(pending.issuer, &redeem, now).await?;
    Ok(signed_in(app, found.identity, found.name.as_deref(), found.until, &pending.to))
}
