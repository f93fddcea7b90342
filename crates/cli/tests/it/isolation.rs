//! Two tenants: neither sees the other's requests, and no row outside the granted pairs leaves in
//! any form, whatever the filter says.

use payouts_testkit::TestServer;
use reqwest::Method;
use serde_json::Value;

use crate::wire::Api;
use crate::{Folder, payouts};

/// Ways to say "everything".
const DISGUISES: &[&str] = &[
    "true",
    "1 eq 1",
    "payoutOrderType eq 'REBATE' or true",
    "payoutOrderType eq 'REBATE' or not false",
    "not (paymentAmount gt 1 and paymentAmount lt 1)",
    "paymentAmount ge -1e30",
    "length(participantName) ge 0 or participantName eq null",
    "contains(participantName, '') or salesTax eq null or salesTax ne null",
    "participantID ne 'x'",
    "not (participantID in ())",
    "programName ne null or 1 lt 2",
    "paymentAmount mul 0 eq 0 or paymentAmount divby 0 eq null",
    "concat(programName, 'x') ne 'x'",
];

struct Setting {
    folder: Folder,
    server: TestServer,
    narrow: Api,
    other: Api,
}

/// `narrow` sees one participant's one programme; `other` sees another participant.
fn setting() -> Setting {
    let folder = Folder::new();
    let data = folder.at("data");
    payouts().run(["sample", "--data", &data, "--rows", "6000", "--earnings", "3000"]).good();
    let grant = |args: &[&str]| payouts().run([&["grant", "--data", &data], args].concat()).good();
    grant(&["--tenant", "narrow", "--participant", "1000042", "--program", "CSP Indirect Provider"]);
    grant(&["--tenant", "other", "--participant", "1000113"]);
    let server = TestServer::start(&payouts(), folder.path().join("data").as_path());
    let api = |tenant: &str| Api::new(&server.url, &payouts().token(&folder.path().join("data"), tenant, "ann"));
    let (narrow, other) = (api("narrow"), api("other"));
    Setting { folder, server, narrow, other }
}

fn column(header: &csv::StringRecord, name: &str) -> usize {
    header.iter().position(|h| h.eq_ignore_ascii_case(name)).expect("the column is in the file")
}

fn assert_only_granted(text: &[u8], participant_column: &str) -> usize {
    let mut reader = csv::Reader::from_reader(text);
    let header = reader.headers().unwrap().clone();
    let (participant, program) = (column(&header, participant_column), column(&header, "programName"));
    let rows: Vec<_> = reader.records().map(|r| r.unwrap()).collect();
    for row in &rows {
        assert_eq!(&row[participant], "1000042");
        assert_eq!(&row[program], "CSP Indirect Provider");
    }
    rows.len()
}

fn encode(text: &str) -> String {
    text.bytes()
        .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}

#[test]
fn no_filter_widens_what_is_granted() {
    let setting = setting();
    let window = "paymentAmount ge -1e12";
    let whole = setting.narrow.export("payments", &format!("$filter={}&fileFormat=csv", encode(window)));
    let granted = assert_only_granted(&setting.narrow.file(&whole), "participantID");
    assert!(granted > 0, "the sample has rows of the granted pair");
    for filter in DISGUISES {
        let filter = encode(filter);
        let export = setting.narrow.export("payments", &format!("$filter={filter}&fileFormat=csv"));
        assert_eq!(assert_only_granted(&setting.narrow.file(&export), "participantID"), granted, "{filter}");
        let manifest = setting
            .narrow
            .get_json(&format!("/v1.0/payouts/payments/{}/manifest", export["requestId"].as_str().unwrap()));
        assert_eq!(manifest["rowCount"], granted);
        let preview =
            setting.narrow.post(&format!("/v1.0/payouts/payments/preview?$filter={filter}")).expect(200).json();
        let rows = preview["rowCount"].as_u64().or_else(|| preview["rows"].as_u64());
        assert_eq!(rows, Some(granted as u64), "{preview}");
        assert!(!preview.to_string().contains("1000113"));
    }
    for filter in ["true", "earningAmount ge -1e12 or 1 eq 1", "not (participantId eq 'x')"] {
        let export = setting.narrow.export("transactionhistory", &format!("$filter={}&fileFormat=csv", encode(filter)));
        assert_only_granted(&setting.narrow.file(&export), "participantId");
    }
}

#[test]
fn participants_that_are_not_granted_are_refused_existing_or_not() {
    let setting = setting();
    for id in ["1000113", "987654321987"] {
        let answer = setting.narrow.post(&format!("/v1.0/payouts/payments?enrollmentParticipantId={id}"));
        assert_eq!(answer.expect(403).code(), "ParticipantNotGranted");
    }
    let both = "$filter=enrollmentParticipantId%20in%20('1000042','1000113')&fileFormat=csv";
    let asked = setting.narrow.post(&format!("/v1.0/payouts/payments?{both}")).expect(202).json();
    assert!(asked["warnings"][0]["code"].is_string(), "{asked}");
    let export = setting.narrow.export("payments", both);
    assert_only_granted(&setting.narrow.file(&export), "participantID");
}

#[test]
fn the_other_tenant_gets_404_from_every_operation() {
    let setting = setting();
    let export = setting.narrow.export("payments", "$filter=true");
    let id = export["requestId"].as_str().unwrap();
    let path = format!("/v1.0/payouts/payments/{id}");
    for (method, path) in [
        (Method::GET, path.clone()),
        (Method::HEAD, path.clone()),
        (Method::DELETE, path.clone()),
        (Method::GET, format!("{path}/manifest")),
        (Method::GET, path.replace("payments", "transactionhistory")),
    ] {
        assert_eq!(setting.other.call(method.clone(), &path, &[]).status, 404, "{method} {path}");
    }
    let list = setting.other.get_json("/v1.0/payouts/payments");
    assert_eq!((&list["totalCount"], list["value"].as_array().map(Vec::len)), (&Value::from(0), Some(0)));
    // The maker still has it.
    setting.narrow.get(&path).expect(200);
    assert_eq!(setting.narrow.get_json("/v1.0/payouts/payments")["totalCount"], 1);
}

#[test]
fn a_revoked_grant_closes_links_and_lists_at_once() {
    let setting = setting();
    let export = setting.narrow.export("payments", "$filter=true&fileFormat=csv");
    let (id, link) = (export["requestId"].as_str().unwrap(), export["blobLocation"].as_str().unwrap());
    setting.narrow.get(link).expect(200);
    let data = setting.folder.at("data");
    payouts().run(["grant", "--data", &data, "--tenant", "narrow", "--participant", "1"]).good();
    let program = "CSP Indirect Provider";
    let revoke = ["revoke", "--data", &data, "--tenant", "narrow", "--participant", "1000042", "--program", program];
    payouts().run(revoke).good();
    let answer = setting.narrow.get(link);
    assert!(answer.status.is_client_error(), "{answer:?}");
    assert_eq!(setting.narrow.get(&format!("/v1.0/payouts/payments/{id}")).status, 404);
    payouts().run(["revoke", "--data", &data, "--tenant", "narrow", "--all"]).good();
    assert_eq!(setting.narrow.get(&format!("/v1.0/payouts/payments/{id}")).expect(403).code(), "NoGrants");
    assert_eq!(setting.narrow.post("/v1.0/payouts/payments").expect(403).code(), "NoGrants");
    drop(setting.server);
}
