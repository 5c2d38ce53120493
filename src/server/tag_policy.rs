//! What images are tagged with.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::application::Wanted;
use crate::model::names::Tag;

/// What an image is tagged with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum TagPolicy {
    /// The commit's first 12 digits.
    Commit,
    /// The Git tag, where one is built.
    GitTag,
    /// The day and the commit: `2026-11-21-1a2b3c4d5e6f`.
    Date,
    /// The Git tag's version: `1.4.2`, `1.4` and `1` for `v1.4.2`; a version before a release only as it is.
    SemanticVersion,
}

/// The tags of an image; none where the builder's own rule gives the same.
pub(super) fn tags(policies: &[TagPolicy], wanted: &Wanted, day: &str) -> Option<Vec<String>> {
    let short = wanted.commit.as_ref().map(|commit| commit.short().to_owned());
    if let Some(number) = wanted.merge_request {
        // What nobody has merged yet takes no tag that something else may be deployed by.
        return Some(vec![short.map_or(format!("mr-{number}"), |short| format!("mr-{number}-{short}"))]);
    }
    let mut tags: Vec<String> = Vec::new();
    for policy in policies {
        match policy {
            TagPolicy::Commit => tags.extend(short.clone()),
            TagPolicy::GitTag => tags.extend(wanted.tag.as_deref().map(as_tag)),
            TagPolicy::Date => tags.extend(short.as_ref().map(|short| format!("{day}-{short}"))),
            TagPolicy::SemanticVersion => tags.extend(wanted.tag.as_deref().map(versions).unwrap_or_default()),
        }
    }
    tags.retain(|tag| tag.parse::<Tag>().is_ok());
    let mut seen = std::collections::BTreeSet::new();
    tags.retain(|tag| seen.insert(tag.clone()));
    (!tags.is_empty()).then_some(tags)
}

/// A Git tag as an image's tag may be written.
fn as_tag(tag: &str) -> String {
    tag.chars().map(|c| if c.is_ascii_alphanumeric() || "_.-".contains(c) { c } else { '-' }).take(128).collect()
}

/// `1.4.2`, `1.4` and `1` of `v1.4.2` (Semantic Versioning 2.0.0); nothing of what is no version.
fn versions(tag: &str) -> Vec<String> {
    let version = tag.strip_prefix('v').unwrap_or(tag);
    let (core, before) = version.split_once('-').map_or((version, None), |(core, before)| (core, Some(before)));
    let core = core.split('+').next().unwrap_or_default();
    let numbers: Vec<&str> = core.split('.').collect();
    let number = |text: &&str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if numbers.len() != 3 || !numbers.iter().all(number) {
        return Vec::new();
    }
    match before {
        Some(_) => vec![as_tag(version)],
        None => (1..=3).rev().map(|count| numbers[..count].join(".")).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(commit: &str, tag: Option<&str>) -> Wanted {
        Wanted {
            revision: tag.map(|tag| tag.parse().unwrap()),
            commit: Some(commit.parse().unwrap()),
            tag: tag.map(str::to_owned),
            merge_request: None,
            untrusted: false,
        }
    }

    #[test]
    fn tags_follow_their_policies() {
        use TagPolicy::{Commit, Date, GitTag, SemanticVersion};
        let commit = "0123456789abcdef0123456789abcdef01234567";
        let of = |policies: &[TagPolicy], tag| tags(policies, &wanted(commit, tag), "2026-11-21").unwrap_or_default();
        assert_eq!(of(&[Commit, GitTag], None), ["0123456789ab"]);
        assert_eq!(of(&[Commit, GitTag], Some("v1/x")), ["0123456789ab", "v1-x"]);
        assert_eq!(of(&[Date], None), ["2026-11-21-0123456789ab"]);
        assert_eq!(of(&[SemanticVersion], Some("v1.4.2")), ["1.4.2", "1.4", "1"]);
        assert_eq!(of(&[SemanticVersion], Some("1.4.2-rc.1")), ["1.4.2-rc.1"]);
        assert_eq!(of(&[SemanticVersion], Some("latest")), Vec::<String>::new());
        let of_merge_request = Wanted { merge_request: Some(7), ..wanted(commit, None) };
        assert_eq!(tags(&[GitTag], &of_merge_request, "").unwrap(), ["mr-7-0123456789ab"]);
    }
}
