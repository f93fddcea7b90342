//! Exports by their verbs.

use std::time::Duration;

use super::*;

const PAYMENTS: &str = "/v1.0/payouts/payments";

async fn two_viewers() -> TestApp {
    let test = TestApp::open().await;
    test.grant("t", Some("ana"), Some("1"), Role::Viewer).await;
    test.grant("t", Some("ana"), Some("2"), Role::Viewer).await;
    test.grant("t", Some("bo"), Some("1"), Role::Viewer).await;
    test.grant("t", Some("chief"), Some("9"), Role::Admin).await;
    test.grant("u", None, None, Role::Viewer).await;
    test
}

#[tokio::test]
async fn a_post_is_accepted_and_found_again() {
    let test = two_viewers().await;
    let answer = test.post(&format!("{PAYMENTS}?$filter=paymentAmount+ge+2000&fileformat=.csv"), "t/ana").await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{:?}", String::from_utf8_lossy(&answer.bytes));
    let json = answer.json();
    assert_eq!(json["requestQueryString"], "paymentAmount ge 2000");
    assert_eq!(json["requestPath"], PAYMENTS);
    assert_eq!(json["status"], "Queued");
    assert_eq!(json["progress"]["queuePosition"], 1);
    assert_eq!(json["value"][0]["requestId"], json["requestId"]);
    assert_eq!(answer.header("retry-after"), "1");
    assert_eq!(answer.header("location"), format!("http://localhost:7070{PAYMENTS}/{}", answer.id()));

    let one = format!("{PAYMENTS}/{}", answer.id());
    let got = test.get(&one, "t/ana").await;
    assert_eq!((got.status, got.json()), (StatusCode::OK, json));
    let etag = got.header("etag").to_owned();
    let again = test.send(Method::GET, &one, "t/ana", &[("if-none-match", &etag)], "").await;
    assert_eq!((again.status, again.bytes.len(), again.header("etag")), (StatusCode::NOT_MODIFIED, 0, etag.as_str()));
    assert_eq!(test.get(&format!("{one}/manifest"), "t/ana").await.code(), "NotReady");
    let other_report = format!("/v1.0/payouts/transactionhistory/{}", answer.id());
    assert_eq!(test.get(&other_report, "t/ana").await.code(), "ExportNotFound");
}

#[tokio::test]
async fn grants_rule_who_sees_and_who_deletes() {
    let test = two_viewers().await;
    let both = test.post(PAYMENTS, "t/ana").await;
    let narrow = test.post(&format!("{PAYMENTS}?enrollmentParticipantId=1"), "t/ana").await;
    let path = |answer: &Answer| format!("{PAYMENTS}/{}", answer.id());
    for (who, wide_status, narrow_status) in
        [("t/ana", 200, 200), ("t/bo", 404, 200), ("t/chief", 200, 200), ("u/x", 404, 404)]
    {
        assert_eq!(test.get(&path(&both), who).await.status, wide_status, "{who}");
        assert_eq!(test.get(&path(&narrow), who).await.status, narrow_status, "{who}");
    }
    assert_eq!(test.delete(&path(&narrow), "t/bo").await.code(), "NotTheOwner");
    assert_eq!(test.delete(&path(&narrow), "u/x").await.code(), "ExportNotFound");
    let deleted = test.delete(&path(&both), "t/chief").await;
    assert_eq!((deleted.status, deleted.json()["blobLocation"].as_str()), (StatusCode::OK, Some("")));
    assert_eq!(test.get(&path(&both), "t/ana").await.code(), "ExportNotFound");
    assert_eq!(test.delete(&path(&both), "t/ana").await.code(), "ExportNotFound");
    assert_eq!(test.delete(&path(&narrow), "t/ana").await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_maker_deletes_also_what_is_no_longer_granted() {
    let test = two_viewers().await;
    let one = format!("{PAYMENTS}/{}", test.post(PAYMENTS, "t/ana").await.id());
    let gone: Vec<_> = test
        .app
        .store
        .grants()
        .await
        .unwrap()
        .into_iter()
        .filter(|g| g.pair.participant == Some(ParticipantId::new("2")))
        .collect();
    test.app.store.revoke(&gone, &test.by()).await.unwrap();
    assert_eq!(test.get(&one, "t/ana").await.code(), "ExportNotFound");
    assert_eq!(test.delete(&one, "t/bo").await.code(), "ExportNotFound");
    let deleted = test.delete(&one, "t/ana").await;
    assert_eq!((deleted.status, deleted.json()["status"].as_str()), (StatusCode::OK, Some("Queued")));
    assert!(deleted.json()["rowCount"].is_null());
    assert_eq!(test.delete(&one, "t/chief").await.code(), "ExportNotFound");
}

#[tokio::test]
async fn a_filter_may_name_what_is_granted() {
    let test = two_viewers().await;
    let refused = test.post(&format!("{PAYMENTS}?$filter=enrollmentParticipantId+in+('7','8')"), "t/ana").await;
    assert_eq!(refused.code(), "ParticipantNotGranted");
    let partly = test.post(&format!("{PAYMENTS}?$filter=enrollmentParticipantId+in+('1','8')"), "t/ana").await;
    assert_eq!(partly.json()["warnings"][0]["code"], "ParticipantsNotGranted");
    let wrong = test.post(&format!("{PAYMENTS}?$filter=paymntId+eq+1"), "t/ana").await;
    assert_eq!(
        (wrong.code().as_str(), wrong.json()["error"]["target"].as_str()),
        ("FilterUnknownField", Some("$filter"))
    );
}

#[tokio::test]
async fn the_same_key_is_answered_with_the_same_export() {
    let test = two_viewers().await;
    let send = async |path: &str, key: &str| test.send(Method::POST, path, "t/ana", &[("ms-requestid", key)], "").await;
    let first = send(&format!("{PAYMENTS}?$filter=paymentId=1"), "k").await;
    let again = send("/v1/payouts/payments?%24filter=paymentId%3D1", "k").await;
    assert_eq!((again.status, again.id()), (StatusCode::ACCEPTED, first.id()));
    assert_eq!((first.header("idempotency-replayed"), again.header("idempotency-replayed")), ("", "true"));
    assert_eq!(again.header("ms-requestid"), "k");
    assert_eq!(send(&format!("{PAYMENTS}?$filter=paymentId=2"), "k").await.code(), "IdempotencyKeyReused");
    assert_eq!(send(PAYMENTS, "a b").await.code(), "InvalidIdempotencyKey");
    test.delete(&format!("{PAYMENTS}/{}", first.id()), "t/ana").await;
    assert_ne!(send(&format!("{PAYMENTS}?$filter=paymentId=2"), "k").await.id(), first.id());
}

#[tokio::test]
async fn a_replay_needs_the_grants_of_the_first() {
    let test = TestApp::open().await;
    test.grant("t", Some("ana"), Some("1"), Role::Viewer).await;
    test.grant("t", Some("ana"), Some("2"), Role::Viewer).await;
    let send = async || test.send(Method::POST, PAYMENTS, "t/ana", &[("ms-requestid", "k")], "").await;
    let first = send().await;
    assert_eq!((first.status, first.json()["progress"]["queuePosition"].as_u64()), (StatusCode::ACCEPTED, Some(1)));
    let gone: Vec<_> = test.app.store.grants().await.unwrap().into_iter().skip(1).collect();
    test.app.store.revoke(&gone, &test.by()).await.unwrap();
    assert_eq!(send().await.code(), "ExportNotFound");
    test.app.store.grant(&gone, &test.by()).await.unwrap();
    assert_eq!(send().await.id(), first.id());
}

#[tokio::test]
async fn a_long_filter_goes_into_the_body() {
    let test = two_viewers().await;
    let json = [("content-type", "application/json")];
    let body = r#"{"filter": "paymentId eq 1"}"#;
    let accepted = test.send(Method::POST, PAYMENTS, "t/ana", &json, body).await;
    assert_eq!(accepted.json()["requestQueryString"], "paymentId eq 1");
    let both = test.send(Method::POST, &format!("{PAYMENTS}?$filter=paymentId=1"), "t/ana", &json, body).await;
    assert_eq!(both.code(), "DuplicateParameter");
    let text = test.send(Method::POST, PAYMENTS, "t/ana", &[("content-type", "text/plain")], body).await;
    assert_eq!(text.code(), "UnsupportedMediaType");
    let empty = test.send(Method::POST, PAYMENTS, "t/ana", &[("content-type", "text/plain")], "").await;
    assert_eq!(empty.status, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn polling_is_not_counted_and_everything_else_is() {
    let test = TestApp::with(|c| (c.limits.caller_per_second, c.limits.caller_burst) = (1, 3)).await;
    test.grant("t", None, Some("1"), Role::Viewer).await;
    let ids = [test.post(PAYMENTS, "t/a").await.id(), test.post(PAYMENTS, "t/a").await.id()];
    assert_eq!(test.get(PAYMENTS, "t/a").await.status, StatusCode::OK);
    for _ in 0..3 {
        let refused = test.get(PAYMENTS, "t/a").await;
        assert_eq!((refused.code().as_str(), refused.header("retry-after")), ("TooManyRequests", "1"));
        for id in &ids {
            assert_eq!(test.get(&format!("{PAYMENTS}/{id}"), "t/a").await.status, StatusCode::OK);
        }
        let unknown = format!("{PAYMENTS}/6a1d1f0e-7c3b-4f52-9d0a-2f6c4c1b8e11");
        assert_eq!(test.get(&unknown, "t/a").await.code(), "TooManyRequests");
        test.clock.advance_ms(300);
    }
}

#[tokio::test]
async fn the_queue_of_a_tenant_has_an_end() {
    let test = TestApp::with(|c| c.limits.tenant_queue_max = 1).await;
    test.grant("t", None, Some("1"), Role::Viewer).await;
    assert_eq!(test.post(PAYMENTS, "t/a").await.status, StatusCode::ACCEPTED);
    let full = test.post(PAYMENTS, "t/a").await;
    assert_eq!((full.code().as_str(), full.header("retry-after")), ("TooManyRequests", "30"));
}

#[tokio::test]
async fn the_list_is_newest_first_in_pages() {
    let test = two_viewers().await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(test.post(PAYMENTS, "t/ana").await.id().to_string());
        test.clock.advance_ms(10);
    }
    ids.reverse();
    let mut seen = Vec::new();
    let mut path = format!("{PAYMENTS}?$top=2&status=queued");
    loop {
        let page = test.get(&path, "t/ana").await.json();
        assert_eq!(page["totalCount"], 5);
        seen.extend(page["value"].as_array().unwrap().iter().map(|e| e["requestId"].as_str().unwrap().to_owned()));
        let Some(next) = page["nextLink"].as_str() else { break };
        path = next.strip_prefix("http://localhost:7070").unwrap().to_owned();
    }
    assert_eq!(seen, ids);
    assert_eq!(test.get(&format!("{PAYMENTS}?status=Failed"), "t/ana").await.json()["totalCount"], 0);
    assert_eq!(test.get(PAYMENTS, "u/x").await.json()["totalCount"], 0);
    assert_eq!(test.get(&format!("{PAYMENTS}?$skiptoken=x"), "t/ana").await.code(), "InvalidParameter");
}

#[tokio::test]
async fn a_held_get_is_woken_by_a_change() {
    let test = two_viewers().await;
    let one = format!("{PAYMENTS}/{}", test.post(PAYMENTS, "t/ana").await.id());
    let held = test.send(Method::GET, &one, "t/ana", &[("prefer", "wait=60")], "");
    let work = async {
        // Claimed earlier, it would be held until the next change.
        while test.app.signals.waiting() == 0 {
            tokio::task::yield_now().await;
        }
        let claim = test
            .app
            .store
            .claim("node", &payouts_store::ClaimTerms::any(60_000, 10), test.clock.now())
            .await
            .unwrap()
            .unwrap();
        test.app.signals.changed(claim.export.id);
    };
    let (answer, ()) = tokio::time::timeout(Duration::from_secs(30), async { tokio::join!(held, work) }).await.unwrap();
    assert_eq!(
        (answer.json()["status"].as_str(), answer.header("preference-applied")),
        (Some("Processing"), "wait=60")
    );
    let gone = test.send(Method::GET, &one, "t/ana", &[("prefer", "wait=60")], "");
    let (answer, _) = tokio::join!(gone, test.delete(&one, "t/ana"));
    assert_eq!(answer.code(), "ExportNotFound");
}

#[tokio::test]
async fn parts_that_keep_the_limits_are_accepted_together() {
    let test = two_viewers().await;
    // Each part has 3,000 of the 4,000 nodes that one may have.
    let part = vec!["paymentId eq 1"; 1_000].join(" and ");
    let body = serde_json::json!({ "filter": part }).to_string();
    let path = format!("{PAYMENTS}?Multiple+filters={}", part.replace(' ', "+"));
    let json = [("content-type", "application/json")];
    let answer = test.send(Method::POST, &path, "t/ana", &json, &body).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{:?}", String::from_utf8_lossy(&answer.bytes));
    // What was recorded is what the answer shows and what a worker reads back.
    let stored = test.get(&format!("{PAYMENTS}/{}", answer.id()), "t/ana").await.json();
    assert_eq!(stored["requestQueryString"].as_str().unwrap().matches("eq").count(), 2_000);
}
