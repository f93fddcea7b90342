//! `payouts demo`: from nothing to a checked file, and a service to play with.
//!
//! Owns its data directory (a marker file says so): what another day's demo made there is made
//! anew. A directory that is not its own is never touched.

mod browser;
mod show;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Instant;

use chrono::NaiveDate;
use clap::Args as ClapArgs;
use payouts_ledger::sample::{Made, Options};
use payouts_model::{FileFormat, Grant, Pair, PrincipalId, ReportName, Role, TenantId};
use payouts_service::Config;
use payouts_service::auth::Caller;
use payouts_service::auth::dev::TokenRequest;
use payouts_store::Store as _;
use serde::{Deserialize, Serialize};

use crate::client::{Ask, Client, Event, Fetched};
use crate::commands::export::View;
use crate::commands::sample;
use crate::console;
use crate::data;
use crate::failure::{Context, Failure};
use crate::server::{Server, Signals};

const EXAMPLES: &str = "\
Examples
  payouts demo
  payouts demo --once
  payouts demo --no-open
  payouts demo --rows 2000000 --data ./demo --listen 127.0.0.1:8088";

/// The tenant that the demo grants everything to.
const TENANT: &str = "demo";
const PRINCIPAL: &str = "you";
const MARKER: &str = "payouts-demo.json";
const PORT: u16 = 8080;
const SEED: u64 = 1;

/// Make sample data, run the service over it, make and check one export, show what to try next
#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Where the demo keeps its data [default: payouts/demo in your cache folder]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Payments; earnings are a tenth of it
    #[arg(long, value_name = "N", default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    rows: u64,
    /// Where the service listens, a loopback address [default: 127.0.0.1:8080 if it is free]
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// End after the export was checked
    #[arg(long)]
    once: bool,
    /// Do not open the page in a browser
    #[arg(long)]
    no_open: bool,
}

/// What a demo directory was made with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Marker {
    rows: u64,
    until: NaiveDate,
    version: String,
    participants: Vec<String>,
    programs: Vec<String>,
}

/// Sample, service, export, check, show; then serve on.
pub fn run(args: Args) -> Result<(), Failure> {
    let dir = match args.data {
        Some(dir) => dir,
        None => cache_dir(),
    };
    let today = data::now().date();
    let marker = prepare(&dir, args.rows, today)?;
    data::runtime()?.block_on(async {
        let signals = Signals::new()?;
        let config = Config::dev(&dir, free_address(args.listen).await)?;
        grant_everything(&dir).await?;
        let token = token(&config)?;
        let mut server = Server::start(config).await?;
        let url = format!("http://{}", server.address);
        eprintln!("2. the service listens on {url}");
        let filter = filter(&marker, today);
        let out = dir.join("demo-export.zip");
        let fetched = round_trip(&url, &token, &filter, &out).await?;
        show::file(&out, &fetched)?;
        if args.once {
            return server.stop().await;
        }
        let caller = Caller { tenant: TenantId::new(TENANT), principal: PrincipalId::new(PRINCIPAL) };
        let page = format!("{url}{}", server.app.page.links.make(caller, data::now()));
        show::what_next(&url, &page, &token, &marker.participants, &dir)?;
        if !args.no_open {
            browser::open(&page);
        }
        tokio::select! {
            () = signals.wait() => {}
            failure = server.ended() => return Err(failure),
        }
        eprintln!("stopping");
        server.stop().await
    })
}

/// `$XDG_CACHE_HOME` or `~/.cache`, else the folder for temporary files.
fn cache_dir() -> PathBuf {
    let set = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let base = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")));
    base.unwrap_or_else(std::env::temp_dir).join("payouts").join("demo")
}

/// Sample ledgers that end today; those of another day, size or version are made anew.
fn prepare(dir: &Path, rows: u64, today: NaiveDate) -> Result<Marker, Failure> {
    let path = dir.join(MARKER);
    let found: Option<Marker> = std::fs::read_to_string(&path).ok().and_then(|text| serde_json::from_str(&text).ok());
    let version = env!("CARGO_PKG_VERSION");
    if let Some(marker) = found.as_ref().filter(|m| m.rows == rows && m.until == today && m.version == version) {
        eprintln!(
            "1. today's sample of {} is in {} already",
            console::count(rows, "payment", "payments"),
            dir.display()
        );
        return Ok(marker.clone());
    }
    let context = || format!("cannot prepare the demo directory {}", dir.display());
    std::fs::create_dir_all(dir).context(context())?;
    if !path.exists() && std::fs::read_dir(dir).context(context())?.next().is_some() {
        return Err(Failure::usage(format!("{} is not empty, and no demo made it", dir.display())).try_this(
            "the demo makes its data anew every day, so it needs a directory of its own: give another --data",
        ));
    }
    // Another demo may be serving from here; its data is not taken from under it. The lock is held
    // until everything is made.
    let _locked = payouts_service::worker::Node::open(dir).context(context())?;
    // The marker stands first, so that a demo that was interrupted finds its own again.
    let marker = Marker { rows: 0, until: today, version: version.into(), participants: vec![], programs: vec![] };
    write_marker(&path, &marker)?;
    for name in ["ledger", "files", "payouts.db", "payouts.db-wal", "payouts.db-shm", "demo-export.zip"] {
        remove(&dir.join(name)).context(context())?;
    }
    let started = Instant::now();
    let options = Options { rows, earnings: rows / 10, participants: None, seed: SEED, until: today };
    let Made { participants, programs, .. } = sample::make(dir, &options)?;
    eprintln!(
        "1. made {} and {} up to {today} in {} ({:.1} s)",
        console::count(rows, "payment", "payments"),
        console::count(rows / 10, "earning", "earnings"),
        dir.display(),
        started.elapsed().as_secs_f64()
    );
    let marker = Marker { rows, participants, programs, ..marker };
    write_marker(&path, &marker)?;
    Ok(marker)
}

fn write_marker(path: &Path, marker: &Marker) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(marker).context("cannot write the demo's marker")?;
    std::fs::write(path, text).context(format!("cannot write {}", path.display()))
}

fn remove(path: &Path) -> std::io::Result<()> {
    let result = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    match result {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// The usual port if it is free.
async fn free_address(listen: Option<SocketAddr>) -> SocketAddr {
    if let Some(address) = listen {
        return address;
    }
    let usual = SocketAddr::from(([127, 0, 0, 1], PORT));
    match tokio::net::TcpListener::bind(usual).await {
        Ok(_) => usual,
        Err(_) => SocketAddr::from(([127, 0, 0, 1], 0)),
    }
}

async fn grant_everything(dir: &Path) -> Result<(), Failure> {
    let store = data::store(dir).await?;
    let grant = Grant {
        tenant: TenantId::new(TENANT),
        principal: None,
        pair: Pair { participant: None, program: None },
        role: Role::Viewer,
        until: None,
    };
    store.grant(&[grant], &data::by()).await.context("cannot grant the demo tenant its rows")?;
    store.close().await;
    Ok(())
}

fn token(config: &Config) -> Result<String, Failure> {
    let issuer = payouts_service::auth::dev_issuer(&config.keys_dir())?;
    let request = TokenRequest {
        lifetime_seconds: 24 * 3600,
        ..TokenRequest::new(TenantId::new(TENANT), PrincipalId::new(PRINCIPAL), data::now())
    };
    Ok(issuer.sign(&request)?)
}

/// Many parts, parentheses, dates, amounts, an `in` list and a null-safe comparison.
fn filter(marker: &Marker, today: NaiveDate) -> String {
    let quoted = |text: &String| format!("'{}'", text.replace('\'', "''"));
    let participants: Vec<String> = marker.participants.iter().take(3).map(quoted).collect();
    let from = today.checked_sub_months(chrono::Months::new(12)).unwrap_or(today);
    format!(
        "(enrollmentParticipantId in ({ids})) and (payoutStatusUpdateTS ge {from} and payoutStatusUpdateTS le {today}) \
         and ((paymentAmount ge 250 and paymentStatus eq 'SENT') or paymentAmount lt 0) and not (payoutOrderType eq 'FEE')",
        ids = participants.join(", ")
    )
}

async fn round_trip(url: &str, token: &str, filter: &str, out: &Path) -> Result<Fetched, Failure> {
    eprintln!(
        "3. asking it for an export, as a client would:\n   POST {url}/v1.0/payouts/payments?$filter=…\n   {filter}"
    );
    let started = Instant::now();
    let client = Client::new(url, token)?;
    let view = View::new();
    let observer = |event: Event<'_>| view.show(event);
    let ask = Ask {
        report: ReportName::Payments,
        filter: Some(filter.to_owned()),
        format: Some(FileFormat::DEFAULT),
        select: Some("*,payoutOrderType,payoutStatusUpdateTS".into()),
        time_zone: None,
    };
    let export = client.ask(&ask, &observer).await?;
    let fetched = client.fetch(ask.report, export, out, &observer).await;
    view.bar.finish_and_clear();
    let fetched = fetched?;
    eprintln!(
        "4. downloaded and checked against the manifest in {:.1} s: {}, {}, SHA-256 {}",
        started.elapsed().as_secs_f64(),
        console::count(fetched.checked.rows, "row", "rows"),
        console::size(fetched.checked.bytes),
        fetched.checked.sha256
    );
    Ok(fetched)
}
