//! What a Dockerfile of the repository starts, although it is not built: its author's answer where files leave several.

use super::super::dockerfile::says::Said;
use super::application::Candidate;
use super::dependencies::Dependencies;
use super::dockerfile;
use super::layout::Sources;
use super::module::Argument;
use super::script::Script;
use super::source;
use super::start::{Entry, object_entry, python_path, script_entry};
use super::text::{below, inside};
use crate::model::origin::{Found, Origin};

/// Programs in front of the one that they start.
const LAUNCHERS: &[&str] = &[
    "exec",
    "tini",
    "dumb-init",
    "--",
    "-g",
    "sh",
    "bash",
    "-c",
    "-ec",
    "-lc",
    "poetry",
    "pipenv",
    "uv",
    "pdm",
    "run",
    "env",
];

/// What the Dockerfile starts, where it is of the repository: an object, an installed command, a script.
pub(super) fn find(sources: &Sources<'_>, dependencies: &Dependencies, candidates: &[Candidate<'_>]) -> Option<Entry> {
    let (path, mut said) = dockerfile::started(sources.tree, sources.directory)?;
    if let Some(words) = by_script(sources, &said.words) {
        said = Said { words: said.words.into_iter().chain(words).collect(), plain: false, ..said };
    }
    let why = format!("`{path}` starts the other");
    let object = |chosen: &Candidate<'_>| Some(object_entry(sources, chosen, &why, candidates));
    for (index, word) in said.words.iter().enumerate() {
        let bare = word.trim_end_matches("()");
        if let Some(chosen) = candidates.iter().find(|c| c.entry().trim_end_matches("()") == bare) {
            return object(chosen);
        }
        let mut within = candidates.iter().filter(|c| c.module == *word);
        if let (Some(chosen), None) = (within.next(), within.next()) {
            return object(chosen);
        }
        if let Some(entry) = served(sources, &said.words[..index], word, &path, said.line) {
            return Some(entry);
        }
        let module = index > 0 && said.words[index - 1] == "-m";
        let Some(file) = (if module { module_file(sources, word) } else { script_file(sources, word) }) else {
            continue;
        };
        if let Some(chosen) = used(sources, file, candidates) {
            return object(chosen);
        }
        // Others that are given a path do more with it than Python does.
        if !said.words[..index]
            .iter()
            .any(|word| word.rsplit('/').next().is_some_and(|name| name.starts_with("python")))
        {
            continue;
        }
        let script = Script { file, line: 1, port: None };
        return Some(told(script_entry(sources, "script", &script), &said, index));
    }
    installed(dependencies, &said)
}

/// The command of the project's own that the Dockerfile starts: where a framework's convention would find something else, its
/// author knows better.
pub(super) fn own_command(sources: &Sources<'_>, dependencies: &Dependencies) -> Option<Entry> {
    let (_, said) = dockerfile::started(sources.tree, sources.directory)?;
    installed(dependencies, &said).filter(|entry| dependencies.scripts.iter().any(|own| own.value == entry.name))
}

/// What was installed and is started: a command of the project, or one that it adds to another's program.
fn installed(dependencies: &Dependencies, said: &Said) -> Option<Entry> {
    // `/opt/venv/bin/python /opt/venv/bin/order` starts what was installed as `order`.
    let installed = |word: &String| word.rsplit_once("bin/").map_or(word.clone(), |(_, name)| name.to_owned());
    // A script in front hands over to what stands behind it.
    let script = |word: &String| word.rsplit('.').next() == Some("sh");
    let before =
        |word: &String| LAUNCHERS.contains(&word.as_str()) || installed(word).starts_with("python") || script(word);
    let program = said.words.iter().position(|word| !before(word))?;
    let name = installed(&said.words[program]);
    let (command, words) = if let Some(own) = dependencies.scripts.iter().find(|script| script.value == name) {
        (own, vec![name])
    } else {
        let sub = said.words.get(program + 1)?;
        (added(dependencies, &name, sub)?, vec![name, sub.clone()])
    };
    let last = program + words.len() - 1;
    let entry = Entry::new("script", words.join(" "), command.origin.clone()).decided(Vec::new());
    Some(told(Entry { command: words, installed: true, ..entry }, said, last))
}

/// The words of the last line of a shell script of the repository that is started: what it is there to start.
fn by_script(sources: &Sources<'_>, words: &[String]) -> Option<Vec<String>> {
    let text = words.iter().filter(|word| word.rsplit('.').next() == Some("sh")).find_map(|word| {
        let path = word.trim_start_matches("./").trim_start_matches('/');
        let places = std::iter::successors(Some(path), |path| path.split_once('/').map(|(_, rest)| rest));
        places.into_iter().find_map(|path| sources.tree.text(&inside(sources.directory, path)))
    })?;
    let joined = text.replace("\\\n", " ");
    let line = joined.lines().map(str::trim).rfind(|line| !line.is_empty() && !line.starts_with('#'))?;
    let words = line.split_whitespace().map(|word| word.trim_matches(['"', '\'']).to_owned());
    Some(words.filter(|word| !word.is_empty()).collect())
}

/// Servers that are told what to import, and whether they speak ASGI alone.
const SERVERS: &[(&str, bool)] =
    &[("gunicorn", false), ("waitress-serve", false), ("uvicorn", true), ("hypercorn", true), ("daphne", true)];

/// `package.module:object` as a server before it is told, where the repository has both: whatever framework makes it.
fn served(sources: &Sources<'_>, before: &[String], word: &str, path: &str, line: u32) -> Option<Entry> {
    let program = |word: &String| {
        let name = word.rsplit('/').next().unwrap_or_default();
        SERVERS.iter().find(|(server, _)| *server == name).map(|(_, asgi)| *asgi)
    };
    let asgi = before.iter().find_map(program)? || before.iter().any(|word| word.contains("uvicorn.workers"));
    let (module, called) = word.split_once(':')?;
    let name = called.strip_suffix("()").unwrap_or(called);
    let (file, rest) = sources.locate(module, &inside(sources.directory, "x.py"))?;
    let known = sources.files.iter().copied().find(|known| *known == file && rest.is_none())?;
    let source = source::of(sources.tree, known)?;
    let defined = source.functions.iter().any(|function| function.name == name)
        || source.assignments.iter().any(|assigned| assigned.target == name)
        || source.imports.names.contains_key(name);
    if !defined {
        return None;
    }
    // The Dockerfile may have put it elsewhere than where it lies in the repository.
    let (root, dotted) = sources.import_name(known);
    let origin = Origin::file(path, Some(line), "what it starts");
    Some(Entry {
        served: Some((name != called, asgi)),
        image_env: python_path(sources, &root, known),
        ..Entry::new(if asgi { "asgi" } else { "wsgi" }, format!("{dotted}:{called}"), origin).decided(Vec::new())
    })
}

/// The sub-command that installing the project adds to the program of another distribution: programs that can be extended
/// so read a group of entry points with their own name in front (Celery, "Extensions and Bootsteps": `celery.commands`).
fn added<'d>(dependencies: &'d Dependencies, program: &str, sub: &str) -> Option<&'d Found<String>> {
    let of_program = |group: &str| group.split('.').next() == Some(program) && dependencies.may_have(program);
    dependencies.additions.iter().find(|one| one.name.value == sub && of_program(&one.group)).map(|one| &one.name)
}

/// The arguments behind what starts, unless they say a place of the author's own image or want a shell.
fn told(mut entry: Entry, said: &Said, index: usize) -> Entry {
    let arguments = &said.words[index + 1..];
    let plain =
        |word: &String| !word.starts_with('/') && !word.contains(['$', '<', '>', '`', '*']) && !word.contains("=/");
    if said.plain && arguments.iter().all(plain) {
        entry.command.extend(arguments.iter().cloned());
    }
    entry
}

/// The candidate that lies in a script, that it imports by its name, or that it names to a server.
fn used<'c, 'a>(sources: &Sources<'_>, file: &str, candidates: &'c [Candidate<'a>]) -> Option<&'c Candidate<'a>> {
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
fn module_file<'a>(sources: &Sources<'a>, module: &str) -> Option<&'a str> {
    let (file, rest) = sources.locate(module, &inside(sources.directory, "x.py"))?;
    let file = match file.strip_suffix("__init__.py") {
        Some(package) => format!("{package}__main__.py"),
        None => file,
    };
    sources.files.iter().copied().find(|path| *path == file && rest.is_none())
}

/// The script that a path names, wherever the Dockerfile has put it.
fn script_file<'a>(sources: &Sources<'a>, word: &str) -> Option<&'a str> {
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
