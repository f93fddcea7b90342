//! What is typed and pasted into the form, in many spellings.

use std::collections::HashMap;

use payouts_model::{Catalog, ReportName};
use proptest::prelude::*;

use super::*;
use crate::page::form::selection::tests::any_report;

const PAGE: FormConfig = FormConfig { fiscal_year_first_month: 7, time_zone: chrono_tz::UTC };

fn with<T>(name: ReportName, now: Timestamp, page: &FormConfig, run: impl FnOnce(&Setting<'_>) -> T) -> T {
    let report = Catalog::builtin().report(name).clone();
    let controls = Controls::of(&report);
    let aliases = HashMap::new();
    run(&Setting { report: &report, controls: &controls, page, program_aliases: &aliases, now })
}

fn pairs(text: &[(&str, &str)]) -> Vec<(String, String)> {
    text.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn now() -> Timestamp {
    Timestamp::start_of("2026-11-27".parse().unwrap())
}

fn read(text: &[(&str, &str)]) -> Result<Choice, Vec<(String, String)>> {
    with(ReportName::Payments, now(), &PAGE, |setting| {
        let read = Entry::read(&pairs(text), setting).check(setting);
        read.map_err(|problems| problems.into_iter().map(|p| (p.control, p.message)).collect())
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// What a form shows for a filter is what it sends for it again.
    #[test]
    fn a_form_that_is_filled_from_a_filter_writes_the_same_one((name, selection, calendar) in any_report()) {
        let page = FormConfig { fiscal_year_first_month: calendar.fiscal_first_month, time_zone: calendar.zone };
        // Noon is the same day wherever midnight is moved.
        let now = payouts_filter::start_of_day(calendar.today, calendar.zone).unwrap().plus_ms(43_200_000);
        let (text, again) = with(name, now, &page, |setting| {
            let text = selection.to_filter(setting.report, setting.controls, &calendar);
            let entry = Entry::fresh(setting).with(&selection, setting);
            (text, entry.check(setting))
        });
        let choice = again.unwrap_or_else(|problems| panic!("{text}: {problems:?}"));
        prop_assert_eq!(&choice.filter, &text);
        prop_assert_eq!(choice.selection, Some(selection));
    }
}

#[test]
fn signs_go_with_csv_for_spreadsheets_and_differ() {
    let signs = |text: &[(&str, &str)]| {
        let format = read(text).unwrap().format.unwrap();
        format.text.dialect().map(|d| (d.separator.as_str(), d.decimal.as_str()))
    };
    assert_eq!(signs(&[("format", "csv.excel")]), Some(("comma", "point")));
    assert_eq!(signs(&[("format", "csv.excel"), ("decimal", "comma")]), Some(("semicolon", "comma")));
    let chosen = [("format", "csv.excel"), ("separator", "tab"), ("decimal", "comma")];
    assert_eq!(signs(&chosen), Some(("tab", "comma")));
    // The form sends them with every format.
    assert_eq!(signs(&[("format", "csv"), ("separator", "comma"), ("decimal", "comma")]), None);
    let same = read(&[("format", "csv.excel"), ("separator", "comma"), ("decimal", "comma")]).unwrap_err();
    assert_eq!((same.len(), same[0].0.as_str()), (1, "separator"));
    assert!(same[0].1.contains("semicolon"), "{same:?}");
    assert_eq!(read(&[("format", "csv.excel"), ("decimal", "x")]).unwrap_err()[0].0, "decimal");
}

#[test]
fn a_fresh_form_asks_for_the_last_twelve_months_and_says_so() {
    let choice = read(&[]).unwrap();
    assert_eq!(choice.filter, "payoutStatusUpdateTS ge 2025-11-28 and payoutStatusUpdateTS le 2026-11-27");
    assert_eq!((choice.format, choice.columns), (None, None));
}

#[test]
fn everything_that_a_form_sends_is_read() {
    let choice = read(&[
        ("report", "payments"),
        ("participant", "1000042"),
        ("participant", "0001000042"),
        ("period", "between"),
        ("from", "2026-01-01"),
        ("to", ""),
        ("date", "paymentDate"),
        ("value.programName", "A's"),
        ("value.paymentStatus", "SENT"),
        ("value.paymentStatus", "FAILED"),
        ("value.noSuchColumn", "x"),
        ("payments", "paymentID\r\n006772397028"),
        ("currency", "EUR"),
        ("least", "1.000,50"),
        ("greatest", ""),
        ("timeZone", "europe/berlin"),
        ("format", "csv"),
        ("columns", "own"),
        ("column", "totalPayment"),
        ("column", "participantID"),
        ("column", "totalPayment"),
    ]);
    let choice = choice.unwrap();
    insta::assert_snapshot!(choice.filter, @"enrollmentParticipantId eq '1000042' and paymentDate ge 2026-01-01 and programName eq 'A''s' and paymentStatus in ('SENT', 'FAILED') and paymentId eq '006772397028' and paymentCurrencyCode eq 'EUR' and paymentAmount ge 1000.50");
    assert_eq!(choice.calendar.zone, chrono_tz::Europe::Berlin);
    let params = with(ReportName::Payments, now(), &PAGE, |setting| choice.params(setting.report));
    assert_eq!(params.select.as_deref(), Some("participantID,totalPayment"));
    assert_eq!((params.format, params.time_zone.as_deref()), (FileFormat::parse("csv"), Some("Europe/Berlin")));
}

#[test]
fn every_mistake_is_told_at_its_control() {
    for (entered, control, part) in [
        (&[("least", "5")][..], "currency", "currency first"),
        (&[("currency", "EUR"), ("least", "x")], "least", "not an amount"),
        (&[("currency", "EUR"), ("least", "5"), ("greatest", "4")], "greatest", "less than the least"),
        (&[("period", "between")], "period", "first day"),
        (&[("period", "between"), ("from", "2026-02-30")], "from", "not a day"),
        (&[("period", "between"), ("from", "2026-03-01"), ("to", "2026-02-01")], "period", "comes after"),
        (&[("from", "2026-03-01")], "period", "written besides"),
        (&[("period", "never")], "period", "one of the periods"),
        (&[("payments", "6.77E+09")], "payments", "shortened"),
        (&[("timeZone", "Europe/Berln")], "timeZone", "'Europe/Berlin'"),
        (&[("format", "doc")], "format", "one of the formats"),
        (&[("columns", "own")], "columns", "one column"),
        (&[("value.paymentStatus", "SENTT")], "filter", "not a value"),
        (&[("use", "filter"), ("filter", "paymntId eq 1")], "filter", "no field"),
    ] {
        let problems = read(entered).unwrap_err();
        assert_eq!(problems.len(), 1, "{entered:?}: {problems:?}");
        assert_eq!(problems[0].0, control, "{problems:?}");
        assert!(problems[0].1.contains(part), "{problems:?}");
    }
    assert_eq!(read(&[("least", "x"), ("format", "doc"), ("timeZone", "y")]).unwrap_err().len(), 4, "all at once");
}

#[test]
fn a_filter_that_counts_is_sent_as_it_was_written() {
    let choice = read(&[("use", "filter"), ("filter", " paymentId=123456 "), ("least", "ignored")]).unwrap();
    assert_eq!(choice.filter, "paymentId=123456");
    assert_eq!(choice.selection.unwrap().payments, ["123456"]);
    let beyond = read(&[("use", "filter"), ("filter", "earned gt totalPayment")]).unwrap();
    assert_eq!((beyond.filter.as_str(), beyond.selection), ("earned gt totalPayment", None));
    let empty = read(&[("use", "filter"), ("filter", " ")]).unwrap();
    let from = "2023-11-27".parse().ok();
    assert_eq!(empty.selection.unwrap().period, Period::Between((from, None)), "the last three years, and said so");
    let error = with(ReportName::Payments, now(), &PAGE, |setting| {
        setting.selection("programName eq 'Ä' and paymntId eq 1", chrono_tz::UTC).unwrap_err()
    });
    assert_eq!(error.place, Some(Place { offset: 23, length: 8, nearest: vec!["paymentID".into()] }));
}
