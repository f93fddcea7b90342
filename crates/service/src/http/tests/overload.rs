//! Every limit, attacked through a real socket: each refusal has its code, names the limit, and
//! leaves the service to others.

use std::io::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use payouts_blob::BlobName;
use payouts_model::FileFormat;
use payouts_model::export::FileInfo;
use payouts_store::{ClaimTerms, Completion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::wire::{raw, request, serve};
use super::*;

const PAYMENTS: &str = "/v1.0/payouts/payments";
/// No wait in these tests is longer.
const PATIENCE: Duration = Duration::from_secs(60);
/// More than sockets hold on their way.
const FILE_BYTES: u64 = 48 << 20;

async fn limited(change: impl FnOnce(&mut crate::config::Limits)) -> (TestApp, SocketAddr) {
    let test = TestApp::with(|c| change(&mut c.limits)).await;
    for tenant in ["t", "u"] {
        test.grant(tenant, None, Some("1"), Role::Viewer).await;
    }
    let address = serve(&test).await;
    (test, address)
}

fn assert_refused(answer: &str, status: u16, code: &str, names: &str) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    let lower = answer.to_lowercase();
    assert!(lower.contains("request-id: ") && answer.contains(&format!("\"code\":\"{code}\"")), "{answer}");
    assert!(answer.contains(names), "'{names}' is not in {answer}");
    assert_eq!(lower.contains("retry-after: "), matches!(status, 429 | 503), "{answer}");
}

async fn post(test: &TestApp, address: SocketAddr, more: &str) -> String {
    let line = format!("POST {PAYMENTS} HTTP/1.1");
    raw(address, request(test, &line, &format!("Content-Length: 0\r\n{more}")).as_bytes()).await
}

/// A connection that has sent this and nothing more.
async fn begun(address: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream
}

/// What comes until the other side closes.
async fn rest(mut stream: TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A connection that is cut may end in a reset: what came before it counts.
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("the connection ends");
    bytes
}

async fn rest_text(stream: TcpStream) -> String {
    String::from_utf8_lossy(&rest(stream).await).into_owned()
}

async fn until(what: impl Fn() -> bool) {
    let wait = async {
        while !what() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("it gets there");
}

/// A request whose body does not come: it is being answered until it does.
async fn slow_post(test: &TestApp, address: SocketAddr) -> TcpStream {
    let before = test.app.http.tenants_in_flight.count();
    let head = request(test, &format!("POST {PAYMENTS} HTTP/1.1"), "Content-Length: 100\r\n");
    let stream = begun(address, format!("{head}12345").as_bytes()).await;
    until(|| test.app.http.tenants_in_flight.count() > before).await;
    stream
}

#[tokio::test]
async fn slow_heads_are_given_up() {
    let (_test, address) = limited(|l| l.head_seconds = 1).await;
    for bytes in [&b"GET /hea"[..], b"GET /healthz HTTP/1.1\r\n", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-A: b"]
    {
        let answer = rest_text(begun(address, bytes).await).await;
        assert_refused(&answer, 408, "RequestTimeout", "limits.head_seconds");
    }
    // Between two requests there is no head to be late with.
    let mut idle = begun(address, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    let late = begun(address, b"GET").await;
    assert_refused(&rest_text(late).await, 408, "RequestTimeout", "limits.head_seconds");
    idle.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.unwrap();
    assert_eq!(rest_text(idle).await.matches("HTTP/1.1 200 ").count(), 2);
}

#[tokio::test]
async fn slow_and_large_bodies_are_given_up() {
    let (test, address) = limited(|l| l.body_seconds = 1).await;
    let slow = slow_post(&test, address).await;
    assert_refused(&rest_text(slow).await, 408, "RequestTimeout", "limits.body_seconds");
    let line = format!("POST {PAYMENTS} HTTP/1.1");
    let declared = raw(address, request(&test, &line, "Content-Length: 3000000\r\n").as_bytes()).await;
    assert_refused(&declared, 413, "BodyTooLarge", "limits.body_bytes");
    let mut endless = request(&test, &line, "Transfer-Encoding: chunked\r\n").into_bytes();
    for _ in 0..40 {
        endless.extend_from_slice(b"10000\r\n");
        endless.extend_from_slice(&[b' '; 0x10000]);
        endless.extend_from_slice(b"\r\n");
    }
    let mut stream = TcpStream::connect(address).await.unwrap();
    let (mut from, mut to) = stream.split();
    let mut answer = vec![0; 4096];
    let (_, read) = tokio::join!(to.write_all(&endless), from.read(&mut answer));
    assert_refused(&String::from_utf8_lossy(&answer[..read.unwrap()]), 413, "BodyTooLarge", "limits.body_bytes");
}

#[tokio::test]
async fn connections_have_a_limit() {
    let (_test, address) = limited(|l| l.connections_max = 1).await;
    let mut first = begun(address, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert_ne!(first.read(&mut [0; 2048]).await.unwrap(), 0);
    let second = TcpStream::connect(address).await.unwrap();
    assert_refused(&rest_text(second).await, 503, "Unavailable", "limits.connections_max");
    drop(first);
    let wait = async {
        loop {
            let answer = raw(address, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
            if answer.starts_with("HTTP/1.1 200 ") {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("the first one's place is free again");
}

#[tokio::test]
async fn tenants_have_rates_and_every_caller_is_told() {
    let (test, address) = limited(|l| (l.tenant_posts_per_second, l.tenant_gets_per_second) = (1, 1)).await;
    for _ in 0..2 {
        let answer = post(&test, address, "").await;
        assert!(answer.starts_with("HTTP/1.1 202 "), "{answer}");
        assert!(answer.contains("ratelimit-policy: \"caller\";q=200;w=4, \"tenant-post\";q=2;w=2\r\n"), "{answer}");
    }
    let refused = post(&test, address, "").await;
    assert_refused(&refused, 429, "TooManyRequests", "limits.tenant_posts_per_second");
    assert!(refused.contains("ratelimit: \"caller\";r=197;t=1\r\n"), "{refused}");
    let get = async || raw(address, request(&test, &format!("GET {PAYMENTS} HTTP/1.1"), "").as_bytes()).await;
    assert!(get().await.starts_with("HTTP/1.1 200 ") && get().await.starts_with("HTTP/1.1 200 "));
    assert_refused(&get().await, 429, "TooManyRequests", "limits.tenant_gets_per_second");
    assert_eq!(test.post(PAYMENTS, "u/bob").await.status, StatusCode::ACCEPTED, "another tenant");
    test.clock.advance_ms(1_000);
    assert!(post(&test, address, "").await.starts_with("HTTP/1.1 202 "));
    let unknown =
        raw(address, b"GET /v1.0/payouts/payments HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
    assert!(!unknown.contains("ratelimit"), "who is not known is told nothing: {unknown}");
}

#[tokio::test]
async fn one_tenant_cannot_take_all_places() {
    let (test, address) = limited(|l| l.tenant_in_flight_max = 1).await;
    let slow = slow_post(&test, address).await;
    assert_refused(&post(&test, address, "").await, 429, "TooManyRequests", "limits.tenant_in_flight_max");
    assert_eq!(test.post(PAYMENTS, "u/bob").await.status, StatusCode::ACCEPTED);
    drop(slow);
    until(|| test.app.http.tenants_in_flight.count() == 0).await;
    assert!(post(&test, address, "").await.starts_with("HTTP/1.1 202 "));
}

#[tokio::test]
async fn requests_in_flight_have_a_limit() {
    let (test, address) = limited(|l| l.in_flight_max = 1).await;
    let _slow = slow_post(&test, address).await;
    assert_refused(&post(&test, address, "").await, 503, "Unavailable", "limits.in_flight_max");
}

#[tokio::test]
async fn whoever_waits_takes_no_place_of_those_who_are_answered() {
    let (test, address) = limited(|l| (l.in_flight_max, l.tenant_held_max) = (1, 1)).await;
    let id = test.post(PAYMENTS, "t/ana").await.id();
    let get = |wait: &str| request(&test, &format!("GET {PAYMENTS}/{id} HTTP/1.1"), wait);
    let held = begun(address, get("Prefer: wait=60\r\n").as_bytes()).await;
    until(|| test.app.http.held.count() == 1 && test.app.http.in_flight.available_permits() == 1).await;
    // The second wish is not obeyed: answered at once, without saying that it was.
    let second = raw(address, get("Prefer: wait=60\r\n").as_bytes()).await;
    assert!(second.starts_with("HTTP/1.1 200 ") && !second.contains("preference-applied"), "{second}");
    test.app.store.claim("node", &ClaimTerms::any(60_000, 10), test.clock.now()).await.unwrap().unwrap();
    test.app.signals.changed(id);
    let woken = rest_text(held).await;
    assert!(woken.contains("\"status\":\"Processing\"") && woken.contains("preference-applied: wait=60"), "{woken}");
    assert_eq!(test.app.http.held.count(), 0);
}

/// A large finished file of tenant `t`: the Export's path and its link.
async fn large_file(test: &TestApp) -> (String, String) {
    let id = test.post(&format!("{PAYMENTS}?fileFormat=csv"), "t/ana").await.id();
    let terms = ClaimTerms::any(60_000, 10);
    let claim = test.app.store.claim("node", &terms, test.clock.now()).await.unwrap().unwrap();
    assert_eq!(claim.export.id, id);
    let name = BlobName::ExportFile { export: id, fence: claim.fence };
    let blobs = test.app.blobs.clone();
    tokio::task::spawn_blocking(move || {
        let mut writer = blobs.create(name).unwrap();
        let piece = vec![b'x'; 1 << 20];
        for _ in 0..FILE_BYTES >> 20 {
            writer.write_all(&piece).unwrap();
        }
        writer.seal(FILE_BYTES).unwrap();
    })
    .await
    .unwrap();
    let file = FileInfo {
        fence: claim.fence,
        format: FileFormat::parse("csv").unwrap(),
        download_name: "payments.csv".into(),
        size_bytes: FILE_BYTES,
        sha256: "ab".repeat(32),
        rows: 1,
    };
    let file_expires_at = test.clock.now().plus_ms(30 * 86_400_000);
    let completion =
        Completion { file, manifest: "{}".into(), file_expires_at, reproducible_until: None, warnings: vec![] };
    assert!(test.app.store.complete(&claim, completion, test.clock.now()).await.unwrap());
    let one = format!("{PAYMENTS}/{id}");
    let json = test.get(&one, "t/ana").await.json();
    let link = json["blobLocation"].as_str().unwrap().strip_prefix("http://localhost:7070").unwrap().to_owned();
    (one, link)
}

fn download(link: &str) -> Vec<u8> {
    format!("GET {link} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").into_bytes()
}

/// A download of which only the beginning was read.
async fn download_begun(address: SocketAddr, link: &str) -> TcpStream {
    let mut stream = begun(address, &download(link)).await;
    let mut head = [0; 12];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    stream
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_takes_nothing_is_cut_off() {
    let (test, address) = limited(|l| l.stall_seconds = 1).await;
    let (_, link) = large_file(&test).await;
    let stalled = download_begun(address, &link).await;
    until(|| test.app.http.downloads.count() == 1).await;
    until(|| test.app.http.downloads.count() == 0).await;
    assert!((rest(stalled).await.len() as u64) < FILE_BYTES);
    let whole = rest(begun(address, &download(&link)).await).await;
    assert!(whole.len() as u64 > FILE_BYTES, "whoever reads gets all of it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn downloads_have_limits() {
    for (tenant_max, max, status, code, name) in [
        (1, 9, 429, "TooManyRequests", "limits.tenant_downloads_max"),
        (9, 1, 503, "Unavailable", "limits.downloads_max"),
    ] {
        let (test, address) = limited(|l| (l.tenant_downloads_max, l.downloads_max) = (tenant_max, max)).await;
        let (_, link) = large_file(&test).await;
        let first = download_begun(address, &link).await;
        assert_refused(&rest_text(begun(address, &download(&link)).await).await, status, code, name);
        drop(first);
        until(|| test.app.http.downloads.count() == 0).await;
        download_begun(address, &link).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_download_of_a_deleted_file_is_cut_off() {
    let (test, address) = limited(|_| {}).await;
    let (one, link) = large_file(&test).await;
    let running = download_begun(address, &link).await;
    assert_eq!(test.delete(&one, "t/ana").await.status, StatusCode::OK);
    // Nothing new begins, at once; nothing is left of the file; what runs never gets to its end.
    let refused = rest_text(begun(address, &download(&link)).await).await;
    assert!(refused.starts_with("HTTP/1.1 404 ") && refused.contains("FileNotFound"), "{refused}");
    assert!(test.app.blobs.list().await.unwrap().is_empty());
    assert!((rest(running).await.len() as u64) < FILE_BYTES);
    until(|| test.app.http.downloads.count() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_download_ends_with_the_grant_it_lives_by() {
    let (test, address) = limited(|_| {}).await;
    let (one, link) = large_file(&test).await;
    let running = download_begun(address, &link).await;
    let grants = test.app.store.grants().await.unwrap();
    test.app.store.revoke(&grants, &test.by()).await.unwrap();
    // Without a signal it would look again by itself a little later.
    test.app.signals.changed(one.rsplit('/').next().unwrap().parse().unwrap());
    assert!((rest(running).await.len() as u64) < FILE_BYTES);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queues_and_room_have_limits() {
    let (test, address) = limited(|l| l.queue_max = 1).await;
    assert_eq!(test.post(PAYMENTS, "u/bob").await.status, StatusCode::ACCEPTED);
    assert_refused(&post(&test, address, "").await, 503, "Unavailable", "limits.queue_max");
    let (test, address) = limited(|l| l.tenant_queue_max = 1).await;
    assert!(post(&test, address, "").await.starts_with("HTTP/1.1 202 "));
    assert_refused(&post(&test, address, "").await, 429, "TooManyRequests", "limits.tenant_queue_max");
    let (test, address) = limited(|l| l.tenant_files_bytes = FILE_BYTES).await;
    let (one, _) = large_file(&test).await;
    assert_refused(&post(&test, address, "").await, 429, "StorageLimit", "limits.tenant_files_bytes");
    assert_eq!(test.post(PAYMENTS, "u/bob").await.status, StatusCode::ACCEPTED);
    assert_eq!(test.delete(&one, "t/ana").await.status, StatusCode::OK);
    assert!(post(&test, address, "").await.starts_with("HTTP/1.1 202 "));
}
