//! Files behind links.

use std::io::Write as _;

use payouts_blob::BlobName;
use payouts_model::FileFormat;
use payouts_model::export::FileInfo;
use payouts_store::Completion;

use super::*;

const TEXT: &[u8] = b"participantID,totalPayment\r\n0001,12.50\r\n";

/// A completed export of participant 1 and the path of its link.
async fn completed(test: &TestApp) -> (String, String) {
    test.grant("t", Some("ana"), Some("1"), Role::Viewer).await;
    let one =
        format!("/v1.0/payouts/payments/{}", test.post("/v1.0/payouts/payments?fileFormat=csv", "t/ana").await.id());
    let claim = test
        .app
        .store
        .claim("node", &payouts_store::ClaimTerms::any(60_000, 10), test.clock.now())
        .await
        .unwrap()
        .unwrap();
    let name = BlobName::ExportFile { export: claim.export.id, fence: claim.fence };
    let blobs = test.app.blobs.clone();
    tokio::task::spawn_blocking(move || {
        let mut writer = blobs.create(name).unwrap();
        writer.write_all(TEXT).unwrap();
        writer.seal(TEXT.len() as u64).unwrap();
    })
    .await
    .unwrap();
    let file = FileInfo {
        fence: claim.fence,
        format: FileFormat::parse("csv").unwrap(),
        download_name: "payments.csv".into(),
        size_bytes: TEXT.len() as u64,
        sha256: "ab".repeat(32),
        rows: 1,
    };
    let file_expires_at = test.clock.now().plus_ms(30 * 86_400_000);
    let completion = Completion {
        file,
        manifest: "{\"rowCount\":1}".into(),
        file_expires_at,
        reproducible_until: None,
        warnings: vec![],
    };
    assert!(test.app.store.complete(&claim, completion, test.clock.now()).await.unwrap());
    let link = link(test, &one).await;
    (one, link)
}

async fn link(test: &TestApp, one: &str) -> String {
    let json = test.get(one, "t/ana").await.json();
    let url = json["blobLocation"].as_str().unwrap().to_owned();
    url.strip_prefix("http://localhost:7070").unwrap_or_else(|| panic!("{json}")).to_owned()
}

#[tokio::test]
async fn a_link_serves_the_bytes_without_a_token() {
    let test = TestApp::open().await;
    let (one, link) = completed(&test).await;
    let file = test.send(Method::GET, &link, "", &[("accept-encoding", "gzip, deflate")], "").await;
    assert_eq!((file.status, file.bytes.as_slice()), (StatusCode::OK, TEXT));
    for (name, value) in [
        ("content-type", "text/csv; charset=utf-8"),
        ("content-length", "40"),
        ("content-disposition", "attachment; filename=\"payments.csv\""),
        ("accept-ranges", "bytes"),
        ("x-ms-blob-type", "BlockBlob"),
        ("x-ms-version", "2021-12-02"),
        ("cache-control", "private, no-store"),
        ("referrer-policy", "no-referrer"),
        ("content-encoding", ""),
    ] {
        assert_eq!(file.header(name), value, "{name}");
    }
    let head = test.send(Method::HEAD, &link, "", &[], "").await;
    assert_eq!((head.status, head.bytes.len(), head.header("content-length")), (StatusCode::OK, 0, "40"));
    assert_eq!(test.get(&format!("{one}/manifest"), "t/ana").await.json()["rowCount"], 1);
}

#[tokio::test]
async fn ranges_the_way_azure_clients_ask() {
    let test = TestApp::open().await;
    let (_, link) = completed(&test).await;
    let first = test.send(Method::GET, &link, "", &[("x-ms-range", "bytes=0-33554431")], "").await;
    assert_eq!((first.status, first.bytes.as_slice()), (StatusCode::PARTIAL_CONTENT, TEXT));
    assert_eq!(first.header("content-range"), "bytes 0-39/40");
    let etag = first.header("etag").to_owned();
    let tail = test.send(Method::GET, &link, "", &[("range", "bytes=-7"), ("if-match", &etag)], "").await;
    assert_eq!(
        (tail.status, tail.bytes.as_slice(), tail.header("content-length")),
        (StatusCode::PARTIAL_CONTENT, &TEXT[33..], "7")
    );
    let beyond = test.send(Method::GET, &link, "", &[("x-ms-range", "bytes=40-")], "").await;
    assert_eq!((beyond.status.as_u16(), beyond.code().as_str()), (416, "RangeNotSatisfiable"));
    assert_eq!((beyond.header("content-range"), beyond.header("x-ms-error-code")), ("bytes */40", "InvalidRange"));
    let other = test.send(Method::GET, &link, "", &[("if-match", "\"x\"")], "").await;
    assert_eq!((other.status.as_u16(), other.header("x-ms-error-code")), (412, "ConditionNotMet"));
    let same = test.send(Method::GET, &link, "", &[("if-none-match", &etag)], "").await;
    assert_eq!((same.status, same.bytes.len()), (StatusCode::NOT_MODIFIED, 0));
}

#[tokio::test]
async fn a_link_lives_as_long_as_its_reasons() {
    let test = TestApp::open().await;
    let (one, first) = completed(&test).await;
    let etag = test.get(&one, "t/ana").await.header("etag").to_owned();
    assert_eq!(link(&test, &one).await, first, "the text is stable");
    let forged = first.replace("sig=", "sig=A");
    assert_eq!(test.get(&forged, "").await.code(), "LinkInvalid");
    assert_eq!(test.get(first.split_once('?').unwrap().0, "").await.code(), "LinkInvalid");
    test.clock.advance_ms(45 * 60_000);
    let renewed = test.send(Method::GET, &one, "t/ana", &[("if-none-match", &etag)], "").await;
    assert_eq!(renewed.status, StatusCode::OK, "a 304 would leave a dying link");
    test.clock.advance_ms(60 * 60_000);
    assert_eq!(test.get(&first, "").await.code(), "LinkExpired");
    let fresh = link(&test, &one).await;
    assert_eq!(test.get(&fresh, "").await.status, StatusCode::OK);
    let grants = test.app.store.grants().await.unwrap();
    test.app.store.revoke(&grants, &test.by()).await.unwrap();
    let lost = test.get(&fresh, "").await;
    assert_eq!((lost.code().as_str(), lost.header("x-ms-error-code")), ("LinkInvalid", "AuthenticationFailed"));
    test.app.store.grant(&grants, &test.by()).await.unwrap();
    assert_eq!(test.delete(&one, "t/ana").await.status, StatusCode::OK);
    assert_eq!(test.get(&fresh, "").await.code(), "FileNotFound");
    assert!(test.app.blobs.list().await.unwrap().is_empty(), "nothing is left behind");
}

#[tokio::test]
async fn after_its_retention_the_file_is_gone_and_the_export_stays() {
    let test = TestApp::open().await;
    let (one, _) = completed(&test).await;
    test.clock.advance_ms(31 * 86_400_000);
    let json = test.get(&one, "t/ana").await.json();
    assert_eq!((json["status"].as_str(), json["blobLocation"].as_str()), (Some("Completed"), Some("")));
    assert_eq!(json["warnings"][0]["code"], "FileExpired");
}

/// The actions of the audit record with what they say of bytes, ends of downloads included.
async fn trail(test: &TestApp) -> Vec<(String, Value)> {
    test.app.trails.close();
    test.app.trails.wait().await;
    test.app.trails.reopen();
    let entries = test.app.store.audit_entries(0, 1_000).await.unwrap();
    let read = |record: &str| serde_json::from_str::<Value>(record).unwrap();
    entries.iter().map(|e| read(&e.record)).map(|r| (r["action"].as_str().unwrap().to_owned(), r)).collect()
}

#[tokio::test]
async fn downloads_are_recorded_with_whom_and_how_many_bytes() {
    let test = TestApp::open().await;
    let (one, link) = completed(&test).await;
    let before = trail(&test).await.len();
    let whole = test.get(&link, "").await;
    let part = test.send(Method::GET, &link, "", &[("range", "bytes=10-14")], "").await;
    // What sends no bytes of the file is no download.
    test.send(Method::HEAD, &link, "", &[], "").await;
    test.send(Method::GET, &link, "", &[("if-none-match", whole.header("etag"))], "").await;
    test.send(Method::GET, &link, "", &[("range", "bytes=400-")], "").await;
    test.get(&link.replace("sig=", "sig=A"), "").await;
    let records = trail(&test).await.split_off(before);
    let of = |answer: &Answer, action: &str| {
        let id = answer.header("request-id");
        let found: Vec<_> = records.iter().filter(|(a, r)| a == action && r["request"] == id).collect();
        assert_eq!(found.len(), 1, "{action} {records:#?}");
        found[0].1.clone()
    };
    assert_eq!(records.len(), 4, "{records:#?}");
    let (started, ended) = (of(&whole, "download.started"), of(&whole, "download.ended"));
    assert_eq!((&started["fromBytes"], &started["askedBytes"]), (&Value::from(0), &Value::from(40)));
    assert_eq!(ended["sentBytes"], 40);
    assert_eq!(ended["by"], serde_json::json!({"tenant": "t", "principal": "ana"}));
    assert!(one.ends_with(started["export"].as_str().unwrap()));
    let (started, ended) = (of(&part, "download.started"), of(&part, "download.ended"));
    assert_eq!((&started["fromBytes"], &started["askedBytes"]), (&Value::from(10), &Value::from(5)));
    assert_eq!(ended["sentBytes"], 5);
}

/// A client that goes away before it took a byte: the answer is dropped unread.
#[tokio::test]
async fn a_download_that_is_not_taken_is_interrupted() {
    let test = TestApp::open().await;
    let (_, link) = completed(&test).await;
    let before = trail(&test).await.len();
    let request = Request::get(&link).header("host", "localhost:7070").body(Body::empty()).unwrap();
    let response = test.router.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let started = test.app.store.audit_entries(before as u64, 10).await.unwrap();
    assert!(started[0].record.contains("download.started"), "before the first byte is asked for: {started:?}");
    drop(response);
    let records = trail(&test).await.split_off(before);
    assert_eq!(
        records.iter().map(|(a, _)| a.as_str()).collect::<Vec<_>>(),
        ["download.started", "download.interrupted"]
    );
    assert_eq!(records[1].1["sentBytes"], 0);
}
