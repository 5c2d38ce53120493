//! Reads `poetry.lock`, versions 1.0 to 2.1: distributions with dependencies in Poetry's own form.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::DeValue;

use super::graph::{Edge, Node, reached};
use super::{Asked, Lock, Releases, Source, invalid};
use crate::model::failure::Failure;
use crate::model::source_tree::{join, parent};
use crate::toolchain::manifest::python::pyproject;
use crate::toolchain::manifest::python::requirement::{Requirement, normalise};
use crate::toolchain::manifest::python::specifier::poetry_as_pep440;

/// Reads the lock; what is installed follows from the dependencies that `pyproject.toml` states.
///
/// # Errors
/// `manifest_invalid`.
pub(super) fn read(path: &str, text: &str, asked: &Asked<'_>) -> Result<Lock, Failure> {
    let root = pyproject::parse(path, text)?;
    // Up to version 1.1 the files of all distributions stand in one table.
    let files = root.get("metadata").and_then(|metadata| metadata.get_ref().get("files"));
    let packages = root.get("package").and_then(|list| list.get_ref().as_array());
    let nodes =
        packages.into_iter().flatten().map(|package| node(path, package.get_ref(), files.map(Spanned::get_ref), asked));
    let nodes = nodes.collect::<Result<Vec<_>, Failure>>()?;
    let stated = asked.project.map(|project| &project.dependencies[..]).unwrap_or_default();
    let extras = asked.extras.iter().filter_map(|extra| asked.project?.extras.get(extra)).flatten();
    let roots: Vec<Edge> = stated.iter().chain(extras).map(|requirement| stated_edge(requirement, asked)).collect();
    Ok(Lock { distributions: reached(&nodes, &roots), ..Lock::default() })
}

/// A requirement that the project states, as an edge.
pub(super) fn stated_edge(requirement: &Requirement, asked: &Asked<'_>) -> Edge {
    let releases = requirement.marker.as_deref().and_then(|marker| asked.environment.holds(marker, &[]));
    Edge {
        name: requirement.name.clone(),
        versions: requirement.versions.clone(),
        extras: requirement.extras.clone(),
        releases: releases.unwrap_or(Releases::ALL),
        of_extra: None,
    }
}

fn node(path: &str, package: &DeValue<'_>, files: Option<&DeValue<'_>>, asked: &Asked<'_>) -> Result<Node, Failure> {
    let name = text_of(package, "name").ok_or_else(|| invalid(path, "a package has no name"))?;
    let version = text_of(package, "version").ok_or_else(|| invalid(path, "a package has no version"))?;
    let files = package.get("files").map(Spanned::get_ref).or_else(|| files?.get(name).map(Spanned::get_ref));
    let hashes = files.and_then(DeValue::as_array).into_iter().flatten();
    let hashes = hashes.filter_map(|file| text_of(file.get_ref(), "hash").map(str::to_owned));
    let extras = extras(package);
    let from = package.get("source").map_or(Ok(Source::Index), |source| from(path, source.get_ref()))?;
    let markers = package.get("markers").map(Spanned::get_ref);
    // With groups of different conditions it is a table by group; the edges tell then.
    let releases = markers.and_then(DeValue::as_str).and_then(|marker| asked.environment.holds(marker, &[]));
    let mut edges = Vec::new();
    let dependencies = package.get("dependencies").and_then(|table| table.get_ref().as_table());
    for (dependency, value) in dependencies.into_iter().flatten() {
        let value = value.get_ref();
        let several = value.as_array().map(|list| list.iter().map(Spanned::get_ref).collect());
        for one in several.unwrap_or_else(|| vec![value]) {
            edges.extend(dependency_edges(dependency.get_ref(), one, &extras, asked));
        }
    }
    Ok(Node {
        name: normalise(name),
        version: version.to_owned(),
        hashes: if from == Source::Index { hashes.collect() } else { Vec::new() },
        from,
        releases: releases.unwrap_or(Releases::ALL),
        edges,
    })
}

/// The extras of a distribution, each with the dependencies that it brings.
fn extras(package: &DeValue<'_>) -> BTreeMap<String, Vec<String>> {
    let table = package.get("extras").and_then(|table| table.get_ref().as_table());
    let extras = table.into_iter().flatten().map(|(extra, list)| {
        let names = list.get_ref().as_array().into_iter().flatten().filter_map(|text| {
            let text = text.get_ref().as_str()?;
            let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || "._-".contains(c))).unwrap_or(text.len());
            Some(normalise(&text[..end]))
        });
        (normalise(extra.get_ref()), names.collect())
    });
    extras.collect()
}

/// A dependency that is optional belongs to the extras that name it.
fn dependency_edges(
    name: &str,
    value: &DeValue<'_>,
    extras: &BTreeMap<String, Vec<String>>,
    asked: &Asked<'_>,
) -> Vec<Edge> {
    let name = normalise(name);
    let constraint = value.as_str().or_else(|| text_of(value, "version"));
    let optional = value.get("optional").and_then(|optional| optional.get_ref().as_bool()) == Some(true);
    let own = value.get("extras").and_then(|list| list.get_ref().as_array()).into_iter().flatten();
    let own: Vec<String> = own.filter_map(|extra| extra.get_ref().as_str().map(normalise)).collect();
    let marker = text_of(value, "markers");
    let edge = |of_extra: Option<&String>| {
        let asked_for: Vec<&str> = of_extra.map(String::as_str).into_iter().collect();
        let releases = marker.and_then(|marker| asked.environment.holds(marker, &asked_for));
        Edge {
            name: name.clone(),
            versions: constraint.and_then(poetry_as_pep440).and_then(|text| text.parse().ok()),
            extras: own.clone(),
            releases: releases.unwrap_or(Releases::ALL),
            of_extra: of_extra.cloned(),
        }
    };
    if !optional {
        return vec![edge(None)];
    }
    extras.iter().filter(|(_, names)| names.contains(&name)).map(|(extra, _)| edge(Some(extra))).collect()
}

fn from(path: &str, source: &DeValue<'_>) -> Result<Source, Failure> {
    let url = text_of(source, "url").unwrap_or_default();
    match text_of(source, "type") {
        Some("git") => {
            let commit =
                text_of(source, "resolved_reference").ok_or_else(|| invalid(path, "a Git source names no commit"))?;
            let fragment =
                text_of(source, "subdirectory").map(|below| format!("#subdirectory={below}")).unwrap_or_default();
            Ok(Source::Url(format!("git+{url}@{commit}{fragment}")))
        }
        Some("url") => Ok(Source::Url(url.to_owned())),
        Some("directory" | "file") => {
            let inside =
                join(parent(path), url).ok_or_else(|| invalid(path, "a source lies outside the repository"))?;
            Ok(Source::Directory(inside))
        }
        // `legacy`: another index, which the operator's mirror stands for.
        _ => Ok(Source::Index),
    }
}

fn text_of<'a>(value: &'a DeValue<'_>, key: &str) -> Option<&'a str> {
    value.get(key).and_then(|value| value.get_ref().as_str())
}
