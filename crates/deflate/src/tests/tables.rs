//! Arbitrary tables as text, laid down as exports lay them down, and what may be said of where
//! their fields begin: the truth, or any lie.

use proptest::prelude::*;

/// What the cells of a column hold.
#[derive(Clone, Debug)]
pub enum Column {
    /// One of a few values, the same index more often than not: rows come sorted.
    Choice { values: Vec<String>, steady: bool },
    /// Numbers that count on, with zeros in front up to a width.
    Counter { first: u32, step: u32, width: usize },
    /// Amounts with decimals.
    Amount { places: u32, most: u64 },
    /// Digits and letters without any pattern.
    Id { length: usize },
    /// What another column of the row holds.
    Copy { of: usize },
    /// One character, very often.
    Long { character: char, most: usize },
    /// Null, that is: nothing between two separators.
    Null,
}

fn column() -> impl Strategy<Value = Column> {
    let value = prop_oneof![
        4 => "[a-zA-Z ]{1,24}",
        2 => "[0-9.:-]{0,12}",
        1 => "\\PC{0,20}",
        1 => "[,\"\r\n\té漢]{0,6}",
    ];
    prop_oneof![
        6 => (prop::collection::vec(value, 1..60), any::<bool>())
            .prop_map(|(values, steady)| Column::Choice { values, steady }),
        2 => (any::<u32>(), 0..9_u32, 0..14_usize).prop_map(|(first, step, width)| Column::Counter { first, step, width }),
        2 => (0..9_u32, 1..u64::MAX).prop_map(|(places, most)| Column::Amount { places, most }),
        1 => (0..60_usize).prop_map(|length| Column::Id { length }),
        1 => (0..40_usize).prop_map(|of| Column::Copy { of }),
        1 => (any::<char>(), 0..3000_usize).prop_map(|(character, most)| Column::Long { character, most }),
        1 => Just(Column::Null),
    ]
}

/// Columns and rows; a row is a number that its cells are drawn from.
#[derive(Clone, Debug)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<u64>,
    separator: u8,
    nulls_of_16: u64,
}

/// Tables of up to 40 columns and 400 rows, some of which repeat the row above or an earlier one.
pub fn table() -> impl Strategy<Value = Table> {
    let row = prop_oneof![6 => any::<u64>(), 1 => 0..4_u64];
    let columns = prop_oneof![4 => 1..8_usize, 1 => 8..40_usize];
    (columns, prop_oneof![3 => 0..60_usize, 1 => 60..400_usize], any::<bool>(), 0..10_u64).prop_flat_map(
        move |(columns, rows, tabs, nulls_of_16)| {
            (prop::collection::vec(column(), columns), prop::collection::vec(row.clone(), rows)).prop_map(
                move |(columns, rows)| Table { columns, rows, separator: if tabs { b'\t' } else { b',' }, nulls_of_16 },
            )
        },
    )
}

/// Numbers without a visible pattern.
fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

impl Table {
    /// Columns of a row.
    pub fn width(&self) -> usize {
        self.columns.len()
    }

    /// The text, and where its fields begin.
    pub fn text(&self) -> (Vec<u8>, Vec<u32>) {
        let (mut text, mut starts) = (Vec::new(), Vec::new());
        for (index, &row) in self.rows.iter().enumerate() {
            for column in 0..self.columns.len() {
                starts.push(text.len() as u32);
                if let Some(value) = self.cell(index, row, column) {
                    self.quote(&value, &mut text);
                }
                text.push(self.separator);
            }
            text.pop();
            text.extend_from_slice(b"\r\n");
        }
        (text, starts)
    }

    fn cell(&self, index: usize, row: u64, column: usize) -> Option<String> {
        let drawn = mix(row ^ mix(column as u64));
        if drawn % 16 < self.nulls_of_16 && column % 3 == 1 {
            return None;
        }
        let drawn = drawn >> 4;
        Some(match &self.columns[column] {
            Column::Choice { values, steady: true } => values[index * values.len() / self.rows.len()].clone(),
            Column::Choice { values, steady: false } => values[drawn as usize % values.len()].clone(),
            Column::Counter { first, step, width } => {
                format!("{:0width$}", first.wrapping_add(index as u32 * step), width = *width)
            }
            Column::Amount { places, most } => {
                let (units, one) = (drawn % most, 10_u64.pow(*places));
                let sign = if drawn.is_multiple_of(5) { "-" } else { "" };
                format!("{sign}{}.{:0width$}", units / one, units % one, width = *places as usize)
            }
            Column::Id { length } => {
                (0..*length as u64).map(|i| char::from(b"0123456789abcdef"[(mix(drawn ^ i) % 16) as usize])).collect()
            }
            Column::Copy { of } if *of < column => return self.cell(index, row, *of),
            Column::Long { character, most } => character.to_string().repeat(drawn as usize % (most + 1)),
            Column::Copy { .. } | Column::Null => return None,
        })
    }

    fn quote(&self, value: &str, text: &mut Vec<u8>) {
        let special = |b: u8| b == self.separator || matches!(b, b'"' | b'\r' | b'\n');
        if value.is_empty() || value.bytes().any(special) {
            text.push(b'"');
            text.extend_from_slice(value.replace('"', "\"\"").as_bytes());
            text.push(b'"');
        } else {
            text.extend_from_slice(value.as_bytes());
        }
    }
}

/// What the encoder is told instead of the truth, or besides it.
#[derive(Clone, Debug)]
pub enum Hints {
    /// Where fields begin, and how many of them to a row.
    Right,
    /// None at all.
    None,
    /// Every offset, the one after the end too.
    EveryByte,
    /// Right offsets, another number of columns.
    OtherColumns(usize),
    /// Every offset moved, some of them beyond the end.
    Moved(u32),
    /// The right ones, the last one first.
    Backwards,
    /// Each of the right ones, a few times over.
    Again(usize),
    /// The right ones, some exchanged.
    Shuffled(u64),
    /// Some of the right ones only.
    Holes(u64),
    /// Anything, in any order.
    Any(Vec<u32>),
    /// Anything within a text of 64 KiB, ascending.
    Ascending(Vec<u16>),
}

/// Every kind of hint.
pub fn hints() -> impl Strategy<Value = Hints> {
    prop_oneof![
        4 => Just(Hints::Right),
        1 => Just(Hints::None),
        1 => Just(Hints::EveryByte),
        2 => prop_oneof![Just(0), Just(usize::MAX), 0..90_usize].prop_map(Hints::OtherColumns),
        2 => prop_oneof![0..40_u32, any::<u32>()].prop_map(Hints::Moved),
        1 => Just(Hints::Backwards),
        1 => (2..4_usize).prop_map(Hints::Again),
        1 => any::<u64>().prop_map(Hints::Shuffled),
        1 => any::<u64>().prop_map(Hints::Holes),
        1 => prop::collection::vec(any::<u32>(), 0..100).prop_map(Hints::Any),
        1 => prop::collection::vec(any::<u16>(), 0..2000).prop_map(Hints::Ascending),
    ]
}

impl Hints {
    /// Field starts and columns, made from the right ones.
    pub fn of(&self, text: &[u8], mut starts: Vec<u32>, columns: usize) -> (Vec<u32>, usize) {
        let mut told = columns;
        match self {
            Self::Right => {}
            Self::None => starts.clear(),
            Self::EveryByte => starts = (0..=text.len() as u32).collect(),
            Self::OtherColumns(other) => told = *other,
            Self::Moved(by) => starts.iter_mut().for_each(|s| *s = s.wrapping_add(*by)),
            Self::Backwards => starts.reverse(),
            Self::Again(times) => starts = starts.iter().flat_map(|s| std::iter::repeat_n(*s, *times)).collect(),
            Self::Shuffled(seed) => {
                for i in (1..starts.len()).step_by(3) {
                    starts.swap(i, mix(seed ^ i as u64) as usize % (i + 1));
                }
            }
            Self::Holes(seed) => {
                let mut at = *seed;
                starts.retain(|_| {
                    at = at.wrapping_add(1);
                    !mix(at).is_multiple_of(4)
                });
            }
            Self::Any(any) => starts.clone_from(any),
            Self::Ascending(any) => {
                starts = any.iter().map(|s| u32::from(*s)).collect();
                starts.sort_unstable();
            }
        }
        (starts, told)
    }
}
