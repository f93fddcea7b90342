//! What people type and paste: lists of ids out of spreadsheets and mails, amounts in the spelling
//! of their country, days.
//!
//! Invariant: nothing is guessed. What can mean two things is refused with both of them.

use std::collections::HashSet;

use chrono::{Datelike, NaiveDate};
use payouts_filter::limits::{LIST_VALUES_MAX, LITERAL_CHARS_MAX};
use payouts_model::Amount;
use payouts_model::id::canonical;
use payouts_model::money::ParseError;

/// The ids in a pasted text, each once, in their order: between blanks, lines, commas, semicolons,
/// tabs and quotes of any kind. `heading` is the column's name, which comes along with a copied
/// column.
pub fn ids(text: &str, headings: &[&str]) -> Result<Vec<String>, String> {
    let mut seen = HashSet::new();
    let mut ids = Vec::new();
    for id in text.split(separates).filter(|id| !id.is_empty()) {
        if headings.iter().any(|heading| heading.eq_ignore_ascii_case(id)) {
            continue;
        }
        check_id(id)?;
        if seen.insert(canonical(id)) {
            ids.push(id.to_owned());
        }
    }
    if ids.len() > LIST_VALUES_MAX {
        return Err(format!(
            "These are {} ids; one request takes {LIST_VALUES_MAX} at most. Ask for them in several exports.",
            ids.len()
        ));
    }
    Ok(ids)
}

fn separates(c: char) -> bool {
    c.is_whitespace()
        || matches!(c, ',' | ';' | '|' | '=' | '(' | ')' | '[' | ']')
        || matches!(c, '"' | '\'' | '`' | '‘' | '’' | '‚' | '“' | '”' | '„' | '«' | '»')
        || matches!(c, '\u{200B}'..='\u{200D}' | '\u{2060}' | '\u{FEFF}')
}

fn check_id(id: &str) -> Result<(), String> {
    let shown: String = id.chars().take(40).collect();
    let (mantissa, exponent) = id.split_once(['e', 'E']).unwrap_or((id, ""));
    let number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if number(mantissa) && number(exponent.trim_start_matches('+')) {
        return Err(format!(
            "'{shown}' is an id that a spreadsheet has shortened to a rounded number: some of its digits are gone. \
             Format that column as text, and copy it again from where it came."
        ));
    }
    if number(id) && id.contains('.') {
        return Err(format!("'{shown}' is a number with a point, not an id: ids have digits alone."));
    }
    if id.chars().count() > LITERAL_CHARS_MAX {
        return Err(format!("'{shown}…' is longer than any id."));
    }
    Ok(())
}

/// An amount as people write it: `1234.5`, `1 234,50`, `1.234,50`, `-12`.
pub fn amount(text: &str) -> Result<Amount, String> {
    let bare: String = text.chars().filter(|c| !c.is_whitespace() && !matches!(c, '\'' | '’' | '\u{202F}')).collect();
    let shown: String = text.trim().chars().take(40).collect();
    let (sign, digits) = match bare.strip_prefix(['-', '−', '–']) {
        Some(rest) => ("-", rest),
        None => ("", bare.strip_prefix('+').unwrap_or(&bare)),
    };
    let no_number = || format!("'{shown}' is not an amount: write digits, such as 1234.50 or 1234,50.");
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit() || b == b'.' || b == b',') {
        return Err(no_number());
    }
    let mut separators: Vec<char> = digits.chars().filter(|c| !c.is_ascii_digit()).collect();
    let last = separators.pop();
    let plain = match last {
        None => digits.to_owned(),
        Some(mark) if separators.is_empty() => {
            let (whole, rest) = digits.split_once(mark).ok_or_else(no_number)?;
            if rest.len() == 3 && (1..=3).contains(&whole.len()) && !whole.starts_with('0') {
                return Err(format!(
                    "'{shown}' can mean {whole}{rest} or {whole}.{rest}: write {whole}{rest} or {whole}.{rest}0."
                ));
            }
            format!("{whole}.{rest}")
        }
        Some(mark) if separators.iter().all(|s| *s == mark) => grouped(digits, mark).ok_or_else(no_number)?,
        Some(mark) => {
            let (whole, rest) = digits.rsplit_once(mark).ok_or_else(no_number)?;
            let other = separators[0];
            if separators.iter().any(|s| *s != other) {
                return Err(no_number());
            }
            format!("{}.{rest}", grouped(whole, other).ok_or_else(no_number)?)
        }
    };
    if plain.ends_with('.') || plain.starts_with('.') {
        return Err(no_number());
    }
    format!("{sign}{plain}").parse().map_err(|error| match error {
        ParseError::Syntax => no_number(),
        ParseError::TooManyDecimals(most) => format!("'{shown}' has more than {most} decimals; amounts have no more."),
        ParseError::TooLarge(most) => {
            format!("'{shown}' has more than {most} digits before the point; amounts have no more.")
        }
    })
}

/// The digits of a number whose thousands are kept apart by `mark`.
fn grouped(digits: &str, mark: char) -> Option<String> {
    let groups: Vec<&str> = digits.split(mark).collect();
    let first = (1..=3).contains(&groups[0].len());
    (first && groups[1..].iter().all(|g| g.len() == 3)).then(|| groups.concat())
}

/// A day as a browser sends it.
pub fn day(text: &str) -> Result<NaiveDate, String> {
    let day = text.trim().parse::<NaiveDate>().ok().filter(|day| (1900..=9999).contains(&day.year()));
    day.ok_or_else(|| {
        let shown: String = text.trim().chars().take(40).collect();
        format!("'{shown}' is not a day between the years 1900 and 9999: write it as 2026-05-31.")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pasted_lists_are_taken_apart() {
        let pasted = "paymentID\r\n006772397028\t6772397029, '6772397030'\n\u{FEFF}“6772397031”; =\"6772397032\"\u{A0}6772397028 ref-7";
        let found = ids(pasted, &["paymentID", "paymentId"]).unwrap();
        let expected = ["006772397028", "6772397029", "6772397030", "6772397031", "6772397032", "ref-7"];
        assert_eq!(found, expected, "an id counts once, whatever its zeros");
        assert_eq!(ids(" \n,\t", &[]), Ok(vec![]));
    }

    #[test]
    fn shortened_ids_are_not_searched_for() {
        for bad in ["6.77E+09", "6.77239702E9", "677e2", "6772397028.0"] {
            assert!(ids(bad, &[]).is_err(), "{bad}");
        }
        let many: String = (0..=LIST_VALUES_MAX).map(|n| format!("{n}\n")).collect();
        assert!(ids(&many, &[]).unwrap_err().contains("20001"), "the limit is told");
    }

    #[test]
    fn amounts_in_many_spellings() {
        for (text, value) in [
            ("1234.5", "1234.50"),
            ("1234,50", "1234.50"),
            ("1.234,50", "1234.50"),
            ("1,234.50", "1234.50"),
            ("1 234,5", "1234.50"),
            ("1'234.5", "1234.50"),
            ("1,234,567", "1234567.00"),
            ("0,500", "0.50"),
            ("1234,567", "1234.567"),
            ("−12", "-12.00"),
            ("+3", "3.00"),
        ] {
            assert_eq!(amount(text).map(|a| a.to_string()), Ok(value.to_owned()), "{text}");
        }
        for bad in ["", "-", "12 EUR", "1.2.3", "1,23,456.7", "1.234.5", "1e5", ".", "5.", ".5", "1,234.567.8"] {
            assert!(amount(bad).is_err(), "{bad}");
        }
        assert_eq!(amount("1,234").unwrap_err(), "'1,234' can mean 1234 or 1.234: write 1234 or 1.2340.");
        assert!(amount("0.00001").unwrap_err().contains("decimals"));
    }

    #[test]
    fn days_have_four_digits_of_a_year() {
        assert!(day(" 2026-05-31 ").is_ok());
        for bad in ["31.05.2026", "2026-02-30", "0026-01-01", "12026-01-01", ""] {
            assert!(day(bad).is_err(), "{bad}");
        }
    }
}
