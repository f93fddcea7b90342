//! Rows as elements of a worksheet (SpreadsheetML): what goes into an XLSX file.
//!
//! A row says nothing of where it stands, so that rows can be cut and joined anywhere: `row` and `c`
//! have no `r`, which is optional (ECMA-376 part 1, 18.3.1.4), and a null is an empty cell.
//!
//! Invariant: no value is changed silently. Decimals are written from their digits, never through
//! a float. A number that a spreadsheet would round, and a day that it has no number for, are
//! written as text and counted; a text longer than a cell holds is cut and counted.

use arrow::array::{Array, BooleanArray};
use payouts_model::chunk::Beyond;
use payouts_model::sheet::{DIGITS_MAX, Style, TEXT_UNITS_MAX, escape};

use super::styled::{put, put_plain};
use crate::column::{Column, TextColumn};

/// Places that the compressor is told of: where a value begins and where it ends.
pub(super) const STARTS_PER_CELL: usize = 2;

/// Below this every integer has no more digits than a spreadsheet keeps.
const EXACT_BELOW: u128 = 10_u128.pow(DIGITS_MAX);

/// 1970-01-01 as a spreadsheet counts days.
const EPOCH_SERIAL: i64 = 25_569;
/// 1900-03-01: before it spreadsheets disagree, since some of them know a 29 February 1900.
const SERIAL_MIN: i64 = 61;
/// 9999-12-31.
const SERIAL_MAX: i64 = 2_958_465;
/// 2079-06-05: from here on the binary number of an instant is too coarse for microseconds.
const MICROSECONDS_BELOW: i64 = 1 << 16;

const DAY_MICROS: i64 = 86_400_000_000;

/// What a text that is cut ends in.
const CUT_MARK: char = '…';

/// Appends `rows` rows of these columns, and to `starts` where each value begins and ends.
pub(super) fn write_rows(out: &mut Vec<u8>, starts: &mut Vec<u32>, columns: &[&Column], rows: usize) -> Beyond {
    let mut writer = Writer { out, starts, beyond: Beyond::default() };
    writer.starts.reserve(rows * columns.len() * STARTS_PER_CELL);
    for row in 0..rows {
        writer.out.extend_from_slice(b"<row>");
        for column in columns {
            writer.cell(column, row);
        }
        writer.out.extend_from_slice(b"</row>");
    }
    writer.beyond
}

struct Writer<'a> {
    out: &'a mut Vec<u8>,
    starts: &'a mut Vec<u32>,
    beyond: Beyond,
}

impl Writer<'_> {
    fn cell(&mut self, column: &Column, row: usize) {
        match column {
            Column::Text(texts) => self.text_or_null(texts, row),
            Column::Amount(array) if array.is_valid(row) => {
                self.decimal(Style::Amount, column, row, array.value(row).into())
            }
            Column::Number(array) if array.is_valid(row) => {
                self.decimal(Style::General, column, row, array.value(row).into())
            }
            Column::Integer(array) if array.is_valid(row) => {
                self.decimal(Style::Integer, column, row, array.value(row).into())
            }
            Column::Date(array) if array.is_valid(row) => self.date(column, row, array.value(row)),
            Column::Instant(array) if array.is_valid(row) => self.instant(column, row, array.value(row)),
            Column::Boolean(array) if array.is_valid(row) => self.boolean(array, row),
            _ => self.null(),
        }
    }

    fn mark(&mut self) {
        self.starts.push(self.out.len() as u32);
    }

    /// Every cell has as many marks, so that those of a column stand under each other.
    fn null(&mut self) {
        self.mark();
        self.mark();
        self.out.extend_from_slice(b"<c/>");
    }

    /// A cell with the value that `write` appends.
    fn value(&mut self, style: Style, write: impl FnOnce(&mut Vec<u8>)) {
        self.out.extend_from_slice(match style {
            Style::Amount => b"<c s=\"2\"><v>",
            Style::Integer => b"<c s=\"3\"><v>",
            Style::Date => b"<c s=\"4\"><v>",
            Style::Instant => b"<c s=\"5\"><v>",
            _ => b"<c><v>",
        });
        self.mark();
        write(self.out);
        self.mark();
        self.out.extend_from_slice(b"</v></c>");
    }

    fn text_or_null(&mut self, texts: &TextColumn, row: usize) {
        match texts.get(row) {
            // No text of so few bytes has more UTF-16 units than a cell holds.
            Some(text) if text.len() <= TEXT_UNITS_MAX => self.text(Style::Text, text),
            Some(text) => self.long_text(text),
            None => self.null(),
        }
    }

    fn text(&mut self, style: Style, text: &str) {
        self.out.extend_from_slice(match style {
            Style::ExactText => b"<c s=\"6\" t=\"inlineStr\"><is><t",
            _ => b"<c s=\"1\" t=\"inlineStr\"><is><t",
        });
        let blank = |b: Option<&u8>| b.is_some_and(u8::is_ascii_whitespace);
        if blank(text.as_bytes().first()) || blank(text.as_bytes().last()) {
            self.out.extend_from_slice(b" xml:space=\"preserve\"");
        }
        self.out.push(b'>');
        self.mark();
        escape(self.out, text);
        self.mark();
        self.out.extend_from_slice(b"</t></is></c>");
    }

    fn long_text(&mut self, text: &str) {
        let mut units = 0;
        // Where the text must end so that the mark still fits.
        let mut end = 0;
        for (at, character) in text.char_indices() {
            if units + CUT_MARK.len_utf16() <= TEXT_UNITS_MAX {
                end = at;
            }
            units += character.len_utf16();
        }
        if units <= TEXT_UNITS_MAX {
            return self.text(Style::Text, text);
        }
        self.beyond.cut += 1;
        self.text(Style::Text, &format!("{}{CUT_MARK}", &text[..end]));
    }

    /// What no number of a spreadsheet is, as the text that it is in CSV.
    fn as_text(&mut self, column: &Column, row: usize) {
        let mut text = Vec::new();
        put_plain(&mut text, column, row);
        self.beyond.as_text += 1;
        self.text(Style::ExactText, &String::from_utf8_lossy(&text));
    }

    /// A number whose digits are these, wherever its point is.
    fn decimal(&mut self, style: Style, column: &Column, row: usize, digits: i128) {
        if kept(digits) {
            self.value(style, |out| put_plain(out, column, row));
        } else {
            self.as_text(column, row);
        }
    }

    fn date(&mut self, column: &Column, row: usize, day: i32) {
        let serial = i64::from(day) + EPOCH_SERIAL;
        if (SERIAL_MIN..=SERIAL_MAX).contains(&serial) {
            self.value(Style::Date, |out| put(out, &serial));
        } else {
            self.as_text(column, row);
        }
    }

    fn instant(&mut self, column: &Column, row: usize, micros: i64) {
        let (day, time) = (micros.div_euclid(DAY_MICROS), micros.rem_euclid(DAY_MICROS));
        let serial = day + EPOCH_SERIAL;
        let fine = serial < MICROSECONDS_BELOW || time % 1000 == 0;
        if (SERIAL_MIN..=SERIAL_MAX).contains(&serial) && fine {
            self.value(Style::Instant, |out| write_serial(out, serial, time));
        } else {
            self.as_text(column, row);
        }
    }

    fn boolean(&mut self, array: &BooleanArray, row: usize) {
        self.out.extend_from_slice(b"<c t=\"b\"><v>");
        self.mark();
        self.out.push(if array.value(row) { b'1' } else { b'0' });
        self.mark();
        self.out.extend_from_slice(b"</v></c>");
    }
}

/// Whether a spreadsheet keeps every digit, trailing zeros not counted.
fn kept(value: i128) -> bool {
    let mut magnitude = value.unsigned_abs();
    while magnitude >= EXACT_BELOW && magnitude.is_multiple_of(10) {
        magnitude /= 10;
    }
    magnitude < EXACT_BELOW
}

/// Appends a day with the time of it as its fraction, to the twelfth decimal: a ten-millionth of a
/// second, so that the nearest binary number is the nearest one to the instant.
fn write_serial(out: &mut Vec<u8>, day: i64, micros: i64) {
    const TRILLION: i128 = 1_000_000_000_000;
    const DAY: i128 = DAY_MICROS as i128;
    let mut fraction = (i128::from(micros) * TRILLION + DAY / 2) / DAY;
    if fraction == 0 {
        return put(out, &day);
    }
    let mut digits = 12;
    while fraction % 10 == 0 {
        fraction /= 10;
        digits -= 1;
    }
    put(out, &format_args!("{day}.{fraction:0digits$}"));
}

#[cfg(test)]
mod tests;
