//! The data directory as commands reach it: which one, its grants, and the texts that name
//! instants and grants.

use std::path::{Path, PathBuf};

use chrono::{DateTime, NaiveDate, NaiveDateTime};
use clap::Args;
use payouts_model::{Clock, Grant, Pair, ParticipantId, PrincipalId, Role, TenantId, Timestamp};
use payouts_service::Config;
use payouts_service::config::Overrides;
use payouts_store::audit::By;
use payouts_store::sqlite::SqliteStore;

use crate::failure::{Context, Failure};

/// Which data directory.
#[derive(Clone, Debug, Args)]
#[group(required = true, multiple = true)]
pub struct DataArgs {
    /// The data directory: ledger, grants, keys, files
    #[arg(long, value_name = "DIR", env = "PAYOUTS_DATA", hide_env_values = true)]
    pub data: Option<PathBuf>,
    /// A configuration file; its data_dir counts where --data is not given
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

impl DataArgs {
    /// The configuration that they name.
    pub fn config(&self) -> Result<Config, Failure> {
        let overrides = Overrides { data_dir: self.data.clone(), ..Overrides::default() };
        let config = Config::load_offline(self.config.as_deref(), &overrides)?;
        arm_faults(&config)?;
        Ok(config)
    }
}

/// Which data directory, before or after the word of a subcommand.
#[derive(Clone, Debug, Args)]
pub struct GlobalDataArgs {
    /// The data directory: ledger, grants, keys, files
    #[arg(long, value_name = "DIR", env = "PAYOUTS_DATA", hide_env_values = true, global = true)]
    pub data: Option<PathBuf>,
    /// A configuration file; its data_dir counts where --data is not given
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
}

impl GlobalDataArgs {
    /// The configuration that they name.
    pub fn config(self) -> Result<Config, Failure> {
        let Self { data, config } = self;
        if data.is_none() && config.is_none() {
            return Err(Failure::usage("which data directory?")
                .try_this("give --data DIR, or --config FILE whose data_dir counts"));
        }
        DataArgs { data, config }.config()
    }
}

/// Arms the faults that a test asks for, and says so loudly.
pub fn arm_faults(config: &Config) -> Result<(), Failure> {
    let armed = payouts_faults::arm(&config.data_dir);
    if armed.map_err(|e| Failure::usage("this is not a place for injected faults").because(e))? {
        eprintln!("WARNING  {} is set: this process fails on purpose", payouts_faults::VARIABLE);
    }
    Ok(())
}

/// Now, as the system says.
pub fn now() -> Timestamp {
    payouts_model::time::SystemClock.now()
}

/// Who runs this command, and now: what changes are recorded with.
pub fn by() -> By {
    By::operator(operator(|name| std::env::var(name).ok(), user_id()), now())
}

/// The user as the environment names it: behind `sudo` both names; without a name the number.
fn operator(variable: impl Fn(&str) -> Option<String>, user_id: Option<u32>) -> String {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty());
    let number = || user_id.map_or_else(|| "unknown".to_owned(), |id| format!("uid {id}"));
    let user = ["USER", "LOGNAME", "USERNAME"].into_iter().find_map(set).unwrap_or_else(number);
    match set("SUDO_USER") {
        Some(behind) => format!("{behind} as {user}"),
        None => user,
    }
}

/// The number of the user that this process runs as, where the system shows processes as files.
fn user_id() -> Option<u32> {
    #[cfg(unix)]
    return std::fs::metadata("/proc/self").ok().map(|own| std::os::unix::fs::MetadataExt::uid(&own));
    #[cfg(not(unix))]
    return None;
}

/// A runtime for a command that waits for one thing after the other.
pub fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")
}

/// Opens the database of a data directory.
pub async fn store(data_dir: &Path) -> Result<SqliteStore, Failure> {
    SqliteStore::open(data_dir).await.map_err(|e| {
        Failure::new(format!("cannot open the database in {}", data_dir.display()))
            .because(e)
            .try_this("check that the directory exists, that you may write there, and that there is room")
    })
}

/// Opens the database of a data directory for reading alone, if there is one: looking makes none
/// and changes nothing.
pub async fn store_to_read(config: &Config) -> Result<Option<SqliteStore>, Failure> {
    let opened = SqliteStore::open_read_only(&config.data_dir).await;
    opened.context(format!("cannot read the database in {}", config.data_dir.display()))
}

/// Reads an instant: RFC 3339, or a bare date or date-time in UTC. For clap.
pub fn instant(text: &str) -> Result<Timestamp, String> {
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Ok(at.to_utc().into());
    }
    for format in ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S%.f"] {
        if let Ok(at) = NaiveDateTime::parse_from_str(text, format) {
            return Ok(at.and_utc().into());
        }
    }
    match text.parse::<NaiveDate>() {
        Ok(date) => Ok(Timestamp::start_of(date)),
        Err(_) => Err("not an instant such as 2027-01-31T12:00:00Z or 2027-01-31 (00:00 UTC)".into()),
    }
}

/// An id on the command line: not empty, and not the `*` that means all in lists. For clap.
pub fn id(text: &str) -> Result<String, String> {
    match text {
        "" => Err("it is empty".into()),
        "*" => Err("* means all in lists of grants and cannot be an id".into()),
        text if text.chars().any(char::is_control) => Err("it has control characters".into()),
        text => Ok(text.to_owned()),
    }
}

/// The header of a list of grants.
pub const GRANT_COLUMNS: [&str; 6] = ["tenant", "principal", "participant", "program", "role", "until"];

/// A grant as a row of a list.
pub fn grant_row(grant: &Grant) -> [String; 6] {
    let Grant { tenant, principal, pair: Pair { participant, program }, role, until } = grant;
    let or_all = |text: Option<&str>| text.unwrap_or("*").to_owned();
    [
        tenant.to_string(),
        or_all(principal.as_ref().map(PrincipalId::as_str)),
        or_all(participant.as_ref().map(ParticipantId::as_str)),
        or_all(program.as_deref()),
        role.as_str().to_owned(),
        until.map(|at| at.to_string()).unwrap_or_default(),
    ]
}

/// Reads a row of a list back.
pub fn grant_of_row(row: &[&str; 6]) -> Result<Grant, String> {
    let [tenant, principal, participant, program, role, until] = row.map(str::trim);
    let named = |what: &str, text: &str| match text {
        "" => Err(format!("{what} is empty: write * for all")),
        "*" => Ok(None),
        text => id(text).map(Some).map_err(|why| format!("{what}: {why}")),
    };
    if tenant.is_empty() || tenant == "*" {
        return Err("tenant must name one tenant".into());
    }
    Ok(Grant {
        tenant: TenantId::new(id(tenant).map_err(|why| format!("tenant: {why}"))?),
        principal: named("principal", principal)?.map(PrincipalId::new),
        pair: Pair {
            participant: named("participant", participant)?.map(|p| ParticipantId::new(&p)),
            program: named("program", program)?,
        },
        role: match role {
            "viewer" | "" => Role::Viewer,
            "admin" => Role::Admin,
            other => return Err(format!("role '{other}' is neither viewer nor admin")),
        },
        until: if until.is_empty() {
            None
        } else {
            Some(instant(until).map_err(|e| format!("until '{until}' is {e}"))?)
        },
    })
}

/// Grants as CSV text, without a header.
pub fn grants_csv<'a>(grants: impl IntoIterator<Item = &'a Grant>) -> Result<String, Failure> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for grant in grants {
        writer.write_record(grant_row(grant)).context("cannot write the list")?;
    }
    let bytes = writer.into_inner().map_err(|e| Failure::new("cannot write the list").because(e.to_string()))?;
    String::from_utf8(bytes).context("cannot write the list")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_read_as_people_write_them() {
        for text in ["2027-01-31", "2027-01-31T00:00:00Z", "2027-01-31T01:00:00+01:00", "2027-01-31T00:00"] {
            assert_eq!(instant(text).unwrap().to_string(), "2027-01-31T00:00:00Z", "{text}");
        }
        assert!(instant("tomorrow").is_err());
    }

    #[test]
    fn operators_are_named_as_the_system_does() {
        let named = |set: &[(&str, &str)]| {
            operator(|name| set.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned()), Some(7))
        };
        assert_eq!(named(&[("USER", "ann")]), "ann");
        assert_eq!(named(&[("USER", ""), ("LOGNAME", "bob")]), "bob");
        assert_eq!(named(&[("USER", "root"), ("SUDO_USER", "ann")]), "ann as root");
        assert_eq!(named(&[]), "uid 7");
        assert_eq!(operator(|_| None, None), "unknown");
    }

    #[test]
    fn a_listed_grant_reads_back() {
        for row in
            [["t", "*", "*", "*", "admin", ""], ["t", "ann", "42", "CSP, Direct", "viewer", "2027-01-31T00:00:00Z"]]
        {
            let grant = grant_of_row(&row).unwrap();
            assert_eq!(grant_row(&grant), row.map(str::to_owned));
        }
        for bad in [
            ["", "*", "*", "*", "viewer", ""],
            ["t", "", "*", "*", "viewer", ""],
            ["t", "*", "*", "*", "boss", ""],
            ["t", "*", "*", "*", "viewer", "x"],
            ["t\u{1b}[2J", "*", "*", "*", "viewer", ""],
            ["t", "ann\0", "*", "*", "viewer", ""],
            ["t", "*", "4\n2", "*", "viewer", ""],
            ["t", "*", "*", "CSP\tDirect", "viewer", ""],
        ] {
            assert!(grant_of_row(&bad).is_err(), "{bad:?}");
        }
    }
}
