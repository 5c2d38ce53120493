//! Applications: listed, changed, brought back.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::access::{Role, Who};
use super::super::application::{Application, Wanted};
use super::super::apply::{Applied, Apply, apply_all, store_one};
use super::super::gitlab::project;
use super::super::http::problem::Problem;
use super::super::http::{body, json};
use super::super::store::applications::{Stored, held};
use super::super::store::builds::{Build, Place};
use super::super::store::commit;
use super::super::{Shared, ask};
use super::once::{self, Once};
use super::openapi::Endpoint;
use super::view::{ApplicationView, BuildView};
use super::{Path, endpoint, etag, json_body_or_default, json_of, tagged};
use crate::message::MAX_BYTES;
use crate::pipeline;

/// The most bytes of a file of applications: thousands of them.
const FILE: usize = 8 << 20;

const ONE: &str = "/api/v1/applications/{product_line}/{name}";

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        endpoint("get", "/api/v1/applications", "listApplications", "List applications", list)
            .answers::<Vec<ApplicationView>>(200)
            .says(304, ""),
        endpoint(
            "post",
            "/api/v1/applications/apply",
            "applyApplications",
            "Make applications what a file says",
            apply,
        )
        .needs(Role::Admin)
        .body::<Apply>()
        .answers::<Vec<Applied>>(200),
        endpoint("get", ONE, "showApplication", "Show an application", show)
            .answers::<ApplicationView>(200)
            .says(304, ""),
        endpoint("put", ONE, "putApplication", "Make or change an application", put)
            .needs(Role::Admin)
            .header("If-Match", "The `ETag` of the application that is changed")
            .body::<Application>()
            .answers::<ApplicationView>(200)
            .refuses(&[412]),
        endpoint("delete", ONE, "removeApplication", "Remove an application; its versions and builds stay", remove)
            .needs(Role::Admin)
            .says(204, ""),
        endpoint(
            "get",
            "/api/v1/applications/{product_line}/{name}/versions",
            "listVersions",
            "List every version, newest first",
            versions,
        )
        .answers::<Vec<ApplicationView>>(200),
        endpoint(
            "post",
            "/api/v1/applications/{product_line}/{name}/versions/{version}/restore",
            "restoreVersion",
            "Make an earlier version the newest",
            restore,
        )
        .needs(Role::Admin)
        .answers::<ApplicationView>(200),
        endpoint(
            "post",
            "/api/v1/applications/{product_line}/{name}/builds",
            "buildApplication",
            "Build a revision of the application",
            build,
        )
        .needs(Role::Builder)
        .header(once::HEADER.0, once::HEADER.1)
        .optional_body::<Asked>()
        .answers::<BuildView>(201)
        .refuses(&[422]),
    ]
}

async fn list(State(shared): State<Arc<Shared>>, who: Who, headers: HeaderMap) -> Result<Response, Problem> {
    let stored = shared.store.applications(&who.product_line).await?;
    Ok(tagged(&headers, &stored.iter().map(ApplicationView::of).collect::<Vec<_>>()))
}

/// An application that the asking one may see.
pub(in crate::server) async fn seen(
    shared: &Shared,
    who: &Who,
    product_line: &str,
    name: &str,
) -> Result<Stored, Problem> {
    let stored = shared.store.application(product_line, name).await?.filter(|stored| who.sees(&stored.product_line));
    stored.ok_or_else(|| Problem::not_found("there is no such application"))
}

async fn show(
    State(shared): State<Arc<Shared>>,
    who: Who,
    headers: HeaderMap,
    Path((product_line, name)): Path<(String, String)>,
) -> Result<Response, Problem> {
    Ok(tagged(&headers, &ApplicationView::of(&seen(&shared, &who, &product_line, &name).await?)))
}

async fn put(
    State(shared): State<Arc<Shared>>,
    who: Who,
    headers: HeaderMap,
    Path((product_line, name)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Problem> {
    who.must_in(Role::Admin, &product_line)?;
    let application = Application::parse(&body::read(request.into_body(), MAX_BYTES).await?)?;
    if application.product_line.as_str() != product_line || application.name.as_str() != name {
        return Err(Problem::bad_request("`product_line` and `name` are those of the address"));
    }
    let mut change = shared.store.change().await?;
    if let Some(wanted) = headers.get(header::IF_MATCH).and_then(|value| value.to_str().ok()) {
        let now = held(&mut change, &product_line, &name).await?;
        let now = now.map(|stored| etag(&serde_json::to_string(&ApplicationView::of(&stored)).unwrap_or_default()));
        let fits = now.is_some_and(|now| wanted.trim() == "*" || wanted.split(',').any(|one| one.trim() == now));
        if !fits {
            return Err(Problem::new(412, "precondition_failed", "the application has changed meanwhile"));
        }
    }
    store_one(&mut change, &who.name, &application).await?;
    commit(change).await?;
    Ok(json(StatusCode::OK, &ApplicationView::of(&seen(&shared, &who, &product_line, &name).await?)))
}

async fn remove(
    State(shared): State<Arc<Shared>>,
    who: Who,
    Path((product_line, name)): Path<(String, String)>,
) -> Result<Response, Problem> {
    who.must_in(Role::Admin, &product_line)?;
    seen(&shared, &who, &product_line, &name).await?;
    let mut change = shared.store.change().await?;
    super::super::apply::remove_one(&mut change, &who.name, &product_line, &name).await?;
    commit(change).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn versions(
    State(shared): State<Arc<Shared>>,
    who: Who,
    headers: HeaderMap,
    Path((product_line, name)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let versions = shared.store.versions(&product_line, &name).await?;
    if versions.is_empty() || !who.sees(&product_line) {
        return Err(Problem::not_found("there is no such application"));
    }
    Ok(tagged(&headers, &versions.iter().map(ApplicationView::of).collect::<Vec<_>>()))
}

async fn restore(
    State(shared): State<Arc<Shared>>,
    who: Who,
    Path((product_line, name, version)): Path<(String, String, String)>,
) -> Result<Response, Problem> {
    who.must_in(Role::Admin, &product_line)?;
    restored(&shared, &who.name, &product_line, &name, &version).await?;
    Ok(json(StatusCode::OK, &ApplicationView::of(&seen(&shared, &who, &product_line, &name).await?)))
}

/// Makes an earlier version the newest.
pub(in crate::server) async fn restored(
    shared: &Shared,
    who: &str,
    product_line: &str,
    name: &str,
    version: &str,
) -> Result<(), Problem> {
    let versions = shared.store.versions(product_line, name).await?;
    let wanted = versions.into_iter().find(|stored| stored.version.to_string() == version && !stored.body.is_empty());
    let wanted = wanted.ok_or_else(|| Problem::not_found("there is no such version that can be brought back"))?;
    let application = Application::stored(&wanted.body)?;
    let mut change = shared.store.change().await?;
    store_one(&mut change, who, &application).await?;
    commit(change).await?;
    Ok(())
}

/// Which revision is built.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Asked {
    /// Branch, tag or commit; the default branch if empty.
    revision: String,
}

async fn build(
    State(shared): State<Arc<Shared>>,
    who: Who,
    headers: HeaderMap,
    Path((product_line, name)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Problem> {
    let stored = seen(&shared, &who, &product_line, &name).await?;
    who.must_in(Role::Builder, &product_line)?;
    let Asked { revision } = json_body_or_default(request.into_body()).await?;
    let once = Once::of(&headers, &who, format!("build {product_line}/{name} {revision}").as_bytes());
    if let Some(answer) = once.before(&shared).await? {
        return Ok(answer);
    }
    let build = built(&shared, &stored, &revision, ("api", &who.name), &once).await?;
    Ok(json(StatusCode::CREATED, &BuildView::of(&shared, &build)))
}

/// Asks for a build of an application's revision.
pub(in crate::server) async fn built(
    shared: &Shared,
    stored: &Stored,
    revision: &str,
    (cause, who): (&str, &str),
    once: &Once,
) -> Result<Build, Problem> {
    let application = Application::stored(&stored.body)?;
    let revision = match revision.trim() {
        "" => None,
        text => Some(text.parse().map_err(|error| Problem::bad_request(&format!("`revision`: {error}")))?),
    };
    let mut wanted = Wanted { revision, commit: None, tag: None, merge_request: None, untrusted: false };
    let day: String = crate::clock::now().chars().take(10).collect();
    let id = ask::new_id();
    let request = application.message(id.clone(), &wanted, &day)?.request()?;
    let services = shared.services.borrow().clone();
    let meant = pipeline::source::meant(&services, &request).await?;
    wanted.commit = Some(meant.commit);
    let reference = meant.reference.unwrap_or_default();
    wanted.tag = reference.strip_prefix("refs/tags/").map(str::to_owned);
    // A branch by its own name, as a webhook calls it: the two take each other's place.
    let short = reference.strip_prefix("refs/heads/").or(wanted.tag.as_deref());
    wanted.revision = short.and_then(|name| name.parse().ok()).or(wanted.revision);
    let mut message = application.message(id, &wanted, &day)?;
    if reference.is_empty() {
        // A commit is no branch whose newer builds take its place.
        message.supersede = None;
    }
    let mut build = Build::asked(&message, cause, who)?;
    if application.notify.commit_status {
        let place = Place { path: project::of(&shared.config, &application), ..Place::default() };
        build.gitlab = serde_json::to_string(&place).unwrap_or_default();
    }
    let mut change = shared.store.change().await?;
    once.keep(&mut change, &serde_json::to_string(&BuildView::of(shared, &build)).unwrap_or_default()).await?;
    ask::ask(shared, &mut change, &build).await?;
    commit(change).await?;
    ask::asked(shared, std::slice::from_ref(&build));
    Ok(build)
}

async fn apply(State(shared): State<Arc<Shared>>, who: Who, request: Request) -> Result<Response, Problem> {
    who.must(Role::Admin)?;
    let asked: Apply = json_of(&body::read(request.into_body(), FILE).await?)?;
    for application in &asked.application {
        application.check()?;
        who.must_in(Role::Admin, application.product_line.as_str())?;
    }
    let applied = apply_all(&shared, &who, &asked).await?;
    Ok(json(StatusCode::OK, &applied))
}
