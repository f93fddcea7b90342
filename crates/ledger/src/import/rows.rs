//! Rows as bytes: what is sorted, spilled and merged between the files and the table's columns.
//!
//! A row is its length, the place of its key, the file and line that it came from, a mark, which
//! fields are null, the fields' values, and last its key as comparable bytes. Texts that the key
//! holds are not held twice.
//!
//! Invariants: keys compare as ledger order does ([`crate::table::KeyOrder`]), whoever made them;
//! a row read back is the row that was put in.

use arrow::array::{Array, AsArray, BinaryArray, BinaryBuilder, RecordBatch};
use memchr::memchr2;
use payouts_model::id::canonical;
use payouts_model::{FieldType, Report};

use super::values::Value;

const KEY_AT: usize = 4;
const FILE_AT: usize = 8;
const LINE_AT: usize = 12;
const MARK_AT: usize = 20;
/// Where the nulls begin.
pub(super) const HEAD_BYTES: usize = 21;
/// In place of a length of one byte: four bytes of length follow.
const LONG: u8 = u8::MAX;

/// A field's part in the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KeyPart {
    /// Its place in the key.
    pub place: usize,
    /// Whether it is compared as an id.
    pub id: bool,
}

/// How a report's rows are laid out.
#[derive(Debug)]
pub(super) struct Format {
    /// The key's columns in key order.
    keys: Vec<usize>,
    /// For each field its part in the key, if it has one.
    pub parts: Vec<Option<KeyPart>>,
    /// Bytes of the nulls.
    pub null_bytes: usize,
}

impl Format {
    /// The format of `report`'s rows.
    pub fn new(report: &Report) -> Self {
        let keys = report.key_columns();
        let part = |i: usize| {
            let place = keys.iter().position(|k| *k == i)?;
            Some(KeyPart { place, id: report.fields[i].kind == FieldType::Id })
        };
        let parts = (0..report.fields.len()).map(part).collect();
        Self { parts, null_bytes: report.fields.len().div_ceil(8), keys }
    }

    /// The keys of a batch of the table's schema.
    pub fn keys(&self, batch: &RecordBatch) -> BinaryArray {
        let columns: Vec<_> = self.keys.iter().map(|&i| (batch.column(i).as_string::<i32>(), self.id(i))).collect();
        let mut out = BinaryBuilder::with_capacity(batch.num_rows(), batch.num_rows() * 96);
        let mut key = Vec::new();
        for row in 0..batch.num_rows() {
            key.clear();
            for (column, id) in &columns {
                let text = column.is_valid(row).then(|| column.value(row));
                put_key_text(&mut key, text.map(|t| if *id { canonical(t) } else { t }.as_bytes()));
            }
            out.append_value(&key);
        }
        out.finish()
    }

    fn id(&self, field: usize) -> bool {
        self.parts[field].is_some_and(|p| p.id)
    }
}

/// A null comes before the empty text, and a text before the longer ones that begin with it.
fn put_key_text(out: &mut Vec<u8>, text: Option<&[u8]>) {
    let Some(mut text) = text else { return out.push(0) };
    out.push(1);
    while let Some(at) = memchr2(0, 1, text) {
        out.extend_from_slice(&text[..at]);
        out.extend_from_slice(&[1, text[at] + 1]);
        text = &text[at + 1..];
    }
    out.extend_from_slice(text);
    out.push(0);
}

/// Appends the next text of a key to `out`, whether there is one or a null; moves `key` behind it.
pub(super) fn take_key_text(key: &mut &[u8], out: &mut Vec<u8>) -> bool {
    let there = key[0] == 1;
    *key = &key[1..];
    if !there {
        return false;
    }
    loop {
        let at = memchr2(0, 1, key).expect("a text in a key ends with a zero");
        out.extend_from_slice(&key[..at]);
        let end = key[at] == 0;
        if end {
            *key = &key[at + 1..];
            return true;
        }
        out.push(key[at + 1] - 1);
        *key = &key[at + 2..];
    }
}

/// Appends a length.
fn put_length(out: &mut Vec<u8>, length: usize) {
    match u8::try_from(length) {
        Ok(short) if short < LONG => out.push(short),
        _ => {
            out.push(LONG);
            out.extend_from_slice(&(length as u32).to_le_bytes());
        }
    }
}

/// Takes a length; moves `bytes` behind it.
pub(super) fn take_length(bytes: &mut &[u8]) -> usize {
    let first = bytes[0];
    if first < LONG {
        *bytes = &bytes[1..];
        return usize::from(first);
    }
    let length = number(bytes, 1);
    *bytes = &bytes[5..];
    length as usize
}

fn number(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

/// A row's bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<'a>(pub &'a [u8]);

impl<'a> Row<'a> {
    /// The length of the row that `bytes` begin with, if they hold so much of it.
    pub fn length(bytes: &[u8]) -> Option<usize> {
        (bytes.len() >= 4).then(|| number(bytes, 0) as usize)
    }
    /// Its key.
    pub fn key(self) -> &'a [u8] {
        &self.0[number(self.0, KEY_AT) as usize..]
    }
    /// The number of the file that it came from.
    pub fn file(self) -> u32 {
        number(self.0, FILE_AT)
    }
    /// The line (or row) in that file.
    pub fn line(self) -> u64 {
        u64::from_le_bytes(self.0[LINE_AT..LINE_AT + 8].try_into().expect("eight bytes"))
    }
    /// Its mark.
    pub fn mark(self) -> u8 {
        self.0[MARK_AT]
    }
    /// Nulls and values.
    pub fn values(self) -> &'a [u8] {
        &self.0[HEAD_BYTES..number(self.0, KEY_AT) as usize]
    }
}

/// Lays rows down one after the other.
pub(super) struct RowWriter<'a> {
    format: &'a Format,
    bytes: Vec<u8>,
    /// The beginning of each row, after the first bytes of its key.
    order: Vec<(u64, usize)>,
    start: usize,
    texts: Vec<Option<Vec<u8>>>,
    spare: Vec<Vec<u8>>,
}

impl<'a> RowWriter<'a> {
    /// A writer with room for so many bytes.
    pub fn new(format: &'a Format, capacity_bytes: usize) -> Self {
        let texts = format.keys.iter().map(|_| None).collect();
        let bytes = Vec::with_capacity(capacity_bytes);
        Self { format, bytes, order: Vec::new(), start: 0, texts, spare: Vec::new() }
    }

    /// Begins a row.
    pub fn begin(&mut self, file: u32, line: u64) {
        self.start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; FILE_AT]);
        self.bytes.extend_from_slice(&file.to_le_bytes());
        self.bytes.extend_from_slice(&line.to_le_bytes());
        self.bytes.resize(self.start + HEAD_BYTES + self.format.null_bytes, 0);
    }

    /// Appends the next field's value; fields come in the report's order.
    pub fn put(&mut self, field: usize, value: &Value<'_>) {
        match *value {
            Value::Null => {
                self.bytes[self.start + HEAD_BYTES + field / 8] |= 1 << (field % 8);
            }
            Value::Text(text) => match self.format.parts[field] {
                Some(KeyPart { place, id }) => {
                    let core = if id { canonical(text) } else { text };
                    if id {
                        put_length(&mut self.bytes, text.len() - core.len());
                    }
                    let mut room = self.spare.pop().unwrap_or_default();
                    room.clear();
                    room.extend_from_slice(core.as_bytes());
                    self.texts[place] = Some(room);
                }
                None => {
                    put_length(&mut self.bytes, text.len());
                    self.bytes.extend_from_slice(text.as_bytes());
                }
            },
            Value::Number(number) => self.bytes.extend_from_slice(&number.to_le_bytes()),
            Value::Days(days) => self.bytes.extend_from_slice(&days.to_le_bytes()),
            Value::Boolean(value) => self.bytes.push(u8::from(value)),
        }
    }

    /// Ends the row: it is in.
    pub fn end(&mut self, mark: u8) {
        let key_at = self.bytes.len();
        for text in &mut self.texts {
            put_key_text(&mut self.bytes, text.as_deref());
            self.spare.extend(text.take());
        }
        let row = &mut self.bytes[self.start..];
        let length = row.len() as u32;
        row[..4].copy_from_slice(&length.to_le_bytes());
        row[KEY_AT..FILE_AT].copy_from_slice(&((key_at - self.start) as u32).to_le_bytes());
        row[MARK_AT] = mark;
        self.order.push((prefix(&self.bytes[key_at..]), self.start));
    }

    /// Forgets the row under way.
    pub fn forget(&mut self) {
        self.bytes.truncate(self.start);
        for text in &mut self.texts {
            self.spare.extend(text.take());
        }
    }

    /// The rows one after the other in the order of their keys; equal keys stay in the order they
    /// came. `None` if there are none.
    pub fn sorted(mut self) -> Option<Vec<u8>> {
        let bytes = &self.bytes;
        let row = |start: usize| Row(&bytes[start..start + number(bytes, start) as usize]);
        self.order.sort_unstable_by(|a, b| {
            a.0.cmp(&b.0).then_with(|| row(a.1).key().cmp(row(b.1).key())).then(a.1.cmp(&b.1))
        });
        let mut sorted = Vec::with_capacity(bytes.len());
        for (_, start) in &self.order {
            sorted.extend_from_slice(row(*start).0);
        }
        (!sorted.is_empty()).then_some(sorted)
    }
}

/// The first bytes of a key as a number that compares like them: most comparisons end with it.
pub(super) fn prefix(key: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    let n = key.len().min(8);
    bytes[..n].copy_from_slice(&key[..n]);
    u64::from_be_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn keys_compare_like_their_texts(
            a in proptest::collection::vec(proptest::option::of("[\0\u{1}\u{2}aé]{0,4}"), 2),
            b in proptest::collection::vec(proptest::option::of("[\0\u{1}\u{2}aé]{0,4}"), 2),
        ) {
            let key = |texts: &[Option<String>]| {
                let mut key = Vec::new();
                texts.iter().for_each(|t| put_key_text(&mut key, t.as_deref().map(str::as_bytes)));
                key
            };
            proptest::prop_assert_eq!(key(&a).cmp(&key(&b)), a.cmp(&b));
            let (encoded, mut read) = (key(&a), Vec::new());
            let mut rest = &encoded[..];
            for _ in 0..2 {
                let mut text = Vec::new();
                let there = take_key_text(&mut rest, &mut text);
                read.push(there.then(|| String::from_utf8(text).unwrap()));
            }
            proptest::prop_assert!(rest.is_empty());
            proptest::prop_assert_eq!(read, a);
        }
    }
}
