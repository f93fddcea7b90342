//! What is asked, without a store.

use payouts_model::{Catalog, Pair, PrincipalId, Role, TenantId};

use super::*;

fn report() -> Arc<Report> {
    Catalog::builtin().report(ReportName::Payments).clone()
}

fn viewer(participants: &[&str]) -> Viewer {
    Viewer {
        tenant: TenantId::new("t"),
        principal: PrincipalId::new("p"),
        role: Role::Viewer,
        scope: participants.iter().map(|p| Pair { participant: Some(ParticipantId::new(p)), program: None }).collect(),
    }
}

fn ids(texts: &[&str]) -> BTreeSet<ParticipantId> {
    texts.iter().map(|t| ParticipantId::new(t)).collect()
}

#[test]
fn select_takes_names_in_any_case_and_the_default_set() {
    let report = report();
    let names = |select: &str| -> Vec<String> {
        parse_select(Some(select), &report).unwrap().into_iter().map(|i| report.fields[i].name.to_string()).collect()
    };
    assert_eq!(names("PaymentID, programname,paymentId"), ["paymentID", "programName"]);
    assert_eq!(names("*,payoutOrderType,payoutStatusUpdateTS").len(), 20);
    assert_eq!(parse_select(None, &report).unwrap().len(), 18);
    let error = parse_select(Some("programNme"), &report).unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidSelect);
    assert!(error.message().contains("'programName'"), "{}", error.message());
    assert!(parse_select(Some(""), &report).is_err() && parse_select(Some("paymentID,"), &report).is_err());
}

#[test]
fn named_participants_narrow_the_scope() {
    let viewer = viewer(&["1", "2", "3"]);
    assert_eq!(narrow(&viewer, &ids(&[])).unwrap(), (viewer.scope.clone(), vec![]));
    let (scope, warnings) = narrow(&viewer, &ids(&["0002"])).unwrap();
    assert_eq!((scope.pairs().len(), warnings.len()), (1, 0));
    let (scope, warnings) = narrow(&viewer, &ids(&["2", "9"])).unwrap();
    assert_eq!(scope.pairs().len(), 1);
    assert_eq!(warnings[0].code, "ParticipantsNotGranted");
    assert_eq!(narrow(&viewer, &ids(&["8", "9"])).unwrap_err().code(), ErrorCode::ParticipantNotGranted);
}

#[test]
fn a_pair_of_all_participants_grants_each() {
    let viewer = Viewer { scope: Scope::everything(), ..viewer(&[]) };
    let (scope, warnings) = narrow(&viewer, &ids(&["5", "6"])).unwrap();
    assert_eq!((scope.pairs().len(), warnings.len()), (2, 0));
}

#[test]
fn time_zones_go_by_their_iana_names() {
    assert_eq!(parse_time_zone(None).unwrap(), chrono_tz::UTC);
    assert_eq!(parse_time_zone(Some("europe/berlin")).unwrap(), chrono_tz::Europe::Berlin);
    assert_eq!(parse_time_zone(Some("Europe/Berln")).unwrap_err().code(), ErrorCode::InvalidTimeZone);
}

async fn body(content_type: Option<&str>, text: &str) -> Result<Option<String>, ErrorCode> {
    let mut headers = HeaderMap::new();
    if let Some(value) = content_type {
        headers.insert(header::CONTENT_TYPE, value.parse().unwrap());
    }
    let config = crate::Config::load_offline(None, &crate::config::Overrides::default()).unwrap();
    let limits = Limits { body_bytes: 100, ..config.limits };
    read_body(&headers, Body::from(text.to_owned()), &limits).await.map_err(|e| e.code())
}

#[tokio::test]
async fn bodies() {
    let json = Some("application/json; charset=utf-8");
    assert_eq!(body(json, r#"{"filter": "a eq 1"}"#).await, Ok(Some("a eq 1".into())));
    assert_eq!(body(json, "").await, Ok(None));
    assert_eq!(body(Some("text/plain"), "").await, Ok(None));
    assert_eq!(body(None, "").await, Ok(None));
    assert_eq!(body(json, " \r\n").await, Ok(None));
    assert_eq!(body(json, " {\"filter\": \"\"}").await, Ok(Some(String::new())));
    for bad in ["{}", r#"{"filter": null}"#, "[]", r#"["a eq 1"]"#, "[null]", "null", "\"a\"", r#"{"filter": "a"} x"#] {
        assert_eq!(body(json, bad).await, Err(ErrorCode::InvalidBody), "{bad}");
    }
    assert_eq!(body(json, r#"{"filters": "x"}"#).await, Err(ErrorCode::InvalidBody));
    assert_eq!(body(json, r#"{"filter": 1}"#).await, Err(ErrorCode::InvalidBody));
    assert_eq!(body(Some("text/plain"), "x").await, Err(ErrorCode::UnsupportedMediaType));
    assert_eq!(body(json, &"x".repeat(101)).await, Err(ErrorCode::BodyTooLarge));
}

#[test]
fn a_digest_does_not_depend_on_escaping() {
    let of = |raw: &str| digest(ReportName::Payments, raw, None).unwrap();
    assert_eq!(of("$filter=a+eq+1"), of("%24filter=a%20eq%201"));
    assert_ne!(of("$filter=a+eq+1"), of("$filter=a+eq+2"));
    assert_ne!(of("$filter=a"), digest(ReportName::TransactionHistory, "$filter=a", None).unwrap());
}
