//! `doctor`: every fault is planted once, found, named, and gone after it was mended; a whole
//! directory has no findings, also beside a running service.

use std::path::{Path, PathBuf};

use payouts_testkit::{Ran, TestServer};

use crate::planted::{self, Planted};
use crate::wire::Api;
use crate::{Folder, payouts};

fn doctor(data: &str, more: &[&str]) -> Ran {
    payouts().run([&["doctor", "--data", data], more].concat())
}

#[track_caller]
fn finds(data: &str, more: &[&str], texts: &[&str]) {
    let ran = doctor(data, more);
    assert_eq!(ran.code, 1, "{ran:?}");
    for text in texts {
        assert!(ran.stdout.contains(text), "'{text}' is not in: {}", ran.stdout);
    }
    assert!(ran.stderr.contains("finding"), "{}", ran.stderr);
}

/// A data directory in which one export was completed, and the path of its file.
fn with_export(rows: u64) -> (Folder, String, PathBuf) {
    let folder = Folder::with_sample(rows);
    let data = folder.path().join("data");
    let server = TestServer::start(&payouts(), &data);
    let api = Api::new(&server.url, &payouts().token(&data, "contoso", "ann"));
    let export = api.export("payments", "fileFormat=csv");
    let id = export["requestId"].as_str().unwrap().to_owned();
    assert_eq!(doctor(&folder.at("data"), &["--deep"]).good().stdout, "", "beside a running service");
    assert_eq!(server.terminate(), 0);
    let file = data.join("files").join(&id[..2]).join(format!("{id}.1"));
    (folder, data.display().to_string(), file)
}

fn file_with(folder: &Path, part: &str) -> PathBuf {
    let entries = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
    entries.into_iter().find(|p| p.display().to_string().contains(part)).unwrap()
}

#[test]
fn faults_of_files_are_found() {
    let (_folder, data, file) = with_export(2000);
    doctor(&data, &["--deep"]).good();
    let good = std::fs::read(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    finds(&data, &[], &["files: export", "is missing", "restore the file"]);
    std::fs::write(&file, &good[..good.len() - 1]).unwrap();
    finds(&data, &[], &["has", "bytes, not"]);
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    std::fs::write(&file, &flipped).unwrap();
    doctor(&data, &[]).good();
    finds(&data, &["--deep"], &["SHA-256"]);
    std::fs::write(&file, &good).unwrap();

    let orphan = file.with_extension("9");
    std::fs::write(&orphan, "x").unwrap();
    finds(&data, &[], &["no export owns", ".9"]);
    std::fs::remove_file(orphan).unwrap();
    let strange = file.with_file_name("notes.txt");
    std::fs::write(&strange, "x").unwrap();
    finds(&data, &[], &["notes.txt is no file of the service"]);
    std::fs::remove_file(strange).unwrap();
    let name = file.file_name().unwrap().to_str().unwrap();
    let partial = Path::new(&data).join("files/partial").join(format!("{name}.abc"));
    std::fs::write(&partial, "x").unwrap();
    let ran = doctor(&data, &["--json"]);
    let finding: serde_json::Value = serde_json::from_str(ran.stdout.trim()).unwrap();
    assert_eq!((ran.code, &finding["about"]), (1, &"files".into()), "the export is Completed: its fence has no writer");
    std::fs::remove_file(partial).unwrap();
    doctor(&data, &["--deep"]).good();
}

#[test]
fn faults_of_the_ledger_are_found() {
    let (_folder, data, _) = with_export(60_000);
    payouts().run(["ledger", "optimise", "payments", "--data", &data]).good();
    doctor(&data, &["--deep"]).good();
    let table = Path::new(&data).join("ledger/payments");
    let commit = std::fs::read_to_string(table.join(format!("_delta_log/{:020}.json", 1))).unwrap();
    let name = commit.split("part-").nth(4).map(|t| format!("part-{}", t.split('"').next().unwrap()));
    let part = table.join(name.expect("three removed files and one that was added"));
    let good = std::fs::read(&part).unwrap();
    std::fs::remove_file(&part).unwrap();
    finds(&data, &[], &["ledger: payments, version 1: file part-", "is missing", "payouts ledger restore"]);
    std::fs::write(&part, &good[..good.len() / 2]).unwrap();
    finds(&data, &[], &["bytes, the log says"]);
    let mut torn = good.clone();
    torn[good.len() - 20..].fill(0);
    std::fs::write(&part, &torn).unwrap();
    finds(&data, &[], &["is torn"]);
    let mut torn = good.clone();
    torn[4..good.len() / 2].fill(0x5a);
    std::fs::write(&part, &torn).unwrap();
    doctor(&data, &[]).good();
    finds(&data, &["--deep"], &["is torn"]);
    std::fs::write(&part, &good).unwrap();

    let log = table.join(format!("_delta_log/{:020}.json", 0));
    let text = std::fs::read_to_string(&log).unwrap();
    std::fs::remove_file(&log).unwrap();
    finds(&data, &[], &["the log of payments has a gap", "version 0"]);
    std::fs::write(&log, &text[..text.len() / 2]).unwrap();
    finds(&data, &[], &["commit of version 0 of payments is torn"]);
    std::fs::write(&log, &text).unwrap();
    doctor(&data, &["--deep"]).good();
}

#[test]
fn faults_of_work_keys_and_room_are_found() {
    let (_folder, data, _) = with_export(1000);
    let path = Path::new(&data);
    finds(&data, &["--free-bytes-min", "18446744073709551615"], &["disk: ", "bytes are free"]);
    let held = planted::processing(path, Some(77));
    finds(&data, &[], &["leases: the lease of export", &held, "version 77 of payments cannot be read", "ledger: "]);
    planted::remove(path, &held);
    doctor(&data, &[]).good();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let key = file_with(&path.join("keys"), "links.json");
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
        finds(&data, &[], &["keys: ", "open to other users (mode 644)", "chmod 600"]);
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    doctor(&data, &[]).good();
}

#[test]
fn a_damaged_database_is_found() {
    let (_folder, data, _) = with_export(500);
    let path = Path::new(&data);
    for n in 0..50 {
        planted::completed(path, &Planted { number: n, ..Planted::default() });
    }
    for (number, at) in [(50, 4096 * 3), (51, 0)] {
        // Closing brings everything into the one file.
        planted::completed(path, &Planted { number, ..Planted::default() });
        let database = path.join("payouts.db");
        let good = std::fs::read(&database).unwrap();
        let mut bad = good.clone();
        bad[at..at + 4096].fill(0xa5);
        std::fs::write(&database, &bad).unwrap();
        finds(&data, &[], &["database: ", "restore payouts.db from a backup"]);
        std::fs::write(&database, &good).unwrap();
    }
    assert_eq!(doctor(&data, &[]).stdout.lines().filter(|l| l.starts_with("database")).count(), 0);
    payouts().run(["doctor", "--data", "/nowhere/at/all"]).failed(2, &["no data directory"]);
}

#[test]
fn looking_changes_nothing() {
    let (_folder, data, _) = with_export(500);
    let list = || {
        let mut found = Vec::new();
        let mut folders = vec![PathBuf::from(&data)];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).unwrap() {
                let entry = entry.unwrap();
                let meta = entry.metadata().unwrap();
                match meta.is_dir() {
                    true => folders.push(entry.path()),
                    // SQLite's shared memory is a reader's tool too.
                    false if entry.path().display().to_string().contains("payouts.db-") => {}
                    false => found.push((entry.path(), meta.len(), meta.modified().unwrap())),
                }
            }
        }
        found.sort();
        found
    };
    let before = list();
    doctor(&data, &["--deep"]).good();
    assert_eq!(list(), before);
}
