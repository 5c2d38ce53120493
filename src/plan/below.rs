//! Applications below a directory that is none itself, and what else its files look like.

use std::collections::{BTreeMap, BTreeSet};

use crate::catalog::Catalog;
use crate::model::source_tree::{SourceTree, parent};
use crate::toolchain::manifest::dockerfile::places::Taken;

/// More than a person reads.
const MAX_OTHERS: usize = 12;

/// Directories below `directory` that a toolchain recognises by a file, with that file; none lies within another.
pub(super) fn applications(directory: &str, tree: &SourceTree, catalog: &Catalog) -> BTreeMap<String, String> {
    let wanted: Vec<&str> = catalog
        .toolchains
        .values()
        .filter(|toolchain| !toolchain.definition.detect.fallback)
        .flat_map(|toolchain| &toolchain.definition.detect.files)
        .filter(|name| !name.contains('/'))
        .map(String::as_str)
        .collect();
    let skip = if directory.is_empty() { 0 } else { directory.len() + 1 };
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    for (path, _) in tree.below(directory) {
        let inside = &path[skip..];
        let Some((way, name)) = inside.rsplit_once('/') else { continue };
        if wanted.contains(&name) && !is_aside(way, catalog) && tree.has_file(path) {
            found.entry(parent(path).to_owned()).or_insert_with(|| path.to_owned());
        }
    }
    let all: BTreeSet<String> = found.keys().cloned().collect();
    let above = |path: &str| all.contains(parent(path));
    found.retain(|one, _| {
        let mut ways = std::iter::successors(Some(one.as_str()), |path| path.rsplit_once('/').map(|(up, _)| up));
        !ways.any(above)
    });
    found
}

/// The part of `found`, as [`applications`] gives it, that a Dockerfile takes files from. Its context is the directory in
/// which it lies, as `docker build .` has it.
pub(super) fn named_by(
    dockerfile: &str,
    found: &BTreeMap<String, String>,
    tree: &SourceTree,
) -> BTreeMap<String, String> {
    let Some(text) = tree.text(dockerfile) else { return BTreeMap::new() };
    let taken = Taken::read(text);
    let named = found.iter().filter(|(directory, _)| taken.is_from(within(parent(dockerfile), directory)));
    named.map(|(directory, path)| (directory.clone(), path.clone())).collect()
}

/// Directories below `directory`, and outside of `chosen`, that a toolchain recognises which is taken only where no other is,
/// with the file.
pub(super) fn others<'a>(
    directory: &str,
    chosen: &str,
    tree: &SourceTree,
    catalog: &'a Catalog,
) -> Vec<(&'a str, String)> {
    let toolchains = catalog.toolchains.values().map(|toolchain| &toolchain.definition);
    let names: Vec<(&str, &str)> = toolchains
        .filter(|definition| definition.detect.fallback)
        .flat_map(|definition| definition.detect.files.iter().map(|name| (definition.name.as_str(), name.as_str())))
        .collect();
    let found = tree.below(directory).filter_map(|(path, _)| {
        let (way, name) = within(directory, path).rsplit_once('/')?;
        let (toolchain, _) = names.iter().find(|(_, wanted)| *wanted == name)?;
        let place = parent(path);
        let inside = place.strip_prefix(chosen).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        (!inside && !is_aside(way, catalog)).then(|| (*toolchain, path.to_owned()))
    });
    found.take(MAX_OTHERS).collect()
}

/// A path below a directory, as that directory sees it.
pub(super) fn within<'a>(directory: &str, path: &'a str) -> &'a str {
    path[directory.len()..].trim_start_matches('/')
}

/// A file whose name is nearly one that is looked for: `requirement.txt`, `Pom.xml`.
pub(super) fn misspelt(directory: &str, tree: &SourceTree, catalog: &Catalog) -> Option<(String, String)> {
    let wanted: Vec<&str> = catalog
        .toolchains
        .values()
        .flat_map(|toolchain| &toolchain.definition.detect.files)
        .filter(|name| !name.contains('/'))
        .map(String::as_str)
        .collect();
    tree.files_in(directory).find_map(|path| {
        let name = path.rsplit('/').next().unwrap_or(path);
        // Short names are near too much.
        let near = |wanted: &&&str| {
            let allowed = if wanted.len() < 8 { 0 } else { 2 };
            name != **wanted && strsim::osa_distance(&name.to_lowercase(), &wanted.to_lowercase()) <= allowed
        };
        wanted.iter().find(near).map(|wanted| (path.to_owned(), (*wanted).to_owned()))
    })
}

/// The ecosystem that the files speak of and that no toolchain builds, with the file; sources by how they end count
/// wherever they lie.
pub(super) fn unsupported<'a>(directory: &str, tree: &SourceTree, catalog: &'a Catalog) -> Option<(&'a str, String)> {
    unsupported_here(directory, tree, catalog).or_else(|| {
        catalog.unsupported.iter().filter(|(pattern, _)| pattern.starts_with('*')).find_map(|(pattern, name)| {
            let mut below = tree.below(directory).map(|(path, _)| path);
            below
                .find(|path| fits(pattern, path) && !is_aside(path, catalog))
                .map(|path| (name.as_str(), path.to_owned()))
        })
    })
}

/// The same by the files of the directory itself.
pub(super) fn unsupported_here<'a>(
    directory: &str,
    tree: &SourceTree,
    catalog: &'a Catalog,
) -> Option<(&'a str, String)> {
    catalog.unsupported.iter().find_map(|(pattern, name)| {
        tree.files_in(directory).find(|path| fits(pattern, path)).map(|path| (name.as_str(), path.to_owned()))
    })
}

/// Whether a path leads through a directory in which nobody looks for the application.
fn is_aside(path: &str, catalog: &Catalog) -> bool {
    path.split('/').any(|part| part.starts_with('.') || catalog.aside.iter().any(|name| name == part))
}

fn fits(pattern: &str, path: &str) -> bool {
    let file = path.rsplit('/').next().unwrap_or(path);
    pattern.strip_prefix('*').map_or(file == pattern, |ending| file.ends_with(ending))
}
