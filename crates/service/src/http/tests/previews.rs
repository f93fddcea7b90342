//! Previews over a small sample.

use payouts_ledger::sample;

use super::*;

const PREVIEW: &str = "/v1.0/payouts/payments/preview";

/// A service over a sample, with its participant of most payments granted to `t/ana`.
async fn sampled() -> (TestApp, String) {
    let test = TestApp::open().await;
    let (folder, catalog) = (test.app.config.data_dir.clone(), test.app.catalog.clone());
    let options = sample::Options {
        rows: 2_000,
        earnings: 10,
        participants: Some(5),
        seed: 1,
        until: "2026-06-30".parse().unwrap(),
    };
    let made = tokio::task::spawn_blocking(move || sample::make(&folder, &catalog, &options, &|_, _| {}));
    let participant = made.await.unwrap().unwrap().participants.remove(0);
    test.grant("t", Some("ana"), Some(&participant), Role::Viewer).await;
    test.grant("t", Some("all"), None, Role::Viewer).await;
    (test, participant)
}

#[tokio::test]
async fn a_preview_holds_what_the_export_would() {
    let (test, participant) = sampled().await;
    let query = "?$filter=paymentDate+ne+null+or+true&$select=participantID,totalPayment&timeZone=Europe/Berlin";
    let own = test.post(&format!("{PREVIEW}{query}"), "t/ana").await;
    assert_eq!(own.status, StatusCode::OK, "{}", String::from_utf8_lossy(&own.bytes));
    let own = own.json();
    let all = test.post(&format!("{PREVIEW}{query}"), "t/all").await.json();
    let rows = |json: &Value| json["rowCount"].as_u64().unwrap();
    assert!(rows(&own) > 0 && rows(&own) < rows(&all), "{own}");
    assert_eq!(rows(&all), 2_000);
    let first = own["firstRows"].as_array().unwrap();
    assert_eq!(first.len(), 20);
    let same =
        |row: &Value| ParticipantId::new(row["participantID"].as_str().unwrap()) == ParticipantId::new(&participant);
    assert!(first.iter().all(same), "a row outside the grants: {first:?}");
    let months: u64 = own["months"].as_array().unwrap().iter().map(rows).sum();
    assert_eq!(months, rows(&own));
    assert_eq!((own["timeZone"].as_str(), own["warnings"].as_array().map(Vec::len)), (Some("Europe/Berlin"), Some(0)));
}

#[tokio::test]
async fn a_preview_names_the_ids_that_matched_nothing() {
    let (test, _) = sampled().await;
    let answer = test.post(&format!("{PREVIEW}?$filter=paymentId+in+('1','2')"), "t/all").await.json();
    assert_eq!(answer["rowCount"], 0);
    assert_eq!(answer["notFound"], serde_json::json!(["1", "2"]));
    assert!(answer["filter"].as_str().unwrap().contains(" in "), "{answer}");
}

#[tokio::test]
async fn without_data_the_way_out_is_named() {
    let test = TestApp::open().await;
    test.grant("t", None, Some("1"), Role::Viewer).await;
    let answer = test.post(PREVIEW, "t/ana").await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (503, "Unavailable"));
    assert!(answer.json()["error"]["message"].as_str().unwrap().contains("payouts import"));
}
