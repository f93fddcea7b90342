//! Which path and verb leads to which handler. Everything is served below the path prefix of
//! `public_url` too, so that a proxy may strip the prefix or not.

use std::sync::Arc;

use axum::Router;
use axum::middleware;
use axum::response::Redirect;
use axum::routing::{get, post};
use http::Method;
use payouts_model::ErrorCode;

use super::base_url::path_prefix;
use super::error::Error;
use super::exports::{create, delete, get as get_export, list, manifest, preview};
use super::{api_page, envelope, extract, files, health, metadata};
use crate::app::App;
use crate::{auth, page};

/// The whole service.
pub fn router(app: Arc<App>) -> Router {
    let prefix = path_prefix(&app.config);
    let routes = routes(&app);
    let all = if prefix.is_empty() {
        routes
    } else {
        let first = prefix.clone();
        let to_first = get(move || std::future::ready(Redirect::temporary(&first)));
        routes.clone().nest(&prefix, routes).route(&format!("{prefix}/"), to_first)
    };
    all.fallback(no_path)
        .method_not_allowed_fallback(no_method)
        .layer(middleware::from_fn_with_state(app.clone(), envelope::envelope))
        .with_state(app)
}

/// A route as the label of a metric: a closed set, whatever callers ask for.
pub fn known(route: &str) -> &'static str {
    let is = |known: &&str| if *known == "/" { route == "/" } else { route.ends_with(known) };
    ROUTES.into_iter().chain(page::ROUTES).find(is).unwrap_or("other")
}

const METADATA: &str = "/{version}/payouts/$metadata";
const EXPORTS: &str = "/{version}/payouts/{report}";
const PREVIEW: &str = "/{version}/payouts/{report}/preview";
const EXPORT: &str = "/{version}/payouts/{report}/{id}";
const MANIFEST: &str = "/{version}/payouts/{report}/{id}/manifest";
const FILE: &str = "/files/{file}/{name}";
const OPENAPI: &str = "/openapi.json";
const PAGE: &str = "/docs/{*rest}";
const HEALTH: &str = "/healthz";
const READY: &str = "/readyz";
const ROUTES: [&str; 10] = [METADATA, EXPORTS, PREVIEW, EXPORT, MANIFEST, FILE, OPENAPI, PAGE, HEALTH, READY];

fn routes(app: &Arc<App>) -> Router<Arc<App>> {
    let api = Router::new()
        .route(METADATA, get(metadata::metadata))
        .route(EXPORTS, get(list::list).post(create::create))
        .route(PREVIEW, post(preview::preview))
        .route(EXPORT, get(get_export::get).delete(delete::delete))
        .route(MANIFEST, get(manifest::manifest))
        .route(FILE, get(files::file))
        .route(OPENAPI, get(api_page::openapi_json))
        .route("/docs", get(api_page::to_page))
        .route("/docs/", get(api_page::page))
        .route(PAGE, get(api_page::page))
        .route(HEALTH, get(health::healthz))
        .route(READY, get(health::readyz))
        .merge(page::router(app));
    if app.config.dev { api.merge(auth::dev::router()) } else { api }
}

async fn no_path() -> Error {
    extract::path_not_found()
}

async fn no_method(method: Method) -> Error {
    let message = format!("This path does not take {method}; the Allow header says what it takes.");
    Error::new(ErrorCode::MethodNotAllowed, message)
}
