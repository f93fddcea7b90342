//! `payouts keys`: the keys that sign file links, and their rotation.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};
use payouts_blob::link::{KeyInfo, LinkKeys};
use payouts_service::Config;
use payouts_store::Store as _;
use payouts_store::audit::{Event, Record};

use crate::console;
use crate::data::{self, DataArgs};
use crate::failure::{Context, Failure};

const EXAMPLES: &str = "\
Examples
  payouts keys --data ./data
  payouts keys rotate --data ./data
  payouts keys rotate --data ./data --drop-old

A rotation is at work at once, also in a running service. Links that are out stay valid: the
service drops an old key once every link that it signed has ended. With --drop-old, for a key that
others may know, all links that are out are dead at once; the next GET of an export brings a fresh
one.";

/// List the keys that sign file links, or put a new one in their place
#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The data directory: ledger, grants, keys, files
    #[arg(long, value_name = "DIR", env = "PAYOUTS_DATA", hide_env_values = true, global = true)]
    data: Option<PathBuf>,
    /// A configuration file; its data_dir counts where --data is not given
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a new key, which signs from now on
    Rotate {
        /// Drop the old keys now, and with them every link that is out
        #[arg(long)]
        drop_old: bool,
    },
}

/// Rotates if asked to, and lists the keys as CSV.
pub fn run(args: Args) -> Result<(), Failure> {
    let Args { data, config, action } = args;
    if data.is_none() && config.is_none() {
        return Err(Failure::usage("which data directory? Say --data DIR, or --config FILE with a data_dir"));
    }
    let config = DataArgs { data, config }.config()?;
    let path = config.link_keys_path();
    let keys = match action {
        Some(Action::Rotate { drop_old }) => {
            if !path.parent().is_some_and(std::path::Path::is_dir) {
                return Err(no_keys(&path));
            }
            let keys = data::runtime()?.block_on(rotate(&config, drop_old))?;
            eprintln!(
                "{}",
                if drop_old {
                    "a new key signs; every link that was out is dead"
                } else {
                    "a new key signs; links that are out stay valid"
                }
            );
            keys
        }
        None if !path.is_file() => return Err(no_keys(&path)),
        None => LinkKeys::load_or_create(&path).context("cannot list the keys")?,
    };
    let row = |KeyInfo { id, superseded_at }: KeyInfo| {
        format!("{id},{}\n", superseded_at.map(|at| at.to_string()).unwrap_or_default())
    };
    console::print(&format!("key,superseded\n{}", keys.infos().into_iter().map(row).collect::<String>()))
}

/// Rotates between two audit records: a rotation that is not recorded does not happen, and one whose
/// second record is missing was cut off.
async fn rotate(config: &Config, drop_old: bool) -> Result<LinkKeys, Failure> {
    let store = data::store(&config.data_dir).await?;
    let record = async |event| store.audit(&Record::new(&data::by(), event)).await;
    record(Event::KeysRotating { drop_old }).await.context("the keys were not rotated: it cannot be recorded")?;
    let keys = LinkKeys::rotate(config.link_keys_path(), drop_old, data::now()).context("the keys were not rotated")?;
    let newest = keys.infos().into_iter().last().map(|KeyInfo { id, .. }| id).unwrap_or_default();
    let recorded = record(Event::KeysRotated { key: newest, drop_old }).await;
    recorded.context("the keys were rotated, but that cannot be recorded")?;
    Ok(keys)
}

fn no_keys(path: &std::path::Path) -> Failure {
    Failure::new(format!("there are no link keys at {}", path.display()))
        .try_this("name the data directory of a service; the first `payouts serve` makes its keys")
}
