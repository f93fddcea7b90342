//! TLS with real clients and real certificates (made by `openssl`; skips out loud without it).

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use payouts_testkit::TestServer;
use reqwest::{Certificate, Client, Version};

use crate::{Folder, payouts};

/// The longest wait for a certificate to be in use.
const WAIT: Duration = Duration::from_secs(60);

/// Whether certificates can be made here; says so if not.
fn openssl() -> bool {
    let found = Command::new("openssl").arg("version").stdout(Stdio::null()).status().is_ok_and(|s| s.success());
    let required = std::env::var("PAYOUTS_TEST_TOOLS").is_ok_and(|v| v == "required");
    assert!(found || !required, "missing: openssl");
    if !found {
        eprintln!("SKIPPED for want of openssl");
    }
    found
}

/// Makes a self-signed certificate for 127.0.0.1: `NAME.crt` and `NAME.key`.
fn certificate(folder: &Folder, name: &str) -> Certificate {
    let (key, out) = (folder.at(&format!("{name}.key")), folder.at(&format!("{name}.crt")));
    let options = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
                   -config /dev/null -addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE";
    let made = Command::new("openssl")
        .args(options.split_whitespace())
        .args(["-subj", &format!("/CN={name}"), "-keyout", &key, "-out", &out])
        .output()
        .expect("openssl was there a moment ago");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    Certificate::from_pem(&std::fs::read(out).unwrap()).unwrap()
}

/// A client that believes this certificate alone, and opens a connection for every request.
fn trusting(certificate: &Certificate) -> reqwest::ClientBuilder {
    // Chosen once for the process.
    drop(payouts_testkit::client());
    Client::builder().tls_certs_only([certificate.clone()]).pool_max_idle_per_host(0).timeout(WAIT)
}

fn put(folder: &Folder, name: &str) {
    for ending in ["crt", "key"] {
        // As a tool that renews certificates does: beside it, then in its place.
        let new = folder.at(&format!("new.{ending}"));
        std::fs::copy(folder.at(&format!("{name}.{ending}")), &new).unwrap();
        std::fs::rename(&new, folder.at(&format!("live.{ending}"))).unwrap();
    }
}

fn serve(folder: &Folder) -> TestServer {
    let config = folder.write("payouts.toml", "[tls]\ncertificate = \"live.crt\"\nkey = \"live.key\"\n");
    let data = folder.at("data");
    let args =
        ["serve", "--dev", "--config", &config, "--data", &data, "--listen", "127.0.0.1:0", "--admin-listen", "none"];
    TestServer::start_with(&payouts(), &args)
}

/// Waits until new connections get this certificate.
async fn in_use(server: &TestServer, certificate: &Certificate) {
    let client = trusting(certificate).build().unwrap();
    let url = format!("{}/healthz", server.url);
    let seen = tokio::time::timeout(WAIT, async { while client.get(&url).send().await.is_err() {} });
    seen.await.unwrap_or_else(|_| panic!("not in use: {}", server.log()));
}

async fn logged(server: &TestServer, text: &str) {
    let said = tokio::time::timeout(WAIT, async {
        while !server.log().contains(text) {
            tokio::task::yield_now().await;
        }
    });
    said.await.unwrap_or_else(|_| panic!("'{text}' is not in: {}", server.log()));
}

#[tokio::test]
async fn the_api_over_tls_in_both_versions_of_http() {
    if !openssl() {
        return;
    }
    let folder = Folder::with_sample(500);
    let (own, other) = (certificate(&folder, "one"), certificate(&folder, "two"));
    put(&folder, "one");
    let server = serve(&folder);
    assert!(server.url.starts_with("https://"), "{}", server.url);
    let token = payouts().token(&folder.path().join("data"), "contoso", "ann");
    let url = format!("{}/v1.0/payouts/payments", server.url);
    for (client, version) in [(trusting(&own).http1_only(), Version::HTTP_11), (trusting(&own), Version::HTTP_2)] {
        let client = client.build().unwrap();
        let answer = client.get(&url).bearer_auth(&token).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.version()), (200, version));
        let asked = client.post(&url).bearer_auth(&token).send().await.unwrap();
        assert_eq!(asked.status(), 202);
        let location = asked.headers()["location"].to_str().unwrap();
        assert!(location.starts_with(&server.url), "{location}");
        let blank = client.get(format!("{url}?$filter=payoutOrderType eq 'REBATE'")).bearer_auth(&token);
        assert_eq!(blank.send().await.unwrap().status(), 400, "a list takes no filter, in words of ours");
    }
    assert!(trusting(&other).build().unwrap().get(&url).send().await.is_err(), "another certificate's client");

    let plain = payouts_testkit::client().get(url.replace("https://", "http://")).send().await;
    assert!(plain.is_err(), "nothing is answered without TLS");
    assert_eq!(server.terminate(), 0);
}

/// A ClientHello that knows nothing newer than `minor` (1: TLS 1.0, 2: TLS 1.1, 3: TLS 1.2).
fn hello(minor: u8) -> Vec<u8> {
    let ciphers: [u8; 8] = [0xc0, 0x2b, 0xc0, 0x09, 0xc0, 0x13, 0x00, 0x2f];
    // supported_groups: secp256r1; ec_point_formats: uncompressed; signature_algorithms: ECDSA and RSA-PSS.
    let extensions: [u8; 24] = [0, 10, 0, 4, 0, 2, 0, 23, 0, 11, 0, 2, 1, 0, 0, 13, 0, 6, 0, 4, 4, 3, 8, 4];
    let mut body = vec![3, minor];
    body.extend([7; 32]);
    body.push(0);
    body.extend([0, ciphers.len() as u8]);
    body.extend(ciphers);
    body.extend([1, 0, 0, extensions.len() as u8]);
    body.extend(extensions);
    let mut hello = vec![22, 3, 1, 0, body.len() as u8 + 4, 1, 0, 0, body.len() as u8];
    hello.extend(body);
    hello
}

#[test]
fn old_versions_and_noise_are_refused() {
    if !openssl() {
        return;
    }
    let folder = Folder::with_sample(500);
    certificate(&folder, "one");
    put(&folder, "one");
    let server = serve(&folder);
    let address = server.url.strip_prefix("https://").unwrap();
    let answer = |bytes: &[u8]| {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(WAIT)).unwrap();
        stream.write_all(bytes).unwrap();
        let mut answer = vec![0; 7];
        // What is cut short or reset leaves zeros.
        let _ = stream.read_exact(&mut answer);
        answer
    };
    // The same hello is answered with a handshake (22) where it is of a version that is served.
    assert_eq!(answer(&hello(3))[..3], [22, 3, 3]);
    for minor in [1, 2] {
        let alert = answer(&hello(minor));
        // An alert (21), fatal (2): handshake_failure (40) or protocol_version (70).
        assert_eq!((alert[0], alert[5]), (21, 2), "{alert:?}");
        assert!([40, 70].contains(&alert[6]), "{alert:?}");
    }
    for noise in [&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..], &[0x16, 3, 1, 0xff, 0xff, 1], &[0x80; 300]] {
        assert!(!answer(noise).starts_with(b"HTTP"), "{noise:?}");
    }
    let silent = TcpStream::connect(address).unwrap();
    silent.set_read_timeout(Some(WAIT)).unwrap();
    assert_eq!((&silent).read(&mut [0; 1]).unwrap_or(0), 0, "whoever says nothing is hung up on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_change_under_load_without_a_failed_request() {
    if !openssl() {
        return;
    }
    let folder = Folder::with_sample(500);
    let all = ["one", "two", "three"].map(|name| certificate(&folder, name));
    put(&folder, "one");
    let server = serve(&folder);
    // Believes each of them: whatever a request fails for, it is not the change itself.
    drop(payouts_testkit::client());
    let client = Client::builder().tls_certs_only(all.clone()).pool_max_idle_per_host(0).timeout(WAIT).build().unwrap();
    let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let load: Vec<_> = (0..4)
        .map(|_| {
            let (client, url) = (client.clone(), format!("{}/healthz", server.url));
            let (stop, answered) = (stop.clone(), answered.clone());
            tokio::spawn(async move {
                while !stop.load(Ordering::SeqCst) {
                    assert_eq!(client.get(&url).send().await.expect("no request fails").status(), 200);
                    answered.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    in_use(&server, &all[0]).await;
    put(&folder, "two");
    server.signal("HUP");
    in_use(&server, &all[1]).await;

    folder.write("live.crt", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    server.signal("HUP");
    logged(&server, "the new certificate cannot be used").await;
    in_use(&server, &all[1]).await;
    std::fs::copy(folder.at("three.crt"), folder.at("live.crt")).unwrap();
    server.signal("HUP");
    logged(&server, "must be the key's").await;
    in_use(&server, &all[1]).await;
    std::fs::remove_file(folder.at("live.key")).unwrap();
    server.signal("HUP");
    logged(&server, "cannot read").await;
    in_use(&server, &all[1]).await;

    put(&folder, "three");
    // No signal: a change is noticed.
    in_use(&server, &all[2]).await;
    stop.store(true, Ordering::SeqCst);
    for one in load {
        one.await.expect("no request failed");
    }
    assert!(answered.load(Ordering::SeqCst) > 20);
}

#[test]
fn a_certificate_that_cannot_be_used_stops_the_start() {
    let folder = Folder::with_sample(500);
    let config = folder.write("payouts.toml", "[tls]\ncertificate = \"live.crt\"\nkey = \"live.key\"\n");
    let data = folder.at("data");
    let args = ["serve", "--dev", "--config", &config, "--data", &data, "--listen", "127.0.0.1:0"];
    payouts().run(args).failed(1, &["cannot serve with TLS", "live.crt"]);
    folder.write("live.crt", "no certificate");
    folder.write("live.key", "no key");
    payouts().run(args).failed(1, &["live.crt", "-----BEGIN CERTIFICATE-----"]);
}
