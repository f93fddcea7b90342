//! Which rows win.

use super::*;

#[test]
fn new_rows_go_in_sorted_and_summed() {
    let place = payments();
    let outcome = place.import(&[row("20", "2", "5.5", T1), row("3", "1", "-1.25", T1), row("0020", "0001", "7", T1)]);
    assert_eq!(counts(&outcome), (3, 0, 0, 0, 0));
    assert_eq!(outcome.version, Some(0));
    assert_eq!(place.brief(), ["0020 0001 7.00", "20 2 5.50", "3 1 -1.25"], "by text of the ids, zeros aside");
    let sums: Vec<String> = outcome.sums.iter().map(|(c, b, a)| format!("{c} {b} {a}")).collect();
    assert_eq!(sums, ["EUR 0.00 11.25"]);
}

#[test]
fn the_same_file_again_changes_nothing() {
    let place = payments();
    let rows = [row("1", "1", "5", T1), row("1", "", "7", T1), row("1", "", "7", T1), row("2", "", "1", T2)];
    assert_eq!(place.import(&rows).version, Some(0));
    let names = place.file_names();
    let again = place.import(&rows);
    assert_eq!((counts(&again), again.version), ((0, 0, 4, 0, 0), None));
    assert_eq!(place.file_names(), names);
    assert_eq!(names_in(&place.root()).len(), 2, "one file and the log");
}

#[test]
fn the_newer_status_time_wins() {
    let place = payments();
    place.import(&[row("1", "1", "5", T2), row("1", "2", "5", T2)]);
    let outcome = place.import(&[row("01", "001", "6", T3), row("1", "2", "4", T1)]);
    assert_eq!(counts(&outcome), (0, 1, 1, 0, 0));
    assert_eq!(place.brief(), ["01 001 6.00", "1 2 5.00"]);
    assert_eq!(outcome.sums, [("EUR".to_owned(), "10".parse().unwrap(), "11".parse().unwrap())]);
}

#[test]
fn within_one_import_the_newest_wins_and_equal_rows_are_one() {
    let place = payments();
    let outcome = place.import(&[
        row("1", "1", "5", T2),
        row("1", "1", "6", T3),
        row("1", "1", "4", T1),
        row("1", "2", "4", T1),
        row("01", "02", "4.0", T1),
    ]);
    assert_eq!(counts(&outcome), (2, 0, 3, 0, 0));
    assert_eq!(place.brief(), ["1 1 6.00", "1 2 4.00"]);
}

#[test]
fn the_key_has_six_parts() {
    let place = payments();
    let base = row("1", "1", "5", T1);
    let rows = [
        base.clone(),
        Row { program: "Other", ..base.clone() },
        Row { order_type: "FEE", ..base.clone() },
        Row { method: "PayPal", ..base.clone() },
        Row { currency: "USD", ..base.clone() },
        row("1", "2", "5", T1),
    ];
    assert_eq!(counts(&place.import(&rows)), (6, 0, 0, 0, 0));
}

#[test]
fn an_equal_time_with_other_content_is_a_bad_row() {
    let place = payments();
    place.import(&[row("1", "1", "5", T1)]);
    let text = message(place.import_text(&csv(&[row("2", "1", "5", T1), row("1", "1", "6", T1)])));
    assert!(text.contains("in.csv, line 3, column totalPayment: \"6.00\": the same key and status time are there with other content (the ledger has \"5.00\")"), "{text}");
    assert_eq!(place.brief(), ["1 1 5.00"], "nothing changed");
}

#[test]
fn differing_rows_of_one_key_and_time_are_both_bad() {
    let place = payments();
    let text = message(place.import_text(&csv(&[row("1", "1", "5", T1), row("1", "1", "6", T1)])));
    assert!(text.contains("line 2, column totalPayment") && text.contains("line 3 has \"6.00\""), "{text}");
}

#[test]
fn rows_without_payment_id_are_replaced_as_a_set() {
    let place = payments();
    let other = Row { program: "Other", ..row("1", "", "9", T1) };
    place.import(&[
        row("1", "", "5", T1),
        row("1", "", "6", T1),
        row("1", "7", "1", T1),
        other.clone(),
        row("2", "", "8", T1),
    ]);
    // One of the set got its payment; the file names only this group.
    let outcome = place.import(&[row("1", "8", "5", T2), row("1", "", "6", T1)]);
    assert_eq!(counts(&outcome), (1, 0, 1, 1, 0));
    assert_eq!(place.brief(), ["1 - 6.00", "1 7 1.00", "1 8 5.00", "1 - 9.00", "2 - 8.00"]);
    // A file that names the group without such rows empties the set.
    let outcome = place.import(&[row("1", "8", "5", T2)]);
    assert_eq!(counts(&outcome), (0, 0, 1, 1, 0));
    // Changed, grown, shrunk.
    let outcome = place.import(&[row("2", "", "9", T2), row("2", "", "10", T2)]);
    assert_eq!(counts(&outcome), (1, 1, 0, 0, 0));
    let outcome = place.import(&[row("2", "", "11", T2)]);
    assert_eq!(counts(&outcome), (0, 1, 0, 1, 0));
    assert_eq!(place.brief(), ["1 7 1.00", "1 8 5.00", "1 - 9.00", "2 - 11.00"]);
}

#[test]
fn a_set_spans_payment_methods_and_currencies() {
    let place = payments();
    let usd = |total| Row { currency: "USD", ..row("1", "", total, T1) };
    place.import(&[row("1", "", "5", T1), usd("6"), Row { method: "PayPal", ..row("1", "", "7", T1) }]);
    let outcome = place.import(&[usd("6")]);
    assert_eq!(counts(&outcome), (0, 0, 1, 2, 0));
    assert_eq!(place.brief(), ["1 - 6.00"]);
}

#[test]
fn a_newer_set_of_the_ledger_stays() {
    let place = payments();
    place.import(&[row("1", "", "5", T3), row("1", "", "6", T1)]);
    let outcome = place.import(&[row("1", "", "4", T2), row("1", "3", "1", T2)]);
    assert_eq!(counts(&outcome), (1, 0, 1, 0, 0));
    assert_eq!(place.brief(), ["1 - 6.00", "1 - 5.00", "1 3 1.00"], "equal keys: by status time");
}

#[test]
fn a_default_status_time_does_not_change_rows() {
    let place = payments();
    let blank = |r: Row| Row { time: String::new(), ..r };
    place.import(&[row("1", "1", "5", T1), row("1", "2", "5", T1), row("1", "", "7", T1), row("1", "", "8", T1)]);
    let outcome = place.import(&[
        blank(row("1", "1", "5", "")),
        blank(row("1", "2", "6", "")),
        blank(row("1", "", "7", "")),
        blank(row("1", "", "9", "")),
    ]);
    assert_eq!(counts(&outcome), (0, 2, 2, 0, 0));
    let shown = place.show(&["paymentID", "totalPayment", "payoutStatusUpdateTS"]);
    assert_eq!(
        shown,
        [format!("- 7.00 {T1}"), format!("- 9.00 {NOW}"), format!("1 5.00 {T1}"), format!("2 6.00 {NOW}")]
    );
}

#[test]
fn a_given_status_time_is_used() {
    let place = payments();
    let text = csv(&[row("1", "1", "5", "")]).replace(",payoutStatusUpdateTS", "").replace("REBATE,", "REBATE");
    let path = place.write("in.csv", text);
    let options = Options { status_time: Some(values::instant(T2).unwrap()), ..place.options(&[path]) };
    place.run(&options).unwrap();
    assert_eq!(place.show(&["payoutStatusUpdateTS"]), [T2]);
}

#[test]
fn earnings_are_keyed_by_participant_and_earning() {
    let place = place(ReportName::TransactionHistory);
    let header = "earningId,participantId,participantIdType,participantName,programName,earningType,earningAmount,earningAmountUSD,earningDate,transactionCurrency,payoutStatusUpdateTS,paymentStatus";
    let line = |id: &str, participant: &str, kind: &str, amount: &str, time: &str| {
        format!("{id},{participant},MPN,Name,CSP,{kind},{amount},1,2024-01-01,EUR,{time},SENT\n")
    };
    let text = [
        header,
        "\n",
        &line("1", "5", "co-op", "3", T1),
        &line("1", "6", "Rebate", "4", T1),
        &line("2", "5", "Sell", "5", T1),
    ]
    .concat();
    assert_eq!(counts(&place.import_text(&text).unwrap()), (3, 0, 0, 0, 0));
    let fields = ["participantId", "earningId", "earningType", "payableSubType", "earningAmount"];
    assert_eq!(place.show(&fields), ["5 1 Co-op COOP 3.00", "5 2 Sell SELL 5.00", "6 1 Rebate REBATE 4.00"]);
    let text = [header, "\n", &line("01", "05", "Fee", "3", T2)].concat();
    assert_eq!(counts(&place.import_text(&text).unwrap()), (0, 1, 0, 0, 0));
    assert_eq!(place.show(&fields)[0], "05 01 Fee FEE 3.00");
}
