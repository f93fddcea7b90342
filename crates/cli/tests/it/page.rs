//! The export page as a browser without JavaScript sees it: signing in and out, forms of others, what
//! two users see of each other, the whole way from asking to deleting, and that no secret is in a page
//! or in the log. With a real OpenID provider in `page/oidc.rs`.

mod browser;
mod form;
mod oidc;

use std::process::Command;

use payouts_testkit::TestServer;
use reqwest::Method;
use serde_json::Value;

use self::browser::{Browser, Page};
use crate::wire::Api;
use crate::{Folder, payouts};

/// Ann sees one participant, Bob another; Cid what Ann sees, Dora is an admin with Bob's pairs.
struct World {
    folder: Folder,
    server: TestServer,
}

impl World {
    fn new() -> Self {
        let folder = Folder::new();
        let data = folder.at("data");
        payouts().run(["sample", "--data", &data, "--rows", "3000", "--earnings", "1500"]).good();
        let grant =
            |args: &[&str]| payouts().run([&["grant", "--data", &data, "--tenant", "home"], args].concat()).good();
        grant(&["--principal", "ann", "--participant", "1000042"]);
        grant(&["--principal", "bob", "--participant", "1000113"]);
        grant(&["--principal", "cid", "--participant", "1000042"]);
        grant(&["--principal", "dora", "--participant", "1000113", "--role", "admin"]);
        let server = TestServer::start(&payouts(), &folder.path().join("data"));
        Self { folder, server }
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.server.url)
    }

    fn api(&self, principal: &str) -> Api {
        Api::new(&self.server.url, &payouts().token(&self.folder.path().join("data"), "home", principal))
    }

    /// Asks by the form of the page, and waits until it has ended. Answers the id.
    async fn ask(&self, browser: &mut Browser, principal: &str, filter: &str) -> String {
        let home = browser.open(&self.at("/")).await.expect(200);
        let csrf = home.csrf();
        let form = [("csrf", &*csrf), ("report", "payments"), ("filter", filter), ("format", "csv")];
        let listed = browser.post(&self.at("/exports"), &form).await.expect(200);
        let id = listed.ids().first().expect("the request is in the list").clone();
        self.waited(principal, &id).await;
        id
    }

    async fn waited(&self, principal: &str, id: &str) -> Value {
        let (api, id) = (self.api(principal), id.to_owned());
        tokio::task::spawn_blocking(move || api.wait("payments", &id)).await.expect("it ends")
    }

    async fn api_json(&self, principal: &str, path: &str) -> (u16, Value) {
        let (api, path) = (self.api(principal), path.to_owned());
        let asked = tokio::task::spawn_blocking(move || {
            let answer = api.get(&path);
            (answer.status.as_u16(), answer.json())
        });
        asked.await.expect("an answer")
    }
}

const OWN: &str = "enrollmentParticipantId eq '1000042'";

/// Nothing but this service's own files, no script or style in the page itself, and no frame around it.
#[track_caller]
fn check_page(page: &Page) {
    let policy = page.header("content-security-policy");
    for part in [
        "default-src 'none'",
        "script-src 'self';",
        "style-src 'self';",
        "connect-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    ] {
        assert!(policy.contains(part), "{}: {part} is not in {policy}", page.url);
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(page.header("x-content-type-options"), "nosniff", "{}", page.url);
    assert_eq!(page.header("cache-control"), "no-store", "{}", page.url);
    assert!(page.header("content-type").starts_with("text/html"), "{}", page.url);
    for bad in ["<style", " style=\"", " onclick=", " onload=", "src=\"http", "href=\"http"] {
        assert!(!page.text.contains(bad), "{}: {bad} is in the page", page.url);
    }
    for script in page.text.split("<script").skip(1) {
        assert!(script.starts_with(" src=\"/assets/"), "{}: a script in the page", page.url);
    }
}

#[tokio::test]
async fn from_signing_in_to_deleting_without_a_script() {
    let world = World::new();
    let mut browser = Browser::default();
    let sign_in = browser.open(&world.at("/")).await.expect(200);
    assert!(sign_in.url.ends_with("/sign-in?to=%2F"), "{}", sign_in.url);
    check_page(&sign_in);
    for user in ["ann@home", "bob@home", "dora@home"] {
        assert!(sign_in.text.contains(&format!("value=\"{user}\"")), "{user}: {}", sign_in.text);
    }
    let home = browser.post(&world.at("/sign-in/dev"), &[("user", "ann@home"), ("to", "/")]).await.expect(200);
    check_page(&home);
    assert!(home.text.contains("No requests yet."), "{}", home.text);
    let cookie = browser.set_cookies.iter().find(|c| c.starts_with("payouts-session-")).expect("a session");
    assert!(cookie.contains("; HttpOnly; SameSite=Lax; Max-Age=") && !cookie.contains("Secure"), "{cookie}");

    let id = world.ask(&mut browser, "ann", OWN).await;
    let list = browser.open(&world.at("/")).await.expect(200);
    check_page(&list);
    assert_eq!(list.ids(), std::slice::from_ref(&id));
    for text in [
        "Participant is 1000042",
        ">Completed</span>",
        "You, <time",
        "<dt>Rows</dt>",
        "<dt>File until</dt>",
        "<dt>Link until</dt>",
    ] {
        assert!(list.text.contains(text), "{text} is not in {}", list.text);
    }

    let details = browser.open(&world.at(&format!("/exports/{id}"))).await.expect(200);
    check_page(&details);
    let (_, manifest) = world.api_json("ann", &format!("/v1.0/payouts/payments/{id}/manifest")).await;
    let sha256 = manifest["files"][0]["sha256"].as_str().unwrap();
    let sum = manifest["totals"][0]["sum"].as_str().unwrap();
    assert!(details.text.contains(sha256) && details.text.contains(&format!("value=\"{sum}\"")), "{}", details.text);
    let saved = browser.open(&world.at(&format!("/exports/{id}/manifest"))).await.expect(200);
    assert_eq!(serde_json::from_str::<Value>(&saved.text).unwrap(), manifest);

    let file = browser.open(&world.at(&format!("/exports/{id}/download"))).await.expect(200);
    assert!(file.header("content-disposition").starts_with("attachment"), "{:?}", file.headers);
    let rows = manifest["rowCount"].as_u64().unwrap();
    assert_eq!(file.text.lines().count() as u64, rows + 1);

    let again = browser.post(&world.at(&format!("/exports/{id}/again")), &[("csrf", &list.csrf())]).await.expect(200);
    assert_eq!(again.ids().len(), 2);
    assert!(again.text.contains("The same request was made again."), "{}", again.text);

    let confirm = browser.open(&world.at(&format!("/exports/{id}/delete"))).await.expect(200);
    check_page(&confirm);
    assert!(confirm.text.contains("Delete this request?"), "{}", confirm.text);
    assert_eq!(
        world.api_json("ann", &format!("/v1.0/payouts/payments/{id}")).await.0,
        200,
        "a question deletes nothing"
    );
    let gone =
        browser.post(&world.at(&format!("/exports/{id}/delete")), &[("csrf", &confirm.csrf())]).await.expect(200);
    assert_eq!(gone.ids().len(), 1);
    assert_eq!(world.api_json("ann", &format!("/v1.0/payouts/payments/{id}")).await.0, 404);
    let missing = browser.open(&world.at(&format!("/exports/{id}"))).await.expect(404);
    check_page(&missing);

    let audit = payouts().run(["audit", "export", "--data", &world.folder.at("data")]).good().stdout;
    let events = |what: &str| audit.lines().filter(|line| line.contains(&id) && line.contains(what)).count();
    assert!(events("ownload") >= 1 && events("elet") == 1, "{audit}");

    let out = browser.post(&world.at("/sign-out"), &[("csrf", &gone.csrf())]).await.expect(200);
    assert!(out.text.contains("You are signed out."), "{}", out.text);
    assert!(browser.open(&world.at("/")).await.url.contains("/sign-in"), "the session is over");
}

#[tokio::test]
async fn forms_that_are_not_the_pages_own_are_refused() {
    let world = World::new();
    let (mut browser, home) = Browser::signed_in(&world.server.url, "ann@home").await;
    let (_, other) = Browser::signed_in(&world.server.url, "ann@home").await;
    let csrf = home.csrf();
    let ask = async |browser: &mut Browser, token: &str| {
        let form = [("report", "payments"), ("filter", OWN), ("csrf", token)];
        browser.send(Method::POST, &world.at("/exports"), Some(&form)).await
    };
    for bad in ["", "x", &csrf[1..], &other.csrf()] {
        let refused = ask(&mut browser, bad).await;
        check_page(&refused);
        assert_eq!(refused.status, 400, "token {bad:?}: {}", refused.text);
    }
    for (name, value, status) in [
        ("sec-fetch-site", "cross-site", 400),
        ("sec-fetch-site", "same-site", 400),
        ("origin", "http://127.0.0.1:1", 400),
        // The guard of development servers comes first.
        ("origin", "https://evil.example", 421),
        ("origin", "null", 421),
        ("host", "evil.example", 421),
    ] {
        browser.headers = vec![(name, value.to_owned())];
        assert_eq!(ask(&mut browser, &csrf).await.status, status, "{name}: {value}");
    }
    browser.headers.clear();
    let id = "00000000-0000-4000-8000-000000000000";
    for path in ["/sign-out", &format!("/exports/{id}/delete"), &format!("/exports/{id}/again")] {
        assert_eq!(browser.send(Method::POST, &world.at(path), Some(&[])).await.status, 400, "{path}");
        let outsider = Browser::default().send(Method::POST, &world.at(path), Some(&[("csrf", &csrf)])).await;
        assert!(outsider.status.is_redirection() && outsider.header("location").contains("/sign-in"), "{path}");
    }
    assert_eq!(ask(&mut browser, &csrf).await.status, 303, "nothing but the form was wrong");
    assert_eq!(browser.open(&world.at("/")).await.ids().len(), 1, "and nothing of it was done");
    let json =
        payouts_testkit::client().post(world.at("/exports")).body("{}").header("content-type", "application/json");
    let cookie =
        browser.set_cookies.iter().find(|c| c.contains("session")).unwrap().split(';').next().unwrap().to_owned();
    assert_eq!(json.header("cookie", cookie).send().await.unwrap().status(), 415);
}

#[tokio::test]
async fn users_do_not_see_each_other() {
    let world = World::new();
    let (mut ann, _) = Browser::signed_in(&world.server.url, "ann@home").await;
    let (mut bob, _) = Browser::signed_in(&world.server.url, "bob@home").await;
    let (mut cid, _) = Browser::signed_in(&world.server.url, "cid@home").await;
    let (mut dora, _) = Browser::signed_in(&world.server.url, "dora@home").await;
    let id = world.ask(&mut ann, "ann", OWN).await;
    let page = |path: &str| world.at(&format!("/exports/{id}{path}"));

    assert!(bob.open(&world.at("/")).await.ids().is_empty());
    for path in ["", "/download", "/manifest", "/delete"] {
        let seen = bob.open(&page(path)).await;
        assert_eq!(seen.status, 404, "{path}: {}", seen.text);
        assert!(!seen.text.contains(&id) && !seen.text.contains("1000042"), "{}", seen.text);
    }
    let csrf = bob.open(&world.at("/")).await.csrf();
    for path in ["/again", "/delete"] {
        assert_eq!(bob.post(&page(path), &[("csrf", &csrf)]).await.status, 404, "{path}");
    }
    // Whoever has the same pairs sees it, and may not delete it.
    let seen = cid.open(&world.at("/")).await;
    assert_eq!(seen.ids(), std::slice::from_ref(&id));
    assert!(seen.text.contains("ann, <time") && !seen.text.contains("data-delete"), "{}", seen.text);
    assert_eq!(cid.open(&page("/delete")).await.status, 403);
    assert_eq!(cid.post(&page("/delete"), &[("csrf", &seen.csrf())]).await.status, 403);
    // An admin sees its state, and nothing of the file.
    let state = dora.open(&world.at("/")).await;
    assert_eq!(state.ids(), std::slice::from_ref(&id));
    assert!(!state.text.contains("<dt>Rows</dt>") && !state.text.contains("/download"), "{}", state.text);
    assert_eq!(dora.open(&page("/download")).await.status, 404);
    assert!(!dora.open(&page("")).await.expect(200).text.contains("SHA-256"));
    // A grant that goes takes effect at once, in a session that goes on.
    assert_eq!(cid.open(&page("")).await.status, 200);
    let data = world.folder.at("data");
    payouts()
        .run(["revoke", "--data", &data, "--tenant", "home", "--principal", "cid", "--participant", "1000042"])
        .good();
    let nothing = cid.open(&page("")).await.expect(403);
    check_page(&nothing);
    assert!(
        nothing.text.contains("Nothing is shared with you yet") && nothing.text.contains("Sign out"),
        "{}",
        nothing.text
    );
    assert_eq!(dora.post(&page("/delete"), &[("csrf", &state.csrf())]).await.status, 200);
    assert!(ann.open(&world.at("/")).await.ids().is_empty());
}

/// Every route of the page, by whoever is not signed in: led to the sign-in page, or refused. A route
/// without a case fails the test.
#[tokio::test]
async fn nobody_gets_anywhere_without_signing_in() {
    let world = World::new();
    let mut nobody = Browser::default();
    let mut script = Browser::with_headers(vec![("sec-fetch-mode", "cors".to_owned())]);
    for route in payouts_service::page::ROUTES {
        let (method, open) = match route {
            "/" | "/parts/list" | "/live" | "/exports/{id}" | "/exports/{id}/download" | "/exports/{id}/manifest" => {
                (Method::GET, false)
            }
            "/exports" | "/exports/{id}/again" | "/exports/{id}/delete" | "/sign-out" => (Method::POST, false),
            route if route.starts_with("/sign-in") || route.starts_with("/assets/") => (Method::GET, true),
            "/form" | "/form/check" | "/form/controls" | "/form/participants" | "/preview" | "/preview/panel" => {
                (Method::POST, false)
            }
            route => panic!("nobody has said who must not see {route}"),
        };
        if open {
            continue;
        }
        let url = world.at(&route.replace("{id}", "00000000-0000-4000-8000-000000000000"));
        let form = (method == Method::POST).then_some(&[("csrf", "x")][..]);
        let led = nobody.send(method.clone(), &url, form).await;
        assert_eq!(led.status, 303, "{route}: {}", led.text);
        assert!(led.header("location").starts_with("/sign-in?to="), "{route}: {}", led.header("location"));
        let refused = script.send(method, &url, form).await;
        assert_eq!(refused.status, 401, "{route}: {}", refused.text);
        assert_eq!(refused.header("www-authenticate"), "", "no browser asks for a password");
    }
    assert!(nobody.set_cookies.is_empty(), "{:?}", nobody.set_cookies);
}

#[tokio::test]
async fn the_list_narrows_pages_and_changes_by_itself() {
    let world = World::new();
    let (mut browser, _) = Browser::signed_in(&world.server.url, "ann@home").await;
    let first = world.ask(&mut browser, "ann", OWN).await;
    let api = world.api("ann");
    let more = tokio::task::spawn_blocking(move || {
        let made = (0..60).map(|n| {
            let filter = format!("$filter=enrollmentParticipantId%20eq%20'1000042'%20and%20paymentAmount%20gt%20{n}");
            api.post(&format!("/v1.0/payouts/payments?{filter}&fileFormat=csv")).expect(202).json()["requestId"]
                .as_str()
                .unwrap()
                .to_owned()
        });
        made.collect::<Vec<_>>()
    });
    let more = more.await.unwrap();
    let newest = browser.open(&world.at("/")).await;
    assert_eq!(newest.ids().len(), 50);
    assert_eq!(newest.ids()[0], more[59]);
    assert!(newest.text.contains("<span class=\"number\">61</span> requests"), "{}", newest.text);
    let older = newest.between("<p class=\"pager\"><a class=\"button\" href=\"", "\"");
    let older = browser.open(&world.at(&older)).await.expect(200);
    assert_eq!((older.ids().len(), older.ids().last()), (11, Some(&first)));
    assert!(older.text.contains("To the newest"));
    for (query, found) in [
        ("list.state=Failed", 0),
        ("list.report=transactionhistory", 0),
        ("list.text=paymentAmount+gt+59", 1),
        ("list.text=PAYMENTAMOUNT+GT+5", 11),
        (&*format!("list.text={first}"), 1),
        ("list.text=no+such+text", 0),
    ] {
        let page = browser.open(&world.at(&format!("/?{query}"))).await.expect(200);
        assert_eq!(page.ids().len(), found, "{query}");
        assert_eq!(page.text.contains("No request fits."), found == 0, "{query}");
        let part = browser.open(&world.at(&format!("/parts/list?{query}"))).await.expect(200);
        assert_eq!(part.ids(), page.ids(), "{query}");
        assert!(!part.text.contains("<html"));
    }
    live(&world, &browser).await;
}

/// A stream tells of a request that is made while it is open, to its end, and ends with the session.
async fn live(world: &World, browser: &Browser) {
    let cookie =
        browser.set_cookies.iter().find(|c| c.contains("session")).unwrap().split(';').next().unwrap().to_owned();
    let request = payouts_testkit::client().get(world.at("/live?list.text=paymentAmount+lt")).header("cookie", cookie);
    let mut stream = request.send().await.unwrap();
    assert_eq!(stream.status(), 200);
    assert!(stream.headers()["content-type"].to_str().unwrap().starts_with("text/event-stream"));
    let api = world.api("ann");
    let filter = "$filter=enrollmentParticipantId%20eq%20'1000042'%20and%20paymentAmount%20lt%207";
    let asked =
        tokio::task::spawn_blocking(move || api.post(&format!("/v1.0/payouts/payments?{filter}")).expect(202).json());
    let asked = asked.await.unwrap();
    let id = asked["requestId"].as_str().unwrap().to_owned();
    let mut text = String::new();
    let told = async {
        while !text.contains(">Completed</span>") {
            text += std::str::from_utf8(&stream.chunk().await.unwrap().expect("the stream goes on")).unwrap();
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), told).await.expect("the stream tells of the end");
    assert!(text.contains("event: list\n") && text.contains(&id), "{text}");
    let data = world.folder.at("data");
    payouts()
        .run(["revoke", "--data", &data, "--tenant", "home", "--principal", "ann", "--participant", "1000042"])
        .good();
    let over = async {
        let mut text = String::new();
        while let Some(chunk) = stream.chunk().await.unwrap() {
            text += std::str::from_utf8(&chunk).unwrap();
        }
        text
    };
    let text =
        tokio::time::timeout(std::time::Duration::from_secs(60), over).await.expect("the stream ends with the grant");
    assert!(text.contains("event: over\n"), "{text}");
}

/// The copied lines are run as they are, with a token in the environment.
#[tokio::test]
async fn copied_lines_ask_for_the_same_again() {
    let world = World::new();
    let (mut browser, _) = Browser::signed_in(&world.server.url, "ann@home").await;
    let filter = "enrollmentParticipantId eq '1000042' and participantName ne 'O''Neil & \"Sons\" $HOME `id`'";
    let id = world.ask(&mut browser, "ann", filter).await;
    let details = browser.open(&world.at(&format!("/exports/{id}"))).await.expect(200);
    let token = payouts().token(&world.folder.path().join("data"), "home", "ann");
    assert!(!details.text.contains(&token[..20]) && details.text.contains("$PAYOUTS_TOKEN"));
    assert_eq!(details.between("aria-labelledby=\"copy-filter\">", "</pre>"), filter);
    let run = |line: &str| {
        let binary = std::path::Path::new(env!("CARGO_BIN_EXE_payouts")).parent().unwrap().display().to_string();
        let path = format!("{binary}:{}", std::env::var("PATH").unwrap_or_default());
        let mut command = Command::new("sh");
        command.args(["-c", line]).env("PATH", path).env("PAYOUTS_TOKEN", &token).current_dir(world.folder.path());
        let done = command.output().expect("a shell");
        assert!(done.status.success(), "{line}\n{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap()
    };
    run(&details.between("aria-labelledby=\"copy-command\">", "</pre>"));
    assert!(world.folder.path().join("payments.csv").is_file());
    let mut made = 2;
    if Command::new("curl").arg("--version").output().is_ok_and(|o| o.status.success()) {
        let answer = run(&details.between("aria-labelledby=\"copy-curl\">", "</pre>"));
        let answer: Value = serde_json::from_str(&answer).unwrap_or_else(|e| panic!("{e}: {answer}"));
        assert_eq!(answer["requestQueryString"], filter);
        made += 1;
    } else {
        assert!(!std::env::var("PAYOUTS_TEST_TOOLS").is_ok_and(|v| v == "required"), "missing: curl");
        eprintln!("SKIPPED the curl line for want of curl");
    }
    let listed = browser.open(&world.at("/")).await;
    assert_eq!(listed.ids().len(), made);
    assert_eq!(listed.text.matches("Sons").count() % made, 0, "all ask for the same: {}", listed.text);
}

#[tokio::test]
async fn no_secret_is_in_a_page_or_in_the_log() {
    let folder = Folder::new();
    let data = folder.at("data");
    payouts().sample(&folder.path().join("data"), 500);
    payouts().run(["grant", "--data", &data, "--tenant", "home", "--principal", "ann", "--all-participants"]).good();
    let mut command =
        payouts().command(["serve", "--dev", "--data", &data, "--listen", "127.0.0.1:0", "--admin-listen", "none"]);
    command.env("PAYOUTS_LOG", "trace").env("PAYOUTS_LOG_FORMAT", "json");
    let server = TestServer::start_command(&mut command);
    let (mut browser, home) = Browser::signed_in(&server.url, "ann@home").await;
    let (csrf, session) = (home.csrf(), browser.session());
    let secret = "Zyzzogeton Plantworks";
    let filter = format!("participantName eq '{secret}'");
    let form = [("csrf", &*csrf), ("report", "payments"), ("filter", &*filter)];
    let listed = browser.post(&format!("{}/exports", server.url), &form).await.expect(200);
    browser.open(&format!("{}/?list.text=Zyzzogeton", server.url)).await.expect(200);
    let id = listed.ids()[0].clone();
    let (api, own) = (Api::new(&server.url, &payouts().token(&folder.path().join("data"), "home", "ann")), id.clone());
    let ended = tokio::task::spawn_blocking(move || api.wait("payments", &own)).await.expect("it ends");
    assert_eq!(ended["status"], "Completed");
    let page = browser.open(&format!("{}/exports/{id}", server.url)).await.expect(200);
    assert!(!page.text.contains(&session) && !page.text.contains("sig="), "{}", page.text);
    let link = browser.send(Method::GET, &format!("{}/exports/{id}/download", server.url), None).await;
    let signature = link.header("location").split_once("sig=").expect("a signed link").1.to_owned();
    browser.open(link.header("location")).await.expect(200);
    browser
        .post(&format!("{}/exports", server.url), &[("csrf", &csrf), ("report", "x"), ("filter", secret)])
        .await
        .expect(400);
    let (code, log) = server.stopped();
    assert_eq!(code, 0, "{log}");
    assert!(log.contains("signed in to the page"), "{log}");
    for secret in [&*csrf, &session, &signature, secret, "Zyzzogeton"] {
        assert!(
            !log.contains(secret),
            "{secret} is in the log: {:#?}",
            log.lines().filter(|l| l.contains(secret)).collect::<Vec<_>>()
        );
    }
}

#[tokio::test]
async fn the_page_stands_below_a_path_too() {
    let folder = Folder::with_sample(300);
    let args = ["serve", "--dev", "--data", &folder.at("data"), "--listen", "127.0.0.1:0", "--admin-listen", "none"];
    let server = TestServer::start_with(&payouts(), &[&args[..], &["--public-url", "http://localhost:1/api"]].concat());
    let mut browser = Browser::default();
    let led = browser.send(Method::GET, &format!("{}/api/", server.url), None).await;
    assert_eq!((led.status.as_u16(), led.header("location")), (307, "/api"));
    for path in ["/api", "/"] {
        let led = browser.send(Method::GET, &format!("{}{path}", server.url), None).await;
        assert_eq!(
            (led.status.as_u16(), led.header("location").split('?').next()),
            (303, Some("/api/sign-in")),
            "{path}"
        );
    }
    let form = [("user", "developer@contoso"), ("to", "/")];
    let home = browser.post(&format!("{}/api/sign-in/dev", server.url), &form).await.expect(200);
    assert!(home.url.ends_with("/api"), "{}", home.url);
    assert!(browser.set_cookies[0].contains("; Path=/api;"), "{:?}", browser.set_cookies);
    let style = home.between("<link rel=\"stylesheet\" href=\"", "\"");
    assert!(style.starts_with("/api/assets/page."), "{style}");
    let style = browser.open(&format!("{}{style}", server.url)).await.expect(200);
    assert!(
        style.header("cache-control").contains("immutable") && style.header("content-type").starts_with("text/css")
    );
}
