//! What the listener shows after an export.

use axum::body::Body;
use axum::http::Request;
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
    request_refused(ErrorCode::TooManyRequests);

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
        "payouts_requests_refused_total{code=\"TooManyRequests\"}",
        "payouts_workers_busy",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    assert!(!text.contains("secret"), "{text}");
}
