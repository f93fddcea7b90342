//! A request as text to take elsewhere: the filter, a `curl` line, a `payouts export` line. The token
//! is `$PAYOUTS_TOKEN` in both lines, never a token. Each line asks for the same again.

use payouts_model::{Dialect, Export, FileFormat, Report, ReportName};
use serde_json::json;

use crate::http::base_url::BaseUrl;
use crate::http::view::request_path;

/// A longer filter goes in the body, as it must over the API.
const URL_FILTER_BYTES_MAX: usize = 8 * 1024;

/// The texts of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copies {
    /// What `$filter` takes; empty if nothing was asked.
    pub filter: String,
    /// For a shell.
    pub curl: String,
    /// For a shell.
    pub command: String,
}

impl Copies {
    /// Of an Export, at the service that `base` names.
    pub fn new(report: &Report, base: &BaseUrl, export: &Export) -> Self {
        let query = &export.query;
        let default: Vec<&str> = report.default_columns().into_iter().map(|i| &*report.fields[i].name).collect();
        let same = Same {
            base,
            report: export.report,
            filter: query.text.trim(),
            format: query.format,
            select: (query.columns != default).then(|| query.columns.join(",")),
            time_zone: Some(query.time_zone.as_str()).filter(|zone| *zone != "UTC"),
        };
        Self { curl: same.curl(), command: same.command(), filter: same.filter.to_owned() }
    }
}

/// What has to be said to ask for the same.
struct Same<'a> {
    base: &'a BaseUrl,
    report: ReportName,
    filter: &'a str,
    format: FileFormat,
    /// Unless it is what there is without it.
    select: Option<String>,
    /// Likewise.
    time_zone: Option<&'a str>,
}

impl Same<'_> {
    fn curl(&self) -> String {
        let url = self.base.join(&request_path(self.report));
        let long = self.filter.len() > URL_FILTER_BYTES_MAX;
        let mut parts = vec![format!("fileFormat={}", self.format)];
        if let Some(Dialect { separator, decimal }) = self.format.text.dialect() {
            parts.extend([format!("separator={separator}"), format!("decimal={decimal}")]);
        }
        parts.extend(self.select.iter().map(|select| format!("$select={select}")));
        parts.extend(self.time_zone.map(|zone| format!("timeZone={zone}")));
        let token = "-H \"Authorization: Bearer $PAYOUTS_TOKEN\"";
        let mut lines = Vec::new();
        if long {
            let query = url::form_urlencoded::Serializer::new(String::new())
                .extend_pairs(parts.iter().filter_map(|part| part.split_once('=')))
                .finish();
            lines.push(format!("curl -sS -X POST {token} {}", quoted(&format!("{url}?{query}"))));
            lines.push("-H 'Content-Type: application/json'".to_owned());
            lines.push(format!("--data {}", quoted(&json!({ "filter": self.filter }).to_string())));
        } else {
            // With -G what follows goes into the URL, and with -X POST it is a POST all the same.
            lines.push(format!("curl -sS -X POST -G {token} {}", quoted(&url)));
            if !self.filter.is_empty() {
                lines.push(format!("--data-urlencode {}", quoted(&format!("$filter={}", self.filter))));
            }
            lines.extend(parts.iter().map(|part| format!("--data-urlencode {}", quoted(part))));
        }
        lines.join(" \\\n  ")
    }

    fn command(&self) -> String {
        let Self { base, report, filter, format, select, time_zone } = self;
        let mut lines = vec![format!("payouts export {report} --url {} --token \"$PAYOUTS_TOKEN\"", quoted(&base.0))];
        if !filter.is_empty() {
            lines.push(format!("--filter {}", quoted(filter)));
        }
        lines.extend(select.iter().map(|select| format!("--select {}", quoted(select))));
        lines.extend(time_zone.map(|zone| format!("--time-zone {}", quoted(zone))));
        if let Some(Dialect { separator, decimal }) = format.text.dialect() {
            lines.push(format!("--separator {separator} --decimal {decimal}"));
        }
        lines.push(format!("--format {format} --out {report}.{}", format.extension()));
        lines.join(" \\\n  ")
    }
}

/// A text as one word of a POSIX shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_takes_any_text_as_one_word() {
        assert_eq!(quoted("programName eq 'O''Neil' $x `y`"), "'programName eq '\\''O'\\'''\\''Neil'\\'' $x `y`'");
    }
}
