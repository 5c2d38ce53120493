//! Pages of applications: all of them, and one with how its builds went over time.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Refused, Viewer, address, overview, page, words};
use crate::server::Shared;
use crate::server::api::application_seen as seen;
use crate::server::application::Application;
use crate::server::http::problem::Problem;
use crate::server::store::applications::Stored;
use crate::server::store::builds::{Build, Filter};
use crate::server::store::time;

/// Builds that the charts show.
const SHOWN: i64 = 40;

/// Builds whose success is one figure.
const TEN: usize = 10;

/// Notices of the registry that are shown.
const NOTICES: i64 = 20;

/// Applications on one page.
const PAGE: i64 = 100;

/// Versions that are shown at first.
const VERSIONS: usize = 20;

/// Which applications are shown.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    product_line: String,
    search: String,
    /// Behind this one.
    after: String,
}

pub(super) async fn all(
    State(shared): State<Arc<Shared>>,
    Viewer(who): Viewer,
    Query(asked): Query<Asked>,
) -> Result<Response, Refused> {
    let search: String = asked.search.chars().take(200).collect();
    let wanted = if asked.product_line.is_empty() { "*" } else { asked.product_line.as_str() };
    let product_line = if who.product_line == "*" { wanted } else { who.product_line.as_str() };
    let (rows, last) = rows(&shared, product_line, &search, &asked.after).await?;
    let next = last.map(|last| {
        let pairs = [("product_line", &asked.product_line), ("search", &asked.search), ("after", &last)];
        address("/applications", &pairs.map(|(key, value)| (key, value.as_str())))
    });
    let values = json!({
        "applications": rows, "next": next.unwrap_or_default(),
        "search": asked.search, "product_line": asked.product_line, "all": asked.after.is_empty(),
    });
    page(&who, "applications.html", "Applications", values)
}

/// The next applications of a product line (`*` for all), each with its last build; and behind which others follow.
pub(super) async fn rows(
    shared: &Shared,
    product_line: &str,
    search: &str,
    after: &str,
) -> Result<(Vec<Value>, Option<String>), Refused> {
    let after = after.split_once('/').unwrap_or_default();
    let mut found = shared.store.some_applications(product_line, search, after, PAGE + 1).await?;
    let more = found.len() as u64 > PAGE.unsigned_abs();
    found.truncate(usize::try_from(PAGE).unwrap_or_default());
    let last = found.last().filter(|_| more).map(|last| format!("{}/{}", last.product_line, last.name));
    let mut rows = Vec::new();
    for stored in found {
        let last = builds(shared, &stored.product_line, &stored.name, 1).await?;
        rows.push(json!({
            "product_line": stored.product_line, "name": stored.name, "version": stored.version,
            "repository": application_of(&stored).map(|application| application.repository.to_string()).unwrap_or_default(),
            "last": overview::rows(shared, &last),
        }));
    }
    Ok((rows, last))
}

/// Which versions are shown.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Shown {
    /// `all`, or the newest.
    versions: String,
}

pub(super) async fn application(
    State(shared): State<Arc<Shared>>,
    Viewer(who): Viewer,
    Path((product_line, name)): Path<(String, String)>,
    Query(shown): Query<Shown>,
) -> Result<Response, Refused> {
    let stored = match seen(&shared, &who, &product_line, &name).await {
        Ok(stored) => Some(stored),
        // What others ask for by message, or was removed, has its builds and versions all the same.
        Err(problem) if problem.status == 404 && who.sees(&product_line) => None,
        Err(problem) => return Err(problem.into()),
    };
    let found = builds(&shared, &product_line, &name, SHOWN).await?;
    let mut versions = shared.store.versions(&product_line, &name).await?;
    if stored.is_none() && found.is_empty() && versions.is_empty() {
        return Err(Problem::not_found("there is no such application").into());
    }
    let earlier = if shown.versions == "all" { 0 } else { versions.len().saturating_sub(VERSIONS) };
    versions.truncate(versions.len() - earlier);
    let version = |stored: &Stored| json!({ "version": stored.version, "at": time(stored.changed_ms), "who": stored.who, "removed": stored.body.is_empty() });
    let settings = stored.as_ref().and_then(application_of).and_then(|one| toml::to_string_pretty(&one).ok());
    let kept = stored.is_some();
    let stored = stored.unwrap_or_default();
    let over: Vec<&Build> = found.iter().rev().filter(|build| says_something(build) && build.started_ms > 0).collect();
    let succeeded = over.iter().filter(|build| build.state == "succeeded").count();
    let notices = shared.store.registry_notices(&product_line, &name, NOTICES).await?;
    let registry: Vec<Value> = notices
        .iter()
        .map(|notice| json!({ "at": time(notice.at_ms), "what": words::registry(&notice.kind), "image": notice.image, "words": notice.words }))
        .collect();
    let values = json!({
        "product_line": product_line, "name": name, "kept": kept, "version": stored.version,
        "changed_at": time(stored.changed_ms), "changed_by": stored.who,
        "settings": settings.unwrap_or_default(),
        "builds": overview::rows(&shared, &found),
        "earlier_versions": earlier,
        "versions": versions.iter().map(version).collect::<Vec<_>>(),
        "charts": [
            chart("Duration", &over, |build| build.finished_ms - build.started_ms, words::duration),
            chart("Size", &over, |build| build.size, words::size),
            success(&over),
        ],
        "registry": registry,
        "success": if over.is_empty() { String::new() } else { format!("{succeeded} of {}", over.len()) },
    });
    page(&who, "application.html", &format!("{product_line}/{name}"), values)
}

fn application_of(stored: &Stored) -> Option<Application> {
    Application::stored(&stored.body).ok()
}

async fn builds(shared: &Shared, product_line: &str, name: &str, limit: i64) -> Result<Vec<Build>, Refused> {
    let (product_line, application) = (product_line.to_owned(), name.to_owned());
    Ok(shared.store.builds(&Filter { product_line, application, limit, ..Filter::default() }).await?)
}

/// Whether a build says how the application fares: one that gave way to a newer one does not.
pub(super) fn says_something(build: &Build) -> bool {
    build.is_over() && build.state != "cancelled"
}

/// Of the builds up to each, ten at most, how many succeeded.
fn success(builds: &[&Build]) -> Value {
    let percent = |index: usize| {
        let ten = &builds[(index + 1).saturating_sub(TEN)..=index];
        let succeeded = ten.iter().filter(|build| build.state == "succeeded").count();
        i64::try_from(succeeded * 100 / ten.len()).unwrap_or_default()
    };
    let values: Vec<i64> = (0..builds.len()).map(percent).collect();
    drawn("Success of ten builds", builds, &values, |percent| format!("{percent} %"))
}

/// A bar for each build, of its value.
fn chart(title: &str, builds: &[&Build], value: impl Fn(&Build) -> i64, words: impl Fn(i64) -> String) -> Value {
    let values: Vec<i64> = builds.iter().map(|build| value(build).max(0)).collect();
    drawn(title, builds, &values, words)
}

/// Bars in a drawing of 400 by 60.
fn drawn(title: &str, builds: &[&Build], values: &[i64], words: impl Fn(i64) -> String) -> Value {
    let most = values.iter().copied().max().unwrap_or_default().max(1);
    let bar = |(index, (build, value)): (usize, (&&Build, &i64))| {
        let height = (value * 58 / most).max(1);
        json!({
            "x": index * 10, "y": 60 - height, "height": height, "state": build.state, "id": build.id,
            "words": format!("{} ({})", words(*value), words::state(&build.state)),
        })
    };
    let bars: Vec<Value> = builds.iter().zip(values).enumerate().map(bar).collect();
    let last = values.last().copied().unwrap_or_default();
    json!({ "title": title, "bars": bars, "last": words(last), "most": words(if values.is_empty() { 0 } else { most }) })
}
