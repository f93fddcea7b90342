//! A payments table with everything that is awkward, written by hand.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use arrow::array::{
    ArrayRef, AsArray, Date32Array, Decimal128Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use futures::StreamExt;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::properties::WriterProperties;
use payouts_filter::Expr;
use payouts_filter::ast::Value;
use payouts_ledger::{ColumnSource, DataFile, Marks, ReadAs, Snapshot};
use payouts_model::{Catalog, Chunk, FieldType, Packaging, Report, ReportName, Scope, TextFormat, Timestamp};
use tempfile::TempDir;

use crate::scan::How;
use crate::{Engine, Error, Limits, Plan};

static REPORT: LazyLock<Arc<Report>> = LazyLock::new(|| Catalog::builtin().report(ReportName::Payments).clone());

/// The payments report.
pub fn report() -> Arc<Report> {
    REPORT.clone()
}

/// The index of a field.
pub fn field(name: &str) -> usize {
    report().index_of(name).expect("a field of payments")
}

/// The type that a field is stored as in a table of our own.
pub fn stored_type(kind: FieldType) -> DataType {
    match kind {
        FieldType::Amount => DataType::Decimal128(18, 4),
        FieldType::Number => DataType::Decimal128(18, 8),
        FieldType::Integer => DataType::Int64,
        FieldType::Date => DataType::Date32,
        FieldType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        FieldType::Boolean => DataType::Boolean,
        FieldType::Id | FieldType::Text | FieldType::Enum | FieldType::Guid => DataType::Utf8,
    }
}

pub const PROGRAMS: [&str; 4] = ["CSP Direct Bill Partner", "Programme, with \"quotes\"", "Störe", "Azure Marketplace"];
pub const STATUSES: [&str; 4] = ["SENT", "FAILED", "IN PROGRESS", "sent"];
pub const NAMES: [&str; 5] = ["Fabrikam, Inc.", "北京科技有限公司", "O\"Neil\r\nSons", "Plain", " blank "];

/// The participant of a row: ten rows each, some with zeros in front, one that is not digits.
pub fn participant(row: usize) -> String {
    let number = 1_000_000 + row / 10;
    match row / 10 % 7 {
        3 => format!("{number:0>12}"),
        5 => format!("{number:0>70}"),
        6 => format!("P-{number}"),
        _ => number.to_string(),
    }
}

/// One field of one row as the filter's interpreter sees it.
pub fn value(field: &str, row: usize) -> Value {
    let text = |t: &str| Value::Text(t.to_owned());
    let amount = |v: i128| Value::Number(payouts_filter::number::Decimal::from_scaled(v, 4));
    match field {
        "participantID" => text(&participant(row)),
        "participantIDType" => text("MPN"),
        "participantName" => text(NAMES[row / 10 % NAMES.len()]),
        "programName" => text(PROGRAMS[row % PROGRAMS.len()]),
        "paymentMethod" => text(if row.is_multiple_of(3) { "Wire" } else { "ElectronicBankTransfer" }),
        "paymentID" if row.is_multiple_of(5) => Value::Null,
        "paymentID" => text(&format!("{:0>12}", 6_772_000_000 + row * 17)),
        "paymentStatus" => text(STATUSES[row % STATUSES.len()]),
        "paymentStatusDescription" if row.is_multiple_of(2) => Value::Null,
        "paymentStatusDescription" => text(if row.is_multiple_of(3) { "" } else { "Sent to the bank; ask it." }),
        "CIReferenceNumber" => Value::Null,
        "payoutOrderType" => text(["REBATE", "COOP", "FEE", "SELL"][row / 3 % 4]),
        "earnedCurrencyCode" | "paymentCurrencyCode" => text(["EUR", "USD", "JPY"][row / 7 % 3]),
        "salesTax" if row.is_multiple_of(3) => Value::Null,
        "serviceFeeTax" if row.is_multiple_of(4) => Value::Null,
        "paymentDate" if row.is_multiple_of(6) => Value::Null,
        "paymentDate" => Value::Date(19_400 + (row % 97) as i32),
        "payoutStatusUpdateTS" => {
            Value::Instant(1_672_531_200_000_000 + row as i64 * 3_600_123_456 % 40_000_000_000_000)
        }
        "earned" => amount(row as i128 * 7919 % 1_000_003 - 200_000),
        "totalPayment" => amount((row as i128 % 50) * 10_000),
        _ => amount(row as i128 % 11 * 2500 - 5000),
    }
}

fn column(report: &Report, index: usize, rows: std::ops::Range<usize>) -> ArrayRef {
    let spec = &report.fields[index];
    let values: Vec<Value> = rows.map(|row| value(&spec.name, row)).collect();
    let scaled = |v: &Value, scale| match v {
        Value::Number(n) => match n.scaled(scale) {
            payouts_filter::number::Scaled::Exact(n) => Some(n),
            _ => None,
        },
        _ => None,
    };
    match spec.kind {
        FieldType::Amount => Arc::new(
            values.iter().map(|v| scaled(v, 4)).collect::<Decimal128Array>().with_precision_and_scale(18, 4).unwrap(),
        ),
        FieldType::Date => Arc::new(
            values.iter().map(|v| if let Value::Date(d) = v { Some(*d) } else { None }).collect::<Date32Array>(),
        ),
        FieldType::Timestamp => Arc::new(
            values
                .iter()
                .map(|v| if let Value::Instant(t) = v { Some(*t) } else { None })
                .collect::<TimestampMicrosecondArray>()
                .with_timezone("UTC"),
        ),
        _ => Arc::new(
            values
                .iter()
                .map(|v| if let Value::Text(t) = v { Some(t.as_str()) } else { None })
                .collect::<StringArray>(),
        ),
    }
}

/// The schema of our own table.
pub fn schema(report: &Report) -> SchemaRef {
    Arc::new(Schema::new(
        report.fields.iter().map(|f| Field::new(&*f.name, stored_type(f.kind), true)).collect::<Vec<_>>(),
    ))
}

/// A table on disk.
pub struct Table {
    pub snapshot: Arc<Snapshot>,
    pub folder: TempDir,
}

/// Writes batches as one file, `row_group` rows to a group.
pub fn write_file(path: &Path, batches: &[RecordBatch], row_group: usize) -> DataFile {
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(row_group))
        .set_data_page_row_count_limit(200)
        .set_write_batch_size(100)
        .set_column_bloom_filter_enabled("paymentID".into(), true)
        .set_column_bloom_filter_max_ndv("paymentID".into(), 1_000)
        .build();
    let mut writer =
        ArrowWriter::try_new(std::fs::File::create(path).unwrap(), batches[0].schema(), Some(properties)).unwrap();
    for batch in batches {
        writer.write(batch).unwrap();
    }
    let rows = writer.close().unwrap().file_metadata().num_rows();
    DataFile {
        path: path.to_owned(),
        size_bytes: std::fs::metadata(path).unwrap().len(),
        rows: Some(rows as u64),
        partition_values: vec![],
        hints: Default::default(),
    }
}

/// A snapshot of files that all have `schema`, with every field under its own name.
pub fn snapshot(files: Vec<DataFile>, schema: SchemaRef) -> Arc<Snapshot> {
    let report = report();
    let source = |name: &str| match schema.index_of(name) {
        Ok(_) => ColumnSource::Column { name: name.to_owned(), read: ReadAs::Same },
        Err(_) => ColumnSource::Null,
    };
    let columns = report.fields.iter().map(|f| source(&f.name)).collect();
    Arc::new(Snapshot { report, version: 3, data_as_of: Timestamp(0), files, schema, columns })
}

/// `rows` rows over files of `per_file` rows.
pub fn table(rows: usize, per_file: usize, row_group: usize) -> Table {
    table_of(rows, per_file, row_group, participant)
}

/// The same with other participants.
pub fn table_of(rows: usize, per_file: usize, row_group: usize, participant: fn(usize) -> String) -> Table {
    let folder = tempfile::tempdir().unwrap();
    let report = report();
    let schema = schema(&report);
    let mut files = Vec::new();
    for from in (0..rows).step_by(per_file) {
        let to = rows.min(from + per_file);
        let mut columns: Vec<ArrayRef> = (0..report.fields.len()).map(|i| column(&report, i, from..to)).collect();
        columns[field("participantID")] =
            Arc::new((from..to).map(|row| Some(participant(row))).collect::<StringArray>());
        let batch = RecordBatch::try_new(schema.clone(), columns).unwrap();
        files.push(write_file(&folder.path().join(format!("part {from}.parquet")), &[batch], row_group));
    }
    Table { snapshot: snapshot(files, schema), folder }
}

/// The snapshot of a table whose files are in order of their canonical participants, with what a
/// writer would have noted of them: a mark every so many rows, and the lengths of ids.
pub fn with_hints(table: &Table, every_rows: u64) -> Arc<Snapshot> {
    let mut snapshot = (*table.snapshot).clone();
    for file in &mut snapshot.files {
        let reader = ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(&file.path).unwrap()).unwrap();
        let batches: Vec<RecordBatch> = reader.build().unwrap().collect::<Result<_, _>>().unwrap();
        let texts = |name: &str| -> Vec<Option<String>> {
            let column = |b: &RecordBatch| b.column_by_name(name).unwrap().as_string::<i32>().clone();
            batches.iter().flat_map(|b| column(b).iter().map(|t| t.map(str::to_owned)).collect::<Vec<_>>()).collect()
        };
        let participants: Vec<String> =
            texts("participantID").iter().flatten().map(|t| payouts_model::id::canonical(t).to_owned()).collect();
        assert!(participants.is_sorted());
        let last = participants.last().unwrap().clone();
        let participants = participants.into_iter().step_by(every_rows as usize).collect();
        file.hints.marks = Some(Marks { every_rows, participants, last });
        for name in ["participantID", "paymentID"] {
            let lengths: Vec<u64> = texts(name).iter().flatten().map(|t| t.len() as u64).collect();
            let span = lengths.iter().min().copied().zip(lengths.iter().max().copied());
            file.hints.id_lengths.insert(name.to_owned(), span);
        }
    }
    Arc::new(snapshot)
}

/// A plan over a snapshot: CSV in a ZIP of the default columns.
pub fn plan(snapshot: &Arc<Snapshot>, predicate: Option<Expr>, scope: Scope) -> Plan {
    Plan {
        snapshot: snapshot.clone(),
        predicate,
        scope,
        columns: snapshot.report.default_columns(),
        text: TextFormat::Csv,
        packaging: Packaging::Zip,
    }
}

/// An engine.
pub fn engine(threads: usize) -> Engine {
    Engine::new(Limits { threads, memory_bytes: 64 << 20 })
}

/// Everything that a plan gives.
pub async fn collect(engine: &Engine, plan: &Plan) -> Result<Vec<Chunk>, Error> {
    futures::TryStreamExt::try_collect(engine.run(plan)).await
}

/// Everything that a plan gives: the same, however the selected rows are told from the others.
pub async fn collect_every_way(engine: &Engine, plan: &Plan) -> Result<Vec<Chunk>, Error> {
    let mut given: Option<Vec<Chunk>> = None;
    let survey = engine.pipeline.survey(plan).await?;
    let known = Arc::new(engine.pipeline.select(&survey).await?);
    let rows = known.rows;
    for how in [How::Pushed, How::Tested, How::Known(known)] {
        let mut stream = engine.chunks(plan, Some((survey.clone(), how.clone())));
        let mut chunks = Vec::new();
        while let Some(chunk) = stream.next().await {
            chunks.push(chunk?);
        }
        let texts = |chunks: &[Chunk]| chunks.iter().map(|c| (c.rows, c.text.clone())).collect::<Vec<_>>();
        assert_eq!(chunks.iter().map(|c| c.rows).sum::<u64>(), rows, "{how:?}");
        if let Some(given) = &given {
            assert_eq!(texts(given), texts(&chunks), "{how:?}");
        }
        given = Some(chunks);
    }
    Ok(given.expect("there are ways"))
}

/// The text of chunks as records.
pub fn records(chunks: &[Chunk]) -> Vec<Vec<String>> {
    let text: Vec<u8> = chunks.iter().flat_map(|c| c.text.iter().copied()).collect();
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_slice());
    reader.records().map(|r| r.unwrap().iter().map(str::to_owned).collect()).collect()
}
