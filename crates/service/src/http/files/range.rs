//! Ranges and preconditions of a download (RFC 9110), the way Azure Storage clients send them too.
//!
//! What is not understood is ignored, as the standard says: another unit, several ranges or a
//! malformed range give the whole file.

use std::ops::Range;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use payouts_model::Timestamp;

/// The name that Azure Storage clients send a range under; it wins over `Range`.
pub const X_MS_RANGE: HeaderName = HeaderName::from_static("x-ms-range");

/// Which bytes to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// All of them.
    Whole,
    /// These.
    Part(Range<u64>),
    /// None: the range lies outside the file.
    Unsatisfiable,
}

/// What to do with a request, by its preconditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Send.
    Send,
    /// The client has it: 304.
    NotModified,
    /// A condition of the client does not hold: 412.
    Failed,
}

/// What a file is recognised by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validators {
    /// Strong, with quotes.
    pub etag: String,
    /// When the file was sealed.
    pub modified_at: Timestamp,
}

impl Validators {
    /// `Last-Modified`.
    pub fn last_modified(&self) -> String {
        self.modified_at.to_utc().format("%a, %d %b %Y %H:%M:%S GMT").to_string()
    }

    /// The preconditions, in the order of the standard.
    pub fn verdict(&self, headers: &HeaderMap) -> Verdict {
        let dates = |name: HeaderName| text(headers, &name).and_then(seconds_of);
        let modified = self.modified_at.0.div_euclid(1_000_000);
        match tags(headers, &header::IF_MATCH) {
            Some(tags) if !tags.iter().any(|t| *t == "*" || *t == self.etag) => return Verdict::Failed,
            None if dates(header::IF_UNMODIFIED_SINCE).is_some_and(|at| modified > at) => return Verdict::Failed,
            _ => {}
        }
        let weak = |tag: &str| tag.strip_prefix("W/").unwrap_or(tag).to_owned();
        match tags(headers, &header::IF_NONE_MATCH) {
            Some(tags) if tags.iter().any(|t| *t == "*" || weak(t) == self.etag) => Verdict::NotModified,
            None if dates(header::IF_MODIFIED_SINCE).is_some_and(|at| modified <= at) => Verdict::NotModified,
            _ => Verdict::Send,
        }
    }

    /// The bytes that the request wants of a file of `size` bytes.
    pub fn wanted(&self, headers: &HeaderMap, size: u64) -> Wanted {
        let Some(range) = text(headers, &X_MS_RANGE).or_else(|| text(headers, &header::RANGE)) else {
            return Wanted::Whole;
        };
        // A condition that cannot be read does not hold, and of several each has to.
        let holds = |condition: &HeaderValue| {
            let condition = condition.to_str().map_or("", str::trim);
            condition == self.etag || condition == self.last_modified()
        };
        match headers.get_all(header::IF_RANGE).iter().all(holds) {
            true => parse(range, size),
            false => Wanted::Whole,
        }
    }
}

/// Reads a `bytes=` range of a file of `size` bytes.
pub fn parse(text: &str, size: u64) -> Wanted {
    let Some((unit, set)) = text.trim().split_once('=') else { return Wanted::Whole };
    if !unit.trim().eq_ignore_ascii_case("bytes") || set.contains(',') {
        return Wanted::Whole;
    }
    let Some((first, last)) = set.split_once('-') else { return Wanted::Whole };
    // Digits without leading zeros, however many there are.
    let number = |text: &str| {
        let text = text.trim();
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| text.trim_start_matches('0').to_owned())
    };
    // What is too large for any file is as good as the largest.
    let bytes = |digits: &str| if digits.is_empty() { 0 } else { digits.parse().unwrap_or(u64::MAX) };
    match (number(first), number(last)) {
        (None, Some(suffix)) if first.trim().is_empty() => match bytes(&suffix).min(size) {
            0 => Wanted::Unsatisfiable,
            suffix => Wanted::Part(size - suffix..size),
        },
        (Some(first), None) if last.trim().is_empty() => from(bytes(&first), size, size),
        (Some(first), Some(last)) if (first.len(), &first) <= (last.len(), &last) => {
            from(bytes(&first), bytes(&last).saturating_add(1).min(size), size)
        }
        _ => Wanted::Whole,
    }
}

fn from(first: u64, end: u64, size: u64) -> Wanted {
    if first < size { Wanted::Part(first..end) } else { Wanted::Unsatisfiable }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|v| v.to_str().ok()).map(str::trim)
}

/// The tags of a header that came; what cannot be read is no tag.
fn tags<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<Vec<&'a str>> {
    headers.contains_key(name).then_some(())?;
    let values = headers.get_all(name).iter().filter_map(|v| v.to_str().ok());
    Some(values.flat_map(|v| v.split(',')).map(str::trim).collect())
}

fn seconds_of(date: &str) -> Option<i64> {
    chrono::DateTime::parse_from_rfc2822(date).ok().map(|at| at.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn validators() -> Validators {
        Validators { etag: "\"abc\"".into(), modified_at: Timestamp(1_685_049_646_372_756) }
    }
    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(n, v)| (HeaderName::from_static(n), v.parse().unwrap())).collect()
    }

    #[test]
    fn ranges() {
        for (text, wanted) in [
            ("bytes=0-9", Wanted::Part(0..10)),
            ("bytes=0-33554431", Wanted::Part(0..100)),
            ("BYTES = 99-", Wanted::Part(99..100)),
            ("bytes=-1", Wanted::Part(99..100)),
            ("bytes=-1000", Wanted::Part(0..100)),
            ("bytes=5-99999999999999999999999", Wanted::Part(5..100)),
            ("bytes=100-", Wanted::Unsatisfiable),
            ("bytes=100-200", Wanted::Unsatisfiable),
            ("bytes=99999999999999999999999-", Wanted::Unsatisfiable),
            ("bytes=-0", Wanted::Unsatisfiable),
            ("bytes=9-1", Wanted::Whole),
            ("bytes=0009-00010", Wanted::Part(9..11)),
            ("bytes=99999999999999999999999-18446744073709551616", Wanted::Whole),
            ("bytes=18446744073709551616-99999999999999999999999", Wanted::Unsatisfiable),
            ("bytes=0-1,5-6", Wanted::Whole),
            ("rows=0-1", Wanted::Whole),
            ("bytes=", Wanted::Whole),
            ("bytes=-", Wanted::Whole),
            ("bytes=a-b", Wanted::Whole),
            ("bytes=+1-2", Wanted::Whole),
        ] {
            assert_eq!(parse(text, 100), wanted, "{text}");
        }
    }

    #[test]
    fn the_azure_range_wins_and_if_range_guards() {
        let v = validators();
        let wanted = |pairs: &[(&'static str, &str)]| v.wanted(&headers(pairs), 100);
        assert_eq!(wanted(&[]), Wanted::Whole);
        assert_eq!(wanted(&[("range", "bytes=0-1"), ("x-ms-range", "bytes=2-3")]), Wanted::Part(2..4));
        assert_eq!(wanted(&[("range", "bytes=0-1"), ("if-range", "\"abc\"")]), Wanted::Part(0..2));
        assert_eq!(wanted(&[("range", "bytes=0-1"), ("if-range", "W/\"abc\"")]), Wanted::Whole);
        assert_eq!(wanted(&[("range", "bytes=0-1"), ("if-range", "\"old\"")]), Wanted::Whole);
        assert_eq!(
            wanted(&[("range", "bytes=0-1"), ("if-range", "Thu, 25 May 2023 21:20:46 GMT")]),
            Wanted::Part(0..2)
        );
    }

    #[test]
    fn a_condition_that_cannot_be_read_does_not_hold() {
        let v = validators();
        let mut all = headers(&[("range", "bytes=0-1")]);
        all.append(header::IF_RANGE, HeaderValue::from_bytes(b"\"\xfc\"").unwrap());
        assert_eq!(v.wanted(&all, 100), Wanted::Whole);
        all.append(header::IF_RANGE, HeaderValue::from_static("\"abc\""));
        assert_eq!(v.wanted(&all, 100), Wanted::Whole, "one of two");
        for (name, verdict) in [(header::IF_MATCH, Verdict::Failed), (header::IF_NONE_MATCH, Verdict::Send)] {
            let one = HeaderMap::from_iter([(name, HeaderValue::from_bytes(b"\"\xfc\"").unwrap())]);
            assert_eq!(v.verdict(&one), verdict);
        }
    }

    #[test]
    fn preconditions() {
        let v = validators();
        assert_eq!(v.last_modified(), "Thu, 25 May 2023 21:20:46 GMT");
        for (name, value, verdict) in [
            ("if-match", "\"abc\"", Verdict::Send),
            ("if-match", "*", Verdict::Send),
            ("if-match", "\"old\"", Verdict::Failed),
            ("if-match", "W/\"abc\"", Verdict::Failed),
            ("if-none-match", "W/\"abc\"", Verdict::NotModified),
            ("if-none-match", "\"old\"", Verdict::Send),
            ("if-modified-since", "Thu, 25 May 2023 21:20:46 GMT", Verdict::NotModified),
            ("if-modified-since", "Thu, 25 May 2023 21:20:45 GMT", Verdict::Send),
            ("if-unmodified-since", "Thu, 25 May 2023 21:20:45 GMT", Verdict::Failed),
            ("if-unmodified-since", "nonsense", Verdict::Send),
        ] {
            assert_eq!(v.verdict(&headers(&[(name, value)])), verdict, "{name}: {value}");
        }
    }
}
