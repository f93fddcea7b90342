//! Logs never hold tokens, link queries, filter literals, amounts or names: a session with a bit
//! of everything, errors too, at the most verbose level that there is, searched for what was
//! planted in it.

use std::path::{Path, PathBuf};

use payouts_testkit::{TestServer, process};
use reqwest::Method;
use serde_json::Value;

use crate::audit::own_csv;
use crate::wire::Api;
use crate::{Folder, payouts};

/// In the data.
const PARTICIPANT: &str = "7319048265";
const PAYEE: &str = "Zyzzogeton Plantworks";
const AMOUNT: &str = "48151623.42";
/// In filters.
const LITERALS: [&str; 6] =
    ["Unobtainium Rebate", "90210777.11", "6021408888", "2019-03-17", "Kwijibo-misplaced", "Hwaet-in-a-body"];
/// Where a token should be.
const NO_TOKEN: &str = "eyJhbGciOiJub25lIn0.cGxhbnRlZC1zZWNyZXQ.";
/// In headers that come back and in paths.
const KEY: &str = "Idempotent-Quux-4242";

fn encode(text: &str) -> String {
    text.bytes()
        .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}

/// Every form in which a secret could stand in a log.
fn forms(secret: &str) -> Vec<String> {
    let mut forms = vec![secret.to_owned(), encode(secret), secret.replace(' ', "+"), secret.replace(' ', "%20")];
    forms.dedup();
    forms
}

/// Deletes the files below a folder whose names end so.
fn lose(folder: &Path, ending: &str) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path: PathBuf = entry.path();
        if path.is_dir() {
            lose(&path, ending);
        } else if path.to_string_lossy().ends_with(ending) {
            std::fs::remove_file(path).expect("a file that can be deleted");
        }
    }
}

/// What callers do, well and badly. Answers the secrets that came up: tokens and links.
fn session(folder: &Folder, server: &TestServer) -> Vec<String> {
    let token = payouts().token(&folder.path().join("data"), "contoso", "ann");
    let stranger = payouts().token(&folder.path().join("data"), "nobody", "bob");
    let mut secrets = vec![token.clone(), stranger.clone(), NO_TOKEN.to_owned()];
    secrets.extend(token.split('.').chain(stranger.split('.')).map(str::to_owned));
    // The header of a token is the same for all and says nothing.
    secrets.retain(|secret| !token.starts_with(&format!("{secret}.")));
    let api = Api::new(&server.url, &token);
    let post = |query: &str| api.post(&format!("/v1.0/payouts/payments?{query}"));

    let filter =
        format!("participantName eq '{PAYEE}' or totalPayment eq {AMOUNT} or programName eq '{}'", LITERALS[0]);
    let export = api.export("payments", &format!("fileformat=csv&$filter={}", encode(&filter)));
    let (id, link) = (export["requestId"].as_str().unwrap(), export["blobLocation"].as_str().unwrap());
    let text = String::from_utf8(api.file(&export)).unwrap();
    assert!(text.contains(PAYEE) && text.contains(AMOUNT), "{text}");
    let (_, query) = link.split_once('?').expect("a signed link");
    secrets.push(query.to_owned());
    secrets.extend(query.split('&').filter_map(|part| part.strip_prefix("sig=")).map(str::to_owned));
    post(&format!(
        "$select=*&$filter={}",
        encode(&format!("paymentAmount gt {} or contains(participantName, 'geton')", LITERALS[1]))
    ))
    .expect(202);
    api.post(&format!("/v1.0/payouts/payments/preview?$filter={}", encode(&filter))).expect(200);
    api.get(&format!("/v1.0/payouts/payments/{id}/manifest")).expect(200);
    api.get("/v1.0/payouts/payments?$top=2").expect(200);
    api.call(Method::POST, "/v1.0/payouts/payments", &[("ms-requestid", KEY), ("ms-correlationid", KEY)]).expect(202);

    // What is refused.
    assert_eq!(post(&format!("enrollmentParticipantId={}", LITERALS[2])).status, 202, "everything is granted");
    post(&format!("$filter={}", encode(&format!("paymentDate ge {} and", LITERALS[3])))).expect(400);
    post(&format!("$filter={}", encode(&format!("{} eq 1", LITERALS[4].replace('-', ""))))).expect(400);
    post(&format!("{}=1", LITERALS[4])).expect(400);
    post(&format!("$filter={}", encode(&format!("paymentAmount eq '{}'", LITERALS[4])))).expect(400);
    api.get(&format!("/v1.0/payouts/{}", LITERALS[4])).expect(404);
    api.get(&format!("/nowhere/{0}?{0}={0}", LITERALS[4])).expect(404);
    for bad in [NO_TOKEN, &token[..token.len() - 3]] {
        Api::new(&server.url, bad).get("/v1.0/payouts/payments").expect(401);
    }
    Api::new(&server.url, &stranger).get("/v1.0/payouts/payments").expect(403);
    assert!(api.get(&link.replace("sig=", "sig=A")).status.is_client_error());
    api.call(Method::GET, link, &[("range", "bytes=999999999-")]).expect(416);
    let body = format!("{{\"filter\": \"programName eq '{}'\"", LITERALS[5]);
    api.post_json("/v1.0/payouts/payments", &body).expect(400);
    api.post_json("/v1.0/payouts/payments", &format!("{body}}}")).expect(202);

    // What breaks: a file that is gone, and a ledger that is.
    lose(&folder.path().join("data/files"), "");
    assert!(api.get(link).status.as_u16() >= 400);
    lose(&folder.path().join("data/ledger"), "parquet");
    let asked = post(&format!("$filter={}", encode(&filter))).expect(202).json();
    let failed = api.wait("payments", asked["requestId"].as_str().unwrap());
    assert_eq!(failed["status"], "Failed", "{failed}");
    api.delete(&format!("/v1.0/payouts/payments/{id}")).expect(200);
    secrets
}

/// The lines of a log that are JSON: what commands tell their user is no log.
fn log_lines(stderr: &str) -> String {
    let is_log = |line: &&str| serde_json::from_str::<Value>(line).is_ok_and(|l| l["level"].is_string());
    stderr.lines().filter(is_log).map(|line| format!("{line}\n")).collect()
}

#[test]
fn no_secret_is_in_the_log() {
    let folder = Folder::with_sample(1_000);
    let data = folder.at("data");
    let verbose = |args: &[&str]| {
        let mut command = payouts().command(args);
        command.env("PAYOUTS_LOG", "trace").env("PAYOUTS_LOG_FORMAT", "json");
        command
    };
    let csv = folder.write("own.csv", &own_csv(PARTICIPANT, PAYEE, AMOUNT));
    let import = ["import", "payments", &csv, "--data", &data, "--order-type", "REBATE"];
    let mut logs = log_lines(&process::ran(&mut verbose(&import)).good().stderr);
    let bad = folder.write("bad.csv", &own_csv(PARTICIPANT, PAYEE, &format!("{AMOUNT}x")));
    logs += &log_lines(&process::ran(&mut verbose(&["import", "payments", &bad, "--data", &data])).stderr);

    let serve = ["serve", "--dev", "--data", &data, "--listen", "127.0.0.1:0", "--admin-listen", "none"];
    let server = TestServer::start_command(&mut verbose(&serve));
    let mut secrets = session(&folder, &server);
    let (code, log) = server.stopped();
    assert_eq!(code, 0, "{log}");
    logs += &log;
    for expected in ["\"level\":\"DEBUG\"", "accepted", "attempt broke off", "refused"] {
        assert!(logs.contains(expected), "the log is not what this test is about: {expected} is not in {logs}");
    }
    secrets.extend([PARTICIPANT, PAYEE, AMOUNT, KEY].into_iter().chain(LITERALS).map(str::to_owned));
    secrets.extend(["Zyzzogeton", "Unobtainium", "48151623", "90210777", "geton", "Kwijibo"].map(str::to_owned));
    for form in secrets.iter().flat_map(|secret| forms(secret)) {
        let found: Vec<&str> = logs.lines().filter(|line| line.contains(&form)).collect();
        assert!(found.is_empty(), "'{form}' is in the log: {found:#?}");
    }
}
