//! Traces, as a collector of OTLP sees them. Only with the feature `otel`.

use crate::Folder;
use crate::oracles::{python, run_tool};

#[test]
fn one_trace_shows_a_request_from_its_post_to_its_file() {
    let Some(python) = python(&["duckdb", "pytz"], &[]) else { return };
    let folder = Folder::new();
    run_tool(&python, "traces.py", &[env!("CARGO_BIN_EXE_payouts"), &folder.at("work")]);
}
