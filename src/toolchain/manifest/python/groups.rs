//! Groups of dependencies (PEP 735, Poetry, PDM): which of them belong to the deployed application.

/// Groups that only developers need, from `[facts.groups]`.
pub(super) fn development(facts: &toml::Table) -> Vec<String> {
    named(facts, "development")
}

/// Groups that are there for deployment, from `[facts.groups]`.
pub(super) fn production(facts: &toml::Table) -> Vec<String> {
    named(facts, "production")
}

fn named(facts: &toml::Table, kind: &str) -> Vec<String> {
    let list = facts.get("groups").and_then(|groups| groups.get(kind)).and_then(toml::Value::as_array);
    list.into_iter().flatten().filter_map(|name| name.as_str().map(str::to_owned)).collect()
}
