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
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::{FilterExt as _, filter_fn};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
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
    let _sending = match start_log(&cli) {
        Ok(sending) => sending,
        Err(failure) => return failed(&failure),
    };
    match run(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) if failure.broken_pipe() => ExitCode::SUCCESS,
        Err(failure) => failed(&failure),
    }
}

fn failed(failure: &Failure) -> ExitCode {
    eprintln!("{failure}");
    ExitCode::from(failure.exit_code)
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

/// What sends spans; whoever drops it sends the last ones.
#[cfg(feature = "otel")]
type Sending = Option<payouts_service::traces::Exporter>;
#[cfg(not(feature = "otel"))]
type Sending = ();

fn start_log(cli: &Cli) -> Result<Sending, Failure> {
    let serves = matches!(cli.command, Command::Serve(_) | Command::Demo(_));
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
    let lines = match cli.log_format {
        LogFormat::Json => lines.json().flatten_event(true).with_filter(filter).boxed(),
        LogFormat::Text => {
            lines.with_ansi(console::stderr_is_terminal()).with_target(false).with_filter(filter).boxed()
        }
    };
    send(registry().with(lines), serves)
}

/// Sends spans too, if the environment asks for it.
#[cfg(feature = "otel")]
fn send<S>(subscriber: S, serves: bool) -> Result<Sending, Failure>
where
    S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
{
    let exporter = if serves { payouts_service::traces::Exporter::from_environment() } else { Ok(None) };
    let exporter = exporter.map_err(|error| {
        Failure::usage("spans cannot be sent as the OTEL_ variables say").because(error.to_string())
    })?;
    subscriber.with(exporter.as_ref().map(payouts_service::traces::Exporter::layer)).init();
    Ok(exporter)
}

/// Sends nothing: this build cannot.
#[cfg(not(feature = "otel"))]
fn send<S>(subscriber: S, serves: bool) -> Result<Sending, Failure>
where
    S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
{
    subscriber.init();
    if serves && payouts_service::traces::asked_for() {
        tracing::warn!("no traces are sent: this program was built without its feature `otel`");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
