//! From parameters, as clients send them, to one filter text.

use std::collections::HashMap;

use payouts_model::{Catalog, ErrorCode, ReportName, Timestamp};

use super::*;

fn ask(filter: Option<&str>, parameters: &[(&str, &str)]) -> Result<Assembled, ParameterError> {
    let catalog = Catalog::builtin();
    let report = catalog.report(ReportName::Payments);
    let context = Context { report, time_zone: chrono_tz::UTC, now: Timestamp(0), program_aliases: &HashMap::new() };
    let parameters: Vec<_> = parameters.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    let assembled = read(&context, filter, &parameters)?;
    let again = Filter::parse(&assembled.text, &context).unwrap();
    assert_eq!(again, assembled.filter, "the text means the same as its parts");
    Ok(assembled)
}

fn text(filter: Option<&str>, parameters: &[(&str, &str)]) -> String {
    ask(filter, parameters).unwrap().text
}

#[test]
fn no_filter_of_any_kind() {
    assert_eq!(ask(None, &[]).unwrap(), Assembled { text: String::new(), filter: None });
    assert_eq!(text(Some("  "), &[("Multiple filters", "")]), "");
}

#[test]
fn the_filter_keeps_its_text() {
    assert_eq!(text(Some("?$filter=?$filter=payoutOrderType='REBATE'"), &[]), "payoutOrderType='REBATE'");
    assert_eq!(text(Some("“?$filter=paymentId=1 ”"), &[("paymentid", "2")]), "paymentId=1 and paymentID eq '2'");
    assert_eq!(
        text(Some("paymentId=1 or paymentId=2"), &[("PAYMENTAMOUNT", "5.50")]),
        "(paymentId=1 or paymentId=2) and totalPayment eq 5.5"
    );
}

#[test]
fn parameters_mean_their_values() {
    for (name, value, meaning) in [
        ("paymentId", "123456", "paymentID eq '123456'"),
        ("enrollmentParticipantId", "0012345", "participantID eq '12345'"),
        ("payoutOrderType", "'Rebate'", "payoutOrderType eq 'REBATE'"),
        ("payoutOrderType", "rebate", "payoutOrderType eq 'REBATE'"),
        ("programName", "CSP Indirect Provider", "programName eq 'CSP Indirect Provider'"),
        ("programName", "’CSP’", "programName eq 'CSP'"),
        ("programName", "O'Brien", "programName eq 'O''Brien'"),
        ("programName", "null", "programName eq null"),
        ("programName", "'null'", "programName eq 'null'"),
        ("paymentAmount", " -2000", "totalPayment eq -2000"),
        ("paymentDate", "2023-01-01", "paymentDate eq 2023-01-01"),
        (
            "payoutStatusUpdateTS",
            "2023-01-01",
            "payoutStatusUpdateTS ge 2023-01-01T00:00:00Z and payoutStatusUpdateTS lt 2023-01-02T00:00:00Z",
        ),
        ("payoutStatusUpdateTS", "2023-01-01T02:00:00 02:00", "payoutStatusUpdateTS eq 2023-01-01T00:00:00Z"),
        (
            "paymentAmount",
            "paymentAmount ge 2000 and paymentAmount le 5000",
            "totalPayment ge 2000 and totalPayment le 5000",
        ),
        ("paymentAmount", "(paymentAmount ge 2 or totalPayment=1)", "(totalPayment ge 2 or totalPayment eq 1)"),
        ("paymentAmount", "?$filter=paymentAmount=2", "totalPayment eq 2"),
        ("programName", "programName = 'A'", "programName eq 'A'"),
        ("Multiple Filters", "paymentId=1 and earned gt 0", "paymentID eq '1' and earned gt 0"),
    ] {
        assert_eq!(text(None, &[(name, value)]), meaning, "{name}={value}");
    }
}

#[test]
fn repeated_values_are_alternatives() {
    assert_eq!(
        text(
            None,
            &[
                ("paymentId", "1"),
                ("earned", "5"),
                ("paymentID", "'2'"),
                ("paymentId", "paymentId ne 3"),
                ("PAYMENTID", "null")
            ]
        ),
        "paymentID in ('1', '2', null) and earned eq 5 and paymentID ne '3'"
    );
}

#[test]
fn refusals_name_the_parameter_and_the_place_in_its_value() {
    let refused = |filter, parameters: &[(&str, &str)]| {
        let e = ask(filter, parameters).unwrap_err();
        (e.parameter, e.error.code, e.error.offset, e.error.length)
    };
    let at = |name: &str, code, offset, length| (name.to_owned(), code, offset, length);
    assert_eq!(refused(Some("?$filter=payment=1"), &[]), at("$filter", ErrorCode::FilterUnknownField, 9, 7));
    assert_eq!(refused(None, &[("PaymentAmount", " lots")]), at("PaymentAmount", ErrorCode::FilterType, 1, 4));
    assert_eq!(refused(None, &[("payoutOrderType", "'REBAT'")]), at("payoutOrderType", ErrorCode::FilterType, 0, 7));
    assert_eq!(refused(None, &[("earned", " ")]), at("earned", ErrorCode::FilterSyntax, 0, 0));
    assert_eq!(
        refused(None, &[("earned", "earned gt 5 and salesTax gt 1")]),
        at("earned", ErrorCode::FilterUnsupported, 16, 8)
    );
    assert_eq!(refused(None, &[("earned", "earned >= 5")]), at("earned", ErrorCode::FilterSyntax, 7, 2));
    assert_eq!(refused(None, &[("Multiple filters", "earned")]), at("Multiple filters", ErrorCode::FilterType, 0, 6));
    let long = "x".repeat(1025);
    assert_eq!(refused(None, &[("programName", &long)]), at("programName", ErrorCode::FilterLimit, 0, 1025));
}

#[test]
fn takes_names_in_any_case() {
    let catalog = Catalog::builtin();
    let report = catalog.report(ReportName::Payments);
    for name in ["paymentid", "TotalPayment", "multiple FILTERS", "CIReferenceNumber"] {
        assert!(takes(report, name), "{name}");
    }
    assert!(!takes(report, "earningForDate") && !takes(report, "$filter"));
}
