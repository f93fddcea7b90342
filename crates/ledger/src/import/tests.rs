//! Import by cases: small files into a ledger in a temporary folder.

mod files;
mod merging;
mod model;
mod rejecting;
mod storage;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use payouts_model::{Catalog, Report, ReportName, Timestamp};
use tempfile::TempDir;

use super::block::Shape;
use super::existing::Batches;
use super::{Error, Limits, Options, Outcome, run_within, values};
use crate::{Ledger, Sources};

/// The columns of `payments`, ledger-only ones too.
const HEADER: &str = "participantID,participantIDType,participantName,programName,earned,earnedUSD,withheldTax,salesTax,serviceFeeTax,totalPayment,\
earnedCurrencyCode,paymentCurrencyCode,paymentMethod,paymentID,paymentStatus,paymentStatusDescription,paymentDate,CIReferenceNumber,payoutOrderType,\
payoutStatusUpdateTS";

/// 2024-03-01T00:00:00Z, the start of imports.
const NOW: Timestamp = Timestamp(1_709_251_200_000_000);

/// What a test row may vary; the rest is the same in all.
#[derive(Clone, Debug)]
struct Row {
    participant: String,
    program: &'static str,
    order_type: &'static str,
    method: &'static str,
    currency: &'static str,
    payment: String,
    status: &'static str,
    total: String,
    time: String,
}

/// A row of a participant with a payment id (empty: none), a total and a status time.
fn row(participant: &str, payment: &str, total: &str, time: &str) -> Row {
    Row {
        participant: participant.into(),
        program: "CSP",
        order_type: "REBATE",
        method: "Wire",
        currency: "EUR",
        payment: payment.into(),
        status: "SENT",
        total: total.into(),
        time: time.into(),
    }
}

const T1: &str = "2024-01-01T00:00:00Z";
const T2: &str = "2024-01-02T00:00:00Z";
const T3: &str = "2024-01-03T00:00:00Z";

impl Row {
    fn line(&self) -> String {
        let Self { participant, program, order_type, method, currency, payment, status, total, time } = self;
        format!(
            "{participant},MPN,\"Fabrikam, Inc.\",{program},10.00,11.00,0.00,,,{total},{currency},{currency},{method},{payment},{status},,2024-01-15,,{order_type},{time}"
        )
    }
}

fn csv(rows: &[Row]) -> String {
    let mut text = format!("{HEADER}\r\n");
    for row in rows {
        text.push_str(&row.line());
        text.push_str("\r\n");
    }
    text
}

/// A ledger in a temporary folder.
struct Place {
    folder: TempDir,
    ledger: Ledger,
    report: Arc<Report>,
    limits: Limits,
}

fn place(report: ReportName) -> Place {
    let folder = TempDir::new().unwrap();
    let catalog = Catalog::builtin();
    let report = catalog.report(report).clone();
    let ledger = Ledger::new(&folder.path().join("data"), catalog, Sources::new());
    Place { folder, ledger, report, limits: Limits::default() }
}

fn payments() -> Place {
    place(ReportName::Payments)
}

impl Place {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn options(&self, files: &[PathBuf]) -> Options {
        Options {
            report: self.report.name,
            files: files.into(),
            rejects: None,
            order_type: None,
            status_time: None,
            dry_run: false,
            now: NOW,
        }
    }

    fn run(&self, options: &Options) -> Result<Outcome, Error> {
        run_within(&self.ledger, &self.report, options, &self.limits, &|_, _| {})
    }

    fn import_text(&self, text: &str) -> Result<Outcome, Error> {
        let path = self.write("in.csv", text);
        self.run(&self.options(&[path]))
    }

    fn import(&self, rows: &[Row]) -> Outcome {
        self.import_text(&csv(rows)).unwrap()
    }

    fn root(&self) -> PathBuf {
        self.ledger.table(self.report.name).unwrap().root().to_owned()
    }

    fn file_names(&self) -> Vec<String> {
        self.ledger.table(self.report.name).unwrap().files().iter().map(|f| f.name.clone()).collect()
    }

    /// All rows in ledger order: the values of the fields, `None` for null.
    fn rows(&self) -> Vec<Vec<Option<String>>> {
        let shape = Shape::new(&self.report).unwrap();
        let mut rows = Vec::new();
        for file in self.ledger.table(self.report.name).unwrap().files() {
            for batch in Batches::open(file, &shape.schema).unwrap() {
                let batch = batch.unwrap();
                for row in 0..batch.num_rows() {
                    rows.push(
                        self.report.fields.iter().enumerate().map(|(i, f)| values::print(f, &batch, i, row)).collect(),
                    );
                }
            }
        }
        rows
    }

    /// Some fields of all rows, joined by blanks; nulls as `-`.
    fn show(&self, fields: &[&str]) -> Vec<String> {
        let indexes: Vec<usize> = fields.iter().map(|f| self.report.index_of(f).unwrap()).collect();
        let show = |row: Vec<Option<String>>| {
            indexes.iter().map(|&i| row[i].clone().unwrap_or("-".into())).collect::<Vec<_>>().join(" ")
        };
        self.rows().into_iter().map(show).collect()
    }

    /// Participant, payment id and total of all rows.
    fn brief(&self) -> Vec<String> {
        self.show(&["participantID", "paymentID", "totalPayment"])
    }

    /// The whole ledger as an export with the ledger-only columns would have it.
    fn export(&self) -> String {
        let mut text = self.report.fields.iter().map(|f| &*f.name).collect::<Vec<_>>().join(",");
        for row in self.rows() {
            text.push_str("\r\n");
            let quoted = |v: Option<String>| match v {
                None => String::new(),
                Some(v) if v.is_empty() || v.contains([',', '"', '\n', '\r']) => {
                    format!("\"{}\"", v.replace('"', "\"\""))
                }
                Some(v) => v,
            };
            text.push_str(&row.into_iter().map(quoted).collect::<Vec<_>>().join(","));
        }
        text + "\r\n"
    }
}

/// (inserted, changed, unchanged, removed, rejected)
fn counts(outcome: &Outcome) -> (u64, u64, u64, u64, u64) {
    (outcome.inserted, outcome.changed, outcome.unchanged, outcome.removed, outcome.rejected)
}

fn message(outcome: Result<Outcome, Error>) -> String {
    outcome.unwrap_err().to_string()
}

fn names_in(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
