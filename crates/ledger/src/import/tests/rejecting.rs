//! Bad rows and where they go.

use super::*;

#[test]
fn good_rows_go_in_and_bad_ones_into_the_file() {
    let place = payments();
    place.import(&[row("5", "1", "5", T1)]);
    let mut text = csv(&[
        row("1", "1", "5", T1),
        row("2", "1", "x", T1),
        row("3", "1", "6", T1),
        row("5", "1", "6", T1),
        row("6", "1", "6", T1),
        row("6", "1", "7", T1),
    ]);
    text.push_str("short\r\n");
    let path = place.write("in.csv", text);
    let rejects = place.path("rejects.csv");
    let options = Options { rejects: Some(rejects.clone()), ..place.options(std::slice::from_ref(&path)) };
    let outcome = place.run(&options).unwrap();
    assert_eq!(counts(&outcome), (2, 0, 0, 0, 5));
    assert_eq!(place.brief(), ["1 1 5.00", "3 1 6.00", "5 1 5.00"]);
    let written = std::fs::read_to_string(&rejects).unwrap();
    let lines: Vec<&str> = written.lines().collect();
    assert_eq!(lines[0], format!("{HEADER},rejectFile,rejectLine,rejectColumn,rejectValue,rejectReason"));
    let file = path.display().to_string();
    assert_eq!(
        lines[1],
        format!(
            "{},{file},3,totalPayment,x,not a plain decimal number such as -1234.56",
            row("2", "1", "x", T1).line()
        )
    );
    assert!(
        lines[2].starts_with("short,,") && lines[2].ends_with(",8,,,\"1 fields, but the header has 20\""),
        "{}",
        lines[2]
    );
    assert!(lines[3].starts_with("5,MPN,") && lines[3].contains(",5,totalPayment,6.00,"), "{}", lines[3]);
    assert!(lines[4].contains(",6,totalPayment,6.00,") && lines[5].contains(",7,totalPayment,7.00,"));
    assert_eq!(lines.len(), 6);
    assert!(!place.path("rejects.csv.partial").exists());
}

#[test]
fn corrected_rejects_can_be_imported() {
    let place = payments();
    let path = place.write("in.csv", csv(&[row("2", "1", "x", T1)]));
    let rejects = place.path("rejects.csv");
    let outcome = place.run(&Options { rejects: Some(rejects.clone()), ..place.options(&[path]) }).unwrap();
    assert_eq!((counts(&outcome), outcome.version), ((0, 0, 0, 0, 1), None));
    let corrected = std::fs::read_to_string(&rejects).unwrap().replacen(",x,", ",7,", 1);
    let path = place.write("corrected.csv", corrected);
    let itself = Options { rejects: Some(path.clone()), ..place.options(std::slice::from_ref(&path)) };
    assert!(message(place.run(&itself)).contains("give --rejects another name"));
    assert_eq!(counts(&place.run(&place.options(&[path])).unwrap()), (1, 0, 0, 0, 0));
    assert_eq!(place.brief(), ["2 1 7.00"]);
}

#[test]
fn rejects_of_several_layouts_share_one_header() {
    let place = payments();
    let new = place.write("new.csv", csv(&[row("2", "1", "x", T1)]));
    let old = "participantID,participantIDType,participantName,programName,earned,earnedUSD,withheldTax,totalPayment,currencyCode,paymentMethod,paymentStatus\n3,MPN,N,CSP,y,1,1,1,EUR,Wire,SENT\n";
    let old = place.write("old.csv", old);
    let rejects = place.path("rejects.csv");
    let options =
        Options { rejects: Some(rejects.clone()), order_type: Some("FEE".into()), ..place.options(&[new, old]) };
    assert_eq!(place.run(&options).unwrap().rejected, 2);
    let written = std::fs::read_to_string(&rejects).unwrap();
    let lines: Vec<&str> = written.lines().collect();
    assert!(lines[0].starts_with(HEADER) && lines[0].contains(",currencyCode,rejectFile"), "{}", lines[0]);
    assert!(lines[2].starts_with("3,MPN,N,CSP,y,1,1,,,1,,,Wire,,SENT,,,,,,EUR,"), "{}", lines[2]);
}

#[test]
fn the_first_bad_row_in_the_file_stops_it_whatever_the_threads() {
    let mut place = payments();
    place.limits.chunk_bytes = 4096;
    let mut rows: Vec<Row> = (0..2000).map(|i| row(&i.to_string(), "1", "5", T1)).collect();
    rows[777].total = "bad".into();
    rows[778].total = "worse".into();
    rows[1500].total = "bad".into();
    for _ in 0..5 {
        assert!(message(place.import_text(&csv(&rows))).contains("line 779, column totalPayment: \"bad\""));
    }
}

#[test]
fn a_dry_run_tells_but_does_nothing() {
    let place = payments();
    place.import(&[row("1", "1", "5", T1), row("1", "", "5", T1)]);
    let names = names_in(&place.root());
    let path = place.write("in.csv", csv(&[row("1", "1", "6", T2), row("2", "1", "1", T1)]));
    let outcome = place.run(&Options { dry_run: true, ..place.options(&[path]) }).unwrap();
    assert_eq!((counts(&outcome), outcome.version), ((1, 1, 0, 1, 0), None));
    assert_eq!(outcome.sums, [("EUR".to_owned(), "10".parse().unwrap(), "7".parse().unwrap())]);
    assert_eq!(place.brief(), ["1 - 5.00", "1 1 5.00"]);
    assert_eq!(names_in(&place.root()), names);
}
