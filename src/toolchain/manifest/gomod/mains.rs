//! Which packages of the modules start, and which of them is the application.

use super::super::dockerfile::says;
use super::layout::{Layout, below, is_below};
use super::listens;
use super::packages::Packages;
use crate::model::failure::{Failure, FailureCode};
use crate::toolchain::findings::Inspection;

/// A package that starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Main {
    /// Relative to the application's directory: `./cmd/api`, or `.`.
    pub(super) name: String,
    /// Relative to its module's directory.
    pub(super) package: String,
    /// Its directory in the repository.
    pub(super) directory: String,
    /// The path under which Go imports it.
    pub(super) import_path: String,
    /// Index of its module.
    pub(super) module: usize,
    /// The file of `func main`.
    pub(super) path: String,
    /// The line of `func main`.
    pub(super) line: u32,
    /// How far from being the application its directory says that it is: 0 for any other.
    aside: usize,
}

/// The packages below the application's directory that start.
pub(super) fn mains(inspection: &Inspection<'_>, layout: &Layout, packages: &Packages<'_>) -> Vec<Main> {
    let inside = packages.iter().filter(|(directory, _)| is_below(directory, inspection.directory));
    let started = inside.filter_map(|(directory, package)| {
        let (path, line) = package.files.iter().find_map(|(path, source)| Some((*path, source.main?)))?;
        let module = &layout.modules[package.module];
        let relative_package = relative(&module.directory, directory);
        Some(Main {
            name: relative(inspection.directory, directory),
            import_path: format!("{}{}", module.path, relative_package.trim_start_matches('.')),
            package: relative_package,
            directory: (*directory).to_owned(),
            module: package.module,
            path: path.to_owned(),
            line,
            aside: aside(inspection.facts, directory.strip_prefix(inspection.directory).unwrap_or(directory)),
        })
    });
    started.collect()
}

/// The rank of a directory's parts in the fact `aside`: lists of names, each list further away than the one before.
fn aside(facts: &toml::Table, directory: &str) -> usize {
    let lists = facts.get("aside").and_then(toml::Value::as_array).into_iter().flatten();
    let holds = |list: &toml::Value, part: &str| {
        list.as_array().into_iter().flatten().any(|name| name.as_str().is_some_and(|name| name == part))
    };
    let ranks = lists.enumerate().filter(|(_, list)| directory.split('/').any(|part| holds(list, part)));
    ranks.map(|(rank, _)| rank + 1).max().unwrap_or(0)
}

/// The application's package, and why it is that one; none is right only where the command is given.
pub(super) fn choose<'a>(
    inspection: &Inspection<'_>,
    layout: &Layout,
    packages: &Packages<'_>,
    mains: &'a [Main],
) -> Result<Option<(&'a Main, &'static str)>, Failure> {
    if let Some(stated) = inspection.module {
        return stated_one(stated, mains).map(|main| Some((main, "another program was named")));
    }
    match mains {
        [] if inspection.command_given => return Ok(None),
        [] => {
            return Err(Failure::new(
                FailureCode::ApplicationNotFound,
                format!("no package `main` with a `func main()` lies below `{}`", shown(inspection.directory)),
            )
            .at(layout.modules[0].file.as_str(), None));
        }
        [main] => return Ok(Some((main, ""))),
        _ => {}
    }
    let mut named = mains.iter().filter(|main| last(&main.import_path) == inspection.application);
    if let (Some(main), None) = (named.next(), named.next()) {
        // What stands beside `go.mod` has the name by itself: a Dockerfile that compiles another one says more.
        let all: Vec<&Main> = mains.iter().collect();
        if main.name == "."
            && let Some(other) = of_dockerfile(inspection, &all).filter(|other| *other != main && other.aside == 0)
        {
            return Ok(Some((other, "the `Dockerfile` builds only the other one")));
        }
        if let Some(daemon) = daemon(inspection, layout, packages, mains, main) {
            return Ok(Some(daemon));
        }
        return Ok(Some((main, "another program has the application's name")));
    }
    // What lies in `examples` or `tools` is not what the repository is for, unless there is nothing else.
    let nearest = mains.iter().map(|main| main.aside).min().unwrap_or(0);
    let near: Vec<&Main> = mains.iter().filter(|main| main.aside == nearest).collect();
    match near.as_slice() {
        [main] => Ok(Some((main, "its directory is for tools, clients, examples or tests"))),
        several => {
            if let Some(main) = of_dockerfile(inspection, several) {
                return Ok(Some((main, "the `Dockerfile` builds only the other one")));
            }
            match listens::only(inspection, layout, packages, several) {
                Some(main) => Ok(Some((main, "only the other one listens for connections"))),
                None => Err(ambiguous(several)),
            }
        }
    }
}

/// The server beside the program with the application's name, where that one is a client: a daemon's name ends in `d`
/// (`shop` and `shopd`), as for `docker` and `dockerd`.
fn daemon<'m>(
    inspection: &Inspection<'_>,
    layout: &Layout,
    packages: &Packages<'_>,
    mains: &'m [Main],
    main: &'m Main,
) -> Option<(&'m Main, &'static str)> {
    let name = format!("{}d", last(&main.import_path));
    let mut found = mains.iter().filter(|other| last(&other.import_path) == name);
    let daemon = found.next().filter(|_| found.next().is_none())?;
    let listen = listens::those(inspection, layout, packages, &[main, daemon]);
    match listen.as_slice() {
        [only] if *only == daemon => Some((daemon, "only the other one listens for connections")),
        // A client may be made of the very package that listens; where it does so itself, the name decides.
        [_, _] if !listens::package(inspection, packages, &main.directory) => {
            Some((daemon, "the other one is its daemon"))
        }
        _ => None,
    }
}

/// The only program that the repository's Dockerfile compiles, although it is not used: the package that a command names, or the
/// one in which it is given (`cd server && go build`; `go help build`).
fn of_dockerfile<'m>(inspection: &Inspection<'_>, several: &[&'m Main]) -> Option<&'m Main> {
    let text = inspection.tree.text(&below(inspection.directory, "Dockerfile"))?;
    let is_at = |main: &Main, place: &str| {
        let plain = main.name.trim_start_matches("./");
        place == plain || place.strip_suffix(plain).is_some_and(|above| above.ends_with('/'))
    };
    let workplaces: Vec<_> = says::workplaces(text).into_iter().take(MAX_COMPILED).collect();
    let moved = std::cell::LazyCell::new(|| {
        several.iter().any(|main| main.name != "." && workplaces.iter().any(|at| is_at(main, at)))
    });
    let mut found: Option<&Main> = None;
    let mut place = (0, String::new());
    let mut compiles = 0;
    for said in says::commands(text) {
        if said.line != place.0 {
            place = (said.line, String::new());
        }
        let is_verb = |pair: &[String]| {
            pair[0].rsplit('/').next() == Some("go") && ["build", "install"].contains(&pair[1].as_str())
        };
        if let [verb, directory, ..] = said.words.as_slice()
            && verb == "cd"
        {
            directory.trim_start_matches("./").trim_end_matches('/').clone_into(&mut place.1);
        }
        let Some(at) = said.words.windows(2).position(is_verb) else { continue };
        compiles += 1;
        if compiles > MAX_COMPILED {
            return None;
        }
        let words = &said.words[at + 2..];
        let mut meant: Vec<&Main> = several.iter().copied().filter(|main| is_named(inspection, main, words)).collect();
        if meant.is_empty() {
            let valued = |at: usize| at.checked_sub(1).is_some_and(|before| VALUED.contains(&words[before].as_str()));
            // A pattern, a variable or what lies elsewhere: nobody knows what is compiled.
            let last = words.len().checked_sub(1).filter(|at| !words[*at].starts_with('-') && !valued(*at));
            if last.is_some_and(|at| words[at] != ".") {
                return None;
            }
            meant = several.iter().copied().filter(|main| main.name != "." && is_at(main, &place.1)).collect();
            if meant.is_empty() {
                let root = several.iter().copied().find(|main| main.name == ".");
                meant.extend(root.filter(|_| (place.1.is_empty() || place.1.starts_with('/')) && !*moved));
            }
        }
        match (meant.as_slice(), found) {
            ([one], None) => found = Some(one),
            ([one], Some(before)) if *one == before => {}
            _ => return None,
        }
    }
    found
}

/// More commands that compile, and directories that they are given in, than a Dockerfile has.
const MAX_COMPILED: usize = 50;

/// Options of `go build` whose value is the next word.
const VALUED: &[&str] =
    &["-o", "-p", "-C", "-mod", "-modfile", "-tags", "-ldflags", "-gcflags", "-asmflags", "-installsuffix"];

/// Whether one of the words is the program's package or a file of it.
fn is_named(inspection: &Inspection<'_>, main: &Main, words: &[String]) -> bool {
    let plain = main.name.trim_start_matches("./");
    let file = main.path.strip_prefix(inspection.directory).unwrap_or(&main.path).trim_start_matches('/');
    words.iter().any(|word| {
        let word = word.strip_prefix("./").unwrap_or(word).trim_end_matches('/');
        main.name != "." && word == plain || word == main.import_path || word == file
    })
}

fn ambiguous(several: &[&Main]) -> Failure {
    let choices = || several.iter().map(|main| main.name.clone());
    let list = choices().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let failure = Failure::new(FailureCode::ApplicationAmbiguous, format!("several programs could be started: {list}"))
        .hint(format!("Choose one in `slipway.toml`: `[application]` with `module = \"{}\"`.", several[0].name))
        .candidates(choices());
    several.iter().fold(failure, |failure, main| failure.at(main.path.as_str(), Some(main.line)))
}

/// Takes the name as it is shown, without `./`, relative to the module, or as an import path.
fn stated_one<'a>(stated: &str, mains: &'a [Main]) -> Result<&'a Main, Failure> {
    let plain = |text: &str| text.strip_prefix("./").unwrap_or(text).trim_end_matches('/').to_owned();
    let wanted = plain(stated);
    let by_name = mains.iter().find(|main| plain(&main.name) == wanted);
    let by_import = || mains.iter().find(|main| main.import_path == wanted);
    let by_package = || {
        let mut found = mains.iter().filter(|main| plain(&main.package) == wanted);
        found.next().filter(|_| found.next().is_none())
    };
    by_name.or_else(by_import).or_else(by_package).ok_or_else(|| {
        let wanted: String = stated.chars().take(100).collect();
        Failure::new(
            FailureCode::ApplicationNotFound,
            format!("`application.module` is `{wanted}`, but no program is there"),
        )
        .hint("Set `application.module` to the directory of a package `main`, such as `./cmd/api`.")
        .candidates(mains.iter().map(|main| main.name.clone()))
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
pub(super) fn last(path: &str) -> &str {
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
