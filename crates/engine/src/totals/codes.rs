//! Small numbers for texts, so that a row costs a look into a small table, seldom a hash of its text.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use super::cells::Numbered;
use crate::batch::Batch;
use crate::column::{Coded, Column, TextColumn};

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

    /// The rows of a column by codes of this batch, where there are such.
    pub(super) fn numbered<'a>(&mut self, batch: &'a Batch, position: usize) -> Numbered<'a> {
        match (batch.column(position), batch.coded(position)) {
            (Column::Text(text), Some(coded)) => {
                let numbers = self.of_codes(coded, text);
                Numbered { codes: Cow::Borrowed(&coded.codes), codes_end: numbers.len(), numbers: Some(numbers) }
            }
            _ => Numbered { codes: self.of(batch, position).into(), codes_end: self.len(), numbers: None },
        }
    }

    fn of_codes(&mut self, coded: &Coded, text: &TextColumn) -> Vec<u32> {
        let null = self.code("");
        coded.texts(text).map(|text| text.map_or(null, |text| self.code(text))).collect()
    }

    /// The numbers of the rows of a column; what is not text counts as null.
    pub fn of(&mut self, batch: &Batch, position: usize) -> Vec<u32> {
        let null = self.code("");
        let Column::Text(text) = batch.column(position) else { return vec![null; batch.rows()] };
        if let Some(coded) = batch.coded(position) {
            let numbers = self.of_codes(coded, text);
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
