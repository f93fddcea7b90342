//! The thread that packages chunks into a blob.
//!
//! Invariants: the file is sealed only after an explicit end; a sender that goes away without one
//! leaves nothing behind. At most [`CHUNKS_WAITING`] chunks wait in memory.

use std::any::Any;
use std::io;
use std::sync::Arc;

use payouts_blob::{BlobName, BlobWriter};
use payouts_faults::{Point, reach};
use payouts_model::{Chunk, FileFormat, Timestamp};
use payouts_package::{Head, Packaged, Packager};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tracing::debug_span;

use super::heart::Progress;
use super::room::Growing;
use crate::App;

/// Chunks between the engine and the disk: enough that neither waits for the other's next one.
const CHUNKS_WAITING: usize = 2;

/// When so many rows or more are written, free memory is given back: what follows, the sums of all
/// parts put together, needs not lie on top of what the rows needed.
const GIVING_BACK_ROWS_MIN: u64 = 250_000;

/// What went wrong with writing.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    /// The blob store.
    #[error("blob")]
    Blob(#[from] payouts_blob::Error),
    /// The packager, or the blob under it.
    #[error("packaging")]
    Package(#[from] io::Error),
    /// The thread panicked.
    #[error("the writer panicked")]
    Panicked(Box<dyn Any + Send>),
    /// The attempt ended first; or the runtime is shutting down.
    #[error("the attempt ended before its file")]
    Abandoned,
}

enum Message {
    Chunk(Chunk),
    End,
}

/// What is to be written.
pub(super) struct Target {
    pub name: BlobName,
    pub format: FileFormat,
    pub stem: &'static str,
    pub head: Head,
    pub rows_expected: u64,
    /// The room that it takes while it grows.
    pub growing: Growing,
}

/// A sealed file.
#[derive(Debug)]
pub(super) struct Sealed {
    pub packaged: Packaged,
    /// When its last byte was written; sealing followed.
    pub written_at: Timestamp,
}

/// A file being written.
pub(super) struct Writing {
    sender: mpsc::Sender<Message>,
    thread: JoinHandle<Result<Sealed, WriteError>>,
}

impl Writing {
    pub(super) fn start(app: &Arc<App>, target: Target, progress: Arc<Progress>) -> Self {
        let (sender, receiver) = mpsc::channel(CHUNKS_WAITING);
        let app = app.clone();
        let span = debug_span!("package");
        let thread = tokio::task::spawn_blocking(move || span.in_scope(|| write(&app, target, receiver, &progress)));
        Self { sender, thread }
    }

    /// Hands a chunk over; waits while too many wait. False: the thread has ended, and
    /// [`Writing::finish`] says why.
    pub(super) async fn push(&self, chunk: Chunk) -> bool {
        self.sender.send(Message::Chunk(chunk)).await.is_ok()
    }

    /// Ends the file and waits until it is sealed.
    pub(super) async fn finish(&mut self) -> Result<Sealed, WriteError> {
        // A thread that has ended does not take it; its result says why.
        let _ = self.sender.send(Message::End).await;
        joined((&mut self.thread).await)
    }

    /// Gives up the file and waits until the thread has let go of it.
    pub(super) async fn abandon(self) {
        let Self { sender, thread } = self;
        drop(sender);
        if !thread.is_finished() {
            let _ = thread.await;
        }
    }
}

fn joined(result: Result<Result<Sealed, WriteError>, tokio::task::JoinError>) -> Result<Sealed, WriteError> {
    match result {
        Ok(result) => result,
        Err(error) => Err(error.try_into_panic().map_or(WriteError::Abandoned, WriteError::Panicked)),
    }
}

fn write(
    app: &App,
    target: Target,
    mut chunks: mpsc::Receiver<Message>,
    progress: &Progress,
) -> Result<Sealed, WriteError> {
    let Target { name, format, stem, head, rows_expected, growing } = target;
    let sink = Metered { inner: app.blobs.create(name)?, growing };
    let mut packager = Packager::new(format, stem, &head, sink)?.with_rows_expected(rows_expected);
    loop {
        let before = packager.rows();
        match chunks.blocking_recv() {
            Some(Message::Chunk(chunk)) => {
                reach(Point::ExportChunk)?;
                packager.push(chunk)?;
            }
            Some(Message::End) => break,
            None => return Err(WriteError::Abandoned),
        }
        let rows = packager.rows();
        progress.set_rows_done(rows);
        if rows > before && rows == rows_expected && rows >= GIVING_BACK_ROWS_MIN {
            payouts_memory::give_back();
        }
    }
    let (packaged, sink) = packager.finish()?;
    let written_at = app.clock.now();
    sink.inner.seal(packaged.bytes)?;
    reach(Point::ExportSealed)?;
    sink.growing.keep();
    Ok(Sealed { packaged, written_at })
}

/// A blob that grows within its room.
struct Metered {
    inner: Box<dyn BlobWriter>,
    growing: Growing,
}

impl io::Write for Metered {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.growing.grow(bytes.len() as u64).map_err(|e| io::Error::new(io::ErrorKind::StorageFull, e))?;
        let written = self.inner.write(bytes)?;
        self.growing.shrink((bytes.len() - written) as u64);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
