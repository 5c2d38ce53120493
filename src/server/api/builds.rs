//! Builds: listed, shown, cancelled, tried again.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::access::{Role, Who};
use super::super::http::json;
use super::super::http::problem::Problem;
use super::super::store::builds::{Build, Filter};
use super::super::store::{self, commit};
use super::super::{Shared, ask};
use super::once::{self, Once};
use super::openapi::Endpoint;
use super::view::{BuildList, BuildView, StateName};
use super::{Path, Query, endpoint, events, json_body_or_default, log, tagged};
use crate::message::BuildMessage;
use crate::model::failure::{Failure, FailureCode, Warning};
use crate::model::names::BuildId;
use crate::model::origin::Decision;
use crate::model::plan::PlannedToolchain;
use crate::model::report::BuildReport;
use crate::pipeline;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        endpoint("get", "/api/v1/builds", "listBuilds", "List builds, newest first", list)
            .query::<Wanted>()
            .answers::<BuildList>(200)
            .says(304, ""),
        endpoint("get", "/api/v1/builds/{id}", "showBuild", "Show a build", show)
            .answers::<BuildView>(200)
            .says(304, ""),
        endpoint("post", "/api/v1/builds/{id}/cancel", "cancelBuild", "Cancel a build", cancel)
            .needs(Role::Builder)
            .optional_body::<Reason>()
            .answers::<BuildView>(200),
        endpoint("post", "/api/v1/builds/{id}/retry", "retryBuild", "Build the same once more, under a new id", retry)
            .needs(Role::Builder)
            .header(once::HEADER.0, once::HEADER.1)
            .answers::<BuildView>(201)
            .refuses(&[409]),
        endpoint("get", "/api/v1/builds/{id}/log", "readLog", "Read the log, or a range of its bytes", log::read)
            .header("Range", "`bytes=FROM-TO`")
            .says(200, "text/plain")
            .says(206, "text/plain")
            .refuses(&[416]),
        endpoint(
            "get",
            "/api/v1/builds/{id}/events",
            "followLog",
            "Follow the log by server-sent events",
            events::follow,
        )
        .query::<events::From>()
        .header("Last-Event-ID", "The last event that was seen")
        .sends::<events::Sent>(200),
        endpoint(
            "get",
            "/api/v1/builds/{id}/dockerfile",
            "readDockerfile",
            "Read the Dockerfile that was built",
            dockerfile,
        )
        .says(200, "text/plain"),
        endpoint("get", "/api/v1/builds/{id}/plan", "showPlan", "Show what was decided, and why", plan)
            .answers::<Decided>(200),
        endpoint(
            "get",
            "/api/v1/builds/{id}/report",
            "showReport",
            "Show the report of a build that has ended",
            report,
        )
        .answers::<BuildReport>(200),
    ]
}

/// Which builds are listed.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Wanted {
    /// Of this product line.
    product_line: String,
    /// Of this application.
    application: String,
    /// In this state.
    state: Option<StateName>,
    /// Of this commit.
    commit: String,
    /// Of this branch, tag or reference.
    revision: String,
    /// With this text in application, revision, commit, id or title.
    search: String,
    /// Older than this: `next` of an earlier answer.
    before: String,
    /// How many at most.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u32>,
}

async fn list(
    State(shared): State<Arc<Shared>>,
    who: Who,
    headers: HeaderMap,
    Query(wanted): Query<Wanted>,
) -> Result<Response, Problem> {
    let limit = i64::from(wanted.limit.unwrap_or(50));
    if !(1..=200).contains(&limit) {
        return Err(Problem::bad_request("`limit` is 1 to 200"));
    }
    let before = match wanted.before.as_str() {
        "" => None,
        text => Some(cursor(text).ok_or_else(|| Problem::bad_request("`before` is not what an earlier answer gave"))?),
    };
    let product_line = if who.product_line == "*" { wanted.product_line } else { who.product_line.clone() };
    let filter = Filter {
        product_line,
        application: wanted.application,
        state: wanted.state.map(StateName::name).unwrap_or_default().to_owned(),
        commit: wanted.commit,
        revision: wanted.revision,
        search: wanted.search,
        before,
        limit: limit + 1,
    };
    let mut builds = shared.store.builds(&filter).await?;
    let more = builds.len() as u64 > limit.unsigned_abs();
    builds.truncate(usize::try_from(limit).unwrap_or_default());
    let next = builds.last().filter(|_| more).map(|last| format!("{}.{}", last.created_ms, last.id));
    let builds = builds.iter().map(|build| BuildView::of(&shared, build)).collect();
    Ok(tagged(&headers, &BuildList { builds, next }))
}

fn cursor(text: &str) -> Option<(i64, String)> {
    let (created_ms, id) = text.split_once('.')?;
    Some((created_ms.parse().ok()?, id.parse::<BuildId>().ok()?.to_string()))
}

/// A build that the asking one may see; to others there is none.
pub(in crate::server) async fn seen(shared: &Shared, who: &Who, id: &str) -> Result<(Build, BuildId), Problem> {
    let none = || Problem::not_found("there is no such build");
    let id: BuildId = id.parse().map_err(|_| none())?;
    let build =
        shared.store.build(id.as_str()).await?.filter(|build| who.sees(&build.product_line)).ok_or_else(none)?;
    Ok((build, id))
}

async fn show(
    State(shared): State<Arc<Shared>>,
    who: Who,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let (build, _) = seen(&shared, &who, &id).await?;
    Ok(tagged(&headers, &BuildView::of(&shared, &build)))
}

/// The most characters of a reason.
const LONGEST_REASON: usize = 500;

/// Why a build is not wanted any more.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Reason {
    /// For people; the report shows it.
    #[schemars(length(max = LONGEST_REASON))]
    reason: String,
}

async fn cancel(
    State(shared): State<Arc<Shared>>,
    who: Who,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let (build, _) = seen(&shared, &who, &id).await?;
    who.must_in(Role::Builder, &build.product_line)?;
    let Reason { reason } = json_body_or_default(request.into_body()).await?;
    if reason.chars().count() > LONGEST_REASON {
        return Err(Problem::bad_request(&format!("`reason` has {LONGEST_REASON} characters at most")));
    }
    cancelled(&shared, &build, &who.name, &reason).await?;
    let (build, _) = seen(&shared, &who, &id).await?;
    Ok(json(StatusCode::OK, &BuildView::of(&shared, &build)))
}

/// Cancels a build; one that has ended stays as it is.
pub(in crate::server) async fn cancelled(
    shared: &Arc<Shared>,
    build: &Build,
    who: &str,
    reason: &str,
) -> Result<(), Failure> {
    let mut change = shared.store.change().await?;
    if !shared.store.cancel(&mut change, &build.id, reason).await? {
        return Ok(());
    }
    store::audit::note(&mut change, who, "build.cancel", &build.id, reason).await?;
    commit(change).await?;
    let said = (!reason.is_empty()).then(|| reason.to_owned());
    shared.builds.cancel(&build.id, said.clone());
    // Nobody has it yet: this is its end. With a broker, the worker that takes it says so.
    if build.state == "queued" && shared.config.amqp.url.is_none() {
        let request = BuildMessage::parse(build.message.as_bytes())?.request()?;
        let why =
            said.map_or_else(|| "the build was cancelled".to_owned(), |why| format!("the build was cancelled: {why}"));
        let report = pipeline::refused(&request, Failure::new(FailureCode::Cancelled, why));
        ask::finish(shared, build, &report).await?;
    }
    shared.wake();
    Ok(())
}

async fn retry(
    State(shared): State<Arc<Shared>>,
    who: Who,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let (build, _) = seen(&shared, &who, &id).await?;
    who.must_in(Role::Builder, &build.product_line)?;
    let once = Once::of(&headers, &who, format!("retry {id}").as_bytes());
    if let Some(answer) = once.before(&shared).await? {
        return Ok(answer);
    }
    let again = retried(&shared, &build, &who.name, &once).await?;
    Ok(json(StatusCode::CREATED, &BuildView::of(&shared, &again)))
}

/// Asks for the same build under a new id.
pub(in crate::server) async fn retried(
    shared: &Shared,
    build: &Build,
    who: &str,
    once: &Once,
) -> Result<Build, Problem> {
    if !build.is_over() {
        return Err(Problem::conflict("the build has not ended"));
    }
    let mut message = BuildMessage::parse(build.message.as_bytes())?;
    message.id = ask::new_id();
    if message.supersede.is_some() && is_outdated(shared, build).await? {
        // What its branch has since is newer than it, although it is asked for later.
        message.supersede = None;
    }
    let mut again = Build::asked(&message, "retry", who)?;
    again.title.clone_from(&build.title);
    again.gitlab.clone_from(&build.gitlab);
    let mut change = shared.store.change().await?;
    once.keep(&mut change, &serde_json::to_string(&BuildView::of(shared, &again)).unwrap_or_default()).await?;
    ask::ask(shared, &mut change, &again).await?;
    commit(change).await?;
    ask::asked(shared, std::slice::from_ref(&again));
    Ok(again)
}

/// Whether another commit of the same branch was asked for after a build.
async fn is_outdated(shared: &Shared, build: &Build) -> Result<bool, Failure> {
    let newer = newer_like(shared, build).await?;
    Ok(newer.is_some_and(|newer| newer.commit != build.commit))
}

/// The newest build of the same branch, tag or merge request of an application, where that is another one.
pub(in crate::server) async fn newer_like(shared: &Shared, build: &Build) -> Result<Option<Build>, Failure> {
    let filter = Filter {
        product_line: build.product_line.clone(),
        application: build.application.clone(),
        revision: build.revision.clone(),
        limit: 1,
        ..Filter::default()
    };
    let newest = shared.store.builds(&filter).await?.into_iter().next();
    Ok(newest.filter(|newest| (newest.created_ms, &newest.id) > (build.created_ms, &build.id)))
}

async fn its_report(shared: &Shared, who: &Who, id: &str) -> Result<BuildReport, Problem> {
    let (build, _) = seen(shared, who, id).await?;
    let report = shared.store.report(&build.id).await?;
    report.ok_or_else(|| Problem::not_found("the build has not ended: it has no report yet"))
}

async fn report(
    State(shared): State<Arc<Shared>>,
    who: Who,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    Ok(tagged(&headers, &its_report(&shared, &who, &id).await?))
}

async fn dockerfile(State(shared): State<Arc<Shared>>, who: Who, Path(id): Path<String>) -> Result<Response, Problem> {
    let text = its_report(&shared, &who, &id).await?.dockerfile;
    let text = text.ok_or_else(|| Problem::not_found("the build came to no Dockerfile"))?;
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response())
}

/// What a build decided.
#[derive(Debug, Serialize, JsonSchema)]
struct Decided {
    /// How it was built.
    #[serde(skip_serializing_if = "Option::is_none")]
    toolchain: Option<PlannedToolchain>,
    /// Every decision with its origin.
    decisions: Vec<Decision>,
    /// What people should know.
    warnings: Vec<Warning>,
}

async fn plan(
    State(shared): State<Arc<Shared>>,
    who: Who,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let report = its_report(&shared, &who, &id).await?;
    let decided = Decided { toolchain: report.toolchain, decisions: report.decisions, warnings: report.warnings };
    Ok(tagged(&headers, &decided))
}
