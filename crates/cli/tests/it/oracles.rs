//! The service as tools from outside see it: an independent engine over the same files, the Azure
//! Storage library, three unzip programs. Skips out loud where a tool is missing;
//! `PAYOUTS_TEST_TOOLS=required` turns that into a failure.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use payouts_testkit::TestServer;
use serde_json::Value;

use crate::wire::Api;
use crate::{Folder, payouts};

/// A Python that has the modules, and the programs; `None` after saying what is missing.
pub fn python(modules: &[&str], programs: &[&str]) -> Option<PathBuf> {
    let python = std::env::var_os("PAYOUTS_TEST_PYTHON").map_or_else(|| PathBuf::from("python3"), PathBuf::from);
    let runs = |command: &mut Command| {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|s| s.success())
    };
    let imports = format!("import {}", modules.join(", "));
    let mut missing: Vec<String> = Vec::new();
    if !runs(Command::new(&python).args(["-c", &imports])) {
        missing.push(format!("Python with {}", modules.join(", ")));
    }
    missing.extend(programs.iter().filter(|p| !runs(Command::new("which").arg(p))).map(ToString::to_string));
    if missing.is_empty() {
        return Some(python);
    }
    let required = std::env::var("PAYOUTS_TEST_TOOLS").is_ok_and(|v| v == "required");
    assert!(!required, "missing: {}", missing.join("; "));
    eprintln!("SKIPPED for want of {}", missing.join("; "));
    None
}

/// Runs a tool; its failure is the test's.
pub fn run_tool(python: &Path, tool: &str, args: &[&str]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools").join(tool);
    let output = Command::new(python)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .arg(path)
        .args(args)
        .output()
        .expect("Python was there a moment ago");
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{text}");
    assert!(output.status.success(), "{tool}: {text}");
}

/// A sample of its own, a service over it and a token that sees everything.
struct Served {
    folder: Folder,
    server: TestServer,
    token: String,
}

fn served(rows: u64, earnings: u64) -> Served {
    let folder = Folder::new();
    let data = folder.at("data");
    let (rows, earnings) = (rows.to_string(), earnings.to_string());
    payouts().run(["sample", "--data", &data, "--rows", &rows, "--earnings", &earnings]).good();
    payouts().run(["grant", "--data", &data, "--tenant", "contoso", "--all-participants"]).good();
    let server = TestServer::start(&payouts(), Path::new(&data));
    let token = payouts().token(Path::new(&data), "contoso", "ann");
    Served { folder, server, token }
}

#[test]
fn the_usage_lines_of_the_reference_select_what_duckdb_selects() {
    let Some(python) = python(&["duckdb", "pytz"], &[]) else { return };
    let served = served(30_000, 6_000);
    run_tool(&python, "usage_lines.py", &[&served.server.url, &served.token, &served.folder.at("data")]);
}

#[test]
fn random_filters_select_what_duckdb_and_exact_fractions_select() {
    let Some(python) = python(&["duckdb", "pytz"], &[]) else { return };
    let served = served(4_000, 2_000);
    let seed = std::env::var("PAYOUTS_TEST_SEED").unwrap_or_else(|_| "20261122".into());
    let data = served.folder.at("data");
    run_tool(&python, "random_filters.py", &[&served.server.url, &served.token, &data, "200", &seed]);
}

#[test]
fn three_unzip_programs_accept_every_kind_of_file() {
    let Some(python) = python(&["duckdb"], &["unzip", "7z"]) else { return };
    let served = served(20_000, 2_000);
    run_tool(&python, "formats.py", &[&served.server.url, &served.token]);
    run_tool(&python, "formats.py", &[&served.server.url, &served.token, "enrollmentParticipantId eq 'nobody'"]);
}

#[test]
fn the_azure_library_gets_every_byte_of_a_large_file() {
    let Some(python) = python(&["azure.storage.blob"], &[]) else { return };
    let served = served(800_000, 10);
    let api = Api::new(&served.server.url, &served.token);
    let export = api.export("payments", "$filter=paymentAmount%20gt%20-1e12&fileFormat=csv");
    let manifest = api.get_json(&format!("/v1.0/payouts/payments/{}/manifest", text(&export["requestId"])));
    let file = &manifest["files"][0];
    let size = file["bytes"].to_string();
    assert!(file["bytes"].as_u64().unwrap() > 100 << 20, "{size} bytes are not over 100 MiB");
    run_tool(&python, "azure_download.py", &[text(&export["blobLocation"]), text(&file["sha256"]), &size]);
}

#[test]
fn no_request_that_schemathesis_makes_up_gets_an_answer_outside_the_document() {
    let Some(python) = python(&["schemathesis"], &[]) else { return };
    let folder = Folder::with_sample(2000);
    let config = folder.write("payouts.toml", "[limits]\ncaller_per_second = 100000\ncaller_burst = 100000\ntenant_posts_per_second = 100000\ntenant_gets_per_second = 100000\n");
    let data = folder.at("data");
    let server = TestServer::start_with(
        &payouts(),
        &["serve", "--dev", "--config", &config, "--data", &data, "--listen", "127.0.0.1:0", "--admin-listen", "none"],
    );
    let token = payouts().token(Path::new(&data), "contoso", "ann");
    let seconds = std::env::var("PAYOUTS_TEST_SCHEMATHESIS_SECONDS").unwrap_or_else(|_| "60".into());
    let seed = std::env::var("PAYOUTS_TEST_SEED").unwrap_or_else(|_| "20261122".into());
    run_tool(&python, "made_up_requests.py", &[&server.url, &token, &seconds, &seed]);
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a string")
}
