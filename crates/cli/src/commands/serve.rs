//! `payouts serve`: the service, until a signal ends it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args as ClapArgs;
use payouts_service::Config;
use payouts_service::config::Overrides;

use crate::data;
use crate::failure::Failure;
use crate::server::{Server, Signals};

const EXAMPLES: &str = "\
Examples
  payouts serve --data ./data --dev
  payouts serve --config payouts.toml
  payouts serve --print-defaults > payouts.toml

With --dev anybody who reaches the service can have a token, so it takes loopback addresses only.
Without it tokens are checked against the OIDC issuers of the configuration. SIGTERM and Ctrl-C stop
it in order: running exports are handed back and go on after the next start.";

/// How long threads get once everything has stopped.
const THREADS: Duration = Duration::from_secs(1);

/// Run the service
#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The configuration file (TOML); the command line wins over it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The data directory [default: ./payouts-data, or data_dir of the configuration]
    #[arg(long, value_name = "DIR", env = "PAYOUTS_DATA", hide_env_values = true)]
    data: Option<PathBuf>,
    /// Where the API listens [default: 127.0.0.1:8080]; port 0 takes a free one
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Where /metrics listens, or "none" [default: 127.0.0.1:9464]
    #[arg(long, value_name = "ADDR", value_parser = admin)]
    admin_listen: Option<AdminListen>,
    /// What absolute URLs in answers begin with
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// Switch the built-in token issuer on; loopback addresses only
    #[arg(long)]
    dev: bool,
    /// --dev on an address that is not loopback, for containers and CI: over sample data only
    #[arg(long, value_name = "ADDR", conflicts_with = "listen")]
    dev_insecure_listen: Option<SocketAddr>,
    /// Print the default configuration, with what every setting does, and end
    #[arg(long)]
    print_defaults: bool,
}

#[derive(Clone, Copy, Debug)]
struct AdminListen(Option<SocketAddr>);

fn admin(text: &str) -> Result<AdminListen, String> {
    match text {
        "none" | "" => Ok(AdminListen(None)),
        text => text
            .parse()
            .map(|a| AdminListen(Some(a)))
            .map_err(|_| "neither \"none\" nor an address such as 127.0.0.1:9464".into()),
    }
}

/// Checks the configuration, listens, and serves until a signal.
pub fn run(args: Args) -> Result<(), Failure> {
    if args.print_defaults {
        return crate::console::print(payouts_service::config::DEFAULTS);
    }
    let overrides = Overrides {
        data_dir: args.data,
        listen: args.listen,
        admin_listen: args.admin_listen.map(|AdminListen(address)| address),
        public_url: args.public_url,
        dev: args.dev,
        dev_insecure_listen: args.dev_insecure_listen,
    };
    let config = Config::load(args.config.as_deref(), &overrides)?;
    data::arm_faults(&config)?;
    let runtime = data::runtime()?;
    let ended = runtime.block_on(serve(config));
    // What a thread still waits for, a disk that hangs for instance, must not keep the process.
    runtime.shutdown_timeout(THREADS);
    ended
}

async fn serve(config: Config) -> Result<(), Failure> {
    let insecure = config.dev_insecure;
    if insecure && !config.sources.is_empty() {
        return Err(Failure::usage(
            "--dev-insecure-listen serves sample data only, and the configuration points reports at other tables",
        ));
    }
    let signals = Signals::new()?;
    let mut server = Server::start(config).await?;
    if insecure {
        warn_loudly(&server);
    }
    // Read by people and by scripts that started this on port 0.
    eprintln!("listening on {}://{}", server.scheme, server.address);
    tokio::select! {
        () = signals.wait() => {}
        failure = server.ended() => return Err(failure),
    }
    eprintln!("stopping; a second signal ends it at once");
    tokio::select! {
        result = server.stop() => result,
        () = signals.wait() => Err(Failure::new("ended by a second signal; the next start takes up what was under way")),
    }
}

fn warn_loudly(server: &Server) {
    eprintln!("WARNING ------------------------------------------------------------------");
    eprintln!("WARNING  anybody who reaches {} gets a token for any tenant,", server.address);
    eprintln!("WARNING  without a secret and without encryption. For containers and CI only.");
    eprintln!("WARNING ------------------------------------------------------------------");
}
