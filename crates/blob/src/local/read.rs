//! Reading a range of a blob in pieces.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};

use crate::Error;

/// What is read at a time, and held in memory for each reader.
const PIECE_BYTES: u64 = 512 * 1024;

/// A file of its own for one reader, at the place of the next byte.
#[derive(Debug)]
pub(super) struct At {
    file: File,
    next: u64,
}

/// Puts the file at the beginning of the range and checks that the range is in it. Blocks.
pub(super) fn open(mut file: File, range: Range<u64>) -> Result<At, Error> {
    let size = file.metadata().map_err(failed)?.len();
    if range.start > range.end || range.end > size {
        let wrong = format!("bytes {} to {} of a file of {size} bytes were asked for", range.start, range.end);
        return Err(failed(io::Error::new(io::ErrorKind::InvalidInput, wrong)));
    }
    file.seek(SeekFrom::Start(range.start)).map_err(failed)?;
    Ok(At { file, next: range.start })
}

/// The bytes from there up to `end`. The file stays open, so that a deletion in between does not
/// matter; a file that was cut short is an error, not an end.
pub(super) fn stream(at: At, end: u64) -> BoxStream<'static, Result<Bytes, Error>> {
    stream::try_unfold(at, move |at| async move {
        let length = PIECE_BYTES.min(end - at.next);
        if length == 0 {
            return Ok(None);
        }
        let read = tokio::task::spawn_blocking(move || piece(at, length)).await;
        read.map_err(io::Error::other).and_then(|r| r).map(Some).map_err(failed)
    })
    .boxed()
}

fn piece(mut at: At, length: u64) -> io::Result<(Bytes, At)> {
    let capacity = usize::try_from(length).map_err(io::Error::other)?;
    let mut bytes = Vec::with_capacity(capacity);
    (&mut at.file).take(length).read_to_end(&mut bytes)?;
    if bytes.len() < capacity {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file was cut short while it was read"));
    }
    at.next += length;
    Ok((bytes.into(), at))
}

fn failed(source: io::Error) -> Error {
    Error::Io { context: "cannot read the file".into(), source }
}
