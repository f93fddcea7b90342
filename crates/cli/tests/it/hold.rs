//! `hold` and `sweep --dry-run`: what is held stays whatever its age, and the list is what goes.

use std::path::Path;
use std::time::{Duration, Instant};

use payouts_testkit::TestServer;

use crate::planted::{LONG_AGO, Planted, completed};
use crate::wire::Api;
use crate::{Folder, payouts};

fn gone(path: &Path) {
    let begin = Instant::now();
    while path.exists() {
        assert!(begin.elapsed() < Duration::from_secs(60), "{} is still there", path.display());
        std::thread::yield_now();
    }
}

#[test]
fn held_exports_stay_and_the_rest_goes_as_listed() {
    let folder = Folder::with_sample(500);
    let (data, path) = (folder.at("data"), folder.path().join("data"));
    let over = |number, at| Planted { number, at, file_expires_at: LONG_AGO.plus_ms(1), ..Planted::default() };
    let (held, held_file) = completed(&path, &over(1, LONG_AGO));
    let (loose, loose_file) = completed(&path, &over(2, LONG_AGO));
    let (young, young_file) = completed(&path, &Planted { number: 3, ..Planted::default() });
    let orphan = loose_file.with_extension("9");
    std::fs::write(&orphan, "x").unwrap();

    let hold = |id: &str, more: &[&str]| payouts().run([&["hold", id, "--data", &data], more].concat());
    assert!(hold(&held, &[]).good().stderr.contains("is held since"));
    hold(&young.replace("abcd", "abce"), &[]).failed(1, &["there is no export"]);
    hold("x", &[]).failed(2, &["EXPORT-ID"]);

    let list = payouts().run(["sweep", "--dry-run", "--data", &data]).good();
    let lines: Vec<&str> = list.stdout.lines().skip(1).collect();
    assert_eq!(lines.len(), 2, "{}", list.stdout);
    assert!(lines[0].starts_with(&format!("file\t{loose}\tits retention ended at 2026-01-01")), "{}", lines[0]);
    assert!(lines[1].contains(".9\tno export owns it"), "{}", lines[1]);
    assert!(loose_file.exists() && orphan.exists(), "a dry run deletes nothing");
    payouts().run(["sweep", "--data", &data]).failed(2, &["--dry-run"]);

    let server = TestServer::start(&payouts(), &path);
    gone(&loose_file);
    gone(&orphan);
    assert!(held_file.exists() && young_file.exists());
    let api = Api::new(&server.url, &payouts().token(&path, "contoso", "ann"));
    let url = |id: &str| format!("/v1.0/payouts/payments/{id}");
    let export = api.get_json(&url(&held));
    assert_eq!(export["status"], "Completed");
    assert_eq!(api.file(&export), b"paymentID\r\n1\r\n", "a held file can be downloaded after its time");
    assert_eq!(api.get_json(&url(&loose))["blobLocation"], "");
    let refused = api.delete(&url(&held)).expect(409);
    assert_eq!(refused.code(), "ExportHeld");
    assert!(held_file.exists());
    let list = payouts().run(["sweep", "--dry-run", "--data", &data]).good();
    assert_eq!(list.stdout.lines().count(), 1, "all of it went: {}", list.stdout);

    // Released while the service runs, it can be deleted at once.
    assert!(hold(&held, &["--release"]).good().stderr.contains("is released"));
    let list = payouts().run(["sweep", "--dry-run", "--data", &data]).good();
    assert!(list.stdout.contains(&held), "{}", list.stdout);
    api.delete(&url(&held)).expect(200);
    gone(&held_file);
    api.get(&url(&held)).expect(404);
    drop(server);

    // Exports of more than seven years ago are listed and go, held ones apart.
    let ancient = LONG_AGO.plus_ms(-10 * 365 * 86_400_000);
    let (old, old_file) = completed(&path, &Planted { file_expires_at: ancient, ..over(4, ancient) });
    let (kept, _) = completed(&path, &Planted { file_expires_at: ancient, ..over(5, ancient) });
    hold(&kept, &[]).good();
    let server = TestServer::start(&payouts(), &path);
    gone(&old_file);
    let api = Api::new(&server.url, &payouts().token(&path, "contoso", "ann"));
    let begin = Instant::now();
    while api.get(&url(&old)).status != 404 {
        assert!(begin.elapsed() < Duration::from_secs(60), "the old export is still there");
    }
    api.get(&url(&kept)).expect(200);
}
