//! `payouts sweep --dry-run`: what retention would delete now.

use clap::Args as ClapArgs;
use payouts_service::sweeper::{self, Reason};

use crate::console;
use crate::data::{self, DataArgs};
use crate::failure::{Context as _, Failure};

const EXAMPLES: &str = "\
Examples
  payouts sweep --dry-run --data ./data
  payouts sweep --dry-run --config payouts.toml

Deleting is the business of the running service, every minute. This lists what its next sweep
would delete: files whose days are over, exports whose years are over, and files that no export
owns. What is held (`payouts hold`) is not in it.";

/// List what retention would delete now, and why
#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    data: DataArgs,
    /// Delete nothing; there is no other way
    #[arg(long, required = true)]
    dry_run: bool,
}

/// Lists as tab-separated text: what, which, why.
pub fn run(args: Args) -> Result<(), Failure> {
    let config = args.data.config()?;
    data::runtime()?.block_on(async {
        let Some(store) = data::store_to_read(&config).await? else {
            return Err(Failure::usage(format!("there is no database in {}", config.data_dir.display())));
        };
        let due = sweeper::due(&config, &store, data::now()).await.context("cannot list what is due")?;
        let mut lines = String::from("what\twhich\twhy\n");
        let mut bytes = 0;
        for item in &due {
            let (what, why) = match item.reason {
                Reason::FileExpired { expired_at, size_bytes } => {
                    bytes += size_bytes;
                    ("file", format!("its retention ended at {expired_at}; {}", console::size(size_bytes)))
                }
                Reason::ExportExpired { ended_at } => {
                    ("export", format!("it ended at {ended_at}, longer ago than it is kept"))
                }
                Reason::NoOwner => ("file", "no export owns it".to_owned()),
            };
            lines.push_str(&format!("{what}\t{}\t{why}\n", item.which));
        }
        console::print(&lines)?;
        let count = console::count(due.len() as u64, "deletion", "deletions");
        eprintln!("dry run, nothing was deleted: {count}, {} in expired files", console::size(bytes));
        Ok(())
    })
}
