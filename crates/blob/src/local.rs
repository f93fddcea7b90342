//! Blobs as files of a local folder.
//!
//! ```text
//! 3f/3f2b….7        sealed: first two hex digits of the Export's id / id . fence
//! partial/3f2b….7.… being written
//! ```
//!
//! A file is written under `partial/` (from where it is long, past the page cache), synced, renamed
//! to its name (one file system, so that the name appears with all its bytes or not at all) and its
//! folder is synced; a folder that is new to this process has its own name made durable first.
//! Folders are private to the user, and so are files.

mod ahead;
mod direct;
mod read;
mod survey;
#[cfg(test)]
mod tests;
mod write;

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use payouts_faults::{Point, reach};
use payouts_model::ExportId;
use tracing::warn;

use crate::{BlobName, BlobStore, BlobWriter, Error};

pub use survey::{Survey, survey};

const PARTIAL: &str = "partial";

/// A folder of blobs. One process at a time may use it.
#[derive(Clone, Debug)]
pub struct LocalBlobs {
    root: Arc<Path>,
    durable: Durable,
}

/// Folders whose own names are known to be durable.
type Durable = Arc<Mutex<HashSet<PathBuf>>>;

impl LocalBlobs {
    /// Opens the folder `root`, which is made (private to the user) if it is not there. Blocks.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, Error> {
        let root: PathBuf = root.into();
        let partial = root.join(PARTIAL);
        let context = || format!("cannot make the folder {}", partial.display());
        make_folders(&partial).map_err(|e| Error::Io { context: context(), source: e })?;
        Ok(Self { root: root.into(), durable: Durable::default() })
    }

    /// The open file of a blob, for callers that send it in their own way. Blocks.
    pub fn open_file(&self, name: BlobName) -> Result<File, Error> {
        let path = self.path(name);
        File::open(&path).map_err(|e| Error::from_io(format!("cannot open {}", path.display()), e))
    }

    fn path(&self, name: BlobName) -> PathBuf {
        path_under(&self.root, name)
    }

    /// Runs what blocks on a thread for that.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let own = self.clone();
        let done = tokio::task::spawn_blocking(move || work(&own)).await;
        done.map_err(|e| Error::Io { context: "a thread for files broke off".into(), source: io::Error::other(e) })?
    }

    fn delete_now(&self, name: BlobName) -> Result<(), Error> {
        let path = self.path(name);
        match reach(Point::BlobDelete).and_then(|()| fs::remove_file(&path)) {
            Ok(()) => Ok(()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(e) => Err(Error::from_io(format!("cannot delete {}", path.display()), e)),
        }
    }

    fn list_now(&self) -> Result<Vec<BlobName>, Error> {
        let mut names = Vec::new();
        for folder in entries(&self.root)? {
            let Some(prefix) = blob_folder(&folder) else { continue };
            for path in entries(&folder)? {
                let text = path.file_name().and_then(|n| n.to_str());
                match text.filter(|t| t.starts_with(&prefix)).and_then(parse_file_name) {
                    Some(name) => names.push(name),
                    None => warn!(file.path = %path.display(), "not a file of ours among the exports: left alone"),
                }
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn clean_now(&self) -> Result<u64, Error> {
        let mut deleted = 0;
        for path in entries(&self.root.join(PARTIAL))? {
            fs::remove_file(&path).map_err(|e| Error::from_io(format!("cannot delete {}", path.display()), e))?;
            deleted += 1;
        }
        Ok(deleted)
    }
}

#[async_trait]
impl BlobStore for LocalBlobs {
    fn create(&self, name: BlobName) -> Result<Box<dyn BlobWriter>, Error> {
        Ok(Box::new(write::Writer::create(&self.root, self.path(name), &file_name(name), self.durable.clone())?))
    }

    async fn size(&self, name: BlobName) -> Result<u64, Error> {
        self.blocking(move |own| {
            let path = own.path(name);
            let context = |e| Error::from_io(format!("cannot look at {}", path.display()), e);
            fs::metadata(&path).map(|m| m.len()).map_err(context)
        })
        .await
    }

    async fn read(&self, name: BlobName, range: Range<u64>) -> Result<BoxStream<'static, Result<Bytes, Error>>, Error> {
        let end = range.end;
        let file = self.blocking(move |own| read::open(own.open_file(name)?, range)).await?;
        Ok(read::stream(file, end))
    }

    async fn delete(&self, name: BlobName) -> Result<(), Error> {
        self.blocking(move |own| own.delete_now(name)).await
    }

    async fn list(&self) -> Result<Vec<BlobName>, Error> {
        self.blocking(Self::list_now).await
    }

    async fn clean(&self) -> Result<u64, Error> {
        self.blocking(Self::clean_now).await
    }
}

/// Where a blob lies under the folder `root`.
pub fn path_under(root: &Path, name: BlobName) -> PathBuf {
    let file = file_name(name);
    root.join(&file[..2]).join(file)
}

fn file_name(name: BlobName) -> String {
    let BlobName::ExportFile { export, fence } = name;
    format!("{export}.{fence}")
}

/// The two digits that a folder of blobs is named by, if it is one.
fn blob_folder(folder: &Path) -> Option<String> {
    let prefix = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    (prefix.len() == 2 && prefix.bytes().all(hex) && folder.is_dir()).then_some(prefix)
}

/// The name that has exactly this file name.
fn parse_file_name(text: &str) -> Option<BlobName> {
    let (export, fence) = text.split_once('.')?;
    let name = BlobName::ExportFile { export: export.parse::<ExportId>().ok()?, fence: fence.parse().ok()? };
    // Other spellings of the same id or number would be files that nothing ever deletes.
    (file_name(name) == text).then_some(name)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let read = || fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>();
    read().map_err(|e| Error::Io { context: format!("cannot list the folder {}", folder.display()), source: e })
}

/// Makes a folder and those above it; the ones that are made are private to the user.
fn make_folders(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}
