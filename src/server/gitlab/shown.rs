//! Branches, tags and merge requests as GitLab's API lists them.

use serde_json::Value;

use super::super::application::{Application, Wanted};
use super::super::store::builds::Place;
use super::decide::Asked;

/// Something that might be built.
#[derive(Debug, Clone)]
pub(super) struct Shown {
    /// Its whole name: `refs/heads/main`.
    pub(super) reference: String,
    /// As a webhook's build has it: `main`.
    pub(super) revision: String,
    pub(super) commit: String,
    /// What its commit says; nothing where the list does not tell.
    pub(super) message: Option<String>,
    /// When it came to be.
    pub(super) since_ms: i64,
    kind: Kind,
    place: Place,
}

#[derive(Debug, Clone)]
enum Kind {
    Branch,
    Tag,
    MergeRequest { number: u64, title: String, of_a_fork: bool },
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn milliseconds(time: &Value) -> i64 {
    text(time).parse::<jiff::Timestamp>().map_or(0, jiff::Timestamp::as_millisecond)
}

/// One of `GET /projects/:id/repository/branches`.
pub(super) fn branch(project: u64, branch: &Value) -> Option<Shown> {
    named(project, branch, "refs/heads", Kind::Branch)
}

/// One of `GET /projects/:id/repository/tags`.
pub(super) fn tag(project: u64, tag: &Value) -> Option<Shown> {
    named(project, tag, "refs/tags", Kind::Tag)
}

fn named(project: u64, shown: &Value, below: &str, kind: Kind) -> Option<Shown> {
    let (name, commit) = (shown["name"].as_str()?, &shown["commit"]);
    Some(Shown {
        reference: format!("{below}/{name}"),
        revision: name.to_owned(),
        commit: commit["id"].as_str()?.to_owned(),
        message: Some(text(&commit["message"])),
        since_ms: milliseconds(&commit["created_at"]),
        kind,
        place: Place { project, ..Place::default() },
    })
}

/// One of `GET /projects/:id/merge_requests`; no draft: that is new when it is ready.
pub(super) fn merge_request(project: u64, request: &Value) -> Option<Shown> {
    let is = |key: &str| request[key].as_bool().unwrap_or_default();
    let of_a_fork = request["source_project_id"] != request["target_project_id"];
    if is("draft") || is("work_in_progress") {
        return None;
    }
    let number = request["iid"].as_u64()?;
    let reference = format!("refs/merge-requests/{number}/head");
    Some(Shown {
        revision: reference.clone(),
        reference,
        commit: request["sha"].as_str()?.to_owned(),
        message: None,
        since_ms: milliseconds(&request["created_at"]),
        kind: Kind::MergeRequest { number, title: text(&request["title"]), of_a_fork },
        // The status belongs to the commit, which is the fork's.
        place: Place {
            project: request["source_project_id"].as_u64().unwrap_or(project),
            merge_request: Some((project, number)),
            ..Place::default()
        },
    })
}

impl Shown {
    /// Whether the application's rules want it.
    pub(super) fn is_wanted(&self, application: &Application) -> bool {
        match self.kind {
            Kind::Branch => application.rules.branch(&self.revision),
            Kind::Tag => application.rules.tag(&self.revision),
            Kind::MergeRequest { of_a_fork, .. } => application.rules.merge_request(of_a_fork).is_ok(),
        }
    }

    /// Whether its commit's message may say that nothing is built; of a tag it does not count.
    pub(super) fn may_be_skipped(&self) -> bool {
        !matches!(self.kind, Kind::Tag)
    }

    /// The build that its webhook would have asked for.
    pub(super) fn asked(&self, application: &Application, message: &str) -> Option<Asked> {
        let trusted = match self.kind {
            Kind::MergeRequest { of_a_fork, .. } => application.rules.merge_request(of_a_fork).ok()?,
            Kind::Branch | Kind::Tag => true,
        };
        let wanted = Wanted {
            revision: Some(self.revision.parse().ok()?),
            commit: Some(self.commit.parse().ok()?),
            tag: matches!(self.kind, Kind::Tag).then(|| self.revision.clone()),
            merge_request: self.place.merge_request.map(|(_, number)| number),
            untrusted: !trusted,
        };
        let (cause, title) = match &self.kind {
            Kind::Branch => ("push", message.lines().next().unwrap_or_default().to_owned()),
            Kind::Tag => ("tag", message.lines().next().unwrap_or_default().to_owned()),
            Kind::MergeRequest { number, title, .. } => ("merge_request", format!("!{number} {title}")),
        };
        Some(Asked { wanted, cause, title: title.chars().take(200).collect(), place: self.place.clone() })
    }
}
