//! What a writer knows of a file that lets readers skip most of it: where each participant's rows
//! are, and how long the texts of ids are. It stands in the tags of the add action.
//!
//! Invariant: hints only ever say where rows cannot be. A file without hints, or with ones that
//! cannot be read, is read as a whole.

use std::collections::BTreeMap;
use std::ops::Range;

use arrow::array::{Array, AsArray, RecordBatch};
use payouts_model::{FieldType, Report};
use serde::{Deserialize, Serialize};

use super::Key;

/// Rows from one mark to the next: less than a data page, so that a participant's rows are found
/// to the page, and few enough marks for the log (a kilobyte for a million rows).
pub const ROWS_PER_MARK: u64 = 8192;

/// Bytes of the shortest and of the longest text; `None` if there is none.
pub type Lengths = Option<(u64, u64)>;

/// What is known of a file besides its statistics. The default knows nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hints {
    /// The canonical participants of the rows 0, [`Marks::every_rows`], twice that, …
    pub marks: Option<Marks>,
    /// Of id columns by name. Nothing is known of columns that are missing here.
    pub id_lengths: BTreeMap<String, Lengths>,
}

/// A sparse index of a file in ledger order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Marks {
    /// Rows from one mark to the next.
    pub every_rows: u64,
    /// The canonical participant of each marked row; never goes backwards.
    pub participants: Vec<String>,
    /// That of the last row.
    pub last: String,
}

impl Marks {
    /// Whether this can be the index of a file of so many rows.
    pub fn fit(&self, rows: u64) -> bool {
        self.every_rows > 0
            && self.participants.len() as u64 == rows.div_ceil(self.every_rows)
            && self.participants.is_sorted()
            && self.participants.last() <= Some(&self.last)
    }

    /// The rows among which all rows of this canonical participant are, in a file of `rows` rows.
    /// May be empty; may hold rows of others.
    pub fn rows_of(&self, participant: &str, rows: u64) -> Range<u64> {
        if participant > self.last.as_str() {
            return rows..rows;
        }
        let before = self.participants.partition_point(|p| p.as_str() < participant) as u64;
        let through = self.participants.partition_point(|p| p.as_str() <= participant) as u64;
        let start = before.saturating_sub(1) * self.every_rows;
        let end = (through * self.every_rows).min(rows);
        start..end.max(start)
    }
}

/// Gathers the hints of a file while it is written.
#[derive(Clone, Debug)]
pub(super) struct Gatherer {
    participants: Vec<String>,
    last: String,
    /// Id columns: name, index, and lengths so far.
    lengths: Vec<(String, usize, Lengths)>,
}

impl Gatherer {
    pub fn new(report: &Report) -> Self {
        let ids = report.fields.iter().enumerate().filter(|(_, f)| f.kind == FieldType::Id);
        let lengths = ids.map(|(index, f)| (f.name.to_string(), index, None)).collect();
        Self { participants: Vec::new(), last: String::new(), lengths }
    }

    /// Adds rows that follow the `rows_before` ones; `key` gives the key of one of them.
    pub fn add(&mut self, batch: &RecordBatch, rows_before: u64, key: impl Fn(usize) -> Key) {
        let until = rows_before + batch.num_rows() as u64;
        let mut marked = self.participants.len() as u64 * ROWS_PER_MARK;
        while marked < until {
            self.participants.push(key((marked - rows_before) as usize).participant().to_owned());
            marked += ROWS_PER_MARK;
        }
        if let Some(row) = batch.num_rows().checked_sub(1) {
            self.last = key(row).participant().to_owned();
        }
        for (_, index, span) in &mut self.lengths {
            let texts = batch.column(*index).as_string::<i32>();
            let ends = texts.value_offsets().windows(2).enumerate();
            for (_, pair) in ends.filter(|(row, _)| texts.is_valid(*row)) {
                let length = (pair[1] - pair[0]).unsigned_abs().into();
                let (shortest, longest) = span.unwrap_or((length, length));
                *span = Some((shortest.min(length), longest.max(length)));
            }
        }
    }

    pub fn finish(self) -> Hints {
        Hints {
            marks: Some(Marks { every_rows: ROWS_PER_MARK, participants: self.participants, last: self.last }),
            id_lengths: self.lengths.into_iter().map(|(name, _, span)| (name, span)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_a_participant_lie_between_its_marks() {
        let texts = ["1", "1", "2", "4", "4", "7"];
        // Three rows to a mark: 1 1 1 | 1 1 2 | 2 2 3 | 4 4 4 | 4 4 5 | 7
        let rows = ["1", "1", "1", "1", "1", "2", "2", "2", "3", "4", "4", "4", "4", "4", "5", "7"];
        let participants = texts.iter().map(|t| (*t).to_owned()).collect();
        let marks = Marks { every_rows: 3, participants, last: "7".to_owned() };
        assert!(marks.fit(16) && !marks.fit(15) && !marks.fit(19));
        for asked in ["0", "1", "2", "3", "4", "5", "6", "7", "8"] {
            let found = marks.rows_of(asked, 16);
            assert!(found.end <= 16);
            for (row, participant) in rows.iter().enumerate() {
                assert!(*participant != asked || found.contains(&(row as u64)), "{asked} in row {row}: {found:?}");
            }
        }
        assert!(marks.rows_of("0", 16).is_empty());
        assert_eq!(marks.rows_of("3", 16), 6..9);
        assert!(marks.rows_of("8", 16).is_empty());
    }
}
