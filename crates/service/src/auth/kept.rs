//! An issuer's keys on disk, so that a service that starts while the issuer is out of reach still
//! knows whom to believe.
//!
//! Invariants: whoever can write these files can sign in as anybody, so they stand in the folder of
//! private keys and are not believed if others may write them; a file names its issuer and the
//! address of its keys, and is of use to these alone; a file that cannot be read or written is no
//! outage, only a line in the log. How old keys may be is decided where they are used.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use payouts_model::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::dev::{create_private_dir, private_file};

/// A larger file was not written here.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// The place of one issuer's keys.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    path: PathBuf,
    issuer: String,
    discovery_url: String,
}

#[derive(Deserialize, Serialize)]
struct Document {
    issuer: String,
    discovery_url: String,
    /// Microseconds since 1970.
    fetched_at_us: i64,
    keys: Vec<Value>,
}

impl Kept {
    /// In `folder`, under a name that is the issuer's alone.
    pub(super) fn new(folder: &Path, issuer: &str, discovery_url: &str) -> Self {
        let digest = Sha256::digest(format!("{issuer}\n{discovery_url}"));
        let name: String = digest[..12].iter().map(|byte| format!("{byte:02x}")).collect();
        Self { path: folder.join(format!("{name}.json")), issuer: issuer.into(), discovery_url: discovery_url.into() }
    }

    /// The keys and when they were fetched; `None` if there are none to be believed.
    pub(super) fn load(&self) -> Option<(Vec<Value>, Timestamp)> {
        match self.read() {
            Ok(found) => found,
            Err(reason) => {
                tracing::warn!(path = %self.path.display(), reason, "kept keys of a token issuer are not used");
                None
            }
        }
    }

    fn read(&self) -> Result<Option<(Vec<Value>, Timestamp)>, String> {
        let file = match std::fs::File::open(&self.path) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e.to_string()),
        };
        #[cfg(unix)]
        {
            let permissions = file.metadata().map_err(|e| e.to_string())?.permissions();
            if std::os::unix::fs::PermissionsExt::mode(&permissions) & 0o022 != 0 {
                return Err("other users may write it: delete it to have it made anew".into());
            }
        }
        let mut text = String::new();
        file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(|e| e.to_string())?;
        let document: Document = serde_json::from_str(&text).map_err(|e| e.to_string())?;
        if document.issuer != self.issuer || document.discovery_url != self.discovery_url {
            return Err(format!("it holds the keys of {}", document.issuer));
        }
        Ok(Some((document.keys, Timestamp(document.fetched_at_us))))
    }

    /// Keeps the keys in place of those that are there.
    pub(super) async fn save(&self, keys: Vec<Value>, at: Timestamp) {
        let own = self.clone();
        let saved = tokio::task::spawn_blocking(move || own.write(keys, at)).await;
        let failure = match saved {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(broken) => broken.to_string(),
        };
        tracing::warn!(path = %self.path.display(), reason = failure, "a token issuer's keys cannot be kept");
    }

    fn write(&self, keys: Vec<Value>, at: Timestamp) -> std::io::Result<()> {
        let folder = self.path.parent().expect("the path was made by joining a name to a folder");
        create_private_dir(folder)?;
        let document = Document {
            issuer: self.issuer.clone(),
            discovery_url: self.discovery_url.clone(),
            fetched_at_us: at.0,
            keys,
        };
        let temporary = self.path.with_extension(format!("{}.new", uuid::Uuid::new_v4().simple()));
        let mut file = private_file(&temporary)?;
        let written = serde_json::to_vec(&document)
            .map_err(std::io::Error::from)
            .and_then(|bytes| file.write_all(&bytes))
            .and_then(|()| file.sync_all())
            .and_then(|()| std::fs::rename(&temporary, &self.path));
        if written.is_err() {
            // The first failure is the one to tell; what is left behind is small and not read.
            let _ = std::fs::remove_file(&temporary);
        }
        written
    }
}
