//! Which path and verb leads to which handler. Everything is served below the path prefix of
//! `public_url` too, so that a proxy may strip the prefix or not.

use std::sync::Arc;

use axum::Router;
use axum::middleware;
use axum::response::Redirect;
use axum::routing::{get, post};
use http::Method;
use payouts_model::ErrorCode;

use super::base_url::{BaseUrl, path_prefix};
use super::error::Error;
use super::exports::{create, delete, get as get_export, list, manifest, preview};
use super::{api_page, envelope, extract, files, health, metadata};
use crate::app::App;
use crate::auth;

/// The whole service.
pub fn router(app: Arc<App>) -> Router {
    let prefix = path_prefix(&app.config);
    let routes = routes(app.config.dev);
    let all = if prefix.is_empty() { routes } else { routes.clone().nest(&prefix, routes) };
    all.fallback(no_path)
        .method_not_allowed_fallback(no_method)
        .layer(middleware::from_fn_with_state(app.clone(), envelope::envelope))
        .with_state(app)
}

fn routes(dev: bool) -> Router<Arc<App>> {
    let api = Router::new()
        .route("/{version}/payouts/$metadata", get(metadata::metadata))
        .route("/{version}/payouts/{report}", get(list::list).post(create::create))
        .route("/{version}/payouts/{report}/preview", post(preview::preview))
        .route("/{version}/payouts/{report}/{id}", get(get_export::get).delete(delete::delete))
        .route("/{version}/payouts/{report}/{id}/manifest", get(manifest::manifest))
        .route("/files/{file}/{name}", get(files::file))
        .route("/openapi.json", get(api_page::openapi_json))
        .route("/docs", get(api_page::to_page))
        .route("/docs/", get(api_page::page))
        .route("/docs/{*rest}", get(api_page::page))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/", get(home));
    if dev { api.merge(auth::dev::router()) } else { api }
}

/// Who opens the service in a browser wants its description.
async fn home(base: BaseUrl) -> Redirect {
    Redirect::temporary(&base.join("/docs/"))
}

async fn no_path() -> Error {
    extract::path_not_found()
}

async fn no_method(method: Method) -> Error {
    let message = format!("This path does not take {method}; the Allow header says what it takes.");
    Error::new(ErrorCode::MethodNotAllowed, message)
}
