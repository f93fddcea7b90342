//! A service of its own for each test: real parts in a temporary folder, a clock that is moved.

use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use futures::StreamExt;
use payouts_blob::BlobName;
use payouts_ledger::{Ledger, Sources, sample};
use payouts_model::export::Query;
use payouts_model::time::ManualClock;
use payouts_model::{
    Catalog, Clock, Export, ExportId, FileFormat, PrincipalId, Role, Scope, TenantId, Timestamp, Viewer,
};
use payouts_package::manifest::Manifest;
use payouts_store::{AcceptLimits, Accepted, CreateExport};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{PATIENCE, PAYMENTS, ROWS};
use crate::shutdown::Stop;
use crate::worker::{prepare, run};
use crate::{App, Config};

/// A ledger that all tests read.
static LEDGER: LazyLock<TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let until = "2026-06-30".parse().expect("a date");
    let options = sample::Options { rows: ROWS, earnings: 10, participants: Some(20), seed: 7, until };
    sample::make(folder.path(), &Catalog::builtin(), &options, &|_, _| {}).expect("a sample");
    folder
});

/// A service of its own over the ledger of all.
pub(crate) struct Bench {
    pub app: Arc<App>,
    pub clock: ManualClock,
    pub folder: TempDir,
}

impl Bench {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(super) async fn with(change: impl FnOnce(&mut App)) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let clock = ManualClock::new(Timestamp(1_780_000_000_000_000));
        let app = open(folder.path(), &clock, change).await;
        Self { app, clock, folder }
    }

    /// Queues an export as a request would.
    pub(crate) async fn ask(&self, change: impl FnOnce(&mut CreateExport)) -> ExportId {
        let report = self.app.catalog.report(PAYMENTS);
        let mut create = CreateExport {
            id: ExportId(uuid::Uuid::new_v4()),
            report: PAYMENTS,
            tenant: TenantId::new("t"),
            principal: PrincipalId::new("p"),
            query: Query {
                text: String::new(),
                filter: String::new(),
                columns: report.default_columns().iter().map(|&i| report.fields[i].name.to_string()).collect(),
                format: FileFormat::parse("csv").expect("a format"),
                time_zone: "UTC".to_owned(),
                now: self.clock.now(),
            },
            scope: Scope::everything(),
            warnings: Vec::new(),
            idempotency: None,
            created_at: self.clock.now(),
            trace: None,
        };
        change(&mut create);
        match self.app.store.accept(create, AcceptLimits::of_tenant_queue(100)).await.expect("accept") {
            Accepted::New { export, .. } => {
                self.app.signals.work.notify_one();
                export.id
            }
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn see(&self, id: ExportId) -> Export {
        self.app.store.find(&viewer(), PAYMENTS, id).await.expect("find").expect("visible").export
    }

    /// Waits until the Export is as asked.
    pub(super) async fn until(&self, id: ExportId, what: impl Fn(&Export) -> bool) -> Export {
        let mut changes = self.app.signals.changes();
        let wait = async {
            loop {
                let export = self.see(id).await;
                if what(&export) {
                    return export;
                }
                // A lost or missed signal only costs the second.
                let _ = timeout(Duration::from_secs(1), changes.recv()).await;
            }
        };
        timeout(PATIENCE, wait).await.expect("the export gets there")
    }

    pub(crate) async fn until_ended(&self, id: ExportId) -> Export {
        self.until(id, |e| e.status.ended()).await
    }

    pub(crate) async fn start(&self) -> (Stop, JoinHandle<()>) {
        let node = prepare(&self.app).await.expect("the node");
        let stop = Stop::new();
        (stop.clone(), tokio::spawn(run(self.app.clone(), node, stop)))
    }

    /// Passes a retry's delay.
    pub(super) fn pass_delay(&self) {
        self.clock.advance_ms(10_000);
        self.app.signals.work.notify_one();
    }

    pub(super) async fn manifest(&self, id: ExportId) -> Manifest {
        let text = self.app.store.manifest(&viewer(), PAYMENTS, id).await.expect("read").expect("a manifest");
        Manifest::from_json(&text).expect("JSON")
    }

    pub(super) fn partial_files(&self) -> usize {
        std::fs::read_dir(self.app.config.files_dir().join("partial")).expect("the folder").count()
    }
}

async fn open(data_dir: &Path, clock: &ManualClock, change: impl FnOnce(&mut App)) -> Arc<App> {
    let mut config = Config::dev(data_dir, "127.0.0.1:0".parse().expect("an address")).expect("a configuration");
    config.engine.threads = 1;
    config.workers = 1;
    let mut app = App::open(config, Arc::new(clock.clone())).await.expect("the parts");
    let own = Arc::get_mut(&mut app).expect("nobody else has it yet");
    own.ledger = Ledger::new(LEDGER.path(), Catalog::builtin(), Sources::default());
    change(own);
    app
}

/// Who asked.
pub(super) fn viewer() -> Viewer {
    Viewer {
        tenant: TenantId::new("t"),
        principal: PrincipalId::new("p"),
        role: Role::Viewer,
        scope: Scope::everything(),
    }
}

/// Stops a worker and waits for it.
pub(super) async fn stopped(stop: Stop, worker: JoinHandle<()>) {
    stop.end();
    timeout(PATIENCE, worker).await.expect("it stops").expect("it does not panic");
}

/// The bytes of an Export's file.
pub(super) async fn content(app: &App, export: &Export) -> Vec<u8> {
    let file = export.file.as_ref().expect("a file");
    let name = BlobName::ExportFile { export: export.id, fence: file.fence };
    let mut stream = app.blobs.read(name, 0..file.size_bytes).await.expect("open");
    let mut bytes = Vec::new();
    while let Some(part) = stream.next().await {
        bytes.extend_from_slice(&part.expect("read"));
    }
    bytes
}
