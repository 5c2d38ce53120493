//! What stands in for traces in a program without them.

use tracing::Span;
use tracing_subscriber::layer::Identity;

/// Nothing is sent.
#[derive(Debug)]
pub struct Traces;

/// No layer.
///
/// # Errors
/// Always: this program knows no collector.
pub fn layer(_endpoint: &str, _ca_bundle: Option<&[u8]>) -> Result<(Identity, Traces), String> {
    Err("this program was built without the feature `otlp`".to_owned())
}

/// Does nothing.
pub fn follow(_span: &Span, _traceparent: Option<&str>) {}

/// Nowhere.
#[must_use]
pub fn position() -> Option<String> {
    None
}

/// Does nothing.
pub fn failed(_span: &Span, _code: &str) {}
