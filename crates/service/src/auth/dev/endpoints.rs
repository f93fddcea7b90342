//! The development issuer over HTTP: token endpoints in both versions that clients know, discovery
//! and JWKS. Merged into the service's router only with `--dev`.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::rejection::RawFormRejection;
use axum::extract::{Path, RawForm, RawPathParams, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::{HeaderMap, StatusCode, header};
use payouts_model::{PrincipalId, TenantId};
use serde_json::{Value, json};

use super::{AUDIENCE, ISSUER, TokenRequest};
use crate::app::App;
use crate::http::base_url::BaseUrl;

const LIFETIME_SECONDS: i64 = 3600;
const TENANT_CHARS_MAX: usize = 128;

/// `POST /{tenant}/oauth2/token` and `/{tenant}/oauth2/v2.0/token`, discovery and JWKS under the
/// paths of both versions.
pub fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/{tenant}/oauth2/token", post(token_v1))
        .route("/{tenant}/oauth2/v2.0/token", post(token_v2))
        .route("/{tenant}/.well-known/openid-configuration", get(discovery_v1))
        .route("/{tenant}/v2.0/.well-known/openid-configuration", get(discovery_v2))
        .route("/{tenant}/discovery/keys", get(jwks))
        .route("/{tenant}/discovery/v2.0/keys", get(jwks))
}

/// An OAuth 2.0 error answer (RFC 6749, 5.2).
fn refuse(error: &str, description: &str) -> Response {
    let body = json!({"error": error, "error_description": description});
    (StatusCode::BAD_REQUEST, [(header::CACHE_CONTROL, "no-store")], Json(body)).into_response()
}

type Form = Result<RawForm, RawFormRejection>;

async fn token_v1(state: State<Arc<App>>, tenant: RawPathParams, headers: HeaderMap, form: Form) -> Response {
    answered(&state, &tenant, &headers, form, true)
}

async fn token_v2(state: State<Arc<App>>, tenant: RawPathParams, headers: HeaderMap, form: Form) -> Response {
    answered(&state, &tenant, &headers, form, false)
}

/// Whatever cannot be read is refused as OAuth 2.0 refuses it, so that client libraries show why.
fn answered(app: &App, path: &RawPathParams, headers: &HeaderMap, form: Form, version_1: bool) -> Response {
    let tenant = path.iter().next().map_or("", |(_, tenant)| tenant);
    match form {
        Ok(RawForm(form)) => token(app, tenant, headers, &form, version_1),
        Err(_) => refuse(
            "invalid_request",
            "the parameters must be a form body: Content-Type: application/x-www-form-urlencoded and grant_type=client_credentials&client_id=ID",
        ),
    }
}

/// The user name of HTTP Basic credentials: where some clients put their client id.
fn basic_client(headers: &HeaderMap) -> Option<String> {
    use base64::Engine as _;
    let (scheme, value) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(base64::prelude::BASE64_STANDARD.decode(value.trim()).ok()?).ok()?;
    Some(text.split_once(':')?.0.to_owned())
}

fn token(app: &App, tenant: &str, headers: &HeaderMap, form: &[u8], version_1: bool) -> Response {
    let Some(issuer) = app.tokens.dev() else {
        return refuse("unauthorized_client", "the development issuer is off: start the service with --dev");
    };
    let form: HashMap<String, String> = url::form_urlencoded::parse(form).into_owned().collect();
    let given = |name: &str| form.get(name).map(|v| v.trim()).filter(|v| !v.is_empty()).map(str::to_owned);
    let grant_type = given("grant_type").unwrap_or_default();
    let principal = match grant_type.as_str() {
        "client_credentials" => given("client_id").or_else(|| basic_client(headers)).ok_or("client_id"),
        "password" => given("username").ok_or("username"),
        "" => {
            return refuse("invalid_request", "grant_type is missing: password or client_credentials, as a form body");
        }
        other => {
            let text = format!("grant_type '{other}' is not supported: use password or client_credentials");
            return refuse("unsupported_grant_type", &text);
        }
    };
    let principal = match principal {
        Ok(principal) => principal,
        Err(name) => return refuse("invalid_request", &format!("grant_type {grant_type} needs {name}")),
    };
    if tenant.chars().count() > TENANT_CHARS_MAX || tenant.chars().chain(principal.chars()).any(char::is_control) {
        return refuse("invalid_request", "tenant and principal are at most 128 characters without control characters");
    }
    let resource = given("resource");
    let scope = given("scope");
    let asked = scope.as_deref().and_then(|s| s.split(' ').find(|p| p.contains("://") || p.ends_with("/.default")));
    let audience = resource.as_deref().or(asked).unwrap_or(AUDIENCE).trim_end_matches("/.default");
    let request = TokenRequest {
        tenant: TenantId::new(tenant),
        principal: PrincipalId::new(principal),
        audience: audience.to_owned(),
        lifetime_seconds: LIFETIME_SECONDS,
        now: app.clock.now(),
    };
    let signed = match issuer.sign(&request) {
        Ok(signed) => signed,
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "development token cannot be signed");
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
    };
    tracing::warn!(
        tenant.id = tenant,
        principal.id = request.principal.as_str(),
        grant_type,
        "development token issued: no secret was checked"
    );
    let body = answer(&request, &signed, scope.as_deref(), version_1);
    ([(header::CACHE_CONTROL, "no-store"), (header::PRAGMA, "no-cache")], Json(body)).into_response()
}

/// Version 1 writes its numbers as texts, and clients of either version parse what they know.
fn answer(request: &TokenRequest, signed: &str, scope: Option<&str>, version_1: bool) -> Value {
    let now = request.now.0.div_euclid(1_000_000);
    let expires_in = request.lifetime_seconds - 1;
    if version_1 {
        json!({
            "token_type": "Bearer",
            "expires_in": expires_in.to_string(),
            "ext_expires_in": expires_in.to_string(),
            "expires_on": (now + request.lifetime_seconds).to_string(),
            "not_before": now.to_string(),
            "resource": request.audience,
            "access_token": signed,
        })
    } else {
        json!({
            "token_type": "Bearer",
            "expires_in": expires_in,
            "ext_expires_in": expires_in,
            "scope": scope.unwrap_or(&request.audience),
            "access_token": signed,
        })
    }
}

fn discovery(base: &BaseUrl, tenant: &str, version: &str) -> Json<Value> {
    let encoded: String = url::form_urlencoded::byte_serialize(tenant.as_bytes()).collect();
    let root = base.join(&format!("/{encoded}"));
    Json(json!({
        "issuer": ISSUER,
        "token_endpoint": format!("{root}/oauth2{version}/token"),
        "jwks_uri": format!("{root}/discovery{version}/keys"),
        // Nothing answers there; client libraries refuse a document without it.
        "authorization_endpoint": format!("{root}/oauth2{version}/authorize"),
        "grant_types_supported": ["client_credentials", "password"],
        "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
        "response_types_supported": ["token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
    }))
}

async fn discovery_v1(base: BaseUrl, Path(tenant): Path<String>) -> Json<Value> {
    discovery(&base, &tenant, "")
}

async fn discovery_v2(base: BaseUrl, Path(tenant): Path<String>) -> Json<Value> {
    discovery(&base, &tenant, "/v2.0")
}

async fn jwks(State(app): State<Arc<App>>) -> Response {
    match app.tokens.dev() {
        Some(issuer) => Json(issuer.jwks()).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
