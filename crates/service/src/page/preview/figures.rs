//! Numbers for people: amounts with their thousands kept apart, and short ones for axes.
//!
//! Invariant: an amount is exact to its last digit; only what labels an axis is shortened, and only
//! to what it exactly is.

use payouts_model::Amount;

use crate::page::labels::grouped;

/// `-1234.5` as `-1,234.50`.
pub fn money(amount: Amount) -> String {
    let text = amount.to_string();
    let (sign, digits) = text.strip_prefix('-').map_or(("", text.as_str()), |digits| ("-", digits));
    let (whole, decimals) = digits.split_once('.').unwrap_or((digits, ""));
    // Sums of amounts of 18 digits may be longer than any count.
    let whole = whole.parse().map_or_else(|_| whole.to_owned(), grouped);
    format!("{sign}{whole}.{decimals}")
}

/// A round number as short as it gets: `2500` as `2.5k`, `1000000` as `1M`.
pub fn short(value: i128) -> String {
    let sign = if value < 0 { "-" } else { "" };
    let value = value.unsigned_abs();
    let scales = [(1_000_000_000_000_u128, "T"), (1_000_000_000, "B"), (1_000_000, "M"), (1_000, "k")];
    let exact = scales.into_iter().find(|(scale, _)| value >= *scale && (value * 10).is_multiple_of(*scale));
    match exact {
        Some((scale, letter)) => {
            let (whole, tenth) = (value / scale, value * 10 / scale % 10);
            let decimals = if tenth == 0 { String::new() } else { format!(".{tenth}") };
            format!("{sign}{}{decimals}{letter}", grouped(u64::try_from(whole).unwrap_or(u64::MAX)))
        }
        None => format!("{sign}{}", u64::try_from(value).map_or_else(|_| value.to_string(), grouped)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_kept_apart() {
        for (amount, text) in
            [("0", "0.00"), ("-1234.5", "-1,234.50"), ("1234567.891", "1,234,567.891"), ("-12", "-12.00")]
        {
            assert_eq!(money(amount.parse().unwrap()), text);
        }
    }

    #[test]
    fn short_numbers_are_exact() {
        for (value, text) in [
            (0, "0"),
            (25, "25"),
            (2_500, "2.5k"),
            (-1_000_000, "-1M"),
            (1_234, "1,234"),
            (5_000_000_000, "5B"),
            (1_250_000, "1,250k"),
        ] {
            let found = short(value);
            // What would need two decimals is given in the next smaller unit, if at all.
            assert_eq!(found, text);
        }
    }
}
