//! Any text as the query of a POST: it is refused with a message that points inside what was sent,
//! or understood; then its normal form, asked for anew, means the same, and so does the same query in
//! other escapes.

#![no_main]

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use payouts_filter::Filter;
use payouts_model::{
    Catalog, ErrorCode, Pair, ParticipantId, PrincipalId, Report, ReportName, Role, TenantId, Timestamp, Viewer,
};
use payouts_service::http::Error;
use payouts_service::http::exports::asked::Asked;
use payouts_service::http::params::{ExportParams, URL_FILTER_BYTES_MAX, pairs};
use url::form_urlencoded;

const NOW: Timestamp = Timestamp(1_700_000_000_123_456);

static CATALOG: LazyLock<Catalog> = LazyLock::new(Catalog::builtin);
static ALIASES: LazyLock<HashMap<String, Vec<String>>> =
    LazyLock::new(|| HashMap::from([("Old".to_owned(), vec!["New".to_owned(), "Newest".to_owned()])]));
static VIEWERS: LazyLock<[Viewer; 2]> = LazyLock::new(|| {
    let pair = |participant: Option<&str>| Pair { participant: participant.map(ParticipantId::new), program: None };
    let viewer = |pairs: Vec<Pair>| Viewer {
        tenant: TenantId::new("contoso"),
        principal: PrincipalId::new("ann"),
        role: Role::Viewer,
        scope: pairs.into_iter().collect(),
    };
    [viewer(vec![pair(None)]), viewer(vec![pair(Some("1")), pair(Some("0042"))])]
});

/// Every byte as an escape.
fn escaped(text: &str) -> String {
    text.bytes().map(|b| format!("%{b:02X}")).collect()
}

fn understand(report: &Arc<Report>, viewer: &Viewer, params: &ExportParams) -> Result<Asked, Error> {
    Asked::understand(report, &ALIASES, viewer, params, String::new(), NOW)
}

/// A refusal is the caller's fault, says what is wrong, and points inside a value that came.
fn check_refusal(error: &Error, sent: &[(String, String)]) {
    let body: serde_json::Value = serde_json::from_slice(&error.body("id")).expect("JSON");
    let body = &body["error"];
    assert!((400..500).contains(&error.code().status()), "{body}");
    assert!(!error.message().is_empty() && error.message().len() < 2000, "{body}");
    let details = body["details"].as_array().expect("a list");
    assert!(!details.is_empty() && body["target"].is_string(), "{body}");
    for detail in details {
        let (Some(offset), Some(length)) = (detail["offset"].as_u64(), detail["length"].as_u64()) else { continue };
        let target = detail["target"].as_str().expect("a parameter");
        let inside = sent
            .iter()
            .any(|(name, value)| name.eq_ignore_ascii_case(target) && offset + length <= value.chars().count() as u64);
        assert!(inside, "{body} points outside of {sent:?}");
    }
}

/// A name without what people paste in front of it.
fn bare(name: &str) -> &str {
    let name = name.trim();
    name.strip_prefix('?').map_or(name, bare)
}

/// The names and values, by another reader.
fn check_pairs(raw: &str, read: &[(String, String)]) {
    let other: Vec<(String, String)> = form_urlencoded::parse(raw.as_bytes())
        .map(|(name, value)| (bare(&name).to_owned(), value.into_owned()))
        .collect();
    assert_eq!(read, other, "{raw}");
}

fn check_understood(report: &Arc<Report>, viewer: &Viewer, params: &ExportParams, asked: &Asked) {
    let normal = Filter::parse_normal(&asked.query.filter, report);
    let normal = normal.expect("a normal form is a filter").expect("and one that says something");
    assert_eq!(normal.predicate, asked.predicate, "{}", asked.query.filter);
    assert_eq!(normal.normal_form, asked.query.filter);
    let narrowed = asked.scope == viewer.scope || !asked.scope.is_empty();
    assert!(narrowed && !asked.columns.is_empty(), "{asked:?}");

    // Asked for anew in normal form, by URL.
    let raw = form_urlencoded::Serializer::new(String::new())
        .append_pair("$filter", &asked.query.filter)
        .append_pair("fileFormat", &asked.query.format.to_string())
        .append_pair("$select", &asked.query.columns.join(","))
        .append_pair("timeZone", &asked.query.time_zone)
        .finish();
    match ExportParams::parse(&raw, report).and_then(|params| understand(report, viewer, &params)) {
        Ok(again) => {
            assert_eq!(again.predicate, asked.predicate, "{raw}");
            assert_eq!(again.query.filter, asked.query.filter);
            assert_eq!(
                (&again.columns, &again.id_lists, &again.scope, &again.warnings, again.time_zone, again.query.format),
                (&asked.columns, &asked.id_lists, &asked.scope, &asked.warnings, asked.time_zone, asked.query.format)
            );
        }
        // A day is two comparisons, an old name a list: what was within the limits may be beyond.
        Err(error) => {
            assert!(error.code() == ErrorCode::FilterLimit && asked.query.filter.len() > 500, "{raw}: {error:?}")
        }
    }
    // What the client is shown as its query means what it asked for.
    if !asked.query.text.is_empty() && asked.query.text.len() < URL_FILTER_BYTES_MAX {
        let shown = ExportParams { filter: Some(asked.query.text.clone()), fields: Vec::new(), ..params.clone() };
        match understand(report, viewer, &shown) {
            Ok(again) => assert_eq!(again.predicate, asked.predicate, "{}", asked.query.text),
            Err(error) => assert_eq!(error.code(), ErrorCode::FilterLimit, "{}: {error:?}", asked.query.text),
        }
    }
}

fuzz_target!(|data: (u8, &str)| {
    let (how, raw) = data;
    let report = CATALOG.report(ReportName::ALL[usize::from(how & 1) % ReportName::ALL.len()]);
    let viewer = &VIEWERS[usize::from(how >> 1 & 1)];
    let sent = pairs(raw);
    let params = ExportParams::parse(raw, report);
    let sent = match sent {
        Ok(sent) => sent,
        Err(error) => {
            check_refusal(&error, &[]);
            assert!(params.is_err_and(|e| e.code() == error.code()));
            return;
        }
    };
    check_pairs(raw, &sent);
    let other: Vec<String> = sent.iter().map(|(name, value)| format!("{}={}", escaped(name), escaped(value))).collect();
    let other = ExportParams::parse(&other.join("&"), report);
    match (&params, &other) {
        (Ok(params), Ok(other)) => assert_eq!(params, other, "in other escapes"),
        (Err(error), Err(other)) => assert_eq!(error.code(), other.code(), "in other escapes"),
        _ => panic!("{params:?} and in other escapes {other:?}"),
    }
    match params.and_then(|params| Ok((understand(report, viewer, &params)?, params))) {
        Ok((asked, params)) => check_understood(report, viewer, &params, &asked),
        Err(error) => check_refusal(&error, &sent),
    }
});
