//! Who this process is in the store's eyes, and what it puts right when it starts.
//!
//! The id lies in the data directory, so that a restarted process is the same node and takes back
//! at once what its dead predecessor held. The file is locked while the process lives: two
//! services over one directory would take each other's work away.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use tracing::info;
use uuid::Uuid;

use crate::App;

const FILE_NAME: &str = "node";

/// Why the service does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another one is running.
    #[error("another payouts service is running over {path}: stop it, or start this one with another --data")]
    InUse {
        /// The data directory.
        path: String,
    },
    /// The node's file.
    #[error("cannot use {path}")]
    NodeFile {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The address for metrics.
    #[error("cannot listen on {address} for metrics (admin_listen): choose another address, or none")]
    AdminListen {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The store.
    #[error("cannot take back what the last run held")]
    Store(#[from] payouts_store::Error),
    /// The files.
    #[error("cannot clean up after the last run")]
    Blobs(#[from] payouts_blob::Error),
}

/// This process as the holder of leases.
#[derive(Debug)]
pub struct Node {
    id: String,
    /// Locked for as long as it is open.
    _file: File,
}

impl Node {
    /// The node of this data directory, made at the first start. Fails if another process is it.
    pub fn open(data_dir: &Path) -> Result<Self, StartError> {
        let path = data_dir.join(FILE_NAME);
        let node_file = |source| StartError::NodeFile { path: path.display().to_string(), source };
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&path).map_err(node_file)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StartError::InUse { path: data_dir.display().to_string() }),
            Err(TryLockError::Error(source)) => return Err(node_file(source)),
        }
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(node_file)?;
        let id = match Uuid::parse_str(text.trim()) {
            Ok(id) => id.to_string(),
            Err(_) => {
                // New, or its writing was cut short: nobody has held a lease under it.
                let id = Uuid::new_v4().to_string();
                file.set_len(0).map_err(node_file)?;
                file.rewind().map_err(node_file)?;
                file.write_all(id.as_bytes()).and_then(|()| file.sync_all()).map_err(node_file)?;
                id
            }
        };
        Ok(Self { id, _file: file })
    }

    /// The id that leases carry.
    pub fn id(&self) -> &str {
        &self.id
    }
}

/// At start, before anything is claimed: becomes the node, deletes what dead writers left, and
/// ends the leases of the dead predecessor, so that its Exports are claimed at once. Sealed files
/// that nobody owns are left to the sweeper's first round.
pub async fn prepare(app: &Arc<App>) -> Result<Node, StartError> {
    let node = Node::open(&app.config.data_dir)?;
    let files_deleted = app.blobs.clean().await?;
    let taken_back = app.store.take_back(node.id(), app.clock.now()).await?;
    // The clock may have been far ahead in the last run.
    super::pull_back(app).await?;
    if files_deleted + taken_back > 0 {
        info!(files_deleted, taken_back, "took back what the last run left");
    }
    Ok(node)
}
