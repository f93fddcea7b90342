//! `kill -9` in the middle of an export, then a start: the Export completes, the file is right,
//! and no file is left that no Export owns.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use payouts_testkit::TestServer;

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
