//! Which modules of a repository are looked at, and where an import leads inside it.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use aho_corasick::AhoCorasick;

use super::module::Module;
use super::text::{below, inside};
use super::{identifiers, imports, source, vendored};
use crate::model::source_tree::{SourceTree, parent};

/// Directories that hold no part of the application.
const EXCLUDED: [&str; 20] = [
    "tests",
    "test",
    "testing",
    "migrations",
    "venv",
    "env",
    "virtualenv",
    "docs",
    "doc",
    "examples",
    "example",
    "samples",
    "node_modules",
    "site-packages",
    "build",
    "dist",
    "__pycache__",
    "benchmarks",
    "alembic",
    "notebooks",
];
/// Those that hold none whatever else there is.
const NEVER: [&str; 8] =
    ["tests", "test", "migrations", "venv", "virtualenv", "node_modules", "site-packages", "__pycache__"];
/// Words of which a module must hold one to be parsed: what makes an application object or starts a script. They save
/// work and decide nothing.
const WORDS: &[&str] = &[
    "Flask",
    "FastAPI",
    "Starlette",
    "Quart",
    "Litestar",
    "falcon",
    "bottle",
    "streamlit",
    "chainlit",
    "Sanic",
    "Dash(",
    "aiohttp",
    "Celery",
    "tornado",
    "get_wsgi_application",
    "get_asgi_application",
    "get_default_application",
    "execute_from_command_line",
    "DJANGO_SETTINGS",
    "__main__",
    "INSTALLED_APPS",
    "STATIC_ROOT",
    "import *",
];
const MAX_DEPTH: usize = 4;
const MAX_SIZE: u64 = 1024 * 1024;
const MAX_FILES: usize = 400;

/// The modules of an application's directory, shallow ones first.
#[derive(Debug)]
pub(super) struct Sources<'a> {
    pub(super) tree: &'a SourceTree,
    pub(super) directory: &'a str,
    /// Paths relative to the repository's root.
    pub(super) files: Vec<&'a str>,
    /// The parsed ones.
    pub(super) modules: BTreeMap<&'a str, Arc<Module>>,
    /// The directory's own name, where the directory is itself the package that its modules import from.
    pub(super) package: Option<&'a str>,
}

impl<'a> Sources<'a> {
    /// Lists and asks for the texts of all modules at once; parses those that hold one of the telling words.
    ///
    /// The words only save work; what counts is what the syntax tree says.
    pub(super) fn load(tree: &'a SourceTree, directory: &'a str, facts: &toml::Table) -> Self {
        Self::of(tree, directory, (&EXCLUDED, false), facts, |path| tells(tree, path))
    }

    /// The same with directories whose names say that they hold something else, and with files that only who is given their name
    /// can import (`shop-server.py`; `importlib`); with documentation only where there is nothing else (`alone`).
    pub(super) fn load_all(tree: &'a SourceTree, directory: &'a str, facts: &toml::Table, alone: bool) -> Self {
        let documentation = if alone { &[][..] } else { &["docs", "doc"] };
        let excluded: Vec<&str> = NEVER.iter().chain(documentation).copied().collect();
        Self::of(tree, directory, (&excluded, true), facts, |path| tells(tree, path))
    }

    /// Every module is parsed.
    #[cfg(test)]
    pub(super) fn parse_all(tree: &'a SourceTree) -> Self {
        Self::of(tree, "", (&EXCLUDED, false), &toml::Table::new(), |_| true)
    }

    fn of(
        tree: &'a SourceTree,
        directory: &'a str,
        (excluded, dashed): (&[&str], bool),
        facts: &toml::Table,
        tells: impl Fn(&str) -> bool,
    ) -> Self {
        let brought = vendored::directories(tree, directory, facts);
        let of_application = |path: &str| !brought.iter().any(|place| below(place, path) != path);
        let mut files: Vec<&str> = tree
            .below(directory)
            .filter(|(path, entry)| entry.size <= MAX_SIZE && considered(below(directory, path), excluded, dashed))
            .map(|(path, _)| path)
            .filter(|path| of_application(path))
            .collect();
        files.sort_by_key(|path| (path.matches('/').count(), *path));
        files.truncate(MAX_FILES);
        let mut sources = Self { tree, directory, files, modules: BTreeMap::new(), package: None };
        let texts: Vec<(&'a str, &'a str)> =
            sources.files.iter().filter_map(|path| Some((*path, tree.text(path)?))).collect();
        sources.parse(&texts, |path, _| is_gateway(path) || tells(path));
        let mut factories: Vec<String> = sources
            .modules
            .values()
            .flat_map(|module| module.functions.iter())
            .filter(|f| f.callable && !f.returns.is_empty())
            .map(|f| f.name.clone())
            .collect();
        factories.sort_unstable();
        factories.dedup();
        let packages: BTreeSet<&str> = sources.modules.keys().map(|path| stem(path)).collect();
        let holds = |path: &str, name: &str| identifiers::of(tree, path).is_some_and(|found| found.has(name));
        // Modules that only call a factory or import an object from elsewhere name neither framework nor guard.
        let parsed: Vec<(&'a str, &'a str)> = texts
            .into_iter()
            .filter(|(path, text)| {
                is_entry_name(path)
                    || text.contains("import") && speaks_of_app(text) && packages.iter().any(|name| holds(path, name))
            })
            .collect();
        let calls = |path: &str, text: &str, name: &str| holds(path, name) && text.contains(&format!("{name}("));
        sources.parse(&parsed, |path, text| is_short(text) || factories.iter().any(|name| calls(path, text, name)));
        sources.package = sources.own_package();
        sources
    }

    /// The directory's name, where modules import by it what lies in the directory: `from shop.cart import …` in `shop/`.
    fn own_package(&self) -> Option<&'a str> {
        let name = self.directory.rsplit('/').next().filter(|name| !name.is_empty())?;
        let within = inside(self.directory, name);
        let holds = |module: &str| {
            let path = inside(self.directory, module);
            self.module_file(&path).is_some() || self.tree.has_directory(&path)
        };
        let of_itself = |dotted: &str| {
            let mut names = dotted.split('.');
            names.next() == Some(name) && names.next().is_some_and(holds)
        };
        let imports = self.modules.values().any(|module| module.imports.all.iter().any(|dotted| of_itself(dotted)));
        (imports && !self.tree.has_directory(&within) && !self.tree.has_file(&format!("{within}.py"))).then_some(name)
    }

    fn parse(&mut self, texts: &[(&'a str, &'a str)], wanted: impl Fn(&str, &str) -> bool) {
        let new = texts.iter().filter(|(path, text)| !self.modules.contains_key(path) && wanted(path, text));
        let new: Vec<&str> = new.map(|(path, _)| *path).collect();
        self.modules.extend(source::of_each(self.tree, &new));
    }

    /// The modules with an import that may name this one: text decides which are parsed, and nothing else.
    pub(super) fn importing(&self, stem: &str) -> impl Iterator<Item = (&'a str, Arc<Module>)> {
        self.files.iter().filter_map(move |path| {
            let imports = |line: &str| {
                let line = line.trim_start();
                (line.starts_with("import ") || line.starts_with("from ")) && line.contains(stem)
            };
            let text = self.tree.text(path)?;
            identifiers::of(self.tree, path).filter(|found| found.may_hold(stem))?;
            // Names in parentheses stand on lines of their own.
            let names = text.lines().any(imports) || text.contains("import (");
            names.then(|| source::of(self.tree, path)).flatten().map(|module| (*path, module))
        })
    }

    /// Whether a module's text holds the name of a file or a directory.
    pub(super) fn any_text(&self, name: &str) -> bool {
        self.files.iter().any(|path| {
            identifiers::of(self.tree, path).is_some_and(|found| found.may_hold(name))
                && self.tree.text(path).is_some_and(|text| text.contains(name))
        })
    }

    /// The file a dotted name leads to, and what is left of the name as an attribute of it.
    pub(super) fn locate(&self, dotted: &str, from: &str) -> Option<(String, Option<String>)> {
        let level = dotted.chars().take_while(|c| *c == '.').count();
        let names = dotted.trim_start_matches('.').replace('.', "/");
        let mut bases = Vec::new();
        let mut at = parent(from);
        if level > 0 {
            for _ in 1..level {
                at = parent(at);
            }
            bases.push(at.to_owned());
        } else {
            bases.push(self.directory.to_owned());
            bases.push(inside(self.directory, "src"));
            while at.len() > self.directory.len() {
                bases.push(at.to_owned());
                at = parent(at);
            }
            let first = names.split('/').next();
            bases.extend(self.package.filter(|own| first == Some(own)).map(|_| parent(self.directory).to_owned()));
        }
        bases.iter().find_map(|base| {
            let whole = inside(base, &names);
            if let Some(file) = self.module_file(&whole) {
                return Some((file, None));
            }
            let (head, attribute) = names.rsplit_once('/').unwrap_or(("", &names));
            // A relative import of a name from the package itself: `from . import app`.
            let file = if head.is_empty() && level == 0 { None } else { self.module_file(&inside(base, head)) };
            file.map(|file| (file, Some(attribute.to_owned())))
        })
    }

    fn module_file(&self, path: &str) -> Option<String> {
        // A package comes before a module of the same name (Python's `FileFinder`).
        let candidates = [inside(path, "__init__.py"), format!("{path}.py")];
        candidates.into_iter().find(|file| self.tree.has_file(file))
    }

    /// The directory that must be on the import path for a module, and the module's dotted name there.
    ///
    /// Packages reach up as far as there is an `__init__.py`. Above them directories may still be namespace
    /// packages; then the module's own absolute imports tell where it expects to be found.
    pub(super) fn import_name(&self, file: &'a str) -> (String, String) {
        let mut root = parent(file);
        if self.is_loose(file) && !self.has_module(self.directory, stem(file)) {
            return (root.to_owned(), stem(file).to_owned());
        }
        while root.len() > self.directory.len() && self.tree.has_file(&inside(root, "__init__.py")) {
            root = parent(root);
        }
        let src = inside(self.directory, "src");
        let root = if root.len() <= self.directory.len() && self.package.is_some() {
            parent(self.directory).to_owned()
        } else if root == src || root.len() <= self.directory.len() || self.imports_siblings(file, root) {
            root.to_owned()
        } else if root.starts_with(&format!("{src}/")) {
            src
        } else {
            self.directory.to_owned()
        };
        let relative = below(&root, file).trim_end_matches(".py");
        let relative = relative.strip_suffix("/__init__").unwrap_or(relative);
        (root, relative.replace('/', "."))
    }

    /// Whether a module in a package is written as a script: it imports what lies beside it by bare names, which is where Python
    /// looks first for a script (the reference of `sys.path`), and nothing speaks of its directory as a package.
    pub(super) fn is_loose(&self, file: &str) -> bool {
        let place = parent(file);
        let in_package =
            |place: &str| place.len() > self.directory.len() && self.tree.has_file(&inside(place, "__init__.py"));
        let Some(read) = imports::of(self.tree, file).filter(|_| in_package(place)) else { return false };
        let beside = |first: &str| inside(place, &format!("{first}.py")) != file && self.has_module(place, first);
        let first = |name: &str| name.split('.').next().unwrap_or_default().to_owned();
        let bare = read.all.iter().map(|name| first(name)).filter(|name| !name.is_empty());
        if !bare.into_iter().any(|name| beside(&name) && !self.has_module(self.directory, &name)) {
            return false;
        }
        let mut top = place;
        while in_package(parent(top)) {
            top = parent(top);
        }
        let package = top.rsplit('/').next().unwrap_or_default();
        !self.files.iter().any(|other| {
            let within = other.starts_with(&format!("{top}/"));
            imports::of(self.tree, other).is_some_and(|read| {
                read.all.iter().any(|name| within && name.starts_with('.') || first(name) == package)
            })
        })
    }

    /// Whether a directory has a module or a package of that name.
    fn has_module(&self, place: &str, name: &str) -> bool {
        let path = inside(place, name);
        self.tree.has_directory(&path) || self.tree.has_file(&format!("{path}.py"))
    }

    /// Whether a module imports, as top-level names, what lies beside it in `root` and not in the directory.
    fn imports_siblings(&self, file: &str, root: &str) -> bool {
        let Some(module) = self.modules.get(file) else { return false };
        module.imports.all.iter().filter(|name| !name.starts_with('.')).any(|name| {
            let first = name.split('.').next().unwrap_or_default();
            let there = |base: &str| self.has_module(base, first);
            inside(root, &format!("{first}.py")) != file && there(root) && !there(self.directory)
        })
    }
}

/// Whether a text speaks of an `app`, a `webapp` or an `application`, and not only of `append` and its like.
fn speaks_of_app(text: &str) -> bool {
    text.match_indices("app").any(|(at, found)| {
        let rest = &text[at + found.len()..];
        let ends = !rest.starts_with(|c: char| c.is_ascii_alphabetic());
        ends || rest.starts_with("lication") && !rest.starts_with("lication/")
    })
}

/// Whether a module's text holds a telling word; it is looked through once, however often planning runs again.
fn tells(tree: &SourceTree, path: &str) -> bool {
    struct Telling(bool);
    static WORDS_AT_ONCE: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| AhoCorasick::new(WORDS).ok());
    let holds = |text: &str| WORDS_AT_ONCE.as_ref().is_none_or(|words| words.is_match(text));
    tree.derived(path, |text| Telling(holds(text))).is_some_and(|telling| telling.0)
}

fn considered(path: &str, excluded: &[&str], dashed: bool) -> bool {
    let (directories, name) = path.rsplit_once('/').unwrap_or(("", path));
    let extension = name.strip_suffix(".py");
    let Some(stem) = extension else { return false };
    let left_out = |part: &str| part.starts_with('.') || excluded.contains(&part);
    path.matches('/').count() <= MAX_DEPTH
        && !directories.split('/').any(left_out)
        && !stem.starts_with("test_")
        && !stem.ends_with("_test")
        && !["conftest", "tests", "noxfile", "run_tests", "runtests", "run_test", "runtest"].contains(&stem)
        && (!directories.is_empty() || !["setup", "fabfile", "tasks"].contains(&stem))
        && stem.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-' && dashed)
}

/// The name that imports of a module end with.
pub(super) fn stem(path: &str) -> &str {
    let path = path.strip_suffix("/__init__.py").or(path.strip_suffix(".py")).unwrap_or(path);
    path.rsplit('/').next().unwrap_or(path)
}

fn is_entry_name(path: &str) -> bool {
    matches!(stem(path), "wsgi" | "asgi" | "app" | "application" | "main" | "api" | "server" | "run" | "settings")
}

/// Whether a module's name says that it holds what a server imports.
fn is_gateway(path: &str) -> bool {
    matches!(stem(path), "wsgi" | "asgi" | "manage")
}

fn is_short(text: &str) -> bool {
    text.len() < 4_000
}
