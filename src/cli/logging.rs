//! What the program says of itself: logs to stderr, traces to a collector.

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

use super::args::{Cli, LogFormat, Verb};
use super::setup::{ca_bundle, config};
use crate::traces::{self, Traces};

/// Structured logs to stderr, as loud as the flags say; and traces, as long as what comes back is held.
pub(super) fn start(cli: &Cli) -> Option<Traces> {
    let worker = match &cli.verb {
        Verb::Worker(flags) => Some(flags.log_format),
        Verb::Server(flags) => Some(flags.common.log_format),
        _ => None,
    };
    let level = match (cli.quiet, cli.verbose) {
        (true, _) => "error",
        // What the broker's library calls an error is told by us, where it is one.
        (false, 0) if worker.is_none() => "warn,lapin=off",
        (false, 0 | 1) => "slipway=info,warn,lapin=off",
        (false, 2) => "slipway=debug,info",
        _ => "debug",
    };
    let filter = EnvFilter::new(format!("{level},{}=off", traces::TARGET));
    let colours = anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never;
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(colours).with_target(false);
    let lines = match worker {
        Some(LogFormat::Json) => {
            lines.json().flatten_event(true).with_current_span(true).with_span_list(false).with_filter(filter).boxed()
        }
        _ => lines.with_filter(filter).boxed(),
    };
    // What is wrong with the configuration is said by whoever needs it.
    let config = worker.and_then(|_| config(cli).ok());
    let endpoint = config.as_ref().and_then(|config| config.traces.endpoint.as_deref());
    let bundle = config.as_ref().and_then(ca_bundle).and_then(|path| std::fs::read(path).ok());
    let (layer, traces, trouble) = match endpoint.map(|endpoint| traces::layer(endpoint, bundle.as_deref())) {
        None => (None, None, None),
        Some(Ok((layer, sent))) => (Some(layer), Some(sent), None),
        Some(Err(why)) => (None, None, Some(why)),
    };
    tracing_subscriber::registry().with(layer).with(lines).init();
    if let Some(why) = trouble {
        tracing::warn!(why, "`traces.endpoint` gets no traces");
    }
    traces
}
