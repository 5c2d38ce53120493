//! The packages of the modules, and which of them a program is made of.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::gosource::{self, Source};
use super::layout::{Layout, Module, below};
use crate::model::source_tree::{SourceTree, parent};

/// A package: the files of one directory that are built on Linux.
#[derive(Debug)]
pub(super) struct Package<'a> {
    /// Index of its module.
    pub(super) module: usize,
    pub(super) files: Vec<(&'a str, Arc<Source>)>,
    /// Whether a file stands in for those that need cgo where there is none.
    without_cgo: bool,
}

impl Package<'_> {
    /// The first `import "C"`, where the package cannot do without.
    pub(super) fn cgo(&self) -> Option<(&str, u32)> {
        let mut found = self.files.iter().filter_map(|(path, source)| Some((*path, source.cgo?)));
        found.next().filter(|_| !self.without_cgo)
    }
}

/// All packages by directory.
pub(super) type Packages<'a> = BTreeMap<&'a str, Package<'a>>;

/// Reads every file that `go build ./...` would look at, in every module of the layout.
pub(super) fn read<'a>(tree: &'a SourceTree, layout: &'a Layout, tags: &[String]) -> Packages<'a> {
    let mut packages = Packages::new();
    for (module, read) in layout.modules.iter().enumerate() {
        let sources = gosource::of_each(tree, files(tree, read), tags).into_iter();
        for (path, source) in sources.filter(|(_, source)| source.built || source.without_cgo) {
            let package = packages.entry(parent(path)).or_insert_with(|| Package {
                module,
                files: Vec::new(),
                without_cgo: false,
            });
            if source.built {
                package.files.push((path, source));
            } else {
                package.without_cgo = true;
            }
        }
    }
    packages.retain(|_, package| !package.files.is_empty());
    packages
}

/// The directories of the packages that a program is made of, its own first; packages of other modules are not there.
pub(super) fn closure<'a>(packages: &Packages<'a>, layout: &Layout, main: &str) -> Vec<&'a str> {
    let Some((first, _)) = packages.get_key_value(main) else { return Vec::new() };
    let mut found = vec![*first];
    let mut seen: BTreeSet<&str> = found.iter().copied().collect();
    let mut at = 0;
    while let Some(directory) = found.get(at).copied() {
        at += 1;
        for import in packages[directory].files.iter().flat_map(|(_, source)| &source.imports) {
            let local = layout.directory_of(import);
            let local = local.and_then(|local| packages.get_key_value(local.as_str()));
            if let Some((local, _)) = local.filter(|(local, _)| seen.insert(local)) {
                found.push(local);
            }
        }
    }
    found
}

/// The files of the module's packages: no tests, no nested modules, nothing that `go` ignores.
fn files<'a>(tree: &'a SourceTree, module: &'a Module) -> impl Iterator<Item = &'a str> {
    let own = below(&module.directory, "go.mod");
    let manifests = tree.below(&module.directory).map(|(path, _)| path);
    let nested: BTreeSet<&str> =
        manifests.filter(|path| path.ends_with("/go.mod") && *path != own).map(parent).collect();
    let skip = if module.directory.is_empty() { 0 } else { module.directory.len() + 1 };
    tree.below(&module.directory).map(|(path, _)| path).filter(move |path| {
        let (directories, name) = path[skip..].rsplit_once('/').unwrap_or(("", &path[skip..]));
        let hidden = |part: &str| part.starts_with(['_', '.']);
        let skipped = |part: &str| hidden(part) || part == "testdata" || part == "vendor";
        let extension = name.strip_suffix(".go").is_some_and(|stem| !stem.ends_with("_test"));
        let own_directories = std::iter::successors(Some(parent(path)), |up| (up.len() > skip).then(|| parent(up)));
        extension
            && tree.has_file(path)
            && !hidden(name)
            && !directories.split('/').any(skipped)
            && !own_directories.into_iter().any(|directory| nested.contains(directory))
    })
}
