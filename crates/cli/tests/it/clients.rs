//! The ways in which clients of the original read answers.

use payouts_testkit::TestServer;
use reqwest::Method;

use crate::wire::Api;
use crate::{Folder, payouts};

fn served(folder: &Folder) -> (TestServer, Api) {
    let data = folder.path().join("data");
    let server = TestServer::start(&payouts(), &data);
    let api = Api::new(&server.url, &payouts().token(&data, "contoso", "ann"));
    (server, api)
}

#[test]
fn the_first_of_value_the_bare_object_and_the_location_are_one_export() {
    let folder = Folder::with_sample(1000);
    let (server, api) = served(&folder);
    let answer = api.post("/v1.0/payouts/payments?$filter=payoutOrderType='REBATE'").expect(202);
    let asked = answer.json();
    assert_eq!(asked["value"][0]["requestId"], asked["requestId"]);
    assert_eq!(asked["totalCount"], 1);
    assert!(asked["nextLink"].is_null());
    assert_eq!(asked["requestPath"], "/v1.0/payouts/payments");
    assert_eq!(asked["requestQueryString"], "payoutOrderType='REBATE'");
    let location = answer.header("location").to_owned();
    assert!(location.starts_with(&server.url), "{location} is absolute");
    assert!(answer.header("retry-after").parse::<u64>().is_ok());
    assert!(!answer.header("request-id").is_empty());
    let by_location = api.wait("payments", location.rsplit('/').next().unwrap());
    assert_eq!(by_location["requestId"], asked["requestId"]);
    // Every way to the link leads to the same bytes.
    let bare = api.file(&by_location);
    assert_eq!(api.file(&by_location["value"][0]), bare);
    assert_eq!(&bare[..4], b"PK\x03\x04", "no format asked for: a ZIP");
}

#[test]
fn fileformat_csv_is_plain_text() {
    let folder = Folder::with_sample(1000);
    let (_server, api) = served(&folder);
    for query in ["fileformat=csv", "fileFormat=.csv", "fileFormat=CSV"] {
        let export = api.export("payments", &format!("$filter=payoutOrderType%20eq%20'REBATE'&{query}"));
        let link = export["blobLocation"].as_str().unwrap();
        let answer = api.call(Method::GET, link, &[("accept-encoding", "gzip, deflate")]).expect(200);
        assert_eq!(answer.header("content-encoding"), "", "Azure clients cut encoded files short");
        let text = String::from_utf8(answer.body).expect("UTF-8");
        assert!(text.starts_with("participantID,participantIDType,"), "{}", &text[..60]);
    }
}

#[test]
fn a_post_without_a_length_and_one_of_length_zero_are_normal() {
    use std::io::{Read, Write};
    let folder = Folder::with_sample(500);
    let (server, _api) = served(&folder);
    let token = payouts().token(&folder.path().join("data"), "contoso", "ann");
    let address = server.url.strip_prefix("http://").unwrap();
    for length in ["", "Content-Length: 0\r\n"] {
        let mut socket = std::net::TcpStream::connect(address).unwrap();
        let request = format!(
            "POST /v1/payouts/payments?$filter=paymentId=123456 HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n{length}Connection: close\r\n\r\n"
        );
        socket.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    }
}

#[test]
fn a_download_goes_on_where_it_was_cut_over_a_renewed_link() {
    let folder = Folder::with_sample(2000);
    let (_server, api) = served(&folder);
    let export = api.export("payments", "fileFormat=csv");
    let whole = api.get(export["blobLocation"].as_str().unwrap()).expect(200);
    let etag = whole.header("etag").to_owned();
    let again = api.get_json(&format!("/v1.0/payouts/payments/{}", export["requestId"].as_str().unwrap()));
    let link = again["blobLocation"].as_str().unwrap();
    let rest = api.call(Method::GET, link, &[("range", "bytes=1000-"), ("if-range", &etag)]).expect(206);
    assert_eq!(rest.body, whole.body[1000..]);
    assert_eq!(rest.header("content-range"), format!("bytes 1000-{}/{}", whole.body.len() - 1, whole.body.len()));
    let azure = api.call(Method::GET, link, &[("x-ms-range", "bytes=0-99")]).expect(206);
    assert_eq!(azure.body, whole.body[..100]);
    api.call(Method::GET, link, &[("range", "bytes=999999999-")]).expect(416);
    let other = api.call(Method::GET, link, &[("range", "bytes=1000-"), ("if-range", "\"other\"")]).expect(200);
    assert_eq!(other.body, whole.body);
}

#[test]
fn the_same_request_id_is_the_same_export_across_restarts() {
    let folder = Folder::with_sample(500);
    let (mut server, api) = served(&folder);
    let path = "/v1.0/payouts/payments?$filter=paymentId=123456";
    let first = api.call(Method::POST, path, &[("ms-requestid", "one")]).expect(202).json();
    server.kill();
    let (_server, api) = served(&folder);
    let again = api.call(Method::POST, path, &[("idempotency-key", "one")]).expect(202);
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(again.json()["requestId"], first["requestId"]);
    let other = api.call(Method::POST, "/v1.0/payouts/payments?$filter=paymentId=1", &[("ms-requestid", "one")]);
    assert_eq!(other.expect(400).code(), "IdempotencyKeyReused");
}
