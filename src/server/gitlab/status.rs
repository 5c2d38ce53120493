//! Commit statuses: `POST /projects/:id/statuses/:sha` of GitLab's API.

use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::super::Shared;
use super::super::store::Change;
use super::super::store::builds::Build;
use super::super::store::outbox::{self, Kind};
use super::client::{Client, Refusal};
use crate::config::Config;
use crate::model::failure::Failure;
use crate::model::report::{BuildReport, Outcome};

/// What GitLab takes of a text.
const LONGEST: usize = 255;

/// How a build stands, in GitLab's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::server) enum State {
    Pending,
    Running,
    Success,
    Failed,
    Canceled,
}

/// A status that GitLab is to hear.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Status {
    project: u64,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    path: String,
    commit: String,
    state: State,
    name: String,
    #[serde(rename = "ref")]
    reference: String,
    target_url: String,
    description: String,
}

/// Says with a change how a build stands, where GitLab is to hear of it.
pub(in crate::server) async fn say(
    shared: &Shared,
    change: &mut Change,
    build: &Build,
    state: State,
    description: &str,
) -> Result<(), Failure> {
    let Some(place) = build.place().filter(|place| place.wants_status() && !build.commit.is_empty()) else {
        return Ok(());
    };
    let status = Status {
        project: place.project,
        path: place.path,
        commit: build.commit.clone(),
        state,
        name: short(&format!(
            "{}/{}/{}",
            shared.config.server.gitlab.status_name, build.product_line, build.application
        )),
        reference: short(&build.revision),
        target_url: format!("{}/builds/{}", shared.url(), build.id),
        description: short(description),
    };
    let body = serde_json::to_string(&status).unwrap_or_default();
    outbox::say(change, Kind::Status, &build.id, &body).await
}

/// How a build that ended stands.
pub(in crate::server) fn of(report: &BuildReport) -> (State, String) {
    let seconds = report.steps.iter().map(|step| step.duration_ms).sum::<u64>() / 1000;
    let said = report.failure.as_ref().map(|failure| {
        let step = failure.step.map(|step| format!("{step}: ")).unwrap_or_default();
        format!("{step}{}", failure.message)
    });
    match report.outcome {
        Outcome::Succeeded => (State::Success, format!("built in {seconds} s")),
        Outcome::Cancelled => (State::Canceled, said.unwrap_or_default()),
        _ => (State::Failed, said.unwrap_or_default()),
    }
}

/// Tells GitLab.
pub(super) async fn send(client: &Client, config: &Config, body: &str) -> Result<(), Refusal> {
    let status: Status = serde_json::from_str(body).map_err(|error| Refusal::Final(error.to_string()))?;
    let mut told = json!({
        "state": status.state, "name": status.name, "target_url": status.target_url, "description": status.description,
    });
    // A reference such as `refs/merge-requests/7/head` is no branch that GitLab knows by name.
    if !status.reference.is_empty() && !status.reference.starts_with("refs/") {
        told["ref"] = json!(status.reference);
    }
    // GitLab takes a project's path for its number, encoded.
    let project = match status.project {
        0 => url::form_urlencoded::byte_serialize(status.path.as_bytes()).collect(),
        number => number.to_string(),
    };
    let path = format!("/projects/{project}/statuses/{}", status.commit);
    client.call(config, Method::POST, &path, Some(&told)).await.map(drop)
}

/// As long as GitLab takes it.
fn short(text: &str) -> String {
    if text.chars().count() <= LONGEST {
        return text.to_owned();
    }
    text.chars().take(LONGEST - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_to_what_gitlab_takes() {
        assert_eq!(short(&"ä".repeat(255)).chars().count(), 255);
        assert_eq!(short(&"ä".repeat(256)).chars().count(), 255);
        assert!(short(&"ä".repeat(256)).ends_with('…'));
    }
}
