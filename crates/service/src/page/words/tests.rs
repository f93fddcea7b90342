//! Filters as they are asked, and how they read.

use std::collections::HashMap;

use payouts_filter::Context;
use payouts_model::{Catalog, FileFormat, ReportName, Timestamp};

use super::*;

fn words_of(report: ReportName, filter: &str, time_zone: &str) -> String {
    let catalog = Catalog::builtin();
    let report = catalog.report(report);
    let context = Context {
        report,
        time_zone: time_zone.parse().unwrap(),
        now: Timestamp(1_795_000_000_000_000),
        program_aliases: &HashMap::new(),
    };
    let parsed = Filter::parse(filter, &context).unwrap_or_else(|e| panic!("{filter}: {e}")).expect("a filter");
    // As it is kept: through the normal form.
    let kept = Filter::parse_normal(&parsed.normal_form, report).unwrap().unwrap();
    predicate(report, &kept.predicate, context.time_zone)
}

fn words(filter: &str) -> String {
    words_of(ReportName::Payments, filter, "UTC")
}

#[test]
fn usual_filters_read_as_a_sentence() {
    for (filter, wanted) in [
        ("enrollmentParticipantId eq '1000042'", "participant is 1000042"),
        ("enrollmentParticipantId in ('1','2','3')", "participant is 1, 2 or 3"),
        ("paymentStatus eq 'SENT'", "payment status is SENT"),
        ("paymentStatus ne 'SENT'", "payment status is not SENT"),
        ("programName eq 'CSP Direct Bill Partner'", "program is “CSP Direct Bill Partner”"),
        ("paymentAmount ge 2000 and paymentAmount le 5000", "payment amount between 2000 and 5000"),
        ("paymentAmount gt 2000.50 and paymentAmount lt 5000", "payment amount is more than 2000.5 and less than 5000"),
        ("paymentAmount lt 0", "payment amount is less than 0"),
        ("250 le paymentAmount", "payment amount is at least 250"),
        ("paymentDate ge 2026-01-01 and paymentDate le 2026-03-31", "payment date from 2026-01-01 to 2026-03-31"),
        ("paymentDate gt 2026-01-01", "payment date after 2026-01-01"),
        ("paymentDate ge 2026-01-01 and paymentDate lt 2026-02-01", "payment date from 2026-01-01, before 2026-02-01"),
        ("paymentID eq null", "payment id is empty"),
        ("paymentID ne null", "payment id is not empty"),
        ("true", "every row"),
        ("contains(participantName, 'Fabrikam')", "participant name contains “Fabrikam”"),
        ("startswith(participantName, 'A')", "participant name begins with “A”"),
        ("not endswith(participantName, 'Ltd')", "participant name does not end with “Ltd”"),
        ("year(paymentDate) eq 2025", "the year of payment date is 2025"),
        ("length(participantName) gt 9", "the length of participant name is more than 9"),
    ] {
        assert_eq!(words(filter), wanted, "{filter}");
    }
}

#[test]
fn conditions_are_joined_so_that_none_is_misread() {
    for (filter, wanted) in [
        (
            "enrollmentParticipantId eq '7' and paymentStatus eq 'SENT' and paymentAmount gt 1",
            "participant is 7; payment status is SENT; payment amount is more than 1",
        ),
        ("paymentStatus eq 'SENT' or paymentStatus eq 'FAILED'", "payment status is SENT or FAILED"),
        (
            "paymentStatus eq 'SENT' or paymentAmount lt 0",
            "either payment status is SENT, or payment amount is less than 0",
        ),
        (
            "paymentDate ge 2026-01-01 and ((paymentAmount ge 250 and paymentStatus eq 'SENT') or paymentAmount lt 0)",
            "payment date from 2026-01-01; either (payment amount is at least 250 and payment status is SENT) or payment amount is less than 0",
        ),
        ("not (payoutOrderType eq 'FEE')", "order type is not FEE"),
        ("not (paymentStatus in ('SENT','FAILED'))", "payment status is none of SENT and FAILED"),
        (
            "not (paymentAmount gt 1 and paymentStatus eq 'SENT')",
            "not (payment amount is more than 1 and payment status is SENT)",
        ),
        ("paymentAmount sub withheldTax gt 10", "(payment amount minus withheld tax) is more than 10"),
        ("paymentAmount eq earned", "payment amount is equal to earned"),
    ] {
        assert_eq!(words(filter), wanted, "{filter}");
    }
}

#[test]
fn instants_are_told_in_the_time_zone_of_the_request() {
    let berlin = |filter| words_of(ReportName::Payments, filter, "Europe/Berlin");
    assert_eq!(
        berlin("payoutStatusUpdateTS ge 2026-01-01 and payoutStatusUpdateTS le 2026-03-31"),
        "last status change from 2026-01-01 to 2026-03-31"
    );
    assert_eq!(berlin("payoutStatusUpdateTS ge 2026-01-01T08:30:00Z"), "last status change from 2026-01-01 09:30 CET");
    assert_eq!(
        words("payoutStatusUpdateTS gt 2026-01-01T00:00:01.5Z"),
        "last status change after 2026-01-01 00:00:01.500 UTC"
    );
}

#[test]
fn long_lists_are_counted_and_long_texts_cut() {
    let ids: Vec<String> = (0..5_000).map(|n| format!("'{n:012}'")).collect();
    let text = words(&format!("paymentId in ({})", ids.join(",")));
    assert!(text.starts_with("payment id is one of 5,000 (") && text.ends_with(", …)"), "{text}");
    let many: Vec<String> = (0..60).map(|n| format!("contains(participantName, 'name number {n}')")).collect();
    let cut = words(&many.join(" and "));
    assert!(cut.ends_with(" …") && cut.chars().count() <= CHARS_MAX + 2, "{cut}");
    let deep = format!("{}paymentAmount gt 1{}", "not (paymentAmount lt 9 and ".repeat(40), ")".repeat(40));
    assert!(words(&deep).contains('…'));
}

#[test]
fn earnings_have_words_too() {
    let earnings = |filter| words_of(ReportName::TransactionHistory, filter, "UTC");
    assert_eq!(earnings("earningType eq 'Rebate' and isPrivateOffer"), "earning type is Rebate; private offer is yes");
    assert_eq!(earnings("not isPrivateOffer"), "private offer is no");
}

#[test]
fn a_request_without_a_filter_says_what_it_got() {
    let catalog = Catalog::builtin();
    let report = catalog.report(ReportName::Payments);
    let asked = |text: &str, filter: &str| Query {
        text: text.into(),
        filter: filter.into(),
        columns: vec![],
        format: FileFormat::DEFAULT,
        time_zone: "UTC".into(),
        now: Timestamp(0),
    };
    let window =
        Filter::window(report, "2026-11-27T10:00:00Z".parse::<chrono::DateTime<chrono::Utc>>().unwrap().into());
    assert_eq!(
        query(report, &asked("", &window.normal_form)),
        "Last status change from 2023-11-27 (no filter: the last three years)"
    );
    assert_eq!(query(report, &asked("true", "true")), "Every row");
    assert_eq!(query(report, &asked("", "")), "Every row");
    assert_eq!(query(report, &asked("x", "gone eq 1")), "A filter that this version cannot read any more");
}
