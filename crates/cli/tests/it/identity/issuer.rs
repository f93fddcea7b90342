//! A token issuer of the tests' own: signs what it is told to, and misbehaves on request.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use axum::Router;
use axum::extract::State;
use axum::http::Uri;
use axum::response::{IntoResponse, Redirect, Response};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use payouts_model::Clock as _;
use payouts_model::time::SystemClock;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

pub fn encode(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

pub fn now_seconds() -> i64 {
    SystemClock.now().0.div_euclid(1_000_000)
}

/// A key pair with an id.
pub struct Signer {
    pair: KeyPair,
    pub kid: String,
}

impl Signer {
    pub fn new(kid: &str) -> Self {
        Self { pair: KeyPair::generate(KeySize::Rsa2048).expect("a key can be made"), kid: kid.into() }
    }

    pub fn jwk(&self) -> Value {
        let public = self.pair.public_key();
        let (n, e) = (public.modulus(), public.exponent());
        let (n, e) = (n.big_endian_without_leading_zero(), e.big_endian_without_leading_zero());
        json!({"kty": "RSA", "use": "sig", "kid": self.kid, "n": encode(n), "e": encode(e)})
    }

    /// The public key as an attacker has it: DER.
    pub fn public_der(&self) -> Vec<u8> {
        let der: PublicKeyX509Der<'_> = self.pair.public_key().as_der().expect("an RSA key has a DER form");
        der.as_ref().to_vec()
    }

    /// Signs any header and claims with RS256, whatever the header says.
    pub fn sign_as(&self, header: &Value, claims: &Value) -> String {
        let message = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature)
            .expect("the key signs");
        format!("{message}.{}", encode(signature))
    }

    pub fn sign(&self, claims: &Value) -> String {
        self.sign_as(&self.header(), claims)
    }

    pub fn header(&self) -> Value {
        json!({"alg": "RS256", "typ": "JWT", "kid": self.kid})
    }
}

/// How an issuer answers.
#[derive(Clone, Debug)]
pub enum Answers {
    /// Discovery at any path that ends in the well-known name announces `issuer`, with these keys.
    Well { issuer: String, keys: Vec<Value> },
    /// Everything leads elsewhere.
    Redirect(String),
    /// Discovery, or the keys, of two million bytes.
    Huge { discovery: bool },
    /// Takes the request and never answers.
    Never,
}

struct Shared {
    url: String,
    answers: std::sync::Mutex<Answers>,
    asked: AtomicUsize,
}

/// An issuer that listens.
pub struct Issuer {
    pub url: String,
    shared: Arc<Shared>,
    serving: JoinHandle<std::io::Result<()>>,
}

impl Issuer {
    /// Listens on a free port; `answers` is given the issuer's URL.
    pub async fn start(answers: impl FnOnce(&str) -> Answers) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("it listens"));
        let answers = std::sync::Mutex::new(answers(&url));
        let shared = Arc::new(Shared { url: url.clone(), answers, asked: AtomicUsize::new(0) });
        let router = Router::new().fallback(answer).with_state(shared.clone());
        let serving = tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, shared, serving }
    }

    /// One that publishes these keys under its own URL.
    pub async fn with_keys(keys: Vec<Value>) -> Self {
        Self::start(|url| Answers::Well { issuer: url.into(), keys }).await
    }

    /// How many requests came.
    pub fn asked(&self) -> usize {
        self.shared.asked.load(Ordering::SeqCst)
    }

    pub fn set(&self, answers: Answers) {
        *self.shared.answers.lock().expect("nothing panics while it holds this lock") = answers;
    }

    /// What an honest token of this issuer says.
    pub fn claims(&self, subject: &str) -> Value {
        let now = now_seconds();
        json!({"iss": self.url, "aud": "api://payouts", "tid": "t1", "oid": subject, "iat": now, "nbf": now, "exp": now + 600})
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn answer(State(shared): State<Arc<Shared>>, uri: Uri) -> Response {
    shared.asked.fetch_add(1, Ordering::SeqCst);
    let answers = shared.answers.lock().expect("nothing panics while it holds this lock").clone();
    let discovery = uri.path().ends_with("/.well-known/openid-configuration");
    let json = |value: Value| axum::Json(value).into_response();
    let document = |issuer: &str| json(json!({"issuer": issuer, "jwks_uri": format!("{}/keys", shared.url)}));
    match answers {
        Answers::Well { issuer, .. } if discovery => document(&issuer),
        Answers::Well { keys, .. } => json(json!({"keys": keys})),
        Answers::Redirect(to) => Redirect::temporary(&format!("{to}{}", uri.path())).into_response(),
        Answers::Huge { discovery: false } if discovery => document(&shared.url),
        Answers::Huge { .. } => json(json!({"keys": [], "padding": "x".repeat(2_000_000)})),
        Answers::Never => std::future::pending().await,
    }
}
