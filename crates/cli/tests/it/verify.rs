//! `verify`: good files of every format, and every way in which a file can be another one.

use std::io::{Cursor, Read, Write};

use payouts_testkit::{Ran, TestServer};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{Folder, payouts};

struct Served {
    folder: Folder,
    server: TestServer,
    token: String,
}

fn served(rows: u64) -> Served {
    let folder = Folder::with_sample(rows);
    let data = folder.path().join("data");
    let server = TestServer::start(&payouts(), &data);
    Served { token: payouts().token(&data, "contoso", "ann"), folder, server }
}

impl Served {
    /// Exports into `name` with its manifest beside it.
    fn export(&self, report: &str, name: &str, more: &[&str]) -> (String, String) {
        let (out, manifest) = (self.folder.at(name), self.folder.at(&format!("{name}.json")));
        let base = ["export", report, "--url", &self.server.url, "--out", &out, "--manifest", &manifest];
        let mut command = payouts().command([&base, more].concat());
        payouts_testkit::process::ran(command.env("PAYOUTS_TOKEN", &self.token)).good();
        (out, manifest)
    }
}

fn verify(file: &str, manifest: &str) -> Ran {
    payouts().run(["verify", file, "--manifest", manifest])
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

const ALL: &[&str] = &["--filter", "payoutStatusUpdateTS ge 2000-01-01"];

#[test]
fn good_files_of_every_format_are_as_their_manifests_say() {
    let served = served(3000);
    for name in ["a.csv", "a.tsv", "a.csv.gz", "a.tsv.gz", "a.zip", "a.tsv.zip", "a.xlsx"] {
        let (file, manifest) = served.export("payments", name, ALL);
        let ran = verify(&file, &manifest).good();
        assert_eq!(ran.stdout, "");
        assert!(
            ran.stderr.contains("3,000 rows") && ran.stderr.contains("totals as in the manifest"),
            "{}",
            ran.stderr
        );
        assert!(!ran.stderr.contains(" 0 totals"), "{}", ran.stderr);
    }
    // Earnings have amounts in constant currencies; columns can be missing; there may be no rows.
    let (file, manifest) = served.export("transactionhistory", "e.zip", &["--filter", "earningAmount gt -1e12"]);
    verify(&file, &manifest).good();
    for (name, select) in
        [("s.csv", "paymentID,totalPayment"), ("t.csv", "totalPayment"), ("u.csv", "paymentID,paymentDate")]
    {
        let (file, manifest) = served.export("payments", name, &[ALL, &["--select", select]].concat());
        verify(&file, &manifest).good();
    }
    let (file, manifest) = served.export("payments", "none.csv", &["--filter", "paymentAmount gt 99999999999"]);
    assert!(verify(&file, &manifest).good().stderr.contains("0 rows"));
}

#[test]
fn the_first_difference_is_said() {
    let served = served(2000);
    let (plain, plain_manifest) = served.export("payments", "a.csv", ALL);
    for name in ["a.csv", "a.csv.gz", "a.zip", "a.xlsx"] {
        let (file, manifest) = served.export("payments", name, ALL);
        let good = std::fs::read(&file).unwrap();
        let mut flipped = good.clone();
        flipped[good.len() / 2] ^= 1;
        std::fs::write(&file, &flipped).unwrap();
        verify(&file, &manifest).failed(1, &["SHA-256", "expected"]);
        std::fs::write(&file, &good[..good.len() - 10]).unwrap();
        verify(&file, &manifest).failed(1, &["bytes", &(good.len() - 10).to_string(), &good.len().to_string()]);
        std::fs::write(&file, &good).unwrap();
        verify(&file, &manifest).good();
    }
    let (other, other_manifest) = served.export("payments", "b.csv", &["--filter", "paymentAmount gt 2000"]);
    verify(&plain, &other_manifest).failed(1, &["bytes"]);
    verify(&other, &plain_manifest).failed(1, &["bytes"]);

    verify(&plain, &plain).failed(2, &["is not a manifest"]);
    verify(&plain, &served.folder.at("nothing.json")).failed(2, &["nothing.json"]);
    verify(&served.folder.at("nothing.csv"), &plain_manifest).failed(2, &["nothing.csv"]);
    payouts().run(["verify", &plain]).failed(2, &["--manifest"]);
}

/// The manifest with the sizes and digests of another file and its one entry, as somebody would
/// write it who wants a changed file to pass.
fn forged(manifest: &str, file: &[u8], entry: Option<&[u8]>) -> Value {
    let mut manifest: Value = serde_json::from_str(&std::fs::read_to_string(manifest).unwrap()).unwrap();
    manifest["files"][0]["bytes"] = file.len().into();
    manifest["files"][0]["sha256"] = hex(file).into();
    if let Some(text) = entry {
        manifest["files"][0]["entries"][0]["bytes"] = text.len().into();
        manifest["files"][0]["entries"][0]["sha256"] = hex(text).into();
    }
    manifest
}

#[test]
fn a_changed_amount_in_a_rebuilt_zip_is_found() {
    let served = served(2000);
    let (file, manifest) = served.export("payments", "a.zip", ALL);
    let mut archive = zip::ZipArchive::new(Cursor::new(std::fs::read(&file).unwrap())).unwrap();
    let (name, mut text) = {
        let mut entry = archive.by_index(0).unwrap();
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        (entry.name().unwrap().into_owned(), text)
    };
    // One cent more in one row of two thousand.
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let column = reader.headers().unwrap().iter().position(|h| h == "totalPayment").unwrap();
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let row = rows.iter().find(|r| r[column].contains(".1")).unwrap();
    let place = text.find(&format!("{},", &row[column])).unwrap();
    let dot = place + row[column].find(".1").unwrap();
    text.replace_range(dot..dot + 2, ".2");
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    writer.start_file(&*name, zip::write::SimpleFileOptions::default()).unwrap();
    writer.write_all(text.as_bytes()).unwrap();
    let rebuilt = writer.finish().unwrap().into_inner();
    std::fs::write(&file, &rebuilt).unwrap();
    verify(&file, &manifest).failed(1, &["bytes"]);

    let whole = served.folder.write("whole.json", &forged(&manifest, &rebuilt, None).to_string());
    verify(&file, &whole).failed(1, &[&name, "SHA-256"]);
    let entry = forged(&manifest, &rebuilt, Some(text.as_bytes()));
    let forged_entry = served.folder.write("entry.json", &entry.to_string());
    verify(&file, &forged_entry).failed(1, &["total of", "expected", "rows"]);

    // A total that was forged along leaves the finer list; a cut row leaves the count.
    let mut rows_less = entry.clone();
    rows_less["rowCount"] = 1999.into();
    let rows_less = served.folder.write("rows.json", &rows_less.to_string());
    verify(&file, &rows_less).failed(1, &["rows 2000, expected 1999"]);
    let mut header = entry;
    header["columns"][0] = "participant".into();
    let header = served.folder.write("header.json", &header.to_string());
    verify(&file, &header).failed(1, &["header"]);
}

#[test]
fn a_quote_that_never_closes_does_not_fill_the_memory() {
    let served = served(500);
    let (file, manifest) = served.export("payments", "a.csv", ALL);
    let mut text = std::fs::read(&file).unwrap();
    text.push(b'"');
    text.resize(text.len() + (80 << 20), b'x');
    std::fs::write(&file, &text).unwrap();
    let forged = served.folder.write("forged.json", &forged(&manifest, &text, None).to_string());
    verify(&file, &forged).failed(1, &["a quote is open"]);
}
