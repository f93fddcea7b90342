//! The nearest names to a misspelt one. A `$` in front does not count.

/// How many names are offered.
const OFFERED_MAX: usize = 3;
/// A longer word is no misspelt name, and comparing it would cost time.
const WORD_CHARS_MAX: usize = 128;
/// How like a name must be, from 0 to 1.
const LIKENESS_MIN: f64 = 0.7;

/// Up to three of `names` that look like `word`, best first; none if nothing does.
pub fn nearest<'n>(word: &str, names: impl IntoIterator<Item = &'n str>) -> Vec<String> {
    if word.is_empty() || word.chars().count() > WORD_CHARS_MAX {
        return Vec::new();
    }
    let plain = |name: &str| name.trim_start_matches('$').to_lowercase();
    let word = plain(word);
    let mut ranked: Vec<(f64, &str)> = names.into_iter().map(|name| (likeness(&word, &plain(name)), name)).collect();
    ranked.retain(|(score, _)| *score >= LIKENESS_MIN);
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    // Names ignore case, so one spelling is enough.
    ranked.dedup_by(|a, b| a.1.eq_ignore_ascii_case(b.1));
    // What is much less like than the best would only distract.
    let best = ranked.first().map_or(0.0, |r| r.0);
    ranked.into_iter().take_while(|r| r.0 >= best - 0.12).take(OFFERED_MAX).map(|r| r.1.to_owned()).collect()
}

/// Edits count most; a common beginning helps names that were cut short.
fn likeness(a: &str, b: &str) -> f64 {
    let edits = strsim::normalized_damerau_levenshtein(a, b);
    let shared = strsim::jaro_winkler(a, b);
    edits.max(0.6 * shared + 0.4 * edits)
}

/// `" Did you mean 'x' or 'y'?"`, or nothing.
pub fn hint(nearest: &[String]) -> String {
    match nearest {
        [] => String::new(),
        [one] => format!(" Did you mean '{one}'?"),
        [head @ .., last] => format!(" Did you mean '{}' or '{last}'?", head.join("', '")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_meant() {
        let names = ["payoutStatusUpdateTS", "paymentStatus", "paymentAmount", "programName", "earned"];
        assert_eq!(nearest("payoutStatsTS", names)[0], "payoutStatusUpdateTS");
        assert_eq!(nearest("PaymentAmuont", names), ["paymentAmount"]);
        assert_eq!(nearest("paymntId", ["paymentID", "paymentId"]), ["paymentID"]);
        assert_eq!(nearest("programme", names), ["programName"]);
        assert!(nearest("zzz", names).is_empty());
        assert_eq!(nearest("filter", ["$filter", "$select"]), ["$filter"]);
    }
}
