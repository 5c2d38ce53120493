//! The effective model as flat lines, for comparing it with what Maven itself says.

use std::collections::BTreeMap;

use super::effective::Effective;
use super::plugin::Plugin;
use super::poms::Poms;
use super::wrapper::Invocation;
use super::xml::Element;
use crate::model::failure::Failure;
use crate::model::source_tree::SourceTree;

/// What `mvn help:effective-pom` says of the pom at `path`, as far as planning looks: coordinates, final name,
/// properties, dependencies, and the plugins that poms declare with every configuration, as `what = value`.
///
/// `args` are Maven's arguments, `jdk` the major version that Maven runs on.
///
/// # Errors
/// `manifest_invalid` as planning would say it.
pub fn effective(
    tree: &SourceTree,
    path: &str,
    args: &[&str],
    jdk: u32,
) -> Result<Option<BTreeMap<String, String>>, Failure> {
    let facts = toml::Table::new();
    let poms = Poms::new(tree, &facts, Invocation::of(args.iter().copied()), Some(jdk));
    let Some(pom) = poms.load(path)? else { return Ok(None) };
    let model = Effective::of(&poms, &pom, &[])?;
    let mut lines = BTreeMap::new();
    for (key, value) in [
        ("groupId", &model.group),
        ("artifactId", &model.artifact),
        ("version", &model.version),
        ("packaging", &model.packaging),
    ] {
        lines.insert(key.to_owned(), value.clone());
    }
    lines.insert("finalName".into(), model.final_name()?.unwrap_or_default());
    for name in model.property_names() {
        let value = model.expand(&format!("${{{name}}}"))?;
        lines.insert(format!("property {name}"), value);
    }
    for dependency in &model.dependencies {
        let text = |key: &str| model.expand(dependency.text_of(key).unwrap_or_default());
        let (group, artifact) = (text("groupId")?, text("artifactId")?);
        let version = model.version_of(dependency, &group, &artifact)?;
        let classifier = text("classifier")?;
        lines.entry(format!("dependency {group}:{artifact}:{classifier}")).or_insert(version);
    }
    for plugin in &model.plugins {
        flatten_plugin(&model, plugin, &mut lines)?;
    }
    Ok(Some(lines))
}

fn flatten_plugin(model: &Effective, plugin: &Plugin, lines: &mut BTreeMap<String, String>) -> Result<(), Failure> {
    let name = format!("plugin {}:{}", plugin.group, plugin.artifact);
    if let Some(version) = plugin.element.text_of("version") {
        lines.insert(name.clone(), model.expand(version)?);
    }
    if let Some(configuration) = &plugin.configuration {
        flatten(model, configuration, &format!("{name} configuration"), lines)?;
    }
    for execution in &plugin.executions {
        let name = format!("{name} execution {}", execution.id);
        let mut goals = execution.goals.clone();
        goals.sort();
        lines.insert(format!("{name} goals"), goals.join(" "));
        if let Some(phase) = &execution.phase {
            lines.insert(format!("{name} phase"), model.expand(phase)?);
        }
        if let Some(configuration) = plugin.configuration_of(execution) {
            flatten(model, &configuration, &format!("{name} configuration"), lines)?;
        }
    }
    Ok(())
}

fn flatten(
    model: &Effective,
    element: &Element,
    path: &str,
    lines: &mut BTreeMap<String, String>,
) -> Result<(), Failure> {
    lines.insert(path.to_owned(), model.expand(&element.text)?);
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for child in &element.children {
        let index = seen.entry(&child.name).or_default();
        flatten(model, child, &format!("{path}/{}[{index}]", child.name), lines)?;
        *index += 1;
    }
    Ok(())
}
