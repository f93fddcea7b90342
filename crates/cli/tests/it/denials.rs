//! Every operation of the API, by those who may not: nobody, strangers, the same tenant without
//! the grants, viewers where an owner or admin is needed.
//!
//! The operations are read from the document that the running service gives out. One without a
//! case here fails the test, so that nothing new is served before somebody has said who must not
//! have it.

use std::collections::BTreeMap;

use payouts_testkit::TestServer;
use reqwest::Method;
use serde_json::Value;

use crate::wire::{Answer, Api};
use crate::{Folder, payouts};

/// Who asks. The Export in question is `owner`'s, over participant 1000042.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    /// Made it.
    Owner,
    /// No token at all.
    Nobody,
    /// A token of another installation.
    Forged,
    /// The same tenant, no grant.
    Ungranted,
    /// The same tenant, a grant that has ended.
    Expired,
    /// The same tenant, another participant.
    Elsewhere,
    /// The same tenant and participant, another program.
    OtherProgram,
    /// The same tenant, the same pairs: sees it, but did not make it.
    Fellow,
    /// An admin of the tenant with other pairs: sees its state, no file and no totals.
    Admin,
    /// Another tenant, its own participant.
    Stranger,
}

/// What must come of it.
#[derive(Clone, Copy, Debug)]
enum Outcome {
    /// Status and code.
    Refused(u16, &'static str),
    /// An answer that does not hold the owner's Export.
    Without,
    /// An answer without file, rows and totals.
    StateOnly,
    /// Good for anybody, and the same for everybody.
    Public,
}
use Outcome::{Public, Refused, StateOnly, Without};
use Who::{Admin, Elsewhere, Expired, Fellow, Forged, Nobody, OtherProgram, Stranger, Ungranted};

/// Whoever has no valid token or no grant in force learns nothing from any operation but links.
const CALLERS: [(Who, Outcome); 4] = [
    (Nobody, Refused(401, "Unauthenticated")),
    (Forged, Refused(401, "Unauthenticated")),
    (Ungranted, Refused(403, "NoGrants")),
    (Expired, Refused(403, "NoGrants")),
];

const NOT_FOUND: Outcome = Refused(404, "ExportNotFound");

/// The cases of an operation, by its id without the report; `None`: nobody has thought of it yet.
fn cases(operation: &str) -> Option<Vec<(Who, Outcome)>> {
    let more: &[(Who, Outcome)] = match operation {
        "create" | "preview" => &[
            (Elsewhere, Refused(403, "ParticipantNotGranted")),
            (Stranger, Refused(403, "ParticipantNotGranted")),
            (Admin, Refused(403, "ParticipantNotGranted")),
        ],
        "list" => &[(Elsewhere, Without), (OtherProgram, Without), (Stranger, Without), (Admin, StateOnly)],
        "get" => &[(Elsewhere, NOT_FOUND), (OtherProgram, NOT_FOUND), (Stranger, NOT_FOUND), (Admin, StateOnly)],
        "manifest" => &[(Elsewhere, NOT_FOUND), (OtherProgram, NOT_FOUND), (Stranger, NOT_FOUND), (Admin, NOT_FOUND)],
        "delete" => &[
            (Elsewhere, NOT_FOUND),
            (OtherProgram, NOT_FOUND),
            (Stranger, NOT_FOUND),
            (Fellow, Refused(403, "NotTheOwner")),
        ],
        "metadata" => &[],
        // A link needs no token, and a token is none: every caller comes with a link that was made for
        // somebody else, or with none.
        "download" | "probe" => {
            return Some(
                [Nobody, Forged, Ungranted, Expired, Elsewhere, OtherProgram, Fellow, Admin, Stranger]
                    .map(|who| (who, Refused(403, "LinkInvalid")))
                    .to_vec(),
            );
        }
        "healthz" | "readyz" => return Some([Nobody, Forged, Stranger].map(|who| (who, Public)).to_vec()),
        _ => return None,
    };
    Some(CALLERS.iter().chain(more).copied().collect())
}

struct Setting {
    apis: BTreeMap<Who, Api>,
    server: TestServer,
    /// The id of the owner's Export by report.
    exports: BTreeMap<String, Value>,
    _folder: Folder,
}

fn setting() -> Setting {
    let folder = Folder::new();
    let data = folder.at("data");
    payouts().run(["sample", "--data", &data, "--rows", "3000", "--earnings", "1500"]).good();
    let grant = |args: &[&str]| payouts().run([&["grant", "--data", &data], args].concat()).good();
    let program = "CSP Indirect Provider";
    for owner in ["owner", "fellow"] {
        grant(&["--tenant", "home", "--principal", owner, "--participant", "1000042", "--program", program]);
    }
    grant(&["--tenant", "home", "--principal", "elsewhere", "--participant", "1000113"]);
    grant(&["--tenant", "home", "--principal", "program", "--participant", "1000042", "--program", "Other"]);
    grant(&["--tenant", "home", "--principal", "admin", "--participant", "1000113", "--role", "admin"]);
    grant(&["--tenant", "home", "--principal", "expired", "--all-participants", "--until", "2020-01-01"]);
    grant(&["--tenant", "abroad", "--participant", "1000113"]);
    let path = folder.path().join("data");
    let server = TestServer::start(&payouts(), &path);
    let token = |tenant: &str, principal: &str| payouts().token(&path, tenant, principal);
    let foreign = payouts().token(&folder.path().join("other"), "home", "owner");
    let apis = [
        (Who::Owner, token("home", "owner")),
        (Forged, foreign),
        (Ungranted, token("home", "nobody")),
        (Expired, token("home", "expired")),
        (Elsewhere, token("home", "elsewhere")),
        (OtherProgram, token("home", "program")),
        (Fellow, token("home", "fellow")),
        (Admin, token("home", "admin")),
        (Stranger, token("abroad", "owner")),
    ];
    let mut apis: BTreeMap<Who, Api> =
        apis.into_iter().map(|(who, token)| (who, Api::new(&server.url, &token))).collect();
    apis.insert(Nobody, Api::anonymous(&server.url));
    let exports = ["payments", "transactionhistory"]
        .map(|report| (report.to_owned(), apis[&Who::Owner].export(report, "$filter=true&fileFormat=csv")));
    Setting { apis, server, exports: exports.into(), _folder: folder }
}

/// An operation of the document.
struct Operation {
    /// Its id without the report.
    kind: String,
    method: Method,
    path: String,
    report: String,
    documented: Vec<String>,
}

fn operations(document: &Value) -> Vec<Operation> {
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (verb, operation) in item.as_object().expect("an item").iter().filter(|(verb, _)| *verb != "parameters") {
            let id = operation["operationId"].as_str().expect("an id");
            let (kind, report) = id.split_once('_').unwrap_or((id, "payments"));
            found.push(Operation {
                kind: kind.to_owned(),
                method: verb.to_uppercase().parse().expect("a verb"),
                path: path.clone(),
                report: report.to_owned(),
                documented: operation["responses"].as_object().expect("responses").keys().cloned().collect(),
            });
        }
    }
    // What deletes comes last, so that everything before it finds the Export.
    found.sort_by_key(|operation| operation.method == Method::DELETE);
    found
}

impl Setting {
    fn call(&self, operation: &Operation, who: Who) -> Answer {
        let export = &self.exports[&operation.report];
        let mut path = operation.path.replace("{requestId}", export["requestId"].as_str().unwrap());
        if operation.method == Method::POST {
            path += "?$filter=enrollmentParticipantId%20eq%20'1000042'&fileFormat=csv";
        }
        if path.starts_with("/files/") {
            let link = export["blobLocation"].as_str().unwrap().strip_prefix(&self.server.url).expect("our own link");
            path = if who == Who::Owner { link.to_owned() } else { taken_over(link, who) };
        }
        self.apis[&who].call(operation.method.clone(), &path, &[])
    }
}

/// The owner's link, made to look like somebody else's.
fn taken_over(link: &str, who: Who) -> String {
    use base64::Engine as _;
    let encode = |text: &str| base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(text);
    let (principal, tenant) = match who {
        Nobody => return link.split_once('?').expect("a query").0.to_owned(),
        Stranger => ("owner", "abroad"),
        Fellow => ("fellow", "home"),
        Admin => ("admin", "home"),
        Elsewhere => ("elsewhere", "home"),
        _ => ("nobody", "home"),
    };
    let changed = link.replace(&encode("home"), &encode(tenant)).replace(&encode("owner"), &encode(principal));
    assert_ne!(changed, link);
    changed
}

fn check(operation: &Operation, who: Who, outcome: Outcome, answer: &Answer, owned: &Value) {
    let said = String::from_utf8_lossy(&answer.body).into_owned();
    let what = format!("{} {} by {who:?}: {} {said}", operation.method, operation.path, answer.status);
    let status = answer.status.as_u16();
    assert!(operation.documented.contains(&status.to_string()), "not documented: {what}");
    let id = owned["requestId"].as_str().unwrap();
    match outcome {
        Refused(expected, code) => {
            assert_eq!(status, expected, "{what}");
            if operation.method == Method::HEAD {
                assert_eq!(answer.header("x-ms-error-code"), "AuthenticationFailed", "{what}");
            } else {
                assert_eq!(answer.code(), code, "{what}");
            }
            assert!(!said.contains(id), "the refusal names it: {what}");
            let challenge = if status == 401 { "Bearer error=\"invalid_token\"" } else { "" };
            assert_eq!(answer.header("www-authenticate"), challenge, "{what}");
        }
        Without => {
            assert_eq!(status, 200, "{what}");
            assert_eq!((&answer.json()["totalCount"], said.contains(id)), (&Value::from(0), false), "{what}");
        }
        StateOnly => {
            assert_eq!(status, 200, "{what}");
            let json = answer.json();
            let mut all = json["value"].as_array().unwrap().iter();
            let seen = all.find(|export| export["requestId"] == id).expect("an admin sees its state");
            assert_eq!((&seen["requestId"], &seen["status"]), (&owned["requestId"], &owned["status"]), "{what}");
            assert_eq!(
                (&seen["rowCount"], &seen["fileSizeBytes"], &seen["blobLocation"]),
                (&Value::Null, &Value::Null, &"".into()),
                "{what}"
            );
            assert_eq!(seen["progress"]["rowsDone"], 0, "{what}");
        }
        Public => assert_eq!(status, 200, "{what}"),
    }
}

#[test]
fn every_documented_operation_refuses_whoever_may_not() {
    let setting = setting();
    let document = setting.apis[&Nobody].get_json("/openapi.json");
    let operations = operations(&document);
    assert!(operations.len() >= 17, "the document has lost operations");
    for operation in &operations {
        let cases = cases(&operation.kind);
        let cases =
            cases.unwrap_or_else(|| panic!("nobody has said who must not {} {}", operation.method, operation.path));
        let mut public = Vec::new();
        for (who, outcome) in cases {
            let answer = setting.call(operation, who);
            check(operation, who, outcome, &answer, &setting.exports[&operation.report]);
            if matches!(outcome, Public) {
                public.push(answer.body);
            }
        }
        assert!(public.windows(2).all(|two| two[0] == two[1]), "{} is not the same for everybody", operation.path);
        // The same call by whoever may: the refusals were not for another reason.
        let answer = setting.call(operation, Who::Owner);
        assert!(answer.status.is_success(), "{} {}: {answer:?}", operation.method, operation.path);
    }
}
