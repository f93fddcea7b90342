//! The directory itself: who may read what is secret, and how much room there is.

use std::path::Path;

use super::{About, Finding};
use crate::Config;

/// Permissions and room.
pub(super) fn examine(config: &Config, free_bytes_min: u64, findings: &mut Vec<Finding>) {
    let keys = config.keys_dir();
    private(&keys, "700", findings);
    for entry in std::fs::read_dir(&keys).into_iter().flatten().flatten() {
        private(&entry.path(), "600", findings);
    }
    for name in ["payouts.db", "payouts.db-wal", "payouts.db-shm"] {
        private(&config.data_dir.join(name), "600", findings);
    }
    room(config, free_bytes_min, findings);
}

/// A file or folder that is there is open to its owner alone.
#[cfg(unix)]
fn private(path: &Path, right: &str, findings: &mut Vec<Finding>) {
    use std::os::unix::fs::PermissionsExt as _;
    let Ok(found) = std::fs::metadata(path) else { return };
    let mode = found.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        findings.push(Finding {
            about: About::Keys,
            what: format!("{} is open to other users (mode {mode:03o})", path.display()),
            mend: format!("chmod {right} {}; if others could read a key, rotate it", path.display()),
        });
    }
}

#[cfg(not(unix))]
fn private(_path: &Path, _right: &str, _findings: &mut Vec<Finding>) {}

/// The file system that a path lies on, and the bytes that are free there for who may write.
#[cfg(unix)]
fn file_system(path: &Path) -> Option<(u64, u64)> {
    let found = rustix::fs::statvfs(path).ok()?;
    Some((found.f_fsid, found.f_bavail.saturating_mul(found.f_frsize)))
}

#[cfg(not(unix))]
fn file_system(_path: &Path) -> Option<(u64, u64)> {
    None
}

/// The bytes that are free where a path lies, if the system says.
pub(crate) fn free_bytes(path: &Path) -> Option<u64> {
    file_system(path).map(|(_, free_bytes)| free_bytes)
}

/// Each file system that the service writes to.
fn room(config: &Config, free_bytes_min: u64, findings: &mut Vec<Finding>) {
    let mut seen = Vec::new();
    for path in [config.data_dir.clone(), config.files_dir(), config.data_dir.join("ledger")] {
        let Some((id, free_bytes)) = file_system(&path) else { continue };
        if seen.contains(&id) {
            continue;
        }
        seen.push(id);
        if free_bytes < free_bytes_min {
            findings.push(Finding {
                about: About::Disk,
                what: format!("{free_bytes} bytes are free under {}, less than {free_bytes_min}", path.display()),
                mend: "make room: shorten retention.file_days, `payouts ledger vacuum`, or a larger disk".into(),
            });
        }
    }
}
