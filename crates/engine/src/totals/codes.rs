//! Small numbers for what repeats: texts and groups, so that a row costs a look into a small
//! table, seldom a hash of its text.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::FixedState;

use crate::batch::Batch;
use crate::column::Column;

/// Slots of the table that is asked before the map, as a power of two.
const SLOT_BITS: u32 = 11;

/// Texts and their numbers. Null and the empty text are one.
#[derive(Debug, Default)]
pub(crate) struct Codes {
    names: Vec<Arc<str>>,
    numbers: HashMap<Arc<str>, u32>,
}

impl Codes {
    /// The number of a text.
    pub fn code(&mut self, text: &str) -> u32 {
        if let Some(&code) = self.numbers.get(text) {
            return code;
        }
        let name: Arc<str> = text.into();
        let code = self.names.len() as u32;
        self.names.push(name.clone());
        self.numbers.insert(name, code);
        code
    }

    /// Takes up the texts of another; answers the number here of each number there.
    pub fn absorb(&mut self, other: &Self) -> Vec<u32> {
        other.names.iter().map(|name| self.code(name)).collect()
    }

    /// How many texts there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// The text of a number.
    pub fn name(&self, code: u32) -> &Arc<str> {
        &self.names[code as usize]
    }

    /// The numbers of the rows of a column; what is not text counts as null.
    pub fn of(&mut self, batch: &Batch, position: usize) -> Vec<u32> {
        let null = self.code("");
        let Column::Text(text) = batch.column(position) else { return vec![null; batch.rows()] };
        if let Some(coded) = batch.coded(position) {
            let numbers: Vec<u32> = coded.texts(text).map(|text| text.map_or(null, |t| self.code(t))).collect();
            return coded.codes.iter().map(|&code| numbers[code as usize]).collect();
        }
        let mut last: Option<(&str, u32)> = None;
        let mut code = |row: usize| match (text.get(row), last) {
            (None, _) => null,
            (Some(text), Some((known, code))) if known == text => code,
            (Some(text), _) => {
                let code = self.code(text);
                last = Some((text, code));
                code
            }
        };
        (0..batch.rows()).map(&mut code).collect()
    }
}

/// Keys of `N` numbers each, and their own numbers in the order they came.
#[derive(Debug)]
pub(super) struct Dense<const N: usize> {
    keys: Vec<[u32; N]>,
    numbers: HashMap<[u32; N], u32, FixedState>,
    /// Some keys and their numbers, at places that follow from the keys.
    slots: Vec<([u32; N], u32)>,
}

impl<const N: usize> Default for Dense<N> {
    fn default() -> Self {
        Self { keys: Vec::new(), numbers: HashMap::default(), slots: vec![([0; N], u32::MAX); 1 << SLOT_BITS] }
    }
}

impl<const N: usize> Dense<N> {
    /// The number of a key.
    #[inline]
    pub fn number(&mut self, key: [u32; N]) -> u32 {
        let at = slot(&key);
        let (known, number) = self.slots[at];
        if known == key && number != u32::MAX {
            return number;
        }
        let number = self.look_up(key);
        self.slots[at] = (key, number);
        number
    }

    fn look_up(&mut self, key: [u32; N]) -> u32 {
        *self.numbers.entry(key).or_insert_with(|| {
            self.keys.push(key);
            self.keys.len() as u32 - 1
        })
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// The keys in the order of their numbers.
    pub fn keys(&self) -> &[[u32; N]] {
        &self.keys
    }

    /// The key of a number.
    pub fn key(&self, number: usize) -> &[u32; N] {
        &self.keys[number]
    }
}

#[inline]
fn slot<const N: usize>(key: &[u32; N]) -> usize {
    let mix = |mixed: u64, &part: &u32| (mixed ^ u64::from(part)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(27);
    (key.iter().fold(0, mix) >> (64 - SLOT_BITS)) as usize
}
