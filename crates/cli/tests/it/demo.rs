//! `demo --once`: from nothing to a checked file.

use payouts_testkit::TestServer;

use crate::{Folder, payouts};

#[test]
fn it_makes_serves_exports_checks_and_ends() {
    let folder = Folder::new();
    let data = folder.at("demo");
    let args = ["demo", "--once", "--rows", "3000", "--data", &data, "--listen", "127.0.0.1:0"];
    let first = payouts().run(args).good();
    for text in ["made 3,000 payments and 300 earnings", "downloaded and checked against the manifest"] {
        assert!(first.stderr.contains(text), "'{text}' is not in: {}", first.stderr);
    }
    for text in ["participantName", "totalPayment", "currency"] {
        assert!(first.stdout.contains(text), "'{text}' is not in: {}", first.stdout);
    }
    let second = payouts().run(args).good();
    assert!(second.stderr.contains("already"), "{}", second.stderr);
}

#[test]
fn what_another_day_made_is_made_anew() {
    let folder = Folder::new();
    let data = folder.at("demo");
    let args = ["demo", "--once", "--rows", "2000", "--data", &data, "--listen", "127.0.0.1:0"];
    payouts().run(args).good();
    let marker = folder.path().join("demo/payouts-demo.json");
    let mut text: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&marker).unwrap()).unwrap();
    text["until"] = "2026-01-01".into();
    std::fs::write(&marker, text.to_string()).unwrap();
    let again = payouts().run(args).good();
    assert!(again.stderr.contains("made 2,000 payments"), "{}", again.stderr);
}

#[test]
fn a_directory_that_is_not_its_own_is_not_touched() {
    let folder = Folder::new();
    folder.write("mine.txt", "keep");
    let data = folder.path().display().to_string();
    payouts().run(["demo", "--once", "--data", &data]).failed(2, &["is not empty", "--data"]);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn data_that_is_being_served_is_not_taken_away() {
    let folder = Folder::new();
    let data = folder.at("demo");
    let demo =
        |rows: &str| payouts().run(["demo", "--once", "--rows", rows, "--data", &data, "--listen", "127.0.0.1:0"]);
    demo("1000").good();
    let server = TestServer::start(&payouts(), &folder.path().join("demo"));
    demo("2000").failed(1, &["another payouts service is running", "--data"]);
    drop(server);
    demo("1000").good();
}
