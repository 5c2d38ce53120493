//! Distributions that a repository brings along: they are found by imports, and are no part of the application.

use std::collections::BTreeMap;

use crate::model::source_tree::SourceTree;

/// Directories below the application's that hold several distributions, as vendored ones do (`[facts.vendored]`).
pub(super) fn directories<'a>(tree: &'a SourceTree, directory: &'a str, facts: &toml::Table) -> Vec<&'a str> {
    let Some(known) = facts.get("vendored").and_then(toml::Value::as_table) else { return Vec::new() };
    let brought = known.get("packages").and_then(toml::Value::as_array);
    let brought: Vec<&str> = brought.into_iter().flatten().filter_map(toml::Value::as_str).collect();
    let several = known.get("several").and_then(toml::Value::as_integer).unwrap_or(i64::MAX);
    let packages = tree.below(directory).filter_map(|(path, _)| path.strip_suffix("/__init__.py"));
    let mut places: BTreeMap<&str, i64> = BTreeMap::new();
    for (place, _) in packages.filter_map(|path| path.rsplit_once('/')).filter(|(_, name)| brought.contains(name)) {
        *places.entry(place).or_default() += 1;
    }
    let of_others = |(place, count): (&'a str, i64)| (count >= several && place != directory).then_some(place);
    places.into_iter().filter_map(of_others).collect()
}
