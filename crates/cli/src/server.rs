//! A service inside this process: started, reachable, stopped in order.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use payouts_model::time::SystemClock;
use payouts_model::{Clock, Timestamp};
use payouts_service::app::{ServeError, serve};
use payouts_service::{App, Config};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::failure::{Context, Failure};

/// How long a service that does not answer has to say why.
const REASON_WAIT: Duration = Duration::from_secs(2);

/// A running service.
pub struct Server {
    /// Where the API listens.
    pub address: SocketAddr,
    /// `http`, or `https`.
    pub scheme: &'static str,
    /// What it is made of.
    pub app: Arc<App>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), ServeError>>,
}

impl Server {
    /// Listens, opens everything, and serves in the background; answers when it does.
    pub async fn start(mut config: Config) -> Result<Self, Failure> {
        let listener = bind(config.listen)?;
        let address = listener.local_addr().context("cannot ask for the port")?;
        config.listen = address;
        let scheme = config.scheme();
        let app = App::open(config, clock()).await.context("the service cannot start")?;
        let (stop, stopped) = oneshot::channel();
        let wait = async move {
            // A dropped sender is a reason to stop, too.
            drop(stopped.await);
        };
        let task = tokio::spawn(serve(app.clone(), listener, wait));
        let mut server = Self { address, scheme, app, stop, task };
        let answered = tokio::select! {
            answered = answers(scheme, address) => answered,
            failure = server.ended() => return Err(failure),
        };
        match answered {
            Ok(()) => Ok(server),
            // A service that ends takes its listener with it: then its own reason is the better one.
            Err(failure) => Err(tokio::time::timeout(REASON_WAIT, server.ended()).await.unwrap_or(failure)),
        }
    }

    /// Until it ends by itself, which it should not.
    pub async fn ended(&mut self) -> Failure {
        match (&mut self.task).await {
            Ok(Ok(())) => Failure::new("the service ended by itself"),
            Ok(Err(error)) => Failure::new("the service ended").because(error),
            Err(error) => Failure::new("the service broke").because(error),
        }
    }

    /// Stops in order, and waits for it.
    pub async fn stop(self) -> Result<(), Failure> {
        // A service that ended by itself has nobody listening here; its result tells.
        let _ = self.stop.send(());
        self.task.await.context("the service broke")?.context("the service ended")
    }
}

/// The system's clock, or a wrong one where a test asks for that.
fn clock() -> Arc<dyn Clock> {
    match payouts_faults::clock_file() {
        None => Arc::new(SystemClock),
        Some(file) => Arc::new(WrongClock(file)),
    }
}

/// The system's clock and as many milliseconds as a file says, which may change at any time.
#[derive(Debug)]
struct WrongClock(PathBuf);

impl Clock for WrongClock {
    fn now(&self) -> Timestamp {
        let wrong_ms = std::fs::read_to_string(&self.0).ok().and_then(|text| text.trim().parse().ok());
        SystemClock.now().plus_ms(wrong_ms.unwrap_or(0))
    }
}

/// Waits until the service answers; the system holds the question until it does.
async fn answers(scheme: &str, address: SocketAddr) -> Result<(), Failure> {
    let reachable = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => SocketAddr::from((Ipv4Addr::LOCALHOST, address.port())),
        IpAddr::V6(ip) if ip.is_unspecified() => SocketAddr::from((Ipv6Addr::LOCALHOST, address.port())),
        _ => address,
    };
    // The certificate names the host that clients ask for, not this address; nothing is told here
    // and nothing but that somebody answers is learned.
    let client = reqwest::Client::builder().tls_danger_accept_invalid_certs(true).build();
    let client = client.context("cannot make an HTTP client")?;
    let answer = client.get(format!("{scheme}://{reachable}/healthz")).send().await;
    answer.and_then(reqwest::Response::error_for_status).context("the service does not answer")?;
    Ok(())
}

fn bind(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).map_err(|e| {
        let taken = e.kind() == std::io::ErrorKind::AddrInUse;
        let failure = Failure::usage(format!("cannot listen on {address}")).because(e);
        if taken {
            failure.try_this("something listens there already: choose another --listen; port 0 takes a free one")
        } else {
            failure.try_this("choose an address of this machine with --listen")
        }
    })
}

/// The signals that ask this process to end.
#[cfg(unix)]
pub struct Signals {
    interrupt: tokio::sync::Mutex<tokio::signal::unix::Signal>,
    terminate: tokio::sync::Mutex<tokio::signal::unix::Signal>,
}

#[cfg(unix)]
impl Signals {
    /// Listens from here on, so that none is missed.
    pub fn new() -> Result<Self, Failure> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?.into(),
            terminate: signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?.into(),
        })
    }

    /// Until the next one.
    pub async fn wait(&self) {
        let (mut interrupt, mut terminate) = (self.interrupt.lock().await, self.terminate.lock().await);
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    }
}

/// The signals that ask this process to end.
#[cfg(not(unix))]
pub struct Signals;

#[cfg(not(unix))]
impl Signals {
    /// Listens from the first wait on.
    pub fn new() -> Result<Self, Failure> {
        Ok(Self)
    }

    /// Until the next one.
    pub async fn wait(&self) {
        drop(tokio::signal::ctrl_c().await);
    }
}
