//! `$metadata`: OData CSDL of both reports as XML or JSON, read from the same field table that
//! rules the filter and the file header.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use payouts_model::report::Currency;
use payouts_model::{Catalog, ErrorCode, Field, FieldType, Report, ReportName};
use serde_json::{Map, Value, json};

use super::error::Error;
use super::extract::{Version, Viewing};
use crate::app::App;

const NAMESPACE: &str = "Payouts";
const VOCABULARIES: [(&str, &str); 3] =
    [("Org.OData.Core.V1", "Core"), ("Org.OData.Measures.V1", "Measures"), ("Org.OData.Validation.V1", "Validation")];

/// The handler.
pub async fn metadata(
    State(app): State<Arc<App>>,
    _version: Version,
    Viewing(_viewer): Viewing,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let accept = headers.get_all(header::ACCEPT).iter().filter_map(|v| v.to_str().ok()).collect::<Vec<_>>().join(",");
    let (media_type, body) = match negotiate(&accept) {
        Some(Form::Xml) => ("application/xml", xml(&app.catalog)),
        Some(Form::Json) => ("application/json", json_document(&app.catalog).to_string()),
        None => {
            let message = "The metadata is there as application/xml and as application/json.";
            return Err(Error::new(ErrorCode::NotAcceptable, message).target("Accept"));
        }
    };
    let odata = (HeaderName::from_static("odata-version"), HeaderValue::from_static("4.01"));
    Ok((
        [
            (header::CONTENT_TYPE, HeaderValue::from_static(media_type)),
            odata,
            (header::VARY, HeaderValue::from_static("Accept")),
        ],
        body,
    )
        .into_response())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Xml,
    Json,
}

/// The form that the client would rather have; XML if it does not say.
fn negotiate(accept: &str) -> Option<Form> {
    if accept.trim().is_empty() {
        return Some(Form::Xml);
    }
    let quality = |wanted: &[&str]| {
        let of = |range: &str| {
            let mut parts = range.split(';').map(str::trim);
            let name = parts.next().unwrap_or("").to_ascii_lowercase();
            let specific = wanted.iter().position(|w| *w == name)?;
            let q = parts.find_map(|p| p.strip_prefix("q=").or_else(|| p.strip_prefix("Q="))).unwrap_or("1");
            Some((specific, thousandths(q)))
        };
        // The most specific range decides.
        accept
            .split(',')
            .filter_map(of)
            .min_by_key(|(specific, q)| (*specific, std::cmp::Reverse(*q)))
            .map_or(0, |(_, q)| q)
    };
    let xml = quality(&["application/xml", "application/*", "text/xml", "*/*"]);
    let json = quality(&["application/json", "application/*", "*/*"]);
    match (xml, json) {
        (0, 0) => None,
        (xml, json) if json > xml => Some(Form::Json),
        _ => Some(Form::Xml),
    }
}

/// A quality such as `0.8` in thousandths; what is no quality counts as 1.
fn thousandths(q: &str) -> u32 {
    let (whole, fraction) = q.split_once('.').unwrap_or((q, ""));
    if whole.trim() != "0" {
        return 1000;
    }
    let digits: String = fraction.chars().chain("000".chars()).take(3).collect();
    digits.parse().unwrap_or(1000)
}

fn entity(report: &Report) -> &'static str {
    match report.name {
        ReportName::Payments => "Payment",
        ReportName::TransactionHistory => "Transaction",
    }
}

/// EDM type, and its precision and scale.
fn edm(kind: FieldType) -> (&'static str, Option<u32>, Option<u32>) {
    match kind {
        FieldType::Amount => ("Edm.Decimal", Some(18), Some(4)),
        FieldType::Number => ("Edm.Decimal", Some(18), Some(8)),
        FieldType::Integer => ("Edm.Int64", None, None),
        FieldType::Id | FieldType::Text | FieldType::Enum => ("Edm.String", None, None),
        FieldType::Guid => ("Edm.Guid", None, None),
        FieldType::Date => ("Edm.Date", None, None),
        FieldType::Timestamp => ("Edm.DateTimeOffset", Some(6), None),
        FieldType::Boolean => ("Edm.Boolean", None, None),
    }
}

/// The key, if none of its fields may be empty: a key of OData has no nulls.
fn key(report: &Report) -> Vec<&Field> {
    let key: Vec<&Field> = report.key_columns().into_iter().map(|i| &report.fields[i]).collect();
    if key.iter().any(|f| f.nullable) { Vec::new() } else { key }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// CSDL as XML.
pub fn xml(catalog: &Catalog) -> String {
    let mut out = String::from(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<edmx:Edmx xmlns:edmx=\"http://docs.oasis-open.org/odata/ns/edmx\" Version=\"4.01\">\n",
    );
    for (name, alias) in VOCABULARIES {
        let _ = writeln!(
            out,
            "  <edmx:Reference Uri=\"https://oasis-tcs.github.io/odata-vocabularies/vocabularies/{name}.xml\"><edmx:Include Namespace=\"{name}\" Alias=\"{alias}\"/></edmx:Reference>"
        );
    }
    let _ = writeln!(
        out,
        "  <edmx:DataServices>\n    <Schema xmlns=\"http://docs.oasis-open.org/odata/ns/edm\" Namespace=\"{NAMESPACE}\">\n      \
         <Term Name=\"FilterName\" Type=\"Edm.String\" AppliesTo=\"Property\"/>\n      \
         <Term Name=\"InFileByDefault\" Type=\"Edm.Boolean\" AppliesTo=\"Property\"/>"
    );
    for name in ReportName::ALL {
        xml_entity(&mut out, catalog.report(name));
    }
    let _ = writeln!(out, "      <EntityContainer Name=\"Container\">");
    for name in ReportName::ALL {
        let _ = writeln!(
            out,
            "        <EntitySet Name=\"{name}\" EntityType=\"{NAMESPACE}.{}\"/>",
            entity(catalog.report(name))
        );
    }
    out.push_str("      </EntityContainer>\n    </Schema>\n  </edmx:DataServices>\n</edmx:Edmx>\n");
    out
}

fn xml_entity(out: &mut String, report: &Report) {
    let _ = writeln!(out, "      <EntityType Name=\"{}\">", entity(report));
    let key = key(report);
    if !key.is_empty() {
        let refs: String = key.iter().map(|f| format!("<PropertyRef Name=\"{}\"/>", f.name)).collect();
        let _ = writeln!(out, "        <Key>{refs}</Key>");
    }
    for field in &report.fields {
        let (kind, precision, scale) = edm(field.kind);
        let _ = write!(out, "        <Property Name=\"{}\" Type=\"{kind}\"", field.name);
        if !field.nullable {
            out.push_str(" Nullable=\"false\"");
        }
        for (name, value) in [("Precision", precision), ("Scale", scale)] {
            if let Some(value) = value {
                let _ = write!(out, " {name}=\"{value}\"");
            }
        }
        out.push_str(">\n");
        xml_annotations(out, field, report);
        out.push_str("        </Property>\n");
    }
    out.push_str("      </EntityType>\n");
}

fn xml_annotations(out: &mut String, field: &Field, report: &Report) {
    let mut line = |term: &str, rest: &str| {
        let _ = writeln!(out, "          <Annotation Term=\"{term}\" {rest}/>");
    };
    line("Core.Description", &format!("String=\"{}\"", escaped(&field.meaning)));
    if let Some(name) = &field.filter_name {
        line(&format!("{NAMESPACE}.FilterName"), &format!("String=\"{name}\""));
    }
    line(&format!("{NAMESPACE}.InFileByDefault"), &format!("Bool=\"{}\"", field.in_file));
    match &field.currency {
        Some(Currency::Field(i)) => line("Measures.ISOCurrency", &format!("Path=\"{}\"", report.fields[*i].name)),
        Some(Currency::Constant(code)) => line("Measures.ISOCurrency", &format!("String=\"{code}\"")),
        None => {}
    }
    if !field.values.is_empty() {
        let values: String = field
            .values
            .iter()
            .map(|v| format!("<Record><PropertyValue Property=\"Value\" String=\"{}\"/></Record>", escaped(v)))
            .collect();
        let _ = writeln!(
            out,
            "          <Annotation Term=\"Validation.AllowedValues\"><Collection>{values}</Collection></Annotation>"
        );
    }
}

/// CSDL as JSON.
pub fn json_document(catalog: &Catalog) -> Value {
    let mut schema = Map::new();
    schema.insert("FilterName".into(), json!({"$Kind": "Term", "$AppliesTo": ["Property"]}));
    schema
        .insert("InFileByDefault".into(), json!({"$Kind": "Term", "$Type": "Edm.Boolean", "$AppliesTo": ["Property"]}));
    let mut container = Map::from_iter([("$Kind".to_owned(), json!("EntityContainer"))]);
    for name in ReportName::ALL {
        let report = catalog.report(name);
        schema.insert(entity(report).into(), json_entity(report));
        container
            .insert(name.to_string(), json!({"$Collection": true, "$Type": format!("{NAMESPACE}.{}", entity(report))}));
    }
    schema.insert("Container".into(), container.into());
    let references: Map<String, Value> = VOCABULARIES
        .iter()
        .map(|(name, alias)| {
            let uri = format!("https://oasis-tcs.github.io/odata-vocabularies/vocabularies/{name}.json");
            (uri, json!({"$Include": [{"$Namespace": name, "$Alias": alias}]}))
        })
        .collect();
    json!({
        "$Version": "4.01",
        "$EntityContainer": format!("{NAMESPACE}.Container"),
        "$Reference": references,
        NAMESPACE: schema,
    })
}

fn json_entity(report: &Report) -> Value {
    let mut entity = Map::from_iter([("$Kind".to_owned(), json!("EntityType"))]);
    let key = key(report);
    if !key.is_empty() {
        entity.insert("$Key".into(), key.iter().map(|f| json!(f.name)).collect());
    }
    for field in &report.fields {
        let (kind, precision, scale) = edm(field.kind);
        let mut property = Map::from_iter([("$Type".to_owned(), json!(kind))]);
        if field.nullable {
            property.insert("$Nullable".into(), json!(true));
        }
        for (name, value) in [("$Precision", precision), ("$Scale", scale)] {
            if let Some(value) = value {
                property.insert(name.into(), json!(value));
            }
        }
        property.insert("@Core.Description".into(), json!(field.meaning));
        if let Some(name) = &field.filter_name {
            property.insert(format!("@{NAMESPACE}.FilterName"), json!(name));
        }
        property.insert(format!("@{NAMESPACE}.InFileByDefault"), json!(field.in_file));
        match &field.currency {
            Some(Currency::Field(i)) => {
                property.insert("@Measures.ISOCurrency".into(), json!({"$Path": report.fields[*i].name}));
            }
            Some(Currency::Constant(code)) => {
                property.insert("@Measures.ISOCurrency".into(), json!(code));
            }
            None => {}
        }
        if !field.values.is_empty() {
            let values: Vec<Value> = field.values.iter().map(|v| json!({"Value": v})).collect();
            property.insert("@Validation.AllowedValues".into(), json!(values));
        }
        entity.insert(field.name.to_string(), property.into());
    }
    entity.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_chooses_the_form() {
        for (accept, form) in [
            ("", Some(Form::Xml)),
            ("*/*", Some(Form::Xml)),
            ("application/json", Some(Form::Json)),
            ("application/json;odata.metadata=minimal", Some(Form::Json)),
            ("application/json;q=0.5, application/xml", Some(Form::Xml)),
            ("application/json, application/xml;q=0.9", Some(Form::Json)),
            ("application/json, */*;q=0.1", Some(Form::Json)),
            ("text/html", None),
            ("application/json;q=0", None),
        ] {
            assert_eq!(negotiate(accept), form, "{accept}");
        }
    }

    #[test]
    fn every_field_is_in_both_forms() {
        let catalog = Catalog::builtin();
        let (xml, json) = (xml(&catalog), json_document(&catalog));
        for name in ReportName::ALL {
            let report = catalog.report(name);
            for field in &report.fields {
                assert!(
                    xml.contains(&format!("<Property Name=\"{}\" Type=\"{}\"", field.name, edm(field.kind).0)),
                    "{}",
                    field.name
                );
                assert_eq!(json[NAMESPACE][entity(report)][&*field.name]["$Type"], edm(field.kind).0);
            }
        }
        let opened = xml.matches("<Property ").count();
        assert_eq!(opened, xml.matches("</Property>").count());
        assert_eq!(json[NAMESPACE]["Payment"]["totalPayment"]["$Scale"], 4);
    }
}
