//! The signs of `csv.excel`: what stands between values, and what before decimals.
//!
//! Invariant: the two differ.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What stands between values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Separator {
    /// `,`
    Comma,
    /// `;`
    Semicolon,
    /// A tab.
    Tab,
    /// `|`
    Pipe,
}

impl Separator {
    /// All of them, in the order errors list them.
    pub const ALL: [Self; 4] = [Self::Comma, Self::Semicolon, Self::Tab, Self::Pipe];

    /// The sign itself.
    pub fn byte(self) -> u8 {
        match self {
            Self::Comma => b',',
            Self::Semicolon => b';',
            Self::Tab => b'\t',
            Self::Pipe => b'|',
        }
    }

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Comma => "comma",
            Self::Semicolon => "semicolon",
            Self::Tab => "tab",
            Self::Pipe => "pipe",
        }
    }
}

/// What stands before decimals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DecimalSign {
    /// `.`
    Point,
    /// `,`
    Comma,
}

impl DecimalSign {
    /// All of them, in the order errors list them.
    pub const ALL: [Self; 2] = [Self::Point, Self::Comma];

    /// The sign itself.
    pub fn byte(self) -> u8 {
        match self {
            Self::Point => b'.',
            Self::Comma => b',',
        }
    }

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Point => "point",
            Self::Comma => "comma",
        }
    }
}

/// Both signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Signs")]
pub struct Dialect {
    /// Between values.
    pub separator: Separator,
    /// Before decimals.
    pub decimal: DecimalSign,
}

/// Comma is both separator and decimal sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a comma cannot stand between values and before decimals: with decimal=comma the separator is semicolon, tab or pipe"
)]
pub struct SameSign;

/// A [`Dialect`] as it is stored.
#[derive(Deserialize)]
struct Signs {
    separator: Separator,
    decimal: DecimalSign,
}

impl TryFrom<Signs> for Dialect {
    type Error = SameSign;
    fn try_from(Signs { separator, decimal }: Signs) -> Result<Self, SameSign> {
        Self::new(Some(separator), Some(decimal))
    }
}

impl Dialect {
    /// Comma and point.
    pub const DEFAULT: Self = Self { separator: Separator::Comma, decimal: DecimalSign::Point };

    /// What is chosen, and for the rest what goes with it: a point before decimals; a comma between
    /// values, or a semicolon where the comma stands before decimals.
    pub fn new(separator: Option<Separator>, decimal: Option<DecimalSign>) -> Result<Self, SameSign> {
        let decimal = decimal.unwrap_or(DecimalSign::Point);
        let separator = separator.unwrap_or(match decimal {
            DecimalSign::Point => Separator::Comma,
            DecimalSign::Comma => Separator::Semicolon,
        });
        if separator.byte() == decimal.byte() {
            return Err(SameSign);
        }
        Ok(Self { separator, decimal })
    }
}

/// Whether a spreadsheet would take this text for a formula, or for one behind a guard: it begins
/// with `=`, `+`, `-`, `@` (or one of them at full width), a tab or a line end, apostrophes before it
/// not counted, and is no number. Such a text is written with an apostrophe before it.
pub fn guarded(text: &str) -> bool {
    let inner = text.trim_start_matches('\'');
    let starts = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];
    inner.starts_with(starts) && !looks_like_a_number(inner)
}

/// The text behind its guard, if it has one.
pub fn unguarded(text: &str) -> &str {
    match text.strip_prefix('\'') {
        Some(inner) if guarded(inner) => inner,
        _ => text,
    }
}

/// A sign, digits, and one point or comma among them.
fn looks_like_a_number(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (whole, fraction) = digits.split_once(['.', ',']).unwrap_or((digits, "0"));
    let plain = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    plain(whole) && plain(fraction)
}

macro_rules! named {
    ($name:ident, $what:literal) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        /// By name in any case, or the sign itself.
        impl std::str::FromStr for $name {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, String> {
                // A tab is a blank to `trim`.
                let named = |own: &Self| own.as_str().eq_ignore_ascii_case(text.trim());
                let found = Self::ALL.into_iter().find(|own| text.as_bytes() == [own.byte()] || named(own));
                found.ok_or_else(|| {
                    let names: Vec<&str> = Self::ALL.iter().map(|own| own.as_str()).collect();
                    let shown: String = text.chars().take(20).collect();
                    format!("'{shown}' is not {}: {}, by name or the sign itself", $what, names.join(", "))
                })
            }
        }
    };
}

named!(Separator, "a separator");
named!(DecimalSign, "a decimal sign");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_go_by_name_or_themselves() {
        for separator in Separator::ALL {
            assert_eq!(separator.to_string().to_uppercase().parse(), Ok(separator));
            assert_eq!(char::from(separator.byte()).to_string().parse(), Ok(separator));
        }
        for decimal in DecimalSign::ALL {
            assert_eq!(decimal.to_string().parse(), Ok(decimal));
            assert_eq!(char::from(decimal.byte()).to_string().parse(), Ok(decimal));
        }
        let error = "x".parse::<Separator>().unwrap_err();
        assert_eq!(error, "'x' is not a separator: comma, semicolon, tab, pipe, by name or the sign itself");
        assert!("".parse::<DecimalSign>().is_err());
    }

    #[test]
    fn guards_come_off_again_and_leave_numbers_alone() {
        for text in
            ["=1+1", "+cmd|' /C calc'!A0", "-1+2", "@SUM(A1)", "\t=1", "\r=1", "-", "'=1", "''@x", "+1.2.3", "＝1"]
        {
            assert!(guarded(text), "{text:?}");
            assert_eq!(unguarded(&format!("'{text}")), text);
        }
        for text in ["", "-12.50", "+3", "-1,5", "'", "''", "O'Hara", "'quoted'", "'-5", "a=b", "006772397028"] {
            assert!(!guarded(text), "{text:?}");
            assert_eq!(unguarded(text), text);
        }
    }

    #[test]
    fn what_is_left_out_goes_with_the_rest() {
        use DecimalSign as D;
        use Separator as S;
        for (separator, decimal, expected) in [
            (None, None, Ok((S::Comma, D::Point))),
            (None, Some(D::Comma), Ok((S::Semicolon, D::Comma))),
            (Some(S::Semicolon), None, Ok((S::Semicolon, D::Point))),
            (Some(S::Tab), Some(D::Comma), Ok((S::Tab, D::Comma))),
            (Some(S::Comma), Some(D::Comma), Err(SameSign)),
        ] {
            assert_eq!(Dialect::new(separator, decimal).map(|d| (d.separator, d.decimal)), expected);
        }
        assert!(serde_json::from_str::<Dialect>(r#"{"separator":"comma","decimal":"comma"}"#).is_err());
    }
}
