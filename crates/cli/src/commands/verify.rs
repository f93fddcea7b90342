//! `payouts verify`: whether a downloaded file is what its manifest says.

use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;
use payouts_model::ReportName;
use payouts_service::Config;
use payouts_service::config::Overrides;

use crate::client::{Checked, Error, ManifestView, check_totals};
use crate::console;
use crate::failure::Failure;

const EXAMPLES: &str = "\
Examples
  payouts verify payments.zip --manifest payments.json
  payouts export payments --url http://127.0.0.1:8080 --out p.csv.gz --manifest p.json
  payouts verify p.csv.gz --manifest p.json

Checked are size, SHA-256, the entries of a ZIP, the header, the number of rows, and the exact
totals, which are added up again from the text by currency and status as far as these columns are
in the file. Needs no service and no network. Exit codes: 0 all as in the manifest, 1 not (the
first difference is said), 2 there is nothing to check.";

/// Check a downloaded file of any format against its manifest: sizes, SHA-256, rows, totals
#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The file, as it was downloaded
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Its manifest: the JSON of GET …/{requestId}/manifest, or of export --manifest
    #[arg(long, value_name = "FILE")]
    manifest: PathBuf,
    /// The service's configuration, if it appends columns
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Checks, and says the first difference.
pub fn run(args: Args) -> Result<(), Failure> {
    let Args { file, manifest, config } = args;
    let manifest = read(&manifest)?;
    let report: ReportName = manifest.report.parse().map_err(Failure::usage)?;
    let catalog = Config::load_offline(config.as_deref(), &Overrides::default())?.catalog()?;
    std::fs::File::open(&file).map_err(|e| Failure::usage(format!("cannot read {}", file.display())).because(e))?;
    let shown = file.display();
    let Checked { rows, bytes, sha256, totals } =
        check_totals(&file, &manifest, catalog.report(report)).map_err(|error| match error {
            Error::Mismatch { what } => Failure::new(format!("{shown} is not what the manifest says: {what}")),
            other => other.into(),
        })?;
    eprintln!(
        "{shown}: {}, {}, SHA-256 {sha256}, {} as in the manifest",
        console::count(rows, "row", "rows"),
        console::size(bytes),
        console::count(totals, "total", "totals"),
    );
    Ok(())
}

fn read(path: &Path) -> Result<ManifestView, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|e| Failure::usage(format!("cannot read the manifest {}", path.display())).because(e))?;
    let manifest: ManifestView = serde_json::from_str(&text).map_err(|e| {
        Failure::usage(format!("{} is not a manifest", path.display()))
            .because(e)
            .try_this("take the JSON of GET …/{requestId}/manifest, or of `payouts export --manifest`")
    })?;
    if manifest.files.is_empty() {
        let message = format!("{} is the manifest of an export that has no file: it failed", path.display());
        return Err(Failure::usage(message));
    }
    Ok(manifest)
}
