//! The encoder against the `csv` crate and the model's own printing.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Int64Array, StringArray, StringViewArray,
    TimestampMicrosecondArray,
};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use payouts_model::{Amount, Catalog, FieldType, Number, ReportName, TextFormat, Timestamp};
use proptest::prelude::*;

use super::{Pen, Starts, header, plain_text, write_rows};
use crate::batch::Batch;
use crate::column::{Column, FieldReader, How};

fn read(array: ArrayRef, kind: FieldType) -> Column {
    FieldReader { name: "field".into(), kind, how: How::Same }.read(&array).unwrap()
}

fn text(columns: &[&Column], rows: usize, separator: u8) -> String {
    let batch = Batch::new(columns.iter().map(|c| (*c).clone()).collect(), rows);
    let (mut out, mut starts) = (Pen::default(), Starts::default());
    let all: Vec<usize> = (0..columns.len()).collect();
    write_rows(&mut out, Some(&mut starts), &batch, &all, separator);
    String::from_utf8(out.written().to_vec()).unwrap()
}

#[test]
fn values_print_as_published() {
    let amount = read(
        Arc::new(
            Decimal128Array::from(vec![Some(12_504_000), Some(-5_000), None, Some(12_345), Some(0)])
                .with_precision_and_scale(18, 4)
                .unwrap(),
        ),
        FieldType::Amount,
    );
    let number = read(
        Arc::new(
            Decimal128Array::from(vec![Some(1_050_000_000), Some(300_000_000), None, Some(-1), Some(0)])
                .with_precision_and_scale(18, 8)
                .unwrap(),
        ),
        FieldType::Number,
    );
    let texts = read(
        Arc::new(StringViewArray::from(vec![Some(""), Some("a,b"), None, Some("he \"x\""), Some(" blank ")])),
        FieldType::Text,
    );
    let flags =
        read(Arc::new(BooleanArray::from(vec![Some(true), Some(false), None, None, Some(true)])), FieldType::Boolean);
    let out = text(&[&amount, &number, &texts, &flags], 5, b',');
    assert_eq!(
        out,
        "1250.40,10.5,\"\",true\r\n-0.50,3,\"a,b\",false\r\n,,,\r\n1.2345,-0.00000001,\"he \"\"x\"\"\",\r\n0.00,0, blank ,true\r\n"
    );
    let out = text(&[&texts], 2, b'\t');
    assert_eq!(out, "\"\"\r\na,b\r\n");
    assert_eq!(
        (plain_text(&texts, 0), plain_text(&texts, 2), plain_text(&amount, 1), plain_text(&flags, 2)),
        (Some(String::new()), None, Some("-0.50".into()), None)
    );
}

#[test]
fn headers_are_the_columns() {
    let catalog = Catalog::builtin();
    let report = catalog.report(ReportName::Payments);
    let out = String::from_utf8(header(report, &report.default_columns(), TextFormat::Tsv)).unwrap();
    assert!(out.starts_with("participantID\tparticipantIDType\t") && out.ends_with("CIReferenceNumber\r\n"));
}

/// Every layout of the same texts.
fn layouts(texts: &[Option<String>]) -> Vec<Column> {
    let base: ArrayRef = Arc::new(texts.iter().map(Option::as_deref).collect::<StringArray>());
    let dictionary = DataType::Dictionary(Box::new(DataType::UInt16), Box::new(DataType::Utf8));
    [DataType::Utf8, DataType::LargeUtf8, DataType::Utf8View, dictionary]
        .iter()
        .map(|t| read(cast(&base, t).unwrap(), FieldType::Text))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn records_read_back(rows in prop::collection::vec(prop::option::of("[a-c,\"\r\n\t é漢 ]{0,14}|[a-c]{25,70}"), 1..200), tab in any::<bool>()) {
        let separator = if tab { b'\t' } else { b',' };
        let columns = layouts(&rows);
        let marker = read(Arc::new(Int64Array::from_iter_values(0..rows.len() as i64)), FieldType::Integer);
        let mut all = vec![&marker];
        all.extend(&columns);
        let out = text(&all, rows.len(), separator);
        let mut reader = csv::ReaderBuilder::new().has_headers(false).delimiter(separator).from_reader(out.as_bytes());
        let mut seen = 0;
        for (record, expected) in reader.records().zip(&rows) {
            let record = record.unwrap();
            prop_assert_eq!(record.len(), 5);
            for at in 1..5 {
                prop_assert_eq!(&record[at], expected.as_deref().unwrap_or(""));
            }
            seen += 1;
        }
        prop_assert_eq!(seen, rows.len());
        // Null and empty stay apart.
        let only = text(&[&columns[2]], rows.len(), separator);
        let nulls = only.split("\r\n").filter(|line| line.is_empty()).count() - 1;
        if rows.iter().flatten().all(|t| !t.contains('\n')) {
            prop_assert_eq!(nulls, rows.iter().filter(|r| r.is_none()).count());
        }
    }

    #[test]
    fn numbers_print_as_the_model_does(values in prop::collection::vec(-999_999_999_999_999_999_i64..1_000_000_000_000_000_000, 1..50), days in -800_000_i32..3_000_000, micros in -70_000_000_000_000_000_i64..300_000_000_000_000_000, whole in any::<i64>()) {
        let decimals = |scale| -> ArrayRef { Arc::new(Decimal128Array::from_iter_values(values.iter().map(|v| i128::from(*v))).with_precision_and_scale(18, scale).unwrap()) };
        let (amounts, numbers) = (read(decimals(4), FieldType::Amount), read(decimals(8), FieldType::Number));
        for (row, value) in values.iter().enumerate() {
            prop_assert_eq!(plain_text(&amounts, row), Some(Amount(i128::from(*value)).to_string()));
            prop_assert_eq!(plain_text(&numbers, row), Some(Number(i128::from(*value)).to_string()));
        }
        let date = read(Arc::new(Date32Array::from(vec![days])), FieldType::Date);
        prop_assert_eq!(plain_text(&date, 0), chrono::NaiveDate::from_epoch_days(days).map(|d| d.to_string()));
        let instant = read(Arc::new(TimestampMicrosecondArray::from(vec![micros]).with_timezone("UTC")), FieldType::Timestamp);
        prop_assert_eq!(plain_text(&instant, 0), Some(Timestamp(micros).to_string()));
        let integer = read(Arc::new(Int64Array::from(vec![whole])), FieldType::Integer);
        prop_assert_eq!(plain_text(&integer, 0), Some(whole.to_string()));
    }
}
