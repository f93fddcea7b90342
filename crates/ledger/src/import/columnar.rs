//! Parquet files, as anybody may have sent them.
//!
//! Invariants: a file gives as many rows as it announces, or an error; a damaged file on which the
//! library breaks is an error like any other and does not end the process.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::RecordBatch;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::Limits;

/// The names of a file's columns.
pub(super) fn header(path: &Path) -> Result<Vec<String>, String> {
    let builder = open(path)?;
    Ok(builder.schema().fields().iter().map(|f| f.name().clone()).collect())
}

/// Hands batches of rows to `take`, with the number of each one's first row, until it takes no
/// more. Counts bytes.
pub(super) fn read(
    path: &Path,
    limits: &Limits,
    count: &AtomicU64,
    take: &mut dyn FnMut(RecordBatch, u64) -> bool,
) -> Result<(), String> {
    let size_bytes = std::fs::metadata(path).map_err(|e| e.to_string())?.len();
    let builder = open(path)?;
    let announced = builder.metadata().file_metadata().num_rows();
    let mut reader = contained(|| builder.with_batch_size(limits.parquet_rows).build())?;
    let mut rows = 0;
    while let Some(batch) = contained(|| reader.next().transpose())? {
        let count_rows = batch.num_rows() as u64;
        // Readers of Parquet jump about: progress goes by rows.
        let share = u128::from(size_bytes) * u128::from(count_rows) / u128::from(announced.max(1).unsigned_abs());
        count.fetch_add(u64::try_from(share).unwrap_or(0), Ordering::Relaxed);
        if !take(batch, rows + 1) {
            return Ok(());
        }
        rows += count_rows;
    }
    if i64::try_from(rows) != Ok(announced) {
        return Err(format!("not a readable Parquet file: it announces {announced} rows and has {rows}"));
    }
    Ok(())
}

fn open(path: &Path) -> Result<ParquetRecordBatchReaderBuilder<File>, String> {
    let file = File::open(path).map_err(|e| e.to_string())?;
    contained(|| ParquetRecordBatchReaderBuilder::try_new(file))
}

/// What the library says, also where it breaks.
fn contained<T, E: std::fmt::Display>(work: impl FnOnce() -> Result<T, E>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(outcome) => outcome.map_err(|e| format!("not a readable Parquet file: {e}")),
        Err(_) => Err("not a readable Parquet file: it is damaged in a way that its reader breaks on".into()),
    }
}
