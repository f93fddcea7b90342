//! The binary under load: shares of tenants, deletions at random moments, and a stop in the middle
//! of everything.

use std::collections::{HashMap, HashSet};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use payouts_testkit::TestServer;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::wire::Api;
use crate::{Folder, payouts};

const PAYMENTS: &str = "/v1.0/payouts/payments";
/// No wait is longer.
const PATIENCE: Duration = Duration::from_secs(120);
/// What lets a test send as fast as it can.
const NO_RATES: &str = "[limits]\ncaller_per_second = 1_000_000\ncaller_burst = 1_000_000\n\
    tenant_posts_per_second = 1_000_000\ntenant_gets_per_second = 1_000_000\n";

/// A service over `data` with this configuration.
fn serve(folder: &Folder, config: &str) -> TestServer {
    let config = folder.write("payouts.toml", config);
    let data = folder.at("data");
    let args = ["serve", "--dev", "--config", &config, "--data", &data, "--listen", "127.0.0.1:0"];
    TestServer::start_with(&payouts(), &[&args[..], &["--admin-listen", "none"]].concat())
}

fn id_of(export: &Value) -> String {
    export["requestId"].as_str().expect("an id").to_owned()
}

/// Files of finished and growing exports.
fn files(data: &Path) -> Vec<PathBuf> {
    let folders = std::fs::read_dir(data.join("files")).into_iter().flatten().flatten();
    folders.flat_map(|f| std::fs::read_dir(f.path()).into_iter().flatten().flatten()).map(|e| e.path()).collect()
}

fn until(what: impl Fn() -> bool, said: impl Fn() -> String) {
    let begin = Instant::now();
    while !what() {
        assert!(begin.elapsed() < PATIENCE, "{}", said());
        std::thread::yield_now();
    }
}

#[test]
fn one_request_of_another_tenant_starts_within_two_slots() {
    const QUEUED: usize = 1_000;
    let folder = Folder::with_sample(500);
    let data = folder.path().join("data");
    payouts().run(["grant", "--data", &folder.at("data"), "--tenant", "fabrikam", "--all-participants"]).good();
    let (many, one) = (payouts().token(&data, "contoso", "ann"), payouts().token(&data, "fabrikam", "bob"));
    let query = "fileFormat=csv&$filter=paymentAmount%20gt%20-1e12";
    // Nothing runs yet: all of it waits when the worker comes.
    let server = serve(&folder, &format!("workers = 0\n{NO_RATES}"));
    let api = Api::new(&server.url, &many);
    for _ in 0..QUEUED {
        api.post(&format!("{PAYMENTS}?{query}")).expect(202);
    }
    assert_eq!(server.terminate(), 0);
    let server = serve(&folder, &format!("workers = 1\n{NO_RATES}"));
    let other = Api::new(&server.url, &one);
    let asked = other.post(&format!("{PAYMENTS}?{query}")).expect(202).json();
    assert_eq!(asked["progress"]["queuePosition"], 1);
    let done = other.wait("payments", &id_of(&asked));
    assert_eq!(done["status"], "Completed", "{done}");
    let (asked_at, started_at) = (done["requestDateTime"].as_str(), done["processingStartDateTime"].as_str());

    let api = Api::new(&server.url, &many);
    let mut between = 0;
    let mut path = format!("{PAYMENTS}?$top=200");
    loop {
        let page = api.get_json(&path);
        let starts = page["value"].as_array().expect("a page").iter().map(|e| e["processingStartDateTime"].as_str());
        between += starts.filter(|at| *at > asked_at && *at < started_at).count();
        let Some(next) = page["nextLink"].as_str() else { break };
        path = next.to_owned();
    }
    assert!(between <= 2, "{between} of the other tenant's began in between");
    // Nothing is set aside for anybody: now that nobody else asks, the rest goes on.
    until(
        || api.get_json(&format!("{PAYMENTS}?$top=1&status=Completed"))["totalCount"].as_u64() >= Some(20),
        || server.log(),
    );
}

/// Numbers that a seed fixes; good enough to spread moments over a test.
struct Dice(u64);

impl Dice {
    /// `PAYOUTS_TEST_SEED`, or a new one; printed, so that a failure can be had again.
    fn new() -> Self {
        let seed = match std::env::var("PAYOUTS_TEST_SEED") {
            Ok(text) => text.parse().expect("PAYOUTS_TEST_SEED is a number"),
            Err(_) => u64::from(std::process::id()) << 20 ^ u64::from(Instant::now().elapsed().subsec_nanos()),
        };
        println!("PAYOUTS_TEST_SEED={seed}");
        Self(seed | 1)
    }
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

/// Deletes an export and checks what it answers and what is left of it.
fn delete(api: &Api, id: &str, link: Option<&str>) {
    let was = api.delete(&format!("{PAYMENTS}/{id}")).expect(200).json();
    assert!(["Queued", "Processing", "Completed"].iter().any(|s| was["status"] == *s), "{was}");
    assert_eq!((was["requestId"].as_str(), was["blobLocation"].as_str()), (Some(id), Some("")));
    assert_eq!(api.get(&format!("{PAYMENTS}/{id}")).expect(404).code(), "ExportNotFound");
    assert_eq!(api.delete(&format!("{PAYMENTS}/{id}")).expect(404).code(), "ExportNotFound");
    if let Some(link) = link {
        assert_eq!(api.get(link).expect(404).code(), "FileNotFound");
    }
}

/// What is left is whole, and it is all there is.
fn assert_whole(api: &Api, data: &Path, left: &HashSet<String>) {
    let mut digests: HashMap<String, String> = HashMap::new();
    for id in left {
        let export = api.wait("payments", id);
        assert_eq!(export["status"], "Completed", "{export}");
        let manifest = api.get_json(&format!("{PAYMENTS}/{id}/manifest"));
        let hex: String = Sha256::digest(api.file(&export)).iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(manifest["files"][0]["sha256"], hex);
        digests.insert(id.clone(), hex);
    }
    let owned = |path: &PathBuf| left.iter().any(|id| path.to_string_lossy().contains(id.as_str()));
    until(|| files(data).len() == left.len(), || format!("{} files of {} exports", files(data).len(), left.len()));
    assert!(files(data).iter().all(owned), "a file of a deleted export: {:?}", files(data));
    let listed = api.get_json(&format!("{PAYMENTS}?$top=1"))["totalCount"].as_u64();
    assert_eq!(listed, Some(left.len() as u64));
}

#[test]
fn deletions_at_random_moments_leave_nothing() {
    const EXPORTS: usize = 120;
    const FORMATS: [&str; 4] = ["csv", "csv.gz", "csv.zip", "tsv"];
    let mut dice = Dice::new();
    let folder = Folder::with_sample(20_000);
    let data = folder.path().join("data");
    let server = serve(&folder, &format!("workers = 4\n{NO_RATES}"));
    let api = Api::new(&server.url, &payouts().token(&data, "contoso", "ann"));
    let (mut open, mut deleted): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
    let mut links: HashMap<String, String> = HashMap::new();
    let mut asked = 0;
    while asked < EXPORTS || dice.below(40) > 0 {
        match dice.below(5) {
            // Some more than are deleted, so that the queue is never empty while it lasts.
            0 | 1 if asked < EXPORTS => {
                let format = FORMATS[usize::try_from(dice.below(4)).expect("a small number")];
                let path = format!("{PAYMENTS}?fileFormat={format}&$filter=paymentAmount%20gt%20-1e12");
                open.push(id_of(&api.post(&path).expect(202).json()));
                asked += 1;
            }
            2 | 3 if !open.is_empty() => {
                let id = &open[usize::try_from(dice.below(open.len() as u64)).expect("a small number")];
                let export = api.get_json(&format!("{PAYMENTS}/{id}"));
                assert_ne!(export["status"], "Failed", "{export}");
                if let Some(link) = export["blobLocation"].as_str().filter(|l| !l.is_empty()) {
                    links.insert(id.clone(), link.to_owned());
                }
            }
            4 if !open.is_empty() => {
                let id = open.swap_remove(usize::try_from(dice.below(open.len() as u64)).expect("a small number"));
                delete(&api, &id, links.get(&id).map(String::as_str));
                deleted.push(id);
            }
            _ => {}
        }
    }
    assert!(!open.is_empty() && deleted.len() > 10, "{} left, {} deleted", open.len(), deleted.len());
    let left: HashSet<String> = open.into_iter().collect();
    assert_whole(&api, &data, &left);
    for id in deleted {
        assert_eq!(api.get(&format!("{PAYMENTS}/{id}")).status, 404, "it came back");
    }
    // Nor does a restart bring anything back.
    assert_eq!(server.terminate(), 0);
    let server = serve(&folder, NO_RATES);
    let api = Api::new(&server.url, &payouts().token(&data, "contoso", "ann"));
    assert_whole(&api, &data, &left);
}

/// A request over a socket of its own, whose answer is read when somebody wants it.
struct Slow {
    stream: TcpStream,
}

impl Slow {
    fn get(server: &TestServer, path: &str, more: &str) -> Self {
        let address = server.url.trim_start_matches("http://");
        let mut stream = TcpStream::connect(address).expect("the service listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time-out can be set");
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n{more}Connection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("the request is taken");
        Self { stream }
    }

    fn first(&mut self, bytes: usize) -> String {
        let mut text = vec![0; bytes];
        self.stream.read_exact(&mut text).expect("the answer begins");
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Everything until the other side ends, or breaks off.
    fn rest(mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self.stream.read_to_end(&mut bytes) {
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => panic!("neither bytes nor an end"),
            _ => bytes,
        }
    }
}

#[test]
fn a_running_download_of_a_deleted_file_is_cut() {
    let folder = Folder::with_sample(200_000);
    let data = folder.path().join("data");
    let server = serve(&folder, NO_RATES);
    let api = Api::new(&server.url, &payouts().token(&data, "contoso", "ann"));
    let export = api.export("payments", "fileFormat=csv&$filter=paymentAmount%20gt%20-1e12");
    let link = export["blobLocation"].as_str().expect("a link");
    let size = export["fileSizeBytes"].as_u64().expect("a size");
    assert!(size > 20 << 20, "more than sockets hold on their way: {size}");
    let mut running = Slow::get(&server, link.trim_start_matches(&server.url), "");
    assert_eq!(running.first(12), "HTTP/1.1 200");
    delete(&api, &id_of(&export), Some(link));
    assert!((running.rest().len() as u64) < size, "it went on to its end");
    assert_eq!(files(&data), Vec::<PathBuf>::new());
}

#[cfg(unix)]
#[test]
fn a_stop_in_the_middle_of_everything_is_in_order() {
    let folder = Folder::with_sample(200_000);
    let data = folder.path().join("data");
    let token = payouts().token(&data, "contoso", "ann");
    let query = "fileFormat=csv&$filter=paymentAmount%20gt%20-1e12";
    // A short grace: what runs is finished or handed back, what is still being sent then is cut.
    let server = serve(&folder, &format!("workers = 1\nshutdown_grace_ms = 1_000\n{NO_RATES}"));
    let api = Api::new(&server.url, &token);
    let export = api.export("payments", query);
    let link = export["blobLocation"].as_str().expect("a link").trim_start_matches(&server.url).to_owned();
    let size = export["fileSizeBytes"].as_u64().expect("a size");
    let mut download = Slow::get(&server, &link, "");
    assert_eq!(download.first(12), "HTTP/1.1 200");
    let ask = || id_of(&api.post(&format!("{PAYMENTS}?{query}")).expect(202).json());
    let (running, waiting) = (ask(), ask());
    let authorization = format!("Authorization: Bearer {token}\r\n");
    let held = Slow::get(&server, &format!("{PAYMENTS}/{waiting}"), &format!("{authorization}Prefer: wait=60\r\n"));
    until(
        || api.get_json(&format!("{PAYMENTS}/{running}"))["progress"]["rowsExpected"].is_u64(),
        || "it does not begin".to_owned(),
    );
    let log = server.log();
    assert_eq!(server.terminate(), 0, "{log}");
    // Whoever was held is answered; the download is not passed off as whole.
    let answer = String::from_utf8_lossy(&held.rest()).into_owned();
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains(&waiting), "{answer}");
    assert!((download.rest().len() as u64) < size);
    assert!(std::fs::read_dir(data.join("files/partial")).expect("the folder").next().is_none(), "half a file");

    let server = serve(&folder, NO_RATES);
    let api = Api::new(&server.url, &token);
    for id in [&running, &waiting] {
        let done = api.wait("payments", id);
        assert_eq!((&done["status"], &done["error"]), (&Value::from("Completed"), &Value::Null), "{done}");
    }
    // The same download goes on over a fresh link.
    let again = api.get_json(&format!("{PAYMENTS}/{}", id_of(&export)));
    assert_eq!(api.file(&again).len() as u64, size);
}

/// A disk that never answers: the stop ends all the same, and the next start makes the export.
#[cfg(unix)]
#[test]
fn a_stop_ends_whatever_hangs() {
    let folder = Folder::with_sample(500);
    let data = folder.path().join("data");
    std::fs::write(data.join("faults-may-lose-this-data"), "").expect("the folder can be written");
    let token = payouts().token(&data, "contoso", "ann");
    let config = folder.write("hangs.toml", "shutdown_grace_ms = 100\n");
    let (data_dir, listen) = (folder.at("data"), "127.0.0.1:0");
    let mut command =
        payouts().command(["serve", "--dev", "--config", &config, "--data", &data_dir, "--listen", listen]);
    command.args(["--admin-listen", "none"]).env("PAYOUTS_FAULTS", "export.chunk=hang");
    let server = TestServer::start_command(&mut command);
    let api = Api::new(&server.url, &token);
    let id = id_of(&api.post(&format!("{PAYMENTS}?fileFormat=csv&$filter=paymentAmount%20gt%200")).expect(202).json());
    until(|| !files(&data).is_empty(), || "nothing is being written".to_owned());
    let (code, log) = server.stopped();
    assert_eq!(code, 0, "{log}");
    assert!(log.contains("did not stop in time") && log.contains("audit.head"), "{log}");
    let server = serve(&folder, "");
    let done = Api::new(&server.url, &token).wait("payments", &id);
    assert_eq!(done["status"], "Completed", "{done}");
}

#[cfg(unix)]
#[test]
fn a_stop_with_grace_lets_work_and_downloads_end() {
    let folder = Folder::with_sample(100_000);
    let data = folder.path().join("data");
    let token = payouts().token(&data, "contoso", "ann");
    let query = "fileFormat=csv&$filter=paymentAmount%20gt%20-1e12";
    let server = serve(&folder, &format!("workers = 1\nshutdown_grace_ms = 60_000\n{NO_RATES}"));
    let api = Api::new(&server.url, &token);
    let export = api.export("payments", query);
    let link = export["blobLocation"].as_str().expect("a link").trim_start_matches(&server.url).to_owned();
    let size = export["fileSizeBytes"].as_u64().expect("a size");
    let mut download = Slow::get(&server, &link, "");
    assert_eq!(download.first(12), "HTTP/1.1 200");
    let running = id_of(&api.post(&format!("{PAYMENTS}?{query}")).expect(202).json());
    until(|| api.get_json(&format!("{PAYMENTS}/{running}"))["status"] != "Queued", || "it does not begin".to_owned());
    let address = server.url.trim_start_matches("http://").to_owned();
    let stopping = std::thread::spawn(move || server.terminate());
    until(|| TcpStream::connect(&address).is_err(), || "it still takes connections".to_owned());
    assert!(download.rest().len() as u64 > size, "within the grace a download gets all of its bytes");
    assert_eq!(stopping.join().expect("no panic"), 0);
    // Finished before it stopped: no worker runs now.
    let server = serve(&folder, &format!("workers = 0\n{NO_RATES}"));
    let api = Api::new(&server.url, &token);
    assert_eq!(api.get_json(&format!("{PAYMENTS}/{running}"))["status"], "Completed");
}
