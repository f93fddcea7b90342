//! The formats of a file: what `fileFormat` may say.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The text inside a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TextFormat {
    /// RFC 4180, comma.
    Csv,
    /// The same with a tab.
    Tsv,
}

impl TextFormat {
    /// The separator between values.
    pub fn separator(self) -> u8 {
        match self {
            Self::Csv => b',',
            Self::Tsv => b'\t',
        }
    }
    /// The file name's ending, without a dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Tsv => "tsv",
        }
    }
}

/// What the text is packed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Packaging {
    /// Nothing: the file is the text.
    Plain,
    /// A ZIP archive with one entry per 1,048,575 rows.
    Zip,
    /// A gzip file.
    Gzip,
}

/// A file's format: text and packaging.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FileFormat {
    /// The text inside.
    pub text: TextFormat,
    /// What it is packed in.
    pub packaging: Packaging,
}

impl FileFormat {
    /// What a request gets that names no format: a ZIP of CSV.
    pub const DEFAULT: Self = Self { text: TextFormat::Csv, packaging: Packaging::Zip };

    /// Every format, in the order errors list them.
    pub const ALL: [Self; 6] = {
        use Packaging::{Gzip, Plain, Zip};
        use TextFormat::{Csv, Tsv};
        [
            Self { text: Csv, packaging: Plain },
            Self { text: Tsv, packaging: Plain },
            Self { text: Csv, packaging: Zip },
            Self { text: Tsv, packaging: Zip },
            Self { text: Csv, packaging: Gzip },
            Self { text: Tsv, packaging: Gzip },
        ]
    };

    /// The format that `text` names, with or without a leading dot, in any case.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let text = text.strip_prefix('.').unwrap_or(text);
        Self::ALL.into_iter().find(|f| f.to_string().eq_ignore_ascii_case(text))
    }

    /// The media type of the file.
    pub fn content_type(self) -> &'static str {
        match (self.packaging, self.text) {
            (Packaging::Plain, TextFormat::Csv) => "text/csv; charset=utf-8",
            (Packaging::Plain, TextFormat::Tsv) => "text/tab-separated-values; charset=utf-8",
            (Packaging::Zip, _) => "application/zip",
            (Packaging::Gzip, _) => "application/gzip",
        }
    }

    /// The file name's ending, without a leading dot: `csv`, `zip` or `csv.gz`.
    pub fn extension(self) -> &'static str {
        match (self.packaging, self.text) {
            (Packaging::Plain, text) => text.extension(),
            (Packaging::Zip, _) => "zip",
            (Packaging::Gzip, TextFormat::Csv) => "csv.gz",
            (Packaging::Gzip, TextFormat::Tsv) => "tsv.gz",
        }
    }
}

/// The name that `fileFormat` takes.
impl fmt::Display for FileFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.text, self.packaging) {
            (TextFormat::Csv, Packaging::Plain) => "csv",
            (TextFormat::Tsv, Packaging::Plain) => "tsv",
            (TextFormat::Csv, Packaging::Zip) => "csv.zip",
            (TextFormat::Tsv, Packaging::Zip) => "tsv.zip",
            (TextFormat::Csv, Packaging::Gzip) => "csv.gz",
            (TextFormat::Tsv, Packaging::Gzip) => "tsv.gz",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse_back() {
        for format in FileFormat::ALL {
            assert_eq!(FileFormat::parse(&format.to_string()), Some(format));
            assert_eq!(FileFormat::parse(&format!(".{}", format.to_string().to_uppercase())), Some(format));
        }
        assert_eq!(FileFormat::parse("xlsx"), None);
    }
}
