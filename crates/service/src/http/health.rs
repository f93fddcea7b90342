//! Whether the process lives, and whether it can do its work.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::error::Error;
use crate::app::App;

/// `/healthz`: the process answers.
pub async fn healthz() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

/// `/readyz`: the store answers, and the service is not stopping.
pub async fn readyz(State(app): State<Arc<App>>) -> Result<Json<Value>, Error> {
    if app.stop.is_cancelled() {
        return Err(Error::unavailable("The service is stopping."));
    }
    if let Err(error) = app.store.ping().await {
        tracing::warn!(error = %error, "the store does not answer");
        return Err(Error::unavailable("The store does not answer."));
    }
    Ok(Json(json!({ "status": "ready" })))
}
