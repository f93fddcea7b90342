//! Signing in to the page with a real OpenID provider: there and back, who it was, and whoever tries to
//! come back with something else.

use std::net::TcpListener;

use payouts_testkit::TestServer;
use reqwest::Method;

use super::browser::Browser;
use super::check_page;
use crate::identity::provider::{Provider, RESOURCE, installed};
use crate::{Folder, payouts};

/// A port that is free at this moment. Somebody else may take it before the service does; its start
/// then fails, and says so.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its number").port()
}

struct World {
    provider: Provider,
    server: TestServer,
    folder: Folder,
}

impl World {
    /// `None` if there is no provider to try it with.
    fn new(identity: &str) -> Option<Self> {
        let packages = installed()?;
        let folder = Folder::new();
        payouts().sample(&folder.path().join("data"), 500);
        let grant = |principal| {
            let data = folder.at("data");
            payouts()
                .run(["grant", "--data", &data, "--tenant", "contoso", "--principal", principal, "--all-participants"])
                .good();
        };
        grant("ann");
        let url = format!("http://127.0.0.1:{}", free_port());
        let provider = Provider::start_for(&packages, Some(&format!("{url}/sign-in/callback")));
        folder.write("secret", "only-for-tests: the page\n");
        let scopes = if identity == "id_token" {
            ""
        } else {
            "scopes_claim = \"scope\"\nrequired_scopes = [\"Payouts.Read\"]\n"
        };
        let config = folder.write(
            "payouts.toml",
            &format!(
                "public_url = \"{url}\"\ndata_dir = \"data\"\nlisten = \"{}\"\nadmin_listen = \"\"\n\n\
                 [[issuers]]\nissuer = \"{}\"\naudiences = [\"{RESOURCE}\"]\ntenant = \"contoso\"\nprincipal_claims = [\"sub\"]\n{scopes}\n\
                 [issuers.page]\nclient_id = \"page\"\nclient_secret_file = \"secret\"\nidentity = \"{identity}\"\n\
                 scopes = [\"openid\", \"profile\", \"Payouts.Read\"]\nresource = \"{RESOURCE}\"\nlabel = \"Sign in with Contoso\"\n",
                url.trim_start_matches("http://"),
                provider.url,
            ),
        );
        let mut command = payouts().command(["serve", "--config", &config]);
        command.env("PAYOUTS_LOG", "trace").env("PAYOUTS_LOG_FORMAT", "json");
        let server = TestServer::start_command(&mut command);
        Some(Self { provider, server, folder })
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.server.url)
    }

    /// From the sign-in page to the address that the provider leads back to, not yet opened.
    async fn there(&self, browser: &mut Browser) -> String {
        let sign_in = browser.open(&self.at("/?list.state=Failed")).await.expect(200);
        check_page(&sign_in);
        assert!(sign_in.text.contains("Sign in with Contoso"), "{}", sign_in.text);
        let mut url = self.at(&sign_in.between("<a class=\"button primary wide\" href=\"", "\""));
        for _ in 0..10 {
            let page = browser.send(Method::GET, &url, None).await;
            assert!(page.status.is_redirection(), "{}: {}", page.url, page.text);
            let next =
                url::Url::parse(&page.url).and_then(|base| base.join(page.header("location"))).expect("a redirect");
            url = next.to_string();
            if url.contains("/sign-in/callback") {
                return url;
            }
        }
        panic!("the provider leads nowhere: {url}")
    }
}

#[tokio::test]
async fn people_sign_in_with_a_real_provider() {
    for identity in ["access_token", "id_token"] {
        let Some(mut world) = World::new(identity) else { return };
        let mut ann = Browser::default();
        let back = world.there(&mut ann).await;
        assert!(back.contains("code=") && back.contains("state="), "{back}");
        let home = ann.open(&back).await.expect(200);
        assert!(home.url.ends_with("/?list.state=Failed"), "back to where it began: {}", home.url);
        assert!(home.text.contains("Ann of Contoso") && home.text.contains("No request fits."), "{}", home.text);
        let session = ann.set_cookies.iter().find(|c| c.contains("payouts-session")).expect("a session");
        assert!(session.contains("; HttpOnly; SameSite=Lax"), "{session}");
        let seconds: i64 = session.rsplit_once("Max-Age=").unwrap().1.parse().unwrap();
        assert!((1..=3600).contains(&seconds), "no longer than the issuer says: {seconds}");

        world.provider.tell("bob");
        let mut bob = Browser::default();
        let back = world.there(&mut bob).await;
        let refused = bob.open(&back).await.expect(403);
        assert!(refused.text.contains("Nothing is shared with you yet"), "{}", refused.text);

        let log = world.server.log();
        for secret in [&*ann.session(), &bob.session(), "only-for-tests"] {
            assert!(!log.contains(secret), "{secret} is in the log");
        }
        let code = url::Url::parse(&back).unwrap().query_pairs().find(|(n, _)| n == "code").unwrap().1.into_owned();
        assert!(!log.contains(&code), "a code is in the log");
        drop(world.folder);
    }
}

#[tokio::test]
async fn whoever_comes_back_with_something_else_is_not_signed_in() {
    let Some(world) = World::new("access_token") else { return };
    let mut ann = Browser::default();
    let back = world.there(&mut ann).await;
    let change = |name: &str, value: &str| {
        let mut url = url::Url::parse(&back).unwrap();
        let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        url.query_pairs_mut().clear().extend_pairs(pairs.iter().map(|(n, v)| (n, if n == name { value } else { v })));
        url.to_string()
    };
    // Another browser: the cookie of the one that began is missing.
    let other = Browser::default().send(Method::GET, &back, None).await.expect(401);
    check_page(&other);
    let mut attacker = Browser::default();
    let attackers = world.there(&mut attacker).await;
    for (what, url) in [
        ("another state", change("state", "x")),
        ("no code", change("code", "")),
        ("another issuer's answer", change("iss", "https://evil.example")),
        ("somebody else's code", {
            let code =
                url::Url::parse(&attackers).unwrap().query_pairs().find(|(n, _)| n == "code").unwrap().1.into_owned();
            change("code", &code)
        }),
        ("an error", format!("{}&error=access_denied", change("code", ""))),
    ] {
        // Each try uses the cookie up: a fresh browser that began by itself, led back by others.
        let mut browser = Browser::default();
        let own = world.there(&mut browser).await;
        let state = url::Url::parse(&own).unwrap().query_pairs().find(|(n, _)| n == "state").unwrap().1.into_owned();
        let old = url::Url::parse(&back).unwrap().query_pairs().find(|(n, _)| n == "state").unwrap().1.into_owned();
        let page = browser.send(Method::GET, &url.replace(&old, &state), None).await;
        assert_eq!(page.status, 401, "{what}: {}", page.text);
        let session = browser.set_cookies.iter().any(|c| c.contains("payouts-session"));
        assert!(!session, "{what}");
    }
    assert_eq!(ann.open(&back).await.status, 200, "the one who began");
    assert_eq!(ann.send(Method::GET, &back, None).await.status, 401, "once");
}
