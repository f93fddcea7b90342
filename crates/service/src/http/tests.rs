//! The router over a real store, with tokens of the development issuer; no worker runs, so that
//! every Export stays as the tests put it.

mod downloads;
mod exports;
mod frame;
mod overload;
mod previews;
mod wire;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use payouts_model::time::ManualClock;
use payouts_model::{Clock, ExportId, Grant, Pair, ParticipantId, PrincipalId, Role, TenantId, Timestamp};
use payouts_store::audit::By;
use serde_json::Value;
use tower::ServiceExt;

use crate::App;
use crate::auth::dev::TokenRequest;
use crate::config::Config;

/// A service in a folder of its own.
pub struct TestApp {
    pub app: Arc<App>,
    pub clock: ManualClock,
    router: Router,
    _folder: tempfile::TempDir,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub bytes: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes)
            .unwrap_or_else(|e| panic!("{e}: {:?}", String::from_utf8_lossy(&self.bytes)))
    }
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }
    /// The code of an error body, after checking the body against the headers.
    pub fn code(&self) -> String {
        let json = self.json();
        assert_eq!(json["error"]["innererror"]["requestId"], self.header("request-id"));
        assert!(!json["error"]["message"].as_str().unwrap().is_empty());
        json["error"]["code"].as_str().unwrap().to_owned()
    }
    pub fn id(&self) -> ExportId {
        self.json()["requestId"].as_str().unwrap().parse().unwrap()
    }
}

impl TestApp {
    pub async fn open() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::dev(folder.path(), "127.0.0.1:7070".parse().unwrap()).unwrap();
        change(&mut config);
        // Within the life of the tokens, which the development issuer stamps by this clock.
        let clock = ManualClock::new(Timestamp(1_782_820_800_000_000));
        let app = App::open(config, Arc::new(clock.clone())).await.unwrap();
        let router = super::router(app.clone());
        Self { app, clock, router, _folder: folder }
    }

    /// Grants participants to a principal (or everybody) of a tenant.
    pub async fn grant(&self, tenant: &str, principal: Option<&str>, participant: Option<&str>, role: Role) {
        let pair = Pair { participant: participant.map(ParticipantId::new), program: None };
        let principal = principal.map(PrincipalId::new);
        let grant = Grant { tenant: TenantId::new(tenant), principal, pair, role, until: None };
        self.app.store.grant(&[grant], &self.by()).await.unwrap();
    }

    /// Somebody who grants, now.
    pub fn by(&self) -> By {
        By::operator("op", self.clock.now())
    }

    pub fn token(&self, tenant: &str, principal: &str) -> String {
        let request = TokenRequest::new(TenantId::new(tenant), PrincipalId::new(principal), self.clock.now());
        self.app.tokens.dev().unwrap().sign(&request).unwrap()
    }

    /// Sends a request; `who` is `tenant/principal`, empty for nobody.
    pub async fn send(&self, method: Method, path: &str, who: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header("host", "localhost:7070");
        if let Some((tenant, principal)) = who.split_once('/') {
            request = request.header("authorization", format!("Bearer {}", self.token(tenant, principal)));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.router.clone().oneshot(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes().to_vec();
        assert!(!parts.headers.get("request-id").unwrap().is_empty());
        Answer { status: parts.status, headers: parts.headers, bytes }
    }

    pub async fn get(&self, path: &str, who: &str) -> Answer {
        self.send(Method::GET, path, who, &[], "").await
    }
    pub async fn post(&self, path: &str, who: &str) -> Answer {
        self.send(Method::POST, path, who, &[], "").await
    }
    pub async fn delete(&self, path: &str, who: &str) -> Answer {
        self.send(Method::DELETE, path, who, &[], "").await
    }
}
