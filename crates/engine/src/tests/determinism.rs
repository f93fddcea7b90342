//! Equal plans give equal bytes, and the text is the table's.

use std::io::Read;

use payouts_filter::Expr;
use payouts_filter::ast::{Collation, CompareOp, Value};
use payouts_model::{Packaging, Scope, Totals, chunk::ROWS_PER_ENTRY_MAX};

use super::fixture::{collect, collect_every_way, engine, field, plan, records, table, value};

#[tokio::test]
async fn bytes_do_not_depend_on_threads_or_files() {
    let rows = 20_000;
    let one = table(rows, rows, 100_000);
    let many = table(rows, 1_234, 500);
    let expected = collect(&engine(1), &plan(&one.snapshot, None, Scope::everything())).await.unwrap();
    assert_eq!(expected.iter().map(|c| c.rows).sum::<u64>(), rows as u64);
    assert!(
        expected.len() > 1 && ROWS_PER_ENTRY_MAX.is_multiple_of(expected[0].rows),
        "{} rows in the first of {}",
        expected[0].rows,
        expected.len()
    );
    for (threads, table) in [(2, &one), (5, &one), (1, &many), (2, &many), (5, &many)] {
        let chunks = collect(&engine(threads), &plan(&table.snapshot, None, Scope::everything())).await.unwrap();
        assert_eq!(chunks.len(), expected.len());
        for (chunk, expected) in chunks.iter().zip(&expected) {
            assert_eq!(
                (chunk.rows, chunk.crc32, &chunk.deflated, &chunk.totals),
                (expected.rows, expected.crc32, &expected.deflated, &expected.totals)
            );
            assert_eq!(chunk.text, expected.text);
        }
    }
}

#[tokio::test]
async fn the_text_is_the_table() {
    let rows = 1_000;
    let table = table(rows, 400, 100);
    let mut plan = plan(&table.snapshot, None, Scope::everything());
    let chunks = collect(&engine(2), &plan).await.unwrap();
    let records = records(&chunks);
    assert_eq!(records.len(), rows);
    let report = &table.snapshot.report;
    for (row, record) in records.iter().enumerate() {
        for (text, &column) in record.iter().zip(&plan.columns) {
            match value(&report.fields[column].name, row) {
                Value::Null => assert_eq!(text, ""),
                Value::Text(t) => assert_eq!(*text, t),
                Value::Date(d) => assert_eq!(*text, chrono::NaiveDate::from_epoch_days(d).unwrap().to_string()),
                Value::Number(n) => assert_eq!(
                    n,
                    payouts_filter::number::Decimal::from_scaled(text.parse::<payouts_model::Amount>().unwrap().0, 4)
                ),
                other => panic!("no such value in payments: {other:?}"),
            }
        }
    }
    for chunk in &chunks {
        let mut stream = chunk.deflated.as_ref().unwrap().to_vec();
        stream.extend_from_slice(&[3, 0]);
        let mut text = Vec::new();
        flate2::read::DeflateDecoder::new(stream.as_slice()).read_to_end(&mut text).unwrap();
        assert_eq!(text, chunk.text);
        assert_eq!(crc32fast::hash(&text), chunk.crc32);
    }
    plan.packaging = Packaging::Plain;
    let plain = collect(&engine(2), &plan).await.unwrap();
    assert_eq!(plain.iter().map(|c| &c.text).collect::<Vec<_>>(), chunks.iter().map(|c| &c.text).collect::<Vec<_>>());
    assert!(plain.iter().all(|c| c.deflated.is_none() && c.crc32 == 0));
}

#[tokio::test]
async fn an_empty_result_has_no_chunks() {
    let table = table(500, 500, 100);
    let none = Expr::Compare {
        op: CompareOp::Eq,
        collation: Collation::Exact,
        left: Box::new(Expr::Field(field("participantName"))),
        right: Box::new(Expr::Literal(Value::Text("nobody".into()))),
    };
    let plan = plan(&table.snapshot, Some(none), Scope::everything());
    assert!(collect(&engine(2), &plan).await.unwrap().is_empty());
    assert_eq!(engine(2).count(&plan).await.unwrap(), 0);
    assert_eq!(engine(1).header(&plan).iter().filter(|b| **b == b',').count(), 17);
}

#[tokio::test]
async fn a_dropped_stream_stops_and_the_engine_goes_on() {
    let table = table(20_000, 2_000, 500);
    let engine = engine(2);
    let plan = plan(&table.snapshot, None, Scope::everything());
    for _ in 0..5 {
        let mut stream = engine.run(&plan);
        futures::StreamExt::next(&mut stream).await.unwrap().unwrap();
    }
    let mut totals = Totals::default();
    for chunk in collect(&engine, &plan).await.unwrap() {
        totals.merge(chunk.totals.clone());
    }
    assert_eq!(totals.rows, 20_000);
    assert_eq!(engine.count(&plan).await.unwrap(), 20_000);
}

#[tokio::test]
async fn what_is_started_is_what_would_be_run_and_counted() {
    let table = table(40_000, 9_000, 2_000);
    let engine = engine(2);
    let amount = |op, amount: &str| Expr::Compare {
        op,
        collation: Collation::Exact,
        left: Box::new(Expr::Field(field("totalPayment"))),
        right: Box::new(Expr::Literal(Value::Number(payouts_filter::number::Decimal::parse(amount).unwrap()))),
    };
    for (predicate, complete) in [
        (None, false),
        (Some(amount(CompareOp::Ge, "0")), false),
        (Some(amount(CompareOp::Eq, "7")), true),
        (Some(amount(CompareOp::Lt, "0")), true),
    ] {
        let plan = plan(&table.snapshot, predicate, Scope::everything());
        let expected = collect_every_way(&engine, &plan).await.unwrap();
        let started = engine.start(&plan).await.unwrap();
        assert_eq!((started.rows, started.complete), (expected.iter().map(|c| c.rows).sum(), complete));
        let chunks: Vec<_> = futures::TryStreamExt::try_collect(started.chunks).await.unwrap();
        let texts = |chunks: &[payouts_model::Chunk]| chunks.iter().map(|c| c.text.clone()).collect::<Vec<_>>();
        assert_eq!(texts(&chunks), texts(&expected));
    }
}
