//! From the raw query of a URL to names and values, and on to the parameters of a request.
//!
//! Decoded once, the form way: `+` is a blank, `%XX` a byte. Raw quotes, typographic quotes and
//! anything else that gets through a URL unescaped stand for themselves. Nothing is dropped
//! silently: an unknown name, a name that came twice, a broken escape and bytes that are not UTF-8
//! are all refused with their name.

use payouts_filter::suggest;
use payouts_model::{DecimalSign, Dialect, ErrorCode, FileFormat, Report, Separator};

use super::error::{Detail, Error};

/// The most bytes of filter text that a URL may carry, decoded.
pub const URL_FILTER_BYTES_MAX: usize = 64 * 1024;

/// Names that an export request takes besides those of the report's fields.
const EXPORT_NAMES: [&str; 7] =
    ["$filter", "fileFormat", "separator", "decimal", "$select", "timeZone", "Multiple filters"];

/// Decodes one name or value; `target` is the parameter.
fn decode(raw: &str, what: &str, target: &str) -> Result<String, Error> {
    let bytes = raw.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        match bytes[i] {
            b'+' => decoded.push(b' '),
            b'%' => {
                let digit = |at: usize| bytes.get(at).and_then(|b| char::from(*b).to_digit(16));
                let (Some(high), Some(low)) = (digit(i + 1), digit(i + 2)) else {
                    let escape: String = raw[i..].chars().take(3).collect();
                    let message = format!("'{escape}' in {what} is not a percent escape: send %25 for a percent sign.");
                    return Err(Error::new(ErrorCode::InvalidParameter, message).target(shown(target)));
                };
                decoded.push((high * 16 + low) as u8);
                i += 2;
            }
            byte => decoded.push(byte),
        }
        i += 1;
    }
    String::from_utf8(decoded).map_err(|_| {
        let message = format!(
            "{what} is not valid UTF-8 once its percent escapes are decoded: send UTF-8, such as %E2%82%AC for €."
        );
        Error::new(ErrorCode::InvalidParameter, message).target(shown(target))
    })
}

/// The decoded names and values of a raw query, in their order. Empty pieces are skipped; a piece
/// without `=` is a name with an empty value; question marks before a name, with blanks or without,
/// are a habit of clients that paste `?$filter=…`.
pub fn pairs(raw_query: &str) -> Result<Vec<(String, String)>, Error> {
    let mut pairs = Vec::new();
    for (at, piece) in raw_query.split('&').enumerate().filter(|(_, p)| !p.is_empty()) {
        let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
        let name = decode(name, &format!("the name of parameter {}", at + 1), name)?;
        let name = name.trim_start_matches(|c: char| c == '?' || c.is_whitespace()).trim_end();
        let value = decode(value, &format!("the value of '{}'", shown(name)), name)?;
        pairs.push((name.to_owned(), value));
    }
    Ok(pairs)
}

/// At most 60 characters of a name, for messages.
fn shown(name: &str) -> String {
    if name.chars().count() <= 60 {
        name.to_owned()
    } else {
        format!("{}…", name.chars().take(60).collect::<String>())
    }
}

/// The parameters of an export or a preview, sorted out but not yet understood.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExportParams {
    /// `$filter`.
    pub filter: Option<String>,
    /// Fields as parameters, and `Multiple filters`.
    pub fields: Vec<(String, String)>,
    /// `fileFormat`.
    pub format: Option<FileFormat>,
    /// `$select`.
    pub select: Option<String>,
    /// `timeZone`.
    pub time_zone: Option<String>,
}

impl ExportParams {
    /// Sorts out a raw query.
    pub fn parse(raw_query: &str, report: &Report) -> Result<Self, Error> {
        let mut params = Self::default();
        let mut text = FilterText::default();
        let (mut separator, mut decimal) = (None, None);
        for (name, value) in pairs(raw_query)? {
            let twice = |taken: bool| if taken { Err(came_twice(&name)) } else { Ok(()) };
            match name.to_ascii_lowercase().as_str() {
                "$filter" => {
                    twice(params.filter.is_some())?;
                    text.add(&name, &value);
                    params.filter = Some(value);
                }
                "fileformat" => {
                    twice(params.format.is_some())?;
                    params.format = Some(parse_format(&name, &value)?);
                }
                "separator" => {
                    twice(separator.is_some())?;
                    separator = Some(parse_sign::<Separator>(&name, &value)?);
                }
                "decimal" => {
                    twice(decimal.is_some())?;
                    decimal = Some(parse_sign::<DecimalSign>(&name, &value)?);
                }
                "$select" => {
                    twice(params.select.is_some())?;
                    params.select = Some(value);
                }
                "timezone" => {
                    twice(params.time_zone.is_some())?;
                    params.time_zone = Some(value);
                }
                _ if payouts_filter::request::takes(report, &name) => {
                    text.add(&name, &value);
                    params.fields.push((name, value));
                }
                _ => {
                    let cut = text.open_quote.map(|(target, offset)| cut_off(&target, offset, &name));
                    return Err(cut.unwrap_or_else(|| unknown(&name, report)));
                }
            }
        }
        params.format = with_signs(params.format, separator, decimal)?;
        match text.too_long {
            Some((target, chars)) => Err(filter_too_long(text.bytes, &target, chars)),
            None => Ok(params),
        }
    }
}

/// What was seen of the filter's text so far, over all parameters.
#[derive(Debug, Default)]
struct FilterText {
    bytes: usize,
    /// The parameter that crossed the limit, and how many characters it has.
    too_long: Option<(String, usize)>,
    /// The last parameter, if it ended inside quotes, and where.
    open_quote: Option<(String, usize)>,
}

impl FilterText {
    fn add(&mut self, name: &str, value: &str) {
        self.bytes += value.len();
        let here = || (name.to_owned(), value.chars().count());
        if self.too_long.is_none() && self.bytes > URL_FILTER_BYTES_MAX {
            self.too_long = Some(here());
        }
        self.open_quote = ends_inside_quotes(value).then(here);
    }
}

/// The parameters of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListParams {
    /// `$top`.
    pub top: Option<u64>,
    /// `$skiptoken`.
    pub skip_token: Option<String>,
    /// `status`.
    pub status: Option<payouts_model::Status>,
}

/// The most Exports of one page.
pub const TOP_MAX: u64 = 200;

impl ListParams {
    /// Reads a raw query.
    pub fn parse(raw_query: &str) -> Result<Self, Error> {
        let mut params = Self::default();
        for (name, value) in pairs(raw_query)? {
            let twice = |taken: bool| if taken { Err(came_twice(&name)) } else { Ok(()) };
            let invalid = |message: String| Error::new(ErrorCode::InvalidParameter, message).target(name.clone());
            match name.to_ascii_lowercase().as_str() {
                "$top" => {
                    twice(params.top.is_some())?;
                    let top = value.trim().parse().ok().filter(|n| (1..=TOP_MAX).contains(n));
                    params.top =
                        Some(top.ok_or_else(|| {
                            invalid(format!("'{}' is not a number from 1 to {TOP_MAX}.", shown(&value)))
                        })?);
                }
                "$skiptoken" => {
                    twice(params.skip_token.is_some())?;
                    params.skip_token = Some(value);
                }
                "status" => {
                    twice(params.status.is_some())?;
                    params.status = Some(value.trim().parse().map_err(|_| {
                        invalid(format!(
                            "'{}' is not a status: Queued, Processing, Completed or Failed.",
                            shown(&value)
                        ))
                    })?);
                }
                _ => return Err(unknown_among(&name, ["$top", "$skiptoken", "status"].into_iter(), "This list")),
            }
        }
        Ok(params)
    }
}

fn parse_format(name: &str, value: &str) -> Result<FileFormat, Error> {
    FileFormat::parse(value).ok_or_else(|| {
        let formats: Vec<String> = FileFormat::ALL.iter().map(ToString::to_string).collect();
        let message = format!(
            "'{}' is not a file format: {}. Without {name} the file is a ZIP of CSV.",
            shown(value),
            formats.join(", ")
        );
        let detail = Detail {
            code: ErrorCode::InvalidFileFormat.to_string(),
            message: message.clone(),
            target: name.to_owned(),
            expected: formats,
            ..Detail::default()
        };
        Error::new(ErrorCode::InvalidFileFormat, message).target(name).detail(detail)
    })
}

fn parse_sign<T: std::str::FromStr<Err = String>>(name: &str, value: &str) -> Result<T, Error> {
    let invalid = |message: String| Error::new(ErrorCode::InvalidParameter, format!("{message}.")).target(name);
    value.parse().map_err(invalid)
}

/// The format with the signs that were chosen for it.
fn with_signs(
    format: Option<FileFormat>,
    separator: Option<Separator>,
    decimal: Option<DecimalSign>,
) -> Result<Option<FileFormat>, Error> {
    if separator.is_none() && decimal.is_none() {
        return Ok(format);
    }
    let name = if separator.is_some() { "separator" } else { "decimal" };
    let invalid = |message: String| Error::new(ErrorCode::InvalidParameter, message).target(name);
    let dialect = Dialect::new(separator, decimal).map_err(|e| invalid(format!("Not possible: {e}.")))?;
    match format.and_then(|format| format.with_dialect(dialect)) {
        Some(format) => Ok(Some(format)),
        None => {
            Err(invalid(format!("'{name}' goes with fileFormat=csv.excel alone: no other format leaves a choice.")))
        }
    }
}

fn came_twice(name: &str) -> Error {
    Error::new(ErrorCode::DuplicateParameter, format!("'{name}' came more than once; it may come once.")).target(name)
}

fn unknown(name: &str, report: &Report) -> Error {
    let names = EXPORT_NAMES.into_iter().chain(report.filter_names().map(|(n, _)| n));
    unknown_among(name, names, &format!("{}", report.name))
}

fn unknown_among<'a>(name: &str, names: impl Iterator<Item = &'a str>, who: &str) -> Error {
    let nearest = suggest::nearest(name, names);
    let message = format!("{who} has no parameter '{}'.{}", shown(name), suggest::hint(&nearest));
    let detail = Detail {
        code: ErrorCode::UnknownParameter.to_string(),
        message: message.clone(),
        target: shown(name),
        nearest,
        ..Detail::default()
    };
    Error::new(ErrorCode::UnknownParameter, message).target(shown(name)).detail(detail)
}

/// Whether a straight single quote is open at the end: the sign of a text that a raw `&` cut off.
fn ends_inside_quotes(value: &str) -> bool {
    value.bytes().filter(|b| *b == b'\'').count() % 2 == 1
}

fn filter_too_long(filter_bytes: usize, target: &str, chars: usize) -> Error {
    let error = payouts_filter::Error {
        code: ErrorCode::FilterLimit,
        message: format!(
            "The filter has {filter_bytes} bytes; in a URL it may have {URL_FILTER_BYTES_MAX}. \
             Send it in the body instead: Content-Type: application/json and {{\"filter\": \"…\"}}, up to 1 MiB."
        ),
        offset: 0,
        length: chars,
        expected: Vec::new(),
        nearest: Vec::new(),
    };
    Error::from_filter(error, target)
}

/// `offset`: where the text ends that a raw `&` cut off.
fn cut_off(target: &str, offset: usize, rest: &str) -> Error {
    let message = format!(
        "{target} ends inside a quoted text, and '{}' follows: a raw & ended the value. Send %26 for an & inside a text.",
        shown(rest)
    );
    let error = payouts_filter::Error {
        code: ErrorCode::FilterSyntax,
        message,
        offset,
        length: 0,
        expected: vec!["%26".into(), "'".into()],
        nearest: Vec::new(),
    };
    Error::from_filter(error, target)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(raw: &str) -> (String, String) {
        pairs(raw).unwrap().pop().unwrap()
    }
    fn refused(raw: &str) -> ErrorCode {
        pairs(raw).unwrap_err().code()
    }

    #[test]
    fn values_are_decoded_once_the_form_way() {
        for (raw, name, value) in [
            ("$filter=paymentId=123456", "$filter", "paymentId=123456"),
            ("$filter=?$filter=payoutOrderType='REBATE'", "$filter", "?$filter=payoutOrderType='REBATE'"),
            ("%24filter=a+eq+%27b%27", "$filter", "a eq 'b'"),
            ("?$filter=a%2Bb", "$filter", "a+b"),
            ("$filter=a%252Bb", "$filter", "a%2Bb"),
            ("$filter=%E2%80%98x%E2%80%99", "$filter", "‘x’"),
            ("$filter=‘x’", "$filter", "‘x’"),
            ("Multiple%20filters=x", "Multiple filters", "x"),
            ("a&&$top", "$top", ""),
        ] {
            assert_eq!(one(raw), (name.to_owned(), value.to_owned()), "{raw}");
        }
    }

    #[test]
    fn what_was_read_reads_the_same_again() {
        for raw in ["?$filter=1", "??$filter=1", "+?$filter=1", "%3F+%3F%20$filter+=1", "%C2%A0?$filter=1"] {
            assert_eq!(one(raw), ("$filter".to_owned(), "1".to_owned()), "{raw}");
        }
    }

    #[test]
    fn what_cannot_be_decoded_is_refused() {
        for raw in ["a=%", "a=%4", "a=%zz", "a=%ff", "%C3=1", "a=%ED%A0%80", "a=100%€"] {
            assert_eq!(refused(raw), ErrorCode::InvalidParameter, "{raw}");
        }
    }

    fn body(error: &Error) -> serde_json::Value {
        serde_json::from_slice(&error.body("r")).unwrap()
    }

    #[test]
    fn refusals_say_which_parameter_and_where() {
        for (raw, target) in [("$filter=a%ZZ", "$filter"), ("%24filter=%ff", "$filter"), ("a=b&c%4=1", "c%4")] {
            let body = body(&pairs(raw).unwrap_err());
            assert_eq!(body["error"]["target"], target, "{raw}");
            assert_eq!(body["error"]["details"][0]["target"], target, "{raw}");
        }
        let catalog = payouts_model::Catalog::builtin();
        let report = catalog.report(payouts_model::ReportName::Payments);
        let cut = body(&ExportParams::parse("$filter=programName eq 'Ä & B'", report).unwrap_err());
        assert_eq!(cut["error"]["code"], "FilterSyntax");
        assert_eq!(
            (cut["error"]["details"][0]["offset"].as_u64(), cut["error"]["details"][0]["length"].as_u64()),
            (Some(18), Some(0))
        );
        let long = format!("paymentId=1&$filter={}", "x".repeat(URL_FILTER_BYTES_MAX));
        let long = body(&ExportParams::parse(&long, report).unwrap_err());
        assert_eq!(
            (long["error"]["code"].as_str(), long["error"]["target"].as_str()),
            (Some("FilterLimit"), Some("$filter"))
        );
        assert_eq!(long["error"]["details"][0]["length"], URL_FILTER_BYTES_MAX);
    }

    #[test]
    fn signs_go_with_the_profile_for_spreadsheets() {
        let catalog = payouts_model::Catalog::builtin();
        let report = catalog.report(payouts_model::ReportName::Payments);
        let parse = |raw: &str| ExportParams::parse(raw, report);
        for (raw, separator, decimal) in [
            ("fileFormat=csv.excel", Separator::Comma, DecimalSign::Point),
            ("fileFormat=csv.excel&decimal=,", Separator::Semicolon, DecimalSign::Comma),
            ("Separator=%09&FILEFORMAT=.CSV.Excel", Separator::Tab, DecimalSign::Point),
            ("separator=pipe&fileFormat=csv.excel&decimal=Comma", Separator::Pipe, DecimalSign::Comma),
        ] {
            let dialect = parse(raw).unwrap().format.unwrap().text.dialect();
            assert_eq!(dialect, Some(Dialect { separator, decimal }), "{raw}");
        }
        for (raw, target, says) in [
            ("fileFormat=csv.excel&separator=x", "separator", "comma, semicolon, tab, pipe"),
            ("fileFormat=csv.excel&separator=", "separator", "''"),
            ("fileFormat=csv.excel&decimal=;", "decimal", "point, comma"),
            ("fileFormat=csv.excel&separator=,&decimal=,", "separator", "semicolon, tab or pipe"),
            ("fileFormat=csv&separator=;", "separator", "csv.excel"),
            ("decimal=comma", "decimal", "csv.excel"),
            ("fileFormat=xlsx&decimal=comma", "decimal", "csv.excel"),
        ] {
            let error = parse(raw).unwrap_err();
            assert_eq!(error.code(), ErrorCode::InvalidParameter, "{raw}");
            let error = &body(&error)["error"];
            assert_eq!(error["target"], target, "{raw}");
            assert!(error["message"].as_str().unwrap().contains(says), "{raw}: {error}");
        }
        let twice = parse("fileFormat=csv.excel&separator=;&Separator=;").unwrap_err();
        assert_eq!(twice.code(), ErrorCode::DuplicateParameter);
    }

    #[test]
    fn lists_are_narrow() {
        let params = ListParams::parse("$Top=7&Status=failed&$skiptoken=x").unwrap();
        assert_eq!(
            params,
            ListParams { top: Some(7), skip_token: Some("x".into()), status: Some(payouts_model::Status::Failed) }
        );
        for raw in ["$top=0", "$top=201", "$top=-1", "$top=x", "status=done"] {
            assert_eq!(ListParams::parse(raw).unwrap_err().code(), ErrorCode::InvalidParameter, "{raw}");
        }
        assert_eq!(ListParams::parse("$top=1&$TOP=1").unwrap_err().code(), ErrorCode::DuplicateParameter);
        assert_eq!(ListParams::parse("$skip=1").unwrap_err().code(), ErrorCode::UnknownParameter);
    }

    #[test]
    fn the_nearest_name_comes_first() {
        let names = || ["$filter", "fileFormat", "paymentId", "paymentDate"].into_iter();
        assert_eq!(suggest::nearest("filter", names()), ["$filter"]);
        assert_eq!(suggest::nearest("PaymentIds", names())[0], "paymentId");
        assert!(suggest::nearest("zzzzzzzzzz", names()).is_empty());
    }
}
