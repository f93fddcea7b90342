//! What clients put around a filter: `?$filter=` repeated inside the value, quotes around it all,
//! blanks.

/// The part of `text` that is the filter itself, and at which byte it begins.
pub(crate) fn inner(text: &str) -> (usize, &str) {
    let mut rest = text.trim();
    loop {
        let next = without_prefix(rest).or_else(|| without_quotes(rest)).map(str::trim);
        match next {
            Some(next) => rest = next,
            None => break,
        }
    }
    (rest.as_ptr() as usize - text.as_ptr() as usize, rest)
}

fn without_prefix(text: &str) -> Option<&str> {
    let rest = text.strip_prefix(['?', '&']).unwrap_or(text).trim_start();
    let name = rest.get(..7).filter(|n| n.eq_ignore_ascii_case("$filter"))?;
    rest[name.len()..].trim_start().strip_prefix('=')
}

/// Quotes around it all: those behind which the prefix follows, or that have no other quote of
/// their kind between them. A text literal by itself is no filter, so nothing else is meant.
fn without_quotes(text: &str) -> Option<&str> {
    let family = |c: char| match c {
        '\'' | '‘' | '’' => Some(1),
        '"' | '“' | '”' => Some(2),
        _ => None,
    };
    let first = text.chars().next()?;
    let last = text.chars().next_back()?;
    let kind = family(first)?;
    if family(last) != Some(kind) || text.len() <= first.len_utf8() {
        return None;
    }
    let inside = &text[first.len_utf8()..text.len() - last.len_utf8()];
    let whole = without_prefix(inside.trim_start()).is_some() || !inside.chars().any(|c| family(c) == Some(kind));
    whole.then_some(inside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_filter_inside() {
        for text in [
            "paymentId=1",
            "  paymentId=1 ",
            "?$filter=paymentId=1",
            "?$filter=?$filter=paymentId=1",
            "“?$filter=paymentId=1 ”",
            "$Filter = paymentId=1",
            "\"paymentId=1\"",
            "'?$filter=paymentId=1'",
            "?$filter=“$filter=\"paymentId=1\"”",
        ] {
            assert_eq!(inner(text).1, "paymentId=1", "{text}");
            assert!(text[inner(text).0..].starts_with("paymentId=1"));
        }
        for text in ["'a' eq programName or programName eq 'b'", "“a” eq “b”", "'", "“", ""] {
            assert_eq!(inner(text).1, text);
        }
    }
}
