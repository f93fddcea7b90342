//! What every part of the service shares.

use std::sync::Arc;

use payouts_blob::BlobStore;
use payouts_blob::link::LinkKeys;
use payouts_engine::Engine;
use payouts_ledger::Ledger;
use payouts_model::{Catalog, Clock, ExportId};
use payouts_store::Store;
use tokio::sync::{Notify, broadcast};

use crate::auth::Verifier;
use crate::config::Config;

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
    pub links: LinkKeys,
    /// Checks tokens.
    pub tokens: Verifier,
    /// Who waits for what.
    pub signals: Signals,
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

    /// Ids of Exports as they change.
    pub fn changes(&self) -> broadcast::Receiver<ExportId> {
        self.changes.subscribe()
    }
}
