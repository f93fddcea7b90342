//! Writing a blob: first under `partial/`, then sealed under its name.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use payouts_faults::{Point, reach};
use tracing::warn;
use uuid::Uuid;

use super::ahead::SyncAhead;
use super::direct::Direct;
use super::{Durable, PARTIAL, make_folders};
use crate::{BlobWriter, Error};

/// Small writes are gathered up to this; larger ones go straight to the file, without a copy.
const BUFFER_BYTES: usize = 128 * 1024;

/// After so many bytes the disk is set to work. A file that stays smaller is synced once, at its end.
const LONG_BYTES: u64 = 16 << 20;

/// A file under `partial/` that goes away unless it is sealed.
#[derive(Debug)]
pub(super) struct Writer {
    file: BufWriter<File>,
    partial: Partial,
    target: PathBuf,
    durable: Durable,
    /// Bytes that went through `file` since the disk was set to work.
    since: u64,
    rest: Rest,
}

/// How a file goes on once it is long.
#[derive(Debug)]
enum Rest {
    /// It is not.
    Short,
    /// Past the page cache.
    Direct(Direct),
    /// Through the cache, where there is no way past it.
    Ahead(SyncAhead),
}

/// The name of an unsealed file; dropping it deletes the file.
#[derive(Debug)]
struct Partial {
    path: PathBuf,
    sealed: bool,
}

impl Drop for Partial {
    fn drop(&mut self) {
        if self.sealed {
            return;
        }
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                warn!(file.path = %self.path.display(), %error, "an unfinished file stays until the next start");
            }
            _ => {}
        }
    }
}

impl Writer {
    pub(super) fn create(root: &Path, target: PathBuf, file_name: &str, durable: Durable) -> Result<Self, Error> {
        // Two writers of one name must not share a file, not even by mistake.
        let path = root.join(PARTIAL).join(format!("{file_name}.{}", Uuid::new_v4().simple()));
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = reach(Point::BlobCreate).and_then(|()| options.open(&path));
        let file = file.map_err(|e| storage(format!("cannot create {}", path.display()), e))?;
        let partial = Partial { path, sealed: false };
        Ok(Self {
            file: BufWriter::with_capacity(BUFFER_BYTES, file),
            partial,
            target,
            durable,
            since: 0,
            rest: Rest::Short,
        })
    }

    /// Sets the disk to work, each time that as much more is written.
    fn go_on(&mut self) -> io::Result<()> {
        if let Rest::Short = self.rest {
            self.file.flush()?;
            let file = self.file.get_ref();
            self.rest = match Direct::start(file, &self.partial.path, LONG_BYTES) {
                Some(direct) => Rest::Direct(direct),
                None => Rest::Ahead(SyncAhead::start(file)?),
            };
        }
        if let Rest::Ahead(ahead) = &self.rest {
            ahead.wake();
        }
        Ok(())
    }

    fn publish(self, size_bytes: u64) -> Result<(), Error> {
        let Self { file, mut partial, target, durable, since: _, rest } = self;
        let doing = |what: &str| format!("cannot {what} {}", partial.path.display());
        let file = file.into_inner().map_err(|e| storage(doing("write"), e.into_error()))?;
        match rest {
            Rest::Short => {}
            Rest::Direct(direct) => direct.finish(&file).map_err(|e| storage(doing("write"), e))?,
            Rest::Ahead(ahead) => ahead.finish().map_err(|e| storage(doing("sync"), e))?,
        }
        let there = file.metadata().map_err(|e| storage(doing("look at"), e))?.len();
        if there != size_bytes {
            let wrong = format!("{there} bytes were written where {size_bytes} were announced");
            return Err(storage(doing("seal"), io::Error::new(io::ErrorKind::InvalidData, wrong)));
        }
        reach(Point::BlobSync).and_then(|()| file.sync_all()).map_err(|e| storage(doing("sync"), e))?;
        drop(file);
        let folder = target.parent().expect("a blob's path has a folder");
        let renamed = publish_in(folder, &partial.path, &target, &durable);
        renamed.map_err(|e| storage(format!("cannot seal {}", target.display()), e))?;
        partial.sealed = true;
        Ok(())
    }
}

/// Renames and makes the name durable. If syncing fails, the name is taken back: whoever gets an
/// error must be able to rely on nothing being there.
///
/// The folder `partial` is not synced: after a crash the old name may be there as well, and is
/// deleted at the next start.
fn publish_in(folder: &Path, partial: &Path, target: &Path, durable: &Durable) -> io::Result<()> {
    let known = durable.lock().unwrap_or_else(PoisonError::into_inner).contains(folder);
    if !(known && folder.is_dir()) {
        make_folders(folder)?;
        sync_folder(folder.parent().expect("a blob's folder is inside the root"))?;
        durable.lock().unwrap_or_else(PoisonError::into_inner).insert(folder.to_owned());
    }
    reach(Point::BlobRename)?;
    fs::rename(partial, target)?;
    let synced = reach(Point::BlobRenamed).and_then(|()| sync_folder(folder));
    synced.inspect_err(|_| {
        if let Err(error) = fs::remove_file(target) {
            warn!(file.path = %target.display(), %error, "a file that could not be made durable stays until it is swept");
        }
    })
}

/// Makes the names in a folder durable. Only Unix systems can open a folder for that; elsewhere
/// the rename itself has to do.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

/// An error while writing. A file or folder that is not there is no [`Error::NotFound`] here:
/// somebody took it away.
fn storage(context: String, source: io::Error) -> Error {
    match source.kind() {
        io::ErrorKind::NotFound => Error::Io { context, source },
        _ => Error::from_io(context, source),
    }
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        reach(Point::BlobWrite)?;
        if let Rest::Direct(direct) = &mut self.rest {
            return direct.write(bytes);
        }
        let left = usize::try_from(LONG_BYTES - self.since).unwrap_or(usize::MAX);
        let written = self.file.write(&bytes[..bytes.len().min(left)])?;
        self.since += written as u64;
        if self.since == LONG_BYTES {
            self.since = 0;
            self.go_on()?;
        }
        Ok(written)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl BlobWriter for Writer {
    fn seal(self: Box<Self>, size_bytes: u64) -> Result<(), Error> {
        self.publish(size_bytes)
    }
}
