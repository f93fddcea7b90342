//! `payouts hold`: an Export that must not be deleted, whatever its age.

use clap::Args as ClapArgs;
use payouts_model::ExportId;
use payouts_store::Store as _;

use crate::data::{self, DataArgs};
use crate::failure::{Context as _, Failure};

const EXAMPLES: &str = "\
Examples
  payouts hold de236c84-cae7-406c-8ccf-f3c000d3f5b6 --data ./data
  payouts hold de236c84-cae7-406c-8ccf-f3c000d3f5b6 --data ./data --release

A held export, its manifest and its file stay, and can be downloaded, beyond their retention;
DELETE is refused with 409 ExportHeld. Once released they go in their time. At work at once, also
in a running service.";

/// Keep an Export and its file from being deleted, or let it go again
#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The Export's requestId
    #[arg(value_name = "EXPORT-ID")]
    id: ExportId,
    #[command(flatten)]
    data: DataArgs,
    /// Let it go again
    #[arg(long)]
    release: bool,
}

/// Holds or releases.
pub fn run(args: Args) -> Result<(), Failure> {
    let Args { id, data, release } = args;
    let config = data.config()?;
    if !config.database_path().exists() {
        return Err(Failure::usage(format!("there is no database in {}", config.data_dir.display())));
    }
    data::runtime()?.block_on(async {
        let store = data::store(&config.data_dir).await?;
        let held_at = (!release).then(data::now);
        let export = store.hold(id, held_at, &data::by()).await.context("nothing was changed")?;
        let Some(export) = export else {
            return Err(Failure::new(format!("there is no export {id}: nothing was changed")));
        };
        match (export.held_at, export.file_expires_at) {
            (Some(at), _) if export.file.is_some() || !export.status.ended() => {
                eprintln!("export {id} ({}) is held since {at}", export.status)
            }
            (Some(at), _) => eprintln!("export {id} ({}) is held since {at}; it has no file", export.status),
            (None, Some(at)) => eprintln!("export {id} is released; its file's time ends, or ended, at {at}"),
            (None, None) => eprintln!("export {id} is released"),
        }
        Ok(())
    })
}
