//! Files that meet trouble: errors, panics, and writers that stand still until they are let through.

use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use payouts_blob::{BlobName, BlobStore, BlobWriter};

use super::PATIENCE;

/// What a faulty store of files does to the next writers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    None,
    Io,
    Full,
    Panic,
    /// The writer stands still until it is let through.
    Gate,
    /// The file is sealed, and its writer stands still before it says so.
    Sealed,
}

/// Files that meet trouble so many times.
#[derive(Debug)]
pub(super) struct Troubled {
    pub(super) inner: Arc<dyn BlobStore>,
    pub(super) trouble: Trouble,
    pub(super) times: AtomicU32,
    pub(super) gate: Arc<Gate>,
}

/// Where writers stand still: who is there, and whether they may go on.
#[derive(Debug, Default)]
pub(super) struct Gate {
    state: Mutex<(u32, bool)>,
    moved: Condvar,
}

impl Gate {
    fn pass(&self) {
        let mut state = self.state.lock().expect("no panic here");
        state.0 += 1;
        self.moved.notify_all();
        let _open = self.moved.wait_while(state, |s| !s.1).expect("no panic here");
    }
    pub(super) async fn reached(self: &Arc<Self>) {
        let own = self.clone();
        let wait = move || {
            let state = own.state.lock().expect("no panic here");
            drop(own.moved.wait_timeout_while(state, PATIENCE, |s| s.0 == 0).expect("no panic here"));
            own.state.lock().expect("no panic here").0
        };
        assert_ne!(tokio::task::spawn_blocking(wait).await.expect("no panic"), 0, "a writer reaches the gate");
    }
    pub(super) fn open(&self) {
        self.state.lock().expect("no panic here").1 = true;
        self.moved.notify_all();
    }
}

#[derive(Debug)]
struct GatedWriter<W>(W, Arc<Gate>);

impl io::Write for GatedWriter<Box<dyn BlobWriter>> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.1.pass();
        self.0.write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl BlobWriter for GatedWriter<Box<dyn BlobWriter>> {
    fn seal(self: Box<Self>, size_bytes: u64) -> Result<(), payouts_blob::Error> {
        self.0.seal(size_bytes)
    }
}

struct LateWriter<W>(W, Arc<Gate>);

impl io::Write for LateWriter<Box<dyn BlobWriter>> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl BlobWriter for LateWriter<Box<dyn BlobWriter>> {
    fn seal(self: Box<Self>, size_bytes: u64) -> Result<(), payouts_blob::Error> {
        let Self(inner, gate) = *self;
        inner.seal(size_bytes)?;
        gate.pass();
        Ok(())
    }
}

#[async_trait]
impl BlobStore for Troubled {
    fn create(&self, name: BlobName) -> Result<Box<dyn BlobWriter>, payouts_blob::Error> {
        let left = self.times.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok();
        match if left { self.trouble } else { Trouble::None } {
            Trouble::None => self.inner.create(name),
            Trouble::Io => {
                Err(payouts_blob::Error::Io { context: "test".to_owned(), source: io::Error::other("the disk coughs") })
            }
            Trouble::Full => Err(payouts_blob::Error::StorageFull(io::ErrorKind::StorageFull.into())),
            Trouble::Panic => panic!("a bug in a writer"),
            Trouble::Gate => Ok(Box::new(GatedWriter(self.inner.create(name)?, self.gate.clone()))),
            Trouble::Sealed => Ok(Box::new(LateWriter(self.inner.create(name)?, self.gate.clone()))),
        }
    }
    async fn size(&self, name: BlobName) -> Result<u64, payouts_blob::Error> {
        self.inner.size(name).await
    }
    async fn read(
        &self,
        name: BlobName,
        range: Range<u64>,
    ) -> Result<BoxStream<'static, Result<Bytes, payouts_blob::Error>>, payouts_blob::Error> {
        self.inner.read(name, range).await
    }
    async fn delete(&self, name: BlobName) -> Result<(), payouts_blob::Error> {
        self.inner.delete(name).await
    }
    async fn list(&self) -> Result<Vec<BlobName>, payouts_blob::Error> {
        self.inner.list().await
    }
    async fn clean(&self) -> Result<u64, payouts_blob::Error> {
        self.inner.clean().await
    }
}
