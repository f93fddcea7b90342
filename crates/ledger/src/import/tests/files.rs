//! Layouts, packings and values.

use std::fs::File;
use std::io::Write;

use arrow::array::{
    ArrayRef, Date32Array, Decimal128Array, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampMillisecondArray,
};
use flate2::Compression;
use flate2::write::GzEncoder;
use parquet::arrow::ArrowWriter;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::*;

const OLD: &str = "Participant ID,participant_ID_type,PARTICIPANTNAME,programName,earned,earnedUSD,withheldTax,salesTax,serviceFeeTax,totalPayment,currencyCode,paymentMethod,paymentID,paymentStatus,paymentStatusDescription,paymentDate\n\
000042,MPN,Fabrikam,CSP,1,2,0,,,3,JPY,wire,000000000007,in progress,\"\",2024-01-15\n";

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = GzEncoder::new(Vec::new(), Compression::fast());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        out.start_file(*name, SimpleFileOptions::default()).unwrap();
        out.write_all(bytes).unwrap();
    }
    out.finish().unwrap().into_inner()
}

#[test]
fn the_older_layout_is_read() {
    let place = payments();
    let path = place.write("old.csv", OLD);
    assert!(
        message(place.run(&place.options(std::slice::from_ref(&path))))
            .contains("order type of its rows must be given: --order-type")
    );
    let options = Options { order_type: Some("coop".into()), ..place.options(&[path]) };
    assert_eq!(counts(&place.run(&options).unwrap()), (1, 0, 0, 0, 0));
    let row = &place.rows()[0];
    let shown: Vec<&str> = row.iter().map(|v| v.as_deref().unwrap_or("-")).collect();
    let now = NOW.to_string();
    assert_eq!(
        shown,
        [
            "000042",
            "MPN",
            "Fabrikam",
            "CSP",
            "1.00",
            "2.00",
            "0.00",
            "-",
            "-",
            "3.00",
            "JPY",
            "JPY",
            "Wire",
            "000000000007",
            "IN PROGRESS",
            "",
            "2024-01-15",
            "-",
            "COOP",
            &now
        ]
    );
}

#[test]
fn an_unknown_order_type_is_refused_with_the_nearest() {
    let place = payments();
    let path = place.write("old.csv", OLD);
    let options = Options { order_type: Some("REBAT".into()), ..place.options(&[path]) };
    assert!(
        message(place.run(&options))
            .contains("--order-type REBAT: not a value of payoutOrderType; did you mean REBATE?")
    );
}

#[test]
fn every_packing_gives_the_same_rows() {
    let text = csv(&[row("1", "1", "5", T1), row("2", "", "6", T2)]);
    let tsv =
        text.replace("\"Fabrikam, Inc.\"", "Fabrikam; Inc.").replace(',', "\t").replace(';', ",").replace("\r\n", "\n");
    let marked = [b"\xef\xbb\xbf", text.as_bytes()].concat();
    let halves = (csv(&[row("1", "1", "5", T1)]), csv(&[row("2", "", "6", T2)]));
    let many = zip(&[("a/1.csv", halves.0.as_bytes()), ("__MACOSX/._1.csv", b"x"), ("2.csv", halves.1.as_bytes())]);
    let twice = [gzip(marked.as_slice())].concat();
    let plain = payments();
    plain.import_text(&text).unwrap();
    for (what, bytes) in [
        ("tsv", tsv.into_bytes()),
        ("mark", marked),
        ("gzip", gzip(text.as_bytes())),
        ("gzip of mark", twice),
        ("zip", many),
    ] {
        let place = payments();
        // The ending says nothing.
        let path = place.write("file.bin", bytes);
        let outcome = place.run(&place.options(&[path])).unwrap_or_else(|e| panic!("{what}: {e}"));
        assert_eq!(counts(&outcome), (2, 0, 0, 0, 0), "{what}");
        assert_eq!(place.rows(), plain.rows(), "{what}");
    }
}

fn parquet(place: &Place, name: &str, columns: Vec<(&str, ArrayRef)>) -> PathBuf {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let path = place.path(name);
    let mut writer = ArrowWriter::try_new(File::create(&path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    path
}

fn columns() -> Vec<(&'static str, ArrayRef)> {
    let text = |v: &str| Arc::new(StringArray::from(vec![v])) as ArrayRef;
    let decimal =
        |v: i128| Arc::new(Decimal128Array::from(vec![v]).with_precision_and_scale(12, 2).unwrap()) as ArrayRef;
    vec![
        ("participantid", text("0042")),
        ("participantIDType", text("MPN")),
        ("participantName", text("")),
        ("programName", text("CSP")),
        ("earned", decimal(100)),
        ("earnedUSD", Arc::new(Int64Array::from(vec![3]))),
        ("withheldTax", decimal(0)),
        ("totalPayment", decimal(-12345)),
        ("currencyCode", text("EUR")),
        ("paymentMethod", text("PayPal")),
        ("paymentID", Arc::new(StringArray::from(vec![None::<&str>]))),
        ("paymentStatus", text("SENT")),
        ("paymentDate", Arc::new(Date32Array::from(vec![1]))),
        ("payoutOrderType", text("FEE")),
        ("payoutStatusUpdateTS", Arc::new(TimestampMillisecondArray::from(vec![1_500]).with_timezone("+02:00"))),
    ]
}

#[test]
fn parquet_is_read_exactly_plain_and_packed() {
    let place = payments();
    let path = parquet(&place, "in.parquet", columns());
    assert_eq!(counts(&place.run(&place.options(std::slice::from_ref(&path))).unwrap()), (1, 0, 0, 0, 0));
    let fields = [
        "participantID",
        "participantName",
        "earnedUSD",
        "totalPayment",
        "paymentID",
        "paymentDate",
        "payoutStatusUpdateTS",
    ];
    assert_eq!(place.show(&fields), ["0042  3.00 -123.45 - 1970-01-02 1970-01-01T00:00:01.5Z"]);
    let bytes = std::fs::read(path).unwrap();
    let packed = place.write("in.zip", zip(&[("p.parquet", &bytes)]));
    assert_eq!(counts(&place.run(&place.options(&[packed])).unwrap()), (0, 0, 1, 0, 0));
}

#[test]
fn parquet_without_exactness_is_refused() {
    let place = payments();
    let mut float = columns();
    float[4].1 = Arc::new(Float64Array::from(vec![1.5]));
    let path = parquet(&place, "float.parquet", float);
    let text = message(place.run(&place.options(&[path])));
    assert!(text.contains("line 1, column earned: a floating point column"), "{text}");
    let mut naive = columns();
    naive[14].1 = Arc::new(TimestampMillisecondArray::from(vec![1]));
    let path = parquet(&place, "naive.parquet", naive);
    assert!(message(place.run(&place.options(&[path]))).contains("an instant without a zone"));
}

#[test]
fn values_that_do_not_fit_are_named() {
    let good = row("1", "1", "5", T1).line();
    for (from, to, expected) in [
        (",5,", ",5.00001,", "column totalPayment: \"5.00001\": more than 4 decimals"),
        (",5,", ",\"1,000.00\",", "column totalPayment: \"1,000.00\": not a plain decimal number"),
        (",5,", ",100000000000000,", "more than 14 digits before the point"),
        (",5,", ",,", "column totalPayment: empty, but a value is required"),
        ("SENT", "SNET", "column paymentStatus: \"SNET\": not a value of paymentStatus; did you mean SENT?"),
        ("Wire", "Cheque", "expected one of ElectronicBankTransfer, CreditNote, PayPal, Wire"),
        ("2024-01-15", "15.01.2024", "column paymentDate: \"15.01.2024\": not a date such as 2023-05-15"),
        ("00:00Z", "00:00", "an instant without a zone"),
        ("00:00Z", "00:00.1234567Z", "more than 6 digits of a second"),
        ("Wire,1,", "Wire,6.7724E+11,", "a spreadsheet has rounded this id"),
        ("MPN", "MPN,more", "21 fields, but the header has 20"),
        ("MPN,", "", "19 fields, but the header has 20"),
        ("MPN", "M\"PN", "a quote inside a field that is not quoted"),
    ] {
        let place = payments();
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good, "{from}");
        let text = message(place.import_text(&format!("{HEADER}\n{good}\n{bad}\n")));
        assert!(text.contains("in.csv, line 3") && text.contains(expected), "{text}");
        assert!(place.file_names().is_empty());
    }
}

#[test]
fn text_that_is_not_utf8_is_a_bad_row() {
    let place = payments();
    let mut bytes = csv(&[row("1", "1", "5", T1), row("2", "1", "5", T1)]).into_bytes();
    let at = bytes.iter().rposition(|b| *b == b'F').unwrap();
    bytes[at] = 0xe9;
    let path = place.write("in.csv", bytes);
    let text = message(place.run(&place.options(&[path])));
    assert!(text.contains("line 3, column participantName: not UTF-8 text"), "{text}");
}

#[test]
fn files_that_cannot_be_read_say_why() {
    let place = payments();
    let text = csv(&[row("1", "1", "5", T1)]);
    let utf16: Vec<u8> = [0xff, 0xfe].into_iter().chain(text.bytes().flat_map(|b| [b, 0])).collect();
    let cases: [(&[u8], &str); 7] = [
        (b"", "empty: expected a header line with the columns of payments"),
        (b"1,2,3\n4,5,6\n", "not a header of payments"),
        (&utf16, "UTF-16 text: save it as UTF-8"),
        (b"\x00\x01\x02\x03", "neither text nor Parquet"),
        (b"PK\x03\x04broken", "not a readable zip"),
        (&gzip(&gzip(text.as_bytes())), "a package inside a package"),
        (&gzip(text.as_bytes())[..40], "in.bin"),
    ];
    for (bytes, expected) in cases {
        let path = place.write("in.bin", bytes);
        let text = message(place.run(&place.options(&[path])));
        assert!(text.contains(expected), "{text}");
    }
    assert!(message(place.run(&place.options(&[place.path("nowhere.csv")]))).contains("nowhere.csv"));
}

#[test]
fn bombs_and_open_quotes_are_bounded() {
    let mut place = payments();
    place.limits = Limits {
        expanded_bytes_min: 10_000,
        expansion_max: 10,
        chunk_bytes: 4096,
        entries_max: 2,
        ..Limits::default()
    };
    let rows: Vec<Row> = (0..2000).map(|i| row(&i.to_string(), "1", "5", T1)).collect();
    let text = csv(&rows);
    let path = place.write("bomb.gz", gzip(text.as_bytes()));
    assert!(message(place.run(&place.options(&[path]))).contains("expands to far more"));
    let open = format!("{HEADER}\n\"1{}", "x,".repeat(5000));
    assert!(
        message(place.import_text(&open))
            .contains("line 2: a record of more than 4096 bytes: is a quote never closed?")
    );
    let path = place.write("many.zip", zip(&[("1", b"a"), ("2", b"b"), ("3", b"c")]));
    assert!(message(place.run(&place.options(&[path]))).contains("3 entries; at most 2"));
}

/// Entries that are each within the bound, and together far beyond it.
#[test]
fn entries_of_one_zip_share_its_bound() {
    let mut place = payments();
    place.limits = Limits { expanded_bytes_min: 10_000, expansion_max: 1, ..Limits::default() };
    let rows: Vec<Row> = (0..60).map(|i| row(&i.to_string(), "1", "5", T1)).collect();
    let text = csv(&rows);
    assert!((5_000..10_000).contains(&text.len()), "{}", text.len());
    let one = place.write("one.zip", zip(&[("1.csv", text.as_bytes())]));
    assert_eq!(counts(&place.run(&place.options(&[one])).unwrap()), (60, 0, 0, 0, 0));
    let two = place.write("two.zip", zip(&[("1.csv", text.as_bytes()), ("2.csv", text.as_bytes())]));
    let refused = message(place.run(&place.options(std::slice::from_ref(&two))));
    assert!(refused.contains("two.zip (2.csv)") && refused.contains("expands to far more"), "{refused}");
    place.limits.expanded_bytes_min = 20_000;
    assert_eq!(counts(&place.run(&place.options(&[two])).unwrap()), (0, 0, 120, 0, 0));
}

/// Every byte of a file changed and every length cut: an error or its rows, and never a panic.
#[test]
fn damaged_parquet_is_refused_or_read() {
    let mut place = payments();
    place.limits.parquet_rows = 1;
    let whole = std::fs::read(parquet(&place, "whole.parquet", columns())).unwrap();
    let footer = whole.len() - 1500.min(whole.len());
    let mut refused = 0;
    let mut run = |bytes: &[u8]| {
        let path = place.write("in.parquet", bytes);
        let options = Options { dry_run: true, rejects: Some(place.path("rejects")), ..place.options(&[path]) };
        match place.run(&options) {
            Ok(outcome) => assert_eq!(outcome.inserted + outcome.rejected, 1),
            Err(Error::BadFile { .. }) => refused += 1,
            Err(other) => panic!("{other:?}"),
        }
    };
    for at in (footer..whole.len()).step_by(7) {
        run(&whole[..at]);
        for byte in [0, 0x7f, 0xff, whole[at] ^ 1] {
            let mut damaged = whole.clone();
            damaged[at] = byte;
            run(&damaged);
        }
    }
    assert!(refused > 200, "{refused}");
}

#[test]
fn messages_repeat_no_more_of_a_file_than_people_read() {
    let place = payments();
    let long = "x".repeat(100_000);
    for (text, expected) in [
        (format!("{HEADER},{long}\n"), "unknown columns: 'xxx"),
        (format!("{HEADER},\u{1b}[31m\n"), "unknown columns: '\u{fffd}[31m'"),
        (format!("{HEADER}{}\n", ",y".repeat(5000)), "'y', and 4990 more"),
        (
            format!("{HEADER}\n{}\n", row("1", "1", "5", T1).line().replace("SENT", &long)),
            "not a value of paymentStatus",
        ),
    ] {
        let refused = message(place.import_text(&text));
        assert!(refused.contains(expected) && refused.len() < 1000, "{refused:.2000}");
    }
    let named = zip(&[(&format!("\u{1b}[31m{long:.1000}"), b"1,2")]);
    let path = place.write("in.zip", named);
    let refused = message(place.run(&place.options(&[path])));
    assert!(!refused.contains('\u{1b}') && refused.len() < 1000, "{refused}");
}

#[test]
fn blank_lines_in_front_of_the_header_are_no_header() {
    let mut place = payments();
    place.limits.chunk_bytes = 1024;
    let text = format!("{}{}", "\r\n".repeat(2000), csv(&[row("1", "1", "5", T1)]));
    assert_eq!(counts(&place.import_text(&text).unwrap()), (1, 0, 0, 0, 0));
}
