//! Writes the rest of a long file past the page cache.
//!
//! Copying gigabytes into the page cache takes the processor a second for each, which the query
//! needs, and pushes the ledger out of it. So full blocks go straight to the disk (`O_DIRECT`), on a
//! thread of their own, while the next one is filled. Where a file system does not take such writes,
//! they go through the cache as any others.
//!
//! Invariants: what was written before is synced by the same thread, and an error of either is never
//! lost: it comes out of the next write or of [`Direct::finish`].

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};

/// Where blocks begin, in the file and in memory: what any disk asks for.
const ALIGNMENT: usize = 4096;

/// Enough for the disk to be at its best.
const BLOCK_BYTES: usize = 1 << 20;

/// One is filled, one written, one waits.
const BLOCKS: usize = 3;

/// A file that goes on past the page cache. Dropped, it ends after the blocks that are full.
#[derive(Debug)]
pub(super) struct Direct {
    filling: Block,
    /// Where in the file that block begins.
    offset: u64,
    full: SyncSender<(Block, u64)>,
    empty: Receiver<Block>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Direct {
    /// Goes on at `offset`, up to which `file`, which lies at `path`, is written. `None` where its
    /// file system does not write past the cache, or no thread can be had: nothing has happened then.
    pub(super) fn start(file: &File, path: &Path, offset: u64) -> Option<Self> {
        if !offset.is_multiple_of(ALIGNMENT as u64) {
            return None;
        }
        Self::over(file.try_clone().ok()?, open(path)?, offset).ok()
    }

    fn over(cached: File, past_cache: File, offset: u64) -> io::Result<Self> {
        let (full, queue) = sync_channel::<(Block, u64)>(BLOCKS);
        let (back, empty) = sync_channel(BLOCKS);
        for _ in 1..BLOCKS {
            // There is room for all.
            let _ = back.try_send(Block::new());
        }
        let work = move || {
            cached.sync_data()?;
            let mut file = &past_cache;
            for (mut block, offset) in queue {
                let mut written = write_at(file, block.bytes(), offset);
                if written.as_ref().is_err_and(|e| e.kind() == io::ErrorKind::InvalidInput) {
                    // It asks for more than our alignment.
                    file = &cached;
                    written = write_at(file, block.bytes(), offset);
                }
                written?;
                block.filled = 0;
                // Refused once nobody fills blocks any more.
                let _ = back.try_send(block);
            }
            Ok(())
        };
        let thread = Some(Builder::new().name("blob-direct".into()).spawn(work)?);
        Ok(Self { filling: Block::new(), offset, full, empty, thread })
    }

    /// Takes as much as the present block has room for.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.filling.fill(bytes);
        if self.filling.is_full() {
            let Ok(next) = self.empty.recv() else { return Err(self.failure()) };
            let block = std::mem::replace(&mut self.filling, next);
            if self.full.send((block, self.offset)).is_err() {
                return Err(self.failure());
            }
            self.offset += BLOCK_BYTES as u64;
        }
        Ok(taken)
    }

    /// Waits for the blocks and writes what is left into `file`, the one it began with. That has all
    /// its bytes then; they are durable once it has been synced.
    pub(super) fn finish(self, file: &File) -> io::Result<()> {
        let Self { filling, offset, full, empty: _, thread } = self;
        drop(full);
        thread.map_or_else(|| Err(broken_off()), join)?;
        // Less than a block, and of any length.
        write_at(file, filling.bytes(), offset)
    }

    /// Why the thread has ended before its time.
    fn failure(&mut self) -> io::Error {
        self.thread.take().map(join).and_then(Result::err).unwrap_or_else(broken_off)
    }
}

fn write_at(mut file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    file.seek(SeekFrom::Start(offset))?;
    file.write_all(bytes)
}

fn join(thread: JoinHandle<io::Result<()>>) -> io::Result<()> {
    thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread that writes blocks panicked")))
}

fn broken_off() -> io::Error {
    io::Error::other("writing has failed before")
}

/// The file once more, for writes past the page cache, where there is such a thing.
#[cfg(target_os = "linux")]
fn open(path: &Path) -> Option<File> {
    use std::os::unix::fs::OpenOptionsExt;
    let flags = i32::try_from(rustix::fs::OFlags::DIRECT.bits()).ok()?;
    File::options().write(true).custom_flags(flags).open(path).ok()
}

#[cfg(not(target_os = "linux"))]
fn open(_: &Path) -> Option<File> {
    None
}

/// Bytes that begin at an aligned address.
#[derive(Debug)]
struct Block {
    room: Vec<u8>,
    start: usize,
    filled: usize,
}

impl Block {
    fn new() -> Self {
        let room = vec![0; BLOCK_BYTES + ALIGNMENT];
        // An address that cannot be aligned is one that the system refuses, and copies then.
        let start = room.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
        Self { room, start, filled: 0 }
    }

    /// Takes what it has room for.
    fn fill(&mut self, bytes: &[u8]) -> usize {
        let taken = bytes.len().min(BLOCK_BYTES - self.filled);
        let at = self.start + self.filled;
        self.room[at..at + taken].copy_from_slice(&bytes[..taken]);
        self.filled += taken;
        taken
    }

    fn is_full(&self) -> bool {
        self.filled == BLOCK_BYTES
    }

    fn bytes(&self) -> &[u8] {
        &self.room[self.start..self.start + self.filled]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write_all(direct: &mut Direct, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let taken = direct.write(bytes)?;
            bytes = &bytes[taken..];
        }
        Ok(())
    }

    /// Pieces of many lengths: what they hold is right wherever one ends.
    fn check(misaligned: bool) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let file = File::create(&path).unwrap();
        let head = vec![1; 2 * ALIGNMENT];
        write_at(&file, &head, 0).unwrap();
        let bytes: Vec<u8> = (0..5 * BLOCK_BYTES as u32 + 4097).map(|i| (i % 251) as u8).collect();
        let mut direct = match Direct::start(&file, &path, head.len() as u64) {
            Some(direct) => direct,
            // Where nothing is written past the cache, the same blocks go through it.
            None => Direct::over(file.try_clone().unwrap(), file.try_clone().unwrap(), head.len() as u64).unwrap(),
        };
        if misaligned {
            direct.filling.start = 1;
        }
        let mut rest = &bytes[..];
        for len in [1, 4096, BLOCK_BYTES - 5000, 1 << 21, 77].into_iter().cycle() {
            let (piece, after) = rest.split_at(len.min(rest.len()));
            write_all(&mut direct, piece).unwrap();
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
        direct.finish(&file).unwrap();
        assert!(std::fs::read(&path).unwrap() == [head, bytes].concat());
    }

    #[test]
    fn every_byte_is_there() {
        check(false);
    }

    #[test]
    fn what_the_disk_refuses_goes_through_the_cache() {
        check(true);
    }

    #[test]
    fn only_whole_pages_may_lie_before() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(Direct::start(file.as_file(), file.path(), 4097).is_none());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_said_once_and_for_all() {
        let full = || File::options().write(true).open("/dev/full").unwrap();
        // A device that takes nothing; what lies before is in a file that can be synced.
        let before = tempfile::tempfile().unwrap();
        let mut direct = Direct::over(before.try_clone().unwrap(), full(), 0).unwrap();
        let error = write_all(&mut direct, &vec![0; 64 * BLOCK_BYTES]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert!(direct.finish(&before).is_err());
        // Met by the last block, it comes out at the end.
        let mut direct = Direct::over(before.try_clone().unwrap(), full(), 0).unwrap();
        write_all(&mut direct, &vec![0; BLOCK_BYTES]).unwrap();
        assert_eq!(direct.finish(&before).unwrap_err().kind(), io::ErrorKind::StorageFull);
        // So does an error of the sync, here of what cannot be synced.
        let direct = Direct::over(full(), tempfile::tempfile().unwrap(), 0).unwrap();
        assert!(direct.finish(&full()).is_err());
    }
}
