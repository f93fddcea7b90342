//! The sample is what it says: complete, deterministic, sorted, unique by key.

use std::collections::{HashMap, HashSet};
use std::fs::File;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Decimal128Type, TimestampMicrosecondType};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use payouts_model::report::FieldRole;

use payouts_model::Timestamp;

use super::*;
use crate::table::{Key, KeyOrder};
use crate::{Ledger, Sources};

fn options(rows: u64) -> Options {
    Options {
        rows,
        earnings: rows / 10,
        participants: None,
        seed: 7,
        until: NaiveDate::from_ymd_opt(2026, 6, 30).unwrap(),
    }
}

fn made(rows: u64) -> (tempfile::TempDir, Made) {
    let folder = tempfile::tempdir().unwrap();
    let made = make(folder.path(), &Catalog::builtin(), &options(rows), &|_, _| {}).unwrap();
    (folder, made)
}

fn batches(table: &Table) -> Vec<RecordBatch> {
    let read = |f: &crate::table::TableFile| {
        ParquetRecordBatchReaderBuilder::try_new(File::open(&f.path).unwrap()).unwrap().build().unwrap()
    };
    table.files().iter().flat_map(read).collect::<Result<_, _>>().unwrap()
}

fn table(data: &Path, report: ReportName) -> Table {
    Ledger::new(data, Catalog::builtin(), Sources::new()).table(report).unwrap()
}

fn texts(batches: &[RecordBatch], name: &str) -> Vec<Option<String>> {
    batches
        .iter()
        .flat_map(|b| {
            b.column_by_name(name).unwrap().as_string::<i32>().iter().map(|t| t.map(str::to_owned)).collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn equal_options_give_equal_bytes_and_are_kept() {
    let (one, made_first) = made(60_000);
    let (two, _) = made(60_000);
    for report in ReportName::ALL {
        let (a, b) = (table(one.path(), report), table(two.path(), report));
        assert!(a.files().len() > 1 || report == ReportName::TransactionHistory);
        assert_eq!(a.files().len(), b.files().len());
        for (x, y) in a.files().iter().zip(b.files()) {
            assert_eq!((&x.name, &x.range, x.rows), (&y.name, &y.range, y.rows));
            assert!(std::fs::read(&x.path).unwrap() == std::fs::read(&y.path).unwrap(), "{} differs", x.name);
        }
    }
    let again = make(one.path(), &Catalog::builtin(), &options(60_000), &|_, _| {}).unwrap();
    assert!(again.kept && !made_first.kept);
    assert_eq!(table(one.path(), ReportName::Payments).version(), Some(0));
    let other = make(one.path(), &Catalog::builtin(), &options(50_000), &|_, _| {}).unwrap_err().to_string();
    assert!(other.contains("other options (rows 60000") && other.contains("another --data directory"), "{other}");
}

#[test]
fn tables_are_in_ledger_order_and_keys_are_unique() {
    let (folder, _) = made(60_000);
    for report in ReportName::ALL {
        let table = table(folder.path(), report);
        let catalog = Catalog::builtin();
        let order = KeyOrder::new(catalog.report(report)).unwrap();
        let payment = catalog.report(report).role(FieldRole::Payment);
        let mut seen = HashSet::new();
        let mut last: Option<Vec<u8>> = None;
        let mut total = 0;
        for batch in batches(&table) {
            let rows = order.rows(&batch).unwrap();
            for i in 0..batch.num_rows() {
                let row = rows.row(i).data().to_vec();
                assert!(
                    last.as_ref().is_none_or(|l| *l < row),
                    "row {total} of {report} is out of order or there twice"
                );
                last = Some(row);
                total += 1;
                let key: Key = order.key(&batch, i);
                if report == ReportName::TransactionHistory || batch.column(payment).is_valid(i) {
                    assert!(seen.insert(key), "a key is there twice in {report}");
                }
            }
        }
        assert_eq!(Some(total), table.files().iter().map(|f| f.rows).sum::<Option<u64>>());
        let ranges: Vec<_> = table.files().iter().map(|f| f.range.clone().unwrap()).collect();
        assert!(ranges.windows(2).all(|w| w[0].last < w[1].first));
    }
}

#[test]
fn every_value_of_every_list_is_there() {
    let (folder, made) = made(20_000);
    let report = Catalog::builtin().report(ReportName::Payments).clone();
    let payments = batches(&table(folder.path(), ReportName::Payments));
    assert_eq!(payments.iter().map(RecordBatch::num_rows).sum::<usize>(), 20_000);
    for field in report.fields.iter().filter(|f| !f.values.is_empty()) {
        let values: HashSet<String> = texts(&payments, &field.name).into_iter().flatten().collect();
        let wanted: HashSet<String> = field.values.iter().map(|v| v.to_string()).collect();
        assert_eq!(values, wanted, "{}", field.name);
    }
    for field in report.fields.iter().filter(|f| f.nullable) {
        let nulls: usize = payments.iter().map(|b| b.column_by_name(&field.name).unwrap().null_count()).sum();
        assert!(nulls > 0 && nulls < 20_000, "{}: {nulls} empty", field.name);
    }
    let ids: HashSet<String> = texts(&payments, "paymentID").into_iter().flatten().collect();
    assert!(ids.contains("006772397028") && ids.contains("000000123456") && ids.contains(&made.payment_id));
    assert!(ids.iter().all(|id| id.len() == 12 && id.starts_with('0')));
    let mut sizes = HashMap::<String, usize>::new();
    for id in texts(&payments, "participantID").into_iter().flatten() {
        *sizes.entry(id).or_default() += 1;
    }
    assert_eq!(sizes.iter().max_by_key(|(_, n)| **n).map(|(id, _)| id.as_str()), Some("1000042"));
    assert!(sizes.contains_key("0012345") && sizes.len() == 50);
    let programs: HashSet<String> = texts(&payments, "programName").into_iter().flatten().collect();
    for wanted in ["CSP Direct Bill Partner", "CSP Indirect Provider", "Azure Marketplace"] {
        assert!(programs.contains(wanted), "{wanted}");
    }
    assert_eq!(made.participants[0], "1000042");
    let names: String = texts(&payments, "participantName").into_iter().flatten().collect();
    assert!(names.contains(", ") && names.contains('"') && names.contains('\''));
    for script in ['À'..='ž', 'Α'..='ώ', 'А'..='ї', '一'..='龥', 'ا'..='ي', '가'..='힣', 'א'..='ת'] {
        assert!(names.chars().any(|c| script.contains(&c)), "{script:?}");
    }
}

#[test]
fn amounts_add_up() {
    let (folder, _) = made(20_000);
    let payments = batches(&table(folder.path(), ReportName::Payments));
    let (mut negative, mut hit) = (0, 0);
    let end = Timestamp::start_of(NaiveDate::from_ymd_opt(2026, 7, 1).unwrap()).0;
    for batch in &payments {
        let amount = |name: &str| batch.column_by_name(name).unwrap().as_primitive::<Decimal128Type>().clone();
        let [earned, usd, withheld, sales, total] =
            ["earned", "earnedUSD", "withheldTax", "salesTax", "totalPayment"].map(amount);
        let code = |name: &str| batch.column_by_name(name).unwrap().as_string::<i32>().clone();
        let (from, to) = (code("earnedCurrencyCode"), code("paymentCurrencyCode"));
        let times = batch.column_by_name("payoutStatusUpdateTS").unwrap().as_primitive::<TimestampMicrosecondType>();
        for i in 0..batch.num_rows() {
            let tax = if sales.is_null(i) { 0 } else { sales.value(i) };
            if from.value(i) == to.value(i) {
                assert_eq!(total.value(i), earned.value(i) - withheld.value(i) + tax);
            }
            if from.value(i) == "USD" {
                assert!((usd.value(i) - earned.value(i)).abs() <= 50);
            }
            negative += usize::from(total.value(i) < 0);
            hit += usize::from((20_000_000..=50_000_000).contains(&total.value(i)));
            assert!(times.value(i) < end && times.value(i) >= end - 1278 * 86_400_000_000);
        }
    }
    assert!(negative > 100 && hit > 100, "{negative} negative, {hit} between 2000 and 5000");
}

#[test]
fn earnings_are_wide_and_join_to_payments() {
    let (folder, _) = made(60_000);
    let report = Catalog::builtin().report(ReportName::TransactionHistory).clone();
    let earnings = batches(&table(folder.path(), ReportName::TransactionHistory));
    assert_eq!(earnings.iter().map(RecordBatch::num_rows).sum::<usize>(), 6_000);
    for field in &report.fields {
        let nulls: usize = earnings.iter().map(|b| b.column_by_name(&field.name).unwrap().null_count()).sum();
        assert!(nulls < 6_000, "{} is empty everywhere", field.name);
        if !field.values.is_empty() {
            let wanted: HashSet<&str> = field.values.iter().map(|v| &**v).collect();
            let values = texts(&earnings, &field.name);
            assert!(values.iter().flatten().all(|v| wanted.contains(v.as_str())), "{}", field.name);
        }
    }
    let payments = batches(&table(folder.path(), ReportName::Payments));
    let pairs = |batches: &[RecordBatch], who: &str, id: &str| -> HashSet<(Option<String>, String)> {
        texts(batches, who).into_iter().zip(texts(batches, id)).filter_map(|(w, i)| Some((w, i?))).collect()
    };
    let paid = pairs(&payments, "participantID", "paymentID");
    let joined = pairs(&earnings, "participantId", "paymentId");
    assert!(joined.len() > 1000 && joined.is_subset(&paid));
}

#[test]
fn an_import_afterwards_makes_it_no_sample() {
    let (folder, _) = made(1_000);
    let ledger = Ledger::new(folder.path(), Catalog::builtin(), Sources::new());
    let sample = || crate::table::block_on(ledger.made_by_sample()).unwrap();
    assert!(sample());
    let note = CommitNote { operation: "MERGE".into(), properties: vec![], now: Timestamp(0) };
    ledger.table(ReportName::Payments).unwrap().commit(&[], &[], &note).unwrap();
    assert!(!sample());
    let empty = tempfile::tempdir().unwrap();
    let ledger = Ledger::new(empty.path(), Catalog::builtin(), Sources::new());
    assert!(!crate::table::block_on(ledger.made_by_sample()).unwrap());
}

#[test]
fn few_or_no_rows_are_fine() {
    for (rows, earnings) in [(0, 0), (1, 0), (0, 3), (7, 2)] {
        let folder = tempfile::tempdir().unwrap();
        let options = Options { rows, earnings, ..options(0) };
        make(folder.path(), &Catalog::builtin(), &options, &|_, _| {}).unwrap();
        let payments = table(folder.path(), ReportName::Payments);
        assert_eq!(payments.files().iter().filter_map(|f| f.rows).sum::<u64>(), rows);
        assert_eq!(payments.version(), Some(0));
    }
}
