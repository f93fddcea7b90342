//! Files: names as a closed enum, seal-then-publish writers, range reads, signed links.
//!
//! Invariants: a blob is readable under its name only when all its bytes are durable; a sealed
//! blob never changes; what was not sealed is never listed and [`BlobStore::clean`] finds it. It
//! must not know HTTP, nor who may read what.

pub mod link;
pub mod local;

use std::io::{self, Write};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use payouts_model::ExportId;

/// Every name that a blob may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BlobName {
    /// The file that one attempt of an Export wrote.
    ExportFile {
        /** whose */
        export: ExportId,
        /** which attempt */
        fence: u64,
    },
}

/// What went wrong with a blob.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such blob.
    #[error("there is no such file")]
    NotFound,
    /// No room: the disk is full, or a quota is used up.
    #[error("there is no room for the file")]
    StorageFull(#[source] io::Error),
    /// Anything else.
    #[error("{context}")]
    Io {
        /** doing what */
        context: String,
        /** cause */
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// What an error of the system means while doing `context`. Use it too for errors that come
    /// out of a [`BlobWriter`] through [`Write`].
    pub fn from_io(context: impl Into<String>, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::NotFound => Self::NotFound,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::StorageFull(source),
            _ => Self::Io { context: context.into(), source },
        }
    }
}

/// A blob being written. Dropped without [`BlobWriter::seal`], nothing is left behind.
pub trait BlobWriter: Write + Send {
    /// Makes the bytes durable under the name and checks that exactly `size_bytes` are there.
    /// After an error nothing is there under the name.
    fn seal(self: Box<Self>, size_bytes: u64) -> Result<(), Error>;
}

/// A store of blobs.
#[async_trait]
pub trait BlobStore: Send + Sync + std::fmt::Debug {
    /// Begins to write. Calls block; use it on a blocking thread.
    fn create(&self, name: BlobName) -> Result<Box<dyn BlobWriter>, Error>;
    /// Its size in bytes.
    async fn size(&self, name: BlobName) -> Result<u64, Error>;
    /// The bytes of a range, in pieces. The blob is found before this returns: one that is deleted
    /// later is read to its end or breaks off with an error, and never yields other bytes. A range
    /// that ends beyond the blob is an error.
    async fn read(
        &self,
        name: BlobName,
        range: std::ops::Range<u64>,
    ) -> Result<BoxStream<'static, Result<Bytes, Error>>, Error>;
    /// Deletes; not being there is no error.
    async fn delete(&self, name: BlobName) -> Result<(), Error>;
    /// Every sealed blob.
    async fn list(&self) -> Result<Vec<BlobName>, Error>;
    /// Deletes what dead writers left unsealed, and says how many. At start only: it would take
    /// the bytes away from under living ones.
    async fn clean(&self) -> Result<u64, Error>;
}
