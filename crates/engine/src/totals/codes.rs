//! Small numbers for what repeats: texts, groups and months, so that a row costs a comparison or a
//! look into a small table, seldom a hash of its text.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use arrow::array::Array;
use chrono::{DateTime, Datelike, NaiveDate, TimeZone};
use foldhash::fast::FixedState;

use crate::column::{Column, TextColumn};

/// Slots of the table that is asked before the map.
const SLOTS: usize = 256;

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

    /// How many texts there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// The text of a number.
    pub fn name(&self, code: u32) -> &Arc<str> {
        &self.names[code as usize]
    }

    /// The numbers of the first `rows` rows of a column; what is not text counts as null.
    pub fn of(&mut self, column: &Column, rows: usize) -> Vec<u32> {
        let null = self.code("");
        match column {
            Column::Text(TextColumn::View(array)) => {
                // Equal views within one array are equal texts.
                let mut slots = [(0_u128, u32::MAX); SLOTS];
                let mut code = |row: usize| {
                    if array.is_null(row) {
                        return null;
                    }
                    let view = array.views()[row];
                    let slot = &mut slots[slot(view)];
                    if slot.1 == u32::MAX || slot.0 != view {
                        *slot = (view, self.code(array.value(row)));
                    }
                    slot.1
                };
                (0..rows).map(&mut code).collect()
            }
            Column::Text(TextColumn::Dictionary { keys, values }) => {
                let codes: Vec<u32> = values.iter().map(|v| v.map_or(null, |v| self.code(v))).collect();
                keys.iter().map(|key| key.map_or(null, |key| codes[key as usize])).collect()
            }
            Column::Text(text) => {
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
                (0..rows).map(&mut code).collect()
            }
            _ => vec![null; rows],
        }
    }
}

fn slot(view: u128) -> usize {
    let folded = (view as u64) ^ ((view >> 64) as u64).rotate_left(29);
    (folded.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as usize
}

/// Keys and their numbers in the order they came.
#[derive(Debug)]
pub(super) struct Dense<K> {
    keys: Vec<K>,
    numbers: HashMap<K, u32, FixedState>,
    last: Option<(K, u32)>,
}

impl<K> Default for Dense<K> {
    fn default() -> Self {
        Self { keys: Vec::new(), numbers: HashMap::default(), last: None }
    }
}

impl<K: Copy + Eq + Hash> Dense<K> {
    /// The number of a key.
    pub fn number(&mut self, key: K) -> u32 {
        if let Some((known, number)) = self.last
            && known == key
        {
            return number;
        }
        let number = *self.numbers.entry(key).or_insert_with(|| {
            self.keys.push(key);
            self.keys.len() as u32 - 1
        });
        self.last = Some((key, number));
        number
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// The key of a number.
    pub fn key(&self, number: usize) -> &K {
        &self.keys[number]
    }
}

/// The month of each row in a time zone, as numbers of names like `2023-05`; the empty name where
/// there is no value. Days have no zone.
pub(super) fn months(column: &Column, zone: chrono_tz::Tz, rows: usize, names: &mut Codes) -> Vec<u32> {
    // Since 1972 every zone's offset is a multiple of a quarter of an hour, so all instants of one
    // quarter fall into one month.
    const QUARTER_MICROS: i64 = 900_000_000;
    let none = names.code("");
    let mut known: HashMap<i64, u32> = HashMap::new();
    let mut last = None;
    let mut of = |key: i64, name: &dyn Fn() -> String| match last {
        Some((k, code)) if k == key => code,
        _ => {
            let code = *known.entry(key).or_insert_with(|| names.code(&name()));
            last = Some((key, code));
            code
        }
    };
    match column {
        Column::Instant(array) => {
            let mut code = |micros: i64| {
                let exact = micros < 63_072_000_000_000;
                let key = if exact { micros } else { micros.div_euclid(QUARTER_MICROS) + (1 << 60) };
                of(key, &|| {
                    DateTime::from_timestamp_micros(micros)
                        .map_or_else(String::new, |at| month(zone.from_utc_datetime(&at.naive_utc()).date_naive()))
                })
            };
            array.iter().take(rows).map(|v| v.map_or(none, &mut code)).collect()
        }
        Column::Date(array) => {
            let mut code =
                |day: i32| of(i64::from(day), &|| NaiveDate::from_epoch_days(day).map_or_else(String::new, month));
            array.iter().take(rows).map(|v| v.map_or(none, &mut code)).collect()
        }
        _ => vec![none; rows],
    }
}

fn month(day: NaiveDate) -> String {
    format!("{:04}-{:02}", day.year(), day.month())
}
