//! Which rows of which row groups a plan has to look at, decided before a file is opened: by the
//! marks that the log has of a file, by partition values, by the statistics of its row groups, and
//! by bloom filters.
//!
//! Invariants: no row that the predicate selects is left out, and no row group is called whole that
//! holds another row. What is not known of a file prunes nothing of it; row by row the decoder
//! decides, as without this.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::File;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, UInt64Array};
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::{Column, ScalarValue};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::pruning::{PruningPredicate, PruningPredicateBuilder};
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::arrow::arrow_reader::{RowSelection, RowSelector};
use parquet::file::metadata::RowGroupMetaData;
use payouts_ledger::DataFile;

use super::bloom::Filter;
use super::footers::{Footer, Located};

/// Lists of literals up to this long prune by statistics.
pub(super) const PRUNING_LIST_MAX: usize = 160;

/// More participants than this are not looked up one by one.
const PARTICIPANTS_MAX: usize = 4_096;

/// A row group that may hold rows of the plan.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Candidate {
    /// Its number in the file.
    pub group: usize,
    /// The rows to look at; `None`: all.
    pub rows: Option<RowSelection>,
    /// About how many bytes will be read.
    pub bytes: u64,
    /// How many rows there are to look at.
    pub looked_at: u64,
    /// Whether the plan selects every row of it.
    pub whole: bool,
}

/// Decides for the files of one plan.
#[derive(Debug)]
pub(super) struct Pruner {
    predicate: Option<Arc<PruningPredicate>>,
    /// Of the rows that the plan does not select.
    denial: Option<Arc<PruningPredicate>>,
    schema: SchemaRef,
    participants: Option<BTreeSet<String>>,
}

impl Pruner {
    /// For rows that satisfy `predicate` over the table's schema and, if given, have one of these
    /// canonical participants. `denial`, if given, is true for every row that is not selected.
    pub fn new(
        predicate: &Arc<dyn PhysicalExpr>,
        denial: Option<Arc<dyn PhysicalExpr>>,
        schema: &SchemaRef,
        participants: Option<BTreeSet<String>>,
    ) -> Self {
        let pruning = |predicate| {
            PruningPredicateBuilder::new()
                .with_file_schema(schema.clone())
                .with_max_in_list_size(PRUNING_LIST_MAX)
                .build(predicate)
        };
        Self {
            predicate: pruning(predicate.clone()),
            denial: denial.and_then(pruning),
            schema: schema.clone(),
            participants: participants.filter(|p| p.len() <= PARTICIPANTS_MAX),
        }
    }

    /// The ranges of rows to look at, in order, by the log alone; `None`: nothing is known.
    pub fn ranges(&self, file: &DataFile) -> Option<Vec<Range<u64>>> {
        let (participants, rows) = (self.participants.as_ref()?, file.rows?);
        let marks = file.hints.marks.as_ref().filter(|marks| marks.fit(rows))?;
        let mut ranges: Vec<Range<u64>> = Vec::new();
        // The set is in the order of the file, so the ranges come in order, too.
        for range in participants.iter().map(|p| marks.rows_of(p, rows)).filter(|r| !r.is_empty()) {
            match ranges.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ => ranges.push(range),
            }
        }
        Some(ranges)
    }

    /// The row groups to look at, in order. `partition` are the values of the partition columns.
    pub fn candidates(
        &self,
        file: &DataFile,
        located: &Located,
        footer: &Footer,
        partition: &HashMap<String, ScalarValue>,
    ) -> Vec<Candidate> {
        let metadata = &footer.metadata;
        let rows = metadata.file_metadata().num_rows();
        let ranges = if file.rows.map(i64::try_from) == Some(Ok(rows)) { self.ranges(file) } else { None };
        let mut candidates = Vec::new();
        let mut start = 0;
        for (group, about) in metadata.row_groups().iter().enumerate() {
            let end = start + about.num_rows().unsigned_abs();
            candidates.extend(candidate(group, about, start..end, ranges.as_deref()));
            start = end;
        }
        let Some(predicate) = &self.predicate else { return candidates };
        let mut groups = Groups { pruner: self, footer, partition, groups: Vec::new(), file: None };
        groups.retain(&mut candidates, predicate);
        if !candidates.is_empty() && groups.any_filter(&candidates, &predicate.literal_columns()) {
            // A file that is gone is noticed when it is read.
            groups.file = File::open(&located.path).ok();
            groups.retain(&mut candidates, predicate);
        }
        if let Some(denial) = &self.denial {
            groups.file = None;
            groups.find_whole(&mut candidates, denial);
        }
        candidates
    }
}

/// What of a row group lies in the ranges.
fn candidate(
    group: usize,
    about: &RowGroupMetaData,
    place: Range<u64>,
    ranges: Option<&[Range<u64>]>,
) -> Option<Candidate> {
    let bytes = about.compressed_size().unsigned_abs();
    let rows = place.end - place.start;
    let Some(ranges) = ranges else {
        return Some(Candidate { group, rows: None, bytes, looked_at: rows, whole: false });
    };
    let first = ranges.partition_point(|r| r.end <= place.start);
    let mut selectors = Vec::new();
    let mut at = place.start;
    let mut selected = 0;
    for range in ranges[first..].iter().take_while(|r| r.start < place.end) {
        let (start, end) = (range.start.max(place.start), range.end.min(place.end));
        if start > at {
            selectors.push(RowSelector::skip((start - at) as usize));
        }
        selectors.push(RowSelector::select((end - start) as usize));
        selected += end - start;
        at = end;
    }
    if selected == 0 {
        return None;
    }
    if at < place.end {
        selectors.push(RowSelector::skip((place.end - at) as usize));
    }
    let bytes = bytes.saturating_mul(selected) / rows;
    let some = (selected < rows).then(|| RowSelection::from(selectors));
    Some(Candidate { group, rows: some, bytes, looked_at: selected, whole: false })
}

/// Row groups of one file, as the pruning predicate asks about them.
struct Groups<'a> {
    pruner: &'a Pruner,
    footer: &'a Footer,
    partition: &'a HashMap<String, ScalarValue>,
    groups: Vec<usize>,
    /// Open if bloom filters are to be asked.
    file: Option<File>,
}

impl Groups<'_> {
    /// Keeps the candidates that may hold selected rows.
    fn retain(&mut self, candidates: &mut Vec<Candidate>, predicate: &PruningPredicate) {
        self.groups = candidates.iter().map(|c| c.group).collect();
        match predicate.prune(self) {
            Ok(keep) => {
                let mut keep = keep.into_iter();
                candidates.retain(|_| keep.next().unwrap_or(true));
            }
            Err(error) => tracing::debug!(%error, "row groups are not pruned"),
        }
    }

    /// Marks the candidates that hold no row of the denial.
    fn find_whole(&mut self, candidates: &mut [Candidate], denial: &PruningPredicate) {
        self.groups = candidates.iter().map(|c| c.group).collect();
        match denial.prune(self) {
            Ok(may_deny) => {
                for (candidate, may_deny) in candidates.iter_mut().zip(may_deny) {
                    candidate.whole = !may_deny && candidate.rows.is_none();
                }
            }
            Err(error) => tracing::debug!(%error, "row groups are not known to be whole"),
        }
    }

    /// Whether a candidate has a bloom filter of one of these columns.
    fn any_filter(&self, candidates: &[Candidate], columns: &[String]) -> bool {
        let groups = self.footer.metadata.row_groups();
        let indexes: Vec<usize> = columns.iter().filter_map(|name| self.text_column(name)).collect();
        candidates.iter().any(|c| indexes.iter().any(|&i| groups[c.group].column(i).bloom_filter_offset().is_some()))
    }

    /// The number of the file's column of this name, if it is plain text.
    fn text_column(&self, name: &str) -> Option<usize> {
        let schema = &self.footer.schema;
        let parquet = self.footer.metadata.file_metadata().schema_descr();
        let field = schema.field_with_name(name).ok().filter(|f| is_text(f.data_type()))?;
        parquet::arrow::parquet_column(parquet, schema, field.name()).map(|(index, _)| index)
    }

    fn statistics<T>(
        &self,
        column: &Column,
        of: impl Fn(&StatisticsConverter<'_>, Vec<&RowGroupMetaData>) -> parquet::errors::Result<T>,
    ) -> Option<T> {
        let schema = &self.footer.schema;
        let stored = schema.field_with_name(&column.name).ok()?.data_type();
        let wanted = self.pruner.schema.field_with_name(&column.name).ok()?.data_type();
        if stored != wanted && !(is_text(stored) && is_text(wanted)) {
            // What the cast between them does to bounds is left to the decoder.
            return None;
        }
        let metadata = &self.footer.metadata;
        let parquet = metadata.file_metadata().schema_descr();
        let converter =
            StatisticsConverter::try_new(&column.name, schema, parquet).ok()?.with_missing_null_counts_as_zero(false);
        of(&converter, self.groups.iter().map(|&g| metadata.row_group(g)).collect()).ok()
    }

    fn constant(&self, column: &Column) -> Option<&ScalarValue> {
        self.partition.get(&column.name)
    }
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

impl PruningStatistics for Groups<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        if let Some(value) = self.constant(column) {
            return value.to_array_of_size(self.groups.len()).ok();
        }
        self.statistics(column, |c, groups| c.row_group_mins(groups))
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        if let Some(value) = self.constant(column) {
            return value.to_array_of_size(self.groups.len()).ok();
        }
        self.statistics(column, |c, groups| c.row_group_maxes(groups))
    }

    fn num_containers(&self) -> usize {
        self.groups.len()
    }

    fn null_counts(&self, column: &Column) -> Option<ArrayRef> {
        if let Some(value) = self.constant(column) {
            let rows = |&g: &usize| self.footer.metadata.row_group(g).num_rows().unsigned_abs();
            let nulls = self.groups.iter().map(|g| Some(if value.is_null() { rows(g) } else { 0 }));
            return Some(Arc::new(nulls.collect::<UInt64Array>()));
        }
        self.statistics(column, |c, groups| c.row_group_null_counts(groups)).map(|a| Arc::new(a) as ArrayRef)
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        let rows = |&g: &usize| Some(self.footer.metadata.row_group(g).num_rows().unsigned_abs());
        Some(Arc::new(self.groups.iter().map(rows).collect::<UInt64Array>()))
    }

    fn contained(&self, column: &Column, values: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        let file = self.file.as_ref()?;
        let index = self.text_column(&column.name)?;
        let texts: Vec<&str> = values.iter().map(|v| v.try_as_str().flatten()).collect::<Option<_>>()?;
        let may_hold = |&group: &usize| {
            let filter = Filter::open(file, self.footer.metadata.row_group(group).column(index))?;
            // "Maybe" is null, "certainly none of them" is false.
            (!texts.iter().any(|text| filter.may_hold(text))).then_some(false)
        };
        Some(self.groups.iter().map(may_hold).collect())
    }
}
