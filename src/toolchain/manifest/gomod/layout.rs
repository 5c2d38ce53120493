//! Which modules an application's directory has to do with, from `go.mod` and `go.work`.

use std::sync::Arc;

use super::super::godirectives::{Directive, Malformed, Spot, directives, single};
use crate::model::failure::{Failure, FailureCode, Warning};
use crate::model::origin::{Found, Origin};
use crate::model::source_tree::{SourceTree, join, parent};
use crate::toolchain::version::{Demand, Version};

const MODULE_VERBS: &[&str] =
    &["module", "go", "toolchain", "godebug", "require", "exclude", "replace", "retract", "tool", "ignore"];
const WORKSPACE_VERBS: &[&str] = &["go", "toolchain", "godebug", "use", "replace"];

/// How a `replace` is written (Go Modules Reference).
const REPLACE: &str = "`replace` is written `OLD => NEW VERSION` or `OLD => ./DIRECTORY`";

/// The modules of a build, never empty, and their workspace.
pub(super) struct Layout {
    /// The module around the application's directory first, then those of the workspace and local replacements.
    pub(super) modules: Vec<Module>,
    pub(super) workspace: Option<Workspace>,
    pub(super) warning: Option<Warning>,
}

pub(super) struct Module {
    /// `""` for the root.
    pub(super) directory: String,
    /// The path of its `go.mod`.
    pub(super) file: String,
    /// The module path, `example.com/order`.
    pub(super) path: String,
    pub(super) versions: Vec<Found<Demand>>,
    /// Required modules: path, version and line.
    pub(super) requires: Vec<(String, String, u32)>,
    /// Modules that stand for others by a directory: the path replaced, the directory as written, the place.
    replaces: Vec<(String, String, Spot)>,
    /// Every `replace`: the path replaced and what stands for it.
    pub(super) replaced: Vec<String>,
}

pub(super) struct Workspace {
    pub(super) directory: String,
    pub(super) versions: Vec<Found<Demand>>,
    /// The used modules' directories with their places.
    uses: Vec<(String, Spot)>,
}

impl Layout {
    /// The module around `directory`, those of its workspace, and what they replace by directories of the repository.
    pub(super) fn read(tree: &SourceTree, directory: &str) -> Result<Self, Failure> {
        let module = nearest(tree, directory, "go.mod").map(|found| Module::read(tree, found)).transpose()?;
        let workspace = nearest(tree, directory, "go.work").map(|found| Workspace::read(tree, found)).transpose()?;
        let file = workspace.as_ref().map(|workspace| below(&workspace.directory, "go.work")).unwrap_or_default();
        let mut modules: Vec<Module> = module.into_iter().collect();
        let outside = |workspace: &Workspace| {
            modules.first().is_some_and(|module| workspace.uses.iter().all(|(used, _)| *used != module.directory))
        };
        if workspace.as_ref().is_some_and(outside) {
            let message = format!("`{file}` does not use the module `{}`, so it is left aside", modules[0].file);
            let warning =
                Warning::new("workspace_ignored", message, "Add a `use` line, or set `GOWORK=off` in your own builds.");
            let modules = with_replacements(tree, modules)?;
            return Ok(Self { modules, workspace: None, warning: Some(warning.at(file, None)) });
        }
        for (used, at) in workspace.iter().flat_map(|workspace| &workspace.uses) {
            if modules.iter().any(|module| module.directory == *used) {
                continue;
            }
            if !tree.has_file(&below(used, "go.mod")) {
                return Err(invalid(&file, *at, &format!("`use` names `{used}`, where no `go.mod` is")));
            }
            modules.push(Module::read(tree, used)?);
        }
        if modules.is_empty() {
            let message = match &workspace {
                Some(_) => format!("`{file}` uses no module"),
                None => format!("no `go.mod` in `{directory}` or above it"),
            };
            return Err(Failure::new(FailureCode::ManifestInvalid, message)
                .hint("Make it a module with `go mod init`, or set `source.directory` to where its `go.mod` is."));
        }
        Ok(Self { modules: with_replacements(tree, modules)?, workspace, warning: None })
    }

    /// The directory that an import path leads to, where it is a package of one of the modules.
    pub(super) fn directory_of(&self, import: &str) -> Option<String> {
        let inside = self.modules.iter().filter(|module| is_below(import, &module.path));
        // The longest path wins, as `go` has it.
        let module = inside.max_by_key(|module| module.path.len())?;
        Some(
            below(&module.directory, import[module.path.len()..].trim_start_matches('/'))
                .trim_end_matches('/')
                .to_owned(),
        )
    }
}

/// Adds the modules that required ones are replaced by (Go Modules Reference, "replace directive").
fn with_replacements(tree: &SourceTree, mut modules: Vec<Module>) -> Result<Vec<Module>, Failure> {
    for index in 0..modules.len() {
        let module = &modules[index];
        let mut found = Vec::new();
        for (path, target, at) in &module.replaces {
            // What nothing requires is not looked at.
            if !module.requires.iter().any(|(required, ..)| required == path) {
                continue;
            }
            let directory = join(&module.directory, target);
            let there = directory.filter(|directory| tree.has_file(&below(directory, "go.mod")));
            let Some(directory) = there else {
                let why = format!("`{path}` is replaced by `{target}`, and no `go.mod` of the repository is there");
                let failure = invalid(&module.file, *at, &why);
                return Err(failure.hint("Remove the `replace` line, or commit the module that it names."));
            };
            found.push((path.clone(), directory));
        }
        for (path, directory) in found {
            if modules.iter().all(|module| module.directory != directory) {
                // It is imported under the path that it replaces.
                modules.push(Module { path, ..Module::read(tree, &directory)? });
            }
        }
    }
    Ok(modules)
}

impl Module {
    fn read(tree: &SourceTree, directory: &str) -> Result<Self, Failure> {
        let file = below(directory, "go.mod");
        let found = parsed(tree, &file, MODULE_VERBS)?;
        let found = found.of(&file)?;
        let at = |bad: Malformed| invalid(&file, bad.at, &bad.why);
        let no_module = || {
            Failure::new(FailureCode::ManifestInvalid, format!("`{file}` has no `module` line")).at(file.as_str(), None)
        };
        let (path, _) = single(found, "module").map_err(at)?.ok_or_else(no_module)?;
        let requires = found.iter().filter(|directive| directive.verb == "require");
        let requires = requires.map(|require| match require.words.as_slice() {
            [path, version] => Ok((path.clone(), version.clone(), require.at.line)),
            _ => Err(invalid(&file, require.at, "`require` takes a module and its version")),
        });
        let requires = requires.collect::<Result<Vec<_>, _>>()?;
        let (mut local, mut replaced) = (Vec::new(), Vec::new());
        for directive in found.iter().filter(|directive| directive.verb == "replace") {
            let (old, target) = match directive.words.as_slice() {
                [old, arrow, target @ ..] if arrow == "=>" => (old, target),
                [old, _, arrow, target @ ..] if arrow == "=>" => (old, target),
                _ => return Err(invalid(&file, directive.at, REPLACE)),
            };
            replaced.push(old.clone());
            match target {
                [path] if is_directory(path) => local.push((old.clone(), path.clone(), directive.at)),
                [_, _] => {}
                [_] => return Err(invalid(&file, directive.at, "`replace` names a module without its version")),
                _ => return Err(invalid(&file, directive.at, REPLACE)),
            }
        }
        Ok(Self {
            path: path.to_owned(),
            versions: versions(&file, found)?,
            requires,
            replaces: local,
            replaced,
            directory: directory.to_owned(),
            file,
        })
    }
}

impl Workspace {
    fn read(tree: &SourceTree, directory: &str) -> Result<Self, Failure> {
        let file = below(directory, "go.work");
        let found = parsed(tree, &file, WORKSPACE_VERBS)?;
        let found = found.of(&file)?;
        let uses = found.iter().filter(|directive| directive.verb == "use").map(|used| match used.words.as_slice() {
            [path] => join(directory, path)
                .map(|path| (path, used.at))
                .ok_or_else(|| invalid(&file, used.at, "`use` leaves the repository")),
            _ => Err(invalid(&file, used.at, "`use` takes one directory")),
        });
        let uses = uses.collect::<Result<_, _>>()?;
        Ok(Self { directory: directory.to_owned(), versions: versions(&file, found)?, uses })
    }
}

/// `directory/name`, for the root too.
pub(super) fn below(directory: &str, name: &str) -> String {
    if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") }
}

/// Whether `path` is the directory or lies in it.
pub(super) fn is_below(path: &str, directory: &str) -> bool {
    directory.is_empty() || path.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether what stands for a module is a directory, not another module.
fn is_directory(target: &str) -> bool {
    target == "." || target == ".." || ["./", "../", "/"].iter().any(|start| target.starts_with(start))
}

fn nearest<'a>(tree: &SourceTree, directory: &'a str, name: &str) -> Option<&'a str> {
    let up = std::iter::successors(Some(directory), |path| (!path.is_empty()).then(|| parent(path)));
    up.into_iter().find(|path| tree.has_file(&below(path, name)))
}

/// A large repository has hundreds of them, and planning runs several times.
struct Parsed(Result<Vec<Directive>, Malformed>);

fn parsed(tree: &SourceTree, file: &str, verbs: &[&str]) -> Result<Arc<Parsed>, Failure> {
    let unreadable =
        || Failure::new(FailureCode::ManifestInvalid, format!("`{file}` is no text that can be read")).at(file, None);
    tree.derived(file, |text| Parsed(directives(text, verbs))).ok_or_else(unreadable)
}

impl Parsed {
    fn of(&self, file: &str) -> Result<&[Directive], Failure> {
        self.0.as_deref().map_err(|bad| invalid(file, bad.at, &bad.why))
    }
}

fn invalid(file: &str, at: Spot, why: &str) -> Failure {
    let message = format!("`{file}` line {}: {why}", at.line);
    Failure::new(FailureCode::ManifestInvalid, message).at_column(file, Some(at.line), Some(at.column))
}

/// `toolchain` first: it names a release that is not older than the one of the `go` line.
fn versions(file: &str, found: &[Directive]) -> Result<Vec<Found<Demand>>, Failure> {
    let mut demands = Vec::new();
    for verb in ["toolchain", "go"] {
        let one = single(found, verb).map_err(|bad| invalid(file, bad.at, &bad.why))?;
        let Some((text, at)) = one.filter(|(text, _)| (verb, *text) != ("toolchain", "default")) else { continue };
        // Only a toolchain has a suffix of its maker's.
        let number = if verb == "go" { Some(text).filter(|text| !text.contains('-')) } else { text.strip_prefix("go") };
        let version = number.and_then(release).ok_or_else(|| {
            let text: String = text.chars().take(40).collect();
            invalid(file, at, &format!("`{verb} {text}` names no Go release"))
        })?;
        demands.push(Found::new(Demand::AtLeast(version), Origin::file(file, Some(at.line), verb)));
    }
    Ok(demands)
}

/// `1.22`, `1.22.5`, `1.23rc1`, `1.22.5-corp`: the numbers in front; `1` and `1.021` are none (Go Toolchains, "Go versions").
fn release(text: &str) -> Option<Version> {
    let numbers = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (numbers, suffix) = text.split_at(numbers);
    let known = suffix.is_empty() || ["rc", "beta", "alpha", "-"].iter().any(|start| suffix.starts_with(start));
    let padded = numbers.split('.').any(|number| number.len() > 1 && number.starts_with('0'));
    numbers.parse().ok().filter(|version: &Version| known && !padded && version.parts().len() > 1)
}
