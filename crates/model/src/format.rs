//! The formats of a file: what `fileFormat` may say.

pub mod dialect;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use dialect::{DecimalSign, Dialect, Separator};

/// The text inside a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TextFormat {
    /// RFC 4180, comma.
    Csv,
    /// The same with a tab.
    Tsv,
    /// CSV as spreadsheets want it: BOM, chosen signs, no text that is taken for a formula.
    Excel(Dialect),
    /// Rows of a worksheet, as SpreadsheetML: see [`crate::sheet`].
    Sheet,
}

impl TextFormat {
    /// The separator between values.
    pub fn separator(self) -> u8 {
        match self {
            Self::Csv | Self::Sheet => b',',
            Self::Tsv => b'\t',
            Self::Excel(dialect) => dialect.separator.byte(),
        }
    }
    /// The signs that the request chose, where the format leaves a choice.
    pub fn dialect(self) -> Option<Dialect> {
        match self {
            Self::Excel(dialect) => Some(dialect),
            Self::Csv | Self::Tsv | Self::Sheet => None,
        }
    }
    /// The file name's ending, without a dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Csv | Self::Excel(_) => "csv",
            Self::Tsv => "tsv",
            Self::Sheet => "xml",
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
    /// An Excel workbook (XLSX) with one sheet per 1,048,575 rows.
    Workbook,
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

    /// An Excel workbook.
    pub const XLSX: Self = Self { text: TextFormat::Sheet, packaging: Packaging::Workbook };

    /// Every format, in the order errors list them; the one with a dialect in its default one.
    pub const ALL: [Self; 8] = {
        use Packaging::{Gzip, Plain, Zip};
        use TextFormat::{Csv, Tsv};
        [
            Self { text: Csv, packaging: Plain },
            Self { text: Tsv, packaging: Plain },
            Self { text: Csv, packaging: Zip },
            Self { text: Tsv, packaging: Zip },
            Self { text: Csv, packaging: Gzip },
            Self { text: Tsv, packaging: Gzip },
            Self::XLSX,
            Self { text: TextFormat::Excel(Dialect::DEFAULT), packaging: Plain },
        ]
    };

    /// The format that `text` names, with or without a leading dot, in any case.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let text = text.strip_prefix('.').unwrap_or(text);
        Self::ALL.into_iter().find(|f| f.to_string().eq_ignore_ascii_case(text))
    }

    /// The same format with these signs; `None` if it leaves no choice.
    pub fn with_dialect(self, dialect: Dialect) -> Option<Self> {
        self.text.dialect().map(|_| Self { text: TextFormat::Excel(dialect), ..self })
    }

    fn name(self) -> &'static str {
        match (self.packaging, self.text) {
            (Packaging::Plain, TextFormat::Csv) => "csv",
            (Packaging::Plain, TextFormat::Tsv) => "tsv",
            (Packaging::Plain, TextFormat::Excel(_)) => "csv.excel",
            (Packaging::Zip, TextFormat::Tsv) => "tsv.zip",
            (Packaging::Zip, _) => "csv.zip",
            (Packaging::Gzip, TextFormat::Tsv) => "tsv.gz",
            (Packaging::Gzip, _) => "csv.gz",
            (Packaging::Workbook, _) | (Packaging::Plain, TextFormat::Sheet) => "xlsx",
        }
    }

    /// The media type of the file.
    pub fn content_type(self) -> &'static str {
        match (self.packaging, self.text) {
            (Packaging::Plain, TextFormat::Tsv) => "text/tab-separated-values; charset=utf-8",
            (Packaging::Plain, _) => "text/csv; charset=utf-8",
            (Packaging::Zip, _) => "application/zip",
            (Packaging::Gzip, _) => "application/gzip",
            (Packaging::Workbook, _) => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        }
    }

    /// The file name's ending, without a leading dot: `csv`, `zip` or `csv.gz`.
    pub fn extension(self) -> &'static str {
        match self.packaging {
            Packaging::Plain => self.text.extension(),
            Packaging::Zip => "zip",
            Packaging::Gzip | Packaging::Workbook => self.name(),
        }
    }
}

/// The name that `fileFormat` takes.
impl fmt::Display for FileFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
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
        assert_eq!(FileFormat::parse("xls"), None);
    }

    #[test]
    fn stored_formats_are_read_back() {
        // As earlier versions stored it.
        let old: FileFormat = serde_json::from_str(r#"{"text":"csv","packaging":"zip"}"#).unwrap();
        assert_eq!(old, FileFormat::DEFAULT);
        let dialect = Dialect::new(None, Some(DecimalSign::Comma)).unwrap();
        let chosen = FileFormat::parse("csv.excel").unwrap().with_dialect(dialect).unwrap();
        for format in FileFormat::ALL.into_iter().chain([chosen]) {
            let stored = serde_json::to_string(&format).unwrap();
            assert_eq!(serde_json::from_str::<FileFormat>(&stored).unwrap(), format, "{stored}");
        }
        assert_eq!(FileFormat::DEFAULT.with_dialect(dialect), None);
        assert_eq!((chosen.to_string(), chosen.extension()), ("csv.excel".into(), "csv"));
    }
}
