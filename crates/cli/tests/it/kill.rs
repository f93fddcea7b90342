//! `kill -9` in the middle of an export, then a start: the Export completes, the file is right,
//! and no file is left that no Export owns. The same at every named point of an export's and an
//! import's life, and at random under load (`tools/kills.py`; `.ci/long kills` is its long form).

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use payouts_testkit::TestServer;

use crate::oracles::{python, run_tool};
use crate::wire::Api;
use crate::{Folder, payouts};

fn files_below(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.path().is_dir() { files_below(&entry.path(), found) } else { found.push(entry.path()) }
    }
}

fn blobs(data: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    files_below(&data.join("files"), &mut found);
    found
}

#[test]
fn a_killed_export_completes_after_a_restart() {
    let folder = Folder::with_sample(300_000);
    let data = folder.path().join("data");
    let token = payouts().token(&data, "contoso", "ann");
    let query = "$filter=paymentAmount%20gt%20-1e12&fileFormat=csv.gz";
    let mut server = TestServer::start(&payouts(), &data);
    let api = Api::new(&server.url, &token);
    let whole = api.file(&api.export("payments", query));

    let id = api.post(&format!("/v1.0/payouts/payments?{query}")).expect(202).json()["requestId"]
        .as_str()
        .unwrap()
        .to_owned();
    // Wait until rows are being written, then pull the plug.
    let begin = Instant::now();
    let before = blobs(&data).len();
    loop {
        let export = api.get_json(&format!("/v1.0/payouts/payments/{id}"));
        assert_ne!(export["status"], "Completed", "too quick to be killed: use more rows");
        if export["status"] == "Processing" && blobs(&data).len() > before {
            break;
        }
        assert!(begin.elapsed() < Duration::from_secs(60), "{export}");
    }
    server.kill();
    drop(server);

    let server = TestServer::start(&payouts(), &data);
    let api = Api::new(&server.url, &token);
    let export = api.wait("payments", &id);
    assert_eq!(export["status"], "Completed", "{export}");
    assert_eq!(api.file(&export), whole, "the same data version gives the same bytes");
    assert_eq!(blobs(&data).len(), 2, "a file that no Export owns: {:?}", blobs(&data));

    // Deleted: the link is dead at once, nothing is left.
    let link = export["blobLocation"].as_str().unwrap().to_owned();
    api.delete(&format!("/v1.0/payouts/payments/{id}")).expect(200);
    assert!(api.get(&link).status.is_client_error());
    api.get(&format!("/v1.0/payouts/payments/{id}")).expect(404);
    let begin = Instant::now();
    while blobs(&data).len() > 1 {
        assert!(begin.elapsed() < Duration::from_secs(60), "still there: {:?}", blobs(&data));
        std::thread::yield_now();
    }
}

/// The seed of the random part: given, or another at each run. The tool prints it.
fn seed() -> String {
    std::env::var("PAYOUTS_TEST_SEED").unwrap_or_else(|_| uuid::Uuid::new_v4().as_u64_pair().0.to_string())
}

fn kills(name: &str, kills: &str) {
    let Some(python) = python(&["duckdb", "pytz"], &[]) else { return };
    let folder = Folder::new();
    run_tool(&python, "kills.py", &[env!("CARGO_BIN_EXE_payouts"), &folder.at(name), kills, &seed()]);
}

#[test]
fn nothing_is_lost_at_any_point_of_a_life() {
    kills("points", "0");
}

#[test]
fn nothing_is_lost_in_25_random_kills_under_load() {
    kills("random", "25");
}

#[test]
fn faults_are_not_armed_over_data_that_nobody_marked() {
    let folder = Folder::with_sample(10);
    let mut command = payouts().command(["grants", "--data", &folder.at("data")]);
    let refused = payouts_testkit::process::ran(command.env("PAYOUTS_FAULTS", "export.accept=kill"));
    refused.failed(2, &["PAYOUTS_FAULTS is set", "is not marked as data that may be lost", "unset the variable"]);
}

/// Full and read-only disks, a locked store, a damaged ledger, a clock that jumps.
fn trouble(name: &str) {
    let Some(python) = python(&["duckdb", "pytz"], &[]) else { return };
    let folder = Folder::new();
    run_tool(&python, "troubles.py", &[env!("CARGO_BIN_EXE_payouts"), &folder.at("work"), name]);
}

#[test]
fn a_full_disk_fails_exports_with_a_reason_and_passes() {
    trouble("full");
}

#[test]
fn a_read_only_disk_fails_exports_with_a_reason_and_passes() {
    trouble("readonly");
}

#[test]
fn a_locked_store_is_waited_for() {
    trouble("locked");
}

#[test]
fn a_damaged_ledger_fails_exports_with_a_reason() {
    trouble("ledger");
}

#[test]
fn a_clock_that_jumps_holds_nothing_up() {
    trouble("clock");
}

#[test]
fn what_was_promised_survives_a_power_cut_after_every_sync() {
    let Some(python) = python(&["duckdb", "pytz"], &["strace"]) else { return };
    let folder = Folder::new();
    run_tool(&python, "power_loss.py", &[env!("CARGO_BIN_EXE_payouts"), &folder.at("work"), &seed()]);
}
