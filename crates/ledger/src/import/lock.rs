//! The place where an import works: one at a time per table, with a scratch folder of its own.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use payouts_model::ReportName;

use super::output;
use crate::Error;

/// The lock on a table's imports and the scratch folder, which goes when it is dropped.
#[derive(Debug)]
pub(crate) struct Workplace {
    scratch: PathBuf,
    _lock: File,
}

impl Workplace {
    /// Waits until no other import into the table at `root` is under way (in whatever process),
    /// then deletes what a killed one left behind.
    pub fn enter(root: &Path, report: ReportName) -> Result<Self, Error> {
        let folder = root.parent().unwrap_or(root);
        let path = folder.join(format!(".{report}.import.lock"));
        let doing = |context: String| move |source| Error::Io { context, source };
        std::fs::create_dir_all(folder).map_err(doing(format!("making {}", folder.display())))?;
        let lock = File::options()
            .create(true)
            .append(true)
            .open(&path)
            .map_err(doing(format!("opening {}", path.display())))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                tracing::info!(%report, "waiting for another import to end");
                lock.lock().map_err(doing(format!("locking {}", path.display())))?;
            }
            Err(TryLockError::Error(e)) => return Err(doing(format!("locking {}", path.display()))(e)),
        }
        let scratch = folder.join(format!(".{report}.import"));
        if scratch.exists() {
            output::sweep(&scratch, root).map_err(doing(format!("cleaning {}", root.display())))?;
            std::fs::remove_dir_all(&scratch).map_err(doing(format!("cleaning {}", scratch.display())))?;
        }
        std::fs::create_dir(&scratch).map_err(doing(format!("making {}", scratch.display())))?;
        Ok(Self { scratch, _lock: lock })
    }

    /// A folder for files that end with the import.
    pub fn scratch(&self) -> &Path {
        &self.scratch
    }
}

impl Drop for Workplace {
    fn drop(&mut self) {
        // What stays behind is swept at the next import. The folder goes before the lock does.
        let _ = std::fs::remove_dir_all(&self.scratch);
    }
}
