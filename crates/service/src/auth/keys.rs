//! An issuer's published keys: discovery, JWKS, and when they are fetched.
//!
//! Invariants: one fetch at a time per issuer; a stream of unknown key ids cannot make more than
//! one fetch per half minute; keys that were fetched once go on working for a day while the issuer
//! is out of reach; answers are bounded in size and time; redirects are not followed, and nothing
//! but https is (http for loopback hosts, which the tests use).

use std::collections::HashMap;
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use tokio::sync::Mutex;

use super::token::Key;

const FRESH: Duration = Duration::from_secs(60 * 60);
const STALE_MAX: Duration = Duration::from_secs(24 * 60 * 60);
const INTERVAL_MIN: Duration = Duration::from_secs(30);
const INTERVAL_AFTER_ERROR: Duration = Duration::from_secs(5);
const ANSWER_BYTES_MAX: usize = 1 << 20;
const KEYS_MAX: usize = 256;

/// Why a key was not found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unknown {
    /// The issuer does not publish it.
    Key,
    /// Nothing is known: the issuer could not be reached yet.
    Everything,
}

/// The client for all issuers.
pub(super) fn client() -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .user_agent(concat!("payouts/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(Duration::from_secs(3))
        .timeout(Duration::from_secs(8))
        .redirect(reqwest::redirect::Policy::none())
        .build()
}

type Keys = HashMap<String, Key>;

#[derive(Debug)]
struct Fetched {
    keys: Keys,
    at: Instant,
}

#[derive(Debug, Default)]
struct Attempts {
    last: Option<(Instant, bool)>,
}

/// The keys of one issuer.
#[derive(Debug)]
pub(super) struct KeySource {
    client: reqwest::Client,
    discovery_url: String,
    issuer: String,
    fetched: RwLock<Option<Arc<Fetched>>>,
    attempts: Mutex<Attempts>,
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

#[derive(Deserialize)]
struct RawKeys {
    keys: Vec<serde_json::Value>,
}

/// Why a fetch failed; for the log.
#[derive(Debug, thiserror::Error)]
enum FetchError {
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
    pub(super) fn new(client: reqwest::Client, discovery_url: &str, issuer: &str) -> Self {
        Self {
            client,
            discovery_url: discovery_url.into(),
            issuer: issuer.into(),
            fetched: RwLock::default(),
            attempts: Mutex::default(),
        }
    }

    fn current(&self) -> Option<Arc<Fetched>> {
        self.fetched.read().expect("nothing panics while it holds this lock").clone()
    }

    /// The key with this id.
    pub(super) async fn find(&self, kid: &str) -> Result<Key, Unknown> {
        let known = self.current();
        let stale = match &known {
            Some(known) if known.at.elapsed() < FRESH => match known.keys.get(kid) {
                Some(key) => return Ok(key.clone()),
                None => None,
            },
            Some(known) if known.at.elapsed() < STALE_MAX => known.keys.get(kid).cloned(),
            _ => None,
        };
        match (stale, self.attempts.try_lock()) {
            // Somebody else is fetching, and the key that is asked for is known: no need to wait.
            (Some(key), Err(_)) => return Ok(key),
            (_, Ok(mut attempts)) => self.refresh(&mut attempts, known.as_ref()).await,
            (None, Err(_)) => {
                let mut attempts = self.attempts.lock().await;
                self.refresh(&mut attempts, known.as_ref()).await;
            }
        }
        match self.current() {
            None => Err(Unknown::Everything),
            Some(known) if known.at.elapsed() >= STALE_MAX => Err(Unknown::Everything),
            Some(known) => known.keys.get(kid).cloned().ok_or(Unknown::Key),
        }
    }

    /// Fetches, unless somebody did since `seen` or it is too soon.
    async fn refresh(&self, attempts: &mut Attempts, seen: Option<&Arc<Fetched>>) {
        let newer = match (self.current(), seen) {
            (Some(now), Some(seen)) => !Arc::ptr_eq(&now, seen),
            (now, seen) => now.is_some() != seen.is_some(),
        };
        let too_soon = attempts
            .last
            .is_some_and(|(at, fine)| at.elapsed() < if fine { INTERVAL_MIN } else { INTERVAL_AFTER_ERROR });
        if newer || too_soon {
            return;
        }
        let result = self.fetch().await;
        attempts.last = Some((Instant::now(), result.is_ok()));
        match result {
            Ok(keys) => {
                tracing::info!(issuer = self.issuer, keys = keys.len(), "token issuer's keys fetched");
                let fetched = Arc::new(Fetched { keys, at: Instant::now() });
                *self.fetched.write().expect("nothing panics while it holds this lock") = Some(fetched);
            }
            Err(error) => {
                tracing::warn!(
                    issuer = self.issuer,
                    error = &error as &dyn std::error::Error,
                    "token issuer's keys cannot be fetched"
                );
            }
        }
    }

    async fn fetch(&self) -> Result<Keys, FetchError> {
        let found: Discovery = self.get(&self.discovery_url).await?;
        // Microsoft's common endpoint writes the tenant's place as {tenantid}.
        let announced = found.issuer.replace("{tenantid}", "{tid}");
        if announced != self.issuer {
            let reason = format!("announces the issuer '{}', the configuration says '{}'", found.issuer, self.issuer);
            return Err(FetchError::Answer { url: self.discovery_url.clone(), reason });
        }
        let raw: RawKeys = self.get(&found.jwks_uri).await?;
        let keys = raw.keys.into_iter().take(KEYS_MAX).filter_map(usable);
        Ok(keys.collect())
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

fn safe(url: &url::Url) -> bool {
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
fn usable(raw: serde_json::Value) -> Option<(String, Key)> {
    let jwk: Jwk = serde_json::from_value(raw).ok()?;
    if matches!(&jwk.common.public_key_use, Some(other) if *other != PublicKeyUse::Signature) {
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
    Some((kid, Key { algorithm, key: DecodingKey::from_jwk(&jwk).ok()? }))
}
