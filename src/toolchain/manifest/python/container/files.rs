//! The files of the repository that words of a command name: modules, scripts and pages.

use super::super::super::dockerfile::says::Said;
use super::super::application::Candidate;
use super::super::layout::Sources;
use super::super::module::Argument;
use super::super::script::Script;
use super::super::source;
use super::super::start::{Entry, python_path, script_entry};
use super::super::text::{below, inside};
use super::super::worker;
use super::LAUNCHERS;
use crate::model::origin::{Found, Origin};

pub(super) fn is_python(word: &str) -> bool {
    word.rsplit('/').next().is_some_and(|name| name.starts_with("python"))
}

/// Whether a script is started as a program of its own: its first line names Python (execve(2), "Interpreter scripts").
pub(super) fn is_program(sources: &Sources<'_>, file: &str, before: &[String]) -> bool {
    let first = sources.tree.text(file).and_then(|text| text.lines().next()).unwrap_or_default();
    first.starts_with("#!") && first.contains("python") && before.iter().all(|word| LAUNCHERS.contains(&word.as_str()))
}

/// Whether a server or another script stands behind a script: what comes first then prepares for it (`python seed.py && gunicorn
/// shop:app`).
pub(super) fn prepares(sources: &Sources<'_>, behind: &[String]) -> bool {
    let is_server = |word: &String| {
        let name = word.rsplit('/').next().unwrap_or_default();
        SERVERS.iter().any(|(server, _)| *server == name) || name == "streamlit"
    };
    let script = |pair: &[String]| is_python(&pair[0]) && script_file(sources, &pair[1]).is_some();
    behind.iter().any(is_server) || behind.windows(2).any(script)
}

/// The page behind `streamlit run` or `chainlit run`, also as `python -m streamlit run`, which puts the directory that it is
/// started in on the import path (Python, "Command line and environment", `-m`).
pub(super) fn page(sources: &Sources<'_>, said: &Said, index: usize) -> Option<Entry> {
    let before = &said.words[..index];
    let program = before
        .iter()
        .position(|word| ["streamlit", "chainlit"].contains(&word.rsplit('/').next().unwrap_or_default()))?;
    let framework = if before[program].ends_with("streamlit") { "streamlit" } else { "chainlit" };
    let file =
        script_file(sources, &said.words[index]).filter(|_| before[program..].iter().any(|word| word == "run"))?;
    let mut entry = script_entry(sources, framework, &Script { file, line: 1, port: None });
    if program > 0 && before[program - 1] == "-m" {
        let origin = Origin::tree(file, "`python -m` has the directory on its import path");
        entry.image_env.insert("PYTHONPATH".to_owned(), Found::new("/app".to_owned(), origin));
    }
    Some(entry)
}

/// Servers that are told what to import, and whether they speak ASGI alone.
const SERVERS: &[(&str, bool)] =
    &[("gunicorn", false), ("waitress-serve", false), ("uvicorn", true), ("hypercorn", true), ("daphne", true)];

/// `package.module:object` as a server before it is told, where the repository has both: whatever framework makes it.
pub(super) fn served(sources: &Sources<'_>, words: &[String], index: usize, path: &str, line: u32) -> Option<Entry> {
    let (before, word) = (&words[..index], &words[index]);
    let program = |word: &String| {
        let name = word.rsplit('/').next().unwrap_or_default();
        SERVERS.iter().find(|(server, _)| *server == name).map(|(_, asgi)| *asgi)
    };
    let asgi = before.iter().find_map(program)? || words.iter().any(|word| worker::is_asgi(word));
    // Gunicorn takes `application` of a module that is named alone (its documentation, "Commands": `APP_MODULE`).
    let bare = || {
        before.iter().any(|word| word.rsplit('/').next() == Some("gunicorn")).then_some((word.as_str(), "application"))
    };
    let (module, called) = word.split_once(':').or_else(bare)?;
    let name = called.strip_suffix("()").unwrap_or(called);
    let located = sources.locate(module, &inside(sources.directory, "x.py"));
    let known = located.and_then(|(file, rest)| {
        let known = sources.files.iter().copied().find(|known| *known == file);
        known.filter(|_| rest.is_none())
    });
    // A project of its own below this one is installed, or imported from where it lies.
    let of_project = if known.is_none() { below_project(sources, module) } else { None };
    let known = known.or(of_project.map(|(file, _)| file))?;
    let source = source::of(sources.tree, known)?;
    let defined = source.functions.iter().any(|function| function.name == name)
        || source.assignments.iter().any(|assigned| assigned.target == name)
        || source.imports.names.contains_key(name);
    if !defined {
        return None;
    }
    // The Dockerfile may have put it elsewhere than where it lies in the repository.
    let (root, dotted) =
        of_project.map_or_else(|| sources.import_name(known), |(_, root)| (root.to_owned(), module.to_owned()));
    let origin = Origin::file(path, Some(line), "what it starts");
    Some(Entry {
        served: Some((name != called, asgi)),
        image_env: python_path(sources, &root, known),
        ..Entry::new(if asgi { "asgi" } else { "wsgi" }, format!("{dotted}:{called}"), origin).decided(Vec::new())
    })
}

/// The only file of a module that a project in a directory below holds (`plugin/setup.py` with `plugin/shop/wsgi.py`), and
/// that directory.
fn below_project<'a>(sources: &Sources<'a>, module: &str) -> Option<(&'a str, &'a str)> {
    let name = format!("/{}.py", module.replace('.', "/"));
    let is_project =
        |root: &str| ["setup.py", "pyproject.toml"].iter().any(|file| sources.tree.has_file(&inside(root, file)));
    let all = sources.files.iter().filter_map(|path| Some((*path, path.strip_suffix(&name)?)));
    let mut found = all.filter(|(_, root)| root.len() > sources.directory.len() && is_project(root));
    found.next().filter(|_| found.next().is_none())
}

/// The candidate that lies in a script, that it imports by its name, or that it names to a server.
pub(super) fn used<'c, 'a>(
    sources: &Sources<'_>,
    file: &str,
    candidates: &'c [Candidate<'a>],
) -> Option<&'c Candidate<'a>> {
    let mut here = candidates.iter().filter(|c| c.file == file);
    if let (Some(chosen), None) = (here.next(), here.next()) {
        return Some(chosen);
    }
    // A script that only starts what it imports need not be parsed yet.
    let module = source::of(sources.tree, file)?;
    let imported: Vec<_> = module.imports.names.values().filter_map(|dotted| sources.locate(dotted, file)).collect();
    let texts = module.calls.iter().flat_map(|call| &call.arguments).filter_map(|argument| match argument {
        Argument::Text(text) => Some(text.as_str()),
        _ => None,
    });
    let texts: Vec<&str> = texts.collect();
    let uses = |c: &&Candidate<'_>| {
        imported.iter().any(|(target, name)| target == c.file && name.as_ref() == Some(&c.name))
            || texts.contains(&c.entry().trim_end_matches("()"))
    };
    let mut found = candidates.iter().filter(uses);
    found.next().filter(|_| found.next().is_none())
}

/// The file of `-m module`: the module itself, or its package's `__main__`.
pub(super) fn module_file<'a>(sources: &Sources<'a>, module: &str) -> Option<&'a str> {
    let (file, rest) = sources.locate(module, &inside(sources.directory, "x.py"))?;
    let file = match file.strip_suffix("__init__.py") {
        Some(package) => format!("{package}__main__.py"),
        None => file,
    };
    sources.files.iter().copied().find(|path| *path == file && rest.is_none())
}

/// The script that a path names, wherever the Dockerfile has put it.
pub(super) fn script_file<'a>(sources: &Sources<'a>, word: &str) -> Option<&'a str> {
    let mut path = word.trim_start_matches("./").trim_start_matches('/');
    if path.rsplit('.').next() != Some("py") || path.ends_with("manage.py") {
        return None;
    }
    loop {
        if let Some(file) = sources.files.iter().copied().find(|file| below(sources.directory, file) == path) {
            return Some(file);
        }
        path = path.split_once('/')?.1;
    }
}
