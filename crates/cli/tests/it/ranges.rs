//! Downloads over raw sockets: ranges, paths and headers that no well-meaning client sends.
//!
//! Whatever comes, the answer is one of a few, in whole and in form, the bytes are those of the
//! file, and the service goes on answering.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use payouts_testkit::TestServer;

use crate::wire::Api;
use crate::{Folder, payouts};

struct Setting {
    server: TestServer,
    folder: Folder,
    api: Api,
    /// The link without scheme and host.
    target: String,
    file: Vec<u8>,
}

fn setting() -> Setting {
    let folder = Folder::with_sample(1000);
    let data = folder.path().join("data");
    let server = TestServer::start(&payouts(), &data);
    let api = Api::new(&server.url, &payouts().token(&data, "contoso", "ann"));
    let export = api.export("payments", "fileFormat=csv");
    let file = api.file(&export);
    let target = export["blobLocation"].as_str().unwrap().strip_prefix(&server.url).unwrap().to_owned();
    Setting { server, folder, api, target, file }
}

/// An answer as it came over the wire.
struct Raw {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Raw {
    fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(':'));
        lines.filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
    }
}

impl Setting {
    /// Sends a request with these header lines and reads the answer to the end of the connection.
    fn send(&self, method: &str, target: &str, lines: &str) -> Raw {
        let address = self.server.url.strip_prefix("http://").unwrap();
        let mut socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let request = format!("{method} {target} HTTP/1.1\r\nHost: {address}\r\n{lines}Connection: close\r\n\r\n");
        socket.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|w| w == b"\r\n\r\n").expect("a whole head");
        let head = String::from_utf8(answer[..end].to_vec()).expect("an ASCII head");
        let status = head[9..12].parse().expect("a status");
        Raw { status, head, body: answer[end + 4..].to_vec() }
    }
}

/// What a range gives of a file of `size` bytes.
#[derive(Clone, Copy, Debug)]
enum Given {
    Whole,
    Part(usize, usize),
    Nothing,
}
use Given::{Nothing, Part, Whole};

#[track_caller]
fn check(raw: &Raw, given: Given, file: &[u8], range: &str) {
    let shown: String = range.chars().take(80).collect();
    let size = file.len();
    let (status, bytes, content_range) = match given {
        Whole => (200, file, None),
        Part(from, to) => (206, &file[from..to], Some(format!("bytes {from}-{}/{size}", to - 1))),
        Nothing => (416, &[][..], Some(format!("bytes */{size}"))),
    };
    assert_eq!(raw.status, status, "{shown}: {}", raw.head);
    assert_eq!(raw.header("content-range"), content_range.as_deref(), "{shown}");
    if status == 416 {
        assert_eq!(raw.header("x-ms-error-code"), Some("InvalidRange"), "{shown}");
        return;
    }
    assert!(raw.body == bytes, "{shown}: {} bytes are not the {} of the file", raw.body.len(), bytes.len());
    assert_eq!(raw.header("content-length"), Some(bytes.len().to_string().as_str()), "{shown}");
    assert_eq!(raw.header("content-type"), Some("text/csv; charset=utf-8"), "no multipart: {shown}");
}

#[test]
fn ranges_of_every_kind_give_the_file_a_part_of_it_or_416() {
    let setting = setting();
    let size = setting.file.len();
    let many = |one: &str| vec![one; 10_000].join(",");
    let huge = "9".repeat(4000);
    for (range, given) in [
        ("bytes=0-0".to_owned(), Part(0, 1)),
        ("bytes=0-".to_owned(), Part(0, size)),
        (format!("bytes=0-{}", size - 1), Part(0, size)),
        (format!("bytes=0-{size}"), Part(0, size)),
        (format!("bytes={}-", size - 1), Part(size - 1, size)),
        ("bytes=-1".to_owned(), Part(size - 1, size)),
        (format!("bytes=-{size}"), Part(0, size)),
        (format!("bytes=-{}", size + 1), Part(0, size)),
        // Nothing of it is in the file.
        (format!("bytes={size}-"), Nothing),
        (format!("bytes={size}-{}", size + 5), Nothing),
        ("bytes=-0".to_owned(), Nothing),
        // Beyond every number.
        ("bytes=0-18446744073709551615".to_owned(), Part(0, size)),
        ("bytes=0-18446744073709551616".to_owned(), Part(0, size)),
        ("bytes=18446744073709551615-18446744073709551615".to_owned(), Nothing),
        ("bytes=18446744073709551616-".to_owned(), Nothing),
        ("bytes=-18446744073709551616".to_owned(), Part(0, size)),
        (format!("bytes=5-{huge}"), Part(5, size)),
        (format!("bytes={huge}-"), Nothing),
        (format!("bytes=-{huge}"), Part(0, size)),
        // Several, overlapping, out of order, too many: the whole file, once.
        ("bytes=0-1,2-3".to_owned(), Whole),
        ("bytes=0-99,50-149,0-".to_owned(), Whole),
        ("bytes=9-9,0-0,-1".to_owned(), Whole),
        (format!("bytes={}", many("0-")), Whole),
        (format!("bytes={}", many("-1")), Whole),
        // Not a range.
        ("bytes=9-1".to_owned(), Whole),
        ("bytes=".to_owned(), Whole),
        ("bytes=-".to_owned(), Whole),
        ("bytes=--1".to_owned(), Whole),
        ("bytes=1--2".to_owned(), Whole),
        ("bytes=+1-2".to_owned(), Whole),
        ("bytes=0x0-0xf".to_owned(), Whole),
        ("bytes=1.5-2".to_owned(), Whole),
        ("bytes=a-b".to_owned(), Whole),
        ("bytes 0-1".to_owned(), Whole),
        ("bits=0-1".to_owned(), Whole),
        ("=0-1".to_owned(), Whole),
        (",".to_owned(), Whole),
        ("\u{e9}\u{fc}".to_owned(), Whole),
    ] {
        let raw = setting.send("GET", &setting.target, &format!("Range: {range}\r\n"));
        check(&raw, given, &setting.file, &range);
        let azure = setting.send("GET", &setting.target, &format!("Range: bytes=3-4\r\nx-ms-range: {range}\r\n"));
        // A range that cannot even be read as text is none, and the other counts.
        let given = if range.is_ascii() { given } else { Part(3, 5) };
        check(&azure, given, &setting.file, &range);
    }
    // The same header twice: the first one counts, as it does for the Azure name.
    let twice = setting.send("GET", &setting.target, "Range: bytes=0-1\r\nRange: bytes=5-6\r\n");
    check(&twice, Part(0, 2), &setting.file, "twice");
    // Beyond the limit of headers: refused whole.
    let over = format!("Range: bytes={}\r\n", vec!["0-1"; 30_000].join(","));
    assert_eq!(setting.send("GET", &setting.target, &over).status, 431);
}

#[test]
fn ranges_mean_nothing_to_head_and_are_bound_by_if_range() {
    let setting = setting();
    let whole = setting.send("HEAD", &setting.target, "");
    let size = setting.file.len().to_string();
    assert_eq!((whole.status, whole.body.len(), whole.header("content-length")), (200, 0, Some(size.as_str())));
    let etag = whole.header("etag").unwrap();
    let part = setting.send("GET", &setting.target, &format!("Range: bytes=0-9\r\nIf-Range: {etag}\r\n"));
    check(&part, Part(0, 10), &setting.file, "if-range");
    for other in ["\"x\"", "W/\"x\"", &format!("W/{etag}"), "Thu, 01 Jan 1970 00:00:00 GMT", "", "\"\u{e9}\""] {
        let whole = setting.send("GET", &setting.target, &format!("Range: bytes=0-9\r\nIf-Range: {other}\r\n"));
        check(&whole, Whole, &setting.file, other);
    }
    for nothing in ["bytes=99999999-", "bytes=-0"] {
        let raw = setting.send("HEAD", &setting.target, &format!("Range: {nothing}\r\n"));
        assert_eq!((raw.status, raw.body.len()), (416, 0), "a HEAD never has a body: {}", raw.head);
    }
}

#[test]
fn no_path_leads_out_of_the_files() {
    let setting = setting();
    let query = setting.target.split_once('?').unwrap().1;
    let secret = std::fs::read_to_string(setting.folder.path().join("data/keys/links.json")).unwrap();
    let segments: Vec<&str> = setting.target.split(['/', '?']).collect();
    let (file, name) = (segments[2], segments[3]);
    for path in [
        "/files/../keys/links.json".to_owned(),
        "/files/..%2fkeys/links.json".to_owned(),
        "/files/%2e%2e/%2e%2e%2fkeys%2flinks.json".to_owned(),
        "/files/..%5c..%5ckeys/links.json".to_owned(),
        "/files/%252e%252e%252fkeys/links.json".to_owned(),
        "/files//etc/passwd".to_owned(),
        "/files/%2fetc%2fpasswd/x".to_owned(),
        format!("/files/{file}/../../keys/links.json"),
        format!("/files/{file}%00/{name}"),
        format!("/files/{file}/{name}%00.csv"),
        format!("/files/./{file}/{name}"),
        format!("/files/{file}/{name}/"),
        format!("/files/{}/{name}", file.to_uppercase()),
        format!("/files/{file}/{name}%ff"),
        format!("/files/{file}%2f..%2f{file}/{name}"),
        format!("/docs/../files/{file}/x"),
        "/docs/..%2f..%2f..%2fCargo.toml".to_owned(),
        "/docs/%2e%2e/%2e%2e/etc/passwd".to_owned(),
        "/docs/....//....//etc/passwd".to_owned(),
    ] {
        let raw = setting.send("GET", &format!("{path}?{query}"), "");
        assert!(matches!(raw.status, 400 | 403 | 404), "{path}: {}", raw.head);
        let body = String::from_utf8_lossy(&raw.body);
        assert!(!body.contains(secret.trim()) && !body.contains("root:") && !body.contains("[workspace]"), "{path}");
    }
    assert_eq!(setting.send("GET", &setting.target, "").status, 200);
}

#[test]
fn no_text_of_a_client_or_a_tenant_becomes_a_header() {
    let setting = setting();
    // What comes back of a request comes back on its own line, or not at all.
    for (lines, statuses) in [
        ("Client-Request-ID: a\tb\r\nx-ms-client-request-id: \u{e9}\r\n".to_owned(), [200, 400]),
        ("ms-correlationid: a\r\n Set-Cookie: x=1\r\n".to_owned(), [400, 400]),
        ("ms-correlationid: a\nSet-Cookie: x=1\r\n".to_owned(), [200, 400]),
        ("ms-correlationid: a\rSet-Cookie: x=1\r\n".to_owned(), [400, 400]),
        ("ms-correlationid: a\0b\r\n".to_owned(), [400, 400]),
        (format!("ms-requestid: {}\r\n", "x".repeat(5000)), [200, 200]),
    ] {
        let raw = setting.send("GET", &setting.target, &lines);
        assert!(statuses.contains(&raw.status), "{lines:?}: {}", raw.head);
        assert_eq!(raw.header("set-cookie"), None, "{lines:?}: {}", raw.head);
    }
    for target in ["/v1.0/payouts/payments%0d%0aSet-Cookie:x=1", "/docs%0d%0aSet-Cookie:x=1", "/%0d%0aLocation:x"] {
        let raw = setting.send("GET", target, "");
        assert_eq!((raw.header("set-cookie"), raw.header("location")), (None, None), "{}", raw.head);
    }
    // Tenants and principals are whatever an issuer calls them; they travel in links and nowhere else.
    let data = setting.folder.path().join("data");
    for odd in ["a%0d%0aSet-Cookie: x=1", "\"; filename=\"evil.exe", "../../etc/passwd", "ä/ö?ü#&=%", "\u{202e}vsc"]
    {
        let grants = format!(
            "tenant,principal,participant,program,role,until\r\n\"{}\",*,*,*,viewer,\r\n",
            odd.replace('"', "\"\"")
        );
        let grants = setting.folder.write("grants.csv", &grants);
        payouts().run(["grants", "apply", &grants, "--data", &setting.folder.at("data")]).good();
        let api = Api::new(&setting.server.url, &payouts().token(&data, odd, odd));
        let export = api.export("payments", "fileFormat=csv");
        let link = export["blobLocation"].as_str().unwrap().strip_prefix(&setting.server.url).unwrap();
        let raw = setting.send("GET", link, "");
        assert_eq!((raw.status, raw.header("set-cookie")), (200, None), "{odd:?}: {}", raw.head);
        let id = export["requestId"].as_str().unwrap();
        let day = &export["requestDateTime"].as_str().unwrap()[..10];
        let expected = format!("attachment; filename=\"payments-{day}-{}.csv\"", &id[28..]);
        assert_eq!(raw.header("content-disposition"), Some(expected.as_str()), "{odd:?}");
    }
    assert_eq!(setting.api.get("/healthz").status, 200);
}
