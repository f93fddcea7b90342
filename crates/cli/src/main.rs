//! `payouts`: the one binary, with a role per command.
//!
//! Data goes to stdout, everything else to stderr. Exit codes: 0 done, 1 the work failed, 2 the
//! command line, the configuration or the connection was wrong.

mod client;
mod commands;
mod console;
mod data;
mod failure;
mod ledger_change;
mod server;

use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::{FilterExt as _, filter_fn};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, fmt, registry};

use crate::failure::Failure;

const AFTER_HELP: &str = "\
Begin with
  payouts demo                   a service with sample data, one export made and checked

Your own data
  payouts import payments payments.csv --data ./data --order-type REBATE
  payouts grant --data ./data --tenant contoso --all-participants
  payouts serve --data ./data --dev
  payouts export payments --url http://127.0.0.1:8080 --out payments.zip \\
      --token \"$(payouts token --data ./data --tenant contoso)\"

Exit codes: 0 done, 1 the work failed, 2 the command line, the configuration or the connection
was wrong. PAYOUTS_LOG filters the log, for example PAYOUTS_LOG=debug.";

/// Exports payments over the HTTP contract of Microsoft Partner Center's payouts API, from tables
/// of your own
#[derive(Debug, Parser)]
#[command(name = "payouts", version, after_help = AFTER_HELP, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,

    /// How log lines look: for people, or one JSON object each
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text, env = "PAYOUTS_LOG_FORMAT", hide_env = true)]
    log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make sample data, run the service over it, make and check one export, show what to try next
    Demo(commands::demo::Args),
    /// Run the service
    Serve(commands::serve::Args),
    /// Make believable, deterministic payments and earnings
    Sample(commands::sample::Args),
    /// Read payments or earnings from CSV, TSV or Parquet files into the ledger
    Import(commands::import::Args),
    /// Look after the ledger: its history, undoing an import, fewer files, deleting old ones
    Ledger(commands::ledger::Args),
    /// Check the data directory: database against files against ledger; say what is wrong and how to mend it
    Doctor(commands::doctor::Args),
    /// Keep an Export and its file from being deleted, or let it go again
    Hold(commands::hold::Args),
    /// List what retention would delete now, and why
    Sweep(commands::sweep::Args),
    /// Let a tenant, or one user or application of it, see participants
    Grant(commands::grant::Args),
    /// List all grants as CSV, or make them exactly those of a CSV file
    Grants(commands::grants::Args),
    /// Take grants away
    Revoke(commands::revoke::Args),
    /// Check or list the record of who asked for, downloaded, deleted, granted and imported what
    Audit(commands::audit::Args),
    /// List the keys that sign file links, or put a new one in their place
    Keys(commands::keys::Args),
    /// Print a token of the development issuer
    Token(commands::token::Args),
    /// Ask a service for an export, download it, check it
    Export(commands::export::Args),
    /// Check a downloaded file of any format against its manifest: sizes, SHA-256, rows, totals
    Verify(commands::verify::Args),
}

fn main() -> ExitCode {
    payouts_memory::keep_level();
    // Two TLS providers are linked in; without a choice the first handshake would panic.
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        unreachable!("nothing chooses a TLS provider before main does");
    }
    let cli = Cli::parse();
    start_log(&cli);
    match run(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) if failure.broken_pipe() => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::from(failure.exit_code)
        }
    }
}

fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Demo(args) => commands::demo::run(args),
        Command::Serve(args) => commands::serve::run(args),
        Command::Sample(args) => commands::sample::run(args),
        Command::Import(args) => commands::import::run(args),
        Command::Ledger(args) => commands::ledger::run(args),
        Command::Doctor(args) => commands::doctor::run(args),
        Command::Hold(args) => commands::hold::run(args),
        Command::Sweep(args) => commands::sweep::run(args),
        Command::Grant(args) => commands::grant::run(args),
        Command::Grants(args) => commands::grants::run(args),
        Command::Revoke(args) => commands::revoke::run(args),
        Command::Audit(args) => commands::audit::run(args),
        Command::Keys(args) => commands::keys::run(args),
        Command::Token(args) => commands::token::run(args),
        Command::Export(args) => commands::export::run(args),
        Command::Verify(args) => commands::verify::run(args),
    }
}

fn start_log(cli: &Cli) {
    // The table format's library tells every step of reading a log: too much for a service's log.
    let default = match cli.command {
        Command::Serve(_) => "info,buoyant_kernel=warn,delta_kernel=warn,deltalake_core=warn",
        _ => "warn",
    };
    let filter = EnvFilter::try_from_env("PAYOUTS_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    // Libraries tell plans, statements and headers when they may say everything: filters, names,
    // amounts and tokens are in those. No setting of the log lets them.
    let harmless = filter_fn(|of| of.target().starts_with("payouts") || *of.level() <= LevelFilter::INFO);
    let filter = filter.and(harmless);
    let lines = fmt::layer().with_writer(std::io::stderr);
    match cli.log_format {
        LogFormat::Json => registry().with(lines.json().flatten_event(true).with_filter(filter)).init(),
        LogFormat::Text => {
            let lines = lines.with_ansi(console::stderr_is_terminal()).with_target(false);
            registry().with(lines.with_filter(filter)).init();
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
