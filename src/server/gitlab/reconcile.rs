//! Commits whose webhooks were lost: GitLab sends none for more than three references at once, gives up after time-outs,
//! and disables hooks that failed. So it is asked what is there.

use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use serde_json::Value;

use super::super::application::{Application, Wanted};
use super::super::store::applications::Stored;
use super::super::store::builds::{Build, Filter, Place};
use super::super::store::{commit, milliseconds, now};
use super::super::{Shared, ask};
use super::client::{Client, Refusal};
use super::decide::skips;
use super::payload::Commit;
use crate::model::failure::Failure;

/// Asks now and then, for ever.
pub(in crate::server) async fn run(shared: Arc<Shared>) {
    let every = shared.config.server.gitlab.reconcile;
    let Some(client) = shared.gitlab.client.as_ref().filter(|_| every > Duration::ZERO) else { return };
    loop {
        tokio::time::sleep(every).await;
        let applications = shared.store.applications("*").await.unwrap_or_default();
        for stored in applications {
            match missed(&shared, client, &stored).await {
                Ok(0) => {}
                Ok(builds) => tracing::warn!(application = stored.name, builds, "webhooks were lost; GitLab was asked"),
                Err(why) => tracing::info!(application = stored.name, why, "GitLab does not say what is there"),
            }
        }
    }
}

/// Asks for the builds of what is newer than the application and was never built.
async fn missed(shared: &Arc<Shared>, client: &Client, stored: &Stored) -> Result<usize, String> {
    let Ok(application) = Application::parse(stored.body.as_bytes()) else { return Ok(0) };
    let path: String = url::form_urlencoded::byte_serialize(application.repository_path().as_bytes()).collect();
    let get = async |path: String| match client.call(&shared.config, Method::GET, &path, None).await {
        Ok(value) => Ok(value),
        Err(Refusal::Final(why) | Refusal::Later(why)) => Err(why),
    };
    let project = get(format!("/projects/{path}")).await?["id"].as_u64().ok_or("GitLab shows no such project")?;
    let mut count = 0;
    for (what, cause) in [("branches", "push"), ("tags", "tag")] {
        let found = get(format!("/projects/{project}/repository/{what}?per_page=100")).await?;
        for reference in found.as_array().into_iter().flatten() {
            let Some(build) = lost(shared, &application, stored, project, reference, cause)
                .await
                .map_err(|failure| failure.message)?
            else {
                continue;
            };
            let mut change = shared.store.change().await.map_err(|failure| failure.message)?;
            ask::ask(shared, &mut change, &build).await.map_err(|failure| failure.message)?;
            commit(change).await.map_err(|failure| failure.message)?;
            ask::asked(shared, &[build]);
            count += 1;
        }
    }
    Ok(count)
}

/// The build of a branch or tag, where it is wanted and nobody asked for it.
async fn lost(
    shared: &Shared,
    application: &Application,
    stored: &Stored,
    project: u64,
    reference: &Value,
    cause: &str,
) -> Result<Option<Build>, Failure> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (name, head) = (text(&reference["name"]), &reference["commit"]);
    let message = Commit { id: text(&head["id"]), message: text(&head["message"]) };
    let wanted_here =
        if cause == "tag" { application.rules.tag(&name) } else { application.rules.branch(&name) && !skips(&message) };
    let time = text(&head["created_at"]).parse::<jiff::Timestamp>().map_or(0, jiff::Timestamp::as_millisecond);
    // What was there before the application is nobody's lost webhook, and one that is merely slow is not lost.
    let patience = milliseconds(shared.config.server.gitlab.reconcile);
    if !wanted_here || time <= stored.changed_ms || now() - time < patience {
        return Ok(None);
    }
    let (Ok(revision), Ok(id)) = (name.parse(), message.id.parse()) else { return Ok(None) };
    let filter = Filter {
        product_line: stored.product_line.clone(),
        application: stored.name.clone(),
        commit: message.id.clone(),
        revision: name.clone(),
        limit: 1,
        ..Filter::default()
    };
    if !shared.store.builds(&filter).await?.is_empty() {
        return Ok(None);
    }
    let tag = (cause == "tag").then(|| name.clone());
    let wanted = Wanted { revision: Some(revision), commit: Some(id), tag, merge_request: None };
    let day: String = crate::clock::now().chars().take(10).collect();
    let asked = application.message(ask::new_id(), &wanted, &day)?;
    let mut build = Build::asked(&asked, "reconciler", "slipway")?;
    build.title = message.message.lines().next().unwrap_or_default().chars().take(200).collect();
    build.gitlab = serde_json::to_string(&Place { project, ..Place::default() }).unwrap_or_default();
    Ok(Some(build))
}
