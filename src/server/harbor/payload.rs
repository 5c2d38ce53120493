//! What a notification says (Harbor, "Configure Webhook Notifications", default payload format). Only those of pushes, pulls,
//! scans and deletions always name a repository.

use serde::Deserialize;
use serde_json::Value;

use super::super::store::registry::Notice;

/// The most text that is kept of anything.
const LONGEST: usize = 300;

/// The most resources of one notification that are kept.
const RESOURCES: usize = 100;

/// A notification.
#[derive(Debug, Deserialize)]
pub(super) struct Payload {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    occur_at: i64,
    event_data: EventData,
}

#[derive(Debug, Deserialize)]
struct EventData {
    resources: Option<Vec<Resource>>,
    repository: Option<Repository>,
    replication: Option<Replication>,
    retention: Option<Retention>,
    #[serde(default)]
    custom_attributes: Value,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Resource {
    digest: String,
    tag: String,
    #[serde(rename = "resource_url")]
    url: String,
    scan_overview: Value,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Repository {
    name: String,
    namespace: String,
}

/// A run of a replication. What lies here is its target, whichever way it goes.
#[derive(Debug, Deserialize)]
struct Replication {
    #[serde(default)]
    job_status: String,
    dest_resource: Option<Repository>,
    successful_artifact: Option<Vec<Moved>>,
    failed_artifact: Option<Vec<Moved>>,
}

/// A run of the rules that say which tags stay.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Retention {
    project_name: String,
    total: u64,
    retained: u64,
    deleted_artifact: Option<Vec<Moved>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Moved {
    /// `order:1.4.2`
    name_tag: String,
}

/// Whose image something was said of, and what.
#[derive(Default)]
struct Subject<'a> {
    application: &'a str,
    image: &'a str,
    words: String,
}

impl Payload {
    /// What is kept of it; `hash` tells it from others.
    pub(super) fn notices(&self, hash: &str) -> Vec<Notice> {
        let mut subjects = self.subjects();
        if subjects.is_empty() {
            // What was said of none of its images was said of the project.
            subjects.push(Subject { words: self.words(None), ..Subject::default() });
        }
        let notice = |(index, subject): (usize, &Subject<'_>)| Notice {
            id: format!("{hash}-{index}"),
            at_ms: self.occur_at.saturating_mul(1000),
            product_line: short(self.project()),
            application: short(subject.application),
            kind: short(&self.kind),
            image: short(subject.image),
            words: short(&subject.words),
        };
        subjects.iter().take(RESOURCES).enumerate().map(notice).collect()
    }

    /// The project that it concerns: it stands elsewhere in each kind.
    fn project(&self) -> &str {
        let data = &self.event_data;
        if let Some(repository) = &data.repository {
            return &repository.namespace;
        }
        if let Some(retention) = &data.retention {
            return &retention.project_name;
        }
        if let Some(replication) = &data.replication {
            return replication.dest_resource.as_ref().map_or("", |resource| &resource.namespace);
        }
        let place = self.resources().first().and_then(|resource| resource.url.split_once('/'));
        place.and_then(|(_, path)| path.split('/').next()).unwrap_or_default()
    }

    fn subjects(&self) -> Vec<Subject<'_>> {
        let data = &self.event_data;
        if let Some(replication) = &data.replication {
            let all = [&replication.successful_artifact, &replication.failed_artifact];
            return all.into_iter().flatten().flatten().map(|moved| moved.subject(self.words(None))).collect();
        }
        if let Some(retention) = &data.retention {
            let all = retention.deleted_artifact.iter().flatten();
            return all.map(|moved| moved.subject(self.words(None))).collect();
        }
        // A full project concerns all of its applications.
        let quota = self.kind.starts_with("QUOTA_");
        let name = data.repository.as_ref().filter(|_| !quota).map_or("", |repository| &repository.name);
        let subject = |resource| Subject { application: name, image: tag(resource), words: self.words(Some(resource)) };
        match self.resources() {
            [] => vec![Subject { application: name, image: "", words: self.words(None) }],
            some => some.iter().map(subject).collect(),
        }
    }

    fn resources(&self) -> &[Resource] {
        self.event_data.resources.as_deref().unwrap_or_default()
    }

    fn words(&self, resource: Option<&Resource>) -> String {
        let data = &self.event_data;
        if let Some(details) = data.custom_attributes["Details"].as_str() {
            return details.to_owned();
        }
        if let Some(replication) = &data.replication {
            return replication.job_status.clone();
        }
        if let Some(retention) = &data.retention {
            return format!("{} of {} stay", retention.retained, retention.total);
        }
        let overview = resource.and_then(|resource| resource.scan_overview.as_object());
        let Some(scan) = overview.and_then(|all| all.values().next()) else { return String::new() };
        let text = |key: &str| scan[key].as_str().unwrap_or_default();
        match (text("scan_status"), text("severity")) {
            ("Success", "None") => "nothing found".to_owned(),
            ("Success", severity) => format!("worst: {severity}, {} in all", scan["summary"]["total"]),
            (state, _) => state.to_owned(),
        }
    }
}

impl Moved {
    fn subject(&self, words: String) -> Subject<'_> {
        // A list that is only counted has no tag: `order [2 item(s) in total]`.
        let name = self.name_tag.split(' ').next().unwrap_or_default();
        let (application, image) = name.split_once(':').unwrap_or((name, ""));
        Subject { application, image, words }
    }
}

fn tag(resource: &Resource) -> &str {
    if resource.tag.is_empty() { &resource.digest } else { &resource.tag }
}

fn short(text: &str) -> String {
    text.chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Notifications that real Harbors sent.
    #[test]
    fn recorded_notifications_are_understood() {
        let recorded = include_str!("../../../tests/fixtures/harbor/webhooks.jsonl");
        let mut kinds = Vec::new();
        for line in recorded.lines() {
            let record: Value = serde_json::from_str(line).unwrap();
            let payload: Payload = serde_json::from_value(record["body"].clone()).unwrap();
            let notices = payload.notices("h");
            assert!(!notices.is_empty() && notices.iter().all(|notice| !notice.product_line.is_empty()), "{notices:?}");
            assert!(notices.iter().all(|notice| notice.at_ms > 1_700_000_000_000), "{notices:?}");
            kinds.push((notices[0].kind.clone(), notices[0].words.clone()));
        }
        assert!(kinds.contains(&("SCANNING_COMPLETED".to_owned(), "nothing found".to_owned())), "{kinds:?}");
        assert!(kinds.iter().any(|(kind, _)| kind == "PUSH_ARTIFACT"), "{kinds:?}");
    }
    fn notices(text: &str) -> Vec<(String, String, String, String)> {
        let payload: Payload = serde_json::from_str(text).unwrap();
        let notices = payload.notices("h").into_iter();
        notices.map(|one| (one.product_line, one.application, one.image, one.words)).collect()
    }

    fn owned(of: [&str; 4]) -> (String, String, String, String) {
        let [a, b, c, d] = of.map(str::to_owned);
        (a, b, c, d)
    }

    /// Each kind says in another place whose it is.
    #[test]
    fn notifications_without_a_repository_have_a_project() {
        let retention = r#"{"type": "TAG_RETENTION", "event_data": {"retention": {"project_name": "trade", "total": 5,
            "retained": 3, "deleted_artifact": [{"name_tag": "order:1"}, {"name_tag": "web:2"}]}}}"#;
        let all = notices(retention);
        assert_eq!(all, [["trade", "order", "1", "3 of 5 stay"], ["trade", "web", "2", "3 of 5 stay"]].map(owned));
        let replication = r#"{"type": "REPLICATION", "event_data": {"replication": {"job_status": "Success",
            "src_resource": {"namespace": "far"}, "dest_resource": {"namespace": "trade"},
            "successful_artifact": [{"name_tag": "order [1 item(s) in total]"}]}}}"#;
        assert_eq!(notices(replication), [owned(["trade", "order", "", "Success"])]);
        let quota = r#"{"type": "QUOTA_WARNING", "event_data": {"repository": null, "resources":
            [{"tag": "1", "resource_url": "harbor.example.com/trade/order:1"}],
            "custom_attributes": {"Details": "85% are used"}}}"#;
        assert_eq!(notices(quota), [owned(["trade", "", "1", "85% are used"])]);
        let bare = r#"{"type": "QUOTA_WARNING", "event_data": {"custom_attributes": {"Details": "full"}}}"#;
        assert_eq!(notices(bare), [owned(["", "", "", "full"])]);
    }
}
