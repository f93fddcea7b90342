//! What the listener shows after an export.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt;
use payouts_model::{PrincipalId, TenantId};
use tower::ServiceExt;

use super::*;
use crate::worker::tests::Bench;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_is_shown_and_nobody_is_named() {
    recorder().expect("nothing else records in this process");
    let bench = Bench::new().await;
    let (stop, worker) = bench.start().await;
    let id = bench
        .ask(|create| {
            create.principal = PrincipalId::new("secret-principal");
            create.tenant = TenantId::new("t");
        })
        .await;
    bench.until_ended(id).await;
    stop.end();
    worker.await.unwrap();
    bench.ask(|create| create.tenant = TenantId::new("secret-tenant")).await;
    files_expired(1);
    request_answered("/v1.0/payouts/payments", "POST", 202, Duration::from_millis(3));
    request_refused(ErrorCode::TooManyRequests, Some("queue_max"));
    request_refused(ErrorCode::FilterSyntax, None);
    token_refused("issuer");
    download_ended(false, 7);
    export_failed(ErrorCode::StorageFull);

    let request = Request::get("/metrics").body(Body::empty()).unwrap();
    let answer = router(bench.app.clone()).oneshot(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let text = String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap();
    for line in [
        "payouts_exports{report=\"payments\",status=\"Queued\"} 1",
        "payouts_exports{report=\"payments\",status=\"Completed\"} 1",
        "payouts_exports{report=\"transactionhistory\",status=\"Failed\"} 0",
        "payouts_attempts_total{report=\"payments\",outcome=\"completed\"}",
        "payouts_step_seconds_bucket{report=\"payments\",step=\"write\",le=\"60\"}",
        "payouts_rows_written_total{report=\"payments\"}",
        "payouts_file_bytes_written_total{report=\"payments\"}",
        "payouts_files_deleted_total{reason=\"expired\"}",
        "payouts_http_requests_total{route=\"/v1.0/payouts/payments\",method=\"POST\",status=\"202\"}",
        "payouts_requests_refused_total{code=\"TooManyRequests\",limit=\"queue_max\"}",
        "payouts_requests_refused_total{code=\"FilterSyntax\",limit=\"\"}",
        "payouts_tokens_refused_total{reason=\"issuer\"}",
        "payouts_exports_failed_total{code=\"StorageFull\"}",
        "payouts_exports_failed_total{code=\"WorkerLost\"} 0",
        "payouts_leases_lost_total{how=\"ran_out\"} 0",
        "payouts_oldest_export_seconds{status=\"Queued\"}",
        "payouts_downloads_total{end=\"interrupted\"}",
        "payouts_download_bytes_total ",
        "payouts_build_info{version=",
        "payouts_workers_busy",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    assert!(!text.contains("secret"), "{text}");
}

/// Operators read of every number in docs/operations.md, and of none that there is not.
#[test]
fn the_document_names_every_metric_and_no_other() {
    let document = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/operations.md");
    let document = std::fs::read_to_string(document).expect("the document");
    let mut named = std::collections::BTreeSet::new();
    for (at, _) in document.match_indices("payouts_") {
        let rest = &document[at..];
        let name = &rest[..rest.find(|c: char| !c.is_ascii_lowercase() && c != '_').unwrap_or(rest.len())];
        named.insert(["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name));
    }
    let described: std::collections::BTreeSet<&str> = DESCRIBED.iter().map(|(name, ..)| *name).collect();
    assert_eq!(named, described);
}
