//! JSON that people can read and that does not swell: the members of the document and of what is
//! directly in it each on a line of their own, what is deeper within that line.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

/// Values so deep get lines of their own: members of the document are at 1.
const LINES_DEPTH_MAX: usize = 2;

/// The document as text. Its keys must be texts.
pub(super) fn to_json(document: &impl Serialize) -> String {
    let mut bytes = Vec::new();
    write_json(document, &mut bytes).expect("a document with text keys only is always JSON");
    String::from_utf8(bytes).expect("JSON is text")
}

/// The document written as text; fails where `out` does. Its keys must be texts.
pub(super) fn write_json(document: &impl Serialize, out: impl Write) -> io::Result<()> {
    let mut serializer = Serializer::with_formatter(out, Lines::default());
    Ok(document.serialize(&mut serializer)?)
}

#[derive(Debug, Default)]
struct Lines {
    depth: usize,
    /// Whether the innermost array or object has a value.
    filled: bool,
}

impl Lines {
    fn begin<W: ?Sized + Write>(&mut self, writer: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth += 1;
        self.filled = false;
        writer.write_all(bracket)
    }

    fn end<W: ?Sized + Write>(&mut self, writer: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth -= 1;
        if self.filled && self.depth < LINES_DEPTH_MAX {
            self.line(writer)?;
        }
        self.filled = true;
        writer.write_all(bracket)
    }

    fn value<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if !first {
            writer.write_all(b",")?;
        }
        match (self.depth <= LINES_DEPTH_MAX, first) {
            (true, _) => self.line(writer),
            (false, true) => Ok(()),
            (false, false) => writer.write_all(b" "),
        }
    }

    fn line<W: ?Sized + Write>(&self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b"\n")?;
        (0..self.depth).try_for_each(|_| writer.write_all(b"  "))
    }
}

impl Formatter for Lines {
    fn begin_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.begin(writer, b"[")
    }
    fn end_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.end(writer, b"]")
    }
    fn begin_array_value<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.value(writer, first)
    }
    fn end_array_value<W: ?Sized + Write>(&mut self, _writer: &mut W) -> io::Result<()> {
        self.filled = true;
        Ok(())
    }
    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.begin(writer, b"{")
    }
    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.end(writer, b"}")
    }
    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.value(writer, first)
    }
    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }
    fn end_object_value<W: ?Sized + Write>(&mut self, _writer: &mut W) -> io::Result<()> {
        self.filled = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_deep_shares_a_line() {
        let document = serde_json::json!({
            "a": [],
            "b": [{ "x": 1, "y": [1, 2] }, { "x": "\"\n", "y": [] }],
            "c": { "d": {}, "e": null },
            "f": {},
        });
        let text = to_json(&document);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), document);
        let expected = r#"{
  "a": [],
  "b": [
    {"x": 1, "y": [1, 2]},
    {"x": "\"\n", "y": []}
  ],
  "c": {
    "d": {},
    "e": null
  },
  "f": {}
}"#;
        assert_eq!(text, expected);
    }
}
