//! What a Dockerfile of the repository starts, although it is not built: its author's answer where files leave several.

use std::collections::{BTreeMap, BTreeSet};

use super::super::dockerfile::says::{self, Said};
use super::super::yaml;
use super::application::Candidate;
use super::command;
use super::dependencies::Dependencies;
use super::dockerfile;
use super::layout::Sources;
use super::module::Argument;
use super::script::Script;
use super::several;
use super::source;
use super::start::{Entry, object_entry, python_path, script_entry};
use super::text::{below, inside};
use super::worker;
use crate::model::failure::Warning;
use crate::model::origin::{Found, Origin};
use crate::model::source_tree::parent;
use crate::toolchain::findings::Process;

/// More Compose files of a directory than a project has, more commands in one or programs of a supervisor, and more letters of
/// a word.
const MAX_FILES: usize = 20;
const MAX_COMMANDS: usize = 100;
const MAX_WORD: usize = 1000;

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

/// What the Dockerfile starts, where it is of the repository: an object, an installed command, a script; or else the only
/// program of the supervisor that it starts that is one of them, or the only one of these that serves.
pub(super) fn find(sources: &Sources<'_>, dependencies: &Dependencies, candidates: &[Candidate<'_>]) -> Option<Entry> {
    let (path, said) = started(sources)?;
    if let Some(entry) = of_words(sources, dependencies, candidates, (&path, &said)) {
        return Some(entry);
    }
    let programs = several::programs(sources.tree, sources.directory).0;
    let of_program = |program: Process| {
        let path = program.origin.path.clone()?;
        let serves = ["serve", "web", "api"].iter().any(|word| program.command.join(" ").contains(word));
        let said = Said { line: program.origin.line?, words: program.command, plain: true };
        // A command of the project's own may be called as its package is.
        let own = installed(dependencies, &said, &path).filter(|entry| !is_flasks(sources, entry, &said));
        Some((serves, own.or_else(|| of_words(sources, dependencies, candidates, (&path, &said)))?))
    };
    let found: Vec<(bool, Entry)> = programs.into_iter().take(MAX_COMMANDS).filter_map(of_program).collect();
    let several = found.len() > 1;
    let mut meant = found.into_iter().filter(|(serves, _)| *serves || !several).map(|(_, entry)| entry);
    meant.next().filter(|_| meant.next().is_none())
}

/// What the only service that a Compose file builds from here starts by its `command` (Compose file reference, "Services"),
/// for where nothing else says what starts. Files for development and tests say it, too: they run the same.
pub(super) fn composed(
    sources: &Sources<'_>,
    dependencies: &Dependencies,
    candidates: &[Candidate<'_>],
) -> Option<Entry> {
    let is_one = |path: &&str| {
        let (stem, ending) = path.rsplit('/').next().unwrap_or_default().split_once('.').unwrap_or_default();
        (stem.starts_with("docker-compose") || stem.starts_with("compose"))
            && ["yml", "yaml"].iter().any(|y| ending.ends_with(y))
    };
    let mut found: Vec<Entry> = Vec::new();
    for path in sources.tree.files_in(sources.directory).filter(is_one).take(MAX_FILES) {
        let texts = yaml::texts(path, sources.tree.text(path).unwrap_or_default());
        let keyed = |text: &'_ Found<String>| text.origin.detail.trim_start_matches("services.").to_owned();
        let of_here = texts.iter().filter(|text| matches!(text.value.trim_end_matches('/'), "." | "")).map(keyed);
        let built =
            |key: String| key.strip_suffix(".build.context").or_else(|| key.strip_suffix(".build")).map(str::to_owned);
        let built: BTreeSet<String> = of_here.filter_map(built).collect();
        let command =
            |text: &&Found<String>| keyed(text).strip_suffix(".command").is_some_and(|key| built.contains(key));
        for text in texts.iter().filter(command).take(MAX_COMMANDS) {
            let separates = |c: char| c.is_whitespace() || ",[]\"'".contains(c);
            let words = text.value.split(separates).filter(|word| !word.is_empty()).map(str::to_owned).collect();
            let plain = !text.value.contains(['$', '&', ';', '|']);
            let said = Said { line: text.origin.line.unwrap_or(1), words, plain };
            let entry = of_words(sources, dependencies, candidates, (path, &said));
            found.extend(entry.filter(|entry| found.iter().all(|known| known.name != entry.name)));
        }
    }
    let mut found = found.into_iter();
    found.next().filter(|_| found.next().is_none())
}

/// What words start that the file at a path says.
fn of_words(
    sources: &Sources<'_>,
    dependencies: &Dependencies,
    candidates: &[Candidate<'_>],
    (path, said): (&str, &Said),
) -> Option<Entry> {
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
        if let Some(entry) = served(sources, &said.words, index, path, said.line) {
            return Some(entry);
        }
        if let Some(entry) = page(sources, said, index) {
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
        let before = &said.words[..index];
        let by_python = before.iter().any(|word| is_python(word)) || is_program(sources, file, before);
        if !by_python || prepares(sources, &said.words[index + 1..]) {
            continue;
        }
        let script = Script { file, line: 1, port: None };
        return Some(told(script_entry(sources, "script", &script), said, index, path));
    }
    installed(dependencies, said, path).filter(|entry| candidates.is_empty() || !is_flasks(sources, entry, said))
}

fn is_python(word: &str) -> bool {
    word.rsplit('/').next().is_some_and(|name| name.starts_with("python"))
}

/// Whether a script is started as a program of its own: its first line names Python (execve(2), "Interpreter scripts").
fn is_program(sources: &Sources<'_>, file: &str, before: &[String]) -> bool {
    let first = sources.tree.text(file).and_then(|text| text.lines().next()).unwrap_or_default();
    first.starts_with("#!") && first.contains("python") && before.iter().all(|word| LAUNCHERS.contains(&word.as_str()))
}

/// Whether a server or another script stands behind a script: what comes first then prepares for it (`python seed.py && gunicorn
/// shop:app`).
fn prepares(sources: &Sources<'_>, behind: &[String]) -> bool {
    let is_server = |word: &String| {
        let name = word.rsplit('/').next().unwrap_or_default();
        SERVERS.iter().any(|(server, _)| *server == name) || name == "streamlit"
    };
    let script = |pair: &[String]| is_python(&pair[0]) && script_file(sources, &pair[1]).is_some();
    behind.iter().any(is_server) || behind.windows(2).any(script)
}

/// What the Dockerfile starts, with what a script and gunicorn's configuration add to it, and its path.
fn started(sources: &Sources<'_>) -> Option<(String, Said)> {
    let (path, mut said) = dockerfile::started(sources.tree, sources.directory)?;
    let by_script = by_script(sources, &said.words, &path).unwrap_or_default();
    let plain = said.plain && by_script.is_empty();
    said.words.extend(by_script);
    let variables = says::variables(sources.tree.text(&path).unwrap_or_default());
    for word in said.words.iter_mut().filter(|word| word.contains(':')) {
        *word = filled(word, &variables);
    }
    let by_configuration = worker::imports(sources, &said.words);
    said.words.extend(by_configuration);
    Some((path, Said { plain, ..said }))
}

/// `${MODULE}:${NAME}` with what the Dockerfile sets them to.
fn filled(word: &str, variables: &BTreeMap<String, (u32, String)>) -> String {
    let mut parts = word.split("${");
    let mut filled = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let known = part.split_once('}').and_then(|(name, rest)| Some((variables.get(name)?, rest)));
        match known {
            Some(((_, value), rest)) if filled.len() + value.len() < MAX_WORD => filled.extend([value, rest]),
            _ => filled.extend(["${", part]),
        }
    }
    filled
}

/// What gunicorn is told where the Dockerfile starts it, beside its address and the application.
pub(super) fn options(sources: &Sources<'_>, dependencies: &Dependencies, asgi: bool) -> Vec<String> {
    started(sources).map(|(_, said)| worker::options(sources, dependencies, &said.words, asgi)).unwrap_or_default()
}

/// Whether a command is Flask's own under another name (Flask, "Custom Scripts": `FlaskGroup`), whose `run` is a server for
/// development: a server is given the object.
fn is_flasks(sources: &Sources<'_>, entry: &Entry, said: &Said) -> bool {
    let module = entry.module.as_deref().and_then(|module| sources.locate(module, &inside(sources.directory, "x.py")));
    let Some((file, None)) = module else { return false };
    let group = |module: &super::module::Module| {
        module.calls.iter().any(|call| call.callee.dotted == "flask.cli.FlaskGroup")
            || module.imports.names.values().any(|dotted| dotted == "flask.cli.FlaskGroup")
    };
    said.words.iter().any(|word| word == "run") && source::of(sources.tree, &file).is_some_and(|module| group(&module))
}

/// The page behind `streamlit run` or `chainlit run`, also as `python -m streamlit run`, which puts the directory that it is
/// started in on the import path (Python, "Command line and environment", `-m`).
fn page(sources: &Sources<'_>, said: &Said, index: usize) -> Option<Entry> {
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

/// The command of the project's own that the Dockerfile starts: where a framework's convention would find something else, its
/// author knows better.
pub(super) fn own_command(sources: &Sources<'_>, dependencies: &Dependencies) -> Option<Entry> {
    let (path, said) = dockerfile::started(sources.tree, sources.directory)?;
    installed(dependencies, &said, &path).filter(|entry| dependencies.scripts.iter().any(|own| own.value == entry.name))
}

/// What was installed and is started: a command of the project, or one that it adds to another's program.
fn installed(dependencies: &Dependencies, said: &Said, path: &str) -> Option<Entry> {
    // `/opt/venv/bin/python /opt/venv/bin/order` starts what was installed as `order`.
    // So does the file of the repository that it is installed from (setuptools, `scripts`).
    let scripts: BTreeSet<&str> = dependencies.scripts.iter().map(|script| script.value.as_str()).collect();
    let own = |word: &&str| scripts.contains(word);
    let installed = |word: &String| {
        let name = word.rsplit_once("bin/").map(|(_, name)| name);
        name.or_else(|| Some(word.rsplit_once('/')?.1).filter(own)).unwrap_or(word).to_owned()
    };
    // A script in front hands over to what stands behind it.
    let script = |word: &String| word.rsplit('.').next() == Some("sh");
    let before =
        |word: &String| LAUNCHERS.contains(&word.as_str()) || installed(word).starts_with("python") || script(word);
    let program = said.words.iter().position(|word| !before(word))?;
    let name = installed(&said.words[program]);
    // `shop migrate && shop serve`: the last is there to stay.
    let again = said.words.iter().rposition(|word| installed(word) == name).filter(|_| !said.plain);
    let program = again.unwrap_or(program);
    let (command, words) = if let Some(own) = dependencies.scripts.iter().find(|script| script.value == name) {
        (own, vec![name])
    } else {
        let sub = said.words.get(program + 1)?;
        (added(dependencies, &name, sub)?, vec![name, sub.clone()])
    };
    let last = program + words.len() - 1;
    let module = command::module(dependencies, &command.value).filter(|_| words.len() == 1);
    let entry = Entry::new("script", words.join(" "), command.origin.clone()).decided(Vec::new());
    Some(told(Entry { command: words, installed: true, module, ..entry }, said, last, path))
}

/// The words of the last command of a shell script of the repository that is started: what it is there to start. One that hands
/// over what it is given (`exec "$@"`) adds nothing.
fn by_script(sources: &Sources<'_>, words: &[String], dockerfile: &str) -> Option<Vec<String>> {
    let text = words.iter().filter(|word| word.rsplit('.').next() == Some("sh")).find_map(|word| {
        let path = word.trim_start_matches("./").trim_start_matches('/');
        let places = std::iter::successors(Some(path), |path| path.split_once('/').map(|(_, rest)| rest));
        let mut there = places.into_iter().filter_map(|path| sources.tree.text(&inside(sources.directory, path)));
        // What it copies may lie beside it.
        there.next().or_else(|| sources.tree.text(&inside(parent(dockerfile), path.rsplit('/').next()?)))
    })?;
    let joined = text.replace("\\\n", " ");
    let line = joined.lines().map(str::trim).rfind(|line| !line.is_empty() && !line.starts_with('#'))?;
    let command = line.rsplit([';', '|']).next()?.rsplit("&&").next()?;
    let words = command.split_whitespace().map(|word| word.trim_matches(['"', '\'']).to_owned());
    let words: Vec<String> = words.filter(|word| !word.is_empty()).collect();
    let hands_over = words.iter().all(|word| word == "$@" || LAUNCHERS.contains(&word.as_str()));
    (!hands_over).then_some(words)
}

/// Servers that are told what to import, and whether they speak ASGI alone.
const SERVERS: &[(&str, bool)] =
    &[("gunicorn", false), ("waitress-serve", false), ("uvicorn", true), ("hypercorn", true), ("daphne", true)];

/// `package.module:object` as a server before it is told, where the repository has both: whatever framework makes it.
fn served(sources: &Sources<'_>, words: &[String], index: usize, path: &str, line: u32) -> Option<Entry> {
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

/// The sub-command that installing the project adds to the program of another distribution: programs that can be extended
/// so read a group of entry points with their own name in front (Celery, "Extensions and Bootsteps": `celery.commands`).
fn added<'d>(dependencies: &'d Dependencies, program: &str, sub: &str) -> Option<&'d Found<String>> {
    let of_program = |group: &str| group.split('.').next() == Some(program) && dependencies.may_have(program);
    dependencies.additions.iter().find(|one| one.name.value == sub && of_program(&one.group)).map(|one| &one.name)
}

/// The arguments behind what starts, unless they say a place of the author's own image or want a shell.
fn told(mut entry: Entry, said: &Said, index: usize, path: &str) -> Entry {
    let arguments = &said.words[index + 1..];
    let plain =
        |word: &String| !word.starts_with('/') && !word.contains(['$', '<', '>', '`', '*']) && !word.contains("=/");
    if said.plain && arguments.iter().all(plain) {
        entry.command.extend(arguments.iter().cloned());
    } else if let Some(foreign) = arguments.iter().position(|word| !plain(word)) {
        // A sub-command says what it does, whatever place its options name.
        let is_option = |word: &String| word.starts_with('-');
        let sub = arguments
            .first()
            .filter(|word| entry.installed && arguments.get(1).is_some_and(is_option) && is_name(word));
        entry.command.extend(sub.cloned());
        let option = arguments[..=foreign].iter().rfind(|word| word.starts_with('-')).unwrap_or(&arguments[foreign]);
        let option = option.split('=').next().unwrap_or_default();
        let message = format!(
            "`{path}` starts `{}` with arguments of its own image (`{option}`), and they are left out",
            entry.name
        );
        let hint = "say those that it needs in `slipway.toml`: `[runtime]` `args = [\"…\"]`";
        entry.warnings.push(Warning::new("arguments_left_out", message, hint).at(path, Some(said.line)));
    }
    entry
}

fn is_name(word: &str) -> bool {
    word.chars().all(|c| c.is_ascii_lowercase() || c == '-' || c == '_') && !word.starts_with('-')
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
