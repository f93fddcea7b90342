//! One column of a batch, made ready to be written row after row: what repeats is quoted once and
//! copied from then on, everything else is laid down a block of rows at a time.
//!
//! Invariant: [`Ready::row_bytes_max`] bounds what [`Ready::write`] needs; the writer makes that room.

use std::ops::Range;

use arrow::array::{
    Array, ArrowPrimitiveType, BooleanArray, Date32Array, Decimal64Array, GenericStringArray, Int64Array,
    LargeStringArray, OffsetSizeTrait, PrimitiveArray, StringArray, StringViewArray, TimestampMicrosecondArray,
};

use super::number::{
    DATE_BYTES_MAX, INSTANT_BYTES_MAX, NUMBER_BYTES_MAX, write_amount, write_date, write_i64, write_instant,
    write_number,
};
use super::pen::Pen;
use super::words::{SLOT, Words};
use crate::column::{Coded, Column, TextColumn};

/// What stands behind a value: a separator, or the end of the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

/// See the module.
pub(super) struct Lane<'a> {
    values: Values<'a>,
    words: Words,
    /// Whether all rows of the present block have the first word.
    one: bool,
    /// The lane before this one that has the same words in the present block.
    same_as: Option<usize>,
    separator: u8,
    end: End,
}

enum Values<'a> {
    None,
    /// A word for every code, made once.
    Codes(&'a [u32]),
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

/// Rows whose values are made ready at a time.
pub(super) const BLOCK: usize = 64;

/// The words of a block that is of one value.
const FIRST: [u32; BLOCK] = [0; BLOCK];

/// The words of a block whose rows have one each.
const EACH: [u32; BLOCK] = {
    let mut each = [0; BLOCK];
    let mut row = 0;
    while row < BLOCK {
        each[row] = row as u32;
        row += 1;
    }
    each
};

impl<'a> Lane<'a> {
    /// The values of a column, of which `coded` may be known.
    pub fn new(column: &'a Column, coded: Option<&'a Coded>, separator: u8, end: End) -> Self {
        let values = match (column, coded) {
            (Column::Null, _) => Values::None,
            (Column::Text(text), Some(coded)) => return Self::of_codes(text, coded, separator, end),
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
        Self { values, words: Words::with_room(BLOCK), one: false, same_as: None, separator, end }
    }

    fn of_codes(text: &TextColumn, coded: &'a Coded, separator: u8, end: End) -> Self {
        let mut words = Words::with_room(coded.texts_len(text));
        for text in coded.texts(text) {
            words.add(text.map_or(0, text_bytes_max) + end.length, |pen| {
                if let Some(text) = text {
                    write_text(pen, text.as_bytes(), separator);
                }
                end.write(pen);
            });
        }
        Self { values: Values::Codes(&coded.codes), words, one: false, same_as: None, separator, end }
    }

    /// Makes the values of these rows ready, [`BLOCK`] at most: nothing for null, and the end. What
    /// `before`, the lanes before this one, have made ready of the same rows is not made twice.
    pub fn prepare(&mut self, rows: Range<usize>, before: &[Self]) {
        let Self { values, words, one, same_as, separator, end } = self;
        let (separator, end) = (*separator, *end);
        if let Values::Codes(_) = values {
            return;
        }
        words.clear();
        *same_as = None;
        *one = values.are_one(&rows);
        let rows = if *one { rows.start..rows.start + 1 } else { rows };
        match values {
            Values::Codes(_) => {}
            Values::None => words.add(end.length, |pen| end.write(pen)),
            Values::View(array) => {
                let bytes_max = |row| text_bytes_max(array.value(row));
                each(words, *array, rows, end, bytes_max, |pen, row| write_view(pen, array, row, separator));
            }
            Values::Utf8(array) => strings(words, array, rows, end, separator),
            Values::Large(array) => strings(words, array, rows, end, separator),
            Values::Amount(array) => {
                // The same in dollars, the same but for taxes: amounts often repeat one another.
                let twin = |lane: &Self| lane.end == end && lane.same_as.is_none() && lane.values.are(array, &rows);
                *same_as = if *one { None } else { before.iter().position(twin) };
                if same_as.is_none() {
                    numbers(words, array, rows, end, NUMBER_BYTES_MAX, write_amount);
                }
            }
            Values::Number(array) => numbers(words, array, rows, end, NUMBER_BYTES_MAX, write_number),
            Values::Integer(array) => numbers(words, array, rows, end, NUMBER_BYTES_MAX, write_i64),
            Values::Date(array) => numbers(words, array, rows, end, DATE_BYTES_MAX, write_date),
            Values::Instant(array) => numbers(words, array, rows, end, INSTANT_BYTES_MAX, write_instant),
            Values::Boolean(array) => {
                let write = |pen: &mut Pen, row| pen.slice(if array.value(row) { b"true" } else { b"false" });
                each(words, *array, rows, end, |_| "false".len(), write);
            }
        }
    }

    /// What [`Self::prepare`] made ready of these rows for the lane at a place.
    pub fn ready(lanes: &'a [Self], at: usize, rows: Range<usize>) -> Ready<'a> {
        let lane = &lanes[lanes[at].same_as.unwrap_or(at)];
        let of_rows = match &lane.values {
            Values::Codes(codes) => &codes[rows],
            _ if lane.one => &FIRST[..rows.len()],
            _ => &EACH[..rows.len()],
        };
        Ready { words: &lane.words, slots: lane.words.slots(), of_rows }
    }
}

impl Values<'_> {
    /// Whether these rows are surely all of one value.
    fn are_one(&self, rows: &Range<usize>) -> bool {
        match self {
            Self::None => true,
            Self::Amount(array) | Self::Number(array) => are_one(array, rows),
            Self::Integer(array) => are_one(array, rows),
            Self::Date(array) => are_one(array, rows),
            Self::Instant(array) => are_one(array, rows),
            _ => false,
        }
    }

    /// Whether these rows are the same amounts.
    fn are(&self, amounts: &Decimal64Array, rows: &Range<usize>) -> bool {
        let Self::Amount(own) = self else { return false };
        let nulls = |array: &Decimal64Array| array.nulls().map(|nulls| nulls.slice(rows.start, rows.len()));
        let (own_values, values) = (&own.values()[rows.clone()], &amounts.values()[rows.clone()]);
        // Most differ in the first row already.
        own_values.first() == values.first()
            && own_values == values
            && (own.null_count() + amounts.null_count() == 0 || nulls(own) == nulls(amounts))
    }
}

fn are_one<T: ArrowPrimitiveType>(array: &PrimitiveArray<T>, rows: &Range<usize>) -> bool {
    let values = &array.values()[rows.clone()];
    let nulls = match array.nulls() {
        Some(nulls) if nulls.null_count() > 0 => nulls.slice(rows.start, rows.len()).null_count(),
        _ => 0,
    };
    // Most differ at the ends already.
    nulls == rows.len() || nulls == 0 && values.first() == values.last() && values[1..] == values[..values.len() - 1]
}

/// A block of a lane, to be written row after row.
pub(super) struct Ready<'a> {
    words: &'a Words,
    slots: &'a [[u8; SLOT]],
    /// The number of the word of each row.
    of_rows: &'a [u32],
}

impl Ready<'_> {
    /// The most bytes that a row may need.
    pub fn row_bytes_max(&self) -> usize {
        self.words.longest()
    }

    /// Writes the value of a row of the block and its end to the start of `room`, of which there is
    /// [`SLOT`] bytes more than a row may need; answers how much.
    #[inline]
    pub fn write(&self, room: &mut [u8], row: usize) -> usize {
        self.words.copy(&self.slots[self.of_rows[row] as usize], room)
    }
}

/// Makes numbers ready, each within so many bytes.
#[inline]
fn numbers<T: ArrowPrimitiveType>(
    words: &mut Words,
    array: &PrimitiveArray<T>,
    rows: Range<usize>,
    end: End,
    bytes_max: usize,
    write: impl Fn(&mut Pen, T::Native),
) {
    each(words, array, rows, end, |_| bytes_max, |pen, row| write(pen, array.values()[row]));
}

/// Makes texts ready that lie behind offsets.
fn strings<O: OffsetSizeTrait>(
    words: &mut Words,
    array: &GenericStringArray<O>,
    rows: Range<usize>,
    end: End,
    separator: u8,
) {
    let bytes_max = |row| text_bytes_max(array.value(row));
    each(words, array, rows, end, bytes_max, |pen, row| write_text(pen, array.value(row).as_bytes(), separator));
}

/// Makes values ready, each within as many bytes as said of it: nothing for null, and the end.
#[inline]
fn each(
    words: &mut Words,
    array: &impl Array,
    rows: Range<usize>,
    end: End,
    bytes_max: impl Fn(usize) -> usize,
    write: impl Fn(&mut Pen, usize),
) {
    let whole = array.null_count() == 0;
    for row in rows {
        words.add(bytes_max(row) + end.length, |pen| {
            if whole || array.is_valid(row) {
                write(pen, row);
            }
            end.write(pen);
        });
    }
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
    let mut lane = Lane::new(column, None, b',', End::NOTHING);
    lane.prepare(row..row + 1, &[]);
    let lanes = [lane];
    let ready = Lane::ready(&lanes, 0, row..row + 1);
    let mut room = vec![0; ready.row_bytes_max() + SLOT];
    let length = ready.write(&mut room, 0);
    // Whatever is not text prints at least one character.
    (length > 0).then(|| String::from_utf8_lossy(&room[..length]).into_owned())
}
