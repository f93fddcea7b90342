//! Exact decimals: amounts with four decimals and numbers (rates, quantities) with eight.
//!
//! Both are integers scaled by a power of ten. No float ever touches one. Columns are
//! decimal(18,4) and decimal(18,8); sums of amounts use the full width of `i128`.

use std::fmt;

/// Why a text is not an exact decimal of the asked scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Not of the form `-123.45`.
    #[error("not a plain decimal number such as -1234.56")]
    Syntax,
    /// More decimals than the type holds (trailing zeros do not count).
    #[error("more than {0} decimals")]
    TooManyDecimals(u32),
    /// More digits before the point than the type holds.
    #[error("more than {0} digits before the point")]
    TooLarge(u32),
}

/// Parses plain decimal text exactly into an integer scaled by 10^`scale`, with at most
/// 18 significant places in all (decimal(18, `scale`)).
pub fn parse_scaled(text: &str, scale: u32) -> Result<i128, ParseError> {
    let (negative, digits) = match text.as_bytes() {
        [b'-', ..] => (true, &text[1..]),
        [b'+', ..] => (false, &text[1..]),
        _ => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let plain = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if !plain(whole) || !plain(fraction) || (whole.is_empty() && fraction.is_empty()) {
        return Err(ParseError::Syntax);
    }
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > scale as usize {
        return Err(ParseError::TooManyDecimals(scale));
    }
    let whole = whole.trim_start_matches('0');
    let whole_digits_max = 18 - scale;
    if whole.len() > whole_digits_max as usize {
        return Err(ParseError::TooLarge(whole_digits_max));
    }
    let mut value: i128 = 0;
    for b in whole.bytes().chain(fraction.bytes()) {
        value = value * 10 + i128::from(b - b'0');
    }
    value *= 10_i128.pow(scale - fraction.len() as u32);
    Ok(if negative { -value } else { value })
}

/// Writes an integer scaled by 10^`scale` as plain digits with at least `least_decimals` decimals
/// and no trailing zeros beyond those.
pub fn write_scaled(out: &mut impl fmt::Write, value: i128, scale: u32, least_decimals: u32) -> fmt::Result {
    let power = 10_u128.pow(scale);
    let magnitude = value.unsigned_abs();
    if value < 0 {
        out.write_char('-')?;
    }
    write!(out, "{}", magnitude / power)?;
    let mut fraction = magnitude % power;
    let mut decimals = scale;
    while decimals > least_decimals && fraction.is_multiple_of(10) {
        fraction /= 10;
        decimals -= 1;
    }
    if decimals > 0 {
        write!(out, ".{fraction:0width$}", width = decimals as usize)?;
    }
    Ok(())
}

macro_rules! scaled {
    ($(#[$doc:meta])* $name:ident, $scale:literal, $least:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub i128);

        impl $name {
            /// Decimals held: the value is this integer divided by 10^SCALE.
            pub const SCALE: u32 = $scale;
        }

        impl std::str::FromStr for $name {
            type Err = ParseError;
            fn from_str(text: &str) -> Result<Self, ParseError> {
                parse_scaled(text, $scale).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_scaled(f, self.0, $scale, $least)
            }
        }
    };
}

scaled! {
    /// An amount of money, or a sum of them, in ten-thousandths. Printed with two to four decimals.
    Amount, 4, 2
}
scaled! {
    /// A rate or quantity, in hundred-millionths. Printed without trailing zeros.
    Number, 8, 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_print_two_to_four_decimals() {
        for (text, printed) in [
            ("1250.4", "1250.40"),
            ("-0.5", "-0.50"),
            ("1.2345", "1.2345"),
            ("1.2340", "1.234"),
            ("0", "0.00"),
            ("12", "12.00"),
            (".5", "0.50"),
        ] {
            assert_eq!(text.parse::<Amount>().unwrap().to_string(), printed);
        }
        assert_eq!("10.50000000".parse::<Number>().unwrap().to_string(), "10.5");
        assert_eq!("3".parse::<Number>().unwrap().to_string(), "3");
    }

    #[test]
    fn nothing_is_rounded() {
        assert_eq!("1.00001".parse::<Amount>(), Err(ParseError::TooManyDecimals(4)));
        assert_eq!("100000000000000".parse::<Amount>(), Err(ParseError::TooLarge(14)));
        assert_eq!("99999999999999.9999".parse::<Amount>().unwrap().0, 999_999_999_999_999_999);
        for bad in ["", ".", "-", "1,5", "1e3", " 1", "0x1", "--1"] {
            assert_eq!(bad.parse::<Amount>(), Err(ParseError::Syntax), "{bad}");
        }
    }
}
