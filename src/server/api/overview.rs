//! The whole at a glance: queue, workers, images, who changed what.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::Shared;
use super::super::access::{Role, Who};
use super::super::http::json;
use super::super::http::problem::Problem;
use super::super::store::audit;
use super::super::store::builds::Filter;
use super::openapi::Endpoint;
use super::view::BuildView;
use super::{Query, endpoint, tagged};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        endpoint("get", "/api/v1/queue", "showQueue", "Show what runs and what waits", queue).answers::<Queue>(200),
        endpoint("get", "/api/v1/workers", "listWorkers", "List who builds now, and what", workers)
            .answers::<BTreeMap<String, Vec<String>>>(200),
        endpoint("get", "/api/v1/images", "listImages", "List the newest images", images)
            .query::<Images>()
            .answers::<Vec<Image>>(200),
        endpoint("get", "/api/v1/audit", "listChanges", "List who changed what, newest first", changes)
            .needs(Role::Admin)
            .query::<Changes>()
            .answers::<Vec<audit::Entry>>(200),
    ]
}

/// What runs and what waits.
#[derive(Debug, Serialize, JsonSchema)]
struct Queue {
    /// Builds that run.
    running: Vec<BuildView>,
    /// Builds that wait, newest first.
    queued: Vec<BuildView>,
}

async fn in_state(shared: &Shared, who: &Who, state: &str) -> Result<Vec<BuildView>, Problem> {
    let product_line = if who.product_line == "*" { String::new() } else { who.product_line.clone() };
    let filter = Filter { state: state.to_owned(), product_line, limit: 200, ..Filter::default() };
    Ok(shared.store.builds(&filter).await?.iter().map(|build| BuildView::of(shared, build)).collect())
}

async fn queue(State(shared): State<Arc<Shared>>, who: Who) -> Result<Response, Problem> {
    let (running, queued) = (in_state(&shared, &who, "running").await?, in_state(&shared, &who, "queued").await?);
    Ok(json(StatusCode::OK, &Queue { running, queued }))
}

async fn workers(State(shared): State<Arc<Shared>>, who: Who) -> Result<Response, Problem> {
    let mut workers: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for build in in_state(&shared, &who, "running").await? {
        workers.entry(build.worker).or_default().push(build.id);
    }
    Ok(json(StatusCode::OK, &workers))
}

/// Whose images are listed.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Images {
    /// Of this product line.
    product_line: String,
    /// Of this application.
    application: String,
}

/// An image that a build pushed.
#[derive(Debug, Serialize, JsonSchema)]
struct Image {
    /// The build.
    build: String,
    /// What it is called.
    references: Vec<String>,
    /// The manifest's digest.
    digest: String,
    /// Bytes.
    size: u64,
    /// The commit.
    commit: String,
}

async fn images(
    State(shared): State<Arc<Shared>>,
    who: Who,
    headers: HeaderMap,
    Query(wanted): Query<Images>,
) -> Result<Response, Problem> {
    let product_line = if who.product_line == "*" { wanted.product_line } else { who.product_line.clone() };
    let filter = Filter {
        product_line,
        application: wanted.application,
        state: "succeeded".to_owned(),
        limit: 50,
        ..Filter::default()
    };
    let mut images = Vec::new();
    for build in shared.store.builds(&filter).await? {
        let report = shared.store.report(&build.id).await?;
        let image = report.and_then(|report| report.image).filter(|image| image.pushed);
        images.extend(image.map(|image| Image {
            build: build.id,
            references: image.references,
            digest: image.digest,
            size: image.size,
            commit: build.commit,
        }));
    }
    Ok(tagged(&headers, &images))
}

/// Which changes are listed.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Changes {
    /// By whom.
    who: String,
    /// Of this kind: `application.put`.
    action: String,
    /// To this: a build's or token's id, or `PRODUCT_LINE/APPLICATION`.
    object: String,
    /// Made before this one: the `id` of the last of an earlier answer.
    before: String,
    /// How many at most; 500 if absent.
    #[schemars(range(min = 1, max = 500))]
    limit: Option<u32>,
}

async fn changes(
    State(shared): State<Arc<Shared>>,
    who: Who,
    Query(wanted): Query<Changes>,
) -> Result<Response, Problem> {
    who.must_in(Role::Admin, "*")?;
    let limit = i64::from(wanted.limit.unwrap_or(500));
    if !(1..=500).contains(&limit) {
        return Err(Problem::bad_request("`limit` is 1 to 500"));
    }
    if !wanted.before.is_empty() && !shared.store.is_noted(&wanted.before).await? {
        return Err(Problem::bad_request("`before` is not what an earlier answer gave"));
    }
    let Changes { who, action, object, before, .. } = wanted;
    Ok(json(StatusCode::OK, &shared.store.audit(&audit::Wanted { who, action, object, before, limit }).await?))
}
