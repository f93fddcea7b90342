//! Whether a table is whole: its log without gaps, its files there and readable. Reads only; also of
//! tables that something else writes.

use std::path::Path;

use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use payouts_model::ReportName;

use crate::table::{TableFile, log};
use crate::{Error, Ledger};

/// Something wrong with a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What, and where.
    pub what: String,
    /// What to do.
    pub mend: String,
}

/// Examines a report's table; nothing if there is none. With `deep` every row is read and decoded.
/// Blocks.
pub fn examine(ledger: &Ledger, report: ReportName, deep: bool) -> Result<Vec<Problem>, Error> {
    let root = ledger.folder(report)?;
    let mut problems = Vec::new();
    let Some(newest) = log::newest_version(&root)? else { return Ok(problems) };
    let own = !ledger.sources.contains_key(&report);
    examine_log(&root, report, newest, own, &mut problems);
    let state = match crate::table::block_on(log::load(&root, report, newest)) {
        Ok(state) => state,
        Err(error) => {
            problems.push(Problem {
                what: format!("version {newest} of {report} cannot be read: {}", chain(&error)),
                mend: format!("restore {} from a backup", root.join("_delta_log").display()),
            });
            return Ok(problems);
        }
    };
    for file in &state.files {
        if let Some(what) = broken(&file.file, deep) {
            problems.push(Problem {
                what: format!("{report}, version {newest}: {what}"),
                mend: format!(
                    "restore {} from a backup, or go back with `payouts ledger restore {report} --version N`",
                    file.file.path.display()
                ),
            });
        }
    }
    for pair in state.files.windows(2).filter(|_| own) {
        let (Some(a), Some(b)) = (&pair[0].file.range, &pair[1].file.range) else { continue };
        if a.last >= b.first {
            problems.push(Problem {
                what: format!("{report}: the keys of {} and {} overlap", pair[0].file.name, pair[1].file.name),
                mend: "go back to a version before that with `payouts ledger restore`, and import again".into(),
            });
        }
    }
    Ok(problems)
}

fn examine_log(root: &Path, report: ReportName, newest: u64, own: bool, problems: &mut Vec<Problem>) {
    let folder = root.join("_delta_log");
    let mend = || format!("restore the file in {} from a backup", folder.display());
    let mut oldest_seen = false;
    for version in 0..=newest {
        match log::commit(root, version) {
            Ok(Some(_)) => oldest_seen = true,
            // What other systems write may have had its oldest commits cleared.
            Ok(None) if !own && !oldest_seen => {}
            Ok(None) => problems.push(Problem {
                what: format!("the log of {report} has a gap: the commit of version {version} is missing"),
                mend: mend(),
            }),
            Err(error) => problems.push(Problem {
                what: format!("the commit of version {version} of {report} is torn: {}", chain(&error)),
                mend: mend(),
            }),
        }
    }
}

/// What is wrong with a file, if anything.
fn broken(file: &TableFile, deep: bool) -> Option<String> {
    let name = &file.name;
    match std::fs::metadata(&file.path) {
        Err(error) => return Some(format!("file {name} is missing: {error}")),
        Ok(found) if found.len() != file.size_bytes => {
            return Some(format!("file {name} has {} bytes, the log says {}", found.len(), file.size_bytes));
        }
        Ok(_) => {}
    }
    let rows = match read(file, deep) {
        Ok(rows) => rows,
        Err(error) => return Some(format!("file {name} is torn: {}", chain(&error))),
    };
    let told = file.rows.unwrap_or(rows);
    (rows != told).then(|| format!("file {name} has {rows} rows, the log says {told}"))
}

/// The rows of a file: as its footer says, or counted.
fn read(file: &TableFile, deep: bool) -> Result<u64, Error> {
    let opened = std::fs::File::open(&file.path)
        .map_err(|source| Error::Io { context: format!("open {}", file.path.display()), source })?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(opened)?;
    if !deep {
        return Ok(builder.metadata().file_metadata().num_rows().unsigned_abs());
    }
    let mut rows = 0;
    for batch in builder.build()? {
        rows += batch?.num_rows() as u64;
    }
    Ok(rows)
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}
