//! A batch of a scan as the columns of its fields, and what is found out about them once for all
//! who read them.

use std::cell::{OnceCell, RefCell};

use crate::column::{Coded, Column, Scratch};

/// See the module.
#[derive(Debug)]
pub struct Batch {
    columns: Vec<Column>,
    coded: Vec<OnceCell<Option<Coded>>>,
    scratch: RefCell<Scratch>,
    rows: usize,
}

impl Batch {
    /// Columns of so many rows each.
    pub fn new(columns: Vec<Column>, rows: usize) -> Self {
        let coded = columns.iter().map(|_| OnceCell::new()).collect();
        Self { columns, coded, scratch: RefCell::default(), rows }
    }

    /// Its rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The column at a position.
    pub fn column(&self, at: usize) -> &Column {
        &self.columns[at]
    }

    /// The column at a position as codes, if it is text whose values repeat.
    pub fn coded(&self, at: usize) -> Option<&Coded> {
        let Column::Text(text) = &self.columns[at] else { return None };
        self.coded[at].get_or_init(|| Coded::of(text, &mut self.scratch.borrow_mut())).as_ref()
    }
}
