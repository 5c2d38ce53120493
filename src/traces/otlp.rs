//! OTLP over HTTP (OpenTelemetry protocol specification, "OTLP/HTTP"), sent in batches by a thread of its own.

use std::collections::HashMap;
use std::time::Duration;

use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::{Status, TraceContextExt as _, TracerProvider as _};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use tracing::{Metadata, Span, Subscriber};
use tracing_opentelemetry::{OpenTelemetryLayer, OpenTelemetrySpanExt as _};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{FilterFn, Filtered, filter_fn};
use tracing_subscriber::registry::LookupSpan;

use super::HEADER;
use crate::http;

/// How long a collector may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Sends what is left when it goes.
#[derive(Debug)]
pub struct Traces(SdkTracerProvider);

impl Drop for Traces {
    fn drop(&mut self) {
        // A collector that is away keeps nobody from going.
        let _ = self.0.shutdown_with_timeout(TIMEOUT);
    }
}

type OfCollector<S> = Filtered<OpenTelemetryLayer<S, SdkTracer>, FilterFn<fn(&Metadata<'_>) -> bool>, S>;

/// The layer that sends spans to a collector: `http://collector:4318`.
///
/// # Errors
/// Why there can be none.
pub fn layer<S>(endpoint: &str, ca_bundle: Option<&[u8]>) -> Result<(OfCollector<S>, Traces), String>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    http::install_tls();
    let certificates = ca_bundle.map(http::certificates).transpose().map_err(|error| error.to_string())?;
    // It has a runtime of its own, which must not be made within another.
    let client = std::thread::spawn(move || {
        let mut builder = reqwest::blocking::Client::builder().timeout(TIMEOUT).user_agent(http::USER_AGENT);
        if let Some(certificates) = certificates {
            builder = builder.tls_certs_merge(certificates);
        }
        builder.build()
    });
    let client =
        client.join().map_err(|_| "its client cannot be made".to_owned())?.map_err(|error| error.to_string())?;
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
        .with_timeout(TIMEOUT)
        .build()
        .map_err(|error| error.to_string())?;
    let version = opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let resource = Resource::builder().with_service_name("slipway").with_attribute(version).build();
    let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build();
    let ours: fn(&Metadata<'_>) -> bool = |metadata| metadata.is_span() && metadata.target().starts_with("slipway");
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("slipway")).with_filter(filter_fn(ours));
    Ok((layer, Traces(provider)))
}

/// Makes a span that has not begun a part of what a `traceparent` names; one that is none counts for nothing.
pub fn follow(span: &Span, traceparent: Option<&str>) {
    let Some(value) = traceparent else { return };
    let carrier = HashMap::from([(HEADER.to_owned(), value.to_owned())]);
    let context = TraceContextPropagator::new().extract(&carrier);
    if context.span().span_context().is_valid() {
        // Refused only where nobody collects.
        let _ = span.set_parent(context);
    }
}

/// Where this task stands, as the value of a `traceparent`; nothing where nobody collects.
#[must_use]
pub fn position() -> Option<String> {
    let mut carrier = HashMap::new();
    TraceContextPropagator::new().inject_context(&Span::current().context(), &mut carrier);
    carrier.remove(HEADER)
}

/// Notes that what a span stands for has failed, with the failure's code.
pub fn failed(span: &Span, code: &str) {
    span.set_status(Status::error(code.to_owned()));
    span.set_attribute("error.type", code.to_owned());
}
