//! The rows of a workbook's sheet, as texts: numbers with the digits that the file has, never as
//! floats.
//!
//! Reads what the service writes (inline strings, no formulas) and refuses the rest.

use std::io::{BufReader, Read};

use payouts_model::sheet::unescape;
use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesRef, BytesStart, Event};

use super::sums::Sums;
use super::tally::{Tally, Tallying};
use super::{BUFFER_BYTES, unpack};
use crate::client::{Error, ManifestView};

/// Whether this part of a workbook is a sheet.
pub(super) fn is_one(part: &str) -> bool {
    part.starts_with("xl/worksheets/")
}

/// Reads a sheet to its end: its header is compared, its rows are counted, and added up if that is
/// wanted. `name` is the part's.
pub(super) fn read(
    reader: impl Read,
    name: &str,
    manifest: &ManifestView,
    sums: &mut Option<&mut Sums<'_>>,
) -> Result<Tally, Error> {
    let mut rows = Rows::new(reader);
    let mut row = Vec::new();
    let mut lines = 0_u64;
    while rows.next(&mut row).map_err(|what| Error::Mismatch { what: format!("{name}: {what}") })? {
        if lines == 0 {
            super::same(&format!("{name}: header"), row.join(","), manifest.columns.join(","))?;
        } else if let Some(sums) = sums {
            sums.add_values(&row, row.len())
                .map_err(|what| Error::Mismatch { what: format!("{name}: row {lines}: {what}") })?;
        }
        lines += 1;
    }
    let mut rest = rows.xml.into_inner();
    std::io::copy(&mut rest, &mut std::io::sink()).map_err(unpack)?;
    Ok(Tally { lines, ..rest.into_inner().finish() })
}

/// The rows of a sheet.
struct Rows<R: Read> {
    xml: Reader<BufReader<Tallying<R>>>,
    buffer: Vec<u8>,
}

impl<R: Read> Rows<R> {
    fn new(reader: R) -> Self {
        let reader = BufReader::with_capacity(BUFFER_BYTES, Tallying::markup(reader));
        Self { xml: Reader::from_reader(reader), buffer: Vec::new() }
    }

    /// The next row, if there is one; an empty cell is an empty text.
    fn next(&mut self, row: &mut Vec<String>) -> Result<bool, String> {
        let (mut cells, mut shown, mut kind) = (0, false, Kind::Number);
        loop {
            self.buffer.clear();
            let event = self.xml.read_event_into(&mut self.buffer).map_err(|e| format!("it is not readable: {e}"))?;
            match event {
                Event::Eof => return Ok(false),
                Event::Start(tag) => match tag.local_name().as_ref() {
                    b"row" => cells = 0,
                    b"c" => {
                        kind = Kind::of(&tag)?;
                        cell(row, cells).clear();
                    }
                    b"v" | b"t" => shown = true,
                    b"f" => return Err("it has a formula, and the service writes none".into()),
                    _ => {}
                },
                Event::Empty(tag) => match tag.local_name().as_ref() {
                    b"c" => {
                        cell(row, cells).clear();
                        cells += 1;
                    }
                    b"row" => {
                        row.clear();
                        return Ok(true);
                    }
                    _ => {}
                },
                Event::Text(text) if shown => cell(row, cells).push_str(&text.decode().map_err(|e| e.to_string())?),
                Event::GeneralRef(reference) if shown => cell(row, cells).push(character(&reference)?),
                Event::End(tag) => match tag.local_name().as_ref() {
                    b"v" | b"t" => shown = false,
                    b"c" => {
                        kind.settle(cell(row, cells));
                        cells += 1;
                    }
                    b"row" => {
                        row.truncate(cells);
                        return Ok(true);
                    }
                    _ => {}
                },
                _ => {}
            }
        }
    }
}

/// The text of a cell of a row whose memory is used again.
fn cell(row: &mut Vec<String>, at: usize) -> &mut String {
    if row.len() <= at {
        row.resize_with(at + 1, String::new);
    }
    &mut row[at]
}

/// What a cell's value is.
#[derive(Clone, Copy)]
enum Kind {
    Number,
    Text,
    Boolean,
}

impl Kind {
    fn of(tag: &BytesStart<'_>) -> Result<Self, String> {
        let kind = tag.try_get_attribute("t").map_err(|e| e.to_string())?;
        match kind.as_ref().map(|a| a.value.as_ref()) {
            None | Some(b"n") => Ok(Self::Number),
            Some(b"inlineStr") => Ok(Self::Text),
            Some(b"b") => Ok(Self::Boolean),
            Some(other) => Err(format!("it has a cell of the kind {}", String::from_utf8_lossy(other))),
        }
    }

    fn settle(self, value: &mut String) {
        match self {
            Self::Number => {}
            Self::Text if value.contains("_x") => *value = unescape(value),
            Self::Text => {}
            Self::Boolean => *value = (value == "1").to_string(),
        }
    }
}

fn character(reference: &BytesRef<'_>) -> Result<char, String> {
    if let Some(character) = reference.resolve_char_ref().map_err(|e| e.to_string())? {
        return Ok(character);
    }
    let name = reference.decode().map_err(|e| e.to_string())?;
    let text = resolve_predefined_entity(&name).and_then(|text| text.chars().next());
    text.ok_or_else(|| format!("'&{name};' is not known"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str) -> Result<Vec<Vec<String>>, String> {
        let mut rows = Rows::new(text.as_bytes());
        let (mut all, mut row) = (Vec::new(), Vec::new());
        while rows.next(&mut row)? {
            all.push(row.clone());
        }
        Ok(all)
    }

    #[test]
    fn cells_are_read_with_their_digits() {
        let text = "<worksheet><sheetData><row><c s=\"7\" t=\"inlineStr\"><is><t>a&amp;b</t></is></c><c/></row>\
                    <row><c s=\"2\"><v>-1250.40</v></c><c t=\"b\"><v>1</v></c></row>\
                    <row><c t=\"inlineStr\"><is><t xml:space=\"preserve\"> &lt;&#13;_x0001__x005F_x0041_</t></is></c>\
                    <c t=\"inlineStr\"><is><t></t></is></c></row><row/></sheetData></worksheet>";
        let expected = [vec!["a&b", ""], vec!["-1250.40", "true"], vec![" <\r\u{1}_x0041_", ""], vec![]];
        assert_eq!(rows(text).unwrap(), expected);
    }

    #[test]
    fn what_the_service_does_not_write_is_refused() {
        for (text, says) in [
            ("<row><c t=\"s\"><v>0</v></c></row>", "kind s"),
            ("<row><c><f>1+1</f><v>2</v></c></row>", "formula"),
            ("<row><c><v>&nbsp;</v></c></row>", "&nbsp;"),
            ("<row><c></row>", "not readable"),
        ] {
            let error = rows(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
