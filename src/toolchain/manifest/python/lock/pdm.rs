//! Reads a `pdm.lock` that names no groups, as PDM wrote it before 2.11: what is installed follows from its dependencies.

use toml::Spanned;
use toml::de::DeValue;

use super::flat::{hashes, source_of, text_of};
use super::graph::{Edge, Node, reached};
use super::poetry::stated_edge;
use super::{Asked, Lock, Releases, Source, invalid};
use crate::model::failure::Failure;
use crate::model::origin::Origin;
use crate::toolchain::manifest::python::requirement::{Requirement, normalise};

/// Walks from the dependencies that `pyproject.toml` states.
///
/// # Errors
/// `manifest_invalid`.
pub(super) fn read(path: &str, root: &toml::de::DeTable<'_>, asked: &Asked<'_>) -> Result<Lock, Failure> {
    // Up to version 4.2 of the format the files of all distributions stand in one table, by name and version.
    let files = root.get("metadata").and_then(|metadata| metadata.get_ref().get("files")).map(Spanned::get_ref);
    let packages = root.get("package").and_then(|list| list.get_ref().as_array()).into_iter().flatten();
    let mut nodes: Vec<Node> = Vec::new();
    for package in packages.map(Spanned::get_ref) {
        let found = node(path, package, files, asked)?;
        // An entry with extras repeats the distribution and adds what they bring.
        match nodes.iter_mut().find(|known| known.name == found.name && known.version == found.version) {
            Some(known) => {
                known.edges.extend(found.edges);
                if known.hashes.is_empty() {
                    known.hashes = found.hashes;
                }
            }
            None => nodes.push(found),
        }
    }
    let stated = asked.project.map(|project| &project.dependencies[..]).unwrap_or_default();
    let extras = asked.extras.iter().filter_map(|extra| asked.project?.extras.get(extra)).flatten();
    let roots: Vec<Edge> = stated.iter().chain(extras).map(|requirement| stated_edge(requirement, asked)).collect();
    Ok(Lock { distributions: reached(&nodes, &roots), ..Lock::default() })
}

fn node(path: &str, package: &DeValue<'_>, files: Option<&DeValue<'_>>, asked: &Asked<'_>) -> Result<Node, Failure> {
    let stated = text_of(package, "name").ok_or_else(|| invalid(path, "a package has no name"))?;
    let (name, version) = (normalise(stated), text_of(package, "version").unwrap_or_default());
    let from = source_of(path, package)?;
    let own = package.get("files").or_else(|| files?.get(format!("{stated} {version}").as_str()));
    let hashes = if from == Source::Index { hashes(own.map(Spanned::get_ref)) } else { Vec::new() };
    let list = |key: &str| {
        let list = package.get(key).and_then(|list| list.get_ref().as_array()).into_iter().flatten();
        list.filter_map(|text| text.get_ref().as_str()).collect::<Vec<_>>()
    };
    let extras: Vec<Option<String>> = list("extras").into_iter().map(|extra| Some(normalise(extra))).collect();
    let extras = if extras.is_empty() { vec![None] } else { extras };
    let wanted = list("dependencies").into_iter().filter_map(|text| Requirement::parse(text, Origin::default("lock")));
    let wanted = wanted.filter(|requirement| requirement.name != name);
    let edges = wanted.map(|requirement| stated_edge(&requirement, asked));
    let edges = edges.flat_map(|edge| extras.iter().map(move |extra| Edge { of_extra: extra.clone(), ..edge.clone() }));
    Ok(Node {
        edges: edges.collect::<Vec<_>>(),
        name,
        version: version.to_owned(),
        from,
        hashes,
        releases: Releases::ALL,
    })
}
