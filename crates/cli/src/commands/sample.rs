//! `payouts sample`: believable, deterministic payments and earnings.

use std::path::{Path, PathBuf};
use std::time::Instant;

use chrono::{Datelike as _, NaiveDate};
use clap::Args as ClapArgs;
use payouts_ledger::sample::{self, Made, Options};
use payouts_model::{Catalog, ReportName};
use payouts_store::audit::{LedgerOperation, LedgerRows};

use crate::console::{self, Unit};
use crate::failure::Failure;
use crate::ledger_change::LedgerChange;

const EXAMPLES: &str = "\
Examples
  payouts sample --data ./data
  payouts sample --data ./big --rows 10000000 --participants 20000 --seed 7

The same options give the same bytes. A directory that has a ledger already is left alone, unless
that ledger was made with the same options: then there is nothing to do.";

/// Make believable, deterministic payments and earnings
#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The data directory to make the ledger in
    #[arg(long, value_name = "DIR", env = "PAYOUTS_DATA", hide_env_values = true)]
    data: PathBuf,
    /// Payments
    #[arg(long, value_name = "N", default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    rows: u64,
    /// Earnings [default: a tenth of the payments]
    #[arg(long, value_name = "N")]
    earnings: Option<u64>,
    /// Participants [default: a number that fits the payments]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    participants: Option<u64>,
    /// Another seed gives other data
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// The last day; the data goes back three and a half years
    #[arg(long, value_name = "DATE", default_value = "2026-06-30", value_parser = last_day)]
    until: NaiveDate,
}

/// A day that leaves room for the years before it and for the payments after it.
fn last_day(text: &str) -> Result<NaiveDate, String> {
    let day: NaiveDate = text.parse().map_err(|_| "not a date such as 2026-06-30".to_owned())?;
    if (1900..=9000).contains(&day.year()) { Ok(day) } else { Err("the year must be from 1900 to 9000".into()) }
}

/// Makes the tables and says what is in them.
pub fn run(args: Args) -> Result<(), Failure> {
    let Args { data, rows, earnings, participants, seed, until } = args;
    let options = Options { rows, earnings: earnings.unwrap_or(rows / 10), participants, seed, until };
    let started = Instant::now();
    let made = make(&data, &options)?;
    eprintln!(
        "{} and {} up to {until} are in {} ({:.1} s)",
        console::count(options.rows, "payment", "payments"),
        console::count(options.earnings, "earning", "earnings"),
        data.join("ledger").display(),
        started.elapsed().as_secs_f64(),
    );
    eprintln!("largest participants: {}", made.participants.join(", "));
    eprintln!("programs: {}", made.programs.join(", "));
    eprintln!(
        "\nnext: payouts grant --data {0} --tenant contoso --all-participants && payouts serve --data {0} --dev",
        data.display()
    );
    Ok(())
}

/// Makes a sample with progress on stderr.
pub fn make(data: &Path, options: &Options) -> Result<Made, Failure> {
    let change = LedgerChange::begin(data, LedgerOperation::Sample, &ReportName::ALL, &[])?;
    let bar = console::progress("sample", Some(options.rows + options.earnings), Unit::Rows);
    let progress = |report: ReportName, done: u64| {
        let before = match report {
            ReportName::Payments => 0,
            ReportName::TransactionHistory => options.rows,
        };
        bar.set_message(format!("making {report}"));
        bar.set_position(before + done);
    };
    let made = sample::make(data, &Catalog::builtin(), options, &progress);
    bar.finish_and_clear();
    match &made {
        Ok(made) if made.kept => change.end(None, LedgerRows::default())?,
        Ok(_) => {
            let inserted = options.rows + options.earnings;
            change.end(Some(0), LedgerRows { inserted, ..LedgerRows::default() })?;
        }
        Err(_) => change.fail(),
    }
    made.map_err(|e| {
        Failure::new(format!("no sample was made in {}", data.display()))
            .because(e)
            .try_this("a sample needs an empty place: choose another --data, or remove that directory's ledger folder")
    })
}
