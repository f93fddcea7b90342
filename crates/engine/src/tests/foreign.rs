//! Tables that something else wrote: other types, other names, missing columns, partitions.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Date64Array, Decimal128Array, DictionaryArray, Float64Array, Int32Array, Int64Array, LargeStringArray,
    RecordBatch, StringArray, StringViewArray, TimestampNanosecondArray,
};
use arrow::datatypes::{DataType, Field, Int32Type, Schema};
use payouts_filter::Expr;
use payouts_filter::ast::{Collation, CompareOp, Value};
use payouts_filter::number::Decimal;
use payouts_ledger::{ColumnSource, DataFile, ReadAs, Snapshot};
use payouts_model::{Scope, Timestamp};

use super::fixture::{collect, collect_every_way, engine, field, plan, records, report, write_file};
use crate::Error;

struct Foreign {
    snapshot: Arc<Snapshot>,
    _folder: tempfile::TempDir,
}

fn foreign(
    columns: Vec<(&str, ArrayRef)>,
    mapped: &[(&str, &str, ReadAs)],
    partition: Option<(&str, &str)>,
) -> Foreign {
    let folder = tempfile::tempdir().unwrap();
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let file = write_file(&folder.path().join("a b%20c.parquet"), std::slice::from_ref(&batch), 2);
    let mut fields: Vec<Field> = batch.schema().fields().iter().map(|f| f.as_ref().clone()).collect();
    let partition_values = partition.iter().map(|(name, value)| (name.to_string(), Some(value.to_string()))).collect();
    fields.extend(partition.iter().map(|(name, _)| Field::new(*name, DataType::Utf8, true)));
    let report = report();
    let mut sources = vec![ColumnSource::Null; report.fields.len()];
    for (field, name, read) in mapped {
        sources[report.index_of(field).unwrap()] = ColumnSource::Column { name: name.to_string(), read: *read };
    }
    let files = vec![DataFile { partition_values, ..file }];
    let snapshot = Arc::new(Snapshot {
        report,
        version: 1,
        data_as_of: Timestamp(0),
        files,
        schema: Arc::new(Schema::new(fields)),
        columns: sources,
    });
    Foreign { snapshot, _folder: folder }
}

fn example() -> Foreign {
    let ids: ArrayRef = Arc::new(Int64Array::from(vec![42, 43, 44]));
    let status: ArrayRef =
        Arc::new(vec![Some("SENT"), Some("Sent"), None].into_iter().collect::<DictionaryArray<Int32Type>>());
    let earned: ArrayRef = Arc::new(
        Decimal128Array::from(vec![12_345_000_000_i128, -5_000_000, 0]).with_precision_and_scale(30, 6).unwrap(),
    );
    let usd: ArrayRef = Arc::new(Float64Array::from(vec![1.00005, -2.675, 0.1]));
    let tax: ArrayRef = Arc::new(Int32Array::from(vec![Some(3), None, Some(-4)]));
    let paid: ArrayRef = Arc::new(Date64Array::from(vec![Some(0), Some(86_400_000 * 19_000), None]));
    let moved: ArrayRef = Arc::new(TimestampNanosecondArray::from(vec![1_500, 1_684_123_915_647_000_000, 0]));
    let name: ArrayRef = Arc::new(LargeStringArray::from(vec!["a,b", "c", ""]));
    let kind: ArrayRef = Arc::new(StringViewArray::from(vec!["MPN", "a kind of more than twelve bytes", "MPN"]));
    let other: ArrayRef = Arc::new(StringArray::from(vec!["x", "y", "z"]));
    let columns = vec![
        ("pid", ids),
        ("st", status),
        ("amt", earned),
        ("usd", usd),
        ("tax", tax),
        ("paid", paid),
        ("moved", moved),
        ("who", name),
        ("idtype", kind),
        ("unused", other),
    ];
    let mapped = [
        ("participantID", "pid", ReadAs::Same),
        ("participantIDType", "idtype", ReadAs::Same),
        ("participantName", "who", ReadAs::Same),
        ("paymentStatus", "st", ReadAs::Same),
        ("earned", "amt", ReadAs::Same),
        ("earnedUSD", "usd", ReadAs::RoundedFloat),
        ("salesTax", "tax", ReadAs::Same),
        ("paymentDate", "paid", ReadAs::Same),
        ("payoutStatusUpdateTS", "moved", ReadAs::Utc),
        ("programName", "prog", ReadAs::Same),
    ];
    foreign(columns, &mapped, Some(("prog", "CSP")))
}

#[tokio::test]
async fn other_types_are_read_without_loss() {
    let table = example();
    let mut plan = plan(&table.snapshot, None, Scope::everything());
    plan.columns.push(field("payoutStatusUpdateTS"));
    let error = collect(&engine(1), &plan).await.unwrap_err();
    assert!(
        matches!(&error, Error::BadData(text) if text.contains("payoutStatusUpdateTS") && text.contains("1500")),
        "{error}"
    );
    plan.columns.pop();
    let chunks = collect(&engine(1), &plan).await;
    // The status time is not in the file, so nobody reads it.
    let rows = records(&chunks.unwrap());
    assert_eq!(rows[0][..8], ["42", "MPN", "a,b", "CSP", "12345.00", "1.0001", "", "3.00"]);
    assert_eq!(rows[1][..8], ["43", "a kind of more than twelve bytes", "c", "CSP", "-5.00", "-2.675", "", ""]);
    assert_eq!((rows[0][16].as_str(), rows[1][16].as_str(), rows[2][16].as_str()), ("1970-01-01", "2022-01-08", ""));
    assert_eq!((rows[1][14].as_str(), rows[2][14].as_str()), ("Sent", ""));
}

#[tokio::test]
async fn filters_agree_on_other_types() {
    let table = example();
    let engine = engine(1);
    let compare = |op, collation, name: &str, value: Value| Expr::Compare {
        op,
        collation,
        left: Box::new(Expr::Field(field(name))),
        right: Box::new(Expr::Literal(value)),
    };
    let number = |scaled, scale| Value::Number(Decimal::from_scaled(scaled, scale));
    let text = |t: &str| Value::Text(t.to_owned());
    let cases = [
        (compare(CompareOp::Eq, Collation::Id, "participantID", text("42")), vec!["42"]),
        (compare(CompareOp::Ne, Collation::Id, "participantID", text("42")), vec!["43", "44"]),
        (compare(CompareOp::Eq, Collation::IgnoreCase, "paymentStatus", text("sent")), vec!["42", "43"]),
        (compare(CompareOp::Ne, Collation::IgnoreCase, "paymentStatus", text("SENT")), vec!["44"]),
        (compare(CompareOp::Gt, Collation::Exact, "earned", number(-50_001, 4)), vec!["42", "43", "44"]),
        (compare(CompareOp::Gt, Collation::Exact, "earned", number(-5, 0)), vec!["42", "44"]),
        (compare(CompareOp::Eq, Collation::Exact, "earnedUSD", number(10_001, 4)), vec!["42"]),
        (compare(CompareOp::Lt, Collation::Exact, "salesTax", number(35, 1)), vec!["42", "44"]),
        (compare(CompareOp::Ne, Collation::Exact, "salesTax", number(3, 0)), vec!["43", "44"]),
        (compare(CompareOp::Ge, Collation::Exact, "paymentDate", Value::Date(19_000)), vec!["43"]),
        (compare(CompareOp::Gt, Collation::Exact, "payoutStatusUpdateTS", Value::Instant(1)), vec!["42", "43"]),
        (compare(CompareOp::Eq, Collation::Exact, "programName", text("CSP")), vec!["42", "43", "44"]),
        (compare(CompareOp::Ne, Collation::Exact, "programName", text("CSP")), vec![]),
        (compare(CompareOp::Eq, Collation::Exact, "CIReferenceNumber", Value::Null), vec!["42", "43", "44"]),
    ];
    for (predicate, expected) in cases {
        let shown = format!("{predicate:?}");
        let rows = records(
            &collect_every_way(&engine, &plan(&table.snapshot, Some(predicate), Scope::everything())).await.unwrap(),
        );
        assert_eq!(rows.iter().map(|r| r[0].as_str()).collect::<Vec<_>>(), expected, "{shown}");
    }
}

#[tokio::test]
async fn what_does_not_fit_is_named() {
    let amount: ArrayRef = Arc::new(Decimal128Array::from(vec![1_i128]).with_precision_and_scale(20, 6).unwrap());
    let table = foreign(vec![("amt", amount)], &[("earned", "amt", ReadAs::Same)], None);
    let error = collect(&engine(1), &plan(&table.snapshot, None, Scope::everything())).await.unwrap_err();
    assert!(matches!(&error, Error::BadData(text) if text.contains("earned")), "{error}");

    let float: ArrayRef = Arc::new(Float64Array::from(vec![1.5]));
    let table = foreign(vec![("amt", float)], &[("earned", "amt", ReadAs::Same)], None);
    let asked = Expr::Compare {
        op: CompareOp::Gt,
        collation: Collation::Exact,
        left: Box::new(Expr::Field(field("earned"))),
        right: Box::new(Expr::Literal(Value::Number(Decimal::from_scaled(1, 0)))),
    };
    for predicate in [None, Some(asked)] {
        let error = collect(&engine(1), &plan(&table.snapshot, predicate, Scope::everything())).await.unwrap_err();
        assert!(matches!(&error, Error::BadData(text) if text.contains("float")), "{error}");
    }
}

#[tokio::test]
async fn a_missing_file_is_a_gone_snapshot() {
    let table = super::fixture::table(100, 50, 50);
    let plan = plan(&table.snapshot, None, Scope::everything());
    std::fs::remove_file(&table.snapshot.files[1].path).unwrap();
    assert!(matches!(collect(&engine(1), &plan).await.err(), Some(Error::SnapshotGone(_))));
    assert!(table.folder.path().exists());
}
