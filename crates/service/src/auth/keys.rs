//! An issuer's published keys: discovery, JWKS, and when they are fetched.
//!
//! Invariants: one fetch at a time per issuer, whoever waits for it or has gone; a stream of
//! unknown key ids cannot make more than [`FETCHES_AT_ONCE`] fetches and then one per half minute,
//! and holds no more than [`WAITING_MAX`] requests; keys that were fetched once go on working for a
//! day while the issuer is out of reach, over a restart too ([`super::kept`]); whoever brings a key
//! that is known never waits; answers are bounded in size and time; redirects are not followed, and
//! nothing but https is (http for loopback hosts, which the tests use).

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use payouts_model::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};

use super::kept::Kept;
use super::token::Key;

/// Keys older than this are fetched again, behind the requests that they serve.
const FRESH_MS: i64 = 60 * 60 * 1000;
/// Keys older than this are not believed any more.
const STALE_MS_MAX: i64 = 24 * 60 * 60 * 1000;
/// Fetches that unknown key ids may cause at once: a rotation is noticed without a wait …
const FETCHES_AT_ONCE: i64 = 3;
/// … and each of them is given back after this time.
const INTERVAL_MS: i64 = 30 * 1000;
/// After a fetch that failed: the issuer may be back.
const INTERVAL_AFTER_ERROR_MS: i64 = 5 * 1000;
/// Requests that wait for a fetch; more are told to try again.
const WAITING_MAX: usize = 64;
/// Discovery and keys together.
const FETCH: Duration = Duration::from_secs(8);
const ANSWER_BYTES_MAX: usize = 1 << 20;
const KEYS_MAX: usize = 256;

/// Why a key was not found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unknown {
    /// The issuer does not publish it.
    Key,
    /// Nothing is known, or too many wait to know: the caller may try again.
    Everything,
}

/// The client for all issuers.
pub(super) fn client() -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .user_agent(concat!("payouts/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(Duration::from_secs(3))
        .timeout(FETCH)
        .redirect(reqwest::redirect::Policy::none())
        .build()
}

#[derive(Debug)]
struct Fetched {
    keys: HashMap<String, Key>,
    at: Timestamp,
    /// Fetched by this process; what was kept on disk is due at once.
    own: bool,
}

impl Fetched {
    fn new(raw: Vec<Value>, at: Timestamp, own: bool) -> Self {
        Self { keys: raw.into_iter().take(KEYS_MAX).filter_map(usable).collect(), at, own }
    }

    fn due(&self, now: Timestamp) -> bool {
        !self.own || self.age_ms(now) >= FRESH_MS
    }

    /// A clock that was put back makes keys due, not young for ever.
    fn age_ms(&self, now: Timestamp) -> i64 {
        let age = now.ms_since(self.at);
        if age < 0 { FRESH_MS } else { age }
    }
}

/// When the issuer may be asked.
#[derive(Debug)]
struct Attempts {
    /// Fetches that may begin now.
    left: i64,
    /// Since when `left` is as it is.
    since: Timestamp,
    /// The last fetch, and whether it went well.
    last: Option<(Timestamp, bool)>,
}

impl Attempts {
    fn new() -> Self {
        Self { left: FETCHES_AT_ONCE, since: Timestamp(0), last: None }
    }

    /// Takes one fetch, if it is not too soon.
    fn take(&mut self, now: Timestamp) -> bool {
        let since = |at| {
            let ms = now.ms_since(at);
            // A clock that was put back must not forbid fetches until it has caught up.
            if ms < 0 { i64::MAX } else { ms }
        };
        if let Some((at, false)) = self.last {
            return since(at) >= INTERVAL_AFTER_ERROR_MS;
        }
        let back = since(self.since) / INTERVAL_MS;
        if back > 0 {
            self.left = self.left.saturating_add(back).min(FETCHES_AT_ONCE);
            self.since = now;
        }
        let granted = self.left > 0;
        self.left -= i64::from(granted);
        granted
    }
}

/// The keys of one issuer.
#[derive(Debug)]
pub(super) struct KeySource {
    client: reqwest::Client,
    discovery_url: String,
    issuer: String,
    kept: Kept,
    fetched: RwLock<Option<Arc<Fetched>>>,
    attempts: Mutex<Attempts>,
    waiting: Arc<Semaphore>,
}

/// What an issuer announces of itself.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Discovery {
    issuer: String,
    jwks_uri: String,
    /// Where people sign in.
    pub authorization_endpoint: Option<String>,
    /// Where codes are redeemed.
    pub token_endpoint: Option<String>,
    /// How clients may show their secret there; `client_secret_basic` if it says nothing.
    pub token_endpoint_auth_methods_supported: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct RawKeys {
    keys: Vec<Value>,
}

/// Why a fetch failed; for the log.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("{url}")]
    Http {
        url: String,
        #[source]
        source: reqwest::Error,
    },
    #[error("{url}: {reason}")]
    Answer { url: String, reason: String },
}

impl KeySource {
    /// For an issuer; keys that `folder` keeps of it are taken.
    pub(super) fn new(client: reqwest::Client, discovery_url: &str, issuer: &str, folder: &Path) -> Self {
        let kept = Kept::new(folder, issuer, discovery_url);
        let fetched = kept.load().map(|(raw, at)| Arc::new(Fetched::new(raw, at, false)));
        Self {
            client,
            discovery_url: discovery_url.into(),
            issuer: issuer.into(),
            kept,
            fetched: RwLock::new(fetched),
            attempts: Mutex::new(Attempts::new()),
            waiting: Arc::new(Semaphore::new(WAITING_MAX)),
        }
    }

    /// What is known and not too old.
    fn current(&self, now: Timestamp) -> Option<Arc<Fetched>> {
        let fetched = self.fetched.read().expect("nothing panics while it holds this lock").clone();
        fetched.filter(|f| f.age_ms(now) < STALE_MS_MAX)
    }

    /// The key with this id.
    pub(super) async fn find(self: &Arc<Self>, kid: &str, now: Timestamp) -> Result<Key, Unknown> {
        let known = self.current(now);
        let key = known.as_ref().and_then(|k| k.keys.get(kid)).cloned();
        if let (Some(key), Some(known)) = (&key, &known) {
            if known.due(now) && self.attempts.try_lock().is_ok() {
                // Whether it comes to a fetch is decided there; nobody waits for it here.
                drop(self.refresh(Some(known.clone()), now, None));
            }
            return Ok(key.clone());
        }
        let place = self.waiting.clone().try_acquire_owned().map_err(|_| Unknown::Everything)?;
        // A task that broke has said so in the log; what is known then decides.
        drop(self.refresh(known, now, Some(place)).await);
        match self.current(now) {
            None => Err(Unknown::Everything),
            Some(known) => known.keys.get(kid).cloned().ok_or(Unknown::Key),
        }
    }

    /// Fetches, unless somebody did since `seen` or it is too soon. A task of its own, so that a
    /// client that goes away neither breaks a fetch off nor makes room for another one.
    fn refresh(
        self: &Arc<Self>,
        seen: Option<Arc<Fetched>>,
        now: Timestamp,
        place: Option<OwnedSemaphorePermit>,
    ) -> tokio::task::JoinHandle<()> {
        let own = self.clone();
        tokio::spawn(async move {
            let mut attempts = own.attempts.lock().await;
            let newer = match (own.current(now), seen) {
                (Some(now), Some(seen)) => !Arc::ptr_eq(&now, &seen),
                (now, seen) => now.is_some() != seen.is_some(),
            };
            if !newer && attempts.take(now) {
                attempts.last = Some((now, own.fetch_and_keep(now).await));
            }
            drop(place);
        })
    }

    /// Whether it went well.
    async fn fetch_and_keep(&self, now: Timestamp) -> bool {
        let result = tokio::time::timeout(FETCH, self.fetch()).await.unwrap_or_else(|_| {
            let reason = format!("no whole answer within {} s", FETCH.as_secs());
            Err(FetchError::Answer { url: self.discovery_url.clone(), reason })
        });
        match result {
            Ok(raw) => {
                let fetched = Arc::new(Fetched::new(raw.clone(), now, true));
                tracing::info!(issuer = self.issuer, keys = fetched.keys.len(), "token issuer's keys fetched");
                *self.fetched.write().expect("nothing panics while it holds this lock") = Some(fetched);
                self.kept.save(raw, now).await;
                true
            }
            Err(error) => {
                tracing::warn!(
                    issuer = self.issuer,
                    error = &error as &dyn std::error::Error,
                    "token issuer's keys cannot be fetched"
                );
                false
            }
        }
    }

    async fn fetch(&self) -> Result<Vec<Value>, FetchError> {
        let found = self.discover().await?;
        let raw: RawKeys = self.get(&found.jwks_uri).await?;
        if !raw.keys.iter().take(KEYS_MAX).any(|key| usable(key.clone()).is_some()) {
            return Err(FetchError::Answer { url: found.jwks_uri, reason: "has no key that signs tokens".into() });
        }
        Ok(raw.keys)
    }

    /// What the issuer announces, if it is this issuer that does, and if all of it is safe to use.
    pub(super) async fn discover(&self) -> Result<Discovery, FetchError> {
        let refused = |reason: String| FetchError::Answer { url: self.discovery_url.clone(), reason };
        let found: Discovery = self.get(&self.discovery_url).await?;
        // Microsoft's common endpoint writes the tenant's place as {tenantid}.
        let announced = found.issuer.replace("{tenantid}", "{tid}");
        if announced != self.issuer {
            let reason = format!("announces the issuer '{}', the configuration says '{}'", found.issuer, self.issuer);
            return Err(refused(reason));
        }
        let more = [&found.authorization_endpoint, &found.token_endpoint].into_iter().flatten();
        let safe = std::iter::once(&found.jwks_uri).chain(more).all(|url| url.starts_with("https:"));
        if self.discovery_url.starts_with("https:") && !safe {
            return Err(refused("leads from https to addresses that are not".into()));
        }
        Ok(found)
    }

    async fn get<T: serde::de::DeserializeOwned>(&self, address: &str) -> Result<T, FetchError> {
        let answer = |reason: String| FetchError::Answer { url: address.to_owned(), reason };
        let http = |source| FetchError::Http { url: address.to_owned(), source };
        let url = url::Url::parse(address).map_err(|e| answer(e.to_string()))?;
        if !safe(&url) {
            return Err(answer("keys are fetched over https only (http from loopback hosts)".into()));
        }
        let mut response = self.client.get(url).header("Accept", "application/json").send().await.map_err(http)?;
        if !response.status().is_success() {
            return Err(answer(format!("answered {}", response.status())));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(http)? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(answer(format!("answered more than {ANSWER_BYTES_MAX} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        serde_json::from_slice(&body).map_err(|e| answer(format!("not the JSON expected: {e}")))
    }
}

/// Whether secrets and keys may go over it.
pub(super) fn safe(url: &url::Url) -> bool {
    let loopback = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    };
    url.scheme() == "https" || (url.scheme() == "http" && loopback)
}

/// A published key that a token could be signed with; the rest (encryption keys, other curves,
/// kinds that are not known here) is passed over, not an error.
fn usable(raw: Value) -> Option<(String, Key)> {
    let issuer = raw.get("issuer").and_then(Value::as_str).map(str::to_owned);
    let jwk: Jwk = serde_json::from_value(raw).ok()?;
    if matches!(&jwk.common.public_key_use, Some(other) if *other != PublicKeyUse::Signature) {
        return None;
    }
    if jwk.common.key_operations.as_ref().is_some_and(|all| !all.contains(&KeyOperations::Verify)) {
        return None;
    }
    if !matches!(jwk.algorithm, AlgorithmParameters::RSA(_) | AlgorithmParameters::EllipticCurve(_)) {
        return None;
    }
    let algorithm = match &jwk.common.key_algorithm {
        None => None,
        Some(named) => Some(named.to_string().parse::<Algorithm>().ok()?),
    };
    let kid = jwk.common.key_id.clone()?;
    Some((kid, Key { algorithm, issuer, key: DecodingKey::from_jwk(&jwk).ok()? }))
}
