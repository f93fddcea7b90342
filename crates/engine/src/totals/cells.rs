//! Sums of amount columns by cells: a cell is what the rows have in common that agree in some other
//! columns. Every row is mapped to the number of its cell once; sums then run over plain arrays.

use std::borrow::Cow;
use std::collections::HashMap;

use arrow::array::Array;
use foldhash::fast::FixedState;
use payouts_model::money::Amount;
use payouts_model::totals::Sum;

use crate::column::Column;

/// Entries of the table that is asked before the map, as a power of two.
const MEMO_BITS: u32 = 12;

/// No code of a row: rows have at most so many columns' codes in one number.
const NOWHERE: u64 = u64::MAX;

/// A column of a batch: of every row a code, and of every code the number that it stands for in all
/// batches.
pub(super) struct Numbered<'a> {
    pub codes: Cow<'a, [u32]>,
    /// `None`: codes are numbers already.
    pub numbers: Option<Vec<u32>>,
    /// Greater than every code.
    pub codes_end: usize,
}

impl Numbered<'_> {
    fn number(&self, code: u32) -> u32 {
        self.numbers.as_ref().map_or(code, |numbers| numbers[code as usize])
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Cells {
    /// Columns that make a cell.
    width: usize,
    /// The numbers of each cell's columns, cell after cell.
    keys: Vec<u32>,
    cells: HashMap<Box<[u32]>, u32, FixedState>,
    /// Per amount column and cell.
    sums: Vec<Vec<Sum>>,
    /// Codes of a row in one number, and the cell they were found to be; of one batch.
    memo: Box<[(u64, u32); 1 << MEMO_BITS]>,
    /// Kept for its memory.
    mixed: Vec<u64>,
}

impl Cells {
    /// Sums of so many amount columns by so many others.
    pub fn new(width: usize, amounts: usize) -> Self {
        Self {
            width,
            keys: Vec::new(),
            cells: HashMap::default(),
            sums: vec![Vec::new(); amounts],
            memo: Box::new([(NOWHERE, 0); 1 << MEMO_BITS]),
            mixed: Vec::new(),
        }
    }

    /// Adds the amounts of the rows of a batch, by the other columns.
    pub fn add<'a>(&mut self, by: &[Numbered<'_>], amounts: impl Iterator<Item = &'a Column>, rows: usize) {
        let cells = self.of_rows(by, rows);
        let count = self.cells.len();
        for (sums, column) in self.sums.iter_mut().zip(amounts) {
            sums.resize(count, Sum::default());
            add_amounts(sums, column, &cells);
        }
    }

    /// The cell of each row.
    fn of_rows(&mut self, by: &[Numbered<'_>], rows: usize) -> Vec<u32> {
        let fit = by.iter().try_fold(1_u64, |product, column| product.checked_mul(column.codes_end as u64));
        if fit.is_none() {
            let key = |row: usize| by.iter().map(|column| column.number(column.codes[row])).collect();
            return (0..rows).map(|row| self.cell(key(row))).collect();
        }
        let mut mixed = std::mem::take(&mut self.mixed);
        mixed.clear();
        mixed.resize(rows, 0);
        for column in by {
            let end = column.codes_end as u64;
            mixed.iter_mut().zip(&*column.codes).for_each(|(mixed, &code)| *mixed = *mixed * end + u64::from(code));
        }
        self.memo.fill((NOWHERE, 0));
        let cells = mixed.iter().map(|&mixed| {
            let slot = (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - MEMO_BITS)) as usize;
            let (known, cell) = self.memo[slot];
            if known == mixed {
                return cell;
            }
            let cell = self.cell(parts(mixed, by));
            self.memo[slot] = (mixed, cell);
            cell
        });
        let cells = cells.collect();
        self.mixed = mixed;
        cells
    }

    /// The number of the cell with this key.
    fn cell(&mut self, key: Box<[u32]>) -> u32 {
        if let Some(&cell) = self.cells.get(&key) {
            return cell;
        }
        let cell = self.cells.len() as u32;
        self.keys.extend_from_slice(&key);
        self.cells.insert(key, cell);
        cell
    }

    /// Adds other sums of the same columns; `own` says what a number there, of the column at a place, is
    /// here.
    pub fn absorb(&mut self, other: &Self, own: impl Fn(usize, u32) -> u32) {
        let own_key = |key: &[u32]| key.iter().enumerate().map(|(at, &number)| own(at, number)).collect();
        let cells: Vec<u32> = other.all_keys().map(|key| self.cell(own_key(key))).collect();
        for (sums, others) in self.sums.iter_mut().zip(&other.sums) {
            sums.resize(self.cells.len(), Sum::default());
            for (&cell, sum) in cells.iter().zip(others) {
                sums[cell as usize].merge(*sum);
            }
        }
    }

    fn all_keys(&self) -> impl Iterator<Item = &[u32]> {
        (0..self.cells.len()).map(|cell| &self.keys[cell * self.width..][..self.width])
    }

    /// Every sum of an amount column that something was added to, with the key of its cell.
    pub fn of_amount(&self, amount: usize) -> impl Iterator<Item = (&[u32], &Sum)> {
        self.all_keys().zip(&self.sums[amount]).filter(|(_, sum)| sum.rows > 0)
    }
}

/// The numbers of the codes that were mixed.
fn parts(mut mixed: u64, by: &[Numbered<'_>]) -> Box<[u32]> {
    let mut key: Box<[u32]> = vec![0; by.len()].into();
    for (column, part) in by.iter().zip(&mut key).rev() {
        let end = column.codes_end as u64;
        *part = column.number((mixed % end) as u32);
        mixed /= end;
    }
    key
}

fn add_amounts(sums: &mut [Sum], column: &Column, cells: &[u32]) {
    let Column::Amount(amounts) = column else {
        return;
    };
    if amounts.null_count() == 0 {
        for (value, &cell) in amounts.values().iter().zip(cells) {
            sums[cell as usize].add(Amount((*value).into()));
        }
    } else {
        for (value, &cell) in amounts.iter().zip(cells) {
            if let Some(value) = value {
                sums[cell as usize].add(Amount(value.into()));
            }
        }
    }
}
