//! Any values of `Range`, `x-ms-range` and the conditions of a download, for files of any size: the
//! part lies inside the file and holds exactly the bytes that were asked for; what is not understood
//! gives the whole file, and so does a condition that does not hold.

#![no_main]

use std::cmp::Ordering;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use libfuzzer_sys::fuzz_target;
use payouts_model::Timestamp;
use payouts_service::http::files::range::{Validators, Verdict, Wanted, X_MS_RANGE, parse};

const ETAG: &str = "\"00112233445566778899aabbccddeeff-3\"";

/// Decimal digits of any length, compared as numbers.
fn compare(left: &str, right: &str) -> Ordering {
    let plain = |text: &str| text.trim_start_matches('0').to_owned();
    let (left, right) = (plain(left), plain(right));
    left.len().cmp(&right.len()).then(left.cmp(&right))
}

/// What one range asks for, in the words of the standard.
enum Asked<'t> {
    From { first: &'t str, last: Option<&'t str> },
    Suffix(&'t str),
}

/// Reads `bytes=first-last`, `bytes=first-` and `bytes=-length`; anything else is none.
fn read(text: &str) -> Option<Asked<'_>> {
    let text = text.trim();
    let at = text.find('=')?;
    let (unit, set) = (text[..at].trim_end(), text[at + 1..].trim());
    if !unit.eq_ignore_ascii_case("bytes") || set.matches('-').count() != 1 {
        return None;
    }
    let (first, last) = set.split_once('-')?;
    let (first, last) = (first.trim_end(), last.trim_start());
    if !first.chars().chain(last.chars()).all(|c| c.is_ascii_digit()) {
        return None;
    }
    match (first, last) {
        ("", "") => None,
        ("", length) => Some(Asked::Suffix(length)),
        (first, "") => Some(Asked::From { first, last: None }),
        (first, last) => (compare(first, last) != Ordering::Greater).then_some(Asked::From { first, last: Some(last) }),
    }
}

impl Asked<'_> {
    /// Whether this byte of a file of `size` bytes is asked for.
    fn wants(&self, byte: u64, size: u64) -> bool {
        let number = byte.to_string();
        byte < size
            && match self {
                Self::Suffix(length) => compare(&(size - byte).to_string(), length) != Ordering::Greater,
                Self::From { first, last } => {
                    compare(first, &number) != Ordering::Greater
                        && last.is_none_or(|last| compare(&number, last) != Ordering::Greater)
                }
            }
    }
}

/// Compares at every byte of a small file, and around every border of a large one.
fn check(text: &str, size: u64, wanted: &Wanted) {
    let Some(asked) = read(text) else {
        assert_eq!(*wanted, Wanted::Whole, "{text:?} is no range");
        return;
    };
    let (part, borders) = match wanted {
        Wanted::Whole => panic!("{text:?} is a range"),
        Wanted::Unsatisfiable => (0..0, vec![]),
        Wanted::Part(part) => {
            assert!(part.start < part.end && part.end <= size, "{part:?} of {size}");
            (part.clone(), vec![part.start, part.end])
        }
    };
    let digits = text.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse::<u64>().ok());
    let near = |at: u64| (at.saturating_sub(2)..=at.saturating_add(2)).chain([size.saturating_sub(at)]);
    let bytes = (0..size.min(64)).chain(borders.into_iter().chain(digits).chain([size]).flat_map(near));
    for byte in bytes {
        assert_eq!(asked.wants(byte, size), part.contains(&byte), "byte {byte} of {size} by {text:?}: {wanted:?}");
    }
}

/// The first value of a header that is readable text.
fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

fuzz_target!(|data: &[u8]| {
    let mut lines = data.split(|b| *b == b'\n');
    let size = lines.next().and_then(|line| std::str::from_utf8(line).ok()?.parse::<u64>().ok()).unwrap_or(100);
    let validators = Validators { etag: ETAG.into(), modified_at: Timestamp(1_685_049_646_372_756) };
    let names = [
        X_MS_RANGE,
        header::RANGE,
        header::IF_RANGE,
        header::IF_MATCH,
        header::IF_NONE_MATCH,
        header::IF_MODIFIED_SINCE,
        header::IF_UNMODIFIED_SINCE,
    ];
    let mut headers = HeaderMap::new();
    for (i, line) in lines.take(64).enumerate() {
        // A line of its own for each header, from the front again if there are more; none if it is empty.
        if let (false, Ok(value)) = (line.is_empty(), HeaderValue::from_bytes(line)) {
            headers.append(names[i % names.len()].clone(), value);
        }
    }
    for name in [X_MS_RANGE, header::RANGE] {
        if let Some(text) = text(&headers, &name) {
            check(text, size, &parse(text, size));
        }
    }
    let wanted = validators.wanted(&headers, size);
    let conditions: Vec<&[u8]> = headers.get_all(header::IF_RANGE).iter().map(|v| v.as_bytes().trim_ascii()).collect();
    let holds = conditions.iter().all(|c| *c == ETAG.as_bytes() || *c == validators.last_modified().as_bytes());
    match text(&headers, &X_MS_RANGE).or_else(|| text(&headers, &header::RANGE)) {
        Some(text) if holds => check(text, size, &wanted),
        _ => assert_eq!(wanted, Wanted::Whole, "no range, or one under a condition"),
    }

    let has = |name: HeaderName, tag: &str| {
        headers
            .get_all(name)
            .iter()
            .any(|v| v.as_bytes().split(|b| *b == b',').any(|t| t.trim_ascii() == tag.as_bytes()))
    };
    match validators.verdict(&headers) {
        Verdict::Send => {
            assert!(
                !headers.contains_key(header::IF_MATCH) || has(header::IF_MATCH, ETAG) || has(header::IF_MATCH, "*")
            );
            let readable = headers.get_all(header::IF_NONE_MATCH).iter().all(|v| v.to_str().is_ok());
            assert!(!readable || !has(header::IF_NONE_MATCH, ETAG) && !has(header::IF_NONE_MATCH, "*"));
        }
        Verdict::NotModified => {
            assert!(headers.contains_key(header::IF_NONE_MATCH) || headers.contains_key(header::IF_MODIFIED_SINCE));
        }
        Verdict::Failed => {
            let unmodified = headers.contains_key(header::IF_UNMODIFIED_SINCE);
            assert!(unmodified || headers.contains_key(header::IF_MATCH));
        }
    }
});
