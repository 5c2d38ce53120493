//! What GitLab's webhooks say, as far as it is read (GitLab documentation, "Webhook events").

use serde::Deserialize;

/// A push, tag push or merge request event.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Payload {
    pub(super) object_kind: String,
    pub(super) before: String,
    pub(super) after: String,
    #[serde(rename = "ref")]
    pub(super) reference: String,
    pub(super) checkout_sha: Option<String>,
    pub(super) user_username: String,
    pub(super) user: User,
    pub(super) project: Project,
    pub(super) commits: Vec<Commit>,
    pub(super) object_attributes: MergeRequest,
    pub(super) changes: Changes,
}

/// `user` of merge request events.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct User {
    pub(super) username: String,
}

/// `project`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Project {
    pub(super) id: u64,
    pub(super) path_with_namespace: String,
}

/// `commits[]` and `last_commit`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Commit {
    pub(super) id: String,
    pub(super) message: String,
}

/// `object_attributes` of merge request events.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct MergeRequest {
    pub(super) iid: u64,
    pub(super) title: String,
    pub(super) action: String,
    pub(super) oldrev: Option<String>,
    pub(super) last_commit: Option<Commit>,
    pub(super) source_project_id: u64,
    pub(super) target_project_id: u64,
    pub(super) draft: bool,
    /// What older servers call a draft.
    pub(super) work_in_progress: bool,
}

/// `changes` of merge request events.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Changes {
    pub(super) draft: Option<Change>,
}

/// A change of a switch.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Change {
    pub(super) current: Option<bool>,
}
