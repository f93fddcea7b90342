//! From parameters and body to what is asked: shared by POST and preview, so that a preview shows
//! exactly what the export would hold.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::{HeaderMap, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use payouts_engine::Plan;
use payouts_filter::request::{self, Assembled};
use payouts_filter::{Context, Expr, Filter, suggest};
use payouts_ledger::Snapshot;
use payouts_model::export::Query;
use payouts_model::report::FieldRole;
use payouts_model::{
    ErrorCode, FileFormat, Packaging, ParticipantId, Report, ReportName, Scope, Timestamp, Viewer, Warning,
};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::app::App;
use crate::config::Limits;
use crate::http::error::{Detail, Error};
use crate::http::params::{ExportParams, pairs};

/// What a caller asked for, understood and allowed.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The report.
    pub report: Arc<Report>,
    /// What is recorded.
    pub query: Query,
    /// The typed predicate, default window included.
    pub predicate: Expr,
    /// The ids that the top level lists: field and canonical texts.
    pub id_lists: Vec<(usize, Vec<String>)>,
    /// The columns, as indexes.
    pub columns: Vec<usize>,
    /// The time zone.
    pub time_zone: chrono_tz::Tz,
    /// The granted pairs, narrowed to the participants that the filter names.
    pub scope: Scope,
    /// What the caller should know.
    pub warnings: Vec<Warning>,
    /// Equal for the same path and the same decoded query.
    pub request_digest: String,
}

/// The JSON body for filters that are too long for a URL.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FilterBody {
    filter: String,
}

impl Asked {
    /// Reads the request of `viewer`.
    pub async fn read(
        app: &App,
        report: ReportName,
        viewer: &Viewer,
        raw_query: &str,
        headers: &HeaderMap,
        body: Body,
        now: Timestamp,
    ) -> Result<Self, Error> {
        let report = app.catalog.report(report);
        let mut params = ExportParams::parse(raw_query, report)?;
        let filter_of_body = read_body(headers, body, &app.config.limits).await?;
        let request_digest = digest(report.name, raw_query, filter_of_body.as_deref())?;
        if let Some(text) = filter_of_body {
            if params.filter.is_some() {
                let message = "There is a filter in the body and a $filter in the URL. Send one of them.";
                return Err(Error::new(ErrorCode::DuplicateParameter, message).target("$filter"));
            }
            params.filter = Some(text);
        }
        Self::understand(report, &app.config.program_aliases, viewer, &params, request_digest, now)
    }

    /// What `viewer` asks for by parameters that did not come in a URL: the export page's.
    pub fn of_params(
        app: &App,
        report: ReportName,
        viewer: &Viewer,
        params: &ExportParams,
        now: Timestamp,
    ) -> Result<Self, Error> {
        let ExportParams { filter, fields, format, select, time_zone } = params;
        let request_digest = sha256(&(report, filter, fields, format, select, time_zone));
        Self::understand(app.catalog.report(report), &app.config.program_aliases, viewer, params, request_digest, now)
    }

    /// What the parameters of `viewer`'s request ask for. Pure; `program_aliases` are those of
    /// [`Context`].
    pub fn understand(
        report: &Arc<Report>,
        program_aliases: &HashMap<String, Vec<String>>,
        viewer: &Viewer,
        params: &ExportParams,
        request_digest: String,
        now: Timestamp,
    ) -> Result<Self, Error> {
        let time_zone = parse_time_zone(params.time_zone.as_deref())?;
        let context = Context { report, time_zone, now, program_aliases };
        let columns = parse_select(params.select.as_deref(), report)?;
        let Assembled { text, filter: asked } = request::read(&context, params.filter.as_deref(), &params.fields)
            .map_err(|e| Error::from_filter(e.error, &e.parameter))?;
        let named = asked.as_ref().and_then(|f| f.participants(report)).unwrap_or_default();
        let (scope, warnings) = narrow(viewer, &named).map_err(|e| e.target(naming_parameter(params, report)))?;
        let filter = match asked {
            Some(filter) => filter,
            None => Filter::window(report, now),
        };
        let id_lists = filter.id_lists(report);
        let format = params.format.unwrap_or(FileFormat::DEFAULT);
        Ok(Self {
            query: Query {
                text,
                filter: filter.normal_form,
                columns: columns.iter().map(|&i| report.fields[i].name.to_string()).collect(),
                format,
                time_zone: time_zone.name().to_owned(),
                now,
            },
            id_lists,
            predicate: filter.predicate,
            report: report.clone(),
            columns,
            time_zone,
            scope,
            warnings,
            request_digest,
        })
    }

    /// What is looked at before there is a file: the same rows and columns over a snapshot, as plain text.
    pub fn plan(&self, snapshot: Arc<Snapshot>) -> Plan {
        Plan {
            snapshot,
            predicate: Some(self.predicate.clone()),
            scope: self.scope.clone(),
            columns: self.columns.clone(),
            text: self.query.format.text,
            packaging: Packaging::Plain,
        }
    }
}

/// The filter of a JSON body; `None` if there is no body. An empty body is no body, whatever its
/// media type.
async fn read_body(headers: &HeaderMap, body: Body, limits: &Limits) -> Result<Option<String>, Error> {
    let (bytes_max, seconds) = (limits.body_bytes, limits.body_seconds);
    let too_large = || {
        let message = format!("The body is larger than {bytes_max} bytes (limits.body_bytes). Narrow the filter.");
        Error::new(ErrorCode::BodyTooLarge, message).target("body").limit("body_bytes")
    };
    let declared =
        headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse::<u64>().ok());
    if declared.is_some_and(|n| n > bytes_max as u64) {
        return Err(too_large());
    }
    let collected = tokio::time::timeout(Duration::from_secs(seconds), Limited::new(body, bytes_max).collect());
    let collected = collected.await.map_err(|_| {
        let message = format!("The body took longer than {seconds} s (limits.body_seconds). Send it at once.");
        Error::new(ErrorCode::RequestTimeout, message).target("body").limit("body_seconds")
    })?;
    let bytes = match collected {
        Ok(collected) => collected.to_bytes(),
        Err(e) if e.is::<LengthLimitError>() => return Err(too_large()),
        Err(_) => {
            return Err(Error::new(ErrorCode::InvalidBody, "The body ended before it was complete.").target("body"));
        }
    };
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    let unsupported = |message: &str| Error::new(ErrorCode::UnsupportedMediaType, message).target("Content-Type");
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
    let essence = content_type.split(';').next().unwrap_or("").trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        return Err(unsupported("A body must be JSON: Content-Type: application/json and {\"filter\": \"…\"}."));
    }
    if headers.get(header::CONTENT_ENCODING).is_some_and(|v| !v.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err(unsupported("An encoded body is not read: send it without Content-Encoding."));
    }
    // An array would be read as the members of the object in their order.
    let object = bytes.trim_ascii_start().first() == Some(&b'{');
    let body: Result<FilterBody, String> = match object {
        true => serde_json::from_slice(&bytes).map_err(|e| e.to_string()),
        false => Err("it does not begin with {".to_owned()),
    };
    let body = body.map_err(|reason| {
        let message = format!(
            "The body must be a JSON object with the filter as a text, {{\"filter\": \"…\"}}, or be left out: {reason}."
        );
        let detail = Detail {
            code: ErrorCode::InvalidBody.to_string(),
            message: message.clone(),
            target: "body".into(),
            expected: vec!["{\"filter\": \"…\"}".into()],
            ..Detail::default()
        };
        Error::new(ErrorCode::InvalidBody, message).target("body").detail(detail)
    })?;
    Ok(Some(body.filter))
}

/// The same path and the same decoded query have the same digest, however they were escaped.
fn digest(report: ReportName, raw_query: &str, body: Option<&str>) -> Result<String, Error> {
    Ok(sha256(&(report, pairs(raw_query)?, body)))
}

/// SHA-256 of what is asked, as lower-case hex.
pub fn sha256(asked: &impl serde::Serialize) -> String {
    let text = serde_json::to_string(asked).expect("texts are always JSON");
    Sha256::digest(text.as_bytes()).iter().map(|b| format!("{b:02x}")).collect()
}

fn parse_time_zone(name: Option<&str>) -> Result<chrono_tz::Tz, Error> {
    let Some(name) = name else { return Ok(chrono_tz::UTC) };
    let wanted = name.trim();
    let found = chrono_tz::TZ_VARIANTS.iter().find(|tz| tz.name().eq_ignore_ascii_case(wanted));
    found.copied().ok_or_else(|| {
        let nearest = suggest::nearest(wanted, chrono_tz::TZ_VARIANTS.iter().map(|tz| tz.name()));
        let hint = suggest::hint(&nearest);
        let shown: String = wanted.chars().take(60).collect();
        let message =
            format!("'{shown}' is not an IANA time zone such as UTC, Europe/Berlin or America/New_York.{hint}");
        let detail = Detail {
            code: ErrorCode::InvalidTimeZone.to_string(),
            message: message.clone(),
            target: "timeZone".into(),
            nearest,
            ..Detail::default()
        };
        Error::new(ErrorCode::InvalidTimeZone, message).target("timeZone").detail(detail)
    })
}

/// `$select`: columns by name in the order they are named, `*` for the default set; a column that
/// is named again stays where it was first.
fn parse_select(select: Option<&str>, report: &Report) -> Result<Vec<usize>, Error> {
    let Some(select) = select else { return Ok(report.default_columns()) };
    let mut columns = Vec::new();
    let mut taken = BTreeSet::new();
    let mut push = |i: usize| {
        if taken.insert(i) {
            columns.push(i);
        }
    };
    for name in select.split(',').map(str::trim) {
        if name == "*" {
            report.default_columns().into_iter().for_each(&mut push);
        } else {
            push(report.index_of(name).ok_or_else(|| unknown_column(name, report))?);
        }
    }
    Ok(columns)
}

fn unknown_column(name: &str, report: &Report) -> Error {
    let nearest = suggest::nearest(name, report.fields.iter().map(|f| &*f.name));
    let shown: String = name.chars().take(60).collect();
    let message = if name.is_empty() {
        "$select has a comma too many: between two commas, before the first or behind the last there is no name. \
         Write columns with commas between them, * for the default set."
            .to_owned()
    } else {
        format!("{} has no column '{shown}'.{}", report.name, suggest::hint(&nearest))
    };
    let detail = Detail {
        code: ErrorCode::InvalidSelect.to_string(),
        message: message.clone(),
        target: "$select".into(),
        expected: report.fields.iter().map(|f| f.name.to_string()).collect(),
        nearest,
        ..Detail::default()
    };
    Error::new(ErrorCode::InvalidSelect, message).target("$select").detail(detail)
}

/// The parameter that names participants: the one of its own if it came, else `$filter`.
fn naming_parameter(params: &ExportParams, report: &Report) -> String {
    let participant = report.role(FieldRole::Participant);
    let own = params.fields.iter().find(|(name, _)| report.index_of(name) == Some(participant));
    match (own, &params.filter, params.fields.first()) {
        (Some((name, _)), ..) | (None, None, Some((name, _))) => name.clone(),
        _ => "$filter".to_owned(),
    }
}

/// The pairs in force, narrowed to the named participants. No name: all of them. None of the
/// named is granted: refused, whether they exist or not. Some are: a warning.
fn narrow(viewer: &Viewer, named: &BTreeSet<ParticipantId>) -> Result<(Scope, Vec<Warning>), Error> {
    if named.is_empty() {
        return Ok((viewer.scope.clone(), Vec::new()));
    }
    let scope = viewer.scope.narrow(named);
    if scope.is_empty() {
        return Err(Error::new(
            ErrorCode::ParticipantNotGranted,
            "None of the participants that the filter names is granted to you.",
        ));
    }
    let granted = scope.participants().unwrap_or_default();
    let missing: Vec<&str> = named.iter().filter(|p| !granted.contains(p)).map(ParticipantId::as_str).collect();
    if missing.is_empty() {
        return Ok((scope, Vec::new()));
    }
    let shown = missing.iter().take(10).copied().collect::<Vec<_>>().join(", ");
    let more = if missing.len() > 10 { format!(" and {} more", missing.len() - 10) } else { String::new() };
    let message = format!("Left out, since they are not granted to you: {shown}{more}.");
    Ok((scope, vec![Warning { code: "ParticipantsNotGranted".into(), message }]))
}

#[cfg(test)]
mod tests;
