//! The overview: what runs, what waits, what ended; with a search.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Refused, Viewer, address, page, words};
use crate::server::Shared;
use crate::server::api::view::{BuildView, StateName};
use crate::server::store::builds::{Build, Filter, SEARCHED};

/// Builds on one page.
const PAGE: i64 = 30;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    search: String,
    state: String,
    product_line: String,
    before: String,
}

pub(super) async fn overview(
    State(shared): State<Arc<Shared>>,
    Viewer(who): Viewer,
    Query(asked): Query<Asked>,
) -> Result<Response, Refused> {
    let product_line = if who.product_line == "*" { asked.product_line.clone() } else { who.product_line.clone() };
    let before = asked.before.split_once('.').and_then(|(at, id)| Some((at.parse().ok()?, id.to_owned())));
    let filter = Filter {
        product_line: product_line.clone(),
        search: asked.search.chars().take(200).collect(),
        state: asked.state.clone(),
        before,
        limit: PAGE + 1,
        ..Filter::default()
    };
    let mut found = shared.store.builds(&filter).await?;
    let last = (found.len() as u64 > PAGE.unsigned_abs()).then(|| {
        found.truncate(usize::try_from(PAGE).unwrap_or_default());
        found.last().map(|last| format!("{}.{}", last.created_ms, last.id)).unwrap_or_default()
    });
    let next = last.map(|last| {
        let (search, state) = (asked.search.as_str(), asked.state.as_str());
        let product_line = asked.product_line.as_str();
        address("/", &[("search", search), ("state", state), ("product_line", product_line), ("before", &last)])
    });
    let mut current = Vec::new();
    for state in ["running", "queued"] {
        let filter =
            Filter { product_line: product_line.clone(), state: state.to_owned(), limit: 50, ..Filter::default() };
        current.extend(shared.store.builds(&filter).await?);
    }
    let values = json!({
        "current": rows(&shared, &current),
        "builds": rows(&shared, &found),
        "searched": SEARCHED,
        "next": next.unwrap_or_default(),
        "search": asked.search, "state": asked.state, "product_line": asked.product_line,
        "states": StateName::ALL.map(StateName::name),
    });
    page(&who, "overview.html", "Builds", values)
}

/// Builds as rows of a table.
pub(super) fn rows(shared: &Shared, builds: &[Build]) -> Vec<Value> {
    builds.iter().map(|build| row(shared, build)).collect()
}

pub(super) fn row(shared: &Shared, build: &Build) -> Value {
    let view = BuildView::of(shared, build);
    let mut row = json!(view);
    let going = if view.cancelled && !build.is_over() { ", to be cancelled" } else { "" };
    row["state_words"] = json!(format!("{}{going}", words::state(&view.state)));
    row["short"] = json!(words::short(&view.commit));
    row["duration"] = json!(words::duration(view.duration_ms));
    row["size_words"] = json!(words::size(view.size));
    row
}
