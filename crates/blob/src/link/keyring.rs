//! The keys of a running service: those of the file as it is now, so that a rotation is at work
//! without a restart.
//!
//! Invariants: every use looks whether the file is another one than it was and reads it then; a
//! file that cannot be read leaves the keys that are loaded, and is logged once.

use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use payouts_model::Timestamp;
use tracing::{info, warn};

use super::{KeysError, Link, LinkError, LinkKeys};

/// Keys that follow their file.
#[derive(Debug)]
pub struct Keyring {
    path: PathBuf,
    loaded: RwLock<Loaded>,
}

#[derive(Clone, Debug)]
struct Loaded {
    keys: Arc<LinkKeys>,
    /// What the file was when it was read, or when reading it failed.
    seen: Option<Seen>,
}

/// What tells one file from another that took its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    modified: Option<SystemTime>,
    size_bytes: u64,
    inode: u64,
}

impl Seen {
    fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        Some(Self { modified: metadata.modified().ok(), size_bytes: metadata.len(), inode: inode(&metadata) })
    }
}

#[cfg(unix)]
fn inode(metadata: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(metadata)
}

#[cfg(not(unix))]
fn inode(_metadata: &Metadata) -> u64 {
    0
}

impl Keyring {
    /// The keys in the file, which is made with one new key if it is not there. Blocks.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, KeysError> {
        let path = path.into();
        // Looked at before it is read: a change in between is seen at the next use.
        let seen = Seen::of(&path);
        let keys = Arc::new(LinkKeys::load_or_create(&path)?);
        Ok(Self { path, loaded: RwLock::new(Loaded { keys, seen }) })
    }

    /// See [`LinkKeys::sign`].
    pub fn sign(&self, link: &Link) -> String {
        self.current().sign(link)
    }

    /// See [`LinkKeys::verify`].
    pub fn verify(&self, file: &str, name: &str, query: &str, now: Timestamp) -> Result<Link, LinkError> {
        self.current().verify(file, name, query, now)
    }

    /// Drops keys from the file that were superseded before `before`, and answers how many. Blocks.
    pub fn drop_superseded(&self, before: Timestamp) -> Result<usize, KeysError> {
        LinkKeys::drop_superseded(&self.path, before)
    }

    /// The keys of the file as it is now. One look at the file's name, which costs about as much
    /// as the signature.
    fn current(&self) -> Arc<LinkKeys> {
        let seen = Seen::of(&self.path);
        let loaded = self.loaded.read().unwrap_or_else(PoisonError::into_inner).clone();
        if loaded.seen == seen {
            return loaded.keys;
        }
        let mut own = self.loaded.write().unwrap_or_else(PoisonError::into_inner);
        match LinkKeys::load(&self.path) {
            Ok(keys) => {
                info!(keys = keys.infos().len(), "the link keys were read again");
                own.keys = Arc::new(keys);
            }
            Err(error) => {
                warn!(
                    error = &error as &dyn std::error::Error,
                    "the link keys cannot be read again: the loaded ones stay"
                );
            }
        }
        own.seen = seen;
        own.keys.clone()
    }
}
