//! `payouts import`: files into the ledger, one commit.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use payouts_ledger::import::{self, Options, Outcome};
use payouts_model::report::FieldRole;
use payouts_model::{Report, ReportName, Timestamp};
use payouts_store::audit::{LedgerOperation, LedgerRows};

use crate::console::{self, Unit};
use crate::data::{self, DataArgs};
use crate::failure::Failure;
use crate::ledger_change::LedgerChange;

const EXAMPLES: &str = "\
Examples
  payouts import payments payments.csv --data ./data --order-type REBATE
  payouts import transactionhistory 2026/*.csv.gz --data ./data --rejects bad-rows.csv
  payouts import payments export.zip --data ./data --dry-run

Files are CSV, TSV or Parquet, plain, gzip or zip, in the export's own layout or the older published
one; headers match ignoring case, blanks and underscores. Rows are merged by key, the newer status
time wins. One import is one commit: exports see all of it or nothing. The same file again changes
nothing. A bad row stops the import and nothing is changed; with --rejects the good rows go in.";

/// Read payments or earnings from CSV, TSV or Parquet files into the ledger
#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Into which report: payments or transactionhistory
    #[arg(value_name = "REPORT")]
    report: ReportName,
    /// The files
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    data: DataArgs,
    /// Write bad rows with their reasons into this file, and import the good ones
    #[arg(long, value_name = "FILE")]
    rejects: Option<PathBuf>,
    /// The order type of rows that do not say theirs: REBATE, COOP, FEE or SELL
    #[arg(long, value_name = "T")]
    order_type: Option<String>,
    /// The status time of rows that do not say theirs [default: the start of the import]
    #[arg(long, value_name = "INSTANT", value_parser = data::instant)]
    status_time: Option<Timestamp>,
    /// Do everything but the commit
    #[arg(long)]
    dry_run: bool,
}

/// Imports and reports.
pub fn run(args: Args) -> Result<(), Failure> {
    let config = args.data.config()?;
    let (catalog, ledger) = (config.catalog()?, config.ledger()?);
    check(&args, catalog.report(args.report))?;
    let options = Options {
        report: args.report,
        files: args.files,
        rejects: args.rejects,
        order_type: args.order_type,
        status_time: args.status_time,
        dry_run: args.dry_run,
        now: data::now(),
    };
    let change = match options.dry_run {
        true => None,
        false => {
            Some(LedgerChange::begin(&config.data_dir, LedgerOperation::Import, &[options.report], &options.files)?)
        }
    };
    let bar = console::progress(&format!("importing {}", args.report), None, Unit::Bytes);
    let progress = |done: u64, all: u64| {
        if bar.length() != Some(all) {
            bar.set_length(all);
            console::set_style(&bar, true, Unit::Bytes);
        }
        bar.set_position(done);
    };
    let outcome = import::run(&ledger, catalog.report(args.report), &options, &progress);
    bar.finish_and_clear();
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(error) => {
            change.into_iter().for_each(LedgerChange::fail);
            return Err(explain(error, options.rejects.is_some()));
        }
    };
    report(&options, &outcome);
    let Outcome { inserted, changed, unchanged, removed, rejected, version, sums: _ } = outcome;
    if let Some(change) = change {
        change.end(version, LedgerRows { inserted, changed, unchanged, removed, rejected })?;
    }
    if rejected > 0 && inserted + changed + unchanged + removed == 0 {
        return Err(Failure::new("every row was rejected, so nothing was imported"));
    }
    Ok(())
}

/// What the command line names must be there, before anything is read.
fn check(args: &Args, report: &Report) -> Result<(), Failure> {
    for file in &args.files {
        std::fs::File::open(file)
            .map_err(|e| Failure::usage(format!("nothing was imported: cannot read {}", file.display())).because(e))?;
    }
    let field = &report.fields[report.role(FieldRole::OrderType)];
    if let Some(text) = &args.order_type
        && !field.values.iter().any(|value| value.eq_ignore_ascii_case(text))
    {
        let values: Vec<&str> = field.values.iter().map(|v| v.as_ref()).collect();
        let message = format!("nothing was imported: --order-type {text} is none of {}", values.join(", "));
        return Err(Failure::usage(message));
    }
    Ok(())
}

fn explain(error: import::Error, with_rejects: bool) -> Failure {
    let bad_row = matches!(error, import::Error::BadRow { .. });
    let failure = Failure::new("nothing was imported").because(error);
    match (bad_row, with_rejects) {
        (true, false) => {
            failure.try_this("correct the row, or give --rejects FILE to import the good rows and collect the bad ones")
        }
        _ => failure,
    }
}

fn report(options: &Options, outcome: &Outcome) {
    let Outcome { inserted, changed, unchanged, removed, rejected, sums, version } = outcome;
    let shown = console::grouped;
    eprintln!(
        "{}: {} inserted, {} changed, {} unchanged, {} removed, {} rejected",
        options.report,
        shown(*inserted),
        shown(*changed),
        shown(*unchanged),
        shown(*removed),
        shown(*rejected)
    );
    let rows: Vec<Vec<String>> = sums
        .iter()
        .map(|(currency, before, after)| {
            let amount = |a: &payouts_model::Amount| console::grouped_text(&a.to_string());
            vec![currency.clone(), amount(before), amount(after)]
        })
        .collect();
    if !rows.is_empty() {
        eprintln!("{}", console::table(&["currency", "sum before", "sum after"], &rows, &[1, 2]));
    }
    if let (Some(path), true) = (&options.rejects, *rejected > 0) {
        eprintln!("the rejected rows and why: {}", path.display());
    }
    match (version, options.dry_run) {
        (_, true) => eprintln!("dry run: nothing was changed"),
        (Some(version), false) => {
            eprintln!("the ledger is at version {version} now; exports that start from here on see it")
        }
        (None, false) if *unchanged > 0 => eprintln!("the ledger has all of it already: no new version"),
        // The failure that follows says so.
        (None, false) if *rejected > 0 => {}
        (None, false) => eprintln!("the files have no rows: nothing was imported"),
    }
}
