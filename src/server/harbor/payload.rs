//! What a notification says (Harbor, "Configure Webhook Notifications", default payload format).

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
    #[serde(default)]
    resources: Vec<Resource>,
    #[serde(default)]
    repository: Repository,
    #[serde(default)]
    custom_attributes: Value,
}

#[derive(Debug, Deserialize)]
struct Resource {
    #[serde(default)]
    digest: String,
    #[serde(default)]
    tag: String,
    #[serde(default)]
    scan_overview: Value,
}

#[derive(Debug, Default, Deserialize)]
struct Repository {
    #[serde(default)]
    name: String,
    #[serde(default)]
    namespace: String,
}

impl Payload {
    /// What is kept of it; `hash` tells it from others.
    pub(super) fn notices(&self, hash: &str) -> Vec<Notice> {
        let quota = self.kind.starts_with("QUOTA_");
        let resource = |(index, resource): (usize, &Resource)| Notice {
            id: format!("{hash}-{index}"),
            at_ms: self.occur_at.saturating_mul(1000),
            product_line: short(&self.event_data.repository.namespace),
            // A full project concerns all of its applications.
            application: if quota { String::new() } else { short(&self.event_data.repository.name) },
            kind: short(&self.kind),
            image: short(if resource.tag.is_empty() { &resource.digest } else { &resource.tag }),
            words: short(&self.words(resource)),
        };
        let none = Resource { digest: String::new(), tag: String::new(), scan_overview: Value::Null };
        if self.event_data.resources.is_empty() {
            return vec![resource((0, &none))];
        }
        self.event_data.resources.iter().take(RESOURCES).enumerate().map(resource).collect()
    }

    fn words(&self, resource: &Resource) -> String {
        if let Some(details) = self.event_data.custom_attributes["Details"].as_str() {
            return details.to_owned();
        }
        let scan = resource.scan_overview.as_object().and_then(|all| all.values().next());
        let Some(scan) = scan else { return String::new() };
        let text = |key: &str| scan[key].as_str().unwrap_or_default();
        match (text("scan_status"), text("severity")) {
            ("Success", "None") => "nothing found".to_owned(),
            ("Success", severity) => format!("worst: {severity}, {} in all", scan["summary"]["total"]),
            (state, _) => state.to_owned(),
        }
    }
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
}
