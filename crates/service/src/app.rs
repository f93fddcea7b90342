//! What every part of the service shares, how it is opened, and how it is served.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use payouts_blob::BlobStore;
use payouts_blob::link::{Keyring, KeysError};
use payouts_blob::local::LocalBlobs;
use payouts_engine::Engine;
use payouts_ledger::Ledger;
use payouts_model::{Catalog, Clock, ExportId};
use payouts_store::Store;
use payouts_store::sqlite::SqliteStore;
use tokio::sync::{Notify, broadcast};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::audit;
use crate::auth::Verifier;
use crate::config::Config;
use crate::http;
use crate::http::wire::tls::Certificates;
use crate::page;
use crate::shutdown::{Stage, Stop, Tasks};
use crate::worker;

/// How long a connection may be idle between two requests.
const IDLE: Duration = Duration::from_secs(90);
/// How long a client may take to send its first request.
const FIRST_REQUEST: Duration = Duration::from_secs(30);

/// The parts of a running service. Cheap to share behind an `Arc`.
#[derive(Debug)]
pub struct App {
    /// What the operator set.
    pub config: Config,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The reports.
    pub catalog: Catalog,
    /// Their tables.
    pub ledger: Ledger,
    /// Runs plans.
    pub engine: Engine,
    /// Exports and grants.
    pub store: Arc<dyn Store>,
    /// Files.
    pub blobs: Arc<dyn BlobStore>,
    /// Signs and checks file links.
    pub links: Keyring,
    /// Checks tokens.
    pub tokens: Verifier,
    /// The certificate that the API is served with; `None`: plain HTTP.
    pub certificates: Option<Arc<Certificates>>,
    /// How large files may grow.
    pub room: Arc<worker::Room>,
    /// Who waits for what.
    pub signals: Signals,
    /// What requests share.
    pub http: http::Shared,
    /// What the export page keeps: sessions.
    pub page: page::Shared,
    /// Ends of downloads that are being recorded.
    pub trails: TaskTracker,
    /// Cancelled when the service begins to stop: whoever waits lets go.
    pub stop: CancellationToken,
}

/// Why a service does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The configuration, or a table it describes.
    #[error("configuration")]
    Config(#[from] crate::config::Error),
    /// A table that is there cannot be read rightly.
    #[error("ledger")]
    Ledger(#[from] payouts_ledger::Error),
    /// The database.
    #[error("cannot open the database {path}")]
    Store {
        /// Its file.
        path: String,
        /// Why.
        #[source]
        source: payouts_store::Error,
    },
    /// The folder of files.
    #[error("cannot use the folder of files {path}")]
    Blobs {
        /// The folder.
        path: String,
        /// Why.
        #[source]
        source: payouts_blob::Error,
    },
    /// The keys that sign links.
    #[error("cannot use the keys that sign file links")]
    Links(#[from] KeysError),
    /// The token issuers.
    #[error("cannot check tokens")]
    Tokens(#[from] crate::auth::Error),
    /// The certificate.
    #[error("cannot serve with TLS")]
    Tls(#[from] http::wire::tls::Error),
    /// `--dev-insecure-listen` over a ledger that is not a sample.
    #[error(
        "--dev-insecure-listen lets anybody who reaches {listen} read everything, so it serves sample data only, \
         and the ledger under {path} was not made by `payouts sample` alone: use --dev on 127.0.0.1, or configure [[issuers]]"
    )]
    NotASample {
        /// The address.
        listen: SocketAddr,
        /// The data directory.
        path: String,
    },
    /// A thread of the start was lost.
    #[error("the start was interrupted")]
    Interrupted(#[from] tokio::task::JoinError),
}

/// Why a service stops by itself.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A listener cannot be used.
    #[error("cannot serve on {address}")]
    Listen {
        /// Which.
        address: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Worker, sweeper or metrics cannot start.
    #[error("cannot start the worker")]
    Start(#[from] worker::StartError),
    /// A part ended although nobody asked it to.
    #[error("the {task} ended by itself: see the log")]
    Ended {
        /// Which.
        task: &'static str,
    },
}

impl App {
    /// Opens everything that the configuration names. Nothing runs yet: see [`serve`].
    pub async fn open(config: Config, clock: Arc<dyn Clock>) -> Result<Arc<Self>, OpenError> {
        let catalog = config.catalog()?;
        let ledger = config.ledger()?;
        ledger.check().await?;
        if config.dev_insecure && !ledger.made_by_sample().await? {
            let path = config.data_dir.display().to_string();
            return Err(OpenError::NotASample { listen: config.listen, path });
        }
        let database = config.database_path().display().to_string();
        let store = SqliteStore::open(&config.data_dir).await;
        let store = store.map_err(|source| OpenError::Store { path: database, source })?;
        let (files, keys, link_keys) = (config.files_dir(), config.keys_dir(), config.link_keys_path());
        let (blobs, links) = tokio::task::spawn_blocking(move || {
            let path = files.display().to_string();
            let blobs = LocalBlobs::open(files).map_err(|source| OpenError::Blobs { path, source })?;
            make_private(&keys)?;
            Ok::<_, OpenError>((blobs, Keyring::open(link_keys)?))
        })
        .await??;
        let tokens = Verifier::new(&config)?;
        let certificates = config.tls.as_ref().map(Certificates::open).transpose()?.map(Arc::new);
        Ok(Arc::new(Self {
            clock,
            catalog,
            ledger,
            engine: Engine::new(config.engine),
            store: Arc::new(store),
            blobs: Arc::new(blobs),
            links,
            tokens,
            certificates,
            room: worker::Room::new(config.limits.tenant_files_bytes, config.limits.files_bytes),
            signals: Signals::default(),
            http: http::Shared::new(&config.limits),
            page: page::Shared::default(),
            trails: TaskTracker::new(),
            stop: CancellationToken::new(),
            config,
        }))
    }
}

/// Makes the folder of keys, which only its user may enter.
fn make_private(keys: &Path) -> Result<(), KeysError> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(keys).map_err(|source| KeysError::Io { doing: "make the folder of", path: keys.to_owned(), source })
}

/// Signals inside this process. They only shorten waits: whoever waits also looks again by itself.
#[derive(Debug)]
pub struct Signals {
    /// There may be something to claim.
    pub work: Notify,
    changes: broadcast::Sender<ExportId>,
}

impl Default for Signals {
    fn default() -> Self {
        Self { work: Notify::new(), changes: broadcast::channel(1024).0 }
    }
}

impl Signals {
    /// Tells everybody who waits for this Export that it changed.
    pub fn changed(&self, id: ExportId) {
        // Nobody waiting is no error.
        let _ = self.changes.send(id);
    }

    /// How many wait for a change.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.changes.receiver_count()
    }

    /// Ids of Exports as they change.
    pub fn changes(&self) -> broadcast::Receiver<ExportId> {
        self.changes.subscribe()
    }
}

/// Serves the API on `api`, and runs worker, sweeper and metrics, until `stop` completes; then
/// stops in the order of [`crate::shutdown`].
pub async fn serve(app: Arc<App>, api: TcpListener, stop: impl Future<Output = ()>) -> Result<(), ServeError> {
    let address = api.local_addr().map_or_else(|_| app.config.listen.to_string(), |a| a.to_string());
    let server =
        axum_server::from_tcp(api).map_err(|source| ServeError::Listen { address: address.clone(), source })?;
    let mut tasks = Tasks::new();
    worker::background(&app, &mut tasks).await?;
    audit::log_head(&app).await;
    tasks.spawn(Stage::Sweeping, "audit", |stop| audit::run(app.clone(), stop));
    tracing::info!(%address, tls = app.certificates.is_some(), "answering");
    if app.certificates.is_none() && !app.config.listen.ip().is_loopback() {
        tracing::warn!(%address, "tokens and files pass here unencrypted: set [tls], or let only a proxy that does TLS reach this address");
    }
    if let Some(certificates) = app.certificates.clone() {
        tasks.spawn(Stage::Answering, "certificates", |stop| certificates.watch(stop));
    }
    tasks.spawn(Stage::Answering, "api", |stop| answer(app.clone(), server, stop));
    let grace_ms = app.config.shutdown_grace_ms;
    let ended = tasks.run_until(stop, grace_ms).await;
    audit::finish(&app).await;
    ended.map_err(|task| ServeError::Ended { task })
}

/// Answers until told to stop: then nothing more is accepted, whoever is held is woken, and
/// answers under way may end until the grace is over.
async fn answer(app: Arc<App>, server: axum_server::Server<SocketAddr>, stop: Stop) {
    let acceptor = http::wire::Acceptor::new(app.http.wire.clone(), &app.config.limits, app.certificates.clone());
    let handle = axum_server::Handle::new();
    let server = server.acceptor(acceptor).handle(handle.clone()).first_request_timeout(FIRST_REQUEST);
    let mut server = server;
    server.http_builder().http1().header_read_timeout(IDLE);
    let serving = server.serve(http::router(app.clone()).into_make_service());
    tokio::pin!(serving);
    let ended = tokio::select! {
        ended = &mut serving => ended,
        () = stop.begun() => {
            app.stop.cancel();
            handle.graceful_shutdown(None);
            tokio::select! {
                ended = &mut serving => ended,
                () = stop.over() => {
                    handle.shutdown();
                    serving.await
                }
            }
        }
    };
    if let Err(error) = ended {
        tracing::error!(%error, "the API's listener broke");
    }
}
