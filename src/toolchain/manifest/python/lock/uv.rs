//! Reads `uv.lock` (uv, "The lockfile"): every distribution with its edges and markers, the project among them.

use toml::Spanned;
use toml::de::DeValue;

use super::graph::{Edge, Node, reached};
use super::{Asked, Lock, Releases, Source, invalid};
use crate::model::failure::Failure;
use crate::model::source_tree::{join, parent};
use crate::toolchain::manifest::python::pyproject;
use crate::toolchain::manifest::python::requirement::normalise;

/// Reads the lock for the project in `directory`; `None` where the lock does not hold that project.
///
/// # Errors
/// `manifest_invalid`.
pub(super) fn read(path: &str, text: &str, directory: &str, asked: &Asked<'_>) -> Result<Option<Lock>, Failure> {
    let root = pyproject::parse(path, text)?;
    let packages = root.get("package").and_then(|list| list.get_ref().as_array());
    let (mut nodes, mut roots) = (Vec::new(), None);
    for package in packages.into_iter().flatten() {
        let package = package.get_ref();
        let node = node(path, package, asked)?;
        let source = package.get("source").map(Spanned::get_ref);
        let own = ["virtual", "editable", "directory"].iter().find_map(|kind| text_of(source?, kind));
        if own.and_then(|own| join(parent(path), own)).as_deref() == Some(directory) {
            roots = Some(own_edges(package, &node, asked));
        }
        nodes.push(node);
    }
    let Some(roots) = roots else { return Ok(None) };
    Ok(Some(Lock { distributions: reached(&nodes, &roots), ..Lock::default() }))
}

/// The project's dependencies, those of the extras that are asked for, and of no group: uv installs none but `dev`.
fn own_edges(package: &DeValue<'_>, node: &Node, asked: &Asked<'_>) -> Vec<Edge> {
    let mut roots: Vec<Edge> = node.edges.iter().filter(|edge| edge.of_extra.is_none()).cloned().collect();
    let extra = |edge: &&Edge| edge.of_extra.as_ref().is_some_and(|extra| asked.extras.contains(extra));
    roots.extend(node.edges.iter().filter(extra).cloned());
    let groups = package.get("dev-dependencies").and_then(|groups| groups.get_ref().as_table());
    for (name, list) in groups.into_iter().flatten() {
        let name = name.get_ref().as_ref();
        // A group for production is installed where it is deployed, one for developers is not.
        if asked.production.iter().any(|known| known == name) {
            roots.extend(edges(list.get_ref(), None, asked));
        }
    }
    roots
}

fn node(path: &str, package: &DeValue<'_>, asked: &Asked<'_>) -> Result<Node, Failure> {
    let name = text_of(package, "name").ok_or_else(|| invalid(path, "a package has no name"))?;
    let version = text_of(package, "version").unwrap_or_default();
    let mut found = package.get("dependencies").map(|list| edges(list.get_ref(), None, asked)).unwrap_or_default();
    let optional = package.get("optional-dependencies").and_then(|table| table.get_ref().as_table());
    for (extra, list) in optional.into_iter().flatten() {
        found.extend(edges(list.get_ref(), Some(&normalise(extra.get_ref())), asked));
    }
    let markers = package.get("resolution-markers").and_then(|list| list.get_ref().as_array());
    let markers = markers.into_iter().flatten().filter_map(|marker| marker.get_ref().as_str());
    let releases = markers.map(|marker| asked.environment.holds(marker, &[]).unwrap_or(Releases::ALL));
    let files = package.get("wheels").and_then(|list| list.get_ref().as_array()).into_iter().flatten();
    let files = files.chain(package.get("sdist")).filter_map(|file| text_of(file.get_ref(), "hash"));
    let source = package.get("source").map(Spanned::get_ref);
    let from = source.map_or(Ok(Source::Index), |source| from(path, source))?;
    Ok(Node {
        name: normalise(name),
        version: version.to_owned(),
        hashes: match from {
            Source::Directory(_) => Vec::new(),
            Source::Url(ref url) if url.starts_with("git+") => Vec::new(),
            _ => files.map(str::to_owned).collect(),
        },
        from,
        releases: releases.reduce(Releases::or).unwrap_or(Releases::ALL),
        edges: found,
    })
}

fn edges(list: &DeValue<'_>, extra: Option<&str>, asked: &Asked<'_>) -> Vec<Edge> {
    let edge = |value: &Spanned<DeValue<'_>>| {
        let value = value.get_ref();
        let extras = value.get("extra").and_then(|list| list.get_ref().as_array());
        let extras = extras.into_iter().flatten().filter_map(|extra| extra.get_ref().as_str());
        Some(Edge {
            name: normalise(text_of(value, "name")?),
            versions: text_of(value, "version").and_then(|version| format!("=={version}").parse().ok()),
            extras: extras.map(normalise).collect(),
            releases: marker(value, asked),
            of_extra: extra.map(str::to_owned),
        })
    };
    list.as_array().into_iter().flatten().filter_map(edge).collect()
}

fn marker(value: &DeValue<'_>, asked: &Asked<'_>) -> Releases {
    let marker = text_of(value, "marker");
    marker.map_or(Releases::ALL, |marker| asked.environment.holds(marker, &[]).unwrap_or(Releases::ALL))
}

fn from(path: &str, source: &DeValue<'_>) -> Result<Source, Failure> {
    if let Some(git) = text_of(source, "git") {
        // `https://host/x.git?rev=main&subdirectory=a#commit`
        let (url, commit) = git.rsplit_once('#').ok_or_else(|| invalid(path, "a Git source names no commit"))?;
        let (url, query) = url.split_once('?').unwrap_or((url, ""));
        let subdirectory = query.split('&').find_map(|pair| pair.strip_prefix("subdirectory="));
        let fragment = subdirectory.map(|below| format!("#subdirectory={below}")).unwrap_or_default();
        return Ok(Source::Url(format!("git+{url}@{commit}{fragment}")));
    }
    if let Some(url) = text_of(source, "url") {
        return Ok(Source::Url(url.to_owned()));
    }
    let local = ["editable", "directory", "virtual", "path"].iter().find_map(|kind| text_of(source, kind));
    let Some(local) = local else { return Ok(Source::Index) };
    let inside = join(parent(path), local).ok_or_else(|| invalid(path, "a source lies outside the repository"))?;
    Ok(Source::Directory(inside))
}

fn text_of<'a>(value: &'a DeValue<'_>, key: &str) -> Option<&'a str> {
    value.get(key).and_then(|value| value.get_ref().as_str())
}
