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

/// What codes stand for. Nothing is behind [`NONE`], where there is that.
#[derive(Clone, Debug)]
enum Meaning {
    /// A row with each code.
    Rows(Vec<usize>),
    /// The place of each code's value in the dictionary.
    Keys(Vec<u32>),
    /// The values of the dictionary, all of them.
    Dictionary {
        /// Whether they begin behind [`NONE`].
        behind_none: bool,
    },
}

/// Memory of [`Coded::of`] that is worth to be kept from column to column.
#[derive(Debug, Default)]
pub struct Scratch {
    /// The code of every key of a dictionary: [`UNSEEN`] between two columns.
    code_of_key: Vec<u32>,
}

impl Coded {
    /// The codes of all rows; `None` if too few values repeat for that to be worth it.
    pub fn of(text: &TextColumn, scratch: &mut Scratch) -> Option<Self> {
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
                Some(Self { codes: codes.into(), meaning: Meaning::Rows(rows) })
            }
            TextColumn::Dictionary { keys, values } => Some(Self::of_keys(keys, values, scratch)),
            TextColumn::Utf8(_) | TextColumn::Large(_) => None,
        }
    }

    fn of_keys(keys: &Int32Array, values: &StringArray, scratch: &mut Scratch) -> Self {
        let nulls = keys.nulls().filter(|nulls| nulls.null_count() > 0);
        if values.len() <= keys.len() / ROWS_PER_VALUE {
            // Keys are never negative.
            let codes = match nulls {
                None => ScalarBuffer::from(keys.values().inner().clone()),
                Some(nulls) => {
                    let mut codes: Vec<u32> = keys.values().iter().map(|&key| (key as u32).wrapping_add(1)).collect();
                    (!nulls.inner()).set_indices().for_each(|row| codes[row] = NONE);
                    codes.into()
                }
            };
            return Self { codes, meaning: Meaning::Dictionary { behind_none: nulls.is_some() } };
        }
        let code_of_key = &mut scratch.code_of_key;
        if code_of_key.len() < values.len() {
            code_of_key.resize(values.len(), UNSEEN);
        }
        let mut seen = vec![UNSEEN];
        let mut code = |key: i32| {
            let code = &mut code_of_key[key as usize];
            if *code == UNSEEN {
                *code = seen.len() as u32;
                seen.push(key as u32);
            }
            *code
        };
        let keyed = keys.values();
        let codes = match nulls {
            None => keyed.iter().map(|&key| code(key)).collect(),
            Some(nulls) => {
                let mut codes = vec![NONE; keys.len()];
                nulls.valid_indices().for_each(|row| codes[row] = code(keyed[row]));
                codes
            }
        };
        seen[1..].iter().for_each(|&key| code_of_key[key as usize] = UNSEEN);
        Self { codes: codes.into(), meaning: Meaning::Keys(seen) }
    }

    /// The text of every code in ascending order; `None` is no value.
    pub fn texts<'a>(&'a self, text: &'a TextColumn) -> impl Iterator<Item = Option<&'a str>> {
        (0..self.texts_len(text)).map(|code| self.text(code, text))
    }

    /// How many codes there are.
    pub fn texts_len(&self, text: &TextColumn) -> usize {
        match &self.meaning {
            Meaning::Rows(rows) => rows.len(),
            Meaning::Keys(keys) => keys.len(),
            Meaning::Dictionary { behind_none } => values(text).len() + usize::from(*behind_none),
        }
    }

    fn text<'a>(&self, code: usize, text: &'a TextColumn) -> Option<&'a str> {
        let value = |at: usize| values(text).is_valid(at).then(|| values(text).value(at));
        match &self.meaning {
            Meaning::Dictionary { behind_none: false } => value(code),
            _ if code == NONE as usize => None,
            Meaning::Dictionary { behind_none: true } => value(code - 1),
            Meaning::Keys(keys) => value(keys[code] as usize),
            Meaning::Rows(rows) => text.get(rows[code]),
        }
    }
}

/// The values of the dictionary that codes were made of.
fn values(text: &TextColumn) -> &StringArray {
    match text {
        TextColumn::Dictionary { values, .. } => values,
        _ => unreachable!("the codes are those of a dictionary"),
    }
}

fn slot(view: u128) -> usize {
    let folded = (view as u64) ^ ((view >> 64) as u64).rotate_left(29);
    (folded.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as usize
}
