//! `export`: the round trip through the real service, and its exit codes.

use std::io::Read;

use payouts_testkit::{Ran, TestServer};
use serde_json::Value;

use crate::{Folder, payouts};

struct Served {
    folder: Folder,
    server: TestServer,
    token: String,
}

fn served(rows: u64) -> Served {
    let folder = Folder::with_sample(rows);
    let server = TestServer::start(&payouts(), &folder.path().join("data"));
    let token = payouts().token(&folder.path().join("data"), "contoso", "ann");
    Served { folder, server, token }
}

impl Served {
    fn export(&self, args: &[&str]) -> Ran {
        let mut command = payouts().command([&["export", "payments", "--url", &self.server.url], args].concat());
        payouts_testkit::process::ran(command.env("PAYOUTS_TOKEN", &self.token))
    }
}

#[test]
fn every_format_comes_back_checked() {
    let served = served(2000);
    let mut texts = Vec::new();
    for name in ["a.csv", "a.csv.gz", "a.zip", "a.tsv", "a.tsv.gz", "a.tsv.zip"] {
        let out = served.folder.at(name);
        let ran = served.export(&["--out", &out, "--filter", "payoutStatusUpdateTS ge 2000-01-01"]).good();
        assert_eq!(ran.stdout, "");
        assert!(ran.stderr.contains("2,000 rows") && ran.stderr.contains("as in the manifest"), "{}", ran.stderr);
        let bytes = std::fs::read(&out).unwrap();
        texts.push(match name.rsplit_once('.').unwrap().1 {
            "gz" => {
                let mut text = String::new();
                flate2::read::MultiGzDecoder::new(&bytes[..]).read_to_string(&mut text).unwrap();
                text
            }
            "zip" => {
                let mut archive = zip::ZipArchive::new(std::io::Cursor::new(&bytes)).unwrap();
                let mut text = String::new();
                archive.by_index(0).unwrap().read_to_string(&mut text).unwrap();
                text
            }
            _ => String::from_utf8(bytes).unwrap(),
        });
    }
    assert!(texts[0].starts_with("participantID,"), "{}", &texts[0][..100]);
    assert_eq!(texts[0], texts[1]);
    assert_eq!(texts[0], texts[2]);
    assert_eq!(texts[3], texts[4]);
    assert_eq!(texts[3], texts[5]);
    let left = std::fs::read_dir(served.folder.path())
        .unwrap()
        .filter(|f| f.as_ref().unwrap().path().display().to_string().contains(".part"));
    assert_eq!(left.count(), 0);
}

#[test]
fn columns_manifest_and_a_long_filter_go_along() {
    let served = served(1000);
    let (out, manifest) = (served.folder.at("x.csv"), served.folder.at("m.json"));
    let ids: Vec<String> = (0..3000).map(|i| format!("'{i}'")).collect();
    let filter = served.folder.write("filter.txt", &format!("not (paymentId in ({}))\n", ids.join(",")));
    let filter = format!("@{filter}");
    let select = "paymentID,payoutOrderType";
    served.export(&["--out", &out, "--select", select, "--manifest", &manifest, "--filter", &filter]).good();
    assert!(std::fs::read_to_string(&out).unwrap().starts_with("paymentID,payoutOrderType\r\n"));
    let manifest: Value = serde_json::from_str(&std::fs::read_to_string(manifest).unwrap()).unwrap();
    assert_eq!(manifest["columns"], serde_json::json!(["paymentID", "payoutOrderType"]));

    let id = manifest["requestId"].as_str().unwrap();
    let again = served.folder.at("again.csv");
    served.export(&["--out", &again, "--request", id]).good();
    assert_eq!(std::fs::read(&again).unwrap(), std::fs::read(&out).unwrap());
}

#[test]
fn a_refused_filter_is_pointed_at() {
    let served = served(500);
    let out = served.folder.at("x.csv");
    let ran =
        served.export(&["--out", &out, "--filter", "paymntId eq 1"]).failed(2, &["FilterUnknownField", "paymentI"]);
    assert!(ran.stderr.contains("\n  paymntId eq 1\n  ^^^^^^^^\n"), "{}", ran.stderr);
    assert!(!std::path::Path::new(&out).exists());
}

#[test]
fn nothing_selected_is_a_file_with_a_header() {
    let served = served(500);
    let out = served.folder.at("x.csv");
    served.export(&["--out", &out, "--filter", "paymentAmount gt 99999999999"]).good();
    assert_eq!(std::fs::read_to_string(&out).unwrap().lines().count(), 1);
}

#[test]
fn who_may_not_is_told_what_to_do() {
    let served = served(500);
    let out = served.folder.at("x.csv");
    served.export(&["--out", &out, "--token", "abc"]).failed(2, &["401", "payouts token"]);
    let stranger = payouts().token(&served.folder.path().join("data"), "fabrikam", "eve");
    served
        .export(&["--out", &out, "--token", &stranger])
        .failed(2, &["403 NoGrants", "payouts grant", "fabrikam", "eve"]);
}

#[test]
fn wrong_usage_and_no_service_are_2() {
    let folder = Folder::new();
    let out = folder.at("x.csv");
    let export = |args: &[&str]| payouts().run([&["export", "payments", "--token", "t"], args].concat());
    export(&["--url", "http://127.0.0.1:9", "--out", &out]).failed(2, &["cannot reach http://127.0.0.1:9", "--url"]);
    export(&["--url", "nowhere", "--out", &out]).failed(2, &["not the URL of a service"]);
    export(&["--url", "http://127.0.0.1:9", "--out", &folder.at("no/x.csv")]).failed(2, &["there is no folder"]);
    export(&["--url", "http://127.0.0.1:9", "--out", &out, "--format", "xls"])
        .failed(2, &["csv.zip", "xlsx", "csv.excel"]);
    let signs = |args: &[&str]| export(&[&["--url", "http://127.0.0.1:9", "--out", &out], args].concat());
    signs(&["--format", "csv.excel", "--separator", "x"]).failed(2, &["semicolon"]);
    signs(&["--format", "csv.excel", "--separator", "comma", "--decimal", "comma"]).failed(2, &["a comma cannot"]);
    signs(&["--separator", "tab"]).failed(2, &["csv.excel alone"]);
    export(&["--out", &out]).failed(2, &["--url"]);
}
