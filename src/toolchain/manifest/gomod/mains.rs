//! Which packages of the modules start, and which of them is the application.

use std::collections::BTreeSet;

use super::super::gosource;
use super::layout::{Layout, Module, below, is_below};
use crate::model::failure::{Failure, FailureCode};
use crate::model::source_tree::{SourceTree, parent};
use crate::toolchain::findings::Inspection;

/// A package that starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Main {
    /// Relative to the application's directory: `./cmd/api`, or `.`.
    pub(super) name: String,
    /// Relative to its module's directory.
    pub(super) package: String,
    /// The path under which Go imports it.
    import_path: String,
    /// Index of its module.
    pub(super) module: usize,
    /// The file of `func main`.
    pub(super) path: String,
    /// The line of `func main`.
    pub(super) line: u32,
}

/// What the source files say.
#[derive(Debug, Default)]
pub(super) struct Scan {
    pub(super) mains: Vec<Main>,
    /// The first `import "C"`.
    pub(super) cgo: Option<(String, u32)>,
    pub(super) embed: bool,
}

impl Scan {
    /// Reads every file that `go build ./...` would look at; mains count below the application's directory.
    pub(super) fn of(inspection: &Inspection<'_>, layout: &Layout) -> Self {
        let mut scan = Self::default();
        for (index, module) in layout.modules.iter().enumerate() {
            let mut seen = BTreeSet::new();
            for path in files(inspection.tree, module) {
                let directory = parent(path);
                let name = path.rsplit('/').next().unwrap_or(path);
                let source = inspection.tree.text(path).and_then(|text| gosource::read(name, text));
                let Some(source) = source.filter(|source| source.built) else { continue };
                scan.embed |= source.embed;
                if let Some(line) = source.cgo {
                    scan.cgo.get_or_insert_with(|| (path.to_owned(), line));
                }
                let Some(line) = source.main.filter(|_| is_below(directory, inspection.directory)) else { continue };
                if seen.insert(directory) {
                    let package = relative(&module.directory, directory);
                    let import_path = format!("{}{}", module.path, package.trim_start_matches('.'));
                    let name = relative(inspection.directory, directory);
                    scan.mains.push(Main { name, package, import_path, module: index, path: path.to_owned(), line });
                }
            }
        }
        scan
    }
}

/// The application's package; none is right only where the command is given.
pub(super) fn choose<'a>(
    inspection: &Inspection<'_>,
    layout: &Layout,
    scan: &'a Scan,
) -> Result<Option<&'a Main>, Failure> {
    if let Some(stated) = inspection.module {
        return stated_one(stated, scan).map(Some);
    }
    match scan.mains.as_slice() {
        [] if inspection.command_given => Ok(None),
        [] => Err(Failure::new(
            FailureCode::ApplicationNotFound,
            format!("no package `main` with a `func main()` lies below `{}`", shown(inspection.directory)),
        )
        .at(layout.modules[0].file.as_str(), None)),
        [main] => Ok(Some(main)),
        several => {
            let mut named = several.iter().filter(|main| last(&main.import_path) == inspection.application);
            if let (Some(main), None) = (named.next(), named.next()) {
                return Ok(Some(main));
            }
            let choices = || several.iter().map(|main| main.name.clone());
            let list = choices().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            let failure =
                Failure::new(FailureCode::ApplicationAmbiguous, format!("several programs could be started: {list}"))
                    .hint(format!(
                        "Choose one in `slipway.toml`: `[application]` with `module = \"{}\"`.",
                        several[0].name
                    ))
                    .candidates(choices());
            Err(several.iter().fold(failure, |failure, main| failure.at(main.path.as_str(), Some(main.line))))
        }
    }
}

/// Takes the name as it is shown, without `./`, relative to the module, or as an import path.
fn stated_one<'a>(stated: &str, scan: &'a Scan) -> Result<&'a Main, Failure> {
    let plain = |text: &str| text.strip_prefix("./").unwrap_or(text).trim_end_matches('/').to_owned();
    let wanted = plain(stated);
    let by_name = scan.mains.iter().find(|main| plain(&main.name) == wanted);
    let by_import = || scan.mains.iter().find(|main| main.import_path == wanted);
    let by_package = || {
        let mut found = scan.mains.iter().filter(|main| plain(&main.package) == wanted);
        found.next().filter(|_| found.next().is_none())
    };
    by_name.or_else(by_import).or_else(by_package).ok_or_else(|| {
        let wanted: String = stated.chars().take(100).collect();
        Failure::new(
            FailureCode::ApplicationNotFound,
            format!("`application.module` is `{wanted}`, but no program is there"),
        )
        .hint("Set `application.module` to the directory of a package `main`, such as `./cmd/api`.")
        .candidates(scan.mains.iter().map(|main| main.name.clone()))
    })
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

/// `.` or `./rest`; `directory` is at or below `base`.
fn relative(base: &str, directory: &str) -> String {
    match directory.strip_prefix(base).unwrap_or(directory).trim_start_matches('/') {
        "" => ".".to_owned(),
        rest => format!("./{rest}"),
    }
}

/// The last element of an import path, without a major version's `/v2`.
fn last(path: &str) -> &str {
    let version = |part: &str| {
        part.strip_prefix('v').is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
    };
    let mut parts = path.rsplit('/');
    match (parts.next().unwrap_or(path), parts.next()) {
        (last, Some(before)) if version(last) => before,
        (last, _) => last,
    }
}

fn shown(directory: &str) -> &str {
    if directory.is_empty() { "." } else { directory }
}
