//! People who sign in to the export page: the authorization code flow with PKCE (RFC 6749, RFC 7636,
//! OpenID Connect Core).
//!
//! Invariants: a code is redeemed only with the verifier and the nonce of the browser that began; the
//! ID token must be signed by the issuer that was asked, for this client, with that nonce; who the
//! user is follows from a token that was checked by the rules that hold for callers of the API.
//! Codes, tokens, verifiers and secrets are never logged, and no token outlives its check.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use payouts_model::{ErrorCode, Timestamp};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::{Mutex, Semaphore};
use url::Url;

use super::keys::{Discovery, safe};
use super::token::{self, Unverified};
use super::{Identity, Rejection, TOKEN_BYTES_MAX, TrustedIssuer, Verifier, refuse};
use crate::config::{IdentityToken, IssuerConfig, PageConfig};

/// What an issuer announced is asked for again after this time.
const ANNOUNCED_MS: i64 = 60 * 60 * 1000;
/// The same after a failure.
const FAILED_MS: i64 = 5 * 1000;
/// Codes that are redeemed at the same time: strangers cannot make this service ask for more.
const REDEEMING_MAX: usize = 32;
/// How long an issuer may take to redeem a code.
const REDEEM: Duration = Duration::from_secs(10);
const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// What is known of issuers' endpoints, by the issuer's place in the configuration.
#[derive(Debug)]
pub(super) struct Flow {
    announced: Mutex<HashMap<usize, (Timestamp, Option<Discovery>)>>,
    redeeming: Arc<Semaphore>,
}

impl Default for Flow {
    fn default() -> Self {
        Self { announced: Mutex::default(), redeeming: Arc::new(Semaphore::new(REDEEMING_MAX)) }
    }
}

/// What a browser is sent to the issuer with.
#[derive(Clone, Debug)]
pub struct Begin<'a> {
    /// Where the issuer sends it back to.
    pub redirect_uri: &'a str,
    /// Comes back as it is.
    pub state: &'a str,
    /// Comes back inside the ID token.
    pub nonce: &'a str,
    /// SHA-256 of the verifier, base64url.
    pub challenge: &'a str,
}

/// What comes back, and what only the one who began knows.
#[derive(Clone, Copy, Debug)]
pub struct Redeem<'a> {
    /// The code.
    pub code: &'a str,
    /// As it was at the beginning.
    pub redirect_uri: &'a str,
    /// The PKCE verifier.
    pub verifier: &'a str,
    /// As it was at the beginning.
    pub nonce: &'a str,
}

/// Somebody who signed in.
#[derive(Clone, Debug)]
pub struct SignedIn {
    /// Who.
    pub identity: Identity,
    /// How the issuer calls the user, for showing.
    pub name: Option<String>,
    /// Until when the issuer says so.
    pub until: Timestamp,
}

#[derive(Deserialize)]
struct Tokens {
    id_token: Option<String>,
    access_token: Option<String>,
}

/// An error answer of a token endpoint: the code alone is told.
#[derive(Deserialize)]
struct Refused {
    error: String,
}

impl Verifier {
    /// Issuers that people can sign in to the page with: their place, and what the button says.
    pub fn page_issuers(&self) -> impl Iterator<Item = (usize, &str)> {
        let with_page = self.issuers.iter().enumerate();
        with_page.filter_map(|(place, issuer)| Some((place, issuer.rules.page.as_ref()?.label.as_str())))
    }

    /// The name of the issuer at a place, as it says itself in `iss`, if people can sign in with it.
    pub fn page_issuer(&self, place: usize) -> Option<&str> {
        self.issuers.get(place).filter(|i| i.rules.page.is_some()).map(|i| i.rules.issuer.as_str())
    }

    /// The address to send a browser to.
    pub async fn authorization_url(&self, place: usize, begin: &Begin<'_>, now: Timestamp) -> Result<Url, Rejection> {
        let (_, client) = self.client_at(place)?;
        let announced = self.announced(place, now).await?;
        let mut url = endpoint(announced.authorization_endpoint.as_deref())?;
        let Begin { redirect_uri, state, nonce, challenge } = begin;
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &client.client_id)
            .append_pair("redirect_uri", redirect_uri)
            .append_pair("scope", &client.scopes.join(" "))
            .append_pair("state", state)
            .append_pair("nonce", nonce)
            .append_pair("code_challenge", challenge)
            .append_pair("code_challenge_method", "S256")
            .extend_pairs(client.resource.iter().map(|resource| ("resource", resource)));
        Ok(url)
    }

    /// Redeems a code, and checks whatever comes for it.
    pub async fn redeem(&self, place: usize, redeem: &Redeem<'_>, now: Timestamp) -> Result<SignedIn, Rejection> {
        let (issuer, client) = self.client_at(place)?;
        let announced = self.announced(place, now).await?;
        let Tokens { id_token, access_token } = self.exchange(client, &announced, redeem).await?;
        let id_token = id_token.ok_or_else(|| refuse("the token endpoint gave no ID token"))?;
        let (claims, id_until) = id_claims(issuer, client, &id_token, redeem.nonce, now).await?;
        let (identity, until) = match client.identity {
            IdentityToken::IdToken => {
                let rules = IssuerConfig { audiences: vec![client.client_id.clone()], ..issuer.rules.clone() };
                issuer.identity(&claims, &rules, now)?
            }
            IdentityToken::AccessToken => {
                let token = access_token.ok_or_else(|| refuse("the token endpoint gave no access token"))?;
                self.access_identity(issuer, &token, now).await?
            }
        };
        let text = |name: &str| claims.get(name).and_then(Value::as_str).map(str::to_owned);
        let name = text("name").or_else(|| text("preferred_username")).or_else(|| text("email"));
        Ok(SignedIn { identity, name, until: until.min(id_until) })
    }

    /// Who an access token speaks for. It must be from the issuer that was asked, under any name of it.
    async fn access_identity(
        &self,
        asked: &TrustedIssuer,
        token: &str,
        now: Timestamp,
    ) -> Result<(Identity, Timestamp), Rejection> {
        let unverified = read(token)?;
        let issuer = self.issuer_of(&unverified)?;
        // Two issuers never lead to one tenant, so equal rules are those of one issuer.
        if issuer.rules.tenant != asked.rules.tenant {
            return Err(refuse("the access token is another issuer's"));
        }
        let claims = issuer.claims(token, &unverified, now).await?;
        issuer.identity(&claims, &issuer.rules, now)
    }

    fn client_at(&self, place: usize) -> Result<(&TrustedIssuer, &PageConfig), Rejection> {
        let issuer = self.issuers.get(place);
        let found = issuer.and_then(|issuer| Some((issuer, issuer.rules.page.as_ref()?)));
        found.ok_or_else(|| refuse("no sign-in with this issuer"))
    }

    /// What the issuer announces, kept for an hour. One look at a time.
    async fn announced(&self, place: usize, now: Timestamp) -> Result<Discovery, Rejection> {
        let mut all = self.code.announced.lock().await;
        if let Some((at, known)) = all.get(&place) {
            let good_for = if known.is_some() { ANNOUNCED_MS } else { FAILED_MS };
            if (0..good_for).contains(&now.ms_since(*at)) {
                return known.clone().ok_or_else(out_of_reach);
            }
        }
        let found = self.issuers[place].keys.discover().await;
        let found = found.inspect_err(|error| {
            tracing::warn!(
                error = error as &dyn std::error::Error,
                "the issuer that people sign in with cannot be asked"
            );
        });
        let known = found.ok();
        all.insert(place, (now, known.clone()));
        known.ok_or_else(out_of_reach)
    }

    async fn exchange(
        &self,
        client: &PageConfig,
        announced: &Discovery,
        redeem: &Redeem<'_>,
    ) -> Result<Tokens, Rejection> {
        let url = endpoint(announced.token_endpoint.as_deref())?;
        let _place = self.code.redeeming.clone().try_acquire_owned().map_err(|_| {
            Rejection::later(ErrorCode::Unavailable, "Too many people are signing in at this moment. Try again.", 2)
        })?;
        let secret = secret(client).await?;
        let resource = client.resource.iter().map(|resource| ("resource", resource.as_str()));
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", redeem.code),
            ("redirect_uri", redeem.redirect_uri),
            ("code_verifier", redeem.verifier),
        ];
        form.extend(resource);
        let mut request = self.client.post(url).timeout(REDEEM).header("Accept", "application/json");
        let methods = announced.token_endpoint_auth_methods_supported.as_ref();
        let basic = methods.is_none_or(|all| all.iter().any(|m| m == "client_secret_basic"));
        match &secret {
            // The form's encoding comes first, as RFC 6749, 2.3.1 has it.
            Some(secret) if basic => request = request.basic_auth(encoded(&client.client_id), Some(encoded(secret))),
            Some(secret) => form.extend([("client_id", client.client_id.as_str()), ("client_secret", secret.as_str())]),
            None => form.push(("client_id", client.client_id.as_str())),
        }
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request = request.header("Content-Type", "application/x-www-form-urlencoded").body(body);
        let response = request.send().await.map_err(|error| {
            // The address is the endpoint's alone: nothing secret is in it.
            tracing::warn!(error = &error as &dyn std::error::Error, "the token endpoint cannot be reached");
            out_of_reach()
        })?;
        answer(response).await
    }
}

/// What a token endpoint answered.
async fn answer(mut response: reqwest::Response) -> Result<Tokens, Rejection> {
    let status = response.status();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|_| out_of_reach())? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(refuse("the token endpoint answered too much"));
        }
        body.extend_from_slice(&chunk);
    }
    if status.is_success() {
        return serde_json::from_slice(&body).map_err(|_| refuse("the token endpoint's answer cannot be read"));
    }
    let code = serde_json::from_slice::<Refused>(&body).map(|refused| refused.error).unwrap_or_default();
    let code: String = code.chars().filter(char::is_ascii_graphic).take(60).collect();
    tracing::warn!(http.status = status.as_u16(), oauth.error = code, "the token endpoint refused a code");
    if status.is_server_error() {
        return Err(out_of_reach());
    }
    Err(not_confirmed())
}

/// The claims of an ID token for this client and this nonce, and their end.
async fn id_claims(
    issuer: &TrustedIssuer,
    client: &PageConfig,
    id_token: &str,
    nonce: &str,
    now: Timestamp,
) -> Result<(token::Claims, Timestamp), Rejection> {
    let unverified = read(id_token)?;
    if !unverified.is_from(&issuer.rules.issuer) {
        return Err(refuse("the ID token is another issuer's"));
    }
    let claims = issuer.claims(id_token, &unverified, now).await?;
    let until = token::check_id(&claims, &client.client_id, nonce, now).map_err(refuse)?;
    Ok((claims, until))
}

fn read(token: &str) -> Result<Unverified, Rejection> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(refuse("too long"));
    }
    Unverified::read(token).map_err(refuse)
}

/// The client's secret, read anew each time, so that a new one is at work at once.
async fn secret(client: &PageConfig) -> Result<Option<String>, Rejection> {
    let Some(path) = client.client_secret_file.clone() else { return Ok(None) };
    let shown = path.display().to_string();
    let read = tokio::task::spawn_blocking(move || std::fs::read_to_string(path)).await;
    match read {
        Ok(Ok(text)) => Ok(Some(text.trim().to_owned())),
        Ok(Err(error)) => {
            tracing::error!(
                path = shown,
                error = &error as &dyn std::error::Error,
                "the page's client secret cannot be read"
            );
            Err(out_of_reach())
        }
        Err(_) => Err(out_of_reach()),
    }
}

fn endpoint(announced: Option<&str>) -> Result<Url, Rejection> {
    let url = announced.and_then(|text| Url::parse(text).ok()).filter(safe);
    url.ok_or_else(|| {
        tracing::warn!("the issuer announces no endpoint for people to sign in at, over https");
        out_of_reach()
    })
}

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

fn out_of_reach() -> Rejection {
    let message = "The service that signs people in cannot be reached at the moment. Try again in a minute.";
    Rejection::later(ErrorCode::Unavailable, message, 10)
}

/// The sign-in began, and the issuer does not stand by it.
pub fn not_confirmed() -> Rejection {
    let message = "The sign-in was not confirmed: it took too long, or was used already. Sign in again.";
    Rejection { message: message.into(), ..Rejection::unauthenticated() }
}
