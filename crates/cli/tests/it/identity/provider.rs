//! A real OpenID provider (`oidc-provider`, under Node): discovery, client credentials, rotation of
//! keys while the service runs, an outage and its end. Skips out loud where it is not installed;
//! `PAYOUTS_TEST_TOOLS=required` turns that into a failure.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use payouts_testkit::client;
use serde_json::Value;

use super::Guarded;

pub(crate) const RESOURCE: &str = "https://payouts.example/api";

/// The folder with `node_modules`; `None` after saying what is missing.
pub(crate) fn installed() -> Option<PathBuf> {
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools/oidc");
    let folder = std::env::var_os("PAYOUTS_TEST_OIDC").map_or(tools, PathBuf::from);
    let node = Command::new("node").arg("--version").stdout(Stdio::null()).status().is_ok_and(|s| s.success());
    if node && folder.join("node_modules/oidc-provider").is_dir() {
        return Some(folder);
    }
    let required = std::env::var("PAYOUTS_TEST_TOOLS").is_ok_and(|v| v == "required");
    let missing = "node, or oidc-provider (npm ci in crates/cli/tests/tools/oidc, or PAYOUTS_TEST_OIDC)";
    assert!(!required, "missing: {missing}");
    eprintln!("SKIPPED for want of {missing}");
    None
}

/// The provider's process; killed when dropped.
pub(crate) struct Provider {
    child: Child,
    commands: ChildStdin,
    events: BufReader<ChildStdout>,
    pub url: String,
}

impl Provider {
    fn start(folder: &Path) -> Self {
        Self::start_for(folder, None)
    }

    /// With a redirect address people can sign in as client `page`.
    pub(crate) fn start_for(folder: &Path, redirect_uri: Option<&str>) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools/oidc/provider.mjs");
        let mut child = Command::new("node")
            .arg(script)
            .arg(folder)
            .args(redirect_uri)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("node was there a moment ago");
        let commands = child.stdin.take().expect("stdin is piped");
        let events = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let mut provider = Self { child, commands, events, url: String::new() };
        let ready = provider.event();
        assert_eq!(ready["event"], "ready");
        provider.url = format!("http://127.0.0.1:{}", ready["port"]);
        provider
    }

    fn event(&mut self) -> Value {
        let mut line = String::new();
        // The package writes notices of its own between ours.
        while !line.starts_with('{') {
            line.clear();
            assert!(self.events.read_line(&mut line).expect("the provider answers") > 0, "the provider ended");
        }
        serde_json::from_str(&line).unwrap_or_else(|e| panic!("the provider said {line:?}: {e}"))
    }

    /// Answers once it is done.
    pub(crate) fn tell(&mut self, command: &str) {
        writeln!(self.commands, "{command}").expect("the provider runs");
        assert_eq!(self.event()["event"], command);
    }

    async fn token(&self) -> String {
        let request = client()
            .post(format!("{}/token", self.url))
            .basic_auth("reporting", Some("only-for-tests"))
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(format!("grant_type=client_credentials&scope=Payouts.Read&resource={RESOURCE}"));
        let answer: Value = request.send().await.expect("the provider answers").json().await.expect("JSON");
        answer["access_token"].as_str().unwrap_or_else(|| panic!("no token: {answer}")).to_owned()
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        // Having ended already is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn trust(url: &str, scope: &str, audience: &str) -> String {
    format!(
        "[[issuers]]\nissuer = \"{url}\"\naudiences = [\"{audience}\"]\ntenant = \"contoso\"\n\
         principal_claims = [\"sub\"]\nscopes_claim = \"scope\"\nrequired_scopes = [\"{scope}\"]\n"
    )
}

#[tokio::test]
async fn a_real_providers_tokens_work_through_rotation_and_outage() {
    let Some(folder) = installed() else { return };
    let mut provider = Provider::start(&folder);
    let mut service = Guarded::start(&["contoso"], &trust(&provider.url, "Payouts.Read", RESOURCE));
    let first = provider.token().await;
    assert_eq!(service.status(&first).await, 200, "discovery, keys, claims: {}", service.server.log());

    provider.tell("rotate");
    let second = provider.token().await;
    assert_eq!(service.status(&second).await, 200, "signed by a key that came while the service ran");
    let still = service.status(&first).await;
    assert_eq!(still, 200, "the key before is still published");

    // A key that is not published any more is refused as soon as the keys were fetched again.
    provider.tell("rotate");
    let third = provider.token().await;
    provider.tell("retire");
    assert_eq!(service.status(&third).await, 200);
    service.restart();
    assert_eq!(service.status(&third).await, 200);
    assert_eq!(service.status(&second).await, 401, "a retired key");

    provider.tell("stop");
    assert_eq!(service.status(&third).await, 200, "nobody needs the provider for a known key");
    service.restart();
    assert_eq!(service.status(&third).await, 200, "nor to start");

    provider.tell("start");
    provider.tell("rotate");
    let fourth = provider.token().await;
    // After a fetch that failed the provider is asked again in five seconds.
    let back = tokio::time::timeout(std::time::Duration::from_secs(60), async {
        while service.status(&fourth).await != 200 {
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
    });
    back.await.expect("the provider is back, and its new key is found");
}

#[tokio::test]
async fn a_real_providers_token_for_another_service_or_without_the_scope_is_refused() {
    let Some(folder) = installed() else { return };
    let provider = Provider::start(&folder);
    let token = provider.token().await;
    let elsewhere = Guarded::start(&["contoso"], &trust(&provider.url, "Payouts.Read", "https://other.example/api"));
    assert_eq!(elsewhere.status(&token).await, 401);
    let stricter = Guarded::start(&["contoso"], &trust(&provider.url, "Payouts.Write", RESOURCE));
    assert_eq!(stricter.status(&token).await, 403);
}
