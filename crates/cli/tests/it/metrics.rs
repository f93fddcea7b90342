//! What `/metrics` tells an operator, as a scrape of the real binary sees it.

use std::path::Path;
use std::time::{Duration, Instant};

use payouts_testkit::TestServer;
use serde_json::Value;

use crate::wire::Api;
use crate::{Folder, payouts};

const PAYMENTS: &str = "/v1.0/payouts/payments";
const PATIENCE: Duration = Duration::from_secs(120);
/// Marks data over which faults may be injected.
const PERMIT: &str = "faults-may-lose-this-data";

/// A service over the folder's data with this configuration, and these faults.
fn serve(folder: &Folder, config: &str, faults: Option<&str>) -> TestServer {
    let config = folder.write("payouts.toml", config);
    let data = folder.at("data");
    let args = ["serve", "--dev", "--config", &config, "--data", &data, "--listen", "127.0.0.1:0"];
    let mut command = payouts().command([&args[..], &["--admin-listen", "127.0.0.1:0"]].concat());
    if let Some(faults) = faults {
        command.env("PAYOUTS_FAULTS", faults);
    }
    TestServer::start_command(&mut command)
}

/// The numbers as they are now.
struct Scrape(String);

impl Scrape {
    /// Asks the address that the log names.
    fn of(server: &TestServer) -> Self {
        let log = server.log();
        let line = log.lines().find(|line| line.contains("metrics are at /metrics")).expect("a line of the log");
        let (_, address) = line.rsplit_once("address=").expect("an address");
        let answer = Api::anonymous(&format!("http://{}", address.trim())).get("/metrics").expect(200);
        Self(String::from_utf8(answer.body).expect("metrics are text"))
    }

    /// The value of a series; 0 if it is not there.
    fn value(&self, series: &str) -> f64 {
        let of = |line: &str| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok();
        self.0.lines().find_map(of).unwrap_or(0.0)
    }

    #[track_caller]
    fn expect(&self, series: &str, value: f64) {
        assert!((self.value(series) - value).abs() < 1e-9, "{series} is not {value} in\n{}", self.0);
    }

    #[track_caller]
    fn expect_some(&self, series: &str) {
        assert!(self.value(series) > 0.0, "{series} is not above 0 in\n{}", self.0);
    }
}

fn until(what: impl Fn() -> bool, said: &str) {
    let begin = Instant::now();
    while !what() {
        assert!(begin.elapsed() < PATIENCE, "{said}");
        std::thread::yield_now();
    }
}

fn ask(api: &Api) -> String {
    let export: Value =
        api.post(&format!("{PAYMENTS}?fileFormat=csv&$filter=paymentAmount%20gt%200")).expect(202).json();
    export["requestId"].as_str().expect("an id").to_owned()
}

#[test]
fn queues_and_refusals_are_told() {
    let folder = Folder::with_sample(500);
    let server =
        serve(&folder, "workers = 0\n[limits]\ntenant_queue_max = 2\ncaller_per_second = 1\ncaller_burst = 5\n", None);
    Scrape::of(&server).expect("payouts_oldest_export_seconds{status=\"Queued\"}", 0.0);
    let api = Api::new(&server.url, &payouts().token(&folder.path().join("data"), "contoso", "ann"));
    ask(&api);
    ask(&api);
    api.post(PAYMENTS).expect(429);
    // The caller's own rate, then.
    until(|| api.post(PAYMENTS).json()["error"]["message"].to_string().contains("caller_per_second"), "no rate");
    Api::new(&server.url, "not.a.token").get(PAYMENTS).expect(401);
    api.get("/nowhere").expect(404);
    let told = Scrape::of(&server);
    told.expect("payouts_exports{report=\"payments\",status=\"Queued\"}", 2.0);
    told.expect_some("payouts_oldest_export_seconds{status=\"Queued\"}");
    told.expect("payouts_oldest_export_seconds{status=\"Processing\"}", 0.0);
    told.expect_some("payouts_requests_refused_total{code=\"TooManyRequests\",limit=\"tenant_queue_max\"}");
    told.expect_some("payouts_requests_refused_total{code=\"TooManyRequests\",limit=\"caller_per_second\"}");
    told.expect("payouts_requests_refused_total{code=\"Unauthenticated\",limit=\"\"}", 1.0);
    told.expect("payouts_requests_refused_total{code=\"PathNotFound\",limit=\"\"}", 1.0);
    assert!(told.0.contains("payouts_tokens_refused_total{reason="), "{}", told.0);
    for place in ["data", "files", "ledger"] {
        told.expect_some(&format!("payouts_disk_free_bytes{{place=\"{place}\"}}"));
    }
    assert!(told.0.contains("payouts_ledger_version{report=\"payments\"} "), "{}", told.0);
    told.expect_some("payouts_ledger_as_of_timestamp_seconds{report=\"payments\"}");
}

#[test]
fn lost_leases_attempts_and_downloads_are_told() {
    let folder = Folder::with_sample(500);
    let data = folder.path().join("data");
    std::fs::write(data.join(PERMIT), "").expect("the folder can be written");
    let token = payouts().token(&data, "contoso", "ann");
    // It hangs with a file half written, and dies.
    let mut server = serve(&folder, "", Some("export.chunk=hang"));
    let id = ask(&Api::new(&server.url, &token));
    until(|| partial(&data) > 0, "nothing is being written");
    let told = Scrape::of(&server);
    told.expect("payouts_workers_busy", 1.0);
    told.expect_some("payouts_oldest_export_seconds{status=\"Processing\"}");
    server.kill();

    let server = serve(&folder, "", None);
    let api = Api::new(&server.url, &token);
    let export = api.wait("payments", &id);
    let size = api.file(&export).len();
    // The end of a download is told once the answer is dropped.
    until(|| Scrape::of(&server).value("payouts_downloads_total{end=\"ended\"}") > 0.0, "no download was counted");
    until(|| Scrape::of(&server).value("payouts_workers_busy") == 0.0, "a worker that is done stays busy");
    let told = Scrape::of(&server);
    told.expect("payouts_leases_lost_total{how=\"taken_back\"}", 1.0);
    told.expect("payouts_leases_lost_total{how=\"ran_out\"}", 0.0);
    told.expect("payouts_attempts_total{report=\"payments\",outcome=\"completed\"}", 1.0);
    told.expect("payouts_rows_written_total{report=\"payments\"}", export["rowCount"].as_f64().expect("a number"));
    for bytes in [
        "payouts_file_bytes_written_total{report=\"payments\"}",
        "payouts_files_stored_bytes",
        "payouts_download_bytes_total",
    ] {
        told.expect(bytes, size as f64);
    }
    for step in ["queue", "plan", "count", "write", "seal"] {
        told.expect(&format!("payouts_step_seconds_count{{report=\"payments\",step=\"{step}\"}}"), 1.0);
    }
    told.expect("payouts_oldest_export_seconds{status=\"Processing\"}", 0.0);

    // What is given up is told with its code.
    for entry in std::fs::read_dir(data.join("ledger/payments")).expect("the ledger").flatten() {
        if entry.path().extension().is_some_and(|e| e == "parquet") {
            std::fs::remove_file(entry.path()).expect("a file that can be deleted");
        }
    }
    let failed = api.wait("payments", &ask(&api));
    let code = failed["error"]["code"].as_str().expect("a reason").to_owned();
    let told = Scrape::of(&server);
    told.expect(&format!("payouts_exports_failed_total{{code=\"{code}\"}}"), 1.0);
    told.expect("payouts_exports{report=\"payments\",status=\"Failed\"}", 1.0);
}

/// Files that are being written.
fn partial(data: &Path) -> usize {
    std::fs::read_dir(data.join("files/partial")).map_or(0, |entries| entries.count())
}
