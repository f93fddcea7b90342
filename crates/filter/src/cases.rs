//! The suite of accepted and refused filters, as data: `cases/*.txt`.
//!
//! A line `> text` is a filter; what follows says what becomes of it: `= normal form`, or
//! `! code offset+length` with `expected: …`, `nearest: …` and the message indented below. A line
//! `@ report zone` changes what the cases after it are read against; `#` begins a comment.
//! `FILTER_CASES=write cargo test -p payouts-filter` writes down what is answered now, to be read
//! before it is committed.

use std::fmt::Write;
use std::path::PathBuf;

use chrono_tz::Tz;
use payouts_model::{Catalog, ReportName};

use crate::tests::parse_in;
use crate::{Error, Filter};

#[derive(Clone, Copy)]
struct Against {
    report: ReportName,
    zone: Tz,
}

fn answer(text: &str, against: Against) -> String {
    match parse_in(against.report, against.zone, text) {
        Ok(None) => "=\n".to_owned(),
        Ok(Some(filter)) => {
            check_normal_form(text, &filter, against.report);
            format!("= {}\n", filter.normal_form)
        }
        Err(error) => refusal(&error),
    }
}

fn refusal(error: &Error) -> String {
    let Error { code, message, offset, length, expected, nearest } = error;
    let mut out = format!("! {code} {offset}+{length}\n");
    for (name, list) in [("expected", expected), ("nearest", nearest)] {
        if !list.is_empty() {
            let _ = writeln!(out, "  {name}: {}", list.join(" | "));
        }
    }
    let _ = writeln!(out, "  {message}");
    out
}

/// Under every context the normal form is the same predicate and prints as itself.
fn check_normal_form(text: &str, filter: &Filter, report: ReportName) {
    let catalog = Catalog::builtin();
    let again = Filter::parse_normal(&filter.normal_form, catalog.report(report));
    assert_eq!(again.as_ref(), Ok(&Some(filter.clone())), "{text}: the normal form reads back");
    for zone in [Tz::UTC, chrono_tz::Europe::Berlin, chrono_tz::Pacific::Apia] {
        let again = parse_in(report, zone, &filter.normal_form);
        // An alias that was resolved stands in the list itself, and is not added again.
        assert_eq!(again, Ok(Some(filter.clone())), "{text}: the normal form under {zone}");
    }
}

/// The file as it would be if every answer were right, and the number of its cases.
fn rewritten(file: &str) -> (String, usize) {
    let mut against = Against { report: ReportName::Payments, zone: Tz::UTC };
    let (mut out, mut count) = (String::new(), 0);
    for line in file.lines() {
        if let Some(text) = line.strip_prefix("> ") {
            count += 1;
            let _ = writeln!(out, "{line}");
            out.push_str(&answer(text, against));
            continue;
        }
        if let Some(directive) = line.strip_prefix("@ ") {
            let (report, zone) = directive.split_once(' ').expect("a directive is '@ report zone'");
            against = Against { report: report.parse().unwrap(), zone: zone.parse().unwrap() };
        }
        if !line.starts_with(['=', '!', ' ']) {
            let _ = writeln!(out, "{line}");
        }
    }
    (out, count)
}

#[test]
fn every_case_is_answered_as_written() {
    // Where it runs, not where it was built: a folder of build results may serve several checkouts.
    let root = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let folder = PathBuf::from(root).join("src/cases");
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let (mut total, mut wrong) = (0, Vec::new());
    for path in files {
        let file = std::fs::read_to_string(&path).unwrap();
        let (right, count) = rewritten(&file);
        total += count;
        if right == file {
            continue;
        }
        if std::env::var_os("FILTER_CASES").is_some_and(|v| v == "write") {
            std::fs::write(&path, right).unwrap();
            continue;
        }
        let differs = file.lines().zip(right.lines()).enumerate().find(|(_, (a, b))| a != b);
        wrong.push(format!("{}: {differs:#?}", path.display()));
    }
    assert!(wrong.is_empty(), "answered otherwise than written:\n{}", wrong.join("\n"));
    assert!(total >= 400, "only {total} cases");
}
