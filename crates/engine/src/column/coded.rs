//! A text column of one batch as numbers of its distinct values, so that a value that repeats is
//! looked at once, not once per row.

use arrow::array::Array;

use super::TextColumn;

/// Values that are remembered at a time; the slot of a value follows from its view.
const SLOTS: usize = 256;
/// So many rows are looked at before most of them may be found to have values of their own.
const ROWS_TRIED: usize = 256;

/// The code of rows without a value.
pub const NONE: u32 = 0;

/// Codes of the rows of one batch. Equal codes are equal texts; equal texts may have several codes.
#[derive(Clone, Debug)]
pub struct Coded {
    /// One per row; [`NONE`] where there is no value.
    pub codes: Vec<u32>,
    /// A row with each code; nothing is behind that of [`NONE`].
    rows: Vec<usize>,
}

impl Coded {
    /// The codes of all rows; `None` if too few values repeat for that to be worth it.
    pub fn of(text: &TextColumn) -> Option<Self> {
        match text {
            TextColumn::View(array) => {
                let mut coded = Self { codes: Vec::with_capacity(array.len()), rows: vec![usize::MAX] };
                let mut slots = [(0_u128, NONE); SLOTS];
                for (row, &view) in array.views().iter().enumerate() {
                    let slot = &mut slots[slot(view)];
                    if slot.0 != view || slot.1 == NONE {
                        if array.is_null(row) {
                            coded.codes.push(NONE);
                            continue;
                        }
                        *slot = (view, coded.rows.len() as u32);
                        coded.rows.push(row);
                        if row > ROWS_TRIED && coded.rows.len() > row / 2 {
                            return None;
                        }
                    } else if array.is_null(row) {
                        coded.codes.push(NONE);
                        continue;
                    }
                    coded.codes.push(slot.1);
                }
                Some(coded)
            }
            TextColumn::Dictionary { keys, values } => {
                let mut code_of_key = vec![NONE; values.len()];
                let mut coded = Self { codes: Vec::with_capacity(keys.len()), rows: vec![usize::MAX] };
                for (row, key) in keys.iter().enumerate() {
                    let Some(key) = key.map(|key| key as usize).filter(|&key| values.is_valid(key)) else {
                        coded.codes.push(NONE);
                        continue;
                    };
                    if code_of_key[key] == NONE {
                        code_of_key[key] = coded.rows.len() as u32;
                        coded.rows.push(row);
                    }
                    coded.codes.push(code_of_key[key]);
                }
                Some(coded)
            }
            TextColumn::Utf8(_) | TextColumn::Large(_) => None,
        }
    }

    /// The text of every code in ascending order; `None` is that of [`NONE`].
    pub fn texts<'a>(&'a self, text: &'a TextColumn) -> impl Iterator<Item = Option<&'a str>> {
        self.rows.iter().map(|&row| if row == usize::MAX { None } else { text.get(row) })
    }
}

fn slot(view: u128) -> usize {
    let folded = (view as u64) ^ ((view >> 64) as u64).rotate_left(29);
    (folded.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as usize
}
