//! Files are cut, described and committed as the module says.

use std::fs::File;

use arrow::array::{
    Array, ArrayRef, AsArray, Date32Array, Decimal128Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray, new_null_array,
};
use arrow::datatypes::{Date32Type, Decimal128Type, TimestampMicrosecondType};
use chrono::{DateTime, NaiveDate, Utc};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use payouts_model::money::parse_scaled;
use payouts_model::report::FieldRole;
use payouts_model::{Catalog, ReportName};
use serde_json::Value;

use super::*;

fn payments() -> Arc<Report> {
    Catalog::builtin().report(ReportName::Payments).clone()
}

/// Rows of participants, each with a payment id, otherwise with plain values.
fn batch(rows: &[(&str, Option<&str>)]) -> RecordBatch {
    let report = payments();
    let (who, id) = (report.role(FieldRole::Participant), report.role(FieldRole::Payment));
    let column = |(i, field): (usize, &payouts_model::Field)| -> ArrayRef {
        let n = rows.len();
        match data_type(field.kind) {
            DataType::Utf8 if i == who => Arc::new(rows.iter().map(|r| Some(r.0)).collect::<StringArray>()),
            DataType::Utf8 if i == id => Arc::new(rows.iter().map(|r| r.1).collect::<StringArray>()),
            kind if field.nullable => new_null_array(&kind, n),
            DataType::Utf8 => Arc::new(StringArray::from(vec!["x"; n])),
            DataType::Int64 => Arc::new(Int64Array::from(vec![1; n])),
            DataType::Date32 => Arc::new(Date32Array::from(vec![1; n])),
            DataType::Decimal128(p, s) => {
                Arc::new(Decimal128Array::from(vec![10_000; n]).with_precision_and_scale(p, s).unwrap())
            }
            _ => Arc::new(TimestampMicrosecondArray::from_iter_values(0..n as i64).with_timezone("UTC")),
        }
    };
    RecordBatch::try_new(schema(&report), report.fields.iter().enumerate().map(column).collect()).unwrap()
}

fn note(now: Timestamp) -> CommitNote {
    CommitNote { operation: "WRITE".into(), properties: vec![], now }
}

fn new_table() -> (tempfile::TempDir, Table) {
    let folder = tempfile::tempdir().unwrap();
    let table = Table::open(&folder.path().join("payments"), &payments()).unwrap();
    (folder, table)
}

fn parquet_files(table: &Table) -> usize {
    let Ok(entries) = std::fs::read_dir(table.root()) else { return 0 };
    entries.filter(|e| e.as_ref().unwrap().path().extension().is_some_and(|x| x == "parquet")).count()
}

#[test]
fn files_are_cut_where_the_key_changes() {
    let (_folder, table) = new_table();
    let options = || WriterOptions { rows_per_file: 2, ..WriterOptions::unique() };
    let mut writer = table.writer(options()).unwrap();
    // Three rows of one key belong together although a file is full after two.
    writer.write(&batch(&[("01", None), ("1", None)])).unwrap();
    writer.write(&batch(&[("1", None), ("1", Some("5")), ("2", Some("1")), ("2", Some("01"))])).unwrap();
    writer.write(&batch(&[])).unwrap();
    let files = writer.finish().unwrap();
    assert_eq!(files.iter().map(|f| f.rows).collect::<Vec<_>>(), [3, 3]);
    assert_eq!((files[0].range.first.participant(), files[1].range.last.participant()), ("1", "2"));
    assert!(files[0].range.last < files[1].range.first);
    let version = table.commit(&[], &files, &note(Timestamp(1))).unwrap();
    let table = Table::open(table.root(), &payments()).unwrap();
    assert_eq!((version, table.version(), table.files().len()), (0, Some(0), 2));
    assert_eq!(table.files()[1].range.as_ref(), Some(&files[1].range));
}

#[test]
fn a_writer_that_is_not_finished_leaves_nothing() {
    let (_folder, table) = new_table();
    let mut writer = table.writer(WriterOptions { rows_per_file: 1, ..WriterOptions::unique() }).unwrap();
    writer.write(&batch(&[("1", None), ("2", None), ("3", None)])).unwrap();
    assert!(parquet_files(&table) > 1);
    let error = writer.write(&batch(&[("2", None)])).unwrap_err().to_string();
    assert!(error.contains("not in ledger order") && error.contains("\"2\""), "{error}");
    drop(writer);
    assert_eq!(parquet_files(&table), 0);
    assert_eq!(Table::open(table.root(), &payments()).unwrap().version(), None);
}

#[test]
fn an_empty_value_of_a_required_column_is_refused() {
    let (_folder, table) = new_table();
    let good = batch(&[("1", None)]);
    let mut columns = good.columns().to_vec();
    columns[2] = new_null_array(&DataType::Utf8, 1);
    let loose =
        Schema::new(good.schema().fields().iter().map(|f| f.as_ref().clone().with_nullable(true)).collect::<Vec<_>>());
    let bad = RecordBatch::try_new(Arc::new(loose), columns).unwrap();
    let error = table.writer(WriterOptions::unique()).unwrap().write(&bad).unwrap_err();
    assert!(matches!(error, Error::Arrow(_)), "{error:?}");
}

/// The statistics in the log of the only file of a table, and its rows.
fn described(rows: RecordBatch) -> (Value, RecordBatch) {
    let (_folder, table) = new_table();
    let mut writer = table.writer(WriterOptions::unique()).unwrap();
    writer.write(&rows).unwrap();
    let files = writer.finish().unwrap();
    (serde_json::from_str(&files[0].stats).unwrap(), rows)
}

#[test]
fn statistics_bound_every_value() {
    let report = payments();
    let plain = batch(&[("1", None), ("2", Some("7")), ("3", None)]);
    let mut columns = plain.columns().to_vec();
    let place = |name: &str| report.index_of(name).unwrap();
    let long = |c: char| c.to_string().repeat(100);
    let (low, high) = (long('ß'), long('\u{10ffff}') + "x");
    columns[place("participantName")] = Arc::new(StringArray::from(vec![low.as_str(), "株式会社", high.as_str()]));
    columns[place("earned")] = Arc::new(
        Decimal128Array::from(vec![-999_999_999_999_999_999, 999_999_999_999_999_999, 1])
            .with_precision_and_scale(18, 4)
            .unwrap(),
    );
    columns[place("payoutStatusUpdateTS")] =
        Arc::new(TimestampMicrosecondArray::from(vec![-1_500_001, 0, 1_684_123_915_647_001]).with_timezone("UTC"));
    columns[place("paymentDate")] = Arc::new(Date32Array::from(vec![Some(-400), None, Some(19_500)]));
    let (stats, rows) = described(RecordBatch::try_new(plain.schema(), columns).unwrap());
    assert_eq!(stats["numRecords"], 3);
    assert_eq!(stats["minValues"]["earned"].to_string().parse::<f64>().unwrap(), -1e14, "as a JSON number");
    assert_eq!(stats["minValues"]["payoutStatusUpdateTS"], "1969-12-31T23:59:58.499Z");
    assert_eq!(stats["maxValues"]["payoutStatusUpdateTS"], "2023-05-15T04:11:55.648Z");
    assert_eq!(stats["minValues"]["paymentDate"], "1968-11-27");
    assert!(stats["maxValues"].get("salesTax").is_none(), "a column without a value has no bounds");
    for (field, column) in report.fields.iter().zip(rows.columns()) {
        assert_eq!(stats["nullCount"][&*field.name], column.null_count(), "{}", field.name);
        if *column.data_type() == DataType::Utf8 {
            let texts = column.as_string::<i32>();
            let (min, max) = (stats["minValues"][&*field.name].as_str(), stats["maxValues"][&*field.name].as_str());
            assert!(
                texts.iter().flatten().all(|t| min.is_none_or(|m| m <= t) && max.is_none_or(|m| t <= m)),
                "{}",
                field.name
            );
        }
    }
    assert!(stats["minValues"]["participantName"].as_str().is_some_and(|t| t.len() < low.len()), "long texts are cut");
}

#[test]
fn statistics_of_a_sample_bound_every_value() {
    let folder = tempfile::tempdir().unwrap();
    let options = crate::sample::Options {
        rows: 3000,
        earnings: 300,
        participants: None,
        seed: 3,
        until: NaiveDate::from_ymd_opt(2026, 6, 30).unwrap(),
    };
    crate::sample::make(folder.path(), &Catalog::builtin(), &options, &|_, _| {}).unwrap();
    let table = Table::open(&crate::table_folder(folder.path(), ReportName::Payments), &payments()).unwrap();
    let commit = std::fs::read_to_string(table.root().join("_delta_log/00000000000000000000.json")).unwrap();
    let adds: Vec<Value> =
        commit.lines().map(|l| serde_json::from_str::<Value>(l).unwrap()).filter(|l| l.get("add").is_some()).collect();
    assert_eq!(adds.len(), table.files().len());
    for add in adds {
        // Read as text: numbers must not pass through a float here either.
        let stats: Value = serde_json::from_str(add["add"]["stats"].as_str().unwrap()).unwrap();
        let file = File::open(table.root().join(add["add"]["path"].as_str().unwrap())).unwrap();
        for rows in ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap() {
            check_bounds(&stats, &rows.unwrap());
        }
    }
}

fn check_bounds(stats: &Value, rows: &RecordBatch) {
    for (field, column) in rows.schema().fields().iter().zip(rows.columns()) {
        let bounds = (&stats["minValues"][field.name()], &stats["maxValues"][field.name()]);
        if column.null_count() == column.len() {
            continue;
        }
        let (low, high, values): (i128, i128, Vec<i128>) = match field.data_type() {
            DataType::Decimal128(_, 4) => {
                let number = |v: &Value| parse_scaled(&v.to_string(), 4).unwrap();
                let values = column.as_primitive::<Decimal128Type>().iter().flatten().collect();
                (number(bounds.0), number(bounds.1), values)
            }
            DataType::Date32 => {
                let days = |v: &Value| v.as_str().unwrap().parse::<NaiveDate>().unwrap().to_epoch_days();
                let values = column.as_primitive::<Date32Type>().iter().flatten().map(i128::from).collect();
                (days(bounds.0).into(), days(bounds.1).into(), values)
            }
            DataType::Timestamp(..) => {
                let at = |v: &Value| v.as_str().unwrap().parse::<DateTime<Utc>>().unwrap().timestamp_micros();
                let values =
                    column.as_primitive::<TimestampMicrosecondType>().iter().flatten().map(i128::from).collect();
                (at(bounds.0).into(), at(bounds.1).into(), values)
            }
            _ => continue,
        };
        assert!(values.iter().all(|v| (low..=high).contains(v)), "{}", field.name());
    }
}

#[test]
fn vacuum_keeps_what_a_recent_version_needs() {
    let (_folder, empty) = new_table();
    let make = |table: &Table, who: &str, removes: &[TableFile], at: Timestamp| {
        let mut writer = table.writer(WriterOptions::unique()).unwrap();
        writer.write(&batch(&[(who, None)])).unwrap();
        table.commit(removes, &writer.finish().unwrap(), &note(at)).unwrap();
        Table::open(table.root(), &payments()).unwrap()
    };
    let day = |n: i64| Timestamp(n * 86_400_000_000);
    let first = make(&empty, "1", &[], day(1));
    let second = make(&first, "2", first.files(), day(2));
    let third = make(&second, "3", second.files(), day(30));
    assert_eq!(parquet_files(&third), 3);
    let keep =
        |since: Timestamp, versions: &[u64]| Keep { since, versions: versions.iter().copied().collect(), now: day(40) };
    assert_eq!(third.vacuum(&keep(day(29), &[]), false).unwrap().files, [], "the files themselves are younger");
    let aged = |path: &Path, day: u64| {
        let at = std::time::UNIX_EPOCH + std::time::Duration::from_secs(day * 86_400);
        File::options().write(true).open(path).unwrap().set_modified(at).unwrap();
    };
    for file in first.files().iter().chain(second.files()).chain(third.files()) {
        aged(&file.path, 1);
    }
    std::fs::write(third.root().join("notes.parquet"), "").unwrap();
    assert_eq!(third.vacuum(&keep(day(29), &[0]), false).unwrap().files, [], "version 0 is named");
    let would = third.vacuum(&keep(day(29), &[]), true).unwrap();
    assert_eq!((would.files.len(), &*would.versions_lost), (1, &[0][..]));
    assert_eq!(would.bytes(), first.files()[0].size_bytes);
    assert!(first.files()[0].path.exists(), "a dry run deletes nothing");
    assert_eq!(third.vacuum(&keep(day(29), &[]), false).unwrap(), would, "the file of the first version");
    assert!(!first.files()[0].path.exists() && second.files()[0].path.exists());
    let last = third.vacuum(&keep(day(31), &[]), false).unwrap();
    assert_eq!((last.files.len(), &*last.versions_lost), (1, &[1][..]), "now also that of the second");
    assert!(third.files()[0].path.exists() && third.root().join("notes.parquet").exists());
}

#[test]
fn a_clock_that_jumped_back_does_not_end_a_version_early() {
    let (_folder, empty) = new_table();
    let day = |n: i64| Timestamp(n * 86_400_000_000);
    let mut table = empty;
    // The commit that replaced version 1 says that it is older than the one before.
    for (number, at) in [day(1), day(30), day(3), day(31)].into_iter().enumerate() {
        let mut writer = table.writer(WriterOptions::unique()).unwrap();
        writer.write(&batch(&[(&number.to_string(), None)])).unwrap();
        let version = table.commit(table.files(), &writer.finish().unwrap(), &note(at)).unwrap();
        table = Table::open(table.root(), &payments()).unwrap();
        for path in [table.files()[0].path.clone(), table.root().join(format!("_delta_log/{version:020}.json"))] {
            let old = std::time::UNIX_EPOCH + std::time::Duration::from_secs(86_400);
            File::options().write(true).open(path).unwrap().set_modified(old).unwrap();
        }
    }
    let keep = Keep { since: day(29), versions: Default::default(), now: day(40) };
    assert!(
        table.vacuum(&keep, false).unwrap().versions_lost.is_empty(),
        "version 0 ended at day 30, not later ones at day 3"
    );
    let keep = Keep { since: day(30).plus_ms(1), ..keep };
    assert_eq!(table.vacuum(&keep, false).unwrap().versions_lost, [0, 1]);
}

#[tokio::test]
async fn hints_say_where_participants_are_and_how_long_ids_are() {
    let (_folder, table) = new_table();
    let spelled = |row: usize| format!("{:0>width$}", 100 + row / 5_000, width = 3 + row % 4);
    let texts: Vec<String> = (0..40_000).map(spelled).collect();
    let rows: Vec<(&str, Option<&str>)> = texts.iter().map(|t| (t.as_str(), None)).collect();
    let mut writer = table.writer(WriterOptions { rows_per_file: 17_000, ..WriterOptions::unique() }).unwrap();
    for part in rows.chunks(3_000) {
        writer.write(&batch(part)).unwrap();
    }
    table.commit(&[], &writer.finish().unwrap(), &note(Timestamp(1))).unwrap();
    let state = log::load(table.root(), ReportName::Payments, 0).await.unwrap();
    assert_eq!(state.files.len(), 2);
    let mut before = 0;
    for file in &state.files {
        let (rows, hints) = (file.file.rows.unwrap(), &file.hints);
        let marks = hints.marks.as_ref().unwrap();
        assert!(marks.fit(rows) && marks.every_rows == ROWS_PER_MARK);
        for row in 0..rows {
            let participant = payouts_model::id::canonical(&texts[before + row as usize]);
            assert!(marks.rows_of(participant, rows).contains(&row), "{participant} is in row {row}");
        }
        before += rows as usize;
        assert_eq!(hints.id_lengths["participantID"], Some((3, 6)));
        assert_eq!(hints.id_lengths["paymentID"], None);
    }
}
