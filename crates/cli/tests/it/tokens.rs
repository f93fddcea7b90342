//! Tokens of the development issuer, from the command line and over HTTP.

use payouts_testkit::{TestServer, client};
use serde_json::Value;

use crate::{Folder, payouts};

async fn token(server: &TestServer, path: &str, form: &str) -> (u16, Value) {
    let request =
        client().post(format!("{}{path}", server.url)).header("Content-Type", "application/x-www-form-urlencoded");
    let response = request.body(form.to_owned()).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

async fn status(server: &TestServer, token: &str) -> (u16, Option<String>) {
    let request = client().get(format!("{}/v1.0/payouts/payments", server.url)).bearer_auth(token);
    let response = request.send().await.unwrap();
    let challenge = response.headers().get("WWW-Authenticate").map(|v| v.to_str().unwrap().to_owned());
    (response.status().as_u16(), challenge)
}

#[tokio::test]
async fn existing_clients_get_their_token_here_too() {
    let folder = Folder::with_sample(500);
    let server = TestServer::start(&payouts(), &folder.path().join("data"));

    let (code, v1) = token(
        &server,
        "/contoso/oauth2/token",
        "resource=https%3A%2F%2Fapi.partner.microsoft.com&client_id=app&client_secret=x&grant_type=password&username=ann%40contoso.com&password=y&scope=openid",
    )
    .await;
    assert_eq!(
        (code, v1["token_type"].as_str(), v1["expires_in"].as_str()),
        (200, Some("Bearer"), Some("3599")),
        "{v1}"
    );
    assert_eq!(v1["resource"], "https://api.partner.microsoft.com");
    assert!(v1["expires_on"].is_string());
    assert_eq!(status(&server, v1["access_token"].as_str().unwrap()).await.0, 200);

    let (code, v2) = token(
        &server,
        "/contoso/oauth2/v2.0/token",
        "client_id=app&client_secret=hush-hush&grant_type=client_credentials&scope=https%3A%2F%2Fapi.partner.microsoft.com%2F.default",
    )
    .await;
    assert_eq!((code, v2["expires_in"].as_u64()), (200, Some(3599)), "{v2}");
    assert_eq!(status(&server, v2["access_token"].as_str().unwrap()).await.0, 200);
    assert!(server.log().contains("no secret was checked"), "{}", server.log());
    assert!(!server.log().contains("hush-hush"));

    let (_, stranger) = token(&server, "/fabrikam/oauth2/token", "grant_type=client_credentials&client_id=app").await;
    assert_eq!(status(&server, stranger["access_token"].as_str().unwrap()).await.0, 403, "no grant");

    for (form, error) in [
        ("", "invalid_request"),
        ("grant_type=client_credentials", "invalid_request"),
        ("grant_type=password&client_id=a", "invalid_request"),
        ("grant_type=refresh_token&refresh_token=x", "unsupported_grant_type"),
    ] {
        let (code, body) = token(&server, "/contoso/oauth2/token", form).await;
        assert_eq!((code, body["error"].as_str()), (400, Some(error)), "{form}");
    }
}

#[tokio::test]
async fn discovery_leads_to_the_keys() {
    let folder = Folder::new();
    let server = TestServer::start(&payouts(), &folder.path().join("data"));
    let get = async |url: String| -> Value { client().get(url).send().await.unwrap().json().await.unwrap() };
    let document = get(format!("{}/contoso/v2.0/.well-known/openid-configuration", server.url)).await;
    assert_eq!(document["token_endpoint"], format!("{}/contoso/oauth2/v2.0/token", server.url));
    let keys = get(document["jwks_uri"].as_str().unwrap().to_owned()).await;
    let key = &keys["keys"][0];
    assert_eq!((key["kty"].as_str(), key["alg"].as_str()), (Some("RSA"), Some("RS256")));
    assert!(key.get("d").is_none(), "the private part stays private");
}

#[tokio::test]
async fn a_refusal_tells_nothing() {
    let folder = Folder::with_sample(500);
    let server = TestServer::start(&payouts(), &folder.path().join("data"));
    let good = payouts().token(&folder.path().join("data"), "contoso", "ann");
    assert_eq!(status(&server, &good).await.0, 200);
    let other = payouts().token(&folder.path().join("other"), "contoso", "ann");
    let (head, _) = good.rsplit_once('.').unwrap();
    for bad in ["x", "a.b.c", &other, &format!("{head}."), &format!("{head}.AAAA")] {
        let (code, challenge) = status(&server, bad).await;
        assert_eq!((code, challenge.as_deref()), (401, Some("Bearer error=\"invalid_token\"")), "{bad}");
    }
}

#[tokio::test]
async fn without_dev_its_tokens_are_refused() {
    let folder = Folder::with_sample(500);
    let data = folder.at("data");
    let config = folder.write(
        "payouts.toml",
        "public_url = \"http://payouts.example\"\n[[issuers]]\nissuer = \"https://login.example\"\naudiences = [\"api\"]\n",
    );
    let server = TestServer::start_with(
        &payouts(),
        &["serve", "--config", &config, "--data", &data, "--listen", "127.0.0.1:0", "--admin-listen", "none"],
    );
    let token = payouts().token(&folder.path().join("data"), "contoso", "ann");
    assert_eq!(status(&server, &token).await.0, 401);
    let response = client().post(format!("{}/contoso/oauth2/token", server.url)).send().await.unwrap();
    assert_eq!(response.status(), 404);
}
