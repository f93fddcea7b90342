//! `payouts export`: the client. Asks, waits, downloads, checks.

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args as ClapArgs;
use indicatif::ProgressBar;
use payouts_model::{DecimalSign, Dialect, FileFormat, ReportName, Separator};

use crate::client::{Ask, Client, Event, Fetched};
use crate::console::{self, Unit};
use crate::data;
use crate::failure::Failure;

const EXAMPLES: &str = "\
Examples
  export PAYOUTS_TOKEN=$(payouts token --data ./data --tenant contoso)
  payouts export payments --url http://127.0.0.1:8080 --out payments.zip
  payouts export payments --url http://127.0.0.1:8080 --out sent.csv \\
      --filter \"paymentStatus eq 'SENT' and paymentDate ge 2026-01-01 and paymentAmount gt 1000\"
  payouts export payments --url http://127.0.0.1:8080 --out payments.xlsx
  payouts export transactionhistory --url https://payouts.example.com --out earnings.csv.gz \\
      --filter @ids.txt --select '*,payoutOrderType'

The file gets its name only after its size, SHA-256 and rows were checked against the manifest. A
broken download goes on where it ended; so does the same command with --request ID.

Exit codes: 0 the file is there and right, 1 the export failed or the file is not right, 2 the
command line, the service's refusal or the connection.";

/// Ask a service for an export, download it, check it
#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The report: payments or transactionhistory
    #[arg(value_name = "REPORT")]
    report: ReportName,
    /// Where the service is
    #[arg(long, value_name = "URL", env = "PAYOUTS_URL", hide_env_values = true)]
    url: String,
    /// The bearer token
    #[arg(long, value_name = "TOKEN", env = "PAYOUTS_TOKEN", hide_env_values = true)]
    token: String,
    /// Which rows: an OData filter, or @FILE that holds one. Without it: the last three years
    #[arg(long, value_name = "F")]
    filter: Option<String>,
    /// csv, tsv, csv.zip, tsv.zip, csv.gz, tsv.gz, xlsx or csv.excel [default: what the name of
    /// --out says, else csv.zip]
    #[arg(long, value_name = "F", value_parser = format)]
    format: Option<FileFormat>,
    /// With csv.excel: comma, semicolon, tab or pipe between values [default: comma, or semicolon
    /// with --decimal comma]
    #[arg(long, value_name = "S")]
    separator: Option<Separator>,
    /// With csv.excel: point or comma before decimals [default: point]
    #[arg(long, value_name = "S")]
    decimal: Option<DecimalSign>,
    /// Which columns, separated by commas; * for the default ones
    #[arg(long, value_name = "C")]
    select: Option<String>,
    /// The IANA time zone of dates in the filter [default: UTC]
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
    /// The file to write; one that is there is replaced
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Also save the manifest
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// Do not ask for a new export, fetch this one
    #[arg(long, value_name = "ID", conflicts_with_all = ["filter", "format", "separator", "decimal", "select", "time_zone"])]
    request: Option<String>,
}

fn format(text: &str) -> Result<FileFormat, String> {
    FileFormat::parse(text).ok_or_else(|| {
        let all: Vec<String> = FileFormat::ALL.iter().map(FileFormat::to_string).collect();
        format!("not one of {}", all.join(", "))
    })
}

/// Asks, waits, downloads, checks.
pub fn run(args: Args) -> Result<(), Failure> {
    check_out(&args.out)?;
    let filter = args.filter.as_deref().map(filter_text).transpose()?;
    let ask = Ask {
        report: args.report,
        filter,
        format: with_signs(args.format.or_else(|| format_of(&args.out)), args.separator, args.decimal)?,
        select: args.select,
        time_zone: args.time_zone,
    };
    let started = Instant::now();
    let fetched = data::runtime()?.block_on(async {
        let client = Client::new(&args.url, &args.token)?;
        let view = View::new();
        let observer = |event: Event<'_>| view.show(event);
        let export = match &args.request {
            Some(id) => client.get(ask.report, id, &observer).await?,
            None => client.ask(&ask, &observer).await?,
        };
        let fetched = client.fetch(ask.report, export, &args.out, &observer).await;
        view.bar.finish_and_clear();
        Ok::<_, Failure>(fetched?)
    })?;
    if let Some(path) = &args.manifest {
        std::fs::write(path, &fetched.manifest_text)
            .map_err(|e| Failure::new(format!("cannot write the manifest to {}", path.display())).because(e))?;
    }
    report(&fetched, &args.out, started);
    Ok(())
}

/// The format with the signs that were chosen for it.
fn with_signs(
    format: Option<FileFormat>,
    separator: Option<Separator>,
    decimal: Option<DecimalSign>,
) -> Result<Option<FileFormat>, Failure> {
    if separator.is_none() && decimal.is_none() {
        return Ok(format);
    }
    let dialect = Dialect::new(separator, decimal).map_err(|e| Failure::usage(e.to_string()))?;
    match format.and_then(|format| format.with_dialect(dialect)) {
        Some(format) => Ok(Some(format)),
        None => Err(Failure::usage("--separator and --decimal go with --format csv.excel alone")
            .try_this("add --format csv.excel, or leave them out")),
    }
}

fn check_out(out: &Path) -> Result<(), Failure> {
    let folder = match out.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    if out.file_name().is_none() || out.is_dir() {
        return Err(
            Failure::usage(format!("--out {} is a folder", out.display())).try_this("name the file to write in it")
        );
    }
    if !folder.is_dir() {
        return Err(Failure::usage(format!("--out {}: there is no folder {}", out.display(), folder.display()))
            .try_this("make it first"));
    }
    Ok(())
}

fn filter_text(given: &str) -> Result<String, Failure> {
    let Some(path) = given.strip_prefix('@') else { return Ok(given.to_owned()) };
    let text = std::fs::read_to_string(path)
        .map_err(|e| Failure::usage(format!("cannot read the filter from {path}")).because(e))?;
    Ok(text.trim_start_matches('\u{feff}').trim().to_owned())
}

/// The format that a file's name promises.
fn format_of(out: &Path) -> Option<FileFormat> {
    let name = out.file_name()?.to_str()?.to_ascii_lowercase();
    let mut known: Vec<FileFormat> = FileFormat::ALL.into();
    known.sort_by_key(|f| std::cmp::Reverse(f.to_string().len()));
    let found = known.into_iter().find(|f| name.ends_with(&format!(".{f}")));
    found.or_else(|| name.ends_with(".zip").then_some(FileFormat::DEFAULT))
}

/// Shows events as a bar; what matters without a terminal too goes to stderr as lines.
pub struct View {
    pub bar: ProgressBar,
}

impl View {
    pub fn new() -> Self {
        Self { bar: console::progress("asking", None, Unit::Rows) }
    }

    pub fn show(&self, event: Event<'_>) {
        match event {
            Event::Accepted(export) => {
                self.line(&format!("export {} is {}", export.request_id, export.status));
                for warning in &export.warnings {
                    self.line(&format!("warning: {} ({})", warning.message, warning.code));
                }
            }
            Event::Waiting(export) => {
                let progress = export.progress.unwrap_or_default();
                self.bar.set_message(match progress.queue_position {
                    Some(place) if place > 0 => format!("queued, place {place}"),
                    _ => export.status.to_lowercase(),
                });
                console::set_style(&self.bar, progress.rows_expected.is_some(), Unit::Rows);
                if let Some(expected) = progress.rows_expected {
                    self.bar.set_length(expected);
                }
                self.bar.set_position(progress.rows_done.unwrap_or(0));
            }
            Event::Retrying(why) => self.line(&format!("{why}; trying again")),
            Event::Downloading { done, total } => {
                if self.bar.message() != "downloading" {
                    self.bar.set_message("downloading");
                    self.bar.set_length(total);
                    console::set_style(&self.bar, true, Unit::Bytes);
                }
                self.bar.set_position(done);
            }
            Event::Checking => self.bar.set_message("checking"),
        }
    }

    fn line(&self, text: &str) {
        self.bar.suspend(|| eprintln!("{text}"));
    }
}

fn report(fetched: &Fetched, out: &Path, started: Instant) {
    let checked = &fetched.checked;
    eprintln!(
        "{}: {}, {}, SHA-256 {} as in the manifest ({:.1} s)",
        out.display(),
        console::count(checked.rows, "row", "rows"),
        console::size(checked.bytes),
        checked.sha256,
        started.elapsed().as_secs_f64()
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_promises_a_format() {
        let of = |name: &str| format_of(Path::new(name)).map(|f| f.to_string());
        for (name, format) in [
            ("a.csv", "csv"),
            ("a.CSV.gz", "csv.gz"),
            ("a.tsv.zip", "tsv.zip"),
            ("a.zip", "csv.zip"),
            ("x/b.tsv", "tsv"),
            ("b.XLSX", "xlsx"),
        ] {
            assert_eq!(of(name).as_deref(), Some(format), "{name}");
        }
        assert_eq!(of("payments"), None);
    }
}
