//! The built-in token issuer for development: anybody who reaches it gets a token.
//!
//! Invariants: the private key is in `<data>/keys/dev-issuer.pem`, readable by its user alone, made
//! once and never overwritten; tokens are accepted only where the service runs with `--dev`. The
//! issuer's name does not depend on host or port, so `payouts token` can sign without a server.

mod endpoints;

use std::io::Write;
use std::path::Path;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header};
use payouts_model::{PrincipalId, TenantId, Timestamp};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub use endpoints::router;

use super::token::{self, Key, Unverified};
use super::{Error, Identity};

/// The `iss` claim of every development token.
pub const ISSUER: &str = "urn:payouts:dev";
/// The `aud` claim where the client names no resource.
pub const AUDIENCE: &str = "urn:payouts:dev:api";
/// The principal where nobody is named.
pub const PRINCIPAL: &str = "developer";

const FILE_NAME: &str = "dev-issuer.pem";
const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";

/// What a token is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRequest {
    /// The tenant.
    pub tenant: TenantId,
    /// The user or application.
    pub principal: PrincipalId,
    /// The audience.
    pub audience: String,
    /// How long it is good for, in seconds.
    pub lifetime_seconds: i64,
    /// Now.
    pub now: Timestamp,
}

impl TokenRequest {
    /// A token for `principal` of `tenant`, for an hour.
    pub fn new(tenant: TenantId, principal: PrincipalId, now: Timestamp) -> Self {
        Self { tenant, principal, audience: AUDIENCE.into(), lifetime_seconds: 3600, now }
    }
}

/// The issuer: signs and checks.
pub struct Issuer {
    signing: EncodingKey,
    key: Key,
    kid: String,
    jwk: Value,
}

impl std::fmt::Debug for Issuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issuer").field("kid", &self.kid).finish_non_exhaustive()
    }
}

impl Issuer {
    /// Opens the key in `keys_dir`; makes folder and key at first use.
    pub fn open(keys_dir: &Path) -> Result<Self, Error> {
        let path = keys_dir.join(FILE_NAME);
        let fail = |doing: &str, source: Box<dyn std::error::Error + Send + Sync>| Error::Key {
            context: format!("cannot {doing} the development issuer's key {}", path.display()),
            source,
        };
        if !path.exists() {
            make(keys_dir, &path).map_err(|e| fail("make", e))?;
        }
        check_private(&path).map_err(|e| fail("trust", e))?;
        let pem = std::fs::read_to_string(&path).map_err(|e| fail("read", e.into()))?;
        Self::from_pem(&pem).map_err(|e| fail("use", format!("{e}; delete the file to have a new key made").into()))
    }

    fn from_pem(pem: &str) -> Result<Self, String> {
        let body =
            pem.trim().strip_prefix(BEGIN).and_then(|t| t.strip_suffix(END)).ok_or("it is not a PKCS#8 PEM file")?;
        let compact: String = body.split_whitespace().collect();
        let der = BASE64_STANDARD.decode(compact).map_err(|e| e.to_string())?;
        let pair = KeyPair::from_pkcs8(&der).map_err(|e| e.to_string())?;
        let (n, e) = (pair.public_key().modulus(), pair.public_key().exponent());
        let (n, e) = (n.big_endian_without_leading_zero(), e.big_endian_without_leading_zero());
        let kid = BASE64_URL_SAFE_NO_PAD.encode(&Sha256::digest(n)[..12]);
        let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        let jwk = json!({"kty": "RSA", "use": "sig", "alg": "RS256", "kid": kid, "n": encode(n), "e": encode(e)});
        Ok(Self {
            signing: EncodingKey::from_rsa_pem(pem.as_bytes()).map_err(|e| e.to_string())?,
            key: Key {
                algorithm: Some(Algorithm::RS256),
                issuer: None,
                key: DecodingKey::from_rsa_raw_components(n, e),
            },
            kid,
            jwk,
        })
    }

    /// The public key as a JWKS document.
    pub fn jwks(&self) -> Value {
        json!({"keys": [self.jwk]})
    }

    /// Signs a token.
    pub fn sign(&self, request: &TokenRequest) -> Result<String, Error> {
        let TokenRequest { tenant, principal, audience, lifetime_seconds, now } = request;
        let now = now.0.div_euclid(1_000_000);
        let claims = json!({
            "iss": ISSUER, "aud": audience, "tid": tenant, "oid": principal, "sub": principal,
            "appid": principal, "upn": principal, "ver": "1.0",
            "iat": now, "nbf": now, "exp": now.saturating_add(*lifetime_seconds),
        });
        let header = Header { kid: Some(self.kid.clone()), ..Header::new(Algorithm::RS256) };
        jsonwebtoken::encode(&header, &claims, &self.signing)
            .map_err(|e| Error::Key { context: "cannot sign a development token".into(), source: e.into() })
    }

    pub(super) fn check(
        &self,
        token: &str,
        unverified: &Unverified,
        now: Timestamp,
    ) -> Result<(Identity, Timestamp), &'static str> {
        if unverified.kid() != self.kid {
            return Err("unknown development key");
        }
        token::check_dev(&unverified.verify(token, &self.key)?, now)
    }
}

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Makes a key beside its place and links it there: whoever comes second keeps the first one's.
fn make(keys_dir: &Path, path: &Path) -> Result<(), Cause> {
    create_private_dir(keys_dir)?;
    let pair = KeyPair::generate(KeySize::Rsa2048).map_err(|_| "the key generator failed")?;
    let der: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| "the key cannot be written as PKCS#8")?;
    let mut pem = format!("{BEGIN}\n");
    for line in BASE64_STANDARD.encode(der.as_ref()).as_bytes().chunks(64) {
        pem.push_str(std::str::from_utf8(line).expect("base64 is ASCII"));
        pem.push('\n');
    }
    pem.push_str(END);
    pem.push('\n');
    let temporary = keys_dir.join(format!(".{FILE_NAME}.{}", uuid::Uuid::new_v4().simple()));
    let mut file = private_file(&temporary)?;
    let written = file.write_all(pem.as_bytes()).and_then(|()| file.sync_all());
    let linked = written.and_then(|()| match std::fs::hard_link(&temporary, path) {
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    });
    std::fs::remove_file(&temporary)?;
    Ok(linked?)
}

/// Makes a folder that only its user may enter.
pub(super) fn create_private_dir(path: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Makes a file that only its user may read or write.
pub(super) fn private_file(path: &Path) -> std::io::Result<std::fs::File> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// A key that others can read is no secret.
fn check_private(path: &Path) -> Result<(), Cause> {
    #[cfg(unix)]
    {
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(path)?.permissions());
        if mode & 0o077 != 0 {
            return Err(format!(
                "other users can read it (mode {:03o}): chmod 600 it, or delete it to have a new one made",
                mode & 0o777
            )
            .into());
        }
    }
    Ok(())
}
