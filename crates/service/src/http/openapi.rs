//! The OpenAPI 3.1 document. Shapes come from the views, parameters and values from the field
//! table, codes from the table of errors: it cannot disagree with what is served.

use payouts_model::{Catalog, ErrorCode, FieldType, FileFormat, Report, ReportName, Status};
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
            "responses": {"200": {"description": "Yes.", "content": {"application/json": {"schema": {"type": "object"}}}}, "503": error_response(503)}});
        paths.insert(path.into(), json!({"get": operation}));
    }
    paths.insert("/files/{file}/{name}".into(), files_item());
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Payouts",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "Exports of payments and of the earnings behind them",
            "description": "Queue an export with POST, poll it with GET until its status is Completed, download the file from blobLocation, check it against the manifest.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": server}],
        "security": [{"bearer": []}],
        "tags": [{"name": "payments"}, {"name": "transactionhistory"}, {"name": "files"}, {"name": "operations"}],
        "paths": paths,
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
            "headers": {"RequestId": {"description": "The answer's id, also in error bodies and in the log.", "required": true, "schema": {"type": "string", "format": "uuid"}}},
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
        json!({"type": "object", "additionalProperties": false, "properties": {"filter": {"type": "string", "description": "The filter, for texts too long for a URL."}}}),
    );
    schemas
}

fn report_paths(paths: &mut Map<String, Value>, report: &Report) {
    let base = format!("/v1.0/payouts/{}", report.name);
    let operation = |verb: &str, summary: &str| -> Map<String, Value> {
        let Value::Object(map) =
            json!({"operationId": format!("{verb}_{}", report.name), "tags": [report.name], "summary": summary})
        else {
            return Map::new();
        };
        map
    };
    let export = || content("Export");
    let mut create = operation("create", "Queue an export");
    create.insert("parameters".into(), export_parameters(report, true));
    create.insert("requestBody".into(), request_body());
    create.insert(
        "responses".into(),
        responses(202, "Accepted: durable in the queue.", export(), &[400, 401, 403, 413, 415, 429, 500, 503]),
    );
    let mut list = operation("list", "List exports, newest first");
    list.insert("parameters".into(), list_parameters());
    list.insert("responses".into(), responses(200, "A page.", content("ExportList"), &[400, 401, 403, 500, 503]));
    paths.insert(base.clone(), json!({"post": create, "get": list}));

    let id =
        json!([{"name": "requestId", "in": "path", "required": true, "schema": {"type": "string", "format": "uuid"}}]);
    let mut get = operation("get", "How an export stands, with a fresh link");
    get.insert("parameters".into(), json!([
        {"name": "Prefer", "in": "header", "description": "wait=N holds the answer until the status changes, at most 60 seconds.", "schema": {"type": "string", "pattern": "^wait=[0-9]+$"}},
        {"name": "If-None-Match", "in": "header", "schema": {"type": "string"}},
    ]));
    let mut got = responses(200, "The export.", export(), &[400, 401, 403, 404, 500, 503]);
    got["304"] = json!({"description": "As it was.", "headers": common_headers()});
    get.insert("responses".into(), got);
    let mut delete = operation("delete", "Cancel or delete an export, in any state");
    delete
        .insert("responses".into(), responses(200, "The export as it was.", export(), &[400, 401, 403, 404, 500, 503]));
    paths.insert(format!("{base}/{{requestId}}"), json!({"parameters": id, "get": get, "delete": delete}));

    let mut manifest = operation("manifest", "What the file holds, to check it against");
    manifest.insert(
        "responses".into(),
        responses(200, "The manifest.", content("Manifest"), &[400, 401, 403, 404, 409, 500, 503]),
    );
    paths.insert(format!("{base}/{{requestId}}/manifest"), json!({"parameters": id, "get": manifest}));

    let mut preview = operation("preview", "What an export would hold, without making it");
    preview.insert("parameters".into(), export_parameters(report, false));
    preview.insert("requestBody".into(), request_body());
    preview.insert(
        "responses".into(),
        responses(200, "Rows, sums and the first rows.", content("Preview"), &[400, 401, 403, 413, 415, 429, 500, 503]),
    );
    paths.insert(format!("{base}/preview"), json!({"post": preview}));
}

fn content(schema: &str) -> Value {
    json!({"application/json": {"schema": {"$ref": format!("#/components/schemas/{schema}")}}})
}

fn common_headers() -> Value {
    json!({"Request-ID": {"$ref": "#/components/headers/RequestId"}})
}

fn error_response(status: u16) -> Value {
    let codes: Vec<&str> = ErrorCode::ALL.iter().filter(|c| c.status() == status).map(|c| c.as_str()).collect();
    json!({"description": format!("One of: {}.", codes.join(", ")), "headers": common_headers(), "content": content("Error")})
}

fn responses(status: u16, description: &str, content: Value, errors: &[u16]) -> Value {
    let mut all = Map::new();
    all.insert(
        status.to_string(),
        json!({"description": description, "headers": common_headers(), "content": content}),
    );
    for status in errors {
        all.insert(status.to_string(), error_response(*status));
    }
    all.into()
}

fn request_body() -> Value {
    json!({"required": false, "description": "Only for filters too long for a URL.", "content": content("FilterBody")})
}

fn query(name: &str, description: &str, schema: Value) -> Value {
    json!({"name": name, "in": "query", "required": false, "description": description, "schema": schema})
}

fn list_parameters() -> Value {
    let statuses: Vec<&str> = Status::ALL.iter().map(|s| s.as_str()).collect();
    json!([
        query(
            "$top",
            "Exports of one page.",
            json!({"type": "integer", "minimum": 1, "maximum": super::params::TOP_MAX, "default": 50})
        ),
        query("$skiptoken", "Where the page begins: follow nextLink.", json!({"type": "string"})),
        query("status", "Only these.", json!({"type": "string", "enum": statuses})),
    ])
}

fn export_parameters(report: &Report, with_headers: bool) -> Value {
    let formats: Vec<String> = FileFormat::ALL.iter().map(ToString::to_string).collect();
    let mut all = vec![
        query("$filter", "OData 4.01 filter over the fields of the report.", json!({"type": "string"})),
        query("fileFormat", "The file's format; a ZIP of CSV when absent.", json!({"type": "string", "enum": formats})),
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
    if with_headers {
        for (name, description) in [
            (
                "ms-requestid",
                "The idempotency key: the same request again is answered with the same export for 24 hours.",
            ),
            ("Client-Request-ID", "Comes back as it is."),
            ("ms-correlationid", "Comes back as it is."),
        ] {
            all.push(json!({"name": name, "in": "header", "required": false, "description": description, "schema": {"type": "string"}}));
        }
    }
    all.into()
}

fn metadata_operation() -> Value {
    let content =
        json!({"application/xml": {"schema": {"type": "string"}}, "application/json": {"schema": {"type": "object"}}});
    json!({"operationId": "metadata", "tags": ["operations"], "summary": "Both reports as OData CSDL",
        "responses": responses(200, "CSDL, as XML or JSON by Accept.", content, &[401, 403, 406, 500])})
}

fn files_item() -> Value {
    let operation = |id: &str, what: &str| {
        let mut all = responses(
            200,
            "The whole file.",
            json!({"application/octet-stream": {"schema": {"type": "string", "contentMediaType": "application/octet-stream"}}}),
            &[403, 404, 412, 416, 500],
        );
        all["206"] = json!({"description": "The asked range.", "headers": common_headers()});
        json!({"operationId": id, "tags": ["files"], "summary": what, "security": [], "responses": all,
            "parameters": [{"name": "Range", "in": "header", "description": "bytes=…; x-ms-range means the same.", "schema": {"type": "string"}}]})
    };
    json!({
        "parameters": [
            {"name": "file", "in": "path", "required": true, "schema": {"type": "string"}},
            {"name": "name", "in": "path", "required": true, "schema": {"type": "string"}},
            query("sig", "The signature; with the other parts of blobLocation.", json!({"type": "string"})),
        ],
        "get": operation("download", "Download: blobLocation as it is, no token besides"),
        "head": operation("probe", "Size and ETag of a file"),
    })
}

#[cfg(test)]
mod tests;
