//! Asks the bloom filter of a column chunk whether it may hold a text, by reading the one block of
//! 32 bytes that the text falls into instead of the whole filter.
//!
//! Invariant: "no" is certain; whatever cannot be read or understood is "maybe".

use std::fs::File;
use std::io;

use parquet::bloom_filter::Sbbf;
use parquet::file::metadata::ColumnChunkMetaData;
use twox_hash::XxHash64;

const BLOCK_BYTES: u64 = 32;

/// A header is some twenty bytes.
const HEADER_BYTES_MAX: u64 = 64;

/// The type of a header's first field: a 32-bit number, as the compact protocol writes it.
const NUMBER_FIELD: u8 = 0x15;

/// A bloom filter in a file.
pub(super) struct Filter<'f> {
    file: &'f File,
    /// Where its blocks begin.
    blocks_at: u64,
    blocks: u64,
}

impl<'f> Filter<'f> {
    /// The filter of a chunk; `None` if it has none that is understood.
    pub fn open(file: &'f File, chunk: &ColumnChunkMetaData) -> Option<Self> {
        let offset = u64::try_from(chunk.bloom_filter_offset()?).ok()?;
        let length = u64::try_from(chunk.bloom_filter_length()?).ok()?;
        // The first field of the header is the length of the blocks; there is only one kind of
        // filter, of hash and of compression.
        let mut head = [0; 6];
        read_at(file, offset, &mut head).ok()?;
        let blocks_bytes = number(&head)?;
        let header_bytes = length.checked_sub(blocks_bytes)?;
        let sound = blocks_bytes > 0 && blocks_bytes.is_multiple_of(BLOCK_BYTES) && header_bytes <= HEADER_BYTES_MAX;
        sound.then_some(Self { file, blocks_at: offset + header_bytes, blocks: blocks_bytes / BLOCK_BYTES })
    }

    /// Whether the chunk may hold this text.
    pub fn may_hold(&self, text: &str) -> bool {
        let hash = XxHash64::oneshot(0, text.as_bytes());
        let block = ((hash >> 32) * self.blocks) >> 32;
        let mut bytes = [0; BLOCK_BYTES as usize];
        match read_at(self.file, self.blocks_at + block * BLOCK_BYTES, &mut bytes) {
            // In a filter of one block every text falls into that block.
            Ok(()) => Sbbf::new(&bytes).check(text),
            Err(_) => true,
        }
    }
}

/// The zigzag number after the field's type.
fn number(head: &[u8; 6]) -> Option<u64> {
    if head[0] != NUMBER_FIELD {
        return None;
    }
    let mut value = 0_u64;
    for (i, byte) in head[1..].iter().enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            return (value & 1 == 0).then_some(value >> 1);
        }
    }
    None
}

#[cfg(unix)]
fn read_at(file: &File, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, offset)
}

#[cfg(not(unix))]
fn read_at(mut file: &File, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
    use std::io::{Read, Seek, SeekFrom};
    file.seek(SeekFrom::Start(offset))?;
    file.read_exact(bytes)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, RecordBatch, StringArray};
    use parquet::arrow::ArrowWriter;
    use parquet::file::metadata::ParquetMetaDataReader;
    use parquet::file::properties::WriterProperties;

    use super::*;

    #[test]
    fn answers_as_the_whole_filter_does() {
        for values in [1_usize, 40, 3_000] {
            let texts: StringArray = (0..values).map(|i| Some(format!("{:0>12}", i * 7919))).collect();
            let batch = RecordBatch::try_from_iter([("id", Arc::new(texts.clone()) as ArrayRef)]).unwrap();
            let properties = WriterProperties::builder()
                .set_bloom_filter_enabled(true)
                .set_bloom_filter_fpp(0.02)
                .set_bloom_filter_max_ndv(5_000)
                .build();
            let file = tempfile::tempfile().unwrap();
            let mut writer = ArrowWriter::try_new(file.try_clone().unwrap(), batch.schema(), Some(properties)).unwrap();
            writer.write(&batch).unwrap();
            writer.close().unwrap();
            let metadata = ParquetMetaDataReader::new().parse_and_finish(&file).unwrap();
            let chunk = metadata.row_group(0).column(0);
            let whole = Sbbf::read_from_column_chunk(chunk, &file).unwrap().unwrap();
            let filter = Filter::open(&file, chunk).unwrap();
            assert!(texts.iter().flatten().all(|text| filter.may_hold(text)));
            let others: Vec<String> = (0..5_000).map(|i| format!("no {i}")).collect();
            assert!(others.iter().all(|text| filter.may_hold(text) == whole.check(text.as_str())));
            assert!(others.iter().filter(|text| filter.may_hold(text)).count() < 1_000);
        }
    }

    #[test]
    fn numbers_are_read_as_the_compact_protocol_writes_them() {
        assert_eq!(number(&[0x15, 0x40, 0, 0, 0, 0]), Some(32));
        assert_eq!(number(&[0x15, 0x80, 0x80, 0x10, 0, 0]), Some(131_072));
        assert_eq!(number(&[0x15, 0x01, 0, 0, 0, 0]), None, "negative");
        assert_eq!(number(&[0x25, 0x40, 0, 0, 0, 0]), None, "another field");
        assert_eq!(number(&[0x15, 0xff, 0xff, 0xff, 0xff, 0xff]), None, "no end");
    }
}
