//! The keys that sign links, kept in a file that is private to the user.
//!
//! The file is JSON: `{"keys": [{"id": "…", "secret": "…", "supersededAt": "…"}]}`, oldest first,
//! secrets base64url. The newest signs, all verify, so that links outlive a rotation; a key that
//! was superseded longer ago than any link lives is dropped. Secrets have 256 bits and are never
//! printed. The file is replaced whole or not at all, and one change waits for another.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use payouts_model::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

const SECRET_BYTES: usize = 32;

/// A key.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) id: String,
    pub(super) secret: Vec<u8>,
    /// When a newer one took its place; `None` for the newest.
    pub(super) superseded_at: Option<Timestamp>,
}

/// What may be shown of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyInfo {
    /// Its id, as links name it.
    pub id: String,
    /// When a newer one took its place; `None` for the one that signs.
    pub superseded_at: Option<Timestamp>,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The keys that sign links.
#[derive(Clone, Debug)]
pub struct LinkKeys {
    /// Never empty; the last is the newest.
    pub(super) keys: Vec<Key>,
}

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The file cannot be read or written.
    #[error("cannot {doing} the link keys in {}", path.display())]
    Io {
        /** what was tried */
        doing: &'static str,
        /** where */
        path: PathBuf,
        /** cause */
        #[source]
        source: io::Error,
    },
    /// Others than its owner could read or change the file.
    #[error("the link keys in {} are open to other users (mode {mode:03o}): make the file private with chmod 600", path.display())]
    Exposed {
        /** where */
        path: PathBuf,
        /** its permission bits */
        mode: u32,
    },
    /// The file does not hold what it should.
    #[error("the link keys in {} cannot be used: {reason}; restore the file, or delete it to have new keys made (links that are out will die)", path.display())]
    Invalid {
        /** where */
        path: PathBuf,
        /** what is wrong */
        reason: String,
    },
    /// The system gives no randomness.
    #[error("the system's random generator failed")]
    Random,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFile {
    keys: Vec<KeyRecord>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct KeyRecord {
    id: String,
    secret: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    superseded_at: Option<String>,
}

impl LinkKeys {
    /// The keys in the file, which is made with one new key if it is not there. Blocks.
    pub fn load_or_create(path: impl AsRef<Path>) -> Result<Self, KeysError> {
        let path = path.as_ref();
        match Self::load(path) {
            Err(KeysError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Self::generate()?.create(path)?;
                // Another process may have been first: what is in the file counts.
                Self::load(path)
            }
            loaded => loaded,
        }
    }

    /// One new key, kept nowhere: its links die with it.
    pub fn generate() -> Result<Self, KeysError> {
        Ok(Self { keys: vec![new_key()?] })
    }

    /// Puts a new key into the file, which signs from now on. The older ones go on verifying the
    /// links that are out, unless `drop_old` gives them up with all their links. Blocks.
    pub fn rotate(path: impl AsRef<Path>, drop_old: bool, now: Timestamp) -> Result<Self, KeysError> {
        let path = path.as_ref();
        let _lock = lock(path)?;
        let mut rotated = Self::load_or_create(path)?;
        if drop_old {
            rotated.keys.clear();
        }
        for key in &mut rotated.keys {
            key.superseded_at.get_or_insert(now);
        }
        rotated.keys.push(new_key()?);
        rotated.replace(path)?;
        Ok(rotated)
    }

    /// Drops from the file the keys that were superseded before `before`, and answers how many.
    /// Blocks.
    pub fn drop_superseded(path: impl AsRef<Path>, before: Timestamp) -> Result<usize, KeysError> {
        let path = path.as_ref();
        let old = |key: &Key| key.superseded_at.is_some_and(|at| at < before);
        if !Self::load(path)?.keys.iter().any(old) {
            return Ok(0);
        }
        let _lock = lock(path)?;
        // Read again: somebody may have rotated before the lock was ours.
        let mut keys = Self::load(path)?;
        let there = keys.keys.len();
        keys.keys.retain(|key| !old(key));
        keys.replace(path)?;
        Ok(there - keys.keys.len())
    }

    /// The keys, oldest first, without their secrets.
    pub fn infos(&self) -> Vec<KeyInfo> {
        self.keys.iter().map(|key| KeyInfo { id: key.id.clone(), superseded_at: key.superseded_at }).collect()
    }

    /// The key that signs.
    pub(super) fn newest(&self) -> &Key {
        self.keys.last().expect("there is always a key")
    }

    /// The key of this id.
    pub(super) fn find(&self, id: &str) -> Option<&Key> {
        self.keys.iter().find(|key| key.id == id)
    }

    pub(super) fn load(path: &Path) -> Result<Self, KeysError> {
        let failed = |source| KeysError::Io { doing: "read", path: path.to_owned(), source };
        check_private(path, &fs::metadata(path).map_err(failed)?)?;
        let text = fs::read_to_string(path).map_err(failed)?;
        let invalid = |reason: String| KeysError::Invalid { path: path.to_owned(), reason };
        // The reader's message could repeat what it read, so only the place is told.
        let file: KeyFile = serde_json::from_str(&text)
            .map_err(|e| invalid(format!("line {}, column {} is not as expected", e.line(), e.column())))?;
        let mut keys: Vec<Key> = Vec::new();
        for KeyRecord { id, secret, superseded_at } in file.keys {
            let number = keys.len() + 1;
            let secret = URL_SAFE_NO_PAD.decode(secret).unwrap_or_default();
            if secret.len() < SECRET_BYTES {
                return Err(invalid(format!(
                    "the secret of key {number} is not base64url of at least {SECRET_BYTES} bytes"
                )));
            }
            if id.is_empty() || keys.iter().any(|key| key.id == id) {
                return Err(invalid(format!("the id of key {number} is empty or comes twice")));
            }
            let instant = |text: String| chrono::DateTime::parse_from_rfc3339(&text).map(|at| at.to_utc().into());
            let superseded_at = superseded_at
                .map(instant)
                .transpose()
                .map_err(|_| invalid(format!("the supersededAt of key {number} is not an instant")))?;
            keys.push(Key { id, secret, superseded_at });
        }
        // Whatever the file says of the last one: it signs.
        if let Some(newest) = keys.last_mut() {
            newest.superseded_at = None;
        }
        if keys.is_empty() { Err(invalid("there is no key in it".into())) } else { Ok(Self { keys }) }
    }

    /// Makes the file unless it is there.
    fn create(&self, path: &Path) -> Result<(), KeysError> {
        let failed = |source| KeysError::Io { doing: "create", path: path.to_owned(), source };
        let temporary = self.write_beside(path)?;
        // Unlike a rename, a link never takes the place of a file that another process just made.
        // Where the file system has no links, the rename has to do.
        match fs::hard_link(&temporary, path) {
            Ok(()) => fs::remove_file(&temporary),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => fs::remove_file(&temporary),
            Err(_) => fs::rename(&temporary, path),
        }
        .and_then(|()| sync_folder_of(path))
        .map_err(failed)
    }

    /// Puts the keys in the place of the file.
    fn replace(&self, path: &Path) -> Result<(), KeysError> {
        let temporary = self.write_beside(path)?;
        let replaced = fs::rename(&temporary, path).and_then(|()| sync_folder_of(path));
        replaced.map_err(|source| KeysError::Io { doing: "replace", path: path.to_owned(), source })
    }

    /// Writes and syncs a private file in the same folder.
    fn write_beside(&self, path: &Path) -> Result<PathBuf, KeysError> {
        let record = |key: &Key| KeyRecord {
            id: key.id.clone(),
            secret: URL_SAFE_NO_PAD.encode(&key.secret),
            superseded_at: key.superseded_at.map(|at| at.to_string()),
        };
        let file = KeyFile { keys: self.keys.iter().map(record).collect() };
        let mut text = serde_json::to_string_pretty(&file).expect("texts are always JSON");
        text.push('\n');
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}", Uuid::new_v4().simple()));
        let temporary = path.with_file_name(name);
        let write = || {
            let mut options = OpenOptions::new();
            options.write(true).create_new(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            let mut file = options.open(&temporary)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()
        };
        write().map_err(|source| {
            // Best effort: the error itself matters more than what is left.
            let _ = fs::remove_file(&temporary);
            KeysError::Io { doing: "write", path: path.to_owned(), source }
        })?;
        Ok(temporary)
    }
}

fn new_key() -> Result<Key, KeysError> {
    let (mut id, mut secret) = ([0; 9], vec![0; SECRET_BYTES]);
    aws_lc_rs::rand::fill(&mut id).map_err(|_| KeysError::Random)?;
    aws_lc_rs::rand::fill(&mut secret).map_err(|_| KeysError::Random)?;
    Ok(Key { id: URL_SAFE_NO_PAD.encode(id), secret, superseded_at: None })
}

/// Waits for whoever is changing the file, and keeps others waiting until it is dropped. Readers
/// need no lock: the file is replaced whole.
fn lock(path: &Path) -> Result<File, KeysError> {
    let name = path.with_extension("lock");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let locked = options.open(&name).and_then(|file| file.lock().map(|()| file));
    locked.map_err(|source| KeysError::Io { doing: "lock", path: path.to_owned(), source })
}

fn check_private(path: &Path, metadata: &fs::Metadata) -> Result<(), KeysError> {
    #[cfg(unix)]
    {
        let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o777;
        if mode & 0o077 != 0 {
            return Err(KeysError::Exposed { path: path.to_owned(), mode });
        }
    }
    // Elsewhere access lists rule, which the folder hands down.
    let _ = (path, metadata);
    Ok(())
}

fn sync_folder_of(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if cfg!(unix) => {
            let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
            File::open(folder)?.sync_all()
        }
        _ => Ok(()),
    }
}
