//! The trace that a request is part of: taken over from the caller, kept with the Export, and taken
//! up again by the worker, so that one trace shows a request from its POST to its file.
//!
//! Invariants: without the feature `otel` nothing is traced and nothing kept; spans hold ids, names of
//! routes and steps, and counts, as the log does, never a filter, a token, a link or an amount.
//!
//! Rooms: `otel` (OpenTelemetry: spans are sent by OTLP over HTTP).

#[cfg(feature = "otel")]
mod otel;

#[cfg(feature = "otel")]
pub use otel::{Exporter, context, join};

/// The header in which W3C's trace context comes.
pub const HEADER: &str = "traceparent";

/// The variables that say where to send spans: either switches tracing on.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];

/// Whether the environment says where to send spans.
pub fn asked_for() -> bool {
    ENDPOINTS.iter().any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
}

/// Makes a span that has not been entered yet part of a trace. What cannot be read is nobody's trace.
#[cfg(not(feature = "otel"))]
pub fn join(_span: &tracing::Span, _traceparent: Option<&str>) {}

/// The trace context of a span, for others to [`join`].
#[cfg(not(feature = "otel"))]
pub fn context(_span: &tracing::Span) -> Option<String> {
    None
}
