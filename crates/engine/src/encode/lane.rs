//! One column of a batch, made ready to be written row after row: what repeats is quoted once and
//! copied from then on.
//!
//! Invariant: [`Lane::row_bytes_max`] bounds what [`Lane::write`] needs; the writer makes that room.

use arrow::array::{
    Array, BooleanArray, Date32Array, Decimal64Array, Int64Array, LargeStringArray, StringArray, StringViewArray,
    TimestampMicrosecondArray,
};

use super::number::{
    DATE_BYTES_MAX, INSTANT_BYTES_MAX, NUMBER_BYTES_MAX, write_amount, write_date, write_i64, write_instant,
    write_number,
};
use super::pen::Pen;
use crate::column::{Coded, Column, TextColumn};

/// What stands behind a value: a separator, or the end of the line.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    bytes: [u8; 2],
    length: usize,
}

impl End {
    /// Behind every value but the last of a row.
    pub fn separator(separator: u8) -> Self {
        Self { bytes: [separator, 0], length: 1 }
    }
    /// Behind the last.
    pub const LINE: Self = Self { bytes: *b"\r\n", length: 2 };
    /// Nothing.
    pub const NOTHING: Self = Self { bytes: [0; 2], length: 0 };

    #[inline]
    fn write(self, out: &mut Pen) {
        out.part(&self.bytes, self.length);
    }
}

/// Bytes of a value that are copied in one piece.
const HEAD: usize = 32;

/// A distinct value, quoted, with its end.
struct Word {
    head: [u8; HEAD],
    length: usize,
    /// The whole, where it is longer than the head.
    long: Box<[u8]>,
}

/// See the module.
pub(super) struct Lane<'a> {
    values: Values<'a>,
    separator: u8,
    end: End,
}

enum Values<'a> {
    None,
    /// A word for every code.
    Words(&'a [u32], Vec<Word>),
    View(&'a StringViewArray),
    Utf8(&'a StringArray),
    Large(&'a LargeStringArray),
    Amount(&'a Decimal64Array),
    Number(&'a Decimal64Array),
    Integer(&'a Int64Array),
    Date(&'a Date32Array),
    Instant(&'a TimestampMicrosecondArray),
    Boolean(&'a BooleanArray),
}

impl<'a> Lane<'a> {
    /// The values of a column, of which `coded` may be known.
    pub fn new(column: &'a Column, coded: Option<&'a Coded>, separator: u8, end: End) -> Self {
        let values = match (column, coded) {
            (Column::Null, _) => Values::None,
            (Column::Text(text), Some(coded)) => Values::Words(&coded.codes, words(text, coded, separator, end)),
            (Column::Text(TextColumn::View(array)), None) => Values::View(array),
            (Column::Text(TextColumn::Utf8(array)), _) => Values::Utf8(array),
            (Column::Text(TextColumn::Large(array)), _) => Values::Large(array),
            (Column::Text(TextColumn::Dictionary { .. }), None) => unreachable!("a dictionary always has codes"),
            (Column::Amount(array), _) => Values::Amount(array),
            (Column::Number(array), _) => Values::Number(array),
            (Column::Integer(array), _) => Values::Integer(array),
            (Column::Date(array), _) => Values::Date(array),
            (Column::Instant(array), _) => Values::Instant(array),
            (Column::Boolean(array), _) => Values::Boolean(array),
        };
        Self { values, separator, end }
    }

    /// The most bytes that a row may need.
    pub fn row_bytes_max(&self) -> usize {
        let quoted = |longest: Option<usize>| longest.unwrap_or(0) * 2 + 2;
        let value = match &self.values {
            Values::None => 0,
            Values::Words(_, words) => words.iter().map(|w| w.length).max().unwrap_or(0),
            // The low half of a view is its length.
            Values::View(array) => quoted(array.views().iter().map(|&v| v as u32 as usize).max()),
            Values::Utf8(array) => quoted(array.offsets().lengths().max()),
            Values::Large(array) => quoted(array.offsets().lengths().max()),
            Values::Amount(_) | Values::Number(_) | Values::Integer(_) => NUMBER_BYTES_MAX,
            Values::Date(_) => DATE_BYTES_MAX,
            Values::Instant(_) => INSTANT_BYTES_MAX,
            Values::Boolean(_) => "false".len(),
        };
        value + self.end.length
    }

    /// Writes the value of `row`, nothing for null, and the end.
    #[inline]
    pub fn write(&self, out: &mut Pen, row: usize) {
        match &self.values {
            Values::Words(codes, words) => {
                let word = &words[codes[row] as usize];
                if word.length <= HEAD {
                    out.part(&word.head, word.length);
                } else {
                    out.slice(&word.long);
                }
                return;
            }
            Values::Amount(array) if array.is_valid(row) => write_amount(out, array.value(row)),
            Values::View(array) if array.is_valid(row) => write_view(out, array, row, self.separator),
            Values::Date(array) if array.is_valid(row) => write_date(out, array.value(row)),
            Values::Number(array) if array.is_valid(row) => write_number(out, array.value(row)),
            Values::Integer(array) if array.is_valid(row) => write_i64(out, array.value(row)),
            Values::Instant(array) if array.is_valid(row) => write_instant(out, array.value(row)),
            Values::Utf8(array) if array.is_valid(row) => write_text(out, array.value(row).as_bytes(), self.separator),
            Values::Large(array) if array.is_valid(row) => write_text(out, array.value(row).as_bytes(), self.separator),
            Values::Boolean(array) if array.is_valid(row) => {
                out.slice(if array.value(row) { b"true" } else { b"false" })
            }
            _ => {}
        }
        self.end.write(out);
    }
}

fn words(text: &TextColumn, coded: &Coded, separator: u8, end: End) -> Vec<Word> {
    let mut pen = Pen::default();
    let word = |text: Option<&str>| {
        let from = pen.at();
        if let Some(text) = text {
            pen.make_room(text_bytes_max(text));
            write_text(&mut pen, text.as_bytes(), separator);
        }
        pen.make_room(end.length);
        end.write(&mut pen);
        let quoted = &pen.written()[from..];
        let mut head = [0; HEAD];
        let length = quoted.len();
        head[..length.min(HEAD)].copy_from_slice(&quoted[..length.min(HEAD)]);
        Word { head, length, long: if length > HEAD { quoted.into() } else { Box::default() } }
    };
    coded.texts(text).map(word).collect()
}

/// The most bytes that [`write_text`] may need.
pub(super) fn text_bytes_max(text: &str) -> usize {
    text.len() * 2 + 2
}

/// Whether none of the bytes can be one that asks for quotes: all of those are below `-`. What is
/// not below may be taken for it beside one that is; that costs time only.
#[inline]
fn surely_plain(bytes: u128) -> bool {
    const ONES: u128 = u128::MAX / 0xff;
    bytes.wrapping_sub(ONES * b'-' as u128) & !bytes & (ONES * 0x80) == 0
}

/// Writes a text that others seldom equal, such as an id: a short one lies in its view.
#[inline]
fn write_view(out: &mut Pen, array: &StringViewArray, row: usize, separator: u8) {
    let view = array.views()[row];
    let length = view as u32 as usize;
    let bytes = view >> 32;
    if (1..=12).contains(&length) && surely_plain(bytes | u128::MAX << (8 * length)) {
        out.part(&bytes.to_le_bytes(), length);
    } else {
        write_text(out, array.value(row).as_bytes(), separator);
    }
}

/// Writes a text, quoted if it must be; an empty one as `""`.
pub(super) fn write_text(out: &mut Pen, text: &[u8], separator: u8) {
    let special = |b: u8| b == separator || matches!(b, b'"' | b'\r' | b'\n');
    // Nearly every value is short and needs no quotes: no branch per byte.
    if !text.is_empty() && !text.iter().fold(false, |found, &b| found | special(b)) {
        out.slice(text);
        return;
    }
    out.byte(b'"');
    let mut rest = text;
    while let Some(quote) = rest.iter().position(|&b| b == b'"') {
        out.slice(&rest[..=quote]);
        out.byte(b'"');
        rest = &rest[quote + 1..];
    }
    out.slice(rest);
    out.byte(b'"');
}

/// The value of a row as the file would print it, unquoted; `None` is null.
pub(crate) fn plain_text(column: &Column, row: usize) -> Option<String> {
    if let Column::Text(text) = column {
        return text.get(row).map(str::to_owned);
    }
    let lane = Lane::new(column, None, b',', End::NOTHING);
    let mut out = Pen::default();
    out.make_room(lane.row_bytes_max());
    lane.write(&mut out, row);
    // Whatever is not text prints at least one character.
    (out.at() > 0).then(|| String::from_utf8_lossy(out.written()).into_owned())
}
