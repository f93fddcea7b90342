//! Upkeep over small tables: rows in CSV go in by `import`, rows come out by snapshot.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::AsArray;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use payouts_model::report::ExtraColumn;
use payouts_model::{Catalog, FieldType, Report};
use tempfile::TempDir;

use super::*;
use crate::Sources;
use crate::import::{self, Options, Outcome};
use crate::table::{CommitNote, WriterOptions, block_on, log};

const REPORT: ReportName = ReportName::Payments;
const HEADER: &str = "participantID,participantIDType,participantName,programName,earned,earnedUSD,withheldTax,totalPayment,\
earnedCurrencyCode,paymentCurrencyCode,paymentMethod,paymentID,paymentStatus,paymentDate,payoutOrderType,payoutStatusUpdateTS";

fn day(n: i64) -> Timestamp {
    // 2024-03-01T00:00:00Z, and days from there.
    Timestamp(1_709_251_200_000_000).plus_ms(n * DAY_MS)
}

struct Place {
    folder: TempDir,
    ledger: Ledger,
    report: Arc<Report>,
}

fn place() -> Place {
    let folder = TempDir::new().unwrap();
    let catalog = Catalog::builtin();
    let report = catalog.report(REPORT).clone();
    Place { ledger: Ledger::new(folder.path(), catalog, Sources::new()), report, folder }
}

impl Place {
    fn table(&self) -> Table {
        self.ledger.table(REPORT).unwrap()
    }

    /// Imports one payment per (participant, payment, total), all of the same day.
    fn import(&self, rows: &[(&str, &str, &str)], now: Timestamp) -> Outcome {
        let mut text = format!("{HEADER}\r\n");
        for (who, payment, total) in rows {
            let time = now.to_string();
            text.push_str(&format!(
                "{who},MPN,Fabrikam,CSP,1.00,1.00,0.00,{total},EUR,EUR,Wire,{payment},SENT,2024-01-15,REBATE,{time}\r\n"
            ));
        }
        let file = self.folder.path().join("rows.csv");
        std::fs::write(&file, text).unwrap();
        let options = Options {
            report: REPORT,
            files: vec![file],
            rejects: None,
            order_type: None,
            status_time: None,
            dry_run: false,
            now,
        };
        import::run(&self.ledger, &self.report, &options, &|_, _| {}).unwrap()
    }

    /// Rows of a version as participant, payment and total, in ledger order.
    async fn rows(&self, version: Option<u64>) -> Vec<String> {
        let snapshot = self.ledger.snapshot(REPORT, version).await.unwrap();
        let mut rows = Vec::new();
        for file in &snapshot.files {
            let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&file.path).unwrap()).unwrap();
            for batch in reader.build().unwrap() {
                let batch = batch.unwrap();
                let text = |name: &str| batch.column_by_name(name).unwrap().as_string::<i32>().clone();
                let (who, payment) = (text("participantID"), text("paymentID"));
                let total = batch.column_by_name("totalPayment").unwrap();
                let total = total.as_primitive::<arrow::datatypes::Decimal128Type>();
                rows.extend((0..batch.num_rows()).map(|i| {
                    format!("{} {} {}", who.value(i), payment.value(i), payouts_model::Amount(total.value(i)))
                }));
            }
        }
        rows
    }

    /// Cuts the newest version into files of so many rows, as many small imports would.
    fn cut(&self, rows_per_file: u64) {
        let table = self.table();
        let mut adds = Vec::new();
        let mut writer = table.writer(WriterOptions { rows_per_file, ..WriterOptions::unique() }).unwrap();
        for file in table.files() {
            for batch in import::existing::Batches::open(file, &schema()).unwrap() {
                writer.write(&batch.unwrap()).unwrap();
            }
        }
        adds.extend(writer.finish().unwrap());
        let note = CommitNote { operation: "WRITE".into(), properties: vec![], now: day(1) };
        table.commit(table.files(), &adds, &note).unwrap();
    }

    /// Makes every file of the table, its log's too, as old as this.
    fn age(&self, at: Timestamp) {
        let mut all: Vec<PathBuf> = Vec::new();
        for folder in [self.table().root().to_path_buf(), self.table().root().join("_delta_log")] {
            all.extend(std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).filter(|p| p.is_file()));
        }
        for path in all {
            aged(&path, at);
        }
    }
}

fn schema() -> arrow::datatypes::SchemaRef {
    crate::table::schema(Catalog::builtin().report(REPORT))
}

fn aged(path: &Path, at: Timestamp) {
    let at = std::time::UNIX_EPOCH + std::time::Duration::from_micros(at.0 as u64);
    File::options().write(true).open(path).unwrap().set_modified(at).unwrap();
}

fn none() -> Result<BTreeSet<u64>, Error> {
    Ok(BTreeSet::new())
}

/// What delta-rs, as a reader of its own, says are the files of the newest version.
fn files_by_delta_rs(root: &Path) -> (u64, BTreeSet<String>) {
    let url = url::Url::from_directory_path(root).unwrap();
    block_on(async {
        let table = deltalake_core::DeltaTableBuilder::from_url(url)?.load().await?;
        let uris: Vec<String> = table.get_file_uris()?.collect();
        let name = |uri: &String| uri.rsplit('/').next().unwrap_or_default().to_owned();
        Ok((table.version().unwrap_or_default(), uris.iter().map(name).collect()))
    })
    .unwrap()
}

fn names(table: &Table) -> BTreeSet<String> {
    table.files().iter().map(|f| f.name.clone()).collect()
}

#[tokio::test]
async fn a_wrong_import_is_undone_and_the_next_one_goes_on_from_there() {
    let place = place();
    place.import(&[("1", "11", "5"), ("2", "21", "6")], day(0));
    let good = place.rows(None).await;
    place.import(&[("1", "11", "999"), ("3", "31", "7")], day(1));
    assert_eq!(place.rows(None).await, ["1 11 999.00", "2 21 6.00", "3 31 7.00"]);

    assert_eq!(restore(&place.ledger, REPORT, 0, day(2)).unwrap(), Some(2));
    assert_eq!(place.rows(None).await, good);
    assert_eq!(place.rows(Some(1)).await.len(), 3, "the wrong version stays readable");
    assert_eq!(files_by_delta_rs(place.table().root()), (2, names(&place.table())));
    let snapshot = place.ledger.snapshot(REPORT, None).await.unwrap();
    assert_eq!(snapshot.data_as_of, day(0), "its data are those of the first import");
    assert!(
        snapshot.files.iter().all(|f| f.rows.is_some() && f.hints.marks.is_some()),
        "statistics and marks came back"
    );
    assert_eq!(restore(&place.ledger, REPORT, 0, day(2)).unwrap(), None, "the same content is no new version");
    assert_eq!(restore(&place.ledger, REPORT, 2, day(2)).unwrap(), None);

    let outcome = place.import(&[("1", "11", "8"), ("2", "21", "6")], day(3));
    // The newer status time alone is a change.
    assert_eq!((outcome.inserted, outcome.changed, outcome.unchanged), (0, 2, 0));
    assert_eq!(place.rows(None).await, ["1 11 8.00", "2 21 6.00"]);
    assert_eq!(restore(&place.ledger, REPORT, 1, day(4)).unwrap(), Some(4), "forward again");
    assert_eq!(place.rows(None).await, ["1 11 999.00", "2 21 6.00", "3 31 7.00"]);
    let told = history(&place.ledger, REPORT).unwrap();
    let brief: Vec<_> =
        told.iter().map(|v| (v.version, v.operation.as_str(), v.restored, v.rows, v.readable)).collect();
    assert_eq!(
        brief,
        [
            (0, "WRITE", None, Some(2), true),
            (1, "MERGE", None, Some(3), true),
            (2, "RESTORE", Some(0), Some(2), true),
            (3, "MERGE", None, Some(2), true),
            (4, "RESTORE", Some(1), Some(3), true),
        ]
    );
    assert_eq!((told[1].rows_added, told[1].rows_removed, told[1].files_removed), (Some(3), Some(2), 1));
}

#[test]
fn what_cannot_be_restored_is_refused_and_nothing_changes() {
    let place = place();
    assert!(matches!(restore(&place.ledger, REPORT, 0, day(0)), Err(Error::Missing { .. })));
    place.import(&[("1", "11", "5")], day(0));
    place.import(&[("1", "11", "6")], day(1));
    let refused = |version| restore(&place.ledger, REPORT, version, day(2)).unwrap_err().to_string();
    assert!(refused(9).contains("no version 9: the newest is 1"), "{}", refused(9));
    let first = history(&place.ledger, REPORT).unwrap();
    assert!(first[0].readable);
    let old = Table::open(place.table().root(), &place.report).unwrap();
    let state = block_on(log::load(old.root(), REPORT, 0)).unwrap();
    let path = &state.files[0].file.path;
    let bytes = std::fs::read(path).unwrap();
    std::fs::write(path, &bytes[..bytes.len() - 1]).unwrap();
    assert!(refused(0).contains("1 of its 1 files are gone or torn"), "{}", refused(0));
    std::fs::remove_file(path).unwrap();
    assert!(refused(0).contains("ledger history"), "{}", refused(0));
    assert!(!history(&place.ledger, REPORT).unwrap()[0].readable);
    assert_eq!(place.table().version(), Some(1));
}

#[tokio::test]
async fn small_files_are_joined_and_every_row_stays_in_its_place() {
    let place = place();
    let texts: Vec<String> = (100..400).map(|i| i.to_string()).collect();
    let rows: Vec<(&str, &str, &str)> = texts.iter().map(|t| (t.as_str(), "7", t.as_str())).collect();
    place.import(&rows, day(0));
    place.cut(10);
    let before = place.rows(None).await;
    let as_of = place.ledger.snapshot(REPORT, None).await.unwrap().data_as_of;
    assert_eq!((place.table().files().len(), before.len()), (30, 300));
    let done = optimise(&place.ledger, &place.report, day(5)).unwrap();
    assert_eq!(done, Optimised { version: Some(2), files_removed: 30, files_added: 1, rows: 300, files: 1 });
    assert_eq!(place.rows(None).await, before);
    assert_eq!(place.rows(Some(1)).await, before, "the old version stays as it was");
    let snapshot = place.ledger.snapshot(REPORT, None).await.unwrap();
    assert_eq!(snapshot.data_as_of, as_of, "no data have changed");
    assert!(snapshot.files[0].hints.marks.as_ref().unwrap().fit(300));
    assert_eq!(files_by_delta_rs(place.table().root()), (2, names(&place.table())));
    assert_eq!(optimise(&place.ledger, &place.report, day(6)).unwrap().version, None, "nothing is left to join");
    assert_eq!(restore(&place.ledger, REPORT, 1, day(6)).unwrap(), None, "it has those rows already");
    // An import finds its rows in the joined file.
    let outcome = place.import(&[("250", "7", "1"), ("251", "7", "251")], day(7));
    // The newer status time alone is a change.
    assert_eq!((outcome.inserted, outcome.changed, outcome.unchanged), (0, 2, 0));
    assert_eq!(place.rows(None).await.len(), 300);
}

#[test]
fn columns_that_the_configuration_does_not_name_are_not_lost() {
    let place = place();
    place.import(&[("1", "11", "5"), ("2", "21", "5")], day(0));
    let extra = ExtraColumn {
        name: "costCentre".into(),
        kind: FieldType::Text,
        currency: None,
        in_file: true,
        values: vec![],
        meaning: String::new(),
        in_form: false,
    };
    let catalog = Catalog::with(&[(REPORT, vec![extra])].into(), &Default::default()).unwrap();
    let with_column = Ledger::new(place.folder.path(), catalog.clone(), Sources::new());
    let table = with_column.table(REPORT).unwrap();
    let note = CommitNote { operation: "WRITE".into(), properties: vec![], now: day(1) };
    table.commit(&[], &[], &note).unwrap();
    place.cut(1);
    let error = optimise(&place.ledger, &place.report, day(2)).unwrap_err().to_string();
    assert!(error.contains("costCentre") && error.contains("--config"), "{error}");
    assert!(optimise(&with_column, catalog.report(REPORT), day(2)).unwrap().version.is_some());
}

#[test]
fn a_conflicting_commit_changes_nothing() {
    let place = place();
    place.import(&[("1", "11", "5"), ("2", "21", "5")], day(0));
    place.cut(1);
    // Something that takes no lock commits while this one is at work.
    let table = place.table();
    let note = CommitNote { operation: "WRITE".into(), properties: vec![], now: day(1) };
    table.commit(&[], &[], &note).unwrap();
    assert!(matches!(table.commit_layout(table.files(), &[], &note), Err(Error::Conflict { version: 2, .. })));
    assert_eq!(place.table().files().len(), 2);
}

#[tokio::test]
async fn a_vacuum_spares_what_is_young_named_or_in_use() {
    let place = place();
    for (n, total) in ["5", "6", "7", "8"].into_iter().enumerate() {
        place.import(&[("1", "11", total)], day(n as i64));
    }
    place.age(day(0));
    let lost = |days: u32, spared: &[u64], now: Timestamp, dry_run: bool| {
        let spared: BTreeSet<u64> = spared.iter().copied().collect();
        let done = vacuum(&place.ledger, REPORT, days, &|| Ok(spared.clone()), dry_run, now).unwrap();
        (done.versions_lost, done.files.len())
    };
    for (n, version) in (0..4).zip(0..) {
        let path = place.table().root().join(format!("_delta_log/{version:020}.json"));
        aged(&path, day(n));
    }
    assert_eq!(
        lost(0, &[], day(8), true),
        (vec![], 0),
        "seven days are kept whatever is asked: version 0 ended at day 1"
    );
    assert_eq!(lost(7, &[], day(9), true), (vec![0], 1));
    assert_eq!(lost(30, &[], day(9), true), (vec![], 0));
    assert_eq!(lost(7, &[0], day(400), false), (vec![1, 2], 2), "an export still reads version 0");
    assert_eq!(place.rows(Some(0)).await, ["1 11 5.00"]);
    assert!(matches!(place.ledger.snapshot(REPORT, Some(1)).await, Err(Error::VersionGone { .. })));
    assert_eq!(lost(7, &[], day(400), false), (vec![0], 1));
    assert_eq!(place.rows(None).await, ["1 11 8.00"], "the newest version is never touched");
    assert_eq!(lost(7, &[], day(9000), false), (vec![], 0));
    let readable: Vec<bool> = history(&place.ledger, REPORT).unwrap().iter().map(|v| v.readable).collect();
    assert_eq!(readable, [false, false, false, true]);
    assert_eq!(files_by_delta_rs(place.table().root()), (3, names(&place.table())));
}

#[test]
fn a_vacuum_that_cannot_know_deletes_nothing() {
    let place = place();
    for (n, total) in ["5", "6", "7"].into_iter().enumerate() {
        place.import(&[("1", "11", total)], day(n as i64));
    }
    place.age(day(2));
    let log = place.table().root().join("_delta_log");
    let count = || std::fs::read_dir(place.table().root()).unwrap().count();
    let before = count();
    block_on(log::checkpoint(place.table().root(), 1)).unwrap();
    std::fs::remove_file(log.join(format!("{:020}.json", 0))).unwrap();
    let error = vacuum(&place.ledger, REPORT, 7, &|| Ok([0].into()), false, day(400)).unwrap_err().to_string();
    assert!(error.contains("version 0") && error.contains("nothing was deleted"), "{error}");
    let error = vacuum(&place.ledger, REPORT, 7, &none, false, day(3)).unwrap_err().to_string();
    assert!(error.contains("nothing was deleted"), "{error}");
    let failing = || Err(Error::Invalid("the store is out of reach".into()));
    assert!(vacuum(&place.ledger, REPORT, 7, &failing, false, day(400)).is_err());
    assert_eq!(count(), before);
    assert!(history(&place.ledger, REPORT).unwrap().iter().map(|v| v.version).eq([2]));
}
