//! The main things, one test each; the broad suite is in `cases`.

use payouts_model::{Catalog, ErrorCode, ReportName};

use super::*;

mod hostile;
mod round_trip;

pub(crate) fn now() -> Timestamp {
    Timestamp(1_700_000_000_123_456)
}

pub(crate) fn parse_in(report: ReportName, zone: Tz, text: &str) -> Result<Option<Filter>, Error> {
    let aliases = HashMap::from([("Old Program".to_owned(), vec!["New Program".to_owned(), "Newest".to_owned()])]);
    let catalog = Catalog::builtin();
    let context = Context { report: catalog.report(report), time_zone: zone, now: now(), program_aliases: &aliases };
    Filter::parse(text, &context)
}

fn normal(text: &str) -> String {
    match parse_in(ReportName::Payments, Tz::UTC, text) {
        Ok(filter) => filter.map_or_else(String::new, |f| f.normal_form),
        Err(e) => panic!("{text}: {e:?}"),
    }
}

fn refused(text: &str) -> Error {
    match parse_in(ReportName::Payments, Tz::UTC, text) {
        Ok(filter) => panic!("{text}: accepted as {filter:?}"),
        Err(e) => e,
    }
}

#[test]
fn the_reference_page_works_as_printed() {
    for (text, meaning) in [
        ("enrollmentParticipantId=12345", "participantID eq '12345'"),
        ("paymentAmount ge 2000 and paymentAmount le 5000", "totalPayment ge 2000 and totalPayment le 5000"),
        ("?$filter=?$filter=payoutOrderType='REBATE'", "payoutOrderType eq 'REBATE'"),
        ("programName=’CSP Indirect Provider’", "programName eq 'CSP Indirect Provider'"),
        (
            "(enrollmentParticipantId eq 123) and (payoutStatusUpdateTS ge 2023-01-01 and payoutStatusUpdateTS le 2023-05-31) and (payoutOrderType='REBATE')",
            "participantID eq '123' and payoutStatusUpdateTS ge 2023-01-01T00:00:00Z and payoutStatusUpdateTS lt 2023-06-01T00:00:00Z and payoutOrderType eq 'REBATE'",
        ),
    ] {
        assert_eq!(normal(text), meaning);
    }
}

#[test]
fn precedence_is_odatas() {
    for (text, meaning) in [
        ("earned gt 1 and earned gt 2 or earned gt 3", "earned gt 1 and earned gt 2 or earned gt 3"),
        ("earned gt 1 and (earned gt 2 or earned gt 3)", "earned gt 1 and (earned gt 2 or earned gt 3)"),
        ("not (earned gt 1) and true", "not (earned gt 1) and true"),
        ("earned add 1 mul 2 gt 3 eq true", "earned add 1 mul 2 gt 3 eq true"),
        ("(earned add 1) mul 2 gt -(-3)", "(earned add 1) mul 2 gt 3"),
        ("earned sub (1 sub 2) sub 3 gt 0", "earned sub (1 sub 2) sub 3 gt 0"),
        ("-earned mul 2 lt 0", "-earned mul 2 lt 0"),
        ("not programName in ('a')", "not (programName in ('a'))"),
        ("(-5) in (5, -5, -INF)", "(-5) in (5, -5, -INF)"),
    ] {
        assert_eq!(normal(text), meaning);
    }
}

#[test]
fn errors_say_where_and_what() {
    let e = refused("paymntId eq 1 and earned gt 'x'");
    assert_eq!((e.code, e.offset, e.length), (ErrorCode::FilterUnknownField, 0, 8));
    assert_eq!(e.nearest, ["paymentID"]);
    let e = refused("“?$filter=programName eq 'é' and earned gt 'x'”");
    assert_eq!((e.code, e.offset, e.length), (ErrorCode::FilterType, 43, 3), "{e}");
    let e = refused("earned gt");
    assert_eq!((e.code, e.offset, e.length), (ErrorCode::FilterSyntax, 9, 0));
    assert!(!e.expected.is_empty());
    let e = refused("programName eq 'AT");
    assert!(e.code == ErrorCode::FilterSyntax && e.message.contains("%26"), "{e}");
}

#[test]
fn participants_of_the_top_level() {
    let named = |text: &str| {
        let catalog = Catalog::builtin();
        let report = catalog.report(ReportName::Payments);
        let filter = parse_in(ReportName::Payments, Tz::UTC, text).unwrap().unwrap();
        filter.participants(report).map(|set| set.iter().map(|p| p.as_str().to_owned()).collect::<Vec<_>>())
    };
    assert_eq!(named("participantID eq '007'"), Some(vec!["7".to_owned()]));
    assert_eq!(named("7 eq participantID and participantID in (7, 8)"), Some(vec!["7".to_owned(), "8".to_owned()]));
    assert_eq!(named("participantID eq 7 and participantID eq 8"), Some(vec!["7".to_owned(), "8".to_owned()]));
    assert_eq!(named("participantID eq 7 or true"), None);
    assert_eq!(named("not (participantID eq 7)"), None);
    assert_eq!(named("participantID ne 7"), None);
    assert_eq!(named("participantID eq null"), None);
}

#[test]
fn id_lists_and_windows() {
    let catalog = Catalog::builtin();
    let report = catalog.report(ReportName::Payments);
    let filter =
        parse_in(ReportName::Payments, Tz::UTC, "paymentId in (01, '2') and participantID = 3 and programName = 'x'");
    let ids = |texts: &[&str]| texts.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>();
    let (payment, participant) = (report.index_of("paymentID").unwrap(), report.index_of("participantID").unwrap());
    let filter = filter.unwrap().unwrap();
    assert_eq!(filter.id_lists(report), [(payment, ids(&["1", "2"])), (participant, ids(&["3"]))]);
    let window = Filter::window(report, now());
    assert_eq!(window.normal_form, "payoutStatusUpdateTS ge 2020-11-14T00:00:00Z");
    assert_eq!(filter.and(window, report).normal_form.matches(" and ").count(), 3);
    let earnings = catalog.report(ReportName::TransactionHistory);
    assert_eq!(Filter::window(earnings, now()).normal_form, "earningDate ge 2020-11-14");
}

#[test]
fn normal_forms_need_no_context() {
    let catalog = Catalog::builtin();
    let report = catalog.report(ReportName::Payments);
    for text in [
        "payoutStatusUpdateTS eq 2023-03-26 and programName ne 'Old Program' and paymentDate lt now()",
        "payoutStatusUpdateTS in (2023-03-26, 2023-03-27, 2023-04-01, null, 2023-01-01T00:00:00Z) or earned gt 1e40",
    ] {
        let filter = parse_in(ReportName::Payments, chrono_tz::Europe::Berlin, text).unwrap().unwrap();
        assert_eq!(Filter::parse_normal(&filter.normal_form, report).unwrap().unwrap(), filter);
    }
}

/// The examples of the table of errors in the documentation, and the answers to them.
#[test]
fn the_documented_messages_are_the_real_ones() {
    let document = include_str!("../../../docs/filter.md");
    let mut rows = 0;
    let table = document.split("## Errors").nth(1).unwrap();
    for line in table.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, _, _, example, message, _] = cells[..] else { continue };
        let Some(text) = example.strip_prefix('`').and_then(|t| t.strip_suffix('`')) else { continue };
        assert_eq!(refused(text).message, message, "{text}");
        rows += 1;
    }
    assert!(rows >= 8, "only {rows} examples");
    assert_eq!(refused(&"(".repeat(65)).code, ErrorCode::FilterLimit);
    assert!(document.contains(&refused(&"(".repeat(65)).message));
    let examples = document.split("```").nth(1).unwrap();
    for text in examples.trim().lines() {
        normal(text);
    }
}
