//! Texts that mean harm: deep, long, endless. Every one is answered soon and on a small stack.

use std::time::{Duration, Instant};

use payouts_model::{ErrorCode, ReportName};

use super::{Error, Filter, Tz, parse_in};
use crate::eval::{Row, eval};
use crate::limits::{BODY_BYTES_MAX, DEPTH_MAX, LIST_VALUES_MAX, LITERAL_CHARS_MAX, NODES_MAX, URL_BYTES_MAX};

/// What any answer may take for 64 KiB, in the build that tests run.
const ANSWER_MAX: Duration = Duration::from_millis(20);
/// A thread of the service has more.
const STACK_BYTES: usize = 1 << 20;

fn parse(text: &str) -> Result<Option<Filter>, Error> {
    parse_in(ReportName::Payments, Tz::UTC, text)
}

fn code(text: &str) -> ErrorCode {
    parse(text).unwrap_err().code
}

fn filled(unit: &str) -> String {
    unit.repeat(URL_BYTES_MAX / unit.len())
}

/// What the texts are made of.
#[rustfmt::skip]
const UNITS: &[&str] = &[
    "(", ")", "((", "not ", "not(", "-", "- ", "'", "''", "’", "“", "\"", "'\"", "1", "1e", "1 ",
    "a", "a.", "a ", "é", "earned ", "earned gt 1 and ", "earned gt 1 or (", "earned add ",
    "1 add ", "1,", "earned in (", "round(", "contains(", "concat('a',", "?$filter=", "\"$filter=",
    "“$filter=", "$", "@", "/", "=", "[", "{", ":", "2023-01-01", "2023-01-01 ", "2023-01-01T",
    "12:00", "duration'P1D' ", "5f0c1e2a-0b3d-4c5e-8f90-a1b2c3d4e5f6 ", "null ", "\u{0}",
    "\u{200B}", " ", "\t\n", "true eq ", "geo.", "any(", "not earned ", "in (", "paymentAmuont ",
    "x eq y and ", "%20", "+", "😀",
];

/// The answer, and how long it took at best: other tests run at the same time.
fn timed(text: &str) -> (Result<Option<Filter>, Error>, Duration) {
    let mut best = Duration::MAX;
    let mut answer = Ok(None);
    for _ in 0..20 {
        let begin = Instant::now();
        answer = parse(text);
        best = best.min(begin.elapsed());
        if best < ANSWER_MAX {
            break;
        }
    }
    (answer, best)
}

fn on_a_small_stack(run: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().stack_size(STACK_BYTES).spawn(run).unwrap().join().unwrap();
}

#[test]
fn sixty_four_kibibytes_of_anything_are_answered_in_twenty_milliseconds() {
    let heads = ["", "earned eq ", "programName eq '", "programName in (", "paymentId = ", "not "];
    for &unit in UNITS {
        for head in heads {
            let text = format!("{head}{}", filled(unit));
            let (_, took) = timed(&text);
            assert!(took < ANSWER_MAX, "{head}{unit}…: {took:?}");
        }
    }
}

#[test]
fn long_lists_are_fast() {
    for value in ["'000000000042'", "42", "'Old Program'", "2023-01-01", "'2023-01-01'", "2023-01-01T00:00:00Z"] {
        let field = match value {
            "'Old Program'" => "programName",
            v if v.contains("2023") => "payoutStatusUpdateTS",
            _ => "paymentId",
        };
        let text = format!("{field} in ({})", vec![value; LIST_VALUES_MAX].join(","));
        assert!(text.len() <= BODY_BYTES_MAX);
        let (answer, took) = timed(&text);
        answer.unwrap();
        assert!(took < ANSWER_MAX * 10, "{value}: {took:?}");
    }
}

#[test]
fn days_of_a_long_list_make_few_comparisons() {
    let start = chrono::NaiveDate::from_ymd_opt(1900, 1, 1).unwrap();
    // Every other day, so that no two of them join.
    let days: Vec<String> =
        (0..LIST_VALUES_MAX as u64).map(|i| (start + chrono::Days::new(2 * i)).to_string()).collect();
    let text = format!("payoutStatusUpdateTS in ({})", days.join(", "));
    let filter = parse(&text).unwrap().unwrap();
    assert!(filter.normal_form.len() <= text.len() + 100, "{} of {}", filter.normal_form.len(), text.len());
    let berlin = parse_in(ReportName::Payments, chrono_tz::Europe::Berlin, &text).unwrap().unwrap();
    assert!(berlin.normal_form.len() <= text.len() * 10);
    let costly = format!("(payoutStatusUpdateTS add duration'P1D') in ({})", days.join(", "));
    let refused = parse_in(ReportName::Payments, chrono_tz::Europe::Berlin, &costly).unwrap_err();
    assert_eq!(refused.code, ErrorCode::FilterLimit);
}

#[test]
fn the_limits_are_the_published_ones() {
    let deep = |n: usize| format!("{}true{}", "(".repeat(n), ")".repeat(n));
    assert!(parse(&deep(DEPTH_MAX)).is_ok());
    assert_eq!(code(&deep(DEPTH_MAX + 1)), ErrorCode::FilterLimit);
    assert!(parse(&format!("{}true", "not ".repeat(DEPTH_MAX))).is_ok());
    assert_eq!(code(&format!("{}true", "not ".repeat(DEPTH_MAX + 1))), ErrorCode::FilterLimit);
    assert!(parse(&format!("{}5 eq 5", "-".repeat(DEPTH_MAX))).is_ok());
    assert_eq!(code(&format!("{}5 eq 5", "-".repeat(DEPTH_MAX + 1))), ErrorCode::FilterLimit);
    let calls = |n: usize| format!("{}'a'{} eq 'a'", "trim(".repeat(n), ")".repeat(n));
    assert!(parse(&calls(DEPTH_MAX)).is_ok());
    assert_eq!(code(&calls(DEPTH_MAX + 1)), ErrorCode::FilterLimit);

    let chain = |n: usize| vec!["true"; n].join(" or ");
    assert!(parse(&chain(NODES_MAX / 2)).is_ok(), "literals and operators count");
    assert_eq!(code(&chain(NODES_MAX / 2 + 1)), ErrorCode::FilterLimit);

    let list = |n: usize| format!("earned in ({})", vec!["1"; n].join(","));
    assert!(parse(&list(LIST_VALUES_MAX)).is_ok());
    assert_eq!(code(&list(LIST_VALUES_MAX + 1)), ErrorCode::FilterLimit);

    let literal = |n: usize| format!("programName eq '{}'", "é".repeat(n));
    assert!(parse(&literal(LITERAL_CHARS_MAX)).is_ok());
    assert_eq!(code(&literal(LITERAL_CHARS_MAX + 1)), ErrorCode::FilterLimit);
    assert!(parse(&format!("programName eq '{}'", "''".repeat(LITERAL_CHARS_MAX))).is_ok());
    let digits = |n: usize| format!("earned lt {}", "9".repeat(n));
    assert!(parse(&digits(LITERAL_CHARS_MAX)).is_ok());
    assert_eq!(code(&digits(LITERAL_CHARS_MAX + 1)), ErrorCode::FilterLimit);

    let long = |n: usize| format!("true{}and true", " ".repeat(n - 12));
    assert!(parse(&long(BODY_BYTES_MAX)).is_ok());
    assert_eq!(code(&long(BODY_BYTES_MAX + 1)), ErrorCode::FilterLimit);
    let padded = |n: usize| format!("{}paymentId eq 1", " ".repeat(n - 14));
    assert!(parse(&padded(BODY_BYTES_MAX)).is_ok());
    assert_eq!(code(&padded(BODY_BYTES_MAX + 1)), ErrorCode::FilterLimit, "blanks around it count");
}

#[test]
fn a_limit_says_its_number() {
    for (text, number) in [
        ("(".repeat(65), "64"),
        (vec!["true"; 2001].join(" or "), "4000"),
        (format!("earned in ({})", vec!["1"; 20_001].join(",")), "20000"),
        (format!("programName eq '{}'", "x".repeat(1025)), "1024"),
    ] {
        let error = parse(&text).unwrap_err();
        assert!(error.message.contains(number), "{error}");
    }
}

struct Nothing;

impl Row for Nothing {
    fn value(&self, _: usize) -> crate::ast::Value {
        crate::ast::Value::Null
    }
}

#[test]
fn long_chains_need_little_stack() {
    on_a_small_stack(|| {
        let catalog = payouts_model::Catalog::builtin();
        let report = catalog.report(ReportName::Payments);
        let n = NODES_MAX / 2 - 2;
        for (unit, tail) in [
            ("1 add ", "1 gt 0"),
            ("earned sub ", "1 gt 0"),
            ("-1 mul ", "1 gt 0"),
            ("true eq ", "true"),
            ("earned gt 1 ne ", "true"),
            ("true and ", "true"),
            ("true or ", "true"),
            ("true and true or ", "true"),
            ("1 add 2 mul 3 sub ", "4 gt 0"),
            ("true gt ", "false"),
        ] {
            let per = unit.split_whitespace().count() + usize::from(unit.starts_with('-'));
            let text = format!("{}{tail}", unit.repeat(n * 2 / per - 2));
            let filter = parse(&text).unwrap_or_else(|e| panic!("{unit}: {e}")).unwrap();
            let copy = filter.clone();
            assert_eq!(Filter::parse_normal(&filter.normal_form, report), Ok(Some(filter)));
            let _ = eval(&copy.predicate, &Nothing, report);
            let _ = copy.participants(report);
            let joined = copy.clone().and(copy, report);
            drop(joined);
        }
        // A day against a long calculation is two comparisons of it.
        let span = " add duration'PT1S'".repeat(n - 2);
        let filter = parse(&format!("payoutStatusUpdateTS{span} eq 2023-01-01")).unwrap().unwrap();
        assert_eq!(Filter::parse_normal(&filter.normal_form, report), Ok(Some(filter)));
    });
}

#[test]
fn deep_texts_need_little_stack() {
    on_a_small_stack(|| {
        for unit in ["(", "not ", "-", "round(", "not (", "-(", "concat('a',"] {
            for head in ["", "earned eq ", "true and "] {
                let answer = parse(&format!("{head}{}", filled(unit)));
                assert_eq!(answer.unwrap_err().code, ErrorCode::FilterLimit, "{head}{unit}");
            }
        }
        let deepest = format!("{}earned{} gt 1", "(1 add ".repeat(DEPTH_MAX), ")".repeat(DEPTH_MAX));
        parse(&deepest).unwrap();
    });
}
