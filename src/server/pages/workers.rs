//! Who builds, and what.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};

use super::{Refused, Viewer, overview, page};
use crate::server::Shared;
use crate::server::store::builds::{Build, Filter};
use crate::server::store::workers::Worker;
use crate::server::store::{milliseconds, now, time};

/// How long somebody is shown after the last build.
const SHOWN: Duration = Duration::from_hours(7 * 24);

/// Builds that are shown as running.
const RUNNING: i64 = 200;

pub(super) async fn workers(State(shared): State<Arc<Shared>>, Viewer(who): Viewer) -> Result<Response, Refused> {
    let found = shared.store.workers(now() - milliseconds(SHOWN), &who.product_line).await?;
    let product_line = if who.product_line == "*" { String::new() } else { who.product_line.clone() };
    let filter = Filter { state: "running".to_owned(), product_line, limit: RUNNING, ..Filter::default() };
    let running = shared.store.builds(&filter).await?;
    let rows: Vec<Value> = found.iter().map(|worker| row(&shared, worker, &running)).collect();
    page(&who, "workers.html", "Workers", json!({ "workers": rows }))
}

fn row(shared: &Shared, worker: &Worker, running: &[Build]) -> Value {
    let own: Vec<Build> = running.iter().filter(|build| build.worker == worker.name).cloned().collect();
    json!({
        "name": worker.name, "own": worker.name == shared.name, "builds": worker.builds, "succeeded": worker.succeeded,
        "seen": time(worker.seen_ms), "running": overview::rows(shared, &own),
    })
}
