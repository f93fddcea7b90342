//! The log as operators search it: every call is found by the id that its caller got, in lines for
//! people and in lines for machines.

use chrono::DateTime;
use payouts_testkit::TestServer;
use reqwest::Method;
use serde_json::Value;

use crate::wire::{Answer, Api};
use crate::{Folder, payouts};

/// Calls that end in many ways; answers what was answered.
fn calls(folder: &Folder, server: &TestServer) -> Vec<Answer> {
    let token = payouts().token(&folder.path().join("data"), "contoso", "ann");
    let api = Api::new(&server.url, &token);
    let accepted = api.post("/v1.0/payouts/payments?$filter=paymentAmount%20gt%2010");
    let id = accepted.json()["requestId"].as_str().expect("an id").to_owned();
    let link = api.wait("payments", &id)["blobLocation"].as_str().expect("a link").to_owned();
    vec![
        accepted,
        api.get(&link).expect(200),
        api.get(&format!("/v1.0/payouts/payments/{id}")).expect(200),
        api.get("/v1.0/payouts/payments/no-such-id"),
        api.post("/v1.0/payouts/payments?$filter=nonsense").expect(400),
        api.get("/nowhere").expect(404),
        api.call(Method::PUT, "/v1.0/payouts/payments", &[]).expect(405),
        Api::anonymous(&server.url).get("/v1.0/payouts/payments").expect(401),
        api.get(&link.replace("sig=", "sig=A")).expect(403),
    ]
}

/// What a service with a log of this format answered, and its log to the end.
fn served(format: &str) -> (Vec<Answer>, String) {
    let folder = Folder::with_sample(500);
    let data = folder.at("data");
    let args = ["serve", "--dev", "--data", &data, "--listen", "127.0.0.1:0", "--admin-listen", "none"];
    let server = TestServer::start_with(&payouts(), &[&["--log-format", format][..], &args].concat());
    let answers = calls(&folder, &server);
    let (code, log) = server.stopped();
    assert_eq!(code, 0, "{log}");
    (answers, log)
}

#[test]
fn every_call_is_found_by_its_id_in_lines_for_machines() {
    let (answers, log) = served("json");
    // Two lines are for whoever started it by hand.
    let by_hand = |line: &&str| line.starts_with("listening on ") || line.starts_with("stopping; ");
    let lines = log.lines().filter(|line| !by_hand(line));
    let lines: Vec<Value> =
        lines.map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect();
    for line in &lines {
        let text = |name: &str| line[name].as_str().unwrap_or_else(|| panic!("no {name}: {line}"));
        assert!(DateTime::parse_from_rfc3339(text("timestamp")).is_ok(), "{line}");
        assert!(["ERROR", "WARN", "INFO"].contains(&text("level")), "{line}");
        assert!(text("target").starts_with("payouts"), "{line}");
        assert!(!text("message").starts_with(char::is_uppercase) && !text("message").ends_with('.'), "{line}");
    }
    for answer in &answers {
        let id = answer.header("request-id");
        let of_call = lines.iter().filter(|line| line["span"]["request.id"] == id);
        let ends: Vec<&Value> = of_call.filter(|line| line["message"] == "answered").collect();
        let [end] = ends[..] else { panic!("'{id}' ended {} times in {log}", ends.len()) };
        assert_eq!(end["http.status"], answer.status.as_u16(), "{end}");
        assert!(end["duration_ms"].is_u64() && end["span"]["http.method"].is_string(), "{end}");
    }
    // From a call to what a worker did for it.
    let export = answers[0].json()["requestId"].clone();
    let accepted = lines.iter().find(|line| line["message"] == "accepted").expect("an acceptance");
    assert_eq!(accepted["span"]["request.id"], answers[0].header("request-id"), "{accepted}");
    assert_eq!((&accepted["export.id"], &accepted["tenant.id"]), (&export, &"contoso".into()), "{accepted}");
    let published = lines.iter().find(|line| line["message"] == "published").expect("an end");
    assert_eq!(published["span"]["export.id"], export, "{published}");
}

#[test]
fn every_call_is_found_by_its_id_in_lines_for_people() {
    let (answers, log) = served("text");
    assert!(!log.contains('\u{1b}'), "colours where nobody looks: {log}");
    for answer in answers {
        let (id, status) = (answer.header("request-id"), answer.status.as_u16());
        let found = log.lines().any(|line| {
            line.contains(&format!("request.id={id}")) && line.contains(&format!("answered http.status={status}"))
        });
        assert!(found, "'{id}' with {status} is not in {log}");
    }
}
