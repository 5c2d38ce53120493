//! The worker's own port.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;

use super::Health;
use crate::metrics::Metrics;

/// `OpenMetrics` 1.0, which Prometheus asks for and reads.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Answers until it is aborted.
pub(super) async fn serve(listener: TcpListener, health: Health, metrics: Arc<Metrics>) {
    let routes = Router::new()
        .route("/livez", get(|State(health): State<Health>| async move { answer(health.live()) }))
        .route("/readyz", get(|State(health): State<Health>| async move { answer(health.ready()) }))
        .with_state(health)
        .route("/metrics", get(|State(metrics): State<Arc<Metrics>>| async move { exposition(&metrics) }))
        .with_state(metrics);
    if let Err(error) = axum::serve(listener, routes).await {
        tracing::error!(%error, "the probes have ended");
    }
}

fn answer(state: Result<(), String>) -> (StatusCode, String) {
    match state {
        Ok(()) => (StatusCode::OK, "ok\n".to_owned()),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
    }
}

fn exposition(metrics: &Metrics) -> impl IntoResponse + use<> {
    ([(CONTENT_TYPE, OPEN_METRICS)], metrics.text())
}
