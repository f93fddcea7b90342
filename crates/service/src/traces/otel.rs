//! OpenTelemetry: spans of this program become spans of a trace, which are sent by OTLP over HTTP.
//!
//! Invariants: it is set up by the variables that OpenTelemetry names (`OTEL_…`), and off unless one
//! says where to send to; a collector that is out of reach costs spans, never a request.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use opentelemetry::Key;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{TraceContextExt, TracerProvider};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{SpanExporter, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::runtime::Runtime;
use tracing::level_filters::LevelFilter;
use tracing::{Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

use super::HEADER;

const SERVICE_NAME: &str = "payouts";
/// How long the last spans may take to leave when the program ends.
const LAST: Duration = Duration::from_secs(3);
/// How long the collector has for a batch.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Makes a span that has not been entered yet part of a trace. What cannot be read is nobody's trace.
pub fn join(span: &Span, traceparent: Option<&str>) {
    let Some(traceparent) = traceparent else { return };
    let carrier = HashMap::from([(HEADER.to_owned(), traceparent.to_owned())]);
    let parent = TraceContextPropagator::new().extract(&carrier);
    if parent.span().span_context().is_valid() {
        // A span that nobody listens to, or that was entered already, has its own parent.
        drop(span.set_parent(parent));
    }
}

/// The trace context of a span, for others to [`join`].
pub fn context(span: &Span) -> Option<String> {
    let mut carrier = HashMap::new();
    TraceContextPropagator::new().inject_context(&span.context(), &mut carrier);
    carrier.remove(HEADER)
}

/// Sends spans until it is dropped, which sends what is left.
#[derive(Debug)]
pub struct Exporter {
    provider: SdkTracerProvider,
}

impl Exporter {
    /// As the environment says; `None`: it says nowhere.
    ///
    /// # Errors
    /// When it cannot be understood.
    pub fn from_environment() -> Result<Option<Self>, Box<dyn std::error::Error + Send + Sync>> {
        if !super::asked_for() {
            return Ok(None);
        }
        let exporter = SpanExporter::builder().with_http().with_http_client(Client::new()?).build()?;
        let provider = SdkTracerProvider::builder().with_resource(resource()).with_batch_exporter(exporter).build();
        Ok(Some(Self { provider }))
    }

    /// Hands it this program's spans and events: those of its libraries may hold filters and tokens.
    pub fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let own = filter_fn(|of| of.target().starts_with("payouts") && *of.level() <= LevelFilter::DEBUG)
            .with_max_level_hint(LevelFilter::DEBUG);
        tracing_opentelemetry::layer().with_tracer(self.provider.tracer(SERVICE_NAME)).with_filter(own)
    }
}

/// What sends: as `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` say, and `payouts` if they name nothing.
fn resource() -> Resource {
    let named = Resource::builder().build();
    let name = named.get_ref(&Key::from_static_str("service.name")).map(|name| name.to_string());
    if name.is_some_and(|name| !name.starts_with("unknown_service")) {
        return named;
    }
    Resource::builder().with_service_name(SERVICE_NAME).build()
}

impl Drop for Exporter {
    fn drop(&mut self) {
        if let Err(error) = self.provider.shutdown_with_timeout(LAST) {
            eprintln!("the last spans could not be sent: {error}");
        }
    }
}

/// Sends from a thread of its own: spans are batched where there is no runtime, and one that serves
/// requests must not be needed to tell how slow they are.
#[derive(Debug)]
struct Client {
    inner: reqwest::Client,
    runtime: Runtime,
}

impl Client {
    fn new() -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("payouts-traces")
            .enable_all()
            .build()?;
        Ok(Self { inner: reqwest::Client::builder().timeout(TIMEOUT).build()?, runtime })
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.inner.clone();
        self.runtime.spawn(async move { client.send_bytes(request).await }).await?
    }
}
