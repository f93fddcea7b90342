//! Every state of an Export as a body.

use payouts_model::export::{FileInfo, Query};
use payouts_model::{Export, ExportId, FileFormat, PrincipalId, Progress, ReportName, Scope, TenantId};

use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp(1_685_049_646_372_756 + seconds * 1_000_000)
}

fn export(status: Status) -> Export {
    Export {
        id: "6a1d1f0e-7c3b-4f52-9d0a-2f6c4c1b8e11".parse::<ExportId>().unwrap(),
        report: ReportName::Payments,
        tenant: TenantId::new("contoso"),
        principal: PrincipalId::new("ana"),
        status,
        query: Query {
            text: "paymentAmount ge 2000".into(),
            filter: "totalPayment ge 2000".into(),
            columns: vec!["participantID".into()],
            format: FileFormat::DEFAULT,
            time_zone: "UTC".into(),
            now: at(0),
        },
        scope: Scope::everything(),
        created_at: at(0),
        started_at: None,
        ended_at: None,
        failed_attempts: 0,
        lost_leases: 0,
        fence: 0,
        data_version: None,
        progress: Progress::default(),
        file: None,
        file_expires_at: None,
        failure: None,
        warnings: vec![],
        revision: 1,
        held_at: None,
    }
}

fn completed() -> Export {
    let mut export = export(Status::Completed);
    export.started_at = Some(at(1));
    export.ended_at = Some(at(9));
    export.progress = Progress { rows_done: 1234, rows_expected: Some(1234) };
    export.file_expires_at = Some(at(30 * 86_400));
    export.file = Some(FileInfo {
        fence: 1,
        format: FileFormat::DEFAULT,
        download_name: "payments.zip".into(),
        size_bytes: 98_765,
        sha256: "00".into(),
        rows: 1234,
    });
    export
}

fn link() -> FileLink {
    FileLink { url: "https://payouts.example.com/files/x?sig=y".into(), expires_at: at(3600) }
}

fn json(export: Export, full: bool, link: Option<FileLink>, queue_position: u64, now: Timestamp) -> serde_json::Value {
    let members = ExportMembers::new(&Visible { export, full, queue_position }, link, now);
    serde_json::to_value(ExportView::from(members)).unwrap()
}

#[test]
fn a_queued_export_is_the_object_and_the_list() {
    let view = json(export(Status::Queued), true, None, 3, at(0));
    insta::assert_json_snapshot!(view, @r#"
    {
      "requestId": "6a1d1f0e-7c3b-4f52-9d0a-2f6c4c1b8e11",
      "requestDateTime": "2023-05-25T21:20:46.3727560Z",
      "processingStartDateTime": "",
      "requestPath": "/v1.0/payouts/payments",
      "requestQueryString": "paymentAmount ge 2000",
      "blobLocation": "",
      "status": "Queued",
      "completedDateTime": "",
      "rowCount": null,
      "fileSizeBytes": null,
      "linkExpirationDateTime": "",
      "fileExpirationDateTime": "",
      "progress": {
        "rowsDone": 0,
        "rowsExpected": null,
        "queuePosition": 3
      },
      "error": null,
      "warnings": [],
      "value": [
        {
          "requestId": "6a1d1f0e-7c3b-4f52-9d0a-2f6c4c1b8e11",
          "requestDateTime": "2023-05-25T21:20:46.3727560Z",
          "processingStartDateTime": "",
          "requestPath": "/v1.0/payouts/payments",
          "requestQueryString": "paymentAmount ge 2000",
          "blobLocation": "",
          "status": "Queued",
          "completedDateTime": "",
          "rowCount": null,
          "fileSizeBytes": null,
          "linkExpirationDateTime": "",
          "fileExpirationDateTime": "",
          "progress": {
            "rowsDone": 0,
            "rowsExpected": null,
            "queuePosition": 3
          },
          "error": null,
          "warnings": []
        }
      ],
      "nextLink": null,
      "totalCount": 1
    }
    "#);
}

#[test]
fn a_completed_export_has_link_counts_and_ends() {
    let view = json(completed(), true, Some(link()), 0, at(10));
    assert_eq!(view["blobLocation"], "https://payouts.example.com/files/x?sig=y");
    assert_eq!(view["value"][0]["blobLocation"], view["blobLocation"]);
    assert_eq!(view["rowCount"], 1234);
    assert_eq!(view["fileSizeBytes"], 98_765);
    assert_eq!(view["linkExpirationDateTime"], "2023-05-25T22:20:46.3727560Z");
    assert_eq!(view["completedDateTime"], "2023-05-25T21:20:55.3727560Z");
    assert_eq!(view["warnings"], serde_json::json!([]));
}

#[test]
fn after_its_file_it_is_still_completed() {
    let mut gone = completed();
    gone.file = None;
    let view = json(gone, true, None, 0, at(31 * 86_400));
    assert_eq!((view["status"].as_str(), view["blobLocation"].as_str()), (Some("Completed"), Some("")));
    assert_eq!(view["warnings"][0]["code"], "FileExpired");
    assert_eq!(view["rowCount"], 1234);
}

#[test]
fn an_admin_without_the_pairs_sees_the_state_alone() {
    let view = json(completed(), false, None, 0, at(10));
    assert_eq!(view["status"], "Completed");
    for member in ["rowCount", "fileSizeBytes"] {
        assert!(view[member].is_null(), "{member}");
    }
    assert_eq!(view["progress"], serde_json::json!({"rowsDone": 0, "rowsExpected": 0, "queuePosition": 0}));
    let mut running = completed();
    running.status = Status::Processing;
    let view = json(running, false, None, 0, at(10));
    assert_eq!(view["progress"], serde_json::json!({"rowsDone": 0, "rowsExpected": null, "queuePosition": 0}));
}

#[test]
fn a_failure_says_whether_to_try_again() {
    let mut failed = export(Status::Failed);
    failed.failure =
        Some(Failure { code: payouts_model::ErrorCode::SnapshotGone, message: "m".into(), retryable: true });
    let view = json(failed, true, None, 0, at(10));
    assert_eq!(view["error"], serde_json::json!({"code": "SnapshotGone", "message": "m", "retryable": true}));
}
