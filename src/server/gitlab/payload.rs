//! What GitLab's webhooks say, as far as it is read (GitLab documentation, "Webhook events").

use serde::{Deserialize, Deserializer};

/// A push, tag push or merge request event.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Payload {
    #[serde(deserialize_with = "or_default")]
    pub(super) object_kind: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) before: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) after: String,
    #[serde(rename = "ref", deserialize_with = "or_default")]
    pub(super) reference: String,
    pub(super) checkout_sha: Option<String>,
    #[serde(deserialize_with = "or_default")]
    pub(super) user_username: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) user: User,
    #[serde(deserialize_with = "or_default")]
    pub(super) project: Project,
    #[serde(deserialize_with = "or_default")]
    pub(super) commits: Vec<Commit>,
    #[serde(deserialize_with = "or_default")]
    pub(super) object_attributes: MergeRequest,
    #[serde(deserialize_with = "or_default")]
    pub(super) changes: Changes,
}

impl Payload {
    /// Reads a delivery. What is said of an event that is not built may have any form; nothing where it is no event.
    pub(super) fn read(raw: &[u8]) -> Option<Self> {
        let read = serde_json::from_slice::<Self>(raw).ok();
        read.or_else(|| {
            let event: Event = serde_json::from_slice(raw).ok()?;
            let is_read = matches!(event.object_kind.as_str(), "" | "push" | "tag_push" | "merge_request");
            (!is_read).then_some(Self { object_kind: event.object_kind, project: event.project, ..Self::default() })
        })
    }
}

/// What any event has.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Event {
    object_kind: String,
    #[serde(deserialize_with = "or_default")]
    project: Project,
}

/// What is `null` is as good as absent.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// `user` of merge request events.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct User {
    #[serde(deserialize_with = "or_default")]
    pub(super) username: String,
}

/// `project`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Project {
    #[serde(deserialize_with = "or_default")]
    pub(super) id: u64,
    #[serde(deserialize_with = "or_default")]
    pub(super) path_with_namespace: String,
}

/// `commits[]` and `last_commit`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Commit {
    #[serde(deserialize_with = "or_default")]
    pub(super) id: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) message: String,
}

/// `object_attributes` of merge request events.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct MergeRequest {
    #[serde(deserialize_with = "or_default")]
    pub(super) iid: u64,
    #[serde(deserialize_with = "or_default")]
    pub(super) title: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) action: String,
    pub(super) oldrev: Option<String>,
    pub(super) last_commit: Option<Commit>,
    #[serde(deserialize_with = "or_default")]
    pub(super) source_project_id: u64,
    #[serde(deserialize_with = "or_default")]
    pub(super) target_project_id: u64,
    #[serde(deserialize_with = "or_default")]
    pub(super) draft: bool,
    /// What older servers call a draft.
    #[serde(deserialize_with = "or_default")]
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
