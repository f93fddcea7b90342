//! Backup under load and restore, with the very commands of `docs/operations.md`.

use std::path::Path;

use crate::Folder;
use crate::oracles::{python, run_tool};

#[test]
fn a_backup_under_load_restores_everything_that_was_promised_before_it() {
    let Some(python) = python(&["duckdb", "pytz"], &["sqlite3", "tar"]) else { return };
    let folder = Folder::new();
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/operations.md");
    let document = document.to_str().expect("a path in UTF-8");
    run_tool(&python, "backup.py", &[env!("CARGO_BIN_EXE_payouts"), &folder.at("work"), document]);
}
