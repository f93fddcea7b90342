//! The way out: counts, hashes and writes the bytes of a file.
//!
//! Digests are computed on a thread of their own, fed through a channel of fixed length, so that
//! they cost no time on the way as long as there is a core for them, and hold no more than that
//! many pieces in memory.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use bytes::Bytes;
use sha2::{Digest, Sha256};

/// Pieces that may wait to be hashed. A chunk of about two megabytes is at most four of them.
const WAITING_MAX: usize = 4;

/// SHA-256 digests as lower-case hex.
#[derive(Debug)]
pub(crate) struct Digests {
    /// Of every byte that was written.
    pub(crate) file: String,
    /// Of each text, in order.
    pub(crate) texts: Vec<String>,
}

enum Job {
    File(Bytes),
    Text(Bytes),
    TextEnd,
}

/// A sink with its count and digests.
#[derive(Debug)]
pub(crate) struct Output<W> {
    sink: W,
    bytes: u64,
    jobs: SyncSender<Job>,
    hasher: JoinHandle<Digests>,
}

impl<W: Write> Output<W> {
    /// Fails only if no thread can be had.
    pub(crate) fn new(sink: W) -> io::Result<Self> {
        let (jobs, queue) = sync_channel(WAITING_MAX);
        let hasher = std::thread::Builder::new().name("package-digest".into()).spawn(move || hash(&queue))?;
        Ok(Self { sink, bytes: 0, jobs, hasher })
    }

    /// Bytes written so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Lets a test begin far behind, where a 4 GiB file would be.
    #[cfg(test)]
    pub(crate) fn skip(&mut self, bytes: u64) {
        self.bytes += bytes;
    }

    /// Writes bytes of the file.
    pub(crate) fn write(&mut self, bytes: Bytes) -> io::Result<()> {
        self.job(Job::File(bytes.clone()))?;
        self.sink.write_all(&bytes)?;
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// Hashes bytes of the present text; nothing is written.
    pub(crate) fn text(&self, bytes: Bytes) -> io::Result<()> {
        self.job(Job::Text(bytes))
    }

    /// Ends the present text.
    pub(crate) fn end_text(&self) -> io::Result<()> {
        self.job(Job::TextEnd)
    }

    /// Flushes the sink and waits for the digests.
    pub(crate) fn finish(self) -> io::Result<(u64, Digests, W)> {
        let Self { mut sink, bytes, jobs, hasher } = self;
        drop(jobs);
        sink.flush()?;
        let digests = hasher.join().map_err(|_| io::Error::other("the thread that computes digests panicked"))?;
        Ok((bytes, digests, sink))
    }

    fn job(&self, job: Job) -> io::Result<()> {
        self.jobs.send(job).map_err(|_| io::Error::other("the thread that computes digests is gone"))
    }
}

/// Runs until the sender is gone, also when the file is given up.
fn hash(queue: &Receiver<Job>) -> Digests {
    let mut file = Sha256::new();
    let mut text = Sha256::new();
    let mut texts = Vec::new();
    for job in queue {
        match job {
            Job::File(bytes) => file.update(&bytes),
            Job::Text(bytes) => text.update(&bytes),
            Job::TextEnd => texts.push(hex(&text.finalize_reset())),
        }
    }
    Digests { file: hex(&file.finalize()), texts }
}

fn hex(digest: &[u8]) -> String {
    use std::fmt::Write as _;
    digest.iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
