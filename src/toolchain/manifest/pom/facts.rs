//! Reading the `[facts]` table: rows and lists that may be absent.

use super::model::Pom;
use super::poms::version_begins;
use super::xml::Element;

/// The rows of an array of tables.
pub(super) fn rows<'f>(facts: &'f toml::Table, name: &str) -> impl Iterator<Item = &'f toml::Value> {
    facts.get(name).and_then(toml::Value::as_array).into_iter().flatten()
}

/// The texts of a list.
pub(super) fn texts<'f>(row: &'f toml::Value, key: &str) -> Vec<&'f str> {
    row.get(key).and_then(toml::Value::as_array).into_iter().flatten().filter_map(toml::Value::as_str).collect()
}

/// The texts of a list at the top.
pub(super) fn list<'f>(facts: &'f toml::Table, name: &str) -> Vec<&'f str> {
    rows(facts, name).filter_map(toml::Value::as_str).collect()
}

/// A text.
pub(super) fn text<'f>(row: &'f toml::Value, key: &str) -> Option<&'f str> {
    row.get(key).and_then(toml::Value::as_str)
}

/// Whether coordinates are those of a pattern `group:artifact` or `group:artifact:version`; `*` stands for any
/// artifact, the version for all that begin with it.
pub(super) fn matches(pattern: &str, group: &str, artifact: &str, version: &str) -> bool {
    let mut parts = pattern.split(':');
    parts.next() == Some(group)
        && parts.next().is_none_or(|wanted| wanted == "*" || wanted == artifact)
        && parts.next().is_none_or(|wanted| version_begins(version, wanted))
}

/// The line of a pom that a failure or warning about the whole of it points at.
pub(super) fn line_of(pom: &Pom) -> u32 {
    pom.project.child("artifactId").map_or(pom.project.line, |element: &Element| element.line)
}
