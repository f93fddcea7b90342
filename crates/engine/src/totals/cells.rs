//! Sums of amount columns by cells: a cell is what the rows have in common that agree in some other
//! columns. Every row is mapped to the number of its cell once; sums then run over plain arrays.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::BuildHasher;

use arrow::array::{Array, Decimal64Array};
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
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
    /// The numbers of all cells, by their keys.
    cells: HashTable<u32>,
    hasher: FixedState,
    /// Amount columns.
    amounts: usize,
    /// Per cell and amount column.
    sums: Vec<Short>,
    /// What no longer fitted into the short sum of an amount column and a cell.
    long: HashMap<(usize, u32), Sum, FixedState>,
    /// Codes of a row in one number, and the cell they were found to be; of one batch.
    memo: Box<[(u64, u32); 1 << MEMO_BITS]>,
    /// Kept for their memory.
    mixed: Vec<u64>,
    key: Vec<u32>,
}

impl Cells {
    /// Sums of so many amount columns by so many others, with room for so many cells: tables that grow
    /// beside everything else are moved, and leave holes; room that is not used stays untouched.
    pub fn new(width: usize, amounts: usize, room: usize) -> Self {
        Self {
            width,
            keys: Vec::with_capacity(room * width),
            cells: HashTable::new(),
            hasher: FixedState::default(),
            amounts,
            sums: Vec::with_capacity(room * amounts),
            long: HashMap::default(),
            memo: Box::new([(NOWHERE, 0); 1 << MEMO_BITS]),
            mixed: Vec::new(),
            key: Vec::new(),
        }
    }

    /// How many cells there are.
    pub fn len(&self) -> usize {
        self.cells.len()
    }

    /// Adds the amounts of the rows of a batch, by the other columns.
    pub fn add<'a>(&mut self, by: &[Numbered<'_>], amounts: impl Iterator<Item = &'a Column>, rows: usize) {
        let cells = self.of_rows(by, rows);
        let width = self.amounts;
        self.sums.resize(self.cells.len() * width, Short::default());
        for (amount, column) in amounts.enumerate() {
            let Column::Amount(column) = column else { continue };
            each_amount(column, &cells, |value, cell| {
                if let Some(sum) = self.sums[cell as usize * width + amount].add(Short::of(value)) {
                    self.long.entry((amount, cell)).or_default().merge(sum);
                }
            });
        }
    }

    /// The cell of each row.
    fn of_rows(&mut self, by: &[Numbered<'_>], rows: usize) -> Vec<u32> {
        let fit = by.iter().try_fold(1_u64, |product, column| product.checked_mul(column.codes_end as u64));
        if fit.is_none() {
            let number = |row: usize| move |column: &Numbered<'_>| column.number(column.codes[row]);
            return (0..rows).map(|row| self.cell(by.iter().map(number(row)))).collect();
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
    fn cell(&mut self, numbers: impl Iterator<Item = u32>) -> u32 {
        let Self { width, keys, cells, hasher, key, .. } = self;
        key.clear();
        key.extend(numbers);
        let own = |cell: u32| &keys[cell as usize * *width..][..*width];
        let next = cells.len() as u32;
        match cells.entry(hasher.hash_one(&*key), |&cell| own(cell) == &**key, |&cell| hasher.hash_one(own(cell))) {
            Entry::Occupied(found) => return *found.get(),
            Entry::Vacant(vacant) => vacant.insert(next),
        };
        keys.extend_from_slice(key);
        next
    }

    /// Adds other sums of the same columns; `own` says what a number there, of the column at a place, is
    /// here.
    pub fn absorb(&mut self, other: &Self, own: impl Fn(usize, u32) -> u32) {
        let own_key = |key: &[u32]| key.iter().enumerate().map(|(at, &number)| own(at, number)).collect::<Vec<_>>();
        let cells: Vec<u32> = other.all_keys().map(|key| self.cell(own_key(key).into_iter())).collect();
        let own_cell = |&(amount, cell): &(usize, u32)| (amount, cells[cell as usize]);
        self.sums.resize(self.cells.len() * self.amounts, Short::default());
        for (&cell, others) in cells.iter().zip(other.sums.chunks_exact(self.amounts.max(1))) {
            for (amount, short) in others.iter().enumerate() {
                if let Some(sum) = self.sums[cell as usize * self.amounts + amount].add(*short) {
                    self.long.entry((amount, cell)).or_default().merge(sum);
                }
            }
        }
        for (of, sum) in &other.long {
            self.long.entry(own_cell(of)).or_default().merge(*sum);
        }
    }

    fn all_keys(&self) -> impl Iterator<Item = &[u32]> {
        self.keys.chunks_exact(self.width)
    }

    fn of_cells(&self, amount: usize) -> impl Iterator<Item = (usize, Sum)> {
        let sum = move |(cell, short): (usize, &Short)| {
            let mut sum = short.sum();
            if let Some(long) = self.long.get(&(amount, cell as u32)) {
                sum.merge(*long);
            }
            (cell, sum)
        };
        self.sums.iter().skip(amount).step_by(self.amounts).enumerate().map(sum).filter(|(_, sum)| sum.rows > 0)
    }

    /// Every sum of an amount column that something was added to, with the key of its cell.
    pub fn of_amount(&self, amount: usize) -> impl Iterator<Item = (&[u32], Sum)> {
        self.of_cells(amount).map(|(cell, sum)| (&self.keys[cell * self.width..][..self.width], sum))
    }
}

/// The numbers of the codes that were mixed, in the order of their columns.
fn parts(mixed: u64, by: &[Numbered<'_>]) -> impl Iterator<Item = u32> {
    let mut weight: u64 = by.iter().map(|column| column.codes_end as u64).product();
    by.iter().map(move |column| {
        let end = column.codes_end as u64;
        weight /= end;
        column.number((mixed / weight % end) as u32)
    })
}

/// A sum in 64 bits while they suffice: half the size, and quicker to add to.
#[derive(Clone, Copy, Debug, Default)]
struct Short {
    rows: u64,
    sum: i64,
    negative: i64,
}

impl Short {
    fn of(amount: i64) -> Self {
        Self { rows: 1, sum: amount, negative: amount.min(0) }
    }

    /// Adds another; if the sum would not fit, begins anew with that and answers what it was.
    #[inline]
    fn add(&mut self, other: Self) -> Option<Sum> {
        let (sum, beyond) = self.sum.overflowing_add(other.sum);
        let (negative, below) = self.negative.overflowing_add(other.negative);
        if beyond | below {
            return Some(std::mem::replace(self, other).sum());
        }
        *self = Self { rows: self.rows + other.rows, sum, negative };
        None
    }

    fn sum(self) -> Sum {
        Sum { rows: self.rows, sum: Amount(self.sum.into()), negative: Amount(self.negative.into()) }
    }
}

/// The amount of each row that has one, and its cell.
#[inline]
fn each_amount(amounts: &Decimal64Array, cells: &[u32], mut visit: impl FnMut(i64, u32)) {
    if amounts.null_count() == 0 {
        amounts.values().iter().zip(cells).for_each(|(&value, &cell)| visit(value, cell));
    } else {
        for (value, &cell) in amounts.iter().zip(cells) {
            if let Some(value) = value {
                visit(value, cell);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(codes: &[u32], end: usize, numbers: Option<Vec<u32>>) -> Numbered<'_> {
        Numbered { codes: codes.into(), numbers, codes_end: end }
    }

    fn found(cells: &Cells) -> Vec<(Vec<u32>, u64, i128, i128)> {
        let mut found: Vec<_> =
            cells.of_amount(0).map(|(key, sum)| (key.to_vec(), sum.rows, sum.sum.0, sum.negative.0)).collect();
        found.sort_unstable();
        found
    }

    #[test]
    fn sums_beyond_64_bits_are_exact() {
        let most = 999_999_999_999_999_999;
        let amounts = Column::Amount(vec![Some(most); 100].into_iter().chain([None, Some(-most), Some(-1)]).collect());
        let mut cells = Cells::new(1, 1, 0);
        let codes = vec![0; 103];
        cells.add(&[numbered(&codes, 1, Some(vec![7]))], [&amounts].into_iter(), 103);
        let once = (i128::from(most) * 99 - 1, -i128::from(most) - 1);
        assert_eq!(found(&cells), [(vec![7], 102, once.0, once.1)]);
        let mut both = Cells::new(1, 1, 0);
        both.absorb(&cells, |_, number| number + 1);
        both.absorb(&cells, |_, number| number + 1);
        assert_eq!(found(&both), [(vec![8], 204, once.0 * 2, once.1 * 2)]);
    }

    #[test]
    fn cells_are_the_same_however_many_codes_there_are() {
        let codes = [[0, 1, 2, 1, 0, 2], [5, 0, 5, 0, 5, 1], [9, 9, 9, 8, 9, 9]];
        let amounts = Column::Amount((1..=6).map(|v| Some(v * 10_000)).collect());
        let of = |ends: [usize; 3]| {
            let mut cells = Cells::new(3, 1, 4);
            let by: Vec<_> = codes.iter().zip(ends).map(|(codes, end)| numbered(codes, end, None)).collect();
            cells.add(&by, [&amounts].into_iter(), 6);
            found(&cells)
        };
        let few = of([3, 6, 10]);
        assert_eq!(few.len(), 5, "the first and the fifth row agree");
        assert_eq!(few[0], (vec![0, 5, 9], 2, 60_000, 0));
        assert_eq!(of([usize::MAX, 6, 10]), few, "their product is beyond 64 bits");
        assert_eq!(of([1 << 20, 1 << 20, 1 << 20]), few);
    }
}
