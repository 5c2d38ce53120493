//! Applications below a directory that is none itself, and what else its files look like.

use std::collections::BTreeMap;

use crate::catalog::Catalog;
use crate::model::source_tree::{SourceTree, parent};

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
        let aside = |part: &str| part.starts_with('.') || catalog.aside.iter().any(|name| name == part);
        if wanted.contains(&name) && !way.split('/').any(aside) && tree.has_file(path) {
            found.entry(parent(path).to_owned()).or_insert_with(|| path.to_owned());
        }
    }
    let all: Vec<String> = found.keys().cloned().collect();
    found.retain(|one, _| !all.iter().any(|other| one != other && one.starts_with(&format!("{other}/"))));
    found
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
    let aside =
        |path: &str| path.split('/').any(|part| part.starts_with('.') || catalog.aside.iter().any(|a| a == part));
    unsupported_here(directory, tree, catalog).or_else(|| {
        catalog.unsupported.iter().filter(|(pattern, _)| pattern.starts_with('*')).find_map(|(pattern, name)| {
            let mut below = tree.below(directory).map(|(path, _)| path);
            below.find(|path| fits(pattern, path) && !aside(path)).map(|path| (name.as_str(), path.to_owned()))
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

fn fits(pattern: &str, path: &str) -> bool {
    let file = path.rsplit('/').next().unwrap_or(path);
    pattern.strip_prefix('*').map_or(file == pattern, |ending| file.ends_with(ending))
}
