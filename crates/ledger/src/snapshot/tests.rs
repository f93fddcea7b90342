//! What is read and what is refused, over tables of our own and logs written by hand.

use std::collections::HashMap;
use std::fs::{File, create_dir_all, write};

use arrow::array::{ArrayRef, RecordBatch, new_null_array};
use arrow::datatypes::Schema;
use chrono::NaiveDate;
use parquet::arrow::ArrowWriter;
use payouts_model::report::ExtraColumn;
use payouts_model::{Catalog, FieldType, ReportName};
use serde_json::{Value, json};

use super::*;
use crate::sample::{self, Options};
use crate::source::TableSource;
use crate::table::{CommitNote, Table, WriterOptions, block_on};
use crate::{Ledger, Sources};

const PAYMENTS: ReportName = ReportName::Payments;

/// The columns of a complete foreign payments table, as Delta types.
fn columns_of_payments() -> Vec<(String, Value, bool)> {
    let kind = |k: FieldType| match k {
        FieldType::Amount => json!("decimal(18,4)"),
        FieldType::Number => json!("decimal(18,8)"),
        FieldType::Integer => json!("long"),
        FieldType::Date => json!("date"),
        FieldType::Timestamp => json!("timestamp"),
        FieldType::Boolean => json!("boolean"),
        _ => json!("string"),
    };
    let catalog = Catalog::builtin();
    catalog.report(PAYMENTS).fields.iter().map(|f| (f.name.to_string(), kind(f.kind), f.nullable)).collect()
}

/// A hand-written table under construction.
struct Foreign {
    columns: Vec<(String, Value, bool)>,
    partitions: Vec<String>,
    protocol: Value,
    configuration: Value,
    files: Vec<Value>,
}

impl Foreign {
    fn new() -> Self {
        Self {
            columns: columns_of_payments(),
            partitions: Vec::new(),
            protocol: json!({ "minReaderVersion": 1, "minWriterVersion": 2 }),
            configuration: json!({}),
            files: vec![Self::file("b.parquet"), Self::file("a.parquet")],
        }
    }
    fn file(name: &str) -> Value {
        json!({
            "path": name, "partitionValues": {}, "size": 10, "modificationTime": 1_700_000_000_000_i64,
            "dataChange": true, "stats": "{\"numRecords\":3}"
        })
    }
    fn retype(mut self, column: &str, kind: &str) -> Self {
        self.columns.iter_mut().find(|c| c.0 == column).unwrap().1 = json!(kind);
        self
    }
    fn rename(mut self, column: &str, to: &str) -> Self {
        self.columns.iter_mut().find(|c| c.0 == column).unwrap().0 = to.into();
        self
    }
    fn without(mut self, column: &str) -> Self {
        self.columns.retain(|c| c.0 != column);
        self
    }
    fn features(mut self, features: &[&str]) -> Self {
        self.protocol = json!({ "minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": features, "writerFeatures": features });
        self
    }
    /// Writes version 0 and returns the folder.
    fn write(&self) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        create_dir_all(folder.path().join("_delta_log")).unwrap();
        let field = |(n, (name, kind, nullable)): (usize, &(String, Value, bool))| {
            let metadata = match self.configuration.get("delta.columnMapping.mode") {
                Some(_) => {
                    json!({ "delta.columnMapping.id": n + 1, "delta.columnMapping.physicalName": format!("col-{n}") })
                }
                None => json!({}),
            };
            json!({ "name": name, "type": kind, "nullable": nullable, "metadata": metadata })
        };
        let fields: Vec<Value> = self.columns.iter().enumerate().map(field).collect();
        let schema = json!({ "type": "struct", "fields": fields }).to_string();
        let mut lines = vec![
            json!({ "commitInfo": { "timestamp": 1_700_000_000_123_i64, "operation": "WRITE" } }),
            json!({ "protocol": self.protocol }),
            json!({ "metaData": {
                "id": "5fba94ed-9794-4965-ba6e-6ee3c0d22af9", "format": { "provider": "parquet", "options": {} },
                "schemaString": schema, "partitionColumns": self.partitions, "configuration": self.configuration, "createdTime": 1
            } }),
        ];
        for file in &self.files {
            write(folder.path().join(file["path"].as_str().unwrap().replace('/', "_")), "data").unwrap();
            lines.push(json!({ "add": file }));
        }
        commit(folder.path(), 0, &lines);
        folder
    }
}

fn commit(folder: &Path, version: u64, lines: &[Value]) {
    let text: String = lines.iter().map(|l| format!("{l}\n")).collect();
    write(folder.join(format!("_delta_log/{version:020}.json")), text).unwrap();
}

fn ledger(folder: &Path, columns: &str) -> Ledger {
    let columns: HashMap<String, ColumnMapping> = toml::from_str(columns).unwrap();
    let source = TableSource { table: folder.into(), columns };
    Ledger::new(Path::new("unused"), Catalog::builtin(), Sources::from([(PAYMENTS, source)]))
}

fn snapshot(foreign: &Foreign, columns: &str) -> Result<Arc<Snapshot>, Error> {
    let folder = foreign.write();
    block_on(ledger(folder.path(), columns).snapshot(PAYMENTS, None))
}

/// Checks that the table is refused at start, with each of the parts in the message.
fn refused(foreign: &Foreign, columns: &str, parts: &[&str]) {
    let folder = foreign.write();
    let error = block_on(ledger(folder.path(), columns).check()).unwrap_err();
    assert!(matches!(error, Error::Unsupported { .. }), "{error:?}");
    let text = error.to_string();
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
}

fn read_of(snapshot: &Snapshot, field: &str) -> ColumnSource {
    snapshot.columns[snapshot.report.index_of(field).unwrap()].clone()
}

#[test]
fn a_plain_foreign_table_is_read_by_path() {
    let snapshot = snapshot(&Foreign::new().without("CIReferenceNumber").rename("earned", "EARNED"), "").unwrap();
    let names: Vec<_> = snapshot.files.iter().map(|f| f.path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["a.parquet", "b.parquet"]);
    assert_eq!((snapshot.version, snapshot.rows()), (0, Some(6)));
    assert_eq!(snapshot.data_as_of, Timestamp(1_700_000_000_123_000));
    assert_eq!(read_of(&snapshot, "CIReferenceNumber"), ColumnSource::Null);
    assert_eq!(read_of(&snapshot, "earned"), ColumnSource::Column { name: "EARNED".into(), read: ReadAs::Same });
}

#[test]
fn names_and_types_are_mapped_only_as_told() {
    let foreign = Foreign::new()
        .rename("participantID", "mpn")
        .retype("totalPayment", "double")
        .retype("payoutStatusUpdateTS", "timestamp_ntz")
        .features(&["timestampNtz"]);
    refused(&foreign, "", &["no column 'participantID'", "map it"]);
    let named = "participantID = 'mpn'\n";
    refused(&foreign, named, &["totalPayment", "Float64", "float = \"round\""]);
    let rounded = format!("{named}totalPayment = {{ float = 'round' }}\n");
    refused(&foreign, &rounded, &["payoutStatusUpdateTS", "zone = \"UTC\""]);
    let whole = format!("{rounded}payoutStatusUpdateTS = {{ column = 'payoutStatusUpdateTS', zone = 'UTC' }}\n");
    let snapshot = snapshot(&foreign, &whole).unwrap();
    assert_eq!(
        read_of(&snapshot, "totalPayment"),
        ColumnSource::Column { name: "totalPayment".into(), read: ReadAs::RoundedFloat }
    );
    assert_eq!(
        read_of(&snapshot, "payoutStatusUpdateTS"),
        ColumnSource::Column { name: "payoutStatusUpdateTS".into(), read: ReadAs::Utc }
    );
    assert_eq!(read_of(&snapshot, "participantID"), ColumnSource::Column { name: "mpn".into(), read: ReadAs::Same });
}

#[test]
fn mappings_that_cannot_be_meant_are_refused() {
    let plain = Foreign::new();
    refused(&plain, "earned = 'gross'", &["'gross'", "does not have", "participantID"]);
    refused(&plain, "gross = 'earned'", &["'gross'", "not a column of the report"]);
    refused(&plain, "earned = { float = 'floor' }", &["\"floor\"", "\"round\""]);
    refused(&plain, "earned = { float = 'round' }", &["earned", "remove it"]);
    refused(&plain, "payoutStatusUpdateTS = { zone = 'CET' }", &["\"CET\"", "UTC"]);
    refused(&plain, "payoutStatusUpdateTS = { zone = 'UTC' }", &["without a zone", "remove it"]);
}

#[test]
fn types_pass_only_without_loss() {
    for (column, kind) in [
        ("earned", "decimal(10,2)"),
        ("earned", "long"),
        ("paymentID", "long"),
        ("salesTax", "decimal(38,4)"),
        ("participantID", "integer"),
    ] {
        assert!(snapshot(&Foreign::new().retype(column, kind), "").is_ok(), "{column} {kind}");
    }
    for (column, kind, part) in [
        ("earned", "decimal(18,6)", "more decimals than the 4"),
        ("earned", "string", "store it as Decimal128(18, 4)"),
        ("paymentDate", "timestamp", "store it as Date32"),
        ("payoutStatusUpdateTS", "string", "store it as Timestamp"),
        ("programName", "long", "store it as Utf8"),
    ] {
        refused(&Foreign::new().retype(column, kind), "", &[column, part]);
    }
}

#[test]
fn deletion_vectors_are_refused_where_a_file_has_one() {
    let mut foreign = Foreign::new().features(&["deletionVectors"]);
    foreign.configuration = json!({ "delta.enableDeletionVectors": "true" });
    assert!(snapshot(&foreign, "").is_ok(), "the feature alone hides no row");
    foreign.files[0]["deletionVector"] = json!({ "storageType": "u", "pathOrInlineDv": "ab^-aqEH.-t@S}K{vb[*k^", "offset": 4, "sizeInBytes": 40, "cardinality": 2 });
    refused(&foreign, "", &["b.parquet", "deletion vector", "REORG TABLE … APPLY (PURGE)", "SET TBLPROPERTIES"]);
}

#[test]
fn column_mapping_is_refused() {
    for mode in ["name", "id"] {
        let mut foreign = Foreign::new();
        foreign.protocol = json!({ "minReaderVersion": 2, "minWriterVersion": 5 });
        foreign.configuration = json!({ "delta.columnMapping.mode": mode });
        refused(&foreign, "", &["column mapping", mode, "ALTER TABLE … SET TBLPROPERTIES"]);
    }
}

#[test]
fn features_that_are_not_understood_are_refused() {
    refused(&Foreign::new().features(&["typeWidening"]), "", &["typeWidening", "DROP FEATURE"]);
    refused(&Foreign::new().features(&["timeTravelling"]), "", &["timeTravelling", "DROP FEATURE"]);
}

#[test]
fn partition_values_are_served_beside_the_files() {
    let mut foreign = Foreign::new();
    foreign.partitions = vec!["programName".into(), "paymentStatusDescription".into()];
    for (file, program) in foreign.files.iter_mut().zip(["CSP Hoster", "A, \"B\""]) {
        file["partitionValues"] = json!({ "programName": program, "paymentStatusDescription": "" });
    }
    let snapshot = snapshot(&foreign, "").unwrap();
    let values = |i: usize| snapshot.files[i].partition_values.clone();
    let wanted = |text: &str| {
        vec![("paymentStatusDescription".to_owned(), None), ("programName".to_owned(), Some(text.to_owned()))]
    };
    assert_eq!((values(0), values(1)), (wanted("A, \"B\""), wanted("CSP Hoster")));
    assert!(snapshot.schema.field_with_name("programName").is_err());
    foreign.partitions = vec!["earned".into()];
    foreign.files.iter_mut().for_each(|file| file["partitionValues"] = json!({ "earned": "1.0000" }));
    refused(&foreign, "", &["partitioned by column 'earned'"]);
}

#[test]
fn only_changes_of_data_move_its_time() {
    let folder = Foreign::new().write();
    let info = |at: i64| json!({ "commitInfo": { "timestamp": at, "operation": "OPTIMIZE" } });
    let mut moved = Foreign::file("c.parquet");
    moved["dataChange"] = json!(false);
    write(folder.path().join("c.parquet"), "data").unwrap();
    let gone = json!({ "remove": { "path": "a.parquet", "dataChange": false, "deletionTimestamp": 1 } });
    commit(folder.path(), 1, &[info(1_800_000_000_000), json!({ "add": moved }), gone]);
    let ledger = ledger(folder.path(), "");
    let get = |version| block_on(ledger.snapshot(PAYMENTS, version));
    assert_eq!(get(None).unwrap().version, 1);
    assert_eq!(get(None).unwrap().data_as_of, Timestamp(1_700_000_000_123_000));
    assert!(matches!(get(Some(2)), Err(Error::VersionGone { version: 2, .. })));
    assert_eq!(get(Some(0)).unwrap().files.len(), 2);
    std::fs::remove_file(folder.path().join("a.parquet")).unwrap();
    assert!(matches!(get(Some(0)), Err(Error::VersionGone { version: 0, .. })), "also when it is cached");
    std::fs::remove_file(folder.path().join("c.parquet")).unwrap();
    let fresh = || super::tests::ledger(folder.path(), "");
    assert!(block_on(fresh().snapshot(PAYMENTS, None)).unwrap_err().to_string().contains("c.parquet"));
    std::fs::remove_file(folder.path().join("_delta_log/00000000000000000000.json")).unwrap();
    assert!(matches!(block_on(fresh().snapshot(PAYMENTS, Some(0))), Err(Error::VersionGone { version: 0, .. })));
}

#[test]
fn a_missing_table_says_how_to_make_one() {
    let folder = tempfile::tempdir().unwrap();
    let own = Ledger::new(folder.path(), Catalog::builtin(), Sources::new());
    assert!(block_on(own.check()).is_ok());
    let error = block_on(own.snapshot(PAYMENTS, None)).unwrap_err();
    assert!(matches!(error, Error::Missing { .. }) && error.to_string().contains("payouts import"));
    let pointed = ledger(&folder.path().join("nowhere"), "");
    assert!(block_on(pointed.check()).unwrap_err().to_string().contains("[reports.payments]"));
    assert!(pointed.table(PAYMENTS).unwrap_err().to_string().contains("something else writes"));
}

fn sampled() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        rows: 60_000,
        earnings: 0,
        participants: None,
        seed: 1,
        until: NaiveDate::from_ymd_opt(2026, 6, 30).unwrap(),
    };
    sample::make(folder.path(), &Catalog::builtin(), &options, &|_, _| {}).unwrap();
    folder
}

fn note(ms: i64) -> CommitNote {
    CommitNote { operation: "MERGE".into(), properties: vec![], now: Timestamp(ms * 1000) }
}

/// Writes a file of its rows again, as an import would.
fn rewrite(table: &Table, which: usize) -> Vec<crate::table::NewFile> {
    let file = File::open(&table.files()[which].path).unwrap();
    let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    let mut writer = table.writer(WriterOptions { rows_per_file: 5000, ..WriterOptions::unique() }).unwrap();
    for batch in reader {
        let batch = batch.unwrap();
        let wanted = crate::table::schema(Catalog::builtin().report(PAYMENTS));
        let column = |f: &Arc<ArrowField>| {
            batch.column_by_name(f.name()).cloned().unwrap_or_else(|| new_null_array(f.data_type(), batch.num_rows()))
        };
        let columns: Vec<ArrayRef> = wanted.fields().iter().map(column).collect();
        writer.write(&RecordBatch::try_new(wanted.clone(), columns).unwrap()).unwrap();
    }
    writer.finish().unwrap()
}

#[test]
fn ledger_order_survives_commits_and_checkpoints() {
    let folder = sampled();
    let ledger = Ledger::new(folder.path(), Catalog::builtin(), Sources::new());
    let rows = block_on(ledger.snapshot(PAYMENTS, None)).unwrap().rows();
    let stale = ledger.table(PAYMENTS).unwrap();
    for round in 0..12 {
        let table = ledger.table(PAYMENTS).unwrap();
        assert_eq!(table.version(), Some(round));
        let which = round as usize % 2;
        let adds = rewrite(&table, which);
        assert_eq!(
            table.commit(&table.files()[which..=which], &adds, &note(1_900_000_000_000 + round as i64)).unwrap(),
            round + 1
        );
    }
    assert!(folder.path().join("ledger/payments/_delta_log/_last_checkpoint").exists());
    let snapshot = block_on(ledger.snapshot(PAYMENTS, None)).unwrap();
    assert_eq!((snapshot.version, snapshot.rows()), (12, rows));
    assert_eq!(snapshot.data_as_of, Timestamp(1_900_000_000_011_000));
    let table = ledger.table(PAYMENTS).unwrap();
    let ranges: Vec<_> = table.files().iter().map(|f| f.range.clone().expect("ranges survive a checkpoint")).collect();
    assert!(ranges.len() > 6 && ranges.windows(2).all(|w| w[0].last < w[1].first));
    let paths: Vec<_> = table.files().iter().map(|f| f.path.clone()).collect();
    assert_eq!(paths, snapshot.files.iter().map(|f| f.path.clone()).collect::<Vec<_>>());
    let conflict = stale.commit(&stale.files()[..1], &[], &note(0)).unwrap_err();
    assert!(matches!(conflict, Error::Conflict { version: 1, .. }));
    assert_eq!(block_on(ledger.snapshot(PAYMENTS, None)).unwrap().version, 12, "a conflict changes nothing");
    assert_eq!(block_on(ledger.snapshot(PAYMENTS, Some(0))).unwrap().rows(), rows, "old versions stay readable");

    // Other tools clear the log up to a checkpoint: what is left is read, what went is gone.
    for version in 0..=9 {
        std::fs::remove_file(table.root().join(format!("_delta_log/{version:020}.json"))).unwrap();
    }
    let ledger = Ledger::new(folder.path(), Catalog::builtin(), Sources::new());
    let snapshot = block_on(ledger.snapshot(PAYMENTS, None)).unwrap();
    assert_eq!((snapshot.version, snapshot.rows()), (12, rows));
    assert!(block_on(ledger.snapshot(PAYMENTS, Some(10))).is_ok(), "the checkpoint's own version");
    assert!(matches!(block_on(ledger.snapshot(PAYMENTS, Some(9))), Err(Error::VersionGone { version: 9, .. })));
}

#[test]
fn appended_columns_are_empty_until_a_commit_adds_them() {
    let folder = sampled();
    let extra = ExtraColumn {
        name: "costCentre".into(),
        kind: FieldType::Text,
        currency: None,
        in_file: true,
        values: vec![],
        meaning: String::new(),
        in_form: false,
    };
    let catalog = Catalog::with(&HashMap::from([(PAYMENTS, vec![extra])]), &HashMap::new()).unwrap();
    let ledger = Ledger::new(folder.path(), catalog, Sources::new());
    assert_eq!(read_of(&block_on(ledger.snapshot(PAYMENTS, None)).unwrap(), "costCentre"), ColumnSource::Null);
    ledger.table(PAYMENTS).unwrap().commit(&[], &[], &note(1)).unwrap();
    let read = read_of(&block_on(ledger.snapshot(PAYMENTS, None)).unwrap(), "costCentre");
    assert_eq!(read, ColumnSource::Column { name: "costCentre".into(), read: ReadAs::Same });
    let plain = Ledger::new(folder.path(), Catalog::builtin(), Sources::new());
    plain.table(PAYMENTS).unwrap().commit(&[], &[], &note(2)).unwrap();
    let kept = block_on(plain.snapshot(PAYMENTS, None)).unwrap();
    assert!(kept.schema.field_with_name("costCentre").is_ok(), "a column that is no longer configured is not lost");
}

#[test]
fn an_own_table_that_was_taken_over_is_not_written() {
    let folder = sampled();
    let root = crate::table_folder(folder.path(), PAYMENTS);
    commit(
        &root,
        1,
        &[json!({ "protocol": { "minReaderVersion": 1, "minWriterVersion": 7, "writerFeatures": ["rowTracking"] } })],
    );
    let ledger = Ledger::new(folder.path(), Catalog::builtin(), Sources::new());
    assert!(block_on(ledger.snapshot(PAYMENTS, None)).is_ok());
    assert!(ledger.table(PAYMENTS).unwrap_err().to_string().contains("protocol version 7"));
}

#[test]
fn a_file_of_something_else_in_an_own_table_comes_last() {
    let folder = sampled();
    let root = crate::table_folder(folder.path(), PAYMENTS);
    let schema = Arc::new(Schema::new(vec![ArrowField::new("participantID", DataType::Utf8, true)]));
    ArrowWriter::try_new(File::create(root.join("0.parquet")).unwrap(), schema, None).unwrap().close().unwrap();
    commit(&root, 1, &[json!({ "add": Foreign::file("0.parquet") })]);
    let ledger = Ledger::new(folder.path(), Catalog::builtin(), Sources::new());
    let table = ledger.table(PAYMENTS).unwrap();
    assert_eq!(table.files().last().map(|f| (f.name.as_str(), f.range.is_none())), Some(("0.parquet", true)));
}
