//! The text as tokens. One pass, no copies but of texts with doubled quotes.
//!
//! Habits that are settled here: typographic quotes where a quote is expected, a blank for an
//! offset's `+`, literals and words in any case.

use std::borrow::Cow;

use crate::dates::{self, Fine, Malformed};
use crate::error::{Problem, Span, excerpt};
use crate::limits::Limits;

/// A literal as it was written, before a type is asked of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Lit<'t> {
    Null,
    Boolean(bool),
    /// Digits with an optional point and exponent; minus is apart.
    Number {
        raw: Cow<'t, str>,
        negative: bool,
    },
    /// INF (true) or -INF.
    Infinity(bool),
    NaN,
    Text(Cow<'t, str>),
    Guid(Cow<'t, str>),
    /// Days since 1970-01-01.
    Date(i32),
    Instant {
        at: Fine,
        offset_min: i32,
    },
    Time(Fine),
    Duration(Fine),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Token<'t> {
    End,
    Open,
    Close,
    Comma,
    Minus,
    Equals,
    Slash,
    /// A field, function, operator or word literal; may hold points, as in `geo.distance`.
    Word(&'t str),
    Literal(Lit<'t>),
}

pub(crate) struct Lexer<'t> {
    text: &'t str,
    at: usize,
    limits: Limits,
}

impl<'t> Lexer<'t> {
    pub fn new(text: &'t str, limits: Limits) -> Self {
        Self { text, at: 0, limits }
    }

    /// The next token and where it stands; `End` for ever at the end.
    pub fn next(&mut self) -> Result<(Token<'t>, Span), Problem> {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
        let start = self.at;
        let rest = &self.text[start..];
        let Some(first) = rest.chars().next() else {
            return Ok((Token::End, Span::new(start, start)));
        };
        let single = match first {
            '(' => Some(Token::Open),
            ')' => Some(Token::Close),
            ',' => Some(Token::Comma),
            '-' => Some(Token::Minus),
            '/' => Some(Token::Slash),
            '=' if !rest.starts_with("==") => Some(Token::Equals),
            _ => None,
        };
        let token = if let Some(token) = single {
            self.at += 1;
            token
        } else if let Some(quote) = Quote::opening(first) {
            self.text_literal(quote)?
        } else if let Some(guid) = guid_at(rest) {
            self.at += guid.len();
            Token::Literal(Lit::Guid(guid.into()))
        } else if first.is_ascii_digit() {
            self.digits()?
        } else if first.is_alphabetic() || first == '_' {
            self.word()?
        } else {
            return Err(self.stray(first));
        };
        Ok((token, Span::new(start, self.at)))
    }

    /// The text from the byte `at` on.
    pub fn text_from(&self, at: usize) -> &'t str {
        &self.text[at..]
    }

    fn text_literal(&mut self, quote: Quote) -> Result<Token<'t>, Problem> {
        let start = self.at;
        let open = self.text[start..].chars().next().map_or(0, char::len_utf8);
        let (mut at, mut text) = (start + open, Cow::Borrowed(""));
        loop {
            let Some((found, mark)) = quote.find_end(&self.text[at..]) else {
                return Err(self.unterminated(start, quote));
            };
            append(&mut text, &self.text[at..at + found]);
            at += found + mark.len_utf8();
            let doubled = quote != Quote::Double && self.text[at..].starts_with(mark);
            if !doubled {
                break;
            }
            append(&mut text, "'");
            at += mark.len_utf8();
        }
        self.at = at;
        self.check_length(text.chars().count(), start, "text")?;
        Ok(Token::Literal(Lit::Text(text)))
    }

    fn unterminated(&self, start: usize, quote: Quote) -> Problem {
        let close = if quote == Quote::Double { "\"" } else { "'" };
        Problem::syntax(
            Span::new(start, self.text.len()),
            format!(
                "The text that begins with {} never ends: {close} is missing. Inside a text a quote is written twice, \
                 and in a URL an & must be sent as %26, or it cuts the filter off.",
                excerpt(self.text[start..].trim_end())
            ),
        )
        .expected(if quote == Quote::Double { &["\""] } else { &["'"] })
    }

    fn check_length(&self, chars: usize, start: usize, what: &str) -> Result<(), Problem> {
        if chars <= self.limits.literal_chars {
            return Ok(());
        }
        Err(Problem::limit(
            Span::new(start, self.at),
            format!("A {what} of {chars} characters; a literal has at most {}.", self.limits.literal_chars),
        ))
    }

    /// A date, an instant, a time of day or a number.
    fn digits(&mut self) -> Result<Token<'t>, Problem> {
        let start = self.at;
        let rest = &self.text[start..];
        let (lit, len) = match dates::scan(rest) {
            Some(Ok((lit, len))) => (lit, len),
            Some(Err(Malformed(why))) => return Err(self.malformed(start, &why)),
            None => {
                let len = number_len(rest);
                (Lit::Number { raw: Cow::Borrowed(&rest[..len]), negative: false }, len)
            }
        };
        self.at += len;
        let glued = self.text[self.at..].chars().next().is_some_and(|c| c.is_alphanumeric() || "_.:-+".contains(c));
        if glued {
            let why =
                "numbers are written 1234.56, days 2023-05-31, instants 2023-05-31T04:11:55Z, texts between ' and '";
            return Err(self.malformed(start, why));
        }
        if let Lit::Number { .. } = lit {
            self.check_length(len, start, "number")?;
        }
        Ok(Token::Literal(lit))
    }

    fn malformed(&self, start: usize, why: &str) -> Problem {
        let rest = &self.text[start..];
        let len = rest.find(|c: char| !(c.is_alphanumeric() || "_.:+-".contains(c))).unwrap_or(rest.len());
        let what = excerpt(&rest[..len]);
        Problem::syntax(Span::new(start, start + len), format!("'{what}' is not a literal: {why}."))
            .expected(&["literal"])
    }

    /// A word, or a literal with a prefix such as `duration'P1D'`.
    fn word(&mut self) -> Result<Token<'t>, Problem> {
        let start = self.at;
        let rest = &self.text[start..];
        let in_word = |c: char| c.is_alphanumeric() || c == '_';
        let mut len = 0;
        loop {
            len += rest[len..].find(|c| !in_word(c)).unwrap_or(rest.len() - len);
            let tail = &rest[len..];
            // A point belongs to the word only between two of its parts.
            if !(tail.starts_with('.') && tail[1..].starts_with(|c: char| c.is_alphabetic() || c == '_')) {
                break;
            }
            len += 1;
        }
        let word = &rest[..len];
        self.at += len;
        let quote = rest[len..].chars().next().and_then(Quote::opening);
        let Some(quote) = quote.filter(|_| is_prefix(word)) else { return Ok(Token::Word(word)) };
        let Token::Literal(Lit::Text(text)) = self.text_literal(quote)? else { return Ok(Token::Word(word)) };
        let span = Span::new(start, self.at);
        if word.eq_ignore_ascii_case("duration") {
            let read = dates::duration(&text);
            return read.map(|d| Token::Literal(Lit::Duration(d))).map_err(|Malformed(why)| {
                Problem::syntax(span, format!("'{}' is not a duration: {why}.", excerpt(&text)))
            });
        }
        let text = excerpt(&text);
        Err(if word.to_ascii_lowercase().starts_with("geo") || word.eq_ignore_ascii_case("binary") {
            Problem::unsupported(span, format!("{word}'…' is a literal of a type that no field has."))
        } else {
            Problem::syntax(
                span,
                format!(
                    "{word}'…' is a literal of an older OData: write {text} alone, without the word and the quotes."
                ),
            )
        })
    }

    fn stray(&self, first: char) -> Problem {
        let rest = &self.text[self.at..];
        let two = rest.get(..2).unwrap_or("");
        let (len, advice) = match (two, first) {
            ("==", _) => (2, "write eq or a single ="),
            ("!=" | "<>", _) => (2, "write ne"),
            (">=", _) => (2, "write ge"),
            ("<=", _) => (2, "write le"),
            ("&&", _) => (2, "write and"),
            ("||", _) => (2, "write or"),
            (_, '>') => (1, "write gt"),
            (_, '<') => (1, "write lt"),
            (_, '!') => (1, "write not"),
            (_, '*') => (1, "write mul"),
            (_, '+') => (1, "write add; numbers have no plus sign"),
            (_, '%') => (1, "the query was escaped twice, or write mod"),
            (_, '&') => (1, "conditions are joined with and; an & inside a text is sent as %26"),
            (_, '"' | '`' | '´') => (1, "texts stand between ' and '"),
            (_, '?') => (1, "? may only stand before $filter= at the beginning"),
            (_, '.') => (1, "numbers begin with a digit, such as 0.5"),
            (_, ';') => (1, "the filter ends without a sign"),
            (_, '#') => (1, "in a URL a # is sent as %23, and only a text may hold one"),
            ("$f" | "$F", _) => (1, "$filter= may only stand at the beginning"),
            (_, '$' | '@' | '[' | ']' | '{' | '}' | ':') => {
                let len = rest[1..].find(|c: char| !c.is_alphanumeric() && c != '_').map_or(rest.len(), |n| n + 1);
                return Problem::unsupported(
                    Span::new(self.at, self.at + len),
                    format!(
                        "'{}': paths such as $count and $it, parameter aliases, lambdas and JSON have nothing to refer to in a flat row.",
                        excerpt(&rest[..len])
                    ),
                );
            }
            _ => (first.len_utf8(), "texts stand between ' and '"),
        };
        let what = if first.is_ascii_graphic() { rest[..len].to_owned() } else { numbered(first) };
        Problem::syntax(Span::new(self.at, self.at + len), format!("'{what}' has no meaning here: {advice}."))
    }
}

/// A character by its number: it may not be seen, or look like another.
fn numbered(c: char) -> String {
    format!("U+{:04X}", u32::from(c))
}

fn append<'t>(text: &mut Cow<'t, str>, more: &'t str) {
    if text.is_empty() {
        *text = Cow::Borrowed(more);
    } else {
        text.to_mut().push_str(more);
    }
}

/// What a text literal was opened with, and so what ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quote {
    /// ' ends at ', so that a typographic apostrophe may stand inside.
    Straight,
    /// ‘ and ’ end at any single quote.
    Single,
    /// “ and ” end at any double quote.
    Double,
}

impl Quote {
    pub fn opening(c: char) -> Option<Self> {
        match c {
            '\'' => Some(Self::Straight),
            '‘' | '’' => Some(Self::Single),
            '“' | '”' => Some(Self::Double),
            _ => None,
        }
    }

    fn find_end(self, text: &str) -> Option<(usize, char)> {
        let ends = |c: char| match self {
            Self::Straight => c == '\'',
            Self::Single => matches!(c, '\'' | '‘' | '’'),
            Self::Double => matches!(c, '"' | '“' | '”'),
        };
        text.char_indices().find(|(_, c)| ends(*c))
    }
}

/// Words that make a literal of the quoted text right behind them.
fn is_prefix(word: &str) -> bool {
    const PREFIXES: [&str; 10] = [
        "duration",
        "datetime",
        "datetimeoffset",
        "guid",
        "date",
        "time",
        "timeofday",
        "binary",
        "geography",
        "geometry",
    ];
    PREFIXES.iter().any(|p| p.eq_ignore_ascii_case(word))
}

/// The GUID at the start of `text`, if one stands there by itself.
pub(crate) fn guid_at(text: &str) -> Option<&str> {
    let bytes = text.as_bytes();
    let right = |i: usize| match i {
        8 | 13 | 18 | 23 => bytes[i] == b'-',
        _ => bytes[i].is_ascii_hexdigit(),
    };
    if bytes.len() < 36 || !(0..36).all(right) {
        return None;
    }
    let ends = !text[36..].starts_with(|c: char| c.is_alphanumeric() || c == '_' || c == '-');
    ends.then(|| &text[..36])
}

/// The length of the number at the start of `text`, which begins with a digit.
pub(crate) fn number_len(text: &str) -> usize {
    let bytes = text.as_bytes();
    let digits = |from: usize| bytes[from.min(bytes.len())..].iter().take_while(|b| b.is_ascii_digit()).count();
    let mut len = digits(0);
    if bytes.get(len) == Some(&b'.') && digits(len + 1) > 0 {
        len += 1 + digits(len + 1);
    }
    if matches!(bytes.get(len), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(len + 1), Some(b'+' | b'-')));
        let exponent = digits(len + 1 + sign);
        if exponent > 0 {
            len += 1 + sign + exponent;
        }
    }
    len
}
