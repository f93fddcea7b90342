//! What the rows of a worksheet and the workbook around them must agree on: the styles of cells,
//! the limits of a sheet, and how text stands in SpreadsheetML (ECMA-376, part 1).

use crate::report::FieldType;

/// Digits of a number that a spreadsheet keeps: its numbers are binary, and this many decimal
/// digits always come back as they were.
pub const DIGITS_MAX: u32 = 15;

/// UTF-16 units of text that a cell holds.
pub const TEXT_UNITS_MAX: usize = 32_767;

/// A column of a sheet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SheetColumn {
    /// Its header.
    pub name: String,
    /// What it holds.
    pub kind: FieldType,
}

/// The style of a cell: its index among the formats of the workbook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Style {
    /// As the spreadsheet sees fit.
    General = 0,
    /// Text, also when it is edited: no id turns into a number, no `=1+1` into a formula.
    Text = 1,
    /// Money.
    Amount = 2,
    /// Digits alone.
    Integer = 3,
    /// A day.
    Date = 4,
    /// An instant in UTC.
    Instant = 5,
    /// A number that only text holds exactly: on the right, where numbers stand.
    ExactText = 6,
    /// The header row.
    Header = 7,
}

impl Style {
    /// Every style, in the order of their indexes.
    pub const ALL: [Self; 8] = [
        Self::General,
        Self::Text,
        Self::Amount,
        Self::Integer,
        Self::Date,
        Self::Instant,
        Self::ExactText,
        Self::Header,
    ];
}

/// Appends text as it stands inside of an element: markup escaped; what XML cannot hold, and a
/// text that looks like that escape, as `_xHHHH_` (22.9.2.19).
pub fn escape(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    let plain = |b: u8| b >= b' ' && !matches!(b, b'&' | b'<' | b'>' | b'_' | 0xEF);
    // Nearly every value is: no branch per byte.
    if bytes.iter().fold(true, |all, &b| all & plain(b)) {
        out.extend_from_slice(bytes);
        return;
    }
    let mut from = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        if plain(byte) {
            continue;
        }
        let (instead, length): (&[u8], usize) = match byte {
            b'&' => (b"&amp;", 1),
            b'<' => (b"&lt;", 1),
            b'>' => (b"&gt;", 1),
            // A reader would turn a bare one into a line feed.
            b'\r' => (b"&#13;", 1),
            b'_' if looks_escaped(&bytes[at..]) => (b"_x005F_", 1),
            0xEF if bytes[at..].starts_with(&[0xEF, 0xBF, 0xBE]) => (b"_xFFFE_", 3),
            0xEF if bytes[at..].starts_with(&[0xEF, 0xBF, 0xBF]) => (b"_xFFFF_", 3),
            b'\t' | b'\n' | b'_' | 0xEF => continue,
            _ => (b"", 1),
        };
        out.extend_from_slice(&bytes[from..at]);
        if instead.is_empty() {
            out.extend_from_slice(format!("_x{byte:04X}_").as_bytes());
        } else {
            out.extend_from_slice(instead);
        }
        from = at + length;
    }
    out.extend_from_slice(&bytes[from..]);
}

/// Whether it begins like `_x005F_`.
fn looks_escaped(bytes: &[u8]) -> bool {
    bytes.len() >= 7 && bytes.starts_with(b"_x") && bytes[6] == b'_' && bytes[2..6].iter().all(u8::is_ascii_hexdigit)
}

/// The text behind [`escape`]d text whose markup was read already: `_xHHHH_` is the character.
pub fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("_x") {
        let (before, escaped) = rest.split_at(at);
        out.push_str(before);
        let unit = looks_escaped(escaped.as_bytes()).then(|| u32::from_str_radix(&escaped[2..6], 16).ok());
        match unit.flatten().and_then(char::from_u32) {
            Some(character) => {
                out.push(character);
                rest = &escaped[7..];
            }
            None => {
                out.push('_');
                rest = &escaped[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

/// The letters of a column, counted from 0: A to XFD.
pub fn column_letters(index: usize) -> String {
    let mut letters = Vec::new();
    let mut left = index + 1;
    while left > 0 {
        let digit = (left - 1) % 26;
        letters.push(b'A' + digit as u8);
        left = (left - 1) / 26;
    }
    letters.iter().rev().map(|&b| char::from(b)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escaped(text: &str) -> String {
        let mut out = Vec::new();
        escape(&mut out, text);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn text_stands_in_xml_and_comes_back() {
        for (text, expected) in [
            ("", ""),
            ("Fabrikam & Söhne <AG>", "Fabrikam &amp; Söhne &lt;AG&gt;"),
            ("a\tb\nc\rd", "a\tb\nc&#13;d"),
            ("\u{1}x\u{1f}", "_x0001_x_x001F_"),
            ("_x0041_", "_x005F_x0041_"),
            ("_x0041", "_x0041"),
            ("__x000g_ _x12_", "__x000g_ _x12_"),
            ("__x00aF_", "__x005F_x00aF_"),
            ("\u{fffe}\u{ffff}\u{ff21}", "_xFFFE__xFFFF_\u{ff21}"),
            ("🎉 漢字", "🎉 漢字"),
        ] {
            assert_eq!(escaped(text), expected, "{text:?}");
            let read = expected.replace("&#13;", "\r").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
            assert_eq!(unescape(&read), text, "{expected}");
        }
    }

    #[test]
    fn columns_have_letters() {
        for (index, letters) in [(0, "A"), (25, "Z"), (26, "AA"), (701, "ZZ"), (702, "AAA"), (16_383, "XFD")] {
            assert_eq!(column_letters(index), letters);
        }
    }

    #[test]
    fn styles_stand_at_their_indexes() {
        for (index, style) in Style::ALL.into_iter().enumerate() {
            assert_eq!(style as usize, index);
        }
    }
}
