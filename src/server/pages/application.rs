//! Pages of applications: all of them, and one with how its builds went over time.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use serde_json::{Value, json};

use super::{Refused, Viewer, overview, page, words};
use crate::server::Shared;
use crate::server::api::application_seen as seen;
use crate::server::application::Application;
use crate::server::store::applications::Stored;
use crate::server::store::builds::{Build, Filter};
use crate::server::store::time;

/// Builds that the charts show.
const SHOWN: i64 = 40;

/// Builds whose success is one figure.
const TEN: usize = 10;

/// Notices of the registry that are shown.
const NOTICES: i64 = 20;

pub(super) async fn all(State(shared): State<Arc<Shared>>, Viewer(who): Viewer) -> Result<Response, Refused> {
    let rows = rows(&shared, &who.product_line).await?;
    page(&who, "applications.html", "Applications", json!({ "applications": rows }))
}

/// The applications of a product line (`*` for all), each with its last build.
pub(super) async fn rows(shared: &Shared, product_line: &str) -> Result<Vec<Value>, Refused> {
    let mut rows = Vec::new();
    for stored in shared.store.applications(product_line).await? {
        let last = builds(shared, &stored.product_line, &stored.name, 1).await?;
        rows.push(json!({
            "product_line": stored.product_line, "name": stored.name, "version": stored.version,
            "repository": application_of(&stored).map(|application| application.repository.to_string()).unwrap_or_default(),
            "last": overview::rows(shared, &last),
        }));
    }
    Ok(rows)
}

pub(super) async fn application(
    State(shared): State<Arc<Shared>>,
    Viewer(who): Viewer,
    Path((product_line, name)): Path<(String, String)>,
) -> Result<Response, Refused> {
    let stored = seen(&shared, &who, &product_line, &name).await?;
    let found = builds(&shared, &product_line, &name, SHOWN).await?;
    let versions = shared.store.versions(&product_line, &name).await?;
    let version = |stored: &Stored| json!({ "version": stored.version, "at": time(stored.changed_ms), "who": stored.who, "removed": stored.body.is_empty() });
    let settings = application_of(&stored).and_then(|application| toml::to_string_pretty(&application).ok());
    let over: Vec<&Build> = found.iter().rev().filter(|build| build.is_over() && build.started_ms > 0).collect();
    let succeeded = over.iter().filter(|build| build.state == "succeeded").count();
    let notices = shared.store.registry_notices(&product_line, &name, NOTICES).await?;
    let registry: Vec<Value> = notices
        .iter()
        .map(|notice| json!({ "at": time(notice.at_ms), "what": words::registry(&notice.kind), "image": notice.image, "words": notice.words }))
        .collect();
    let values = json!({
        "product_line": product_line, "name": name, "version": stored.version,
        "changed_at": time(stored.changed_ms), "changed_by": stored.who,
        "settings": settings.unwrap_or_default(),
        "builds": overview::rows(&shared, &found),
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
