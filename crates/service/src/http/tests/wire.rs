//! What clients send over a real socket that an HTTP library would refuse.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

/// Serves the test's router on a free port.
pub(super) async fn serve(test: &TestApp) -> std::net::SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = crate::http::wire::Acceptor::new(test.app.http.wire.clone(), &test.app.config.limits, None);
    let server = axum_server::from_tcp(listener).unwrap().acceptor(acceptor);
    tokio::spawn(server.serve(test.router.clone().into_make_service()));
    address
}

/// Sends bytes and reads to the end.
pub(super) async fn raw(address: std::net::SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(std::time::Duration::from_secs(30), stream.read_to_end(&mut answer));
    // A refused request may end in a reset once the answer is read.
    let _ = read.await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

pub(super) fn request(test: &TestApp, line: &str, more: &str) -> String {
    let token = test.token("t", "ana");
    format!("{line}\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n{more}Connection: close\r\n\r\n")
}

#[tokio::test]
async fn raw_blanks_and_quotes_and_long_lines_are_answered() {
    let test = TestApp::open().await;
    test.grant("t", None, Some("1"), Role::Viewer).await;
    let address = serve(&test).await;
    let line = "POST /v1.0/payouts/payments?$filter=programName eq ’CSP \"Direct\" Partner’ HTTP/1.1";
    let answer = raw(address, request(&test, line, "Content-Length: 0\r\n").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 202 "), "{answer}");
    // 60,000 characters, each escaped, are 180,000 bytes of a request line.
    let ids = format!("paymentId in ('1'{})", " ".repeat(60_000)).replace('\'', "%27").replace(' ', "%20");
    let line = format!("POST /v1.0/payouts/payments?$filter={ids} HTTP/1.1");
    let answer = raw(address, request(&test, &line, "Content-Length: 0\r\n").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 202 "), "{}", answer.chars().take(2000).collect::<String>());
}

#[tokio::test]
async fn what_is_no_request_gets_an_id_and_a_body() {
    let test = TestApp::open().await;
    let address = serve(&test).await;
    for bytes in [
        &b"\x00\x01garbage\r\n\r\n"[..],
        b"\x16\x03\x01 hello\n",
        b"POST /v1.0/payouts/payments HTTP/1.1\r\nHost: localhost\r\nContent-Length: abc\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nno colon\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\n\r\n",
        b"GET http:// HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ] {
        // The first four close by themselves, as clients that err are told to.
        let mut bytes = bytes.to_vec();
        if bytes.ends_with(b"/1.1\r\n\r\n") {
            bytes.splice(bytes.len() - 2.., *b"Connection: close\r\n\r\n");
        }
        let answer = raw(address, &bytes).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        assert!(answer.contains("request-id: ") && answer.contains("\"code\":\"InvalidHeader\""), "{answer}");
    }
}

#[tokio::test]
async fn heads_beyond_the_limits_get_an_id_and_a_body() {
    let test = TestApp::open().await;
    let address = serve(&test).await;
    let line = format!("GET /healthz?{} HTTP/1.1", "a".repeat(300_000));
    let many: String = (0..200).map(|n| format!("X-{n}: y\r\n")).collect();
    for (line, more, status, code) in [
        (line.as_str(), String::new(), 414, "UriTooLong"),
        ("GET /healthz HTTP/1.1", format!("X: {}\r\n", "y".repeat(100_000)), 431, "HeadersTooLarge"),
        ("GET /healthz HTTP/1.1", many, 431, "HeadersTooLarge"),
    ] {
        let answer = raw(address, request(&test, line, &more).as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        assert!(answer.contains("request-id: ") && answer.contains(&format!("\"code\":\"{code}\"")), "{answer}");
    }
}
