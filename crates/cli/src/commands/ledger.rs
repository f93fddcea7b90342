//! `payouts ledger`: the versions of the own tables, and what is done with them.

use std::collections::BTreeSet;

use clap::{Args as ClapArgs, Subcommand};
use payouts_ledger::upkeep::{self, Optimised, VACUUM_DAYS_MIN, VersionInfo};
use payouts_ledger::{Error, Ledger};
use payouts_model::ReportName;
use payouts_service::Config;
use payouts_store::Store as _;
use payouts_store::audit::{LedgerOperation, LedgerRows};

use crate::console;
use crate::data::{self, GlobalDataArgs};
use crate::failure::{Context as _, Failure};
use crate::ledger_change::LedgerChange;

const EXAMPLES: &str = "\
Examples
  payouts ledger history payments --data ./data
  payouts ledger restore payments --version 3 --data ./data
  payouts ledger optimise payments --data ./data
  payouts ledger vacuum payments --data ./data --dry-run

Every change is one commit, or none: a running service goes on, and imports wait for it. Exports
that have begun read the version that they began with.";

/// Look after the ledger: its history, undoing an import, fewer files, deleting old ones
#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    data: GlobalDataArgs,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the versions of a report's table: when, what was done, files and rows, whether readable
    History {
        /// Which report: payments or transactionhistory
        #[arg(value_name = "REPORT")]
        report: ReportName,
        /// Print JSON, one object per version
        #[arg(long)]
        json: bool,
    },
    /// Undo imports: make a new version with the rows of an earlier one
    Restore {
        /// Which report: payments or transactionhistory
        #[arg(value_name = "REPORT")]
        report: ReportName,
        /// The version whose rows come back
        #[arg(long, value_name = "N")]
        version: u64,
    },
    /// Join small files; rows, their order and exports stay as they are
    Optimise {
        /// Which report: payments or transactionhistory
        #[arg(value_name = "REPORT")]
        report: ReportName,
    },
    /// Delete files that only old versions have; those can then not be read or restored any more
    Vacuum {
        /// Which report: payments or transactionhistory
        #[arg(value_name = "REPORT")]
        report: ReportName,
        /// Keep every version that was the newest within so many days, 7 or more [default:
        /// retention.version_days]
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(i64::from(VACUUM_DAYS_MIN)..=100_000))]
        older_than: Option<u32>,
        /// Say what would go, and delete nothing
        #[arg(long)]
        dry_run: bool,
    },
}

/// Does one of them.
pub fn run(args: Args) -> Result<(), Failure> {
    let config = args.data.config()?;
    let ledger = config.ledger()?;
    match args.action {
        Action::History { report, json } => history(&ledger, report, json),
        Action::Restore { report, version } => restore(&config, &ledger, report, version),
        Action::Optimise { report } => optimise(&config, &ledger, report),
        Action::Vacuum { report, older_than, dry_run } => vacuum(&config, &ledger, report, older_than, dry_run),
    }
}

fn history(ledger: &Ledger, report: ReportName, json: bool) -> Result<(), Failure> {
    let versions = upkeep::history(ledger, report).context("the history cannot be read")?;
    if json {
        let lines: Vec<String> = versions.iter().map(|v| format!("{}\n", version_json(v))).collect();
        return console::print(&lines.concat());
    }
    let or_unknown = |rows: Option<u64>| rows.map_or_else(|| "?".into(), console::grouped);
    let change = |added: String, removed: String| match (added.as_str(), removed.as_str()) {
        (_, "0") => format!("+{added}"),
        ("0", _) => format!("-{removed}"),
        _ => format!("+{added} -{removed}"),
    };
    let rows: Vec<Vec<String>> = versions
        .iter()
        .rev()
        .map(|v| {
            vec![
                v.version.to_string(),
                v.at.to_string(),
                v.restored.map_or_else(|| v.operation.clone(), |of| format!("{} of {of}", v.operation)),
                change(console::grouped(v.files_added), console::grouped(v.files_removed)),
                change(or_unknown(v.rows_added), or_unknown(v.rows_removed)),
                console::grouped(v.files),
                or_unknown(v.rows),
                console::size(v.size_bytes),
                if v.readable { "yes" } else { "no" }.into(),
            ]
        })
        .collect();
    let header = ["version", "time", "operation", "files", "rows", "files then", "rows then", "size", "readable"];
    console::print(&format!("{}\n", console::table(&header, &rows, &[0, 3, 4, 5, 6, 7])))
}

fn version_json(v: &VersionInfo) -> serde_json::Value {
    let VersionInfo {
        version,
        at,
        operation,
        restored,
        files_added,
        rows_added,
        files_removed,
        rows_removed,
        files,
        rows,
        size_bytes,
        readable,
        properties,
    } = v;
    let properties: serde_json::Map<String, serde_json::Value> =
        properties.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
    serde_json::json!({
        "version": version,
        "time": at.to_string(),
        "operation": operation,
        "restoredVersion": restored,
        "filesAdded": files_added,
        "rowsAdded": rows_added,
        "filesRemoved": files_removed,
        "rowsRemoved": rows_removed,
        "files": files,
        "rows": rows,
        "bytes": size_bytes,
        "readable": readable,
        "properties": properties,
    })
}

/// Does what changes the ledger, with a record of its start and of its end.
fn recorded<T>(
    config: &Config,
    operation: LedgerOperation,
    report: ReportName,
    work: impl FnOnce() -> Result<(T, Option<u64>), Failure>,
) -> Result<T, Failure> {
    let change = LedgerChange::begin(&config.data_dir, operation, &[report], &[])?;
    match work() {
        Ok((done, version)) => change.end(version, LedgerRows::default()).map(|()| done),
        Err(failure) => {
            change.fail();
            Err(failure)
        }
    }
}

fn restore(config: &Config, ledger: &Ledger, report: ReportName, version: u64) -> Result<(), Failure> {
    // Before anything is recorded: a table that is not there, or not our own.
    upkeep::history(ledger, report).map_err(unchanged)?;
    let restored = recorded(config, LedgerOperation::Restore, report, || {
        let new = upkeep::restore(ledger, report, version, data::now()).map_err(unchanged)?;
        Ok((new, new))
    })?;
    match restored {
        Some(new) => eprintln!(
            "{report} is at version {new} now, with the rows of version {version}; exports that start from here on see it"
        ),
        None => eprintln!("{report} has the rows of version {version} already: no new version"),
    }
    Ok(())
}

fn optimise(config: &Config, ledger: &Ledger, report: ReportName) -> Result<(), Failure> {
    let catalog = config.catalog()?;
    upkeep::history(ledger, report).map_err(unchanged)?;
    let done = recorded(config, LedgerOperation::Optimise, report, || {
        let done = upkeep::optimise(ledger, catalog.report(report), data::now()).map_err(unchanged)?;
        Ok((done, done.version))
    })?;
    let Optimised { version, files_removed, files_added, rows, files } = done;
    match version {
        Some(version) => eprintln!(
            "{report} is at version {version} now: {} joined into {} ({}), {} in all",
            console::count(files_removed, "file", "files"),
            console::grouped(files_added),
            console::count(rows, "row", "rows"),
            console::count(files, "file", "files"),
        ),
        None => eprintln!(
            "{report} has no small files beside each other ({}): no new version",
            console::count(files, "file", "files")
        ),
    }
    Ok(())
}

fn vacuum(
    config: &Config,
    ledger: &Ledger,
    report: ReportName,
    older_than: Option<u32>,
    dry_run: bool,
) -> Result<(), Failure> {
    let days = older_than.unwrap_or_else(|| u32::try_from(config.retention.version_days).unwrap_or(u32::MAX));
    let runtime = data::runtime()?;
    let store = runtime.block_on(data::store_to_read(config))?;
    let spared = || match &store {
        None => Ok(BTreeSet::new()),
        Some(store) => runtime
            .block_on(store.versions_in_use(report, data::now()))
            .map_err(|e| Error::Invalid(format!("cannot ask which versions exports need: {e}"))),
    };
    upkeep::history(ledger, report).map_err(unchanged)?;
    let clear = || {
        let done = upkeep::vacuum(ledger, report, days, &spared, dry_run, data::now());
        done.context("the files were not cleared to the end; run it again")
    };
    let done = match dry_run {
        true => clear()?,
        false => recorded(config, LedgerOperation::Vacuum, report, || Ok((clear()?, None)))?,
    };
    let listed: Vec<String> = done.files.iter().map(|(name, bytes)| format!("{bytes}\t{name}\n")).collect();
    console::print(&listed.concat())?;
    eprintln!(
        "{}{report}: {}, {}; versions that can no longer be read: {}",
        if dry_run { "dry run, nothing was deleted: " } else { "" },
        console::count(done.files.len() as u64, "file", "files"),
        console::size(done.bytes()),
        versions(&done.versions_lost),
    );
    Ok(())
}

/// `none`, `1, 2, 5`, or how many from which to which.
fn versions(list: &[u64]) -> String {
    let texts: Vec<String> = list.iter().map(u64::to_string).collect();
    match list.len() {
        0 => "none".into(),
        n if n > 20 => format!("{n}, from {} to {}", texts[0], texts[n - 1]),
        _ => texts.join(", "),
    }
}

fn unchanged(error: Error) -> Failure {
    Failure::new("nothing was changed").because(error)
}
