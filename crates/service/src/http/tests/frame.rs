//! What is around every answer.

use super::*;

#[tokio::test]
async fn every_answer_has_an_id_and_every_error_its_code() {
    let test = TestApp::open().await;
    test.grant("t", None, Some("1"), Role::Viewer).await;
    let id = "6a1d1f0e-7c3b-4f52-9d0a-2f6c4c1b8e11";
    for (method, path, who, status, code) in [
        (Method::GET, "/nowhere".to_owned(), "", 404, "PathNotFound"),
        (Method::GET, "/v2.0/payouts/payments".to_owned(), "", 404, "UnsupportedVersion"),
        (Method::GET, "/v1.0/payouts/refunds".to_owned(), "t/a", 404, "PathNotFound"),
        (Method::GET, "/v1.0/payouts/payments".to_owned(), "", 401, "Unauthenticated"),
        (Method::GET, "/v1.0/payouts/$metadata".to_owned(), "", 401, "Unauthenticated"),
        (Method::GET, "/v1.0/payouts/payments".to_owned(), "other/a", 403, "NoGrants"),
        (Method::GET, "/v1.0/payouts/payments/x".to_owned(), "t/a", 400, "InvalidPath"),
        (Method::GET, format!("/v1.0/payouts/payments/{id}"), "t/a", 404, "ExportNotFound"),
        (Method::DELETE, format!("/v1.0/payouts/payments/{id}"), "t/a", 404, "ExportNotFound"),
        (Method::GET, format!("/v1.0/payouts/payments/{id}/manifest"), "t/a", 404, "ExportNotFound"),
        (Method::PUT, "/v1.0/payouts/payments".to_owned(), "t/a", 405, "MethodNotAllowed"),
        (Method::GET, "/v1.0/payouts/payments/preview".to_owned(), "t/a", 405, "MethodNotAllowed"),
        (Method::POST, "/v1.0/payouts/payments?$filter=a&$filter=b".to_owned(), "t/a", 400, "DuplicateParameter"),
        (Method::POST, "/v1.0/payouts/payments?fileformat=xls".to_owned(), "t/a", 400, "InvalidFileFormat"),
        (Method::POST, "/v1.0/payouts/payments?filter=x".to_owned(), "t/a", 400, "UnknownParameter"),
        (Method::POST, "/v1.0/payouts/payments?$filter=%ff".to_owned(), "t/a", 400, "InvalidParameter"),
        (
            Method::POST,
            "/v1.0/payouts/payments?$filter=programName+eq+'A".to_owned() + "&B'",
            "t/a",
            400,
            "FilterSyntax",
        ),
    ] {
        let answer = test.send(method.clone(), &path, who, &[("client-request-id", "c-1")], "").await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (status, code), "{method} {path}");
        assert_eq!(answer.header("client-request-id"), "c-1");
        assert_eq!(answer.headers.contains_key("www-authenticate"), status == 401);
    }
}

#[tokio::test]
async fn a_token_is_asked_for_with_a_form() {
    let test = TestApp::open().await;
    let ask = async |headers: &[(&str, &str)], body: &str| {
        test.send(Method::POST, "/contoso/oauth2/token", "", headers, body).await
    };
    for (headers, body) in
        [(&[][..], ""), (&[("content-type", "application/json")], "{}"), (&[], "grant_type=password")]
    {
        let refused = ask(headers, body).await;
        assert_eq!(
            (refused.status.as_u16(), refused.json()["error"].as_str()),
            (400, Some("invalid_request")),
            "{body}"
        );
    }
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let given = ask(&form, "grant_type=client_credentials&client_id=a").await;
    assert_eq!((given.status, given.json()["token_type"].as_str()), (StatusCode::OK, Some("Bearer")));
}

#[tokio::test]
async fn a_405_says_what_is_taken() {
    let test = TestApp::open().await;
    let answer = test.send(Method::PATCH, "/v1.0/payouts/payments", "", &[], "").await;
    let mut allowed: Vec<&str> = answer.header("allow").split(',').collect();
    allowed.sort_unstable();
    assert_eq!(allowed, ["GET", "HEAD", "POST"]);
}

#[tokio::test]
async fn a_development_server_answers_loopback_hosts_alone() {
    let test = TestApp::open().await;
    let request = Request::get("/healthz").header("host", "evil.example").body(Body::empty()).unwrap();
    let response = test.router.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::MISDIRECTED_REQUEST);
    assert!(response.headers().get("access-control-allow-origin").is_none());
}

#[tokio::test]
async fn a_prefix_may_be_stripped_by_the_proxy_or_not() {
    let test = TestApp::with(|c| c.public_url = Some("https://api.example.com/pay".into())).await;
    test.grant("t", None, Some("1"), Role::Viewer).await;
    for path in ["/v1.0/payouts/payments", "/pay/v1/payouts/payments"] {
        let answer = test.post(path, "t/a").await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{path}");
        let location = answer.header("location");
        assert_eq!(location, format!("https://api.example.com/pay/v1.0/payouts/payments/{}", answer.id()));
    }
    assert_eq!(test.get("/pay/nowhere", "").await.code(), "PathNotFound");
}

#[tokio::test]
async fn the_public_pages_need_no_token_and_no_other_host() {
    let test = TestApp::open().await;
    assert_eq!(test.get("/healthz", "").await.json()["status"], "ok");
    assert_eq!(test.get("/readyz", "").await.json()["status"], "ready");
    assert_eq!(test.get("/openapi.json", "").await.json()["servers"][0]["url"], "http://localhost:7070");
    assert_eq!(test.get("/docs", "").await.header("location"), "http://localhost:7070/docs/");
    let page = test.get("/docs/", "").await;
    let text = String::from_utf8(page.bytes.clone()).unwrap();
    assert!(page.header("content-type").starts_with("text/html") && text.contains("swagger-ui"));
    assert!(!text.contains("src=\"http") && !text.contains("href=\"http"), "{text}");
    let script = test.get("/docs/swagger-initializer.js", "").await;
    assert!(String::from_utf8(script.bytes).unwrap().contains("../openapi.json"));
    assert_eq!(test.get("/docs/nothing.js", "").await.code(), "PathNotFound");
    test.app.stop.cancel();
    assert_eq!(test.get("/readyz", "").await.code(), "Unavailable");
}

#[tokio::test]
async fn a_panic_is_a_500_with_an_id() {
    let test = TestApp::open().await;
    let router = Router::new()
        .route(
            "/boom",
            axum::routing::get(|| async {
                if true {
                    panic!("secret")
                }
            }),
        )
        .layer(axum::middleware::from_fn_with_state(test.app.clone(), crate::http::envelope::envelope));
    let request = Request::get("/boom").header("host", "localhost").body(Body::empty()).unwrap();
    let response = router.oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert!(response.headers().contains_key("request-id"));
    let body = String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap();
    assert!(body.contains("\"Internal\"") && !body.contains("secret"), "{body}");
}

#[tokio::test]
async fn metadata_in_both_forms() {
    let test = TestApp::open().await;
    test.grant("t", None, Some("1"), Role::Viewer).await;
    let xml = test.get("/v1.0/payouts/$metadata", "t/a").await;
    assert_eq!((xml.status, xml.header("content-type")), (StatusCode::OK, "application/xml"));
    let json = test.send(Method::GET, "/v1.0/payouts/$metadata", "t/a", &[("accept", "application/json")], "").await;
    assert_eq!(json.json()["$Version"], "4.01");
    let none = test.send(Method::GET, "/v1.0/payouts/$metadata", "t/a", &[("accept", "image/png")], "").await;
    assert_eq!(none.code(), "NotAcceptable");
}

#[test]
fn every_code_is_documented() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/api.md");
    let document = std::fs::read_to_string(path).unwrap();
    let rows = document.lines().filter(|l| l.starts_with("| `") && l.split('|').count() == 5).count();
    for code in payouts_model::ErrorCode::ALL {
        let row = format!("| `{code}` | {} | ", code.status());
        assert!(document.lines().any(|l| l.starts_with(&row)), "docs/api.md has no row {row}");
    }
    assert!(rows >= payouts_model::ErrorCode::ALL.len());
}
