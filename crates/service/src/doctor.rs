//! The examination of a data directory: database against files against ledger.
//!
//! Invariants: nothing is made, changed or locked, so that it may run beside the service at any
//! time; what comes or goes meanwhile is no finding, since whatever looks wrong is looked at again.

mod files;
mod ledger;
mod place;

pub(crate) use place::free_bytes;

use payouts_model::Timestamp;
use payouts_store::sqlite::SqliteStore;

use crate::Config;

/// Leases that ended less than this ago are about to be taken up, in milliseconds.
const LEASE_SLACK_MS: i64 = 60_000;

/// What is wrong, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Where it belongs.
    pub about: About,
    /// What is wrong.
    pub what: String,
    /// How to mend it.
    pub mend: String,
}

/// What a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// `payouts.db`.
    Database,
    /// Finished files.
    Files,
    /// Who works on what.
    Leases,
    /// The tables.
    Ledger,
    /// Keys, and who may read them.
    Keys,
    /// Room.
    Disk,
}

impl About {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Database => "database",
            Self::Files => "files",
            Self::Leases => "leases",
            Self::Ledger => "ledger",
            Self::Keys => "keys",
            Self::Disk => "disk",
        }
    }
}

/// How thorough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Reads every byte: SHA-256 of finished files, rows of the ledger.
    pub deep: bool,
    /// Less free space than this is a finding.
    pub free_bytes_min: u64,
}

/// Examines what `config` names.
pub async fn examine(config: &Config, options: Options, now: Timestamp) -> Vec<Finding> {
    let mut findings = Vec::new();
    let store = database(config, &mut findings).await;
    // Without a database that can be asked nothing can be said about owners.
    if let Ok(store) = &store {
        if let Err(error) = files::examine(config, store.as_ref(), options.deep, &mut findings).await {
            findings.push(unreadable(&*error));
        }
        if let Some(store) = store
            && let Err(error) = work(config, store, now, &mut findings).await
        {
            findings.push(unreadable(&*error));
        }
    }
    ledger::examine(config, options.deep, &mut findings).await;
    place::examine(config, options.free_bytes_min, &mut findings);
    findings
}

/// Opens and checks the database. `Err`: it is there and cannot be asked.
async fn database(config: &Config, findings: &mut Vec<Finding>) -> Result<Option<SqliteStore>, ()> {
    let opened = SqliteStore::open_read_only(&config.data_dir).await;
    let store = opened.map_err(|error| findings.push(unreadable(&error)))?;
    let Some(store) = store else { return Ok(None) };
    let problems = store.integrity().await.map_err(|error| findings.push(unreadable(&error)))?;
    findings.extend(problems.into_iter().map(|problem| Finding {
        about: About::Database,
        what: format!("{} is damaged: {problem}", config.database_path().display()),
        mend: MEND_DATABASE.into(),
    }));
    Ok(Some(store))
}

const MEND_DATABASE: &str = "stop the service and restore payouts.db from a backup; what the damaged file still holds can be had with \
                             `sqlite3 payouts.db .recover`";

fn unreadable(error: &(dyn std::error::Error + 'static)) -> Finding {
    let mend = match error.downcast_ref::<payouts_store::Error>() {
        Some(payouts_store::Error::NotUpgraded { .. } | payouts_store::Error::OtherVersion { .. }) => {
            "run the version of payouts that the service runs"
        }
        _ => MEND_DATABASE,
    };
    Finding { about: About::Database, what: format!("it cannot be examined: {}", chain(error)), mend: mend.into() }
}

type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// Leases that nobody took up again, and data versions that are needed and gone.
async fn work(
    config: &Config,
    store: &SqliteStore,
    now: Timestamp,
    findings: &mut Vec<Finding>,
) -> Result<(), AnyError> {
    let open = store.open_exports().await?;
    for export in &open {
        if let Some(ended_at) = export.lease_until.filter(|at| *at < now.plus_ms(-LEASE_SLACK_MS)) {
            findings.push(Finding {
                about: About::Leases,
                what: format!("the lease of export {} ended at {ended_at}, and no worker took it up", export.export),
                mend: "start the service: it takes the export up at once; if it runs, see its log, and whether workers = 0"
                    .into(),
            });
        }
    }
    ledger::needed_versions(config, &open, findings).await;
    Ok(())
}

/// An error with its causes, each once.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let more = cause.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        next = cause.source();
    }
    text
}
