//! Tokens as attackers and honest issuers send them.

use std::sync::atomic::{AtomicUsize, Ordering};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use axum::routing::get;
use axum::{Json, Router};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use super::dev::TokenRequest;
use super::*;
use crate::config::Overrides;

const NOW: Timestamp = Timestamp(1_780_000_000_000_000);
const NOW_SECONDS: i64 = 1_780_000_000;

fn dev_config(data: &Path) -> Config {
    Config::dev(data, "127.0.0.1:0".parse().unwrap()).unwrap()
}

fn ask(tenant: &str, principal: &str) -> TokenRequest {
    TokenRequest::new(TenantId::new(tenant), PrincipalId::new(principal), NOW)
}

#[tokio::test]
async fn development_tokens_work_across_processes_and_only_with_dev() {
    let data = tempfile::tempdir().unwrap();
    let config = dev_config(data.path());
    let token = dev_issuer(&config.keys_dir()).unwrap().sign(&ask("contoso", "ann")).unwrap();
    let verifier = Verifier::new(&config).unwrap();
    assert!(verifier.verify(&token, NOW.plus_ms(-61_000)).await.is_err(), "not yet valid");
    let caller = verifier.verify(&token, NOW).await.unwrap().caller;
    assert_eq!(caller, Caller { tenant: TenantId::new("contoso"), principal: PrincipalId::new("ann") });
    assert_eq!(verifier.verify(&token, NOW.plus_ms(1)).await.unwrap().caller, caller, "from the cache");
    assert!(verifier.verify(&token, NOW.plus_ms(3_661_000)).await.is_err(), "expired, the cache too");
    assert!(verifier.verify(&token, NOW.plus_ms(3_659_000)).await.is_ok(), "clocks may disagree by a minute");

    let without = Config { dev: false, ..config.clone() };
    let refusal = Verifier::new(&without).unwrap().verify(&token, NOW).await.unwrap_err();
    assert_eq!(refusal, Rejection::unauthenticated());

    let other = tempfile::tempdir().unwrap();
    let forged = dev_issuer(other.path()).unwrap().sign(&ask("contoso", "ann")).unwrap();
    assert!(verifier.verify(&forged, NOW).await.is_err(), "another data directory's key");
}

#[cfg(unix)]
#[test]
fn the_development_key_is_private_and_kept() {
    use std::os::unix::fs::PermissionsExt;
    let data = tempfile::tempdir().unwrap();
    let keys = data.path().join("keys");
    dev_issuer(&keys).unwrap();
    let path = keys.join("dev-issuer.pem");
    let mode = |p: &Path| std::fs::metadata(p).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(&keys)), (0o600, 0o700));
    assert_eq!(std::fs::read_dir(&keys).unwrap().count(), 1, "nothing temporary is left");
    let before = std::fs::read(&path).unwrap();
    dev_issuer(&keys).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), before);

    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let error = dev_issuer(&keys).unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("chmod 600"), "{cause}");
}

struct Signer {
    key: EncodingKey,
    jwk: Value,
    kid: String,
}

fn signer(kid: &str) -> Signer {
    use aws_lc_rs::signature::KeyPair as _;
    let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
    let pem =
        format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", BASE64_STANDARD.encode(der.as_ref()));
    let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
    let public = pair.public_key();
    let n = encode(public.modulus().big_endian_without_leading_zero());
    let e = encode(public.exponent().big_endian_without_leading_zero());
    let jwk = json!({"kty": "RSA", "use": "sig", "kid": kid, "n": n, "e": e});
    Signer { key: EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap(), jwk, kid: kid.into() }
}

impl Signer {
    fn sign(&self, algorithm: Algorithm, claims: &Value) -> String {
        let header = Header { kid: Some(self.kid.clone()), ..Header::new(algorithm) };
        jsonwebtoken::encode(&header, claims, &self.key).unwrap()
    }
}

/// An issuer over HTTP that counts how often its keys are fetched.
struct Idp {
    base: String,
    fetches: Arc<AtomicUsize>,
    keys: Arc<std::sync::Mutex<Vec<Value>>>,
    serving: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Idp {
    /// Out of reach from here on, connections that are open too.
    async fn stop(self) {
        *self.keys.lock().unwrap() = Vec::new();
        self.serving.abort();
        assert!(self.serving.await.unwrap_err().is_cancelled());
    }
}

async fn idp(keys: Vec<Value>) -> Idp {
    // The HTTP client asks for the process's TLS provider even where it speaks plain HTTP.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let fetches = Arc::new(AtomicUsize::new(0));
    let keys = Arc::new(std::sync::Mutex::new(keys));
    let document = json!({"issuer": base, "jwks_uri": format!("{base}/keys")});
    let (counter, published) = (fetches.clone(), keys.clone());
    let router =
        Router::new().route("/.well-known/openid-configuration", get(async move || Json(document.clone()))).route(
            "/keys",
            get(async move || {
                counter.fetch_add(1, Ordering::SeqCst);
                Json(json!({"keys": *published.lock().unwrap()}))
            }),
        );
    let serving = tokio::spawn(async move { axum::serve(listener, router).await });
    Idp { base, fetches, keys, serving }
}

/// A verifier and the folder that it keeps keys in.
struct Held {
    verifier: Verifier,
    folder: tempfile::TempDir,
}

impl std::ops::Deref for Held {
    type Target = Verifier;
    fn deref(&self) -> &Verifier {
        &self.verifier
    }
}

fn verifier(base: &str, more: &str) -> Held {
    let folder = tempfile::tempdir().unwrap();
    let text = format!("[[issuers]]\nissuer = \"{base}\"\naudiences = [\"api\"]\n{more}\n");
    Held { verifier: verifier_in(folder.path(), &text), folder }
}

fn verifier_in(folder: &Path, issuers: &str) -> Verifier {
    let path = folder.join("p.toml");
    std::fs::write(&path, format!("public_url = \"https://p.example\"\n{issuers}")).unwrap();
    Verifier::new(&Config::load(Some(&path), &Overrides::default()).unwrap()).unwrap()
}

fn claims(base: &str) -> Value {
    json!({"iss": base, "aud": "api", "tid": "t1", "oid": "user-1", "exp": NOW_SECONDS + 600, "nbf": NOW_SECONDS})
}

fn with(base: &str, name: &str, value: Value) -> Value {
    let mut claims = claims(base);
    claims[name] = value;
    claims
}

#[tokio::test]
async fn tokens_of_a_configured_issuer_are_checked_in_every_part() {
    let key = signer("k1");
    let idp = idp(vec![key.jwk.clone()]).await;
    let verifier = verifier(&idp.base, "");
    for algorithm in [Algorithm::RS256, Algorithm::RS384, Algorithm::RS512, Algorithm::PS256] {
        let caller = verifier.verify(&key.sign(algorithm, &claims(&idp.base)), NOW).await.unwrap().caller;
        assert_eq!((caller.tenant.as_str(), caller.principal.as_str()), ("t1", "user-1"));
    }
    let listed = with(&idp.base, "aud", json!(["other", "api"]));
    assert!(verifier.verify(&key.sign(Algorithm::RS256, &listed), NOW).await.is_ok());

    for (name, value) in [
        ("iss", json!("https://evil.example")),
        ("aud", json!("other")),
        ("aud", json!(null)),
        ("exp", json!(NOW_SECONDS - 61)),
        ("exp", json!(null)),
        ("exp", json!("soon")),
        ("nbf", json!(NOW_SECONDS + 61)),
        ("iat", json!(NOW_SECONDS + 61)),
        ("tid", json!(null)),
        ("tid", json!("")),
        ("oid", json!("")),
        ("oid", json!("a\nb")),
    ] {
        let token = key.sign(Algorithm::RS256, &with(&idp.base, name, value.clone()));
        assert_eq!(verifier.verify(&token, NOW).await, Err(Rejection::unauthenticated()), "{name} {value}");
    }
    assert_eq!(idp.fetches.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn forged_tokens_are_refused() {
    let key = signer("k1");
    let idp = idp(vec![key.jwk.clone()]).await;
    let verifier = verifier(&idp.base, "");
    let good = key.sign(Algorithm::RS256, &claims(&idp.base));
    let impostor = signer("k1").sign(Algorithm::RS256, &claims(&idp.base));
    let encode = |v: Value| BASE64_URL_SAFE_NO_PAD.encode(v.to_string());
    let body = encode(claims(&idp.base));
    let secret = EncodingKey::from_secret(key.jwk["n"].as_str().unwrap().as_bytes());
    let symmetric_header = Header { kid: Some("k1".into()), ..Header::new(Algorithm::HS256) };
    let mut parts: Vec<&str> = good.split('.').collect();
    let other_body = encode(with(&idp.base, "tid", json!("t2")));
    parts[1] = &other_body;
    let changed = parts.join(".");
    let critical = encode(json!({"alg": "RS256", "kid": "k1", "crit": ["b64"]}));
    for (what, token) in [
        ("another key under the same kid", impostor),
        ("alg none", format!("{}.{body}.", encode(json!({"alg": "none", "kid": "k1"})))),
        ("a shared secret", jsonwebtoken::encode(&symmetric_header, &claims(&idp.base), &secret).unwrap()),
        ("changed claims", changed),
        ("a critical header", format!("{critical}.{body}.{}", good.rsplit_once('.').unwrap().1)),
        ("no kid", jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims(&idp.base), &key.key).unwrap()),
        ("not a token", "abc".into()),
        ("empty parts", "..".into()),
        ("too long", format!("{good}{}", "A".repeat(TOKEN_BYTES_MAX))),
    ] {
        assert_eq!(verifier.verify(&token, NOW).await, Err(Rejection::unauthenticated()), "{what}");
    }
    assert!(verifier.verify(&good, NOW).await.is_ok());
}

#[tokio::test]
async fn unknown_key_ids_do_not_make_the_issuer_suffer() {
    let key = signer("k1");
    let idp = idp(vec![key.jwk.clone()]).await;
    let verifier = Arc::new(verifier(&idp.base, ""));
    let token = key.sign(Algorithm::RS256, &claims(&idp.base));
    let all = (0..20).map(|_| {
        let (verifier, token) = (verifier.clone(), token.clone());
        tokio::spawn(async move { verifier.verify(&token, NOW).await })
    });
    for one in futures::future::join_all(all).await {
        assert!(one.unwrap().is_ok());
    }
    assert_eq!(idp.fetches.load(Ordering::SeqCst), 1, "one fetch for all that wait");
    let next = signer("k2");
    idp.keys.lock().unwrap().push(next.jwk.clone());
    assert!(verifier.verify(&next.sign(Algorithm::RS256, &claims(&idp.base)), NOW).await.is_ok(), "a new key");
    let stranger = signer("k3").sign(Algorithm::RS256, &claims(&idp.base));
    for _ in 0..20 {
        assert_eq!(verifier.verify(&stranger, NOW).await, Err(Rejection::unauthenticated()));
    }
    assert_eq!(idp.fetches.load(Ordering::SeqCst), 3, "too soon to ask again");
    for half_minutes in 1..=4 {
        for _ in 0..20 {
            assert!(verifier.verify(&stranger, NOW.plus_ms(half_minutes * 30_000)).await.is_err());
        }
        assert_eq!(idp.fetches.load(Ordering::SeqCst), 3 + half_minutes as usize, "one every half minute");
    }
    assert!(verifier.verify(&stranger, NOW.plus_ms(-3_600_000)).await.is_err());
    assert_eq!(idp.fetches.load(Ordering::SeqCst), 8, "a clock that was put back forbids nothing");
}

#[tokio::test]
async fn known_keys_outlive_their_issuer_by_a_day_and_over_a_restart() {
    let key = signer("k1");
    let idp = idp(vec![key.jwk.clone()]).await;
    let base = idp.base.clone();
    let long = |seconds: i64| {
        let mut claims = with(&base, "exp", json!(NOW_SECONDS + 2 * 86_400));
        claims["jti"] = json!(seconds);
        key.sign(Algorithm::RS256, &claims)
    };
    let first = verifier(&base, "");
    assert!(first.verify(&long(0), NOW).await.is_ok());
    idp.stop().await;
    let after = |hours: i64| NOW.plus_ms(hours * 3_600_000);
    assert!(first.verify(&long(1), after(23)).await.is_ok());
    let gone = first.verify(&long(2), after(25)).await.unwrap_err();
    assert_eq!(gone.code, ErrorCode::Unavailable);

    let issuers = format!("[[issuers]]\nissuer = \"{base}\"\naudiences = [\"api\"]\n");
    let again = || verifier_in(first.folder.path(), &issuers);
    assert!(again().verify(&long(3), after(23)).await.is_ok(), "a new process");
    assert_eq!(again().verify(&long(4), after(25)).await.unwrap_err().code, ErrorCode::Unavailable);
    let other = issuers.replace("audiences", "discovery_url = \"http://127.0.0.1:9/\"\naudiences");
    let moved = verifier_in(first.folder.path(), &other);
    assert_eq!(moved.verify(&long(5), NOW).await.unwrap_err().code, ErrorCode::Unavailable, "another address");

    let folder = first.folder.path().join("payouts-data/keys/issuers");
    let files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |p: &Path| std::fs::metadata(p).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&files[0]), mode(&folder)), (0o600, 0o700));
        std::fs::set_permissions(&files[0], std::fs::Permissions::from_mode(0o622)).unwrap();
        assert_eq!(again().verify(&long(6), NOW).await.unwrap_err().code, ErrorCode::Unavailable, "anybody's file");
        std::fs::set_permissions(&files[0], std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    std::fs::write(&files[0], "{").unwrap();
    assert_eq!(again().verify(&long(7), NOW).await.unwrap_err().code, ErrorCode::Unavailable, "a torn file");
}

#[tokio::test]
async fn an_issuer_out_of_reach_is_no_refusal() {
    let key = signer("k1");
    let idp = idp(vec![]).await;
    let gone = idp.base.replace("127.0.0.1", "localhost").replace("http://localhost", "http://127.0.0.2");
    let verifier = verifier(&gone, "");
    let refusal = verifier.verify(&key.sign(Algorithm::RS256, &claims(&gone)), NOW).await.unwrap_err();
    assert_eq!(refusal.code, ErrorCode::Unavailable);
}

#[tokio::test]
async fn the_configuration_says_whose_callers_they_are() {
    let key = signer("k1");
    let idp = idp(vec![key.jwk.clone()]).await;
    let token = key.sign(Algorithm::RS256, &with(&idp.base, "roles", json!(["payouts.read"])));
    let fixed = verifier(&idp.base, "tenant = \"contoso\"\nprincipal_claims = [\"email\", \"oid\"]");
    let identity = fixed.verify(&token, NOW).await.unwrap();
    assert_eq!((identity.caller.tenant.as_str(), identity.admin), ("contoso", false));
    let prefixed = verifier(
        &idp.base,
        "tenant_prefix = \"entra:\"\nrequired_roles = [\"payouts.read\"]\nadmin_roles = [\"payouts.read\"]",
    );
    let identity = prefixed.verify(&token, NOW).await.unwrap();
    assert_eq!((identity.caller.tenant.as_str(), identity.admin), ("entra:t1", true));

    let strict = verifier(&idp.base, "required_roles = [\"payouts.write\"]\nrequired_scopes = [\"Payouts.Write\"]");
    let refusal = strict.verify(&token, NOW).await.unwrap_err();
    assert_eq!(refusal.code, ErrorCode::InsufficientScope);
    assert_eq!(refusal.www_authenticate, Some("Bearer error=\"insufficient_scope\""));
    assert!(refusal.message.contains("scopes (Payouts.Write) or roles (payouts.write)"), "{refusal}");
    for (scp, good) in [("openid Payouts.Write", true), ("Payouts.Writer", false), ("payouts.write", false)] {
        let token = key.sign(Algorithm::RS256, &with(&idp.base, "scp", json!(scp)));
        assert_eq!(strict.verify(&token, NOW).await.is_ok(), good, "{scp}");
    }
    let named = verifier(&idp.base, "allowed_tids = [\"T1\"]");
    assert!(named.verify(&token, NOW).await.is_ok());
    for tid in [json!("t2"), json!(null), json!("")] {
        let token = key.sign(Algorithm::RS256, &with(&idp.base, "tid", tid));
        assert_eq!(named.verify(&token, NOW).await, Err(Rejection::unauthenticated()));
    }
}

#[test]
fn one_bearer_header_and_no_other() {
    let headers = |values: &[&str]| {
        let mut map = http::HeaderMap::new();
        for value in values {
            map.append(http::header::AUTHORIZATION, value.parse().unwrap());
        }
        bearer(&map).map(str::to_owned)
    };
    assert_eq!(headers(&["Bearer abc"]), Some("abc".into()));
    assert_eq!(headers(&["bearer  abc "]), Some("abc".into()));
    for bad in [&[][..], &["Basic abc"], &["Bearer"], &["Bearer "], &["Bearer a", "Bearer b"]] {
        assert_eq!(headers(bad), None, "{bad:?}");
    }
}
