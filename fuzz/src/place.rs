//! An empty ledger in a folder of this process, and imports into it that change nothing.
//!
//! After every import the folder is looked through: whatever the file was, nothing may be left of
//! it but the rejects that were asked for.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use payouts_ledger::import::{Error, Limits, Options, Outcome, run_within};
use payouts_ledger::{Ledger, Sources};
use payouts_model::{Catalog, Field, FieldType, Report, ReportName, Timestamp};

/// 2024-03-01T00:00:00Z, the start of imports.
const NOW: Timestamp = Timestamp(1_709_251_200_000_000);

/// What entries of packages are called that try to get out.
pub const OUTSIDE: &str = "payouts-fuzz-outside";

/// A folder with a ledger.
pub struct Place {
    folder: PathBuf,
    ledger: Ledger,
    catalog: Catalog,
    /// Every file and folder, and what each holds.
    whole: Vec<(PathBuf, u64)>,
}

/// How an import is asked for.
#[derive(Clone, Debug)]
pub struct Ask {
    pub report: ReportName,
    pub rejects: bool,
    pub order_type: bool,
    pub limits: Limits,
}

/// What became of an import.
#[derive(Debug)]
pub struct Done {
    pub outcome: Result<Outcome, Error>,
    /// The file of rejects.
    pub rejects: Option<Vec<u8>>,
}

impl Done {
    /// The rows that were counted, taken and rejected; `None` if it was refused.
    pub fn rows(&self) -> Option<u64> {
        self.outcome.as_ref().ok().map(|o| o.inserted + o.changed + o.unchanged + o.rejected)
    }

    /// The same whatever the bounds were.
    pub fn shown(&self) -> String {
        match &self.outcome {
            Ok(outcome) => format!("{outcome:?}"),
            Err(error) => error.to_string(),
        }
    }
}

impl Default for Place {
    fn default() -> Self {
        Self::new()
    }
}

impl Place {
    /// A ledger in a new folder; those of processes that are gone are cleared away.
    pub fn new() -> Self {
        // A panic that the importer takes for a damaged file is no finding; one that gets out of it
        // still is.
        std::panic::set_hook(Box::new(|_| {}));
        clear();
        let folder = std::env::temp_dir().join(format!("payouts-fuzz-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder for temporary files");
        let catalog = Catalog::builtin();
        let ledger = Ledger::new(&folder.join("data"), catalog.clone(), Sources::new());
        let mut place = Self { folder, ledger, catalog, whole: Vec::new() };
        for report in ReportName::ALL {
            let text = text(place.report(report), 3, b',');
            let ask = Ask { report, rejects: false, order_type: false, limits: Limits::default() };
            let outcome = place.import(&ask, &[text.as_slice()]).outcome.expect("plain rows");
            assert_eq!(outcome.inserted, 3);
        }
        place.whole = place.tree();
        place
    }

    pub fn report(&self, name: ReportName) -> &Arc<Report> {
        self.catalog.report(name)
    }

    /// Imports files without a commit, and checks what must hold whatever is in them.
    pub fn run(&self, ask: &Ask, files: &[&[u8]]) -> Done {
        let done = self.import(ask, files);
        assert_eq!(self.tree(), self.whole, "something is left behind");
        for outside in [std::env::temp_dir().join(OUTSIDE), Path::new("/").join(OUTSIDE)] {
            assert!(!outside.exists(), "{} got out", outside.display());
        }
        match &done.outcome {
            Ok(outcome) => {
                assert_eq!(done.rejects.is_some(), ask.rejects);
                assert!(ask.rejects || outcome.rejected == 0, "rejected, but nowhere: {outcome:?}");
                let written = done.rejects.as_ref().map_or(0, |text| super::records::rows(text, b','));
                assert_eq!(written, outcome.rejected, "as many rejects as are counted");
            }
            Err(error) => {
                assert!(done.rejects.is_none(), "rejects of an import that was refused");
                let shown = error.to_string();
                assert!((10..4000).contains(&shown.len()), "{} bytes: {shown:.200}", shown.len());
                match error {
                    Error::BadFile { file, reason } => assert!(!file.is_empty() && !reason.is_empty()),
                    Error::BadRow { line, reason, .. } => {
                        assert!(!ask.rejects && *line > 0 && !reason.is_empty(), "{error}")
                    }
                    Error::Ledger(error) => panic!("a file is to blame, not the ledger: {error:?}"),
                }
            }
        }
        done
    }

    fn import(&self, ask: &Ask, files: &[&[u8]]) -> Done {
        let rejects = self.folder.join("rejects.csv");
        let _ = std::fs::remove_file(&rejects);
        let paths: Vec<PathBuf> = (0..files.len()).map(|i| self.folder.join(format!("in-{i}"))).collect();
        for (path, bytes) in paths.iter().zip(files) {
            std::fs::write(path, bytes).expect("room for an input");
        }
        let options = Options {
            report: ask.report,
            files: paths,
            rejects: ask.rejects.then(|| rejects.clone()),
            order_type: ask.order_type.then(|| "FEE".to_owned()),
            status_time: None,
            // The ledger stays empty: reading its log would take most of every run.
            dry_run: true,
            now: NOW,
        };
        let outcome = run_within(&self.ledger, self.report(ask.report), &options, &ask.limits, &|_, _| {});
        Done { outcome, rejects: std::fs::read(&rejects).ok() }
    }

    fn tree(&self) -> Vec<(PathBuf, u64)> {
        fn walk(folder: &Path, all: &mut Vec<(PathBuf, u64)>) {
            for entry in std::fs::read_dir(folder).expect("a folder of our own") {
                let entry = entry.expect("a folder of our own");
                let metadata = entry.metadata().expect("nobody else deletes here");
                all.push((entry.path(), if metadata.is_dir() { 0 } else { metadata.len() }));
                if metadata.is_dir() {
                    walk(&entry.path(), all);
                }
            }
        }
        let mut all = Vec::new();
        walk(&self.folder, &mut all);
        let own = |path: &Path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            path.parent() == Some(&self.folder) && (name.starts_with("in-") || name == "rejects.csv")
        };
        all.retain(|(path, _)| !own(path));
        all.sort();
        all
    }
}

/// Clears the folders of processes that are gone.
fn clear() {
    let Ok(entries) = std::fs::read_dir(std::env::temp_dir()) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let process = name.strip_prefix("payouts-fuzz-").and_then(|p| p.parse::<u32>().ok());
        if process.is_some_and(|p| !Path::new(&format!("/proc/{p}")).exists()) {
            // Another one may do the same.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// A good value of a field; `number` tells rows apart.
pub fn cell(field: &Field, number: usize) -> String {
    match field.kind {
        FieldType::Id => format!("{:07}", number + 1),
        FieldType::Text => field.name.to_string(),
        FieldType::Enum => field.values.first().map_or_else(String::new, ToString::to_string),
        FieldType::Guid => format!("6a1d1f0e-7c3b-4f52-9d0a-2f6c4c1b{number:04x}"),
        FieldType::Amount | FieldType::Number => format!("{number}.25"),
        FieldType::Integer => number.to_string(),
        FieldType::Date => "2024-01-15".to_owned(),
        FieldType::Timestamp => "2024-01-02T00:00:00Z".to_owned(),
        FieldType::Boolean => "true".to_owned(),
    }
}

/// The names of the columns.
pub fn header(report: &Report, delimiter: u8) -> Vec<u8> {
    let names: Vec<&str> = report.fields.iter().map(|f| &*f.name).collect();
    let mut line = names.join(&char::from(delimiter).to_string()).into_bytes();
    line.push(b'\n');
    line
}

/// A header and good rows.
pub fn text(report: &Report, rows: usize, delimiter: u8) -> Vec<u8> {
    let mut text = header(report, delimiter);
    for row in 0..rows {
        let cells: Vec<String> = report.fields.iter().map(|f| cell(f, row)).collect();
        text.extend_from_slice(cells.join(&char::from(delimiter).to_string()).as_bytes());
        text.push(b'\n');
    }
    text
}
