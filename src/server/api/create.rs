//! Asking for builds and plans by message.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use super::super::access::{Role, Who};
use super::super::http::problem::Problem;
use super::super::http::{body, json, json_text};
use super::super::store::builds::Build;
use super::super::store::commit;
use super::super::{Shared, ask};
use super::endpoint;
use super::once::{self, Once};
use super::openapi::Endpoint;
use super::view::BuildView;
use crate::message::{BuildMessage, MAX_BYTES};
use crate::model::plan::Plan;
use crate::pipeline;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        endpoint("post", "/api/v1/builds", "createBuild", "Ask for a build; the body is a build message", create)
            .needs(Role::Builder)
            .header(once::HEADER.0, once::HEADER.1)
            .body::<BuildMessage>()
            .answers::<BuildView>(201)
            .answers::<BuildView>(200)
            .refuses(&[409, 422]),
        endpoint("post", "/api/v1/plans", "createPlan", "Plan without building; the body is a build message", plan)
            .needs(Role::Builder)
            .body::<BuildMessage>()
            .answers::<Plan>(200)
            .refuses(&[422]),
    ]
}

async fn create(
    State(shared): State<Arc<Shared>>,
    who: Who,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Problem> {
    let raw = body::read(request.into_body(), MAX_BYTES).await?;
    let message = BuildMessage::parse(&raw)?;
    who.must_in(Role::Builder, message.application.product_line.as_str())?;
    let once = Once::of(&headers, &who, &raw);
    if let Some(answer) = once.before(&shared).await? {
        return Ok(answer);
    }
    if let Some(known) = shared.store.build(message.id.as_str()).await? {
        return same(&shared, &who, &known, &message);
    }
    let build = Build::asked(&pinned(&shared, message.clone()).await?, "api", &who.name)?;
    let view = serde_json::to_string(&BuildView::of(&shared, &build)).unwrap_or_default();
    let mut change = shared.store.change().await?;
    once.keep(&mut change, &view).await?;
    if !ask::ask(&shared, &mut change, &build).await? {
        drop(change);
        let known = shared.store.build(message.id.as_str()).await?;
        let known = known.ok_or_else(|| Problem::conflict("the id is taken"))?;
        return same(&shared, &who, &known, &message);
    }
    commit(change).await?;
    ask::asked(&shared, &[build]);
    Ok(json_text(StatusCode::CREATED, view))
}

/// The same request under the same id is no other build.
fn same(shared: &Shared, who: &Who, known: &Build, message: &BuildMessage) -> Result<Response, Problem> {
    let mut before = BuildMessage::parse(known.message.as_bytes())?;
    if message.source.commit.is_none() {
        before.source.commit = None;
    }
    if before != *message || !who.sees(&known.product_line) {
        return Err(Problem::new(409, "id_reused", "another request was made under the same id before"));
    }
    Ok(json(StatusCode::OK, &BuildView::of(shared, known)))
}

/// The message with its commit: a branch that moves on is not built twice under one id.
async fn pinned(shared: &Shared, mut message: BuildMessage) -> Result<BuildMessage, Problem> {
    let services = shared.services.borrow().clone();
    let request = message.request()?;
    if message.source.commit.is_none() {
        message.source.commit = pipeline::source::commit_of(&services, &request).await?;
    } else {
        // What may not be cloned is not even written down.
        pipeline::source::permitted(&services, &request).await?;
    }
    Ok(message)
}

async fn plan(State(shared): State<Arc<Shared>>, who: Who, request: Request) -> Result<Response, Problem> {
    let raw = body::read(request.into_body(), MAX_BYTES).await?;
    let message = BuildMessage::parse(&raw)?;
    who.must_in(Role::Builder, message.application.product_line.as_str())?;
    let services = shared.services.borrow().clone();
    let request = message.request()?;
    let source = pipeline::source::fetch(&services, &request).await?;
    let plan = pipeline::plan(&services, &request, &source).await?;
    Ok(json(StatusCode::OK, &plan))
}
