//! Whatever is accepted prints as a text that reads back as the same predicate, under any context.
//! `PROPTEST_CASES=30000 cargo test -p payouts-filter round_trip` tries harder.

use payouts_model::{Catalog, ReportName};
use proptest::prelude::*;

use super::{Tz, parse_in};
use crate::Filter;

/// One of several texts.
fn any_of(texts: &'static [&'static str]) -> impl Strategy<Value = String> + Clone {
    prop::sample::select(texts).prop_map(str::to_owned)
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => any_of(&[
            "earningAmount", "desktopCount", "userCount", "quantity", "transactionAmount", "5", "0", "1.50", "'7'", "-3",
            "1e3", "1e50", "INF", "-INF", "NaN", "null", "length(programName)", "year(earningDate)", "2.0", "00012",
            "indexof(lever, 'x')", "totaloffsetminutes(2023-01-01T00:00:00+02:00)", "round(1.5)",
        ]),
        1 => (0_u32..100_000, 0_u32..100_000).prop_map(|(a, b)| format!("{a}.{b}")),
    ]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => any_of(&[
            "programName", "lever", "customerName", "earningId", "participantId", "paymentId", "payableSubType",
            "customerTenantId", "'Old Program'", "'REBATE'", "'rebate'", "''", "'O''Brien'", "’it’", "“said”", "7", "'007'",
            "null", "tolower(lever)", "substring(lever, 1, 2)", "concat('a', lever)", "toupper('ß')",
            "5f0c1e2a-0b3d-4c5e-8f90-a1b2c3d4e5f6", "'5F0C1E2A-0B3D-4C5E-8F90-A1B2C3D4E5F6'",
        ]),
        1 => "[a-z' &é“]{0,6}".prop_map(|t| format!("'{}'", t.replace('\'', "''"))),
    ]
}

fn time() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => any_of(&[
            "payoutStatusUpdateTS", "earningDate", "transactionDate", "now()", "mindatetime()", "maxdatetime()", "null",
            "2023-03-26", "'2023-10-29'", "2023-03-26T01:00:00+02:00", "'2023-03-26T01:00:00Z'", "2011-12-30",
            "2023-01-01T00:00:00.0000005Z", "2023-01-01T00:00:00.1234560Z", "0000-01-01", "9999-12-31",
            "date(payoutStatusUpdateTS)", "date(earningDate)", "date(2023-03-26)", "date('2023-03-26')",
            "2016-12-31T23:59:60Z", "date(2023-01-01T23:00:00-05:00)",
        ]),
        1 => (1990_i32..2030, 1_u32..13, 1_u32..29).prop_map(|(y, m, d)| format!("{y}-{m:02}-{d:02}")),
        1 => (any_of(&["payoutStatusUpdateTS", "earningDate", "now()", "2023-01-01"]), any_of(&["add", "sub"]), span())
            .prop_map(|(a, op, b)| format!("({a} {op} {b})")),
    ]
}

fn span() -> impl Strategy<Value = String> {
    any_of(&[
        "duration'P1D'",
        "duration'-PT1.5S'",
        "'PT1H'",
        "-duration'PT1M'",
        "(earningDate sub transactionDate)",
        "(payoutStatusUpdateTS sub now())",
        "duration'PT0.0000001S'",
        "(2 mul duration'PT1H')",
        "null",
    ])
}

fn clock() -> impl Strategy<Value = String> {
    any_of(&["time(payoutStatusUpdateTS)", "12:00", "'12:30:00.5'", "23:59:60", "12:00:00.0000001", "null"])
}

/// Operands of one kind: by themselves, and for numbers in arithmetic.
fn operand(kind: usize) -> BoxedStrategy<String> {
    match kind {
        0 => number()
            .prop_recursive(3, 12, 3, |inner| {
                prop_oneof![
                    (inner.clone(), any_of(&["add", "sub", "mul", "div", "divby", "mod"]), inner.clone())
                        .prop_map(|(a, op, b)| format!("{a} {op} {b}")),
                    (inner.clone(), any_of(&["add", "sub", "mul", "div"]), inner.clone())
                        .prop_map(|(a, op, b)| format!("({a} {op} ({b}))")),
                    inner.clone().prop_map(|a| format!("-{a}")),
                    inner.clone().prop_map(|a| format!("-({a})")),
                    inner.prop_map(|a| format!("round({a})")),
                ]
            })
            .boxed(),
        1 => text().boxed(),
        2 => time().boxed(),
        3 => span().boxed(),
        _ => clock().boxed(),
    }
}

fn comparison() -> impl Strategy<Value = String> {
    let ops = any_of(&["eq", "ne", "gt", "ge", "lt", "le", "="]);
    // Mostly operands of one kind, so that most texts are accepted.
    let kinds = prop_oneof![12 => (0_usize..5).prop_map(|k| (k, k)), 1 => (0_usize..5, 0_usize..5)];
    kinds.prop_flat_map(move |(a, b)| {
        prop_oneof![
            4 => (operand(a), ops.clone(), operand(b)).prop_map(|(a, op, b)| format!("{a} {op} {b}")),
            2 => (operand(a), list(b)).prop_map(|(a, list)| format!("({a}) in ({list})")),
        ]
    })
}

fn list(kind: usize) -> BoxedStrategy<String> {
    let value = match kind {
        0 => any_of(&["1", "-2.5", "'3'", "null", "INF", "- 4", "1e3"]).boxed(),
        1 => any_of(&["'a'", "'Old Program'", "'007'", "7", "null", "'REBATE'", "'New Program'", "’q’"]).boxed(),
        2 => any_of(&["2023-03-26", "'2023-03-27'", "2023-10-29T00:00:00Z", "2023-10-29T00:00:00.0000001Z", "null"])
            .boxed(),
        3 => any_of(&["duration'P1D'", "'PT24H'"]).boxed(),
        _ => any_of(&["12:00", "'13:00'"]).boxed(),
    };
    prop::collection::vec(value, 0..5).prop_map(|values| values.join(", ")).boxed()
}

fn condition() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        8 => comparison(),
        2 => any_of(&[
            "true", "false", "null", "isPrivateOffer", "contains(lever, 'x')", "startswith(paymentId, '00')",
            "isPrivateOffer eq 'true'", "payoutStatusUpdateTS eq 2023-01-01T00:00:00.0000005Z",
        ]),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            (inner.clone(), any_of(&["and", "or"]), inner.clone()).prop_map(|(a, op, b)| format!("{a} {op} {b}")),
            (inner.clone(), any_of(&["and", "or", "eq", "ne"]), inner.clone())
                .prop_map(|(a, op, b)| format!("({a}) {op} ({b})")),
            inner.clone().prop_map(|a| format!("not ({a})")),
            inner.prop_map(|a| format!("(({a}))")),
        ]
    })
}

/// The filter if `text` is one, after it went round.
fn round(text: &str, zone: Tz) -> Result<Option<Filter>, TestCaseError> {
    let report = ReportName::TransactionHistory;
    let Ok(Some(filter)) = parse_in(report, zone, text) else { return Ok(None) };
    let catalog = Catalog::builtin();
    let again = Filter::parse_normal(&filter.normal_form, catalog.report(report));
    prop_assert_eq!(again.as_ref(), Ok(&Some(filter.clone())), "{}", text);
    for zone in [Tz::UTC, chrono_tz::America::Sao_Paulo] {
        prop_assert_eq!(parse_in(report, zone, &filter.normal_form), Ok(Some(filter.clone())), "{}", text);
    }
    Ok(Some(filter))
}

const ZONES: [Tz; 4] = [Tz::UTC, chrono_tz::Europe::Berlin, chrono_tz::Pacific::Apia, chrono_tz::America::Havana];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_accepted_goes_round(text in condition(), zone in prop::sample::select(&ZONES[..])) {
        round(&text, zone)?;
    }

    #[test]
    fn any_text_is_answered(text in "[ -~‘’“”é\u{00A0}]{0,40}") {
        round(&text, Tz::UTC)?;
    }

    #[test]
    fn any_words_are_answered(words in prop::collection::vec(any_of(&[
        "(", ")", ",", "-", "=", "not", "and", "or", "eq", "gt", "in", "add", "div", "earningAmount", "lever", "paymentId",
        "5", "'x'", "null", "true", "2023-01-01", "payoutStatusUpdateTS", "contains(", "date(", "now()", "’", "/", "$count",
    ]), 0..14)) {
        round(&words.join(" "), chrono_tz::Europe::Berlin)?;
    }

    #[test]
    fn a_mutilated_filter_is_answered(text in condition(), at in 0_usize..200, cut in 0_usize..5) {
        let chars: Vec<char> = text.chars().collect();
        let at = at.min(chars.len());
        let rest = &chars[(at + cut).min(chars.len())..];
        let text: String = chars[..at].iter().chain(rest).collect();
        round(&text, Tz::UTC)?;
    }
}

#[test]
fn most_generated_filters_are_accepted() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let mut accepted = 0;
    for _ in 0..300 {
        let text = condition().new_tree(&mut runner).unwrap().current();
        accepted += usize::from(round(&text, Tz::UTC).unwrap().is_some());
    }
    assert!(accepted > 75, "only {accepted} of 300 were accepted: the generator tests little");
}
