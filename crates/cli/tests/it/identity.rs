//! Who is let in: attacks on tokens, on keys and on issuers, through the binary's own HTTP server,
//! and a real OpenID provider whose keys rotate.

mod issuer;
pub(crate) mod provider;

use aws_lc_rs::hmac;
use payouts_testkit::{TestServer, client};
use serde_json::{Value, json};

use self::issuer::{Answers, Issuer, Signer, encode, now_seconds};
use crate::{Folder, payouts};

const LIST: &str = "/v1.0/payouts/payments";

/// A service that believes the given issuers, over a small sample that `tenants` may read.
pub(crate) struct Guarded {
    folder: Folder,
    pub server: TestServer,
    config: String,
}

impl Guarded {
    pub(crate) fn start(tenants: &[&str], issuers: &str) -> Self {
        let folder = Folder::new();
        payouts().sample(&folder.path().join("data"), 500);
        for tenant in tenants {
            payouts().run(["grant", "--data", &folder.at("data"), "--tenant", tenant, "--all-participants"]).good();
        }
        let text = format!("public_url = \"http://payouts.example\"\ndata_dir = \"data\"\n{issuers}\n");
        let config = folder.write("payouts.toml", &text);
        Self { server: Self::serve(&config), folder, config }
    }

    fn serve(config: &str) -> TestServer {
        let args = ["serve", "--config", config, "--listen", "127.0.0.1:0", "--admin-listen", "none"];
        TestServer::start_with(&payouts(), &args)
    }

    fn restart(&mut self) {
        self.server.kill();
        self.server = Self::serve(&self.config);
    }

    pub(crate) async fn get(&self, headers: &[(&str, &str)], path: &str) -> (u16, String, Value) {
        let mut request = client().get(format!("{}{path}", self.server.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.expect("the service answers");
        let challenge = response.headers().get("WWW-Authenticate").map_or("", |v| v.to_str().unwrap()).to_owned();
        let (status, text) = (response.status().as_u16(), response.text().await.unwrap());
        (status, challenge, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    pub(crate) async fn status(&self, token: &str) -> u16 {
        self.get(&[("Authorization", &format!("Bearer {token}"))], LIST).await.0
    }

    /// 401, and nothing that says why.
    async fn refused(&self, what: &str, token: &str) {
        let (status, challenge, body) = self.get(&[("Authorization", &format!("Bearer {token}"))], LIST).await;
        assert_eq!((status, challenge.as_str()), (401, "Bearer error=\"invalid_token\""), "{what}");
        assert_eq!(body["error"]["message"], "A valid bearer token is needed.", "{what}");
        assert_eq!(body["error"]["code"], "Unauthenticated", "{what}");
    }
}

fn trust(url: &str, more: &str) -> String {
    format!("[[issuers]]\nissuer = \"{url}\"\naudiences = [\"api://payouts\", \"payouts-v2\"]\n{more}\n")
}

fn with(mut object: Value, name: &str, value: Value) -> Value {
    object[name] = value;
    object
}

fn without(mut object: Value, name: &str) -> Value {
    object.as_object_mut().expect("an object").shift_remove(name);
    object
}

fn unsigned(header: &Value, claims: &Value, signature: &str) -> String {
    format!("{}.{}.{signature}", encode(header.to_string()), encode(claims.to_string()))
}

fn symmetric(secret: &[u8], header: &Value, claims: &Value) -> String {
    let message = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes());
    format!("{message}.{}", encode(tag))
}

/// Tokens whose signature is somebody else's, or nobody's.
fn forged(key: &Signer, attacker: &Signer, claims: &Value, trap: &str) -> Vec<(String, String)> {
    let header = key.header();
    let good = key.sign(claims);
    let signature = good.rsplit('.').next().expect("a signature").to_owned();
    let mut tokens: Vec<(String, String)> = Vec::new();
    for none in ["none", "None", "NONE", "nOnE", ""] {
        for signature in ["", signature.as_str()] {
            let token = unsigned(&with(header.clone(), "alg", json!(none)), claims, signature);
            tokens.push((format!("alg {none:?} with signature {signature:?}"), token));
        }
    }
    let der = key.public_der();
    let pem = format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        base64::Engine::encode(&base64::prelude::BASE64_STANDARD, &der)
    );
    let jwk = key.jwk();
    let modulus = jwk["n"].as_str().expect("an RSA key");
    for secret in [der.as_slice(), pem.as_bytes(), modulus.as_bytes(), jwk.to_string().as_bytes(), b""] {
        let token = symmetric(secret, &with(header.clone(), "alg", json!("HS256")), claims);
        tokens.push((format!("HS256 with {} public bytes as the secret", secret.len()), token));
    }
    for kid in ["k2", "", "../k1", "k1\u{0}", "k1' or '1'='1", "/dev/null"] {
        tokens.push((format!("kid {kid:?}"), key.sign_as(&with(header.clone(), "kid", json!(kid)), claims)));
    }
    tokens.push(("no kid".into(), key.sign_as(&without(header.clone(), "kid"), claims)));
    for kid in [&key.kid, &attacker.kid] {
        let own = with(header.clone(), "kid", json!(kid));
        let url = format!("{trap}/keys");
        for (name, value) in [
            ("jwk", attacker.jwk()),
            ("jku", json!(url)),
            ("x5u", json!(url)),
            ("x5c", json!([base64::Engine::encode(&base64::prelude::BASE64_STANDARD, attacker.public_der())])),
            ("nothing", json!(null)),
        ] {
            let token = attacker.sign_as(&with(own.clone(), name, value), claims);
            tokens.push((format!("another key, with {name} in the header, under kid {kid}"), token));
        }
    }
    let critical = with(with(header.clone(), "crit", json!(["exp2"])), "exp2", json!(1));
    tokens.push(("a critical header".into(), key.sign_as(&critical, claims)));
    tokens.push((
        "an empty list of critical headers".into(),
        key.sign_as(&with(header.clone(), "crit", json!([])), claims),
    ));
    let zeros = encode([0; 64]);
    tokens.push(("ES256 of zeros".into(), unsigned(&with(header.clone(), "alg", json!("ES256")), claims, &zeros)));
    tokens.push(("PS256, signed as RS256".into(), key.sign_as(&with(header.clone(), "alg", json!("PS256")), claims)));
    for kind in ["logout+jwt", "dpop+jwt", "secevent+jwt"] {
        tokens.push((kind.into(), key.sign_as(&with(header.clone(), "typ", json!(kind)), claims)));
    }
    let jwe = json!({"alg": "RSA-OAEP", "enc": "A256GCM", "kid": key.kid});
    tokens.push(("JWE".into(), format!("{}.{z}.{z}.{z}.{z}", encode(jwe.to_string()), z = encode([7; 16]))));
    let signed_jwe = with(header, "enc", json!("A256GCM"));
    tokens.push((
        "JWE that says RS256".into(),
        format!("{}.{z}.{z}.{z}.{z}", encode(signed_jwe.to_string()), z = encode([7; 16])),
    ));
    tokens
}

/// Tokens that the issuer signed, and that are not for here or not for now.
fn misplaced(key: &Signer, claims: &Value) -> Vec<(String, String)> {
    let now = now_seconds();
    let url = claims["iss"].as_str().expect("an issuer").to_owned();
    let changed = [
        ("exp", json!(now - 120)),
        ("exp", json!("tomorrow")),
        ("exp", json!(null)),
        ("nbf", json!(now + 600)),
        ("iat", json!(now + 600)),
        ("aud", json!("api://other")),
        ("aud", json!(["api://other", "api://payouts "])),
        ("aud", json!("")),
        ("aud", json!({"api://payouts": true})),
        ("iss", json!(format!("{url}/"))),
        ("iss", json!("https://evil.example")),
        ("iss", json!([url])),
        ("tid", json!("")),
        ("oid", json!("ann\r\nX: y")),
    ];
    let mut tokens: Vec<(String, String)> = changed
        .into_iter()
        .map(|(name, value)| (format!("{name} = {value}"), key.sign(&with(claims.clone(), name, value))))
        .collect();
    for name in ["exp", "aud", "iss", "tid", "oid"] {
        tokens.push((format!("no {name}"), key.sign(&without(claims.clone(), name))));
    }
    tokens
}

#[tokio::test]
async fn no_forged_or_misplaced_token_is_let_in() {
    let (key, attacker) = (Signer::new("k1"), Signer::new("a1"));
    let trap = Issuer::with_keys(vec![attacker.jwk()]).await;
    let issuer = Issuer::with_keys(vec![key.jwk()]).await;
    let service = Guarded::start(&["t1"], &trust(&issuer.url, ""));
    let claims = issuer.claims("ann");
    let good = key.sign(&claims);
    assert_eq!(service.status(&good).await, 200);

    for (what, token) in forged(&key, &attacker, &claims, &trap.url).into_iter().chain(misplaced(&key, &claims)) {
        service.refused(&what, &token).await;
    }
    assert_eq!(trap.asked(), 0, "nobody follows addresses in a token");

    let parts: Vec<&str> = good.split('.').collect();
    for cut in (0..good.len()).step_by(good.len() / 40).skip(1).chain([good.len() - 1]) {
        service.refused(&format!("{cut} of {} characters", good.len()), &good[..cut]).await;
    }
    let swapped = unsigned(&key.header(), &with(claims.clone(), "oid", json!("eve")), parts[2]);
    for (what, token) in [
        ("other claims under the signature", swapped),
        ("a fourth part", format!("{good}.{}", parts[2])),
        ("two parts", format!("{}.{}", parts[0], parts[1])),
        ("padding", format!("{good}==")),
        ("a blank", format!("{} {}", parts[0], parts[1])),
        ("60,000 characters", format!("{good}{}", "A".repeat(60_000))),
        ("dots", ".".repeat(1000)),
    ] {
        service.refused(what, &token).await;
    }
    let huge = format!("{good}{}", "A".repeat(65_536));
    assert_eq!(service.status(&huge).await, 431, "beyond what headers may have");
    assert_eq!(service.status(&good).await, 200, "and still it works");
    let log = service.server.log();
    assert!(!log.contains(parts[2]) && !log.contains(parts[1]), "no token in the log");
}

#[tokio::test]
async fn a_token_comes_in_one_header_and_nowhere_else() {
    let key = Signer::new("k1");
    let issuer = Issuer::with_keys(vec![key.jwk()]).await;
    let service = Guarded::start(&["t1"], &trust(&issuer.url, ""));
    let good = key.sign(&issuer.claims("ann"));
    let bearer = format!("Bearer {good}");
    assert_eq!(service.get(&[("Authorization", &bearer)], LIST).await.0, 200);
    let twice = [("Authorization", bearer.as_str()), ("Authorization", bearer.as_str())];
    assert_eq!(service.get(&twice, LIST).await.0, 401);
    let other = [("Authorization", "Bearer x"), ("Authorization", bearer.as_str())];
    assert_eq!(service.get(&other, LIST).await.0, 401);
    for headers in [
        vec![("Authorization", format!("Basic {good}"))],
        vec![("Authorization", good.clone())],
        vec![("Authorization", format!("Bearer {good}, {bearer}"))],
        vec![("X-Authorization", bearer.clone())],
        vec![("Cookie", format!("access_token={good}"))],
    ] {
        let headers: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
        assert_eq!(service.get(&headers, LIST).await.0, 401, "{headers:?}");
    }
    assert_eq!(service.get(&[], &format!("{LIST}?access_token={good}")).await.0, 401);
    assert!(!service.server.log().contains(&good), "no query in the log");
}

#[tokio::test]
async fn issuers_speak_for_their_own_tenants_alone() {
    let (a_key, b_key) = (Signer::new("shared-kid"), Signer::new("shared-kid"));
    let (a, b) = (Issuer::with_keys(vec![a_key.jwk()]).await, Issuer::with_keys(vec![b_key.jwk()]).await);
    let issuers = [trust(&a.url, "tenant_prefix = \"a:\""), trust(&b.url, "tenant_prefix = \"b:\"")].concat();
    let service = Guarded::start(&["a:t1", "b:t1"], &issuers);
    let (ann, same) = (a_key.sign(&a.claims("ann")), b_key.sign(&b.claims("ann")));
    let post = client().post(format!("{}{LIST}", service.server.url)).bearer_auth(&ann).send().await.unwrap();
    assert_eq!(post.status(), 202);
    let id = post.json::<Value>().await.unwrap()["requestId"].as_str().unwrap().to_owned();
    for (token, status, count) in [(&ann, 200, 1), (&same, 404, 0)] {
        let bearer = format!("Bearer {token}");
        let headers = [("Authorization", bearer.as_str())];
        assert_eq!(service.get(&headers, &format!("{LIST}/{id}")).await.0, status);
        assert_eq!(service.get(&headers, LIST).await.2["totalCount"], count, "the same tid and oid, another issuer");
    }
    service.refused("b's key for a's name", &b_key.sign(&a.claims("ann"))).await;
    service.refused("a's key for b's name", &a_key.sign(&b.claims("ann"))).await;
}

#[tokio::test]
async fn multi_tenant_entra_in_both_versions() {
    let (key, foreign) = (Signer::new("k1"), Signer::new("personal"));
    let v2 = Issuer::start(|url| Answers::Well {
        issuer: format!("{url}/{{tenantid}}/v2.0"),
        keys: vec![
            with(key.jwk(), "issuer", json!(format!("{url}/{{tenantid}}/v2.0"))),
            with(foreign.jwk(), "issuer", json!(format!("{url}/consumers/v2.0"))),
        ],
    })
    .await;
    let v1 = Issuer::start(|url| Answers::Well { issuer: format!("{url}/{{tenantid}}/"), keys: vec![key.jwk()] }).await;
    let well_known = "/organizations/.well-known/openid-configuration";
    let issuers = format!(
        "[[issuers]]\nissuer = \"{v2}/{{tid}}/v2.0\"\ndiscovery_url = \"{v2}{well_known}\"\n\
         aliases = [{{ issuer = \"{v1}/{{tid}}/\", discovery_url = \"{v1}{well_known}\" }}]\n\
         audiences = [\"api://payouts\", \"payouts-v2\"]\nallowed_tids = [\"t1\", \"t2\"]\n\
         required_scopes = [\"Payouts.Read\"]\nrequired_roles = [\"Payouts.Read.All\"]\nadmin_roles = [\"Payouts.Admin\"]\n",
        v1 = v1.url,
        v2 = v2.url,
    );
    let service = Guarded::start(&["t1", "t2"], &issuers);
    let of_v2 = |tid: &str| {
        let claims = with(v2.claims("ann"), "iss", json!(format!("{}/{tid}/v2.0", v2.url)));
        with(with(with(claims, "tid", json!(tid)), "aud", json!("payouts-v2")), "scp", json!("openid Payouts.Read"))
    };
    let of_v1 = |tid: &str| {
        let claims = with(v1.claims("app"), "iss", json!(format!("{}/{tid}/", v1.url)));
        with(with(without(claims, "oid"), "appid", json!("app-1")), "roles", json!(["Payouts.Read.All"]))
    };
    for tid in ["t1", "t2"] {
        assert_eq!(service.status(&key.sign(&of_v2(tid))).await, 200, "version 2, {tid}");
        assert_eq!(service.status(&key.sign(&with(of_v1(tid), "tid", json!(tid)))).await, 200, "version 1, {tid}");
    }
    service.refused("a tenant that is not allowed", &key.sign(&of_v2("t3"))).await;
    service.refused("another tid than the issuer's", &key.sign(&with(of_v2("t1"), "tid", json!("t2")))).await;
    service.refused("no tid", &key.sign(&without(of_v2("t1"), "tid"))).await;
    service.refused("a key of another issuer in the set", &foreign.sign(&of_v2("t1"))).await;
    service.refused("a tid with a path in it", &key.sign(&of_v2("t1/../t2"))).await;

    for claims in [without(of_v2("t1"), "scp"), with(of_v2("t1"), "scp", json!("Payouts.Reader"))] {
        let token = format!("Bearer {}", key.sign(&claims));
        let (status, challenge, body) = service.get(&[("Authorization", &token)], LIST).await;
        assert_eq!((status, challenge.as_str()), (403, "Bearer error=\"insufficient_scope\""));
        assert_eq!(body["error"]["code"], "InsufficientScope");
        let message = body["error"]["message"].as_str().unwrap();
        assert!(message.contains("Payouts.Read") && message.contains("Payouts.Read.All"), "{message}");
    }
    admins_cancel(&service, &key.sign(&of_v2("t1")), |roles| {
        key.sign(&with(with(of_v2("t1"), "oid", json!("boss")), "roles", roles))
    })
    .await;
}

/// A role of the token makes its bearer an admin of the tenant, who may cancel what others asked for.
async fn admins_cancel(service: &Guarded, ann: &str, boss: impl Fn(Value) -> String) {
    let url = format!("{}{LIST}", service.server.url);
    let post = client().post(&url).bearer_auth(ann).send().await.unwrap();
    let id = post.json::<Value>().await.unwrap()["requestId"].as_str().unwrap().to_owned();
    let delete = |token: String| client().delete(format!("{url}/{id}")).bearer_auth(token).send();
    assert_eq!(delete(boss(json!(["Payouts.Read.All"]))).await.unwrap().status(), 403);
    assert_eq!(delete(boss(json!(["Payouts.Admin"]))).await.unwrap().status(), 200);
}

#[tokio::test]
async fn an_admin_by_the_token_stays_one_while_it_waits() {
    let key = Signer::new("k1");
    let issuer = Issuer::with_keys(vec![key.jwk()]).await;
    let trusted = trust(&issuer.url, "tenant = \"t1\"\nadmin_roles = [\"Payouts.Admin\"]");
    // Nobody works: what is asked for stays queued.
    let service = Guarded::start(&[], &format!("workers = 0\n{trusted}"));
    for (principal, participant) in [("ann", "1000042"), ("boss", "1000043")] {
        let data = service.folder.at("data");
        let whom = ["--tenant", "t1", "--principal", principal, "--participant", participant];
        payouts().run(["grant", "--data", data.as_str()].into_iter().chain(whom)).good();
    }
    let post = client().post(format!("{}{LIST}", service.server.url)).bearer_auth(key.sign(&issuer.claims("ann")));
    let made = post.send().await.unwrap().json::<Value>().await.unwrap();
    let path = format!("{LIST}/{}", made["requestId"].as_str().unwrap());
    for (roles, expected) in [(json!(["Payouts.Admin"]), 200), (json!([]), 404)] {
        let token = format!("Bearer {}", key.sign(&with(issuer.claims("boss"), "roles", roles)));
        let (status, _, body) = service.get(&[("Authorization", &token), ("Prefer", "wait=1")], &path).await;
        assert_eq!(status, expected, "{body}");
    }
}

#[tokio::test]
async fn issuers_that_misbehave_harm_nobody_else() {
    let key = Signer::new("k1");
    let target = Issuer::with_keys(vec![key.jwk()]).await;
    let good = Issuer::with_keys(vec![
        key.jwk(),
        json!({"kty": "oct", "kid": "shared", "alg": "HS256", "k": encode("secret")}),
    ])
    .await;
    let oct = json!({"kty": "oct", "kid": "k1", "alg": "HS256", "k": encode("secret")});
    let elsewhere = target.url.clone();
    let issuers = [
        ("redirect", Issuer::start(|_| Answers::Redirect(elsewhere)).await),
        ("huge discovery", Issuer::start(|_| Answers::Huge { discovery: true }).await),
        ("huge keys", Issuer::start(|_| Answers::Huge { discovery: false }).await),
        (
            "another name",
            Issuer::start(|_| Answers::Well { issuer: "https://other".into(), keys: vec![key.jwk()] }).await,
        ),
        ("a shared secret as the only key", Issuer::with_keys(vec![oct]).await),
        ("no answer", Issuer::start(|_| Answers::Never).await),
    ];
    let mut text = trust(&good.url, "tenant = \"t1\"");
    for (number, (_, issuer)) in issuers.iter().enumerate() {
        text += &trust(&issuer.url, &format!("tenant = \"m{number}\""));
    }
    let service = Guarded::start(&["t1"], &text);
    let tokens: Vec<String> = issuers.iter().map(|(_, issuer)| key.sign(&issuer.claims("ann"))).collect();
    let answers = futures::future::join_all(tokens.iter().map(|token| service.status(token))).await;
    for ((what, issuer), status) in issuers.iter().zip(answers) {
        assert_eq!(status, 503, "{what}: its keys are not known");
        assert!(issuer.asked() > 0, "{what}: it was asked");
    }
    assert_eq!(target.asked(), 0, "nobody follows a redirect");
    let claims = good.claims("ann");
    assert_eq!(service.status(&key.sign(&claims)).await, 200);
    let header = json!({"alg": "HS256", "kid": "shared"});
    service.refused("a shared secret among the keys", &symmetric(b"secret", &header, &claims)).await;
}

#[tokio::test]
async fn strangers_cannot_make_the_issuer_suffer_and_known_keys_survive_it() {
    let key = Signer::new("k1");
    let issuer = Issuer::with_keys(vec![key.jwk()]).await;
    let mut service = Guarded::start(&["t1"], &trust(&issuer.url, ""));
    let good = |subject: &str| key.sign(&issuer.claims(subject));
    assert_eq!(service.status(&good("ann")).await, 200);
    let claims = issuer.claims("eve");
    let strangers: Vec<String> =
        (0..300).map(|n| key.sign_as(&with(key.header(), "kid", json!(format!("x{n}"))), &claims)).collect();
    for some in strangers.chunks(30) {
        let answers = futures::future::join_all(some.iter().map(|token| service.status(token))).await;
        assert!(answers.iter().all(|status| *status == 401), "{answers:?}");
    }
    // Discovery and keys: the first fetch, two that were left, and those of the half minutes since.
    let asked = issuer.asked();
    assert!(asked < 20, "300 unknown keys made {asked} requests");

    issuer.set(Answers::Never);
    assert_eq!(service.status(&good("bob")).await, 200, "a known key needs nobody");
    service.restart();
    assert_eq!(service.status(&good("cid")).await, 200, "nor after a restart");
    issuer.set(Answers::Redirect("http://127.0.0.1:9".into()));
    service.restart();
    assert_eq!(service.status(&good("dan")).await, 200, "whatever is the matter with the issuer");
}

#[tokio::test]
async fn a_development_server_does_not_talk_to_web_pages_of_others() {
    let folder = Folder::with_sample(500);
    let server = TestServer::start(&payouts(), &folder.path().join("data"));
    let token = payouts().token(&folder.path().join("data"), "contoso", "ann");
    let port = server.url.rsplit(':').next().unwrap().to_owned();
    let own = format!("http://localhost:{port}");
    let rebound = format!("evil.example:{port}");
    for (name, value, status) in [
        ("Host", rebound.as_str(), 421),
        ("Host", "169.254.169.254", 421),
        ("Host", "localhost.evil.example", 421),
        ("Origin", "https://evil.example", 421),
        ("Origin", "null", 421),
        ("Origin", own.as_str(), 200),
    ] {
        let list = client().get(format!("{}{LIST}", server.url)).bearer_auth(&token).header(name, value);
        let response = list.send().await.unwrap();
        assert_eq!(response.status(), status, "{name}: {value}");
        assert!(response.headers().get("access-control-allow-origin").is_none());
        let form = client().post(format!("{}/contoso/oauth2/token", server.url)).header(name, value);
        let form = form.header("Content-Type", "application/x-www-form-urlencoded");
        let response = form.body("grant_type=client_credentials&client_id=app").send().await.unwrap();
        assert_eq!(response.status(), status, "a token, {name}: {value}");
    }
    let preflight = client().request(reqwest::Method::OPTIONS, format!("{}{LIST}", server.url));
    let preflight = preflight.header("Origin", &own).header("Access-Control-Request-Method", "POST");
    assert_eq!(preflight.send().await.unwrap().status(), 405, "there is no CORS");
}
