//! Chooses the one thing that starts, or says which candidates there are.

use super::application::{self, Candidate, Framework};
use super::command;
use super::complete;
use super::container;
use super::dependencies::Dependencies;
use super::django;
use super::layout::{Sources, stem};
use super::paste;
use super::script::{self, Script};
use super::serving;
use super::source;
use super::start::{Entry, django_entry, object_entry, python_path, script_entry};
use super::text::{below, inside};
use super::uwsgi;
use crate::model::failure::{Failure, FailureCode};
use crate::model::origin::Origin;
use crate::toolchain::findings::Inspection;

/// Finds what starts; `None` only where somebody else says how it starts.
///
/// # Errors
/// `application_ambiguous`, `application_not_found`.
pub(super) fn find(
    inspection: &Inspection<'_>,
    sources: &Sources<'_>,
    dependencies: &Dependencies,
    stated_start: bool,
) -> Result<Option<Entry>, Failure> {
    let found = search(inspection, sources, dependencies);
    let open = match &found {
        Ok(found) => found.is_none(),
        Err(failure) => failure.code == FailureCode::ApplicationAmbiguous,
    };
    if open && !stated_start && inspection.module.is_none() {
        let allowed: Vec<Framework> = Framework::ALL.into_iter().filter(|f| dependencies.may_have(f.name())).collect();
        let (candidates, _) = application::candidates(sources, &allowed);
        if let Some(entry) = container::composed(sources, dependencies, &candidates) {
            return Ok(Some(entry));
        }
    }
    match found {
        Ok(None) if stated_start => Ok(None),
        Ok(None) => Err(nothing(inspection, sources, dependencies)),
        // Who says how it starts need not settle what was not needed.
        Err(_) if stated_start && inspection.module.is_none() => Ok(None),
        found => found,
    }
}

fn search(
    inspection: &Inspection<'_>,
    sources: &Sources<'_>,
    dependencies: &Dependencies,
) -> Result<Option<Entry>, Failure> {
    if dependencies.may_have("django") {
        let has_asgi_server = ["uvicorn", "daphne", "hypercorn"].iter().any(|name| dependencies.has(name));
        if inspection.module.is_none()
            && let Some(entry) = container::own_command(sources, dependencies)
        {
            return Ok(Some(entry));
        }
        let prefers_asgi = dependencies.has("channels") || has_asgi_server;
        if let Some(found) = django::find(sources, prefers_asgi, inspection.module)? {
            return Ok(Some(django_entry(sources, found)));
        }
    }
    let allowed: Vec<Framework> = Framework::ALL.into_iter().filter(|f| dependencies.may_have(f.name())).collect();
    let (candidates, _) = application::candidates(sources, &allowed);
    let tornado = if dependencies.may_have("tornado") { script::tornado(sources) } else { Vec::new() };
    if let Some(stated) = inspection.module {
        return stated_entry(stated, (sources, dependencies), &candidates, &tornado, &allowed).map(Some);
    }
    if let Some(entry) = container::find(sources, dependencies, &candidates) {
        return Ok(Some(entry));
    }
    if let Some(entry) = called(sources, &candidates) {
        return Ok(Some(entry));
    }
    if let Some(script) = script::client(sources, &candidates, inspection.facts) {
        return Ok(Some(script_entry(sources, "script", &script)));
    }
    if !candidates.is_empty() {
        return choose(inspection, sources, dependencies, &candidates).map(Some);
    }
    if let Some(entry) = paste::find(sources, dependencies, inspection.facts) {
        return Ok(Some(entry));
    }
    let mut pages = PAGES.into_iter().filter(|name| dependencies.may_have(name));
    if let Some((name, page)) = pages.find_map(|name| Some((name, script::page(sources, name)?))) {
        return Ok(Some(script_entry(sources, name, &page)));
    }
    // Python alone starts none of them.
    let several = several_pages(sources, dependencies);
    let is_page = |script: &Script<'_>| several.iter().any(|page| page.file == script.file);
    let (framework, scripts) =
        if tornado.is_empty() { ("script", script::guarded(sources)) } else { ("tornado", tornado) };
    let scripts: Vec<Script<'_>> = scripts.into_iter().filter(|script| !is_page(script)).collect();
    match (&scripts[..], script::usual(sources, &scripts)) {
        ([], _) => {
            let script = |script| script_entry(sources, "script", &script);
            let command = command::find(inspection, dependencies);
            // Where requirements are what is installed, a module is tried before the project is installed for a command of its.
            let (before, behind) =
                if dependencies.commands_installed() { (command?, Ok(None)) } else { (None, command) };
            let module = before.or_else(|| script::package(sources).or_else(|| script::nested(sources)).map(script));
            match module {
                Some(found) => Ok(Some(found)),
                None => match behind? {
                    Some(found) => Ok(Some(found)),
                    None if !several.is_empty() => Err(ambiguous(shown(sources, &several))),
                    None => Ok(script::unguarded(sources).map(script)),
                },
            }
        }
        ([only], _) | (_, Some(only)) => Ok(Some(script_entry(sources, framework, only))),
        (several, None) => match of_name(inspection, dependencies, several) {
            Some(named) => Ok(Some(script_entry(sources, framework, named))),
            None => Err(ambiguous(shown(sources, several))),
        },
    }
}

/// The script with the project's or the application's name, beside tools of it (`shop.py` beside `shopctl.py`).
fn of_name<'s, 'a>(
    inspection: &Inspection<'_>,
    dependencies: &Dependencies,
    several: &'s [Script<'a>],
) -> Option<&'s Script<'a>> {
    let named = |name: &str| several.iter().find(|script| command::plain(stem(script.file)) == command::plain(name));
    named(&dependencies.project).or_else(|| named(inspection.application))
}

/// Frameworks whose own command serves a page.
const PAGES: [&str; 2] = ["streamlit", "chainlit"];

/// Pages of which none is the first by its name, where there are several.
fn several_pages<'a>(sources: &Sources<'a>, dependencies: &Dependencies) -> Vec<Script<'a>> {
    let there = PAGES.into_iter().filter(|name| dependencies.may_have(name));
    there.map(|name| script::pages(sources, name)).find(|pages| pages.len() > 1).unwrap_or_default()
}

fn shown<'a>(sources: &Sources<'a>, scripts: &[Script<'a>]) -> Vec<(String, &'a str, u32)> {
    scripts.iter().map(|script| (below(sources.directory, script.file).to_owned(), script.file, script.line)).collect()
}

fn choose(
    inspection: &Inspection<'_>,
    sources: &Sources<'_>,
    dependencies: &Dependencies,
    candidates: &[Candidate<'_>],
) -> Result<Entry, Failure> {
    let flask_app = flask_app(sources);
    if let Some((stated, line)) = &flask_app
        && let Some(chosen) = named(stated, sources, candidates)
    {
        let why = format!("`FLASK_APP` in line {line} of `.flaskenv` names `{}`", chosen.entry());
        return Ok(object_entry(sources, chosen, &why, candidates));
    }
    let imports = uwsgi::find(sources.tree, sources.directory, dependencies).and_then(|own| own.imports);
    if let Some(chosen) = imports.and_then(|stated| named(&stated, sources, candidates)) {
        return Ok(object_entry(sources, chosen, "uWSGI's configuration imports the other", candidates));
    }
    if single(candidates.iter()).is_none()
        && let Some((chosen, why)) = serving::named(sources, candidates)
    {
        return Ok(object_entry(sources, chosen, &why, candidates));
    }
    let (chosen, why) = preferred(inspection, sources, candidates)?;
    if let Some(script) = complete::started(sources, chosen, candidates) {
        return Ok(script_entry(sources, "script", &script));
    }
    if let Some(entry) = complete::commanded(inspection, sources, dependencies, (chosen, candidates)) {
        return Ok(entry);
    }
    match complete::whole(sources, chosen) {
        Some(whole) => {
            Ok(object_entry(sources, &whole, "other modules add to it, and this one imports them", candidates))
        }
        None => Ok(object_entry(sources, chosen, &why, candidates)),
    }
}

/// The candidate that the frameworks' rules and conventions choose, and the rule.
fn preferred<'c, 'a>(
    inspection: &Inspection<'_>,
    sources: &Sources<'_>,
    candidates: &'c [Candidate<'a>],
) -> Result<(&'c Candidate<'a>, String), Failure> {
    if let Some(only) = single(candidates.iter()) {
        return Ok((only, "the only one".into()));
    }
    if let Some(found) = application::conventional(sources.directory, candidates) {
        return Ok(found);
    }
    // What lies in a module of this name is there for servers to import (PEP 3333's convention, ASGI's documentation).
    if let Some(chosen) = single(candidates.iter().filter(|c| matches!(stem(c.file), "wsgi" | "asgi"))) {
        return Ok((chosen, format!("`{}` is what servers import", below(sources.directory, chosen.file))));
    }
    let called = inspection.application.replace('-', "_");
    if let Some(chosen) = single(candidates.iter().filter(|c| c.module.split('.').any(|part| part == called))) {
        return Ok((chosen, "its module has the application's name".into()));
    }
    // Workers make an application for its settings; nobody asks it anything.
    let works = |c: &Candidate<'_>| stem(c.file).split('_').any(|word| WORKERS.contains(&word));
    if let Some(chosen) = single(candidates.iter().filter(|c| !works(c))) {
        return Ok((chosen, "the other's module is a worker's".into()));
    }
    // A single object among factories is what they are for.
    if let Some(chosen) = single(candidates.iter().filter(|c| !c.factory)) {
        return Ok((chosen, "the only object; the others are factories".into()));
    }
    // Names that several have choose nothing: their files do.
    let twice = |c: &Candidate<'_>| candidates.iter().filter(|other| other.entry() == c.entry()).count() > 1;
    let by_file = candidates.iter().any(twice);
    let name = |c: &Candidate<'_>| {
        if by_file { format!("{}:{}", below(sources.directory, c.file), c.name) } else { c.entry() }
    };
    Err(ambiguous(candidates.iter().map(|c| (name(c), c.file, c.line)).collect()))
}

/// Words in the names of modules that start workers.
const WORKERS: [&str; 5] = ["celery", "worker", "beat", "scheduler", "cron"];

/// The only one; `application = app = Flask(__name__)` is one object under two names.
fn single<'c, 'a: 'c>(mut found: impl Iterator<Item = &'c Candidate<'a>>) -> Option<&'c Candidate<'a>> {
    let first = found.next()?;
    found.all(|other| !other.factory && (other.file, other.line) == (first.file, first.line)).then_some(first)
}

fn ambiguous(candidates: Vec<(String, &str, u32)>) -> Failure {
    let message = format!("{} candidates could be the application that starts.", candidates.len());
    let first = candidates.first().map(|(name, _, _)| name.as_str()).unwrap_or_default();
    let hint = format!(
        "Choose one in `slipway.toml`: `application.module = \"{first}\"`, or say how it starts with `runtime.command`."
    );
    let failure = Failure::new(FailureCode::ApplicationAmbiguous, message).hint(hint);
    let failure = failure.candidates(candidates.iter().map(|(name, _, _)| name.clone()));
    candidates.into_iter().fold(failure, |failure, (_, file, line)| failure.at(file, Some(line)))
}

/// `FLASK_APP=…` of `.flaskenv`, which Flask's own command reads, and its line.
fn flask_app(sources: &Sources<'_>) -> Option<(String, u32)> {
    let text = sources.tree.text(&inside(sources.directory, ".flaskenv"))?;
    (1..).zip(text.lines()).find_map(|(number, line)| {
        let (key, value) = line.trim().split_once('=')?;
        let key = key.trim().trim_start_matches("export ").trim();
        (key == "FLASK_APP").then(|| (value.trim().trim_matches(['"', '\'']).to_owned(), number))
    })
}

/// The factory that `FLASK_APP` calls with arguments (Flask, "Command Line Interface": `hello:create_app('dev')`), which servers
/// of WSGI read likewise; a factory that wants some is no candidate.
fn called(sources: &Sources<'_>, candidates: &[Candidate<'_>]) -> Option<Entry> {
    let (stated, line) = flask_app(sources)?;
    let (target, arguments) = stated.split_once('(')?;
    let plain = |c: char| c.is_alphanumeric() || "'\"._-, =".contains(c);
    let inner = arguments.strip_suffix(')').filter(|inner| !inner.is_empty() && inner.chars().all(plain))?;
    let (module, name) = target.split_once(':')?;
    let (file, _) = sources.locate(module, &inside(sources.directory, "x.py")).filter(|(_, rest)| rest.is_none())?;
    let known = sources.files.iter().copied().find(|known| *known == file)?;
    let has = source::of(sources.tree, known)?.functions.iter().any(|function| function.name == name);
    if !has || named(target, sources, candidates).is_some_and(|chosen| !chosen.factory) {
        return None;
    }
    let (root, dotted) = sources.import_name(known);
    let origin = Origin::file(inside(sources.directory, ".flaskenv"), Some(line), "FLASK_APP");
    Some(Entry {
        served: Some((false, false)),
        image_env: python_path(sources, &root, known),
        ..Entry::new("flask", format!("{dotted}:{name}({inner})"), origin).decided(Vec::new())
    })
}

/// The candidate that `module:object`, `module` or the path of a file names.
fn named<'c, 'a>(stated: &str, sources: &Sources<'_>, candidates: &'c [Candidate<'a>]) -> Option<&'c Candidate<'a>> {
    let bare = stated.trim_end_matches("()");
    let exact = candidates.iter().find(|c| {
        c.entry().trim_end_matches("()") == bare || format!("{}:{}", below(sources.directory, c.file), c.name) == bare
    });
    let mut within = candidates.iter().filter(|c| c.module == stated || below(sources.directory, c.file) == stated);
    exact.or_else(|| within.next().filter(|_| within.next().is_none()))
}

/// What somebody stated as `application.module`: a candidate, an object in a module that is there, or a script.
fn stated_entry(
    stated: &str,
    (sources, dependencies): (&Sources<'_>, &Dependencies),
    candidates: &[Candidate<'_>],
    tornado: &[Script<'_>],
    allowed: &[Framework],
) -> Result<Entry, Failure> {
    if let Some(chosen) = named(stated, sources, candidates) {
        return Ok(object_entry(sources, chosen, "`application.module` names it", candidates));
    }
    let file = sources.files.iter().find(|file| below(sources.directory, file) == stated);
    if let Some(file) = file {
        let page = PAGES.into_iter().find(|name| dependencies.may_have(name) && script::is_page(sources, file, name));
        let tornados = || if tornado.iter().any(|s| s.file == *file) { "tornado" } else { "script" };
        let framework = page.unwrap_or_else(tornados);
        let known = tornado.iter().find(|s| s.file == *file).cloned();
        return Ok(script_entry(sources, framework, &known.unwrap_or(Script { file, line: 1, port: None })));
    }
    let located = stated.split_once(':').and_then(|(module, _)| sources.locate(module, "")).and_then(|(file, rest)| {
        let known = sources.files.iter().copied().find(|path| *path == file);
        known.filter(|_| rest.is_none())
    });
    if let (Some(file), Some(framework)) = (located, allowed.first()) {
        let (root, _) = sources.import_name(file);
        let origin = Origin::tree(file, "the module that `application.module` names");
        return Ok(Entry {
            served: Some((stated.ends_with("()"), framework.asgi())),
            image_env: python_path(sources, &root, file),
            ..Entry::new(framework.name(), stated.to_owned(), origin)
        });
    }
    let shown: String = stated.chars().take(80).collect();
    Err(Failure::new(
        FailureCode::ApplicationNotFound,
        format!("There is no `{shown}`, which `application.module` names."),
    )
    .hint("Write it as `package.module:object`, or as the path of a script.")
    .candidates(candidates.iter().map(Candidate::entry)))
}

fn nothing(inspection: &Inspection<'_>, sources: &Sources<'_>, dependencies: &Dependencies) -> Failure {
    let allowed = Framework::ALL.into_iter().filter(|f| dependencies.may_have(f.name()));
    let (_, unusable) = application::candidates(sources, &allowed.collect::<Vec<_>>());
    if let Some(factory) = unusable.first() {
        let message =
            format!("The factory `{}:{}` needs arguments, so no server can call it.", factory.module, factory.name);
        return Failure::new(FailureCode::ApplicationNotFound, message)
            .hint("Give its parameters defaults, add a `wsgi.py` with `app = …`, or say how it starts with `runtime.command`.")
            .at(factory.file, Some(factory.line));
    }
    // Scripts that act as they are: which of them is the application, nothing says.
    let acting = script::acting_alone(sources);
    if acting.len() > 1 {
        return ambiguous(shown(sources, &acting));
    }
    let known = Framework::ALL.map(Framework::name).into_iter().chain([
        "django",
        "tornado",
        "aiohttp",
        "streamlit",
        "chainlit",
    ]);
    let known = known.filter(|name| dependencies.has(name));
    let known: Vec<_> = known.map(|name| format!("`{name}`")).collect();
    let frameworks = if known.is_empty() { "no framework that is known".to_owned() } else { known.join(", ") };
    let modules = match sources.files.len() {
        1 => "one module".to_owned(),
        count => format!("{count} modules"),
    };
    let message = format!(
        "Nothing that starts was found in {modules} below `{}` (the requirements name {frameworks}): looked for Django's \
         `manage.py` with `wsgi.py` or `asgi.py`, Flask and FastAPI objects and factories, Tornado scripts, and scripts \
         with `if __name__ == \"__main__\":`.",
        if inspection.directory.is_empty() { "." } else { inspection.directory },
    );
    Failure::new(FailureCode::ApplicationNotFound, message)
}
