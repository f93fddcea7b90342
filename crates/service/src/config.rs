//! What an operator sets: a TOML file over commented defaults (`config.default.toml`, compiled
//! in), with the command line on top.
//!
//! Invariants: a [`Config`] was checked as a whole, so that nothing else validates settings again;
//! an unknown key is an error that names the nearest one; relative paths have been resolved
//! against the file they stand in.

mod file;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use payouts_ledger::Sources;
use payouts_model::report::{CatalogError, ExtraColumn};
use payouts_model::{Catalog, ReportName};
use serde::Deserialize;

/// Every setting with its default and what it does.
pub const DEFAULTS: &str = include_str!("../config.default.toml");

/// The whole configuration, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where everything is kept: `ledger/`, `files/`, `keys/`, `payouts.db`.
    pub data_dir: PathBuf,
    /// Where the API listens.
    pub listen: SocketAddr,
    /// Where `/metrics` listens; `None`: nowhere.
    pub admin_listen: Option<SocketAddr>,
    /// What absolute URLs begin with, path prefix included, no slash at the end. `None` only with
    /// `dev`: then the request's loopback Host.
    pub public_url: Option<String>,
    /// The built-in token issuer is on.
    pub dev: bool,
    /// With `dev`: `listen` may be an address that is not loopback (containers, CI), over a sample
    /// ledger only. Any Host is answered then.
    pub dev_insecure: bool,
    /// Who may issue tokens.
    pub issuers: Vec<IssuerConfig>,
    /// The certificate that the API is served with; `None`: plain HTTP.
    pub tls: Option<TlsConfig>,
    /// Exports that are made at the same time; with 0 this node answers requests and makes none.
    pub workers: usize,
    /// Exports of more rows do not take the last free slot.
    pub large_rows: u64,
    /// What each running Export must have of the engine's memory.
    pub export_memory_bytes: usize,
    /// Limits of the query engine; threads are resolved, never 0.
    pub engine: payouts_engine::Limits,
    /// How long a worker may be silent.
    pub lease_ms: i64,
    /// Attempts at faults that may pass.
    pub attempts_max: u32,
    /// Lost leases before an Export is Failed.
    pub lost_leases_max: u32,
    /// How long a stopping service lets work go on.
    pub shutdown_grace_ms: u64,
    /// How long things are kept.
    pub retention: Retention,
    /// How long a file link works.
    pub link_lifetime_seconds: i64,
    /// Limits of the HTTP side.
    pub limits: Limits,
    /// What the export page's form begins with.
    pub form: FormConfig,
    /// By report, the table that something else writes.
    pub sources: Sources,
    /// By report, the columns that are appended.
    pub extra_columns: HashMap<ReportName, Vec<ExtraColumn>>,
    /// By report and enumerated field, the values that are added.
    pub extra_values: HashMap<ReportName, HashMap<String, Vec<String>>>,
    /// Old programme name to the new ones that it selects too.
    pub program_aliases: HashMap<String, Vec<String>>,
}

/// The files of the API's certificate, read again when they change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsConfig {
    /// PEM: the certificate, then what leads to its root.
    pub certificate: PathBuf,
    /// PEM: its private key.
    pub key: PathBuf,
}

/// Somebody whose tokens are accepted. An issuer with aliases is one of these for each name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerConfig {
    /// The `iss` claim; may contain `{tid}`.
    pub issuer: String,
    /// The `aud` claim is one of these.
    pub audiences: Vec<String>,
    /// Where the keys are announced.
    pub discovery_url: String,
    /// Whose callers they are.
    pub tenant: TenantRule,
    /// The `tid` claim is one of these; empty: any.
    pub allowed_tids: Vec<String>,
    /// The principal is the first of these claims that is there.
    pub principal_claims: Vec<String>,
    /// What the callers may do.
    pub permissions: PermissionRule,
    /// How people sign in to the export page with it; `None`: they cannot.
    pub page: Option<PageConfig>,
}

/// The export page as a client of an issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageConfig {
    /// Its id there.
    pub client_id: String,
    /// The file of its secret; `None`: a public client, held by PKCE alone.
    pub client_secret_file: Option<PathBuf>,
    /// What is asked for; `openid` among it.
    pub scopes: Vec<String>,
    /// The `resource` parameter (RFC 8707), for issuers that want one.
    pub resource: Option<String>,
    /// The token that says who the user is.
    pub identity: IdentityToken,
    /// What the sign-in button says.
    pub label: String,
}

/// Which of an issuer's tokens the identity of a user of the page is taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdentityToken {
    /// The access token, by exactly the rules that hold for callers of the API.
    AccessToken,
    /// The ID token, by the same rules but for the audience, which is the client's id: for issuers
    /// whose access tokens are for themselves.
    IdToken,
}

/// What a token says about what its caller may do here. Grants rule what the caller sees.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PermissionRule {
    /// The claim of scopes: a text with blanks between them, or a list.
    pub scopes_claim: String,
    /// The claim of roles: a list, or one text.
    pub roles_claim: String,
    /// One of these scopes, or one of `required_roles`, must be there; both empty: neither.
    pub required_scopes: Vec<String>,
    /// See `required_scopes`.
    pub required_roles: Vec<String>,
    /// Whoever has one of these roles is an admin of the tenant.
    pub admin_roles: Vec<String>,
}

/// How a token's tenant is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TenantRule {
    /// Every caller of the issuer belongs to this tenant.
    Fixed(String),
    /// A claim says it.
    Claim {
        /// The claim's name.
        claim: String,
        /// What is put before its value, so that issuers cannot speak for each other's tenants.
        prefix: String,
    },
}

/// What the export page's form begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FormConfig {
    /// The month that a fiscal year begins with: 1 to 12.
    pub fiscal_year_first_month: u32,
    /// The time zone of whoever's browser does not say one.
    pub time_zone: chrono_tz::Tz,
}

/// How long things are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Files, in days.
    pub file_days: i64,
    /// Exports and manifests, in days.
    pub export_days: i64,
    /// Old versions of the ledger, in days: what `reproducibleUntil` promises.
    pub version_days: i64,
}

/// Limits of the HTTP side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Queued Exports of one tenant.
    pub tenant_queue_max: u64,
    /// Queued Exports of all tenants.
    pub queue_max: u64,
    /// Begun Exports of one tenant.
    pub tenant_running_max: u64,
    /// Room for the files of one tenant.
    pub tenant_files_bytes: u64,
    /// Room for all files.
    pub files_bytes: u64,
    /// Bytes of a request's body.
    pub body_bytes: usize,
    /// Bytes of all headers of a request.
    pub header_bytes: usize,
    /// Requests answered at the same time.
    pub in_flight_max: usize,
    /// Seconds that a request may take, downloads and long polls apart.
    pub request_seconds: u64,
    /// Requests of one caller per second on average.
    pub caller_per_second: u32,
    /// Requests of one caller that may come at once.
    pub caller_burst: u32,
    /// Seconds that a preview may take.
    pub preview_seconds: u64,
    /// Requests of a tenant per second that change something (POST, DELETE).
    pub tenant_posts_per_second: u32,
    /// Other requests of a tenant per second.
    pub tenant_gets_per_second: u32,
    /// Requests of a tenant answered at the same time.
    pub tenant_in_flight_max: usize,
    /// Downloads at the same time.
    pub downloads_max: usize,
    /// Downloads of a tenant at the same time.
    pub tenant_downloads_max: usize,
    /// Requests held by `Prefer: wait` at the same time.
    pub held_max: usize,
    /// The same of a tenant.
    pub tenant_held_max: usize,
    /// Connections at the same time.
    pub connections_max: usize,
    /// Seconds that the head of a request may take.
    pub head_seconds: u64,
    /// Seconds that the body of a request may take.
    pub body_seconds: u64,
    /// Seconds that a client may take nothing of an answer.
    pub stall_seconds: u64,
}

/// What the command line says; it wins over the file. Paths are relative to the working directory.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `--data`.
    pub data_dir: Option<PathBuf>,
    /// `--listen`.
    pub listen: Option<SocketAddr>,
    /// `--admin-listen`; `Some(None)`: nowhere.
    pub admin_listen: Option<Option<SocketAddr>>,
    /// `--public-url`.
    pub public_url: Option<String>,
    /// `--dev`.
    pub dev: bool,
    /// `--dev-insecure-listen`: implies `dev`, and is the address.
    pub dev_insecure_listen: Option<SocketAddr>,
}

/// Why a configuration is refused. Each says where, what, and what would be right.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read the configuration {path}")]
    Read {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It is not TOML, has an unknown key, or a value of the wrong type.
    #[error("configuration {path}: {reason}")]
    Syntax {
        /// The file.
        path: String,
        /// Line, key and the nearest key.
        reason: String,
    },
    /// A value that cannot be.
    #[error("configuration: {key} = {value}: {reason}")]
    Value {
        /// The setting.
        key: String,
        /// What it says.
        value: String,
        /// Why not, and what would be right.
        reason: String,
    },
    /// Settings that do not go together.
    #[error("{0}")]
    Conflict(String),
    /// The appended columns or values.
    #[error("configuration: [reports]")]
    Catalog(#[from] CatalogError),
}

impl Config {
    /// Reads `path` (none: defaults alone) over the defaults, puts the command line on top and
    /// checks the whole for a server: tokens can be checked, addresses are safe.
    pub fn load(path: Option<&Path>, overrides: &Overrides) -> Result<Self, Error> {
        let config = Self::load_offline(path, overrides)?;
        config.check_server()?;
        Ok(config)
    }

    /// The same for commands that only touch the data directory: what concerns listening and
    /// tokens is not asked for.
    pub fn load_offline(path: Option<&Path>, overrides: &Overrides) -> Result<Self, Error> {
        file::load(path, overrides)
    }

    /// The configuration of a development server over `data_dir`, all else default.
    pub fn dev(data_dir: &Path, listen: SocketAddr) -> Result<Self, Error> {
        let overrides = Overrides {
            data_dir: Some(data_dir.into()),
            listen: Some(listen),
            admin_listen: Some(None),
            dev: true,
            ..Overrides::default()
        };
        Self::load(None, &overrides)
    }

    /// Exports that are made at the same time: as many as `workers` says and the memory goes round
    /// for, one at least; none if there are no workers.
    pub fn slots(&self) -> usize {
        self.workers.min((self.engine.memory_bytes / self.export_memory_bytes).max(1))
    }

    /// The reports with the columns and values that the configuration adds.
    pub fn catalog(&self) -> Result<Catalog, Error> {
        Ok(Catalog::with(&self.extra_columns, &self.extra_values)?)
    }

    /// The ledger that it describes.
    pub fn ledger(&self) -> Result<payouts_ledger::Ledger, Error> {
        Ok(payouts_ledger::Ledger::new(&self.data_dir, self.catalog()?, self.sources.clone()))
    }

    /// The database's file.
    pub fn database_path(&self) -> PathBuf {
        self.data_dir.join("payouts.db")
    }

    /// The folder of finished and growing files.
    pub fn files_dir(&self) -> PathBuf {
        self.data_dir.join("files")
    }

    /// What the API's own URLs begin with: `https` with a certificate of its own.
    pub fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// The folder of private keys.
    pub fn keys_dir(&self) -> PathBuf {
        self.data_dir.join("keys")
    }

    /// The file of the keys that sign links.
    pub fn link_keys_path(&self) -> PathBuf {
        self.keys_dir().join("links.json")
    }

    fn check_server(&self) -> Result<(), Error> {
        if !self.dev && self.issuers.is_empty() {
            return Err(Error::Conflict(
                "nobody could sign in: there is no token issuer. Add one to the configuration file and start with --config FILE:\n\n    \
                 public_url = \"https://payouts.example.com\"\n\n    [[issuers]]\n    issuer = \"https://login.example.com/realm\"\n    \
                 audiences = [\"api://payouts\"]\n\nor start with --dev to try the service on this machine with its built-in issuer"
                    .into(),
            ));
        }
        if self.dev && !self.dev_insecure && !self.listen.ip().is_loopback() {
            return Err(Error::Conflict(format!(
                "with --dev anybody who reaches the service can get a token, so it takes loopback addresses only, not {}: \
                 listen on 127.0.0.1:{port}, or configure [[issuers]] and start without --dev \
                 (--dev-insecure-listen {listen} is for containers and CI over a sample ledger)",
                self.listen.ip(),
                port = self.listen.port(),
                listen = self.listen,
            )));
        }
        if self.tls.is_some() && self.public_url.as_ref().is_some_and(|url| url.starts_with("http://")) {
            return Err(Error::Conflict(
                "configuration: [tls] is set, and public_url begins with http://: every link in answers would be dead. \
                 Set public_url = \"https://…\""
                    .into(),
            ));
        }
        if !self.dev && self.public_url.is_none() {
            return Err(Error::Conflict(
                "public_url is not set: links in answers begin with it, since the Host header cannot be trusted. \
                 Set public_url = \"https://…\" in the configuration file, or --public-url"
                    .into(),
            ));
        }
        Ok(())
    }
}
