//! The pieces that a plan's rows are read in: which row groups of which files, in ledger order.

use std::path::Path as FilePath;
use std::sync::Arc;

use arrow::array::BooleanArray;
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::ScalarValue;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::FileGroup;
use datafusion::datasource::physical_plan::parquet::ParquetAccessPlan;
use datafusion::error::DataFusionError;
use object_store::ObjectMeta;
use object_store::path::Path;
use parquet::arrow::arrow_reader::RowSelection;
use payouts_ledger::{DataFile, Snapshot};

use super::footers::{Footer, Footers, Located};
use super::narrow::Narrow;
use super::prune::{Candidate, Pruner};
use crate::Error;

/// Bytes that make one piece: about a row group.
const PIECE_BYTES: u64 = 4 << 20;

/// A run of rows that are read in one go: one row group, or few small ones.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    file: PartitionedFile,
    /// The end of the file.
    footer: Arc<Footer>,
    /// How many row groups the file has.
    groups: usize,
    /// The row groups to look at; none if the range of the file says it.
    candidates: Vec<Candidate>,
    /// Whether its rows have to be tested one by one.
    pub tested: bool,
    /// How many rows there are to look at, if that is known.
    pub rows: Option<u64>,
}

impl Piece {
    /// The end of its file.
    pub fn footer(&self) -> &Footer {
        &self.footer
    }

    /// What is to be opened for all rows to look at.
    pub fn whole(&self, narrow: &Narrow) -> FileGroup {
        if self.candidates.is_empty() {
            return FileGroup::new(vec![narrow.file(self.file.clone(), &self.footer.schema)]);
        }
        self.accessed(narrow, self.candidates.iter().map(|candidate| (candidate.group, candidate.rows.clone())))
    }

    /// What is to be opened for some of the rows to look at only.
    pub fn chosen(&self, narrow: &Narrow, chosen: &BooleanBuffer) -> FileGroup {
        let mut at = 0;
        let some = self.candidates.iter().filter_map(|candidate| {
            let rows = chosen.slice(at, candidate.looked_at as usize);
            at += rows.len();
            if rows.count_set_bits() == 0 {
                return None;
            }
            let some = RowSelection::from_filters(&[BooleanArray::new(rows, None)]);
            let some = match &candidate.rows {
                Some(looked_at) => looked_at.and_then(&some),
                None => some,
            };
            Some((candidate.group, Some(some)))
        });
        self.accessed(narrow, some)
    }

    /// Of these row groups these rows; `None`: all.
    fn accessed(&self, narrow: &Narrow, groups: impl Iterator<Item = (usize, Option<RowSelection>)>) -> FileGroup {
        let mut access = ParquetAccessPlan::new_none(self.groups);
        for (group, rows) in groups {
            access.scan(group);
            if let Some(rows) = rows {
                access.scan_selection(group, rows);
            }
        }
        FileGroup::new(vec![narrow.file(self.file.clone().with_extension(access), &self.footer.schema)])
    }
}

/// One piece per range of a file, in order. A row group belongs to the range that its first page
/// begins in, so the ranges of a file hold each of its row groups once and in order.
pub(super) fn pieces(
    snapshot: &Snapshot,
    partition_columns: &[FieldRef],
    footers: &Footers,
) -> Result<Vec<Piece>, PiecesError> {
    let mut pieces = Vec::new();
    for file in &snapshot.files {
        let located = locate(&file.path)?;
        let footer = footers.get(snapshot.report.name, &located).map_err(PiecesError::Footer)?;
        let whole = partitioned_file(&located, partition_values(file, partition_columns)?)?;
        let ranges = located.size_bytes.div_ceil(PIECE_BYTES).max(1);
        for range in 0..ranges {
            let start = (range * PIECE_BYTES) as i64;
            let end = if range + 1 == ranges { i64::MAX } else { ((range + 1) * PIECE_BYTES) as i64 };
            let file = whole.clone().with_range(start, end);
            let footer = footer.clone();
            pieces.push(Piece { file, footer, groups: 0, candidates: Vec::new(), tested: false, rows: None });
        }
    }
    Ok(pieces)
}

/// Why the pieces cannot be told.
pub(super) enum PiecesError {
    Ours(Error),
    Footer(parquet::errors::ParquetError),
}

impl From<Error> for PiecesError {
    fn from(error: Error) -> Self {
        Self::Ours(error)
    }
}

/// One piece per row group, or few small ones, that may hold selected rows; in order.
pub(super) fn pruned_pieces(
    snapshot: &Snapshot,
    partition_columns: &[FieldRef],
    pruner: &Pruner,
    footers: &Footers,
) -> Result<Vec<Piece>, PiecesError> {
    let mut pieces = Vec::new();
    for file in &snapshot.files {
        if pruner.ranges(file).is_some_and(|ranges| ranges.is_empty()) {
            continue;
        }
        let located = locate(&file.path)?;
        let footer = footers.get(snapshot.report.name, &located).map_err(PiecesError::Footer)?;
        let values = partition_values(file, partition_columns)?;
        let named = partition_columns.iter().map(|c| c.name().clone()).zip(values.iter().cloned()).collect();
        let candidates = pruner.candidates(file, &located, &footer, &named);
        let whole = partitioned_file(&located, values)?;
        let mut rest = candidates.as_slice();
        while let Some(first) = rest.first() {
            let mut bytes = first.bytes;
            let more = rest[1..].iter().take_while(|next| {
                bytes += next.bytes;
                bytes <= PIECE_BYTES && next.whole == first.whole
            });
            let (piece, after) = rest.split_at(1 + more.count());
            pieces.push(Piece {
                file: whole.clone(),
                footer: footer.clone(),
                groups: footer.metadata.num_row_groups(),
                candidates: piece.to_vec(),
                tested: !first.whole,
                rows: Some(piece.iter().map(|candidate| candidate.looked_at).sum()),
            });
            rest = after;
        }
    }
    Ok(pieces)
}

/// Looks the file up, so that one that is gone is noticed before anything is written, and so that
/// the footers that are kept never mistake one file for another of the same name.
pub(super) fn locate(path: &FilePath) -> Result<Located, Error> {
    let found = std::fs::metadata(path).map_err(|e| gone(path, &e))?;
    let path = std::path::absolute(path).map_err(|e| gone(path, &e))?;
    Ok(Located { path, size_bytes: found.len(), modified: found.modified().ok() })
}

fn gone(path: &FilePath, cause: &std::io::Error) -> Error {
    let error = std::io::Error::new(cause.kind(), format!("{}: {cause}", path.display()));
    if error.kind() == std::io::ErrorKind::NotFound {
        Error::SnapshotGone(Box::new(error))
    } else {
        Error::Query(Box::new(error))
    }
}

fn partitioned_file(located: &Located, values: Vec<ScalarValue>) -> Result<PartitionedFile, Error> {
    let location = Path::from_absolute_path(&located.path).map_err(|e| Error::Query(Box::new(e)))?;
    let last_modified = located.modified.map(Into::into).unwrap_or_default();
    let meta = ObjectMeta { location, last_modified, size: located.size_bytes, e_tag: None, version: None };
    let mut file = PartitionedFile::new_from_meta(meta).with_extension(located.clone());
    file.partition_values = values;
    Ok(file)
}

fn partition_values(file: &DataFile, columns: &[FieldRef]) -> Result<Vec<ScalarValue>, Error> {
    columns.iter().map(|column| partition_value(file, column)).collect()
}

fn partition_value(file: &DataFile, column: &FieldRef) -> Result<ScalarValue, Error> {
    let text =
        file.partition_values.iter().find(|(name, _)| name == column.name()).and_then(|(_, text)| text.as_deref());
    let bad = |e: DataFusionError| {
        Error::BadData(format!("partition column {} of {}: {e}", column.name(), file.path.display()))
    };
    match (text, column.data_type()) {
        (None, data_type) => ScalarValue::try_from(data_type).map_err(bad),
        (Some(text), DataType::Utf8View) => Ok(ScalarValue::Utf8View(Some(text.to_owned()))),
        (Some(text), data_type) => ScalarValue::try_from_string(text.to_owned(), data_type).map_err(bad),
    }
}
