//! `ledger`: undoing, joining and clearing under a running service, seen through its exports and
//! through an independent replay of the Delta log.

use std::path::Path;
use std::process::Child;
use std::time::Duration;

use payouts_testkit::TestServer;
use serde_json::Value;

use crate::oracles::{python, run_tool};
use crate::wire::Api;
use crate::{Folder, payouts};

const ALL: &str = "$filter=paymentAmount%20gt%20-1e12&fileFormat=csv&$select=*,payoutOrderType,payoutStatusUpdateTS";

/// A sample of several files, a service over it, and somebody who sees everything.
struct Served {
    folder: Folder,
    data: String,
    api: Api,
    _server: TestServer,
}

fn served(rows: u64) -> Served {
    let folder = Folder::with_sample(rows);
    let path = folder.path().join("data");
    let server = TestServer::start(&payouts(), &path);
    let api = Api::new(&server.url, &payouts().token(&path, "contoso", "ann"));
    Served { data: folder.at("data"), api, folder, _server: server }
}

impl Served {
    /// The text of everything, and the Export that it is from.
    fn everything(&self) -> (Vec<u8>, Value) {
        let export = self.api.export("payments", ALL);
        (self.api.file(&export), export)
    }

    fn ledger(&self, args: &[&str]) -> payouts_testkit::Ran {
        payouts().run([&["ledger"], args, &["--data", &self.data]].concat())
    }

    fn history(&self) -> Vec<Value> {
        let ran = self.ledger(&["history", "payments", "--json"]).good();
        ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Imports the first rows again with another amount and a newer time, as a wrong file would.
    fn import_wrong(&self, csv: &[u8], rows: usize, amount: &str) -> Child {
        let mut reader = csv::Reader::from_reader(csv);
        let header = reader.headers().unwrap().clone();
        let place = |name: &str| header.iter().position(|h| h == name).unwrap();
        let (total, time) = (place("totalPayment"), place("payoutStatusUpdateTS"));
        let file = self.folder.at(&format!("wrong-{amount}.csv"));
        let mut writer = csv::Writer::from_path(&file).unwrap();
        writer.write_record(&header).unwrap();
        let later = format!("2031-01-01T00:00:{}Z", &amount[2..]);
        for record in reader.records().take(rows) {
            let record = record.unwrap();
            let changed = record.iter().enumerate().map(|(i, value)| match i {
                i if i == total => amount,
                i if i == time => &later,
                _ => value,
            });
            writer.write_record(changed).unwrap();
        }
        writer.flush().unwrap();
        let mut import = payouts().command(["import", "payments", &file, "--data", &self.data]);
        import.stderr(std::process::Stdio::null()).spawn().unwrap()
    }

    /// Makes everything in the table look so many days old.
    fn age(&self, days: u64) {
        let table = Path::new(&self.data).join("ledger/payments");
        for folder in [table.clone(), table.join("_delta_log")] {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_file() {
                    let file = std::fs::File::options().write(true).open(&path).unwrap();
                    let at = file.metadata().unwrap().modified().unwrap() - Duration::from_secs(days * 86_400);
                    file.set_modified(at).unwrap();
                }
            }
        }
        // Commits say when they were made; the sample's is now, so these words age too.
        let log = table.join("_delta_log");
        for entry in std::fs::read_dir(log).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|e| e == "json") {
                let modified = path.metadata().unwrap().modified().unwrap();
                let text = std::fs::read_to_string(&path).unwrap();
                let older = |line: &str| {
                    let mut line: Value = serde_json::from_str(line).unwrap();
                    if let Some(at) = line.pointer_mut("/commitInfo/timestamp") {
                        *at = (at.as_i64().unwrap() - days as i64 * 86_400_000).into();
                    }
                    format!("{line}\n")
                };
                std::fs::write(&path, text.lines().map(older).collect::<String>()).unwrap();
                std::fs::File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
            }
        }
    }
}

#[test]
fn an_import_is_undone_and_files_are_joined_under_a_running_service() {
    let served = served(60_000);
    let (good, _) = served.everything();
    assert!(served.import_wrong(&good, 400, "0.01").wait().unwrap().success());
    let (wrong, _) = served.everything();
    assert_ne!(wrong, good);

    let ran = served.ledger(&["restore", "payments", "--version", "0"]).good();
    assert_eq!(ran.stdout, "");
    assert!(ran.stderr.contains("version 2 now, with the rows of version 0"), "{}", ran.stderr);
    assert!(served.everything().0 == good, "the rows are not those of before the import");
    let again = served.ledger(&["restore", "payments", "--version", "0"]).good();
    assert!(again.stderr.contains("no new version"), "{}", again.stderr);

    let files = served.history()[2]["files"].as_u64().unwrap();
    assert!(files > 1, "nothing to join");
    let ran = served.ledger(&["optimise", "payments"]).good();
    assert!(ran.stderr.contains("version 3 now") && ran.stderr.contains("60,000 rows"), "{}", ran.stderr);
    let (joined, export) = served.everything();
    assert!(joined == good, "joining changed rows or their order");
    let id = export["requestId"].as_str().unwrap();
    let manifest = served.api.get_json(&format!("/v1.0/payouts/payments/{id}/manifest"));
    assert_eq!(manifest["dataVersion"], 3);
    served.ledger(&["optimise", "payments"]).good();

    let history = served.history();
    let operations: Vec<_> = history.iter().map(|v| v["operation"].as_str().unwrap()).collect();
    assert_eq!(operations, ["WRITE", "MERGE", "RESTORE", "OPTIMIZE"]);
    assert!([0, 2, 3].iter().all(|n: &usize| history[*n]["rows"] == 60_000), "{history:?}");
    assert_eq!(history[3]["files"], 1);
    let table = served.ledger(&["history", "payments"]).good().stdout;
    assert!(table.contains("RESTORE of 0") && table.contains("OPTIMIZE"), "{table}");
    // A reader that knows nothing of this program finds the same rows.
    if let Some(python) = python(&["duckdb"], &[]) {
        let path = served.folder.write("good.csv", std::str::from_utf8(&good).unwrap());
        run_tool(&python, "delta_replay.py", &[&format!("{}/ledger/payments", served.data), &path]);
    }
    assert!(served.import_wrong(&good, 10, "0.02").wait().unwrap().success());
    assert_eq!(served.history().len(), 5, "imports go on after a restore");
}

#[test]
fn a_vacuum_keeps_what_manifests_promise_and_frees_the_rest() {
    let served = served(5_000);
    let (good, first) = served.everything();
    assert!(served.import_wrong(&good, 5_000, "0.01").wait().unwrap().success());
    assert!(served.import_wrong(&good, 5_000, "0.03").wait().unwrap().success());
    served.ledger(&["restore", "payments", "--version", "0"]).good();
    assert!(served.import_wrong(&good, 5_000, "0.04").wait().unwrap().success());
    let vacuum = |args: &[&str]| served.ledger(&[&["vacuum", "payments"], args].concat());
    vacuum(&["--older-than", "6"]).failed(2, &["--older-than", "7"]);
    assert!(vacuum(&[]).good().stderr.contains("0 files"), "young files stay");
    served.age(60);
    let id = first["requestId"].as_str().unwrap();
    let manifest = served.api.get_json(&format!("/v1.0/payouts/payments/{id}/manifest"));
    let promised = manifest["reproducibleUntil"].as_str().unwrap();
    assert!(promised > manifest["requestedAt"].as_str().unwrap(), "{promised}");
    let readable = || served.history().iter().map(|v| v["readable"] == true).collect::<Vec<_>>();
    let versions = readable().len();

    let would = vacuum(&["--dry-run"]).good();
    assert!(would.stderr.contains("dry run") && would.stdout.lines().count() > 0, "{would:?}");
    assert!(readable().iter().all(|r| *r), "a dry run deletes nothing");
    let did = vacuum(&[]).good();
    assert_eq!(did.stdout, would.stdout);
    let now = readable();
    assert!(now[0], "an export's manifest promises version 0 for 30 days");
    assert!(!now[1], "{}", did.stderr);
    assert!(now[versions - 1]);
    served.ledger(&["restore", "payments", "--version", "1"]).failed(1, &["nothing was changed", "gone", "history"]);

    served.api.delete(&format!("/v1.0/payouts/payments/{id}")).expect(200);
    vacuum(&["--older-than", "7"]).good();
    assert!(!readable()[0], "nothing promises it any more");
    let (rows, _) = served.everything();
    assert_eq!(rows.len(), served.everything().0.len());
}

#[test]
fn changes_beside_imports_wait_and_none_is_lost() {
    let served = served(20_000);
    let (good, _) = served.everything();
    let import = |amount: &str| served.import_wrong(&good, 20_000, amount);
    let run =
        |args: &[&str]| payouts().command([&["ledger"], args, &["--data", &served.data]].concat()).spawn().unwrap();
    let mut all = vec![
        import("0.01"),
        run(&["optimise", "payments"]),
        run(&["restore", "payments", "--version", "0"]),
        run(&["vacuum", "payments"]),
        run(&["restore", "payments", "--version", "0"]),
    ];
    for child in &mut all {
        assert!(child.wait().unwrap().success());
    }
    served.ledger(&["restore", "payments", "--version", "0"]).good();
    assert!(served.everything().0 == good);
    let history = served.history();
    assert!(history.iter().enumerate().all(|(n, v)| v["version"] == n && v["rows"] == 20_000), "{history:?}");
}

#[test]
fn what_is_not_there_is_said() {
    let folder = Folder::new();
    let data = folder.at("data");
    payouts().run(["ledger", "history", "payments", "--data", &data]).failed(1, &["payouts import"]);
    payouts().run(["ledger", "history", "payments"]).failed(2, &["--data"]);
    payouts().run(["ledger", "restore", "payments", "--data", &data]).failed(2, &["--version"]);
    let table = folder.at("elsewhere");
    let config = folder.write("payouts.toml", &format!("[reports.payments]\ntable = {table:?}\n"));
    payouts()
        .run(["ledger", "vacuum", "payments", "--config", &config])
        .failed(1, &["something else writes", "the tool that owns it"]);
}
