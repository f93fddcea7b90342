//! Syncs a file while it still grows, so that little is left to wait for when it is sealed.
//!
//! Invariant: an error of such a sync is never lost. The system reports one once for an open file,
//! so whoever seals must ask [`SyncAhead::finish`] before the last sync is believed.

use std::fs::File;
use std::io;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};

/// Syncs when it is woken, on a thread of its own. Dropped, it ends after the sync that runs.
#[derive(Debug)]
pub(super) struct SyncAhead {
    wake: SyncSender<()>,
    thread: JoinHandle<io::Result<()>>,
}

impl SyncAhead {
    /// For this file. Fails if no thread can be had.
    pub(super) fn start(file: &File) -> io::Result<Self> {
        let file = file.try_clone()?;
        let (wake, woken) = sync_channel(1);
        let sync = move || woken.into_iter().try_for_each(|()| file.sync_data());
        Ok(Self { wake, thread: Builder::new().name("blob-sync".into()).spawn(sync)? })
    }

    /// Lets what was written so far be synced. Does not wait; one wake more than the running sync is
    /// remembered.
    pub(super) fn wake(&self) {
        // Refused if it is awake anyway, or has failed.
        let _ = self.wake.try_send(());
    }

    /// Waits for the sync that runs; the first error there was.
    pub(super) fn finish(self) -> io::Result<()> {
        let Self { wake, thread } = self;
        drop(wake);
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread that syncs panicked")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_kept_until_the_end() {
        // A pipe cannot be synced.
        let (reader, writer) = std::io::pipe().unwrap();
        let ahead = SyncAhead::start(&File::from(std::os::fd::OwnedFd::from(writer))).unwrap();
        ahead.wake();
        assert!(ahead.finish().is_err());
        drop(reader);
        let ahead = SyncAhead::start(&tempfile::tempfile().unwrap()).unwrap();
        (0..3).for_each(|_| ahead.wake());
        ahead.finish().unwrap();
    }
}
