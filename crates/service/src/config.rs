//! What an operator sets: a TOML file over commented defaults.

use std::net::SocketAddr;
use std::path::PathBuf;

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
}
