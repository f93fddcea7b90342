//! `payouts doctor`: whether a data directory is whole.

use clap::Args as ClapArgs;
use payouts_service::doctor::{self, Finding, Options};

use crate::console;
use crate::data::{self, DataArgs};
use crate::failure::Failure;

const EXAMPLES: &str = "\
Examples
  payouts doctor --data ./data
  payouts doctor --config payouts.toml --deep --json

Looks at the database, at the files of exports, at the ledger, at the keys and at the room that
is left. It makes, changes and locks nothing, so that it may run beside the service at any time.
Findings go to stdout, each with what to do. Exit codes: 0 nothing found, 1 findings, 2 the
command line was wrong.";

/// Check the data directory: database against files against ledger; say what is wrong and how to mend it
#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    data: DataArgs,
    /// Read every byte: SHA-256 of every file, every row of the ledger
    #[arg(long)]
    deep: bool,
    /// Less free space than this is a finding
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 30)]
    free_bytes_min: u64,
    /// Print JSON, one object per finding
    #[arg(long)]
    json: bool,
}

/// Examines and prints.
pub fn run(args: Args) -> Result<(), Failure> {
    let config = args.data.config()?;
    if !config.data_dir.is_dir() {
        return Err(Failure::usage(format!("there is no data directory {}", config.data_dir.display())));
    }
    let options = Options { deep: args.deep, free_bytes_min: args.free_bytes_min };
    let findings = data::runtime()?.block_on(doctor::examine(&config, options, data::now()));
    let shown = |Finding { about, what, mend }: &Finding| {
        if args.json {
            format!("{}\n", serde_json::json!({ "about": about.as_str(), "what": what, "mend": mend }))
        } else {
            format!("{}: {what}\n  {mend}\n", about.as_str())
        }
    };
    console::print(&findings.iter().map(shown).collect::<String>())?;
    match findings.len() as u64 {
        0 => {
            eprintln!("{}: nothing found", config.data_dir.display());
            Ok(())
        }
        n => Err(Failure::new(format!("{}: {}", config.data_dir.display(), console::count(n, "finding", "findings")))),
    }
}
