//! How dependencies are installed: what templates are told, and the files that commands see.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::companions::Constraints;
use super::dependencies::Dependencies;
use crate::model::origin::{Found, Origin};
use crate::model::source_tree::SourceTree;
use crate::toolchain::version::{Demand, Version};

/// Where commands see the locked distributions that are checked by hashes.
const LOCKED: &str = "/slipway/locked.txt";

/// Where commands see those that are not.
const UNLOCKED: &str = "/slipway/unlocked.txt";

/// Where commands see requirements without the hashes that they have.
const UNHASHED: &str = "/slipway/unhashed.txt";

/// Where pip reads which versions of distributions that nobody bounds it may take.
pub(super) const CONSTRAINTS: &str = "/slipway/constraints.txt";

/// The one Python that a file asks for.
pub(super) fn asked_for(found: &Found<Demand>) -> Option<&Version> {
    match &found.value {
        Demand::Exactly(version) => Some(version),
        _ => None,
    }
}

/// What commands see beside the repository: path to text.
pub(super) fn files(dependencies: &Dependencies, constraints: &Constraints) -> BTreeMap<String, String> {
    let texts = [
        (LOCKED, &dependencies.locked),
        (UNLOCKED, &dependencies.unlocked),
        (UNHASHED, &dependencies.unhashed),
        (CONSTRAINTS, &constraints.lines),
    ];
    let there = texts.into_iter().filter(|(_, text)| !text.is_empty());
    there.map(|(path, text)| (path.to_owned(), text.clone())).collect()
}

/// How the dependencies are installed, for the steps' templates.
pub(super) fn installing(
    dependencies: &Dependencies,
    constraints: &Constraints,
    also: &[String],
) -> [(String, Value); 11] {
    // Elsewhere pip reads them from the manifest; URLs in it may hold what no plan should show.
    let also = || also.iter().map(String::as_str);
    let listed: Vec<&str> = match dependencies.install {
        "dependencies" => dependencies.list.iter().map(|requirement| requirement.text.as_str()).chain(also()).collect(),
        "requirements" | "project" => also().collect(),
        _ => Vec::new(),
    };
    [
        ("install".to_owned(), json!(dependencies.install)),
        ("requirements_files".to_owned(), json!(dependencies.files)),
        ("requirements_inputs".to_owned(), json!(dependencies.inputs)),
        ("dependencies".to_owned(), json!(listed)),
        ("hashed".to_owned(), json!(!dependencies.unhashed.is_empty())),
        ("locked".to_owned(), json!(!dependencies.locked.is_empty())),
        ("unlocked".to_owned(), json!(!dependencies.unlocked.is_empty())),
        ("wheel".to_owned(), json!(!dependencies.has("wheel"))),
        ("constrained".to_owned(), json!(!constraints.lines.is_empty())),
        ("extras".to_owned(), json!(dependencies.extras)),
        ("editable".to_owned(), json!(dependencies.editable)),
    ]
}

/// When the dependencies' versions were pinned: the last change of the files that pin them, or else the commit's time,
/// which also counts where nothing is pinned and the commit is older than versions that would break it (`aged`).
pub(super) fn pinned(
    tree: &SourceTree,
    dependencies: &Dependencies,
    versions: &[Found<Demand>],
    aged: bool,
) -> Option<Found<i64>> {
    if versions.iter().any(|found| matches!(found.value, Demand::Exactly(_))) {
        return None;
    }
    let Some(pin) = dependencies.list.iter().find(|requirement| requirement.pinned) else {
        let origin = || Origin::default("dependencies without versions by the time of the commit");
        return tree.revision.commit_time.filter(|_| aged).map(|time| Found::new(time, origin()));
    };
    let path = pin.origin.path.as_deref()?;
    let files = dependencies.list.iter().filter(|r| r.pinned).filter_map(|r| r.origin.path.as_deref());
    let files: BTreeSet<&str> = files.collect();
    let changed = files.into_iter().filter_map(|file| tree.changed(file)).max();
    let (time, detail) = match (changed, tree.revision.commit_time) {
        (Some(time), _) => (time, "versions pinned"),
        (None, Some(time)) => (time, "versions pinned by the time of the commit"),
        (None, None) => return None,
    };
    Some(Found::new(time, Origin::tree(path, detail)))
}
