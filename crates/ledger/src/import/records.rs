//! Delimited text as records of fields, straight over bytes.
//!
//! RFC 4180 with any one-byte delimiter; lines end in LF or CRLF. Unlike general readers this one
//! keeps whether a field was quoted, since an empty field is null and `""` is an empty text, and
//! it knows the line on which each record begins.
//!
//! Invariant: [`last_record_end`] and [`Records`] agree on where records end, whatever the bytes:
//! a quote opens a quoted field only at the very start of a field.

use std::borrow::Cow;

use memchr::{memchr, memchr_iter, memchr2, memchr3, memrchr};

/// Where a field lies in the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    start: usize,
    end: usize,
    /// It stood in quotes.
    pub quoted: bool,
    /// It holds doubled quotes.
    doubled: bool,
}

impl Span {
    /// The field's text out of the bytes that it was found in.
    pub fn text<'a>(&self, bytes: &'a [u8]) -> Result<Cow<'a, str>, &'static str> {
        let text =
            std::str::from_utf8(&bytes[self.start..self.end]).map_err(|_| "not UTF-8 text: save the file as UTF-8")?;
        Ok(if self.doubled { Cow::Owned(text.replace("\"\"", "\"")) } else { Cow::Borrowed(text) })
    }

    /// The field's text out of `whole`, which are the bytes that it was found in.
    pub fn text_of<'a>(&self, whole: &'a str) -> Cow<'a, str> {
        let text = &whole[self.start..self.end];
        if self.doubled { Cow::Owned(text.replace("\"\"", "\"")) } else { Cow::Borrowed(text) }
    }

    /// The field's text with what is not UTF-8 replaced: for showing it to people.
    pub fn lossy(&self, bytes: &[u8]) -> String {
        let text = String::from_utf8_lossy(&bytes[self.start..self.end]);
        if self.doubled { text.replace("\"\"", "\"") } else { text.into_owned() }
    }

    /// Whether it is empty and without quotes: null.
    pub fn null(&self) -> bool {
        self.start == self.end && !self.quoted
    }
}

/// The end of the last record in `bytes` that is complete, line end included. `bytes` begin at
/// the start of a record.
pub(super) fn last_record_end(bytes: &[u8], delimiter: u8) -> Option<usize> {
    let mut at = 0;
    let mut end = None;
    loop {
        let Some(quote) = memchr(b'"', &bytes[at..]).map(|n| at + n) else {
            return memrchr(b'\n', &bytes[at..]).map(|n| at + n + 1).or(end);
        };
        end = memrchr(b'\n', &bytes[at..quote]).map(|n| at + n + 1).or(end);
        let opens = quote == 0 || bytes[quote - 1] == delimiter || bytes[quote - 1] == b'\n';
        at = quote + 1;
        if opens {
            match closing_quote(bytes, at) {
                Some(close) => at = close + 1,
                None => return end,
            }
        }
    }
}

/// The quote that ends the quoted field whose content begins at `at`.
fn closing_quote(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let quote = at + memchr(b'"', &bytes[at..])?;
        if bytes.get(quote + 1) != Some(&b'"') {
            return Some(quote);
        }
        at = quote + 2;
    }
}

/// Lines that end in `bytes`.
pub(super) fn line_ends(bytes: &[u8]) -> u64 {
    memchr_iter(b'\n', bytes).count() as u64
}

/// What is wrong with a record's form.
pub(super) type Malformed = &'static str;

/// The records of a piece of text.
pub(super) struct Records<'a> {
    bytes: &'a [u8],
    delimiter: u8,
    at: usize,
    line: u64,
}

impl<'a> Records<'a> {
    /// Reads `bytes`, whose first record begins on `line`.
    pub fn new(bytes: &'a [u8], delimiter: u8, line: u64) -> Self {
        Self { bytes, delimiter, at: 0, line }
    }

    /// The bytes that spans point into.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Where the next record begins, and on which line.
    pub fn place(&self) -> (usize, u64) {
        (self.at, self.line)
    }

    /// The next record that is not a blank line: the line it begins on, and what is wrong with
    /// its form. Its fields are in `fields`.
    pub fn next(&mut self, fields: &mut Vec<Span>) -> Option<(u64, Result<(), Malformed>)> {
        loop {
            if self.at >= self.bytes.len() {
                return None;
            }
            let line = self.line;
            let outcome = self.record(fields);
            let blank = matches!(fields[..], [span] if span.null());
            if !blank {
                return Some((line, outcome));
            }
        }
    }

    fn record(&mut self, fields: &mut Vec<Span>) -> Result<(), Malformed> {
        fields.clear();
        let mut outcome = Ok(());
        loop {
            let (span, problem) = if self.bytes.get(self.at) == Some(&b'"') { self.quoted() } else { self.plain() };
            fields.push(span);
            if let Some(problem) = problem {
                outcome = outcome.and(Err(problem));
            }
            match self.bytes.get(self.at) {
                Some(&b) if b == self.delimiter => self.at += 1,
                Some(_) => {
                    // Past the line end, which `quoted` and `plain` stop in front of.
                    self.at += 1;
                    self.line += 1;
                    return outcome;
                }
                None => return outcome,
            }
        }
    }

    fn plain(&mut self) -> (Span, Option<Malformed>) {
        let start = self.at;
        let mut problem = None;
        let mut from = start;
        let stop = loop {
            match memchr3(self.delimiter, b'\n', b'"', &self.bytes[from..]).map(|n| from + n) {
                Some(n) if self.bytes[n] == b'"' => {
                    problem =
                        Some("a quote inside a field that is not quoted: quote the whole field and double the quote");
                    from = n + 1;
                }
                Some(n) => break n,
                None => break self.bytes.len(),
            }
        };
        self.at = stop;
        let ends_record = self.bytes.get(stop) != Some(&self.delimiter);
        let end = if ends_record && stop > start && self.bytes[stop - 1] == b'\r' { stop - 1 } else { stop };
        (Span { start, end, quoted: false, doubled: false }, problem)
    }

    fn quoted(&mut self) -> (Span, Option<Malformed>) {
        let start = self.at + 1;
        let Some(close) = closing_quote(self.bytes, start) else {
            self.line += line_ends(&self.bytes[start..]);
            self.at = self.bytes.len();
            return (Span { start, end: self.at, quoted: true, doubled: false }, Some("a quote that is never closed"));
        };
        let content = &self.bytes[start..close];
        self.line += line_ends(content);
        let span = Span { start, end: close, quoted: true, doubled: memchr(b'"', content).is_some() };
        let after = close + 1;
        let stop = memchr2(self.delimiter, b'\n', &self.bytes[after..]).map_or(self.bytes.len(), |n| after + n);
        self.at = stop;
        let rest = &self.bytes[after..stop];
        let ends_record = self.bytes.get(stop) != Some(&self.delimiter);
        let clean = rest.is_empty() || (ends_record && rest == b"\r");
        (span, (!clean).then_some("text after the closing quote of a field: double the quotes inside a field"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A record: its line, its fields, and whether its form is right.
    type Read = (u64, Vec<(String, bool)>, bool);

    fn read(text: &str) -> Vec<Read> {
        let mut records = Records::new(text.as_bytes(), b',', 1);
        let mut fields = Vec::new();
        let mut out = Vec::new();
        while let Some((line, outcome)) = records.next(&mut fields) {
            let cells = fields.iter().map(|s| (s.text(text.as_bytes()).unwrap().into_owned(), s.quoted)).collect();
            out.push((line, cells, outcome.is_ok()));
        }
        out
    }
    fn plain(text: &str) -> (String, bool) {
        (text.into(), false)
    }
    fn quoted(text: &str) -> (String, bool) {
        (text.into(), true)
    }

    #[test]
    fn quoted_and_plain_are_told_apart() {
        assert_eq!(
            read("a,\"\",\r\n\n\"x\n\"\"y\"\"\",b,c\nlast,,\"\""),
            [
                (1, vec![plain("a"), quoted(""), plain("")], true),
                (3, vec![quoted("x\n\"y\""), plain("b"), plain("c")], true),
                (5, vec![plain("last"), plain(""), quoted("")], true),
            ]
        );
    }

    #[test]
    fn malformed_records_do_not_hide_later_ones() {
        let rows = read("12\" disk,b\n\"a\"x,b\nok,ok\n");
        assert_eq!(rows.iter().map(|r| (r.0, r.2)).collect::<Vec<_>>(), [(1, false), (2, false), (3, true)]);
        assert_eq!(read("a,\"never").len(), 1);
    }

    proptest::proptest! {
        #[test]
        fn cutting_at_a_record_end_changes_nothing(text in "[a,\"\n\r]{0,40}", keep in 0usize..40) {
            let bytes = text.as_bytes();
            let keep = keep.min(bytes.len());
            if let Some(end) = last_record_end(&bytes[..keep], b',') {
                let mut both = read(&text[..end]);
                let lines = line_ends(&bytes[..end]);
                both.extend(read(&text[end..]).into_iter().map(|(l, c, ok)| (l + lines, c, ok)));
                proptest::prop_assert_eq!(both, read(&text));
            }
        }
    }
}
