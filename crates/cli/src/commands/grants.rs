//! `payouts grants`: the list of grants as CSV, and the way back.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::{Args as ClapArgs, Subcommand};
use payouts_model::Grant;
use payouts_store::Store as _;

use crate::console;
use crate::data::{self, GRANT_COLUMNS, GlobalDataArgs};
use crate::failure::{Context, Failure};

const EXAMPLES: &str = "\
Examples
  payouts grants --data ./data > grants.csv
  payouts grants --data ./data apply grants.csv --dry-run
  payouts grants --data ./data apply grants.csv

The columns are tenant,principal,participant,program,role,until; * means all, an empty until means
until revoked.";

/// List all grants as CSV, or make them exactly those of a CSV file
#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = false, subcommand_negates_reqs = true)]
pub struct Args {
    #[command(flatten)]
    data: GlobalDataArgs,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make the grants exactly those of a file: what it lacks is revoked, each change is printed
    Apply {
        /// A list as `payouts grants` prints it
        #[arg(value_name = "FILE.csv")]
        file: PathBuf,
        /// Print the changes and make none
        #[arg(long)]
        dry_run: bool,
    },
}

/// Lists or applies.
pub fn run(args: Args) -> Result<(), Failure> {
    let data_dir = args.data.config()?.data_dir;
    data::runtime()?.block_on(async {
        let store = data::store(&data_dir).await?;
        let current = store.grants().await.context("cannot read the grants")?;
        match args.action {
            None => console::print(&format!("{}\n{}", GRANT_COLUMNS.join(","), data::grants_csv(&current)?)),
            Some(Action::Apply { file, dry_run }) => {
                let wanted = read(&file)?;
                let (current, wanted) = (BTreeSet::from_iter(current), BTreeSet::from_iter(wanted));
                print_changes(&current, &wanted)?;
                let (added, removed) =
                    (wanted.difference(&current).count() as u64, current.difference(&wanted).count() as u64);
                let summary =
                    format!("{} added, {} removed, {} kept", added, removed, current.intersection(&wanted).count());
                if dry_run {
                    eprintln!("dry run, nothing was changed: {summary}");
                } else {
                    let wanted: Vec<Grant> = wanted.into_iter().collect();
                    store.apply_grants(&wanted, &data::by()).await.context("the grants are as they were")?;
                    eprintln!("{summary}");
                }
                Ok(())
            }
        }
    })
}

fn print_changes(current: &BTreeSet<Grant>, wanted: &BTreeSet<Grant>) -> Result<(), Failure> {
    let lines = |sign: char, grants: Vec<&Grant>| -> Result<String, Failure> {
        Ok(data::grants_csv(grants)?.lines().map(|line| format!("{sign},{line}\n")).collect())
    };
    let removed = lines('-', current.difference(wanted).collect())?;
    let added = lines('+', wanted.difference(current).collect())?;
    console::print(&format!("{removed}{added}"))
}

/// Reads a list; an error names the line.
fn read(file: &Path) -> Result<Vec<Grant>, Failure> {
    let refused = |reason: String| {
        Failure::usage(format!("{}: {reason}", file.display()))
            .try_this("nothing was changed. `payouts grants` prints a list as it should be")
    };
    let text = std::fs::read_to_string(file)
        .map_err(|e| Failure::usage(format!("cannot read {}", file.display())).because(e))?;
    let mut reader =
        csv::ReaderBuilder::new().flexible(true).from_reader(text.trim_start_matches('\u{feff}').as_bytes());
    let header = reader.headers().map_err(|e| refused(e.to_string()))?.clone();
    let mut places = [0; 6];
    for (place, name) in places.iter_mut().zip(GRANT_COLUMNS) {
        *place = header.iter().position(|h| h.trim().eq_ignore_ascii_case(name)).ok_or_else(|| {
            refused(format!("the header row lacks the column '{name}': it must have {}", GRANT_COLUMNS.join(",")))
        })?;
    }
    let mut grants = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|e| refused(e.to_string()))?;
        let line = record.position().map_or(0, csv::Position::line);
        if record.len() != header.len() {
            return Err(refused(format!("line {line} has {} values, the header has {}", record.len(), header.len())));
        }
        let row = places.map(|place| &record[place]);
        grants.push(data::grant_of_row(&row).map_err(|e| refused(format!("line {line}: {e}")))?);
    }
    Ok(grants)
}
