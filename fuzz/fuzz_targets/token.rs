//! Any text as a bearer token, genuine tokens with any changes, and tokens with any header and claims
//! that are signed in every way there is: nothing is let in that the issuer's own key did not sign,
//! nor any claims that do not meet the rules; who is let in is who the claims say.

#![no_main]

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::LazyLock;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA512, RSA_PSS_SHA256,
};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use http::{HeaderMap, HeaderValue, header};
use libfuzzer_sys::fuzz_target;
use payouts_fuzz::input::Input;
use payouts_model::{PrincipalId, TenantId, Timestamp};
use payouts_service::auth::dev::{self, TokenRequest};
use payouts_service::auth::{Identity, TOKEN_BYTES_MAX, Verifier, bearer, dev_issuer};
use payouts_service::config::{Config, Overrides};
use serde_json::{Map, Value, json};

const NOW: Timestamp = Timestamp(1_780_000_000_000_000);
const SECONDS: i64 = 1_780_000_000;
/// The tenants of the issuer of many that are let in.
const TIDS: [&str; 2] = ["t1", "t2"];

struct Setting {
    runtime: tokio::runtime::Runtime,
    verifier: Verifier,
    /// Where the issuers are.
    base: String,
    rsa: RsaKeyPair,
    ec: EcdsaKeyPair,
    /// Published by nobody.
    strange: RsaKeyPair,
    minted: Vec<(String, Identity)>,
}

static SETTING: LazyLock<Setting> = LazyLock::new(Setting::new);

fn encode(bytes: impl AsRef<[u8]>) -> String {
    BASE64.encode(bytes)
}

fn rsa_key() -> RsaKeyPair {
    RsaKeyPair::generate(KeySize::Rsa2048).expect("randomness")
}

/// Answers with JSON by path until the process ends.
fn serve(listener: TcpListener, answers: Vec<(String, Value)>) {
    for stream in listener.incoming() {
        let Ok(mut stream) = stream else { continue };
        let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
        let path = lines.next().and_then(|l| l.split(' ').nth(1).map(str::to_owned)).unwrap_or_default();
        lines.take_while(|line| !line.is_empty()).for_each(drop);
        let body = answers.iter().find(|(at, _)| *at == path).map_or_else(String::new, |(_, body)| body.to_string());
        let status = if body.is_empty() { "404 Not Found" } else { "200 OK" };
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
        let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
    }
}

impl Setting {
    fn new() -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let base = format!("http://{}", listener.local_addr().expect("bound"));
        let (rsa, strange) = (rsa_key(), rsa_key());
        let ec = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("randomness");
        let (n, e) = (rsa.public_key().modulus(), rsa.public_key().exponent());
        let (n, e) = (encode(n.big_endian_without_leading_zero()), encode(e.big_endian_without_leading_zero()));
        let point = ec.public_key().as_ref();
        let (x, y) = (encode(&point[1..33]), encode(&point[33..65]));
        let of_many = format!("{base}/{{tenantid}}/v2.0");
        let answers = vec![
            ("/many".to_owned(), json!({"issuer": of_many, "jwks_uri": format!("{base}/many/keys")})),
            (
                "/many/keys".to_owned(),
                json!({"keys": [
                    {"kty": "RSA", "kid": "any", "n": n, "e": e, "issuer": of_many},
                    {"kty": "RSA", "kid": "fixed", "use": "sig", "alg": "RS256", "n": n, "e": e},
                    {"kty": "RSA", "kid": "enc", "use": "enc", "n": n, "e": e},
                    {"kty": "RSA", "kid": "other", "n": n, "e": e, "issuer": format!("{base}/t2/v2.0")},
                    {"kty": "oct", "kid": "oct", "k": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"},
                ]}),
            ),
            ("/one".to_owned(), json!({"issuer": format!("{base}/one"), "jwks_uri": format!("{base}/one/keys")})),
            ("/one/keys".to_owned(), json!({"keys": [{"kty": "EC", "kid": "any", "crv": "P-256", "x": x, "y": y}]})),
        ];
        std::thread::spawn(move || serve(listener, answers));
        let folder = tempfile::tempdir().expect("a folder for temporary files").keep();
        let (verifier, config) = verifier(&folder, &base);
        let dev = dev_issuer(&config.keys_dir()).expect("a key");
        let request = TokenRequest::new(TenantId::new("contoso"), PrincipalId::new("ann"), NOW);
        let dev_token = dev.sign(&request).expect("a key");
        let mut setting = Self { runtime, verifier, base, rsa, ec, strange, minted: Vec::new() };
        let good = |header: Value, claims: Value, way| setting.token(&header.to_string(), &claims.to_string(), way);
        let many = json!({"iss": format!("{}/t1/v2.0", setting.base), "aud": "api", "tid": "t1", "oid": "user-1", "exp": SECONDS + 600});
        let one = json!({"iss": format!("{}/one", setting.base), "aud": ["x", "api"], "sub": "user-2", "exp": SECONDS + 600, "scp": "a Read", "roles": ["Admin"]});
        let tokens = [
            dev_token,
            good(json!({"alg": "RS256", "kid": "any"}), many.clone(), Way::Rsa256),
            good(json!({"alg": "PS256", "kid": "any", "typ": "at+jwt"}), many, Way::Pss256),
            good(json!({"alg": "ES256", "kid": "any", "typ": "JWT"}), one, Way::Ec),
        ];
        for token in tokens {
            let identity = setting.verify(&token).expect("a good token");
            setting.minted.push((token, identity));
        }
        let _ = std::fs::remove_dir_all(&folder);
        setting
    }

    fn verify(&self, token: &str) -> Option<Identity> {
        self.runtime.block_on(self.verifier.verify(token, NOW)).ok()
    }

    /// A token with this header and these claims, signed this way.
    fn token(&self, header: &str, claims: &str, way: Way) -> String {
        let message = format!("{}.{}", encode(header), encode(claims));
        let random = SystemRandom::new();
        let by_rsa = |key: &RsaKeyPair, encoding| {
            let mut signature = vec![0; key.public_modulus_len()];
            key.sign(encoding, &random, message.as_bytes(), &mut signature).expect("a key that signs");
            signature
        };
        let by_secret = |secret: &[u8]| {
            hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes()).as_ref().to_vec()
        };
        let der = || -> PublicKeyX509Der<'_> { self.rsa.public_key().as_der().expect("a public key") };
        let signature = match way {
            Way::Rsa256 => by_rsa(&self.rsa, &RSA_PKCS1_SHA256),
            Way::Rsa512 => by_rsa(&self.rsa, &RSA_PKCS1_SHA512),
            Way::Pss256 => by_rsa(&self.rsa, &RSA_PSS_SHA256),
            Way::Strange => by_rsa(&self.strange, &RSA_PKCS1_SHA256),
            Way::Ec => self.ec.sign(&random, message.as_bytes()).expect("a key that signs").as_ref().to_vec(),
            Way::None => Vec::new(),
            Way::Public => by_secret(der().as_ref()),
            Way::Modulus => by_secret(self.rsa.public_key().modulus().big_endian_without_leading_zero()),
            Way::Published => by_secret(&(0..32).collect::<Vec<u8>>()),
        };
        format!("{message}.{}", encode(signature))
    }
}

fn verifier(folder: &std::path::Path, base: &str) -> (Verifier, Config) {
    let path = folder.join("payouts.toml");
    let text = format!(
        "public_url = \"https://p.example\"\n\
         [[issuers]]\nissuer = \"{base}/{{tid}}/v2.0\"\naudiences = [\"api\", \"api2\"]\ndiscovery_url = \"{base}/many\"\n\
         tenant_prefix = \"m-\"\nallowed_tids = [\"t1\", \"t2\"]\nprincipal_claims = [\"oid\", \"sub\"]\n\
         [[issuers]]\nissuer = \"{base}/one\"\naudiences = [\"api\"]\ndiscovery_url = \"{base}/one\"\ntenant = \"fixed\"\n\
         principal_claims = [\"oid\", \"sub\"]\nrequired_scopes = [\"Read\"]\nrequired_roles = [\"Reader\"]\nadmin_roles = [\"Admin\"]\n"
    );
    std::fs::write(&path, text).expect("room for a file");
    let overrides = Overrides { data_dir: Some(folder.join("data")), dev: true, ..Overrides::default() };
    let config = Config::load_offline(Some(&path), &overrides).expect("a good configuration");
    (Verifier::new(&config).expect("a good configuration"), config)
}

/// How a token is signed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Rsa256,
    Rsa512,
    Pss256,
    Ec,
    Strange,
    None,
    /// With the public key as the secret,
    Public,
    /// with the modulus as the secret,
    Modulus,
    /// with a shared secret that is published.
    Published,
}

const WAYS: [Way; 9] = [
    Way::Rsa256,
    Way::Rsa512,
    Way::Pss256,
    Way::Ec,
    Way::Strange,
    Way::None,
    Way::Public,
    Way::Modulus,
    Way::Published,
];

/// A genuine token after some changes: let in only if what is signed is what it was.
fn changed(input: &mut Input<'_>) {
    let (genuine, identity) = input.one_of(&SETTING.minted);
    let mut token = genuine.clone().into_bytes();
    while input.some() && !token.is_empty() {
        let kind = input.byte();
        let at = input.number() as usize % token.len();
        match kind % 6 {
            0 => token.truncate(at),
            1 => token[at] = input.byte(),
            2 => token.insert(at, input.byte()),
            3 => drop(token.remove(at)),
            4 => drop(token.splice(at..at, input.counted().iter().copied())),
            // Part of another one.
            _ => {
                let other = input.one_of(&SETTING.minted).0.as_bytes();
                let parts = |text: &[u8]| text.split(|b| *b == b'.').map(<[u8]>::to_vec).collect::<Vec<_>>();
                let (mut own, other) = (parts(&token), parts(other));
                let place = usize::from(input.byte()) % own.len().min(other.len());
                own[place].clone_from(&other[place]);
                token = own.join(&b'.');
            }
        }
    }
    let Ok(token) = String::from_utf8(token) else { return };
    let signed = |token: &str| token.rsplit_once('.').map(|(message, _)| message.to_owned());
    match SETTING.verify(&token) {
        None => assert_ne!(token, *genuine, "a genuine token"),
        Some(who) => {
            let found = SETTING.minted.iter().find(|(minted, _)| signed(minted) == signed(&token));
            assert_eq!(found.map(|(_, identity)| identity), Some(&who), "{token}");
            assert!(token != *genuine || who == *identity);
        }
    }
}

/// Any header and claims, signed in any way.
fn made_up(input: &mut Input<'_>) {
    let base = &SETTING.base;
    let way = *input.one_of(&WAYS);
    let algorithms = match way {
        Way::Rsa512 => ["RS512", "RS256", "HS512", "none"],
        Way::Pss256 => ["PS256", "RS256", "PS512", "none"],
        Way::Ec => ["ES256", "RS256", "ES384", "HS256"],
        Way::Public | Way::Modulus | Way::Published => ["HS256", "RS256", "HS384", "none"],
        _ => ["RS256", "none", "HS256", "ES256"],
    };
    let mut header = Map::new();
    let algorithm = *input.one_of(&algorithms);
    header.insert("alg".into(), algorithm.into());
    let kid = *input.one_of(&["any", "fixed", "other", "enc", "oct", "nobody's"]);
    header.insert("kid".into(), kid.into());
    let typ = *input.one_of(&["", "JWT", "at+jwt", "logout+jwt", "application/at+jwt"]);
    if !typ.is_empty() {
        header.insert("typ".into(), typ.into());
    }
    let issuers = [
        format!("{base}/t1/v2.0"),
        format!("{base}/one"),
        format!("{base}/t2/v2.0"),
        format!("{base}/t9/v2.0"),
        dev::ISSUER.to_owned(),
        base.clone(),
    ];
    let iss = input.one_of(&issuers).clone();
    let times = [
        json!(SECONDS + 600),
        json!(SECONDS - 59),
        json!(SECONDS - 61),
        json!("soon"),
        json!(1e300),
        json!(-1),
        json!(null),
        json!(1_780_000_000.5),
        json!(i64::MAX),
    ];
    let after = [
        json!(null),
        json!(SECONDS),
        json!(SECONDS + 59),
        json!(SECONDS + 61),
        json!(i64::MIN),
        json!(u64::MAX),
        json!([]),
    ];
    let mut claims = Map::new();
    claims.insert("iss".into(), iss.into());
    claims.insert(
        "aud".into(),
        input
            .one_of(&[json!("api"), json!(["x", "api"]), json!("other"), json!(["api2"]), json!(5), json!([["api"]])])
            .clone(),
    );
    claims.insert("exp".into(), input.one_of(&times).clone());
    claims.insert("nbf".into(), input.one_of(&after).clone());
    claims.insert("iat".into(), input.one_of(&after).clone());
    claims.insert(
        "tid".into(),
        input
            .one_of(&[
                json!("t1"),
                json!("t2"),
                json!("T1"),
                json!("t9"),
                json!(""),
                json!("t1/v2.0/../t1"),
                json!(null),
                json!(["t1"]),
            ])
            .clone(),
    );
    claims.insert(
        "oid".into(),
        input
            .one_of(&[json!("user-1"), json!(""), json!("a\nb"), json!(5), json!("x".repeat(300)), json!(null)])
            .clone(),
    );
    claims.insert(
        "scp".into(),
        input.one_of(&[json!("a Read"), json!(["Read"]), json!("a"), json!(null), json!("Reader")]).clone(),
    );
    claims.insert(
        "roles".into(),
        input.one_of(&[json!([]), json!(["Admin"]), json!("Reader"), json!(["Reader", "Admin"])]).clone(),
    );
    let mut texts = [Value::Object(header).to_string(), Value::Object(claims).to_string()];
    let mut plain = true;
    for text in &mut texts {
        // More members, or the end of it all.
        let more = String::from_utf8_lossy(input.counted());
        if !more.is_empty() {
            plain = false;
            text.truncate(text.len() - 1);
            text.push_str(&more);
        }
    }
    let token = SETTING.token(&texts[0], &texts[1], way);
    let who = SETTING.verify(&token);
    let read = |text: &str| serde_json::from_str::<Map<String, Value>>(text).unwrap_or_default();
    let expected = expected(&read(&texts[0]), &read(&texts[1]), way);
    match (&who, &expected) {
        (Some(who), Some(expected)) => assert_eq!(who, expected),
        (Some(_), None) => panic!("let in: {texts:?} {way:?}"),
        (None, Some(_)) => assert!(!plain || token.len() > TOKEN_BYTES_MAX, "turned away: {texts:?} {way:?}"),
        (None, None) => {}
    }
}

/// Who these claims speak for, by the rules of the configuration; none if they are not to be believed.
fn expected(header: &Map<String, Value>, claims: &Map<String, Value>, way: Way) -> Option<Identity> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let words = |name: &str| -> Vec<&str> {
        match claims.get(name) {
            Some(Value::String(text)) => text.split(' ').collect(),
            Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        }
    };
    let (algorithm, kid) = (header.get("alg")?.as_str()?, header.get("kid")?.as_str()?);
    let typ = header.get("typ").and_then(Value::as_str).unwrap_or("JWT");
    if !["jwt", "at+jwt", "application/at+jwt"].iter().any(|t| typ.eq_ignore_ascii_case(t))
        || header.get("crit").is_some_and(|c| !c.is_null())
    {
        return None;
    }
    let by_rsa = matches!((way, algorithm), (Way::Rsa256, "RS256") | (Way::Rsa512, "RS512") | (Way::Pss256, "PS256"));
    let many =
        text("iss").is_some_and(|iss| text("tid").is_some_and(|tid| iss == format!("{}/{tid}/v2.0", SETTING.base)));
    let one = text("iss") == Some(&format!("{}/one", SETTING.base));
    let audiences: &[&str] = if many { &["api", "api2"] } else { &["api"] };
    let for_us = match claims.get("aud")? {
        Value::Array(all) => all.iter().any(|a| a.as_str().is_some_and(|a| audiences.contains(&a))),
        one => one.as_str().is_some_and(|a| audiences.contains(&a)),
    };
    let key_fits = match kid {
        "any" => by_rsa && many || way == Way::Ec && algorithm == "ES256" && one,
        "fixed" => many && way == Way::Rsa256 && algorithm == "RS256",
        "other" => by_rsa && many && text("tid") == Some("t2"),
        _ => false,
    };
    // Whole seconds, as the clock of the rules has them.
    let time = |name: &str| claims.get(name).filter(|v| !v.is_null()).map(|v| v.as_f64().map(f64::trunc));
    let (exp, nbf, iat) = (time("exp")??, time("nbf"), time("iat"));
    let begun = [nbf, iat].into_iter().flatten().all(|at| at.is_some_and(|at| at <= SECONDS as f64 + 60.0));
    let tenant = match (many, one) {
        (true, _) => TIDS
            .iter()
            .find(|t| text("tid").is_some_and(|tid| tid.eq_ignore_ascii_case(t)))
            .map(|_| format!("m-{}", text("tid").unwrap_or_default()))?,
        (_, true) => "fixed".to_owned(),
        _ => return None,
    };
    let principal = text("oid").or(text("sub"))?;
    let named = !principal.is_empty() && principal.chars().count() <= 256 && !principal.chars().any(char::is_control);
    let may = many || words("scp").contains(&"Read") || words("roles").contains(&"Reader");
    let believed = key_fits && for_us && exp > SECONDS as f64 - 60.0 && begun && named && may;
    believed.then(|| Identity {
        caller: payouts_service::auth::Caller { tenant: TenantId::new(tenant), principal: PrincipalId::new(principal) },
        admin: one && words("roles").contains(&"Admin"),
    })
}

/// Any bytes as `Authorization` headers.
fn headers(data: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in data.split(|b| *b == b'\n').take(8) {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(header::AUTHORIZATION, value);
        }
    }
    if let Some(token) = bearer(&headers) {
        let value = headers[header::AUTHORIZATION].to_str().expect("it was read");
        assert!(headers.len() == 1 && !token.is_empty() && !token.starts_with(' ') && !token.ends_with(' '));
        assert!(value[..7].eq_ignore_ascii_case("bearer ") && value[7..].trim() == token);
        assert_eq!(SETTING.verify(token), None, "nobody signed it");
    }
}

fuzz_target!(init: { LazyLock::force(&SETTING); }, |data: &[u8]| {
    let mut input = Input(data);
    match input.byte() {
        0 => changed(&mut input),
        1 => made_up(&mut input),
        2 => headers(input.0),
        _ => {
            let token = String::from_utf8_lossy(data);
            assert_eq!(SETTING.verify(&token), None, "nobody signed it");
        }
    }
});
