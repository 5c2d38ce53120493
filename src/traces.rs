//! Traces for an OpenTelemetry collector, in programs that are built with the feature `otlp`; in others, nothing is traced.
//!
//! A request that changes something is a span, so is a build, and each of its steps. A position among them is the value of
//! a `traceparent` (W3C Trace Context, section 3.2). It comes with a request to the server, stays with the build in the
//! history, and goes with the build message to the worker.

#[cfg(not(feature = "otlp"))]
mod off;
#[cfg(feature = "otlp")]
mod otlp;

#[cfg(not(feature = "otlp"))]
pub use off::{Traces, failed, follow, layer, position};
#[cfg(feature = "otlp")]
pub use otlp::{Traces, failed, follow, layer, position};

/// The header that says what a request or a message belongs to.
pub const HEADER: &str = "traceparent";

/// The target of spans that only collectors see: logs name the build, and not each span within it.
pub const TARGET: &str = "slipway::trace";
