//! Finished files against the rows that own them, both ways.

use std::io::Read;
use std::path::Path;

use payouts_blob::BlobName;
use payouts_blob::local::{path_under, survey};
use payouts_store::Store as _;
use payouts_store::sqlite::{SqliteStore, StoredFile};
use sha2::{Digest as _, Sha256};

use super::{About, AnyError, Finding};
use crate::Config;

/// Rows that are asked for at a time.
const PAGE: u64 = 500;
const BUFFER_BYTES: usize = 256 * 1024;

/// Compares both ways. Without a database no file has an owner.
pub(super) async fn examine(
    config: &Config,
    store: Option<&SqliteStore>,
    deep: bool,
    findings: &mut Vec<Finding>,
) -> Result<(), AnyError> {
    if let Some(store) = store {
        owned_files(config, store, deep, findings).await?;
    }
    let root = config.files_dir();
    let found = tokio::task::spawn_blocking(move || survey(&root)).await??;
    for (name, path) in found.files {
        if !owned(store, name).await? && path.exists() {
            findings.push(Finding {
                about: About::Files,
                what: format!("no export owns {}", path.display()),
                mend: "a running service deletes it within ten minutes; without one it may be deleted".into(),
            });
        }
    }
    for (path, name) in found.partial {
        // A writer's file takes the blob's name when it is sealed: beside a sealed one nobody writes.
        let owned = match name.filter(|name| !path_under(&config.files_dir(), *name).exists()) {
            Some(name) => owned(store, name).await?,
            None => false,
        };
        if !owned && path.exists() {
            findings.push(Finding {
                about: About::Files,
                what: format!("{} was begun by a worker that is gone", path.display()),
                mend: "the service deletes it at its next start".into(),
            });
        }
    }
    for path in found.strange {
        findings.push(Finding {
            about: About::Files,
            what: format!("{} is no file of the service", path.display()),
            mend: "move it out of the folder: the service leaves it alone for ever".into(),
        });
    }
    Ok(())
}

async fn owned(store: Option<&SqliteStore>, name: BlobName) -> Result<bool, AnyError> {
    let BlobName::ExportFile { export, fence } = name;
    match store {
        Some(store) => Ok(store.owns_file(export, fence).await?),
        None => Ok(false),
    }
}

/// Every file that a row says is there.
async fn owned_files(
    config: &Config,
    store: &SqliteStore,
    deep: bool,
    findings: &mut Vec<Finding>,
) -> Result<(), AnyError> {
    let mut after = 0;
    loop {
        let page = store.files_after(after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = last.seq;
        for row in page {
            let name = BlobName::ExportFile { export: row.export, fence: row.fence };
            let path = path_under(&config.files_dir(), name);
            let (shown, export, expected) = (path.display().to_string(), row.export, row);
            let wrong = tokio::task::spawn_blocking(move || wrong(&path, &expected, deep)).await?;
            // What was deleted since the row was read is as it should be.
            if let Some(wrong) = wrong
                && owned(Some(store), name).await?
            {
                findings.push(Finding {
                    about: About::Files,
                    what: format!("export {export} is Completed, and its file {shown} {wrong}"),
                    mend:
                        "restore the file from a backup, or DELETE the export and ask for it again; its manifest says \
                           what it held"
                            .into(),
                });
            }
        }
    }
}

/// What is wrong with a file, if anything.
fn wrong(path: &Path, row: &StoredFile, deep: bool) -> Option<String> {
    let expected = &row.file;
    match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Some("is missing".into()),
        Err(error) => return Some(format!("cannot be read: {error}")),
        Ok(found) if found.len() != expected.size_bytes => {
            return Some(format!("has {} bytes, not {}", found.len(), expected.size_bytes));
        }
        Ok(_) => {}
    }
    if !deep {
        return None;
    }
    match sha256(path) {
        Ok(found) if found == expected.sha256 => None,
        Ok(found) => Some(format!("has the SHA-256 {found}, not {}", expected.sha256)),
        Err(error) => Some(format!("cannot be read: {error}")),
    }
}

fn sha256(path: &Path) -> std::io::Result<String> {
    let mut file = std::fs::File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finalize().iter().map(|b| format!("{b:02x}")).collect()),
            read => hasher.update(&buffer[..read]),
        }
    }
}
