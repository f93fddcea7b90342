//! A text column of one batch as numbers of its distinct values, so that a value that repeats is
//! looked at once, not once per row.

use arrow::array::{Array, Int32Array, StringArray};
use arrow::buffer::ScalarBuffer;

use super::TextColumn;

/// Values that are remembered at a time; the slot of a value follows from its view.
const SLOTS: usize = 256;
/// So many rows are looked at before most of them may be found to have values of their own.
const ROWS_TRIED: usize = 256;

/// A dictionary of at most a row in so many is taken as it is: its own numbers are the codes.
const ROWS_PER_VALUE: usize = 32;

/// The code of rows without a value, unless the codes are those of a dictionary.
const NONE: u32 = 0;
/// No code yet.
const UNSEEN: u32 = u32::MAX;

/// Codes of the rows of one batch. Equal codes are equal texts; equal texts may have several codes.
#[derive(Clone, Debug)]
pub struct Coded {
    /// One per row.
    pub codes: ScalarBuffer<u32>,
    meaning: Meaning,
}

/// What codes stand for.
#[derive(Clone, Debug)]
enum Meaning {
    /// A row with each code; nothing is behind that of [`NONE`].
    Rows(Vec<usize>),
    /// The values of the dictionary.
    Dictionary,
}

impl Coded {
    /// The codes of all rows; `None` if too few values repeat for that to be worth it.
    pub fn of(text: &TextColumn) -> Option<Self> {
        match text {
            TextColumn::View(array) => {
                let (mut codes, mut rows) = (Vec::with_capacity(array.len()), vec![usize::MAX]);
                let mut slots = [(0_u128, NONE); SLOTS];
                for (row, &view) in array.views().iter().enumerate() {
                    let slot = &mut slots[slot(view)];
                    if slot.0 != view || slot.1 == NONE {
                        if array.is_null(row) {
                            codes.push(NONE);
                            continue;
                        }
                        *slot = (view, rows.len() as u32);
                        rows.push(row);
                        if row > ROWS_TRIED && rows.len() > row / 2 {
                            return None;
                        }
                    } else if array.is_null(row) {
                        codes.push(NONE);
                        continue;
                    }
                    codes.push(slot.1);
                }
                Some(Self::of_rows(codes, rows))
            }
            TextColumn::Dictionary { keys, values } => Some(Self::of_keys(keys, values)),
            TextColumn::Utf8(_) | TextColumn::Large(_) => None,
        }
    }

    fn of_rows(codes: Vec<u32>, rows: Vec<usize>) -> Self {
        Self { codes: codes.into(), meaning: Meaning::Rows(rows) }
    }

    fn of_keys(keys: &Int32Array, values: &StringArray) -> Self {
        if keys.null_count() == 0 && values.len() <= keys.len() / ROWS_PER_VALUE {
            // Keys are never negative.
            let codes = ScalarBuffer::from(keys.values().inner().clone());
            return Self { codes, meaning: Meaning::Dictionary };
        }
        let (mut codes, mut rows) = (Vec::with_capacity(keys.len()), vec![usize::MAX]);
        let mut code_of_key: Vec<u32> = vec![UNSEEN; values.len()];
        let mut code = |row: usize, key: usize| {
            if code_of_key[key] == UNSEEN {
                // A null in the dictionary stands for none as well.
                code_of_key[key] = if values.is_null(key) {
                    NONE
                } else {
                    rows.push(row);
                    rows.len() as u32 - 1
                };
            }
            code_of_key[key]
        };
        if keys.null_count() == 0 {
            codes.extend(keys.values().iter().enumerate().map(|(row, &key)| code(row, key as usize)));
        } else {
            let code = |(row, key): (usize, Option<i32>)| key.map_or(NONE, |key| code(row, key as usize));
            codes.extend(keys.iter().enumerate().map(code));
        }
        Self::of_rows(codes, rows)
    }

    /// The text of every code in ascending order; `None` is no value.
    pub fn texts<'a>(&'a self, text: &'a TextColumn) -> impl Iterator<Item = Option<&'a str>> {
        let (rows, values) = self.meaning_in(text);
        let of_rows = rows.iter().map(|&row| if row == usize::MAX { None } else { text.get(row) });
        of_rows.chain(values.into_iter().flatten())
    }

    /// How many codes there are.
    pub fn texts_len(&self, text: &TextColumn) -> usize {
        let (rows, values) = self.meaning_in(text);
        rows.len() + values.map_or(0, Array::len)
    }

    fn meaning_in<'a>(&'a self, text: &'a TextColumn) -> (&'a [usize], Option<&'a StringArray>) {
        match (&self.meaning, text) {
            (Meaning::Rows(rows), _) => (rows, None),
            (Meaning::Dictionary, TextColumn::Dictionary { values, .. }) => (&[], Some(values)),
            (Meaning::Dictionary, _) => unreachable!("the codes are those of a dictionary"),
        }
    }
}

fn slot(view: u128) -> usize {
    let folded = (view as u64) ^ ((view >> 64) as u64).rotate_left(29);
    (folded.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as usize
}
