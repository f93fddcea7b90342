//! What manifests say.

use std::sync::Arc;

use payouts_model::chunk::Beyond;
use payouts_model::error::ErrorCode;
use payouts_model::export::{Progress, Query};
use payouts_model::totals::{Moment, TotalKey};
use payouts_model::{Amount, FileFormat, ParticipantId, Totals};
use serde_json::json;

use super::*;

fn export(text: &str, filter: &str, scope: Scope) -> Export {
    Export {
        id: "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b".parse().unwrap(),
        report: ReportName::Payments,
        tenant: TenantId::new("contoso"),
        principal: PrincipalId::new("alice"),
        status: Status::Processing,
        query: Query {
            text: text.to_owned(),
            filter: filter.to_owned(),
            columns: vec!["participantID".into(), "earned".into()],
            format: FileFormat::DEFAULT,
            time_zone: "UTC".into(),
            now: Timestamp(1_780_000_000_000_000),
        },
        scope,
        created_at: Timestamp(1_780_000_000_000_000),
        started_at: None,
        ended_at: None,
        failed_attempts: 0,
        lost_leases: 0,
        fence: 1,
        data_version: Some(7),
        progress: Progress::default(),
        file: None,
        file_expires_at: None,
        failure: None,
        warnings: Vec::new(),
        revision: 1,
        held_at: None,
    }
}

fn participants(ids: impl IntoIterator<Item = u32>) -> Scope {
    ids.into_iter().map(|id| Pair { participant: Some(ParticipantId::new(&id.to_string())), program: None }).collect()
}

fn sums(rows: &[(&str, &str, &str, &str, &str, &str)]) -> Totals {
    let mut totals = Totals { rows: rows.len() as u64, ..Totals::default() };
    for &(column, currency, status, program, order_type, amount) in rows {
        let [column, currency, status, program, order_type] =
            [column, currency, status, program, order_type].map(Arc::from);
        let key = TotalKey { column, currency, status, program, order_type };
        totals.sums.entry(key).or_default().add(amount.parse::<Amount>().unwrap());
    }
    totals
}

fn packaged(totals: Totals) -> Packaged {
    let entry = Entry { name: "payments.csv".into(), bytes: 10, rows: totals.rows, sha256: "ab".into() };
    Packaged { bytes: 5, sha256: "cd".into(), entries: vec![entry], totals, beyond: Beyond::default() }
}

#[test]
fn sums_are_exact_and_grouped_twice() {
    let mut all = sums(&[
        ("earned", "EUR", "SENT", "B", "REBATE", "0.1"),
        ("earned", "EUR", "SENT", "A", "REBATE", "0.2"),
        ("earned", "EUR", "SENT", "A", "FEE", "-1000000000.0001"),
        ("earned", "USD", "SENT", "A", "FEE", "5"),
    ]);
    let column: Arc<str> = "paymentDate".into();
    all.widen(&column, (Moment::Date(0), Moment::Date(19_492)));
    let manifest =
        Manifest::completed(&export("a", "a", participants([1])), &packaged(all), "x.zip", Extras::default());
    let json: serde_json::Value = serde_json::from_str(&manifest.to_json()).unwrap();
    assert_eq!(
        json["totals"],
        json!([
            {"column": "earned", "currency": "EUR", "paymentStatus": "SENT", "rows": 3, "sum": "-999999999.7001", "negativeSum": "-1000000000.0001"},
            {"column": "earned", "currency": "USD", "paymentStatus": "SENT", "rows": 1, "sum": "5.00", "negativeSum": "0.00"},
        ])
    );
    let programs: Vec<_> = manifest
        .totals_by_program
        .iter()
        .map(|p| (&*p.program_name, &*p.order_type, &*p.total.currency, &*p.total.sum))
        .collect();
    assert_eq!(
        programs,
        [
            ("A", "FEE", "EUR", "-1000000000.0001"),
            ("A", "FEE", "USD", "5.00"),
            ("A", "REBATE", "EUR", "0.20"),
            ("B", "REBATE", "EUR", "0.10")
        ]
    );
    assert_eq!(json["dates"], json!([{"column": "paymentDate", "least": "1970-01-01", "greatest": "2023-05-15"}]));
}

#[test]
fn a_completed_one_reads_back() {
    let extras = Extras {
        data_version: Some(9),
        data_as_of: Some(Timestamp(1_780_000_000_500_000)),
        reproducible_until: Some(Timestamp(1_783_000_000_000_000)),
        steps: vec![Step::new("write", Timestamp(0), Some(Timestamp(1_000_000)))],
        warnings: vec![Warning { code: "W".into(), message: "m".into() }],
    };
    let export = export("", "payoutStatusUpdateTS ge 2023-01-01T00:00:00Z", Scope::everything());
    let manifest = Manifest::completed(&export, &packaged(Totals::default()), "payments.zip", extras);
    let text = manifest.to_json();
    assert_eq!(Manifest::from_json(&text).unwrap(), manifest);
    assert_eq!(text, manifest.clone().to_json());
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["requestId"], "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b");
    assert_eq!(
        (&json["report"], &json["status"], &json["rowCount"]),
        (&json!("payments"), &json!("Completed"), &json!(0))
    );
    assert_eq!(json["filter"]["defaultWindow"], true);
    assert_eq!(json["filter"]["now"], "2026-05-28T20:26:40Z");
    assert_eq!(json["scope"]["participantCount"], "all");
    assert_eq!(json["scope"]["pairs"], json!([{"participant": null, "program": null}]));
    assert_eq!((&json["dataVersion"], &json["dataAsOf"]), (&json!(9), &json!("2026-05-28T20:26:40.5Z")));
    assert_eq!(json["fileFormat"], "csv.zip");
    assert_eq!(json["files"][0]["entries"][0]["name"], "payments.csv");
    assert_eq!(json["requestedBy"], json!({"tenantId": "contoso", "principalId": "alice"}));
    assert_eq!(
        json["steps"],
        json!([{"name": "write", "startedAt": "1970-01-01T00:00:00Z", "endedAt": "1970-01-01T00:00:01Z"}])
    );
    assert_eq!(json["error"], json!(null));
}

#[test]
fn a_failed_one_says_why_and_has_no_file() {
    let failure = Failure { code: ErrorCode::FileNotFound, message: "gone".into(), retryable: true };
    let manifest = Manifest::failed(&export("x", "x", participants([1, 2])), failure, Extras::default());
    let json: serde_json::Value = serde_json::from_str(&manifest.to_json()).unwrap();
    assert_eq!(json["status"], "Failed");
    assert_eq!(json["error"], json!({"code": "FileNotFound", "message": "gone", "retryable": true}));
    assert_eq!((&json["rowCount"], &json["files"], &json["dataVersion"]), (&json!(null), &json!([]), &json!(7)));
    assert_eq!(json["scope"]["participants"], json!(["1", "2"]));
}

#[test]
fn many_participants_are_counted_not_listed() {
    let few = ScopeSummary::from(&participants(0..1_000));
    assert_eq!(few.participants.as_ref().map(Vec::len), Some(1_000));
    let many = ScopeSummary::from(&participants(0..1_001));
    assert_eq!((many.participant_count, &many.participants, &many.pairs), (Count::Number(1_001), &None, &None));
    assert_ne!(few.digest, many.digest);
}
