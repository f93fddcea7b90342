//! The document holds together.

use std::collections::HashSet;

use super::*;

fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            if let Some(Value::String(to)) = map.get("$ref") {
                found.push(to.clone());
            }
            map.values().for_each(|v| references(v, found));
        }
        Value::Array(list) => list.iter().for_each(|v| references(v, found)),
        _ => {}
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let document = document(&Catalog::builtin(), "https://payouts.example.com");
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(found.len() > 20);
    for to in found {
        assert!(document.pointer(to.trim_start_matches('#')).is_some(), "{to}");
    }
}

#[test]
fn operations_are_unique_and_whole() {
    let document = document(&Catalog::builtin(), "https://payouts.example.com");
    assert_eq!(document["openapi"], "3.1.0");
    let mut ids = HashSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let shared = item.get("parameters").and_then(Value::as_array).cloned().unwrap_or_default();
        for (verb, operation) in item.as_object().unwrap().iter().filter(|(verb, _)| *verb != "parameters") {
            assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()), "{verb} {path}");
            assert!(operation["responses"].as_object().unwrap().len() > 1, "{verb} {path}");
            let own = operation.get("parameters").and_then(Value::as_array).cloned().unwrap_or_default();
            let names: Vec<(String, String)> =
                shared.iter().chain(&own).map(|p| (p["in"].to_string(), p["name"].to_string())).collect();
            assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len(), "a parameter twice: {verb} {path}");
            let placed = names.iter().filter(|(place, _)| place == "\"path\"").count();
            assert_eq!(placed, path.matches('{').count(), "{verb} {path}");
        }
    }
    assert_eq!(ids.len(), 2 * 6 + 1 + 2 + 2);
}

#[test]
fn the_export_has_the_seven_members() {
    let schema = &document(&Catalog::builtin(), "https://x")["components"]["schemas"];
    let text = schema["Export"].to_string();
    for member in [
        "requestId",
        "requestDateTime",
        "processingStartDateTime",
        "requestPath",
        "requestQueryString",
        "blobLocation",
        "status",
        "value",
        "nextLink",
        "totalCount",
    ] {
        assert!(text.contains(&format!("\"{member}\"")), "{member} is not in {text}");
    }
}

#[test]
fn refusals_are_those_that_can_happen() {
    let document = document(&Catalog::builtin(), "https://x");
    let paths = &document["paths"];
    let of = |path: &str, verb: &str, status: &str| paths[path][verb]["responses"][status]["description"].to_string();
    let (all, one) = ("/v1.0/payouts/payments", "/v1.0/payouts/payments/{requestId}");
    for (path, verb) in [(all, "get"), (all, "post"), (one, "get"), (one, "delete")] {
        assert!(of(path, verb, "429").contains("TooManyRequests"), "{verb} {path}");
        for status in ["401", "414", "421", "431", "500", "503"] {
            assert!(paths[path][verb]["responses"][status].is_object(), "{verb} {path} {status}");
        }
    }
    assert_eq!(of(one, "get", "403"), "\"One of: InsufficientScope, NoGrants.\"");
    assert_eq!(of(one, "delete", "403"), "\"One of: InsufficientScope, NoGrants, NotTheOwner.\"");
    assert_eq!(of("/files/{file}/{name}", "get", "403"), "\"One of: LinkInvalid, LinkExpired.\"");
    let names = |path: &str, verb: &str| paths[path][verb]["parameters"].to_string();
    assert!(names(all, "post").contains("\"Idempotency-Key\"") && names(all, "get").contains("\"ms-correlationid\""));
}

#[test]
fn a_link_has_the_documented_parts() {
    let document = document(&Catalog::builtin(), "https://x");
    let parameters = document["paths"]["/files/{file}/{name}"]["parameters"].as_array().unwrap();
    let names: Vec<&str> = parameters.iter().filter_map(|p| p["name"].as_str()).collect();
    for name in ["sig", "sv", "se", "sp", "si", "sr", "skoid", "sktid"] {
        assert!(names.contains(&name), "{name} is not among {names:?}");
    }
}
