//! The OpenAPI 3.1 document. Shapes come from the views, parameters and values from the field
//! table, codes from the table of errors: it cannot disagree with what is served.

use std::collections::BTreeMap;

use payouts_model::{Catalog, DecimalSign, ErrorCode, FieldType, FileFormat, Report, ReportName, Separator, Status};
use serde_json::{Map, Value, json};
use utoipa::{PartialSchema, ToSchema};

use super::error::ErrorBody;
use super::exports::preview::PreviewView;
use super::view::{ExportListView, ExportView};

/// The document; `server` is what absolute URLs begin with.
pub fn document(catalog: &Catalog, server: &str) -> Value {
    let mut paths = Map::new();
    for name in ReportName::ALL {
        report_paths(&mut paths, catalog.report(name));
    }
    paths.insert("/v1.0/payouts/$metadata".into(), json!({"get": metadata_operation()}));
    for (path, what) in
        [("/healthz", "Whether the process answers"), ("/readyz", "Whether the service can do its work")]
    {
        let operation = json!({"operationId": path.trim_start_matches('/'), "tags": ["operations"], "summary": what, "security": [],
            "responses": responses(200, "Yes.", &[], json!({"application/json": {"schema": {"type": "object"}}}), &[EVERYWHERE])});
        paths.insert(path.into(), json!({"get": operation}));
    }
    paths.insert("/files/{file}/{name}".into(), files_item());
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Payouts",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "Exports of payments and of the earnings behind them",
            "description": "Queue an export with POST, poll it with GET until its status is Completed, download the file from blobLocation, check it against the manifest. Any other path is 404 PathNotFound (another version UnsupportedVersion), any other verb 405 MethodNotAllowed.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": server}],
        "security": [{"bearer": []}],
        "tags": [{"name": "payments"}, {"name": "transactionhistory"}, {"name": "files"}, {"name": "operations"}],
        "paths": paths,
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
            "headers": headers(),
            "schemas": schemas(),
        },
    })
}

fn schemas() -> Map<String, Value> {
    let mut found = Vec::new();
    ExportView::schemas(&mut found);
    ExportListView::schemas(&mut found);
    PreviewView::schemas(&mut found);
    ErrorBody::schemas(&mut found);
    found.push((ExportView::name().into_owned(), ExportView::schema()));
    found.push((ExportListView::name().into_owned(), ExportListView::schema()));
    found.push((PreviewView::name().into_owned(), PreviewView::schema()));
    found.push((ErrorBody::name().into_owned(), ErrorBody::schema()));
    let mut schemas: Map<String, Value> = found
        .into_iter()
        .map(|(name, schema)| (name, serde_json::to_value(schema).expect("a schema is always JSON")))
        .collect();
    let codes: Vec<&str> = ErrorCode::ALL.iter().map(|c| c.as_str()).collect();
    schemas.insert(
        "ErrorCode".into(),
        json!({"type": "string", "enum": codes, "description": "A code of an error body, or of a failed export."}),
    );
    schemas.insert("Manifest".into(), json!({"type": "object", "description": "What lets finance trust the file: rows, totals, digests, filter, scope, data version, steps."}));
    schemas.insert(
        "FilterBody".into(),
        json!({"type": "object", "additionalProperties": false, "required": ["filter"], "properties": {"filter": {"type": "string", "description": "The filter, for texts too long for a URL."}}}),
    );
    schemas
}

/// Refusals of any request, and what may break.
const EVERYWHERE: &[ErrorCode] = &[
    ErrorCode::InvalidHeader,
    ErrorCode::RequestTimeout,
    ErrorCode::UriTooLong,
    ErrorCode::MisdirectedRequest,
    ErrorCode::HeadersTooLarge,
    ErrorCode::Internal,
    ErrorCode::Unavailable,
];
/// Refusals of callers.
const CALLERS: &[ErrorCode] =
    &[ErrorCode::Unauthenticated, ErrorCode::InsufficientScope, ErrorCode::NoGrants, ErrorCode::TooManyRequests];
/// Refusals of what export and preview take.
const REQUESTS: &[ErrorCode] = &[
    ErrorCode::FilterSyntax,
    ErrorCode::FilterUnknownField,
    ErrorCode::FilterType,
    ErrorCode::FilterUnsupported,
    ErrorCode::FilterLimit,
    ErrorCode::InvalidParameter,
    ErrorCode::UnknownParameter,
    ErrorCode::DuplicateParameter,
    ErrorCode::InvalidFileFormat,
    ErrorCode::InvalidSelect,
    ErrorCode::InvalidTimeZone,
    ErrorCode::InvalidBody,
    ErrorCode::ParticipantNotGranted,
    ErrorCode::BodyTooLarge,
    ErrorCode::UnsupportedMediaType,
];
/// Refusals of what export alone meets.
const NEW: &[ErrorCode] = &[ErrorCode::StorageLimit];
const KEYS: &[ErrorCode] =
    &[ErrorCode::InvalidIdempotencyKey, ErrorCode::IdempotencyKeyReused, ErrorCode::ExportNotFound];
const ONE: &[ErrorCode] = &[ErrorCode::InvalidPath, ErrorCode::ExportNotFound];

fn report_paths(paths: &mut Map<String, Value>, report: &Report) {
    let base = format!("/v1.0/payouts/{}", report.name);
    let operation = |verb: &str, summary: &str, parameters: Vec<Value>, responses: Value| -> Value {
        let parameters: Vec<Value> = parameters.into_iter().chain(echoed_parameters(verb == "create")).collect();
        json!({"operationId": format!("{verb}_{}", report.name), "tags": [report.name], "summary": summary,
            "parameters": parameters, "responses": responses})
    };
    let accepted = responses(
        202,
        "Accepted: durable in the queue.",
        &["Location", "Retry-After", "ETag", "Idempotency-Replayed"],
        content("Export"),
        &[EVERYWHERE, CALLERS, REQUESTS, KEYS, NEW],
    );
    let mut create = operation("create", "Queue an export", export_parameters(report), accepted);
    create["requestBody"] = request_body();
    let page = responses(
        200,
        "A page.",
        &[],
        content("ExportList"),
        &[
            EVERYWHERE,
            CALLERS,
            &[ErrorCode::InvalidParameter, ErrorCode::UnknownParameter, ErrorCode::DuplicateParameter],
        ],
    );
    let list = operation("list", "List exports, newest first", list_parameters(), page);
    paths.insert(base.clone(), json!({"post": create, "get": list}));

    let id =
        json!([{"name": "requestId", "in": "path", "required": true, "schema": {"type": "string", "format": "uuid"}}]);
    let polled: &[&str] = &["ETag", "Retry-After", "Preference-Applied"];
    let mut got = responses(200, "The export.", polled, content("Export"), &[EVERYWHERE, CALLERS, ONE]);
    got["304"] = json!({"description": "As it was.", "headers": header_references(polled)});
    let conditions = vec![
        header("Prefer", "wait=N holds the answer until the status changes, at most 60 seconds."),
        header("If-None-Match", "An ETag: 304 while nothing changed."),
    ];
    let get = operation("get", "How an export stands, with a fresh link", conditions, got);
    let gone = responses(
        200,
        "The export as it was.",
        &[],
        content("Export"),
        &[EVERYWHERE, CALLERS, ONE, &[ErrorCode::NotTheOwner, ErrorCode::ExportHeld]],
    );
    let delete = operation("delete", "Cancel or delete an export, in any state", Vec::new(), gone);
    paths.insert(format!("{base}/{{requestId}}"), json!({"parameters": id, "get": get, "delete": delete}));

    let held =
        responses(200, "The manifest.", &[], content("Manifest"), &[EVERYWHERE, CALLERS, ONE, &[ErrorCode::NotReady]]);
    let manifest = operation("manifest", "What the file holds, to check it against", Vec::new(), held);
    paths.insert(format!("{base}/{{requestId}}/manifest"), json!({"parameters": id, "get": manifest}));

    let shown = responses(
        200,
        "Rows, sums and the first rows.",
        &[],
        content("Preview"),
        &[EVERYWHERE, CALLERS, REQUESTS, &[ErrorCode::PreviewTimeout]],
    );
    let mut preview =
        operation("preview", "What an export would hold, without making it", export_parameters(report), shown);
    preview["requestBody"] = request_body();
    paths.insert(format!("{base}/preview"), json!({"post": preview}));
}

fn content(schema: &str) -> Value {
    json!({"application/json": {"schema": {"$ref": format!("#/components/schemas/{schema}")}}})
}

/// The headers of answers, by name.
fn headers() -> Value {
    let text = |description: &str| json!({"description": description, "schema": {"type": "string"}});
    let seconds = json!({"description": "Seconds after which it is worth looking or trying again; absent once an export has ended.",
        "schema": {"type": "integer", "minimum": 1}});
    json!({
        "Request-ID": {"description": "The answer's id, also in error bodies and in the log.", "required": true, "schema": {"type": "string", "format": "uuid"}},
        "Client-Request-ID": text("As it was sent."),
        "ms-correlationid": text("As it was sent."),
        "ms-requestid": text("As it was sent."),
        "Location": text("The absolute URL of the export."),
        "Retry-After": seconds,
        "RateLimit-Policy": text("The limits of requests that rule the caller: q at once, given back in w seconds."),
        "RateLimit": text("Requests that the caller may send at once now (r), and the seconds until all are given back (t)."),
        "ETag": text("Changes with whatever a client could see change."),
        "Idempotency-Replayed": text("true: the export was made by an earlier request with this key."),
        "Preference-Applied": text("The wait that was obeyed."),
        "WWW-Authenticate": text("Bearer error=\"invalid_token\""),
        "Last-Modified": text("When the file was finished."),
        "Accept-Ranges": text("bytes"),
        "Content-Range": text("Which bytes these are, of how many."),
        "Content-Disposition": text("The name of the file."),
        "x-ms-blob-type": text("BlockBlob"),
        "x-ms-version": text("The version of the storage protocol."),
    })
}

const ECHOED: [&str; 3] = ["Client-Request-ID", "ms-correlationid", "ms-requestid"];

fn header_references(names: &[&str]) -> Value {
    let all = std::iter::once("Request-ID").chain(ECHOED).chain(names.iter().copied());
    let reference = |name: &str| (name.to_owned(), json!({"$ref": format!("#/components/headers/{name}")}));
    all.map(reference).collect::<Map<String, Value>>().into()
}

fn error_response(status: u16, codes: &[&str]) -> Value {
    let more: &[&str] = match status {
        401 => &["WWW-Authenticate"],
        409 | 429 | 503 => &["Retry-After"],
        416 => &["Content-Range"],
        _ => &[],
    };
    json!({"description": format!("One of: {}.", codes.join(", ")), "headers": header_references(more), "content": content("Error")})
}

const RATE_LIMITS: [&str; 2] = ["RateLimit-Policy", "RateLimit"];

/// One answer that is good, and the refusals by their status.
fn responses(status: u16, description: &str, headers: &[&str], content: Value, codes: &[&[ErrorCode]]) -> Value {
    let mut refusals: BTreeMap<u16, Vec<&str>> = BTreeMap::new();
    for code in codes.iter().flat_map(|codes| codes.iter()) {
        refusals.entry(code.status()).or_default().push(code.as_str());
    }
    // Whoever shows a token is told the limits.
    let limited = codes.iter().any(|codes| codes.contains(&ErrorCode::Unauthenticated));
    let limits: &[&str] = if limited { &RATE_LIMITS } else { &[] };
    let headers = [headers, limits].concat();
    let good = json!({"description": description, "headers": header_references(&headers), "content": content});
    let refused = refusals.into_iter().map(|(status, codes)| (status.to_string(), error_response(status, &codes)));
    std::iter::once((status.to_string(), good)).chain(refused).collect::<Map<String, Value>>().into()
}

fn request_body() -> Value {
    json!({"required": false, "description": "Only for filters too long for a URL.", "content": content("FilterBody")})
}

fn query(name: &str, description: &str, schema: Value) -> Value {
    json!({"name": name, "in": "query", "required": false, "description": description, "schema": schema})
}

fn header(name: &str, description: &str) -> Value {
    json!({"name": name, "in": "header", "required": false, "description": description, "schema": {"type": "string"}})
}

/// The headers that come back; on POST two of the same meaning are the idempotency key.
fn echoed_parameters(keyed: bool) -> Vec<Value> {
    let key = "The idempotency key: the same request again is answered with the same export for 24 hours.";
    let back = "Comes back as it is.";
    let mut all = vec![header("Client-Request-ID", back), header("ms-correlationid", back)];
    if keyed {
        let form = json!({"type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[!-~]+$"});
        for (name, what) in [
            ("ms-requestid", key),
            ("Idempotency-Key", "The same as ms-requestid; with both, their values must be equal."),
        ] {
            all.push(json!({"name": name, "in": "header", "required": false, "description": what, "schema": form}));
        }
    } else {
        all.push(header("ms-requestid", back));
    }
    all
}

fn list_parameters() -> Vec<Value> {
    let statuses: Vec<&str> = Status::ALL.iter().map(|s| s.as_str()).collect();
    vec![
        query(
            "$top",
            "Exports of one page.",
            json!({"type": "integer", "minimum": 1, "maximum": super::params::TOP_MAX, "default": 50}),
        ),
        query(
            "$skiptoken",
            "Where the page begins: follow nextLink.",
            json!({"type": "string", "pattern": super::exports::list::TOKEN_PATTERN}),
        ),
        query("status", "Only these.", json!({"type": "string", "enum": statuses})),
    ]
}

fn export_parameters(report: &Report) -> Vec<Value> {
    let formats: Vec<String> = FileFormat::ALL.iter().map(ToString::to_string).collect();
    let mut all = vec![
        query("$filter", "OData 4.01 filter over the fields of the report.", json!({"type": "string"})),
        query("fileFormat", "The file's format; a ZIP of CSV when absent.", json!({"type": "string", "enum": formats})),
        query(
            "separator",
            "With csv.excel: what stands between values. A comma when absent, a semicolon if decimal is a comma.",
            json!({"type": "string", "enum": Separator::ALL.map(|sign| sign.to_string())}),
        ),
        query(
            "decimal",
            "With csv.excel: what stands before decimals.",
            json!({"type": "string", "enum": DecimalSign::ALL.map(|sign| sign.to_string()), "default": "point"}),
        ),
        query("$select", "Columns by name, with commas between; * for the default set.", json!({"type": "string"})),
        query("timeZone", "The IANA time zone that rules bare dates.", json!({"type": "string", "default": "UTC"})),
        query("Multiple filters", "A whole filter, joined to the others with and.", json!({"type": "string"})),
    ];
    for (name, field) in report.filter_names() {
        let field = &report.fields[field];
        let values = match field.kind {
            FieldType::Enum => format!(" One of: {}.", field.values.join(", ")),
            _ => String::new(),
        };
        let description = format!("{} ({}). A value alone means eq.{values}", field.meaning, field.kind.as_str());
        all.push(query(name, &description, json!({"type": "string"})));
    }
    all
}

fn metadata_operation() -> Value {
    let content =
        json!({"application/xml": {"schema": {"type": "string"}}, "application/json": {"schema": {"type": "object"}}});
    json!({"operationId": "metadata", "tags": ["operations"], "summary": "Both reports as OData CSDL",
        "parameters": echoed_parameters(false),
        "responses": responses(200, "CSDL, as XML or JSON by Accept.", &[], content, &[EVERYWHERE, CALLERS, &[ErrorCode::NotAcceptable]])})
}

/// The parts of a link besides `sig`, which are as Azure's are.
const LINK_PARTS: [(&str, &str); 7] = [
    ("sv", "The version of the link."),
    ("se", "When it ends."),
    ("sp", "What it allows: r, to read."),
    ("sr", "What it is for: b, one file."),
    ("si", "The id of the key that signed it."),
    ("skoid", "Whose link it is."),
    ("sktid", "The tenant of that viewer."),
];

fn files_item() -> Value {
    const REFUSED: &[ErrorCode] = &[
        ErrorCode::LinkInvalid,
        ErrorCode::LinkExpired,
        ErrorCode::FileNotFound,
        ErrorCode::TooManyRequests,
        ErrorCode::PreconditionFailed,
        ErrorCode::RangeNotSatisfiable,
    ];
    let validators = ["ETag", "Last-Modified", "Accept-Ranges", "x-ms-version"];
    let sent = [&validators[..], &["Content-Disposition", "x-ms-blob-type"]].concat();
    let bytes = || -> Value {
        let types = FileFormat::ALL.iter().map(|format| format.content_type());
        let body = |kind: &str| (kind.to_owned(), json!({"schema": {"type": "string", "contentMediaType": kind}}));
        types.map(body).collect::<Map<String, Value>>().into()
    };
    let operation = |id: &str, what: &str| {
        let mut all = responses(200, "The whole file.", &sent, bytes(), &[EVERYWHERE, REFUSED]);
        let part = [&sent[..], &["Content-Range"]].concat();
        all["206"] =
            json!({"description": "The asked range.", "headers": header_references(&part), "content": bytes()});
        all["304"] = json!({"description": "As it was.", "headers": header_references(&validators)});
        let conditions = [
            header("Range", "bytes=…: one range; several give the whole file."),
            header("x-ms-range", "The same, and stronger than Range."),
            header("If-Range", "The ETag or date under which the range counts; otherwise the whole file is sent."),
            header("If-Match", "Only this file; otherwise 412."),
            header("If-None-Match", "304 if it is this file."),
            header("If-Modified-Since", "304 if it is no newer."),
            header("If-Unmodified-Since", "412 if it is newer."),
        ];
        let parameters: Vec<Value> = conditions.into_iter().chain(echoed_parameters(false)).collect();
        json!({"operationId": id, "tags": ["files"], "summary": what, "security": [], "responses": all, "parameters": parameters})
    };
    let mut parameters = vec![
        json!({"name": "file", "in": "path", "required": true, "schema": {"type": "string"}}),
        json!({"name": "name", "in": "path", "required": true, "schema": {"type": "string"}}),
        query("sig", "The signature over the file's path and the other parts.", json!({"type": "string"})),
    ];
    parameters.extend(LINK_PARTS.iter().map(|(name, what)| query(name, what, json!({"type": "string"}))));
    json!({
        "parameters": parameters,
        "get": operation("download", "Download: blobLocation as it is, no token besides"),
        "head": operation("probe", "Size and ETag of a file"),
    })
}

#[cfg(test)]
mod tests;
