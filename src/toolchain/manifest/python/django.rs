//! Finds a Django project: `manage.py`, the settings module, and the WSGI or ASGI object.

use super::dockerfile;
use super::layout::Sources;
use super::module::{Argument, Assignment, Value};
use super::text::{below, inside};
use crate::model::failure::{Failure, FailureCode};
use crate::model::origin::{Found, Origin};
use crate::model::source_tree::parent;

/// What a Django project needs to be served.
#[derive(Debug, Clone)]
pub(super) struct Django {
    /// The directory on the import path: where `manage.py` lies.
    pub(super) root: String,
    /// Relative to the repository's root.
    pub(super) manage: Option<String>,
    /// `shop.wsgi:application`.
    pub(super) entry: Found<String>,
    pub(super) asgi: bool,
    pub(super) settings: Option<Found<String>>,
    /// The settings for production, where those are for development.
    pub(super) for_production: Option<String>,
    /// Where the settings configure static files to be collected.
    pub(super) collectstatic: Option<Origin>,
}

/// Finds the project; `None` when there is no `manage.py` or `wsgi.py` of Django.
///
/// # Errors
/// `application_ambiguous` when there are several projects or several objects.
pub(super) fn find(sources: &Sources<'_>, prefers_asgi: bool, stated: Option<&str>) -> Result<Option<Django>, Failure> {
    let mut manages: Vec<&str> =
        named(sources, "manage.py", "").filter(|file| settings_of(sources, file).is_some()).collect();
    if manages.is_empty() {
        // One that takes its settings from somewhere else.
        manages = named(sources, "manage.py", "").filter(|file| is_manage(sources, file)).collect();
    }
    let shallow = manages.first().map(|file| file.matches('/').count());
    manages.retain(|file| Some(file.matches('/').count()) == shallow);
    if manages.len() > 1 {
        let message = format!("{} Django projects could be the application.", manages.len());
        let failure = Failure::new(FailureCode::ApplicationAmbiguous, message)
            .hint("Choose the project's directory: `source.directory`, or `--directory` on the command line.")
            .candidates(manages.iter().map(|file| parent(file).to_owned()));
        return Err(manages.iter().fold(failure, |failure, file| failure.at(*file, None)));
    }
    let manage = manages.first().copied();
    let root = manage.map_or(sources.directory, parent);
    let wsgi = objects(sources, root, "wsgi.py", "django.core.wsgi");
    let asgi = objects(sources, root, "asgi.py", "django");
    if manage.is_none() && wsgi.is_empty() && asgi.is_empty() {
        return Ok(None);
    }
    let beside = |list: &[Object<'_>]| list.first().and_then(|object| settings_of(sources, object.file));
    let settings = beside(if wsgi.is_empty() { &asgi } else { &wsgi })
        .or_else(|| manage.and_then(|file| settings_of(sources, file)));
    let files = settings.as_ref().map(|found| settings_files(sources, &found.value, root)).unwrap_or_default();
    let text = |name: &str| {
        assignments(sources, &files).find_map(|(file, a)| match &a.value {
            Value::Text(text) if a.target == name => Some((file, a, text.clone())),
            _ => None,
        })
    };
    let has_asgi = !asgi.is_empty() && (wsgi.is_empty() || prefers_asgi);
    let key = if has_asgi { "ASGI_APPLICATION" } else { "WSGI_APPLICATION" };
    let list = if has_asgi { &asgi } else { &wsgi };
    let configured = text(key).and_then(|(file, a, dotted)| {
        let (module, object) = dotted.rsplit_once('.')?;
        Some(Found::new(format!("{module}:{object}"), Origin::file(file, Some(a.line), key)))
    });
    let found: Vec<Found<String>> = list.iter().map(Object::entry).collect();
    let by_statement =
        found.iter().find(|f| stated.is_some_and(|s| f.value == s || f.value.split(':').next() == Some(s)));
    let entry = match (by_statement, &found[..], configured) {
        (Some(entry), _, _) | (None, [entry], None) => entry.clone(),
        (None, _, Some(entry)) => found.iter().find(|f| f.value == entry.value).cloned().unwrap_or(entry),
        // What `startproject` writes into `wsgi.py` can be called as it is: the settings say the rest.
        (None, [], None) => match manage.and_then(|file| settings_of(sources, file)) {
            Some(settings) if !has_object(sources, root, &settings.value) => {
                Found::new("django.core.wsgi:get_wsgi_application()".to_owned(), settings.origin)
            }
            _ => return Ok(None),
        },
        (None, several, None) if of_manage(sources, manage, list).is_some() => {
            let index = of_manage(sources, manage, list).unwrap_or_default();
            several[index].clone()
        }
        (None, several, None) => {
            let message = format!("{} modules hold a Django application object.", several.len());
            let failure = Failure::new(FailureCode::ApplicationAmbiguous, message)
                .hint(format!("Choose one in `slipway.toml`: `application.module = \"{}\"`.", several[0].value))
                .candidates(several.iter().map(|f| f.value.clone()));
            return Err(several
                .iter()
                .fold(failure, |failure, f| failure.at(f.origin.path.clone().unwrap_or_default(), f.origin.line)));
        }
    };
    // The settings beside the chosen object win over manage.py's, which often are for development.
    let settings = entry.origin.path.as_deref().and_then(|file| settings_of(sources, file)).or(settings);
    let settings = of_container(sources, root).or(settings);
    let files = settings.as_ref().map(|found| settings_files(sources, &found.value, root)).unwrap_or_default();
    Ok(Some(Django {
        root: list.iter().find(|o| Some(o.file) == entry.origin.path.as_deref()).map_or(root, |o| &o.root).to_owned(),
        manage: manage.map(str::to_owned),
        entry,
        asgi: has_asgi,
        collectstatic: manage.and_then(|_| collectstatic(sources, &files)),
        for_production: settings.as_ref().and_then(|found| for_production(sources, &found.value)),
        settings,
    }))
}

/// The settings that the repository's Dockerfile names, where they are there.
fn of_container(sources: &Sources<'_>, root: &str) -> Option<Found<String>> {
    let stated = dockerfile::variable(sources.tree, sources.directory, "DJANGO_SETTINGS_MODULE")?;
    let there = sources.locate(&stated.value, &inside(root, "manage.py")).is_some_and(|(_, rest)| rest.is_none());
    there.then_some(stated)
}

/// Whether a file does what Django's `manage.py` does.
fn is_manage(sources: &Sources<'_>, file: &str) -> bool {
    let Some(module) = sources.modules.get(file) else { return false };
    module.calls.iter().any(|call| call.callee.dotted.ends_with("execute_from_command_line"))
}

/// The settings for production that lie beside those for development (`settings.dev`, say).
fn for_production(sources: &Sources<'_>, settings: &str) -> Option<String> {
    let (package, last) = settings.rsplit_once('.')?;
    let file = sources.locate(settings, &inside(sources.directory, "manage.py"))?.0;
    let beside = |name: &&str| sources.tree.has_file(&inside(parent(&file), &format!("{name}.py")));
    let name = ["production", "prod"].into_iter().find(beside)?;
    ["dev", "development", "local"].contains(&last).then(|| format!("{package}.{name}"))
}

/// Whether `wsgi.py` or `asgi.py` lies beside the settings, although it was not looked at.
fn has_object(sources: &Sources<'_>, root: &str, settings: &str) -> bool {
    let directory = settings.rsplit_once('.').map_or("", |(package, _)| package).replace('.', "/");
    let directory = inside(root, &directory);
    ["wsgi.py", "asgi.py"].iter().any(|name| sources.tree.has_file(&inside(&directory, name)))
}

/// The object that lies beside the settings which `manage.py` names.
fn of_manage(sources: &Sources<'_>, manage: Option<&str>, list: &[Object<'_>]) -> Option<usize> {
    let settings = settings_of(sources, manage?)?;
    let package = settings.value.split('.').next().unwrap_or_default();
    list.iter().position(|object| parent(object.file).rsplit('/').next() == Some(package))
}

struct Object<'a> {
    file: &'a str,
    name: String,
    line: u32,
    /// The directory on the import path.
    root: String,
}

impl Object<'_> {
    fn entry(&self) -> Found<String> {
        let module = below(&self.root, self.file).trim_end_matches(".py").replace('/', ".");
        Found::new(format!("{module}:{}", self.name), Origin::file(self.file, Some(self.line), self.name.clone()))
    }
}

fn named<'s>(sources: &'s Sources<'_>, name: &'s str, root: &'s str) -> impl Iterator<Item = &'s str> {
    sources.files.iter().copied().filter(move |file| {
        file.rsplit('/').next() == Some(name) && (root.is_empty() || file.starts_with(&format!("{root}/")))
    })
}

/// `application = get_wsgi_application()` in files of that name that import Django.
fn objects<'s>(sources: &'s Sources<'_>, root: &'s str, name: &'s str, import: &str) -> Vec<Object<'s>> {
    let mut found = Vec::new();
    for file in named(sources, name, root) {
        let Some(module) = sources.modules.get(file) else { continue };
        let django = module.imports.all.iter().any(|name| name.starts_with(import) || name.starts_with("channels"));
        // What a server calls may be a function around the object (PEP 3333).
        let assigned = module.assignments.iter().map(|assigned| (&assigned.target, assigned.line));
        let named = || assigned.clone().chain(module.functions.iter().map(|function| (&function.name, function.line)));
        let object = ["application", "app"].iter().find_map(|name| named().find(|(target, _)| *target == name));
        if let Some((target, line)) = object.filter(|_| django) {
            let root = import_root(sources, file, root);
            found.push(Object { file, name: target.clone(), line, root });
        }
    }
    found
}

/// The directory above a module from which the settings that it names can be imported; `root` where there is none.
///
/// `manage.py` need not lie there: it may put the directory on the path itself.
fn import_root(sources: &Sources<'_>, file: &str, root: &str) -> String {
    let Some(settings) = settings_of(sources, file) else { return root.to_owned() };
    let path = settings.value.replace('.', "/");
    let holds = |base: &str| {
        let module = inside(base, &path);
        sources.tree.has_file(&format!("{module}.py")) || sources.tree.has_file(&inside(&module, "__init__.py"))
    };
    let mut at = parent(file);
    while at.len() > root.len() && !holds(at) {
        at = parent(at);
    }
    if at.len() >= root.len() && holds(at) { at.to_owned() } else { root.to_owned() }
}

/// `os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")`.
fn settings_of(sources: &Sources<'_>, file: &str) -> Option<Found<String>> {
    let module = sources.modules.get(file)?;
    module.calls.iter().filter(|call| call.callee.dotted.ends_with("environ.setdefault")).find_map(|call| {
        match &call.arguments[..] {
            [Argument::Text(key), Argument::Text(value)] if key == "DJANGO_SETTINGS_MODULE" => {
                Some(Found::new(value.clone(), Origin::file(file, Some(call.line), "DJANGO_SETTINGS_MODULE")))
            }
            _ => None,
        }
    })
}

/// The settings module's file and those it takes everything from (`from .base import *`).
fn settings_files(sources: &Sources<'_>, module: &str, root: &str) -> Vec<String> {
    let from = inside(root, "manage.py");
    let mut files: Vec<String> =
        sources.locate(module, &from).filter(|(_, rest)| rest.is_none()).map(|(file, _)| file).into_iter().collect();
    let mut next = 0;
    while next < files.len() && files.len() < 20 {
        let file = files[next].clone();
        next += 1;
        let stars = sources.modules.get(file.as_str()).map(|module| &module.imports.stars[..]).unwrap_or_default();
        for star in stars {
            if let Some((target, None)) = sources.locate(star, &file)
                && !files.contains(&target)
            {
                files.push(target);
            }
        }
    }
    files
}

fn assignments<'s>(sources: &'s Sources<'_>, files: &'s [String]) -> impl Iterator<Item = (&'s str, &'s Assignment)> {
    let modules = files.iter().filter_map(|file| Some((file.as_str(), sources.modules.get(file.as_str())?)));
    modules.flat_map(|(file, module)| module.assignments.iter().map(move |a| (file, a)))
}

fn collectstatic(sources: &Sources<'_>, files: &[String]) -> Option<Origin> {
    let installed = assignments(sources, files)
        .any(|(_, a)| a.target.ends_with("APPS") && a.strings.iter().any(|app| app == "django.contrib.staticfiles"));
    let root = assignments(sources, files).find(|(_, a)| a.target == "STATIC_ROOT");
    root.filter(|_| installed).map(|(file, a)| Origin::file(file, Some(a.line), "STATIC_ROOT"))
}
