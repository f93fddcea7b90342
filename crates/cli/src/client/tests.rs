//! The client against a scripted service.

use std::sync::{Arc, Mutex};

use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

const ID: &str = "9b2f0a52-3c1d-4a8e-9e55-0c6f5c2a7d10";

/// A service that answers as a script says: each request's head in, the bytes of an answer out,
/// and the connection is closed after it.
struct Scripted {
    url: String,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Scripted {
    async fn start(script: impl Fn(usize, &str, &str) -> Vec<u8> + Send + 'static) -> Self {
        // The HTTP client asks for it even where it speaks plain HTTP; another test may be first.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let heads = Arc::new(Mutex::new(Vec::new()));
        let (seen, base) = (heads.clone(), url.clone());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                let head = String::from_utf8(head).unwrap();
                let count = seen.lock().unwrap().len();
                seen.lock().unwrap().push(head.clone());
                stream.write_all(&script(count, &head, &base)).await.unwrap();
            }
        });
        Self { url, heads }
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

fn answer(status: &str, headers: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n{body}", body.len())
        .into_bytes()
}

fn completed(base: &str, link: &str) -> String {
    format!(r#"{{"requestId":"{ID}","status":"Completed","blobLocation":"{base}/files/{link}"}}"#)
}

fn manifest(body: &str, rows: u64) -> String {
    let digest: String = Sha256::digest(body).iter().map(|b| format!("{b:02x}")).collect();
    let file = format!(r#"{{"name":"p.csv","bytes":{},"sha256":"{digest}"}}"#, body.len());
    format!(r#"{{"rowCount":{rows},"fileFormat":"csv","files":[{file}],"totals":[]}}"#)
}

fn body() -> String {
    (0..1000).fold(String::from("id,name\r\n"), |text, i| format!("{text}{i},\"a\r\nb\"\r\n"))
}

fn observer(_: Event<'_>) {}

async fn fetch(service: &Scripted, out: &Path) -> Result<Fetched, Error> {
    let client = Client::new(&service.url, "token")?;
    let export = client.get(ReportName::Payments, ID, &observer).await?;
    client.fetch(ReportName::Payments, export, out, &observer).await
}

fn path(head: &str) -> &str {
    head.split(' ').nth(1).unwrap()
}

#[tokio::test]
async fn a_broken_download_goes_on_over_a_fresh_link() {
    let service = Scripted::start(|count, head, base| {
        let body = body();
        let half = body.len() / 2;
        match path(head) {
            p if p.ends_with("/manifest") => answer("200 OK", "", &manifest(&body, 1000)),
            p if p.contains("/payouts/") => {
                answer("200 OK", "", &completed(base, if count == 0 { "old" } else { "new" }))
            }
            // The first time the connection breaks in the middle, then the link has ended.
            "/files/old" if !head.to_ascii_lowercase().contains("range:") => {
                let mut bytes = answer("200 OK", "ETag: \"e\"\r\n", &body);
                bytes.truncate(bytes.len() - half);
                bytes
            }
            "/files/old" => answer("403 Forbidden", "", r#"{"error":{"code":"LinkExpired","message":"over"}}"#),
            "/files/new" => {
                let range =
                    head.lines().find_map(|l| l.to_ascii_lowercase().strip_prefix("range: bytes=").map(str::to_owned));
                let start: usize = range.unwrap().trim_end_matches('-').parse().unwrap();
                let content =
                    format!("ETag: \"e\"\r\nContent-Range: bytes {start}-{}/{}\r\n", body.len() - 1, body.len());
                answer("206 Partial Content", &content, &body[start..])
            }
            other => panic!("{other}"),
        }
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("p.csv");
    let fetched = fetch(&service, &out).await.unwrap();
    assert_eq!(fetched.checked.rows, 1000);
    assert_eq!(std::fs::read_to_string(&out).unwrap(), body());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
    let heads = service.heads();
    let last = heads.last().unwrap().to_ascii_lowercase();
    assert!(last.contains("if-range: \"e\"") && last.contains("range: bytes="), "{last}");
    assert!(
        heads
            .iter()
            .filter(|h| path(h).starts_with("/files/"))
            .all(|h| !h.to_ascii_lowercase().contains("authorization"))
    );
}

#[tokio::test]
async fn a_file_that_is_not_the_manifests_is_thrown_away() {
    let service = Scripted::start(|_, head, base| match path(head) {
        p if p.ends_with("/manifest") => answer("200 OK", "", &manifest(&body(), 999)),
        p if p.contains("/payouts/") => answer("200 OK", "", &completed(base, "f")),
        _ => answer("200 OK", "ETag: \"e\"\r\n", &body()),
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let error = fetch(&service, &folder.path().join("p.csv")).await.unwrap_err();
    assert!(matches!(&error, Error::Mismatch { what } if what == "rows 1000, expected 999"), "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_repeated_question_makes_no_second_export() {
    let service = Scripted::start(|count, _, _| match count {
        0 => answer(
            "503 Service Unavailable",
            "Retry-After: 0\r\n",
            r#"{"error":{"code":"Unavailable","message":"later"}}"#,
        ),
        1 => b"HTTP/1.1 202 Acc".to_vec(),
        _ => answer("202 Accepted", "", &format!(r#"{{"requestId":"{ID}","status":"Queued"}}"#)),
    })
    .await;
    let client = Client::new(&format!("{}/prefix/", service.url), "token").unwrap();
    let filter = "paymentId eq 1 and programName eq 'a+b & c'".to_owned();
    let ask = Ask {
        report: ReportName::Payments,
        filter: Some(filter.clone()),
        format: FileFormat::parse("csv"),
        select: None,
        time_zone: None,
    };
    let export = client.ask(&ask, &observer).await.unwrap();
    assert_eq!(export.request_id, ID);
    let heads = service.heads();
    assert_eq!(heads.len(), 3);
    let key = |head: &String| {
        head.lines().find(|l| l.to_ascii_lowercase().starts_with("idempotency-key:")).unwrap().to_owned()
    };
    assert!(heads.iter().all(|h| key(h) == key(&heads[0])));
    let target = path(&heads[0]);
    assert!(target.starts_with("/prefix/v1.0/payouts/payments?"), "{target}");
    let url = Url::parse(&format!("http://x{target}")).unwrap();
    let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    assert_eq!(pairs, [("$filter".to_owned(), filter), ("fileFormat".to_owned(), "csv".to_owned())]);
}

#[tokio::test]
async fn a_failed_export_is_told_apart_from_a_refusal() {
    let service = Scripted::start(|_, _, _| {
        let error = r#"{"code":"StorageFull","message":"no room","retryable":true}"#;
        answer("200 OK", "", &format!(r#"{{"requestId":"{ID}","status":"Failed","blobLocation":"","error":{error}}}"#))
    })
    .await;
    let error = fetch(&service, Path::new("never")).await.unwrap_err();
    let failure = crate::failure::Failure::from(error);
    assert_eq!(failure.exit_code, 1);
    assert!(failure.to_string().contains("no room (StorageFull)"), "{failure}");
}
