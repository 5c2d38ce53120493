//! Chooses the one thing that starts, or says which candidates there are.

use std::collections::BTreeMap;

use serde_json::json;

use super::application::{self, Candidate, Framework};
use super::command;
use super::dependencies::Dependencies;
use super::django;
use super::layout::Sources;
use super::script::{self, Script};
use super::server;
use super::text::{below, inside};
use crate::model::failure::{Failure, FailureCode};
use crate::model::origin::{Decision, Found, Origin, Rejected};
use crate::model::source_tree::parent;
use crate::toolchain::findings::Inspection;

/// What starts.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// The shape: `django`, `flask`, `fastapi`, `tornado`, `script`.
    pub(super) framework: &'static str,
    /// `shop.main:app`, `shop:create_app()`, or a script relative to the application's directory.
    pub(super) name: String,
    pub(super) origin: Origin,
    /// How it starts where no server imports it.
    pub(super) command: Vec<String>,
    /// For an object that a server imports: whether it is a factory, whether it is ASGI.
    pub(super) served: Option<(bool, bool)>,
    pub(super) image_env: BTreeMap<String, Found<String>>,
    pub(super) port: Option<Found<u16>>,
    pub(super) decisions: Vec<Decision>,
    /// `manage.py`, relative to the application's directory.
    pub(super) manage: Option<String>,
    pub(super) collectstatic: bool,
    /// Django's settings for production, where it would start with those for development.
    pub(super) for_production: Option<String>,
}

impl Entry {
    /// The module that its server imports, or the script whose main guard keeps it from starting.
    pub(super) fn imported(&self) -> Option<String> {
        match self.served {
            Some(_) => self.name.split(':').next().map(str::to_owned),
            None if self.framework != "script" => None,
            // A module of a package is no script: its relative imports need the package.
            None => match &self.command[..] {
                [_, flag, module] if flag == "-m" && self.name.ends_with("/__main__.py") => {
                    Some(format!("{module}.__main__"))
                }
                [_, flag, module] if flag == "-m" => Some(module.clone()),
                _ => Some(self.name.clone()).filter(|name| name.rsplit('.').next() == Some("py")),
            },
        }
    }
}

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
    match search(inspection, sources, dependencies) {
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
        let prefers_asgi = dependencies.has("channels") || has_asgi_server;
        if let Some(found) = django::find(sources, prefers_asgi, inspection.module)? {
            return Ok(Some(django_entry(sources, found)));
        }
    }
    let allowed: Vec<Framework> = Framework::ALL.into_iter().filter(|f| dependencies.may_have(f.name())).collect();
    let (candidates, _) = application::candidates(sources, &allowed);
    let tornado = if dependencies.may_have("tornado") { script::tornado(sources) } else { Vec::new() };
    if let Some(stated) = inspection.module {
        return stated_entry(stated, sources, &candidates, &tornado, &allowed).map(Some);
    }
    if !candidates.is_empty() {
        return choose(inspection, sources, &candidates).map(Some);
    }
    if dependencies.may_have("streamlit")
        && let Some(page) = script::streamlit(sources)
    {
        return Ok(Some(script_entry(sources, "streamlit", &page)));
    }
    let (framework, scripts) =
        if tornado.is_empty() { ("script", script::guarded(sources)) } else { ("tornado", tornado) };
    match (&scripts[..], script::usual(sources, &scripts)) {
        ([], _) => Ok(command::find(inspection, dependencies)?
            .or_else(|| script::package(sources).map(|s| script_entry(sources, "script", &s)))
            .or_else(|| script::nested(sources).map(|s| script_entry(sources, "script", &s)))),
        ([only], _) | (_, Some(only)) => Ok(Some(script_entry(sources, framework, only))),
        (several, None) => Err(ambiguous(
            several.iter().map(|s| (below(sources.directory, s.file).to_owned(), s.file, s.line)).collect(),
        )),
    }
}

fn choose(inspection: &Inspection<'_>, sources: &Sources<'_>, candidates: &[Candidate<'_>]) -> Result<Entry, Failure> {
    let flask_app = flask_app(sources);
    if let Some((stated, line)) = &flask_app
        && let Some(chosen) = named(stated, sources, candidates)
    {
        let why = format!("`FLASK_APP` in line {line} of `.flaskenv` names `{}`", chosen.entry());
        return Ok(object_entry(sources, chosen, &why, candidates));
    }
    if let [only] = candidates {
        return Ok(object_entry(sources, only, "the only one", candidates));
    }
    if let Some((chosen, rule)) = application::conventional(sources.directory, candidates) {
        return Ok(object_entry(sources, chosen, &rule, candidates));
    }
    let called = inspection.application.replace('-', "_");
    let mut equal = candidates.iter().filter(|c| c.module.split('.').any(|part| part == called));
    if let (Some(chosen), None) = (equal.next(), equal.next()) {
        return Ok(object_entry(sources, chosen, "its module has the application's name", candidates));
    }
    // A single object among factories is what they are for.
    let mut objects = candidates.iter().filter(|c| !c.factory);
    if let (Some(chosen), None) = (objects.next(), objects.next()) {
        return Ok(object_entry(sources, chosen, "the only object; the others are factories", candidates));
    }
    Err(ambiguous(candidates.iter().map(|c| (c.entry(), c.file, c.line)).collect()))
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

/// The candidate that `module:object`, `module` or the path of a file names.
fn named<'c, 'a>(stated: &str, sources: &Sources<'_>, candidates: &'c [Candidate<'a>]) -> Option<&'c Candidate<'a>> {
    let bare = stated.trim_end_matches("()");
    let exact = candidates.iter().find(|c| c.entry().trim_end_matches("()") == bare);
    let mut within = candidates.iter().filter(|c| c.module == stated || below(sources.directory, c.file) == stated);
    exact.or_else(|| within.next().filter(|_| within.next().is_none()))
}

/// What somebody stated as `application.module`: a candidate, an object in a module that is there, or a script.
fn stated_entry(
    stated: &str,
    sources: &Sources<'_>,
    candidates: &[Candidate<'_>],
    tornado: &[Script<'_>],
    allowed: &[Framework],
) -> Result<Entry, Failure> {
    if let Some(chosen) = named(stated, sources, candidates) {
        return Ok(object_entry(sources, chosen, "`application.module` names it", candidates));
    }
    let file = sources.files.iter().find(|file| below(sources.directory, file) == stated);
    if let Some(file) = file {
        let framework = if tornado.iter().any(|s| s.file == *file) { "tornado" } else { "script" };
        let known = tornado.iter().find(|s| s.file == *file).cloned();
        return Ok(script_entry(sources, framework, &known.unwrap_or(Script { file, line: 1, port: None })));
    }
    let located = stated.split_once(':').and_then(|(module, _)| sources.locate(module, "")).and_then(|(file, rest)| {
        let known = sources.files.iter().copied().find(|path| *path == file);
        known.filter(|_| rest.is_none())
    });
    if let (Some(file), Some(framework)) = (located, allowed.first()) {
        let (root, _) = sources.import_name(file);
        return Ok(Entry {
            framework: framework.name(),
            name: stated.to_owned(),
            origin: Origin::tree(file, "the module that `application.module` names"),
            command: Vec::new(),
            served: Some((stated.ends_with("()"), framework.asgi())),
            image_env: python_path(sources, &root, file),
            port: None,
            decisions: Vec::new(),
            manage: None,
            collectstatic: false,
            for_production: None,
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

fn object_entry(sources: &Sources<'_>, chosen: &Candidate<'_>, why: &str, candidates: &[Candidate<'_>]) -> Entry {
    let origin = |c: &Candidate<'_>| {
        Origin::file(
            c.file,
            Some(c.line),
            format!("{} {}", c.framework.name(), if c.factory { "factory" } else { "object" }),
        )
    };
    let rejected = candidates
        .iter()
        .filter(|c| *c != chosen)
        .map(|c| Rejected { value: json!(c.entry()), origin: origin(c), why: why.to_owned() })
        .collect();
    let decision = Decision { key: "entry".into(), value: json!(chosen.entry()), origin: origin(chosen), rejected };
    Entry {
        framework: chosen.framework.name(),
        name: chosen.entry(),
        origin: origin(chosen),
        command: Vec::new(),
        served: Some((chosen.factory, chosen.framework.asgi())),
        image_env: python_path(sources, &chosen.root, chosen.file),
        port: None,
        decisions: vec![decision],
        manage: None,
        collectstatic: false,
        for_production: None,
    }
}

fn script_entry(sources: &Sources<'_>, framework: &'static str, script: &Script<'_>) -> Entry {
    let name = below(sources.directory, script.file).to_owned();
    let origin = Origin::file(script.file, Some(script.line), "script that starts by itself");
    let decision = Decision { key: "entry".into(), value: json!(name), origin: origin.clone(), rejected: Vec::new() };
    // A module of a package imports its siblings by the package's name.
    let package = sources.tree.has_file(&inside(parent(script.file), "__init__.py"));
    let (root, module) = sources.import_name(script.file);
    let module = module.trim_end_matches(".__main__").to_owned();
    let (command, image_env) = match (framework, package) {
        ("streamlit", _) => (server::streamlit(&name), BTreeMap::new()),
        (_, true) => (vec!["python".into(), "-m".into(), module], python_path(sources, &root, script.file)),
        (_, false) => (vec!["python".into(), name.clone()], BTreeMap::new()),
    };
    let port = match (framework, script.port) {
        ("streamlit", _) => Some(Found::new(server::PORT, Origin::default("the port that `streamlit` is told"))),
        (_, port) => {
            port.map(|(port, line)| Found::new(port, Origin::file(script.file, Some(line), "the port listened on")))
        }
    };
    Entry {
        framework,
        name,
        origin,
        served: None,
        command,
        image_env,
        port,
        decisions: vec![decision],
        manage: None,
        collectstatic: false,
        for_production: None,
    }
}

fn django_entry(sources: &Sources<'_>, found: django::Django) -> Entry {
    let file = found.entry.origin.path.clone().unwrap_or_default();
    let factory = found.entry.value.ends_with("()");
    let mut image_env = python_path(sources, &found.root, &file);
    image_env.extend(found.settings.map(|settings| ("DJANGO_SETTINGS_MODULE".to_owned(), settings)));
    let mut decisions = vec![Decision {
        key: "entry".into(),
        value: json!(found.entry.value),
        origin: found.entry.origin.clone(),
        rejected: Vec::new(),
    }];
    decisions.extend(found.collectstatic.clone().map(|origin| Decision {
        key: "collectstatic".into(),
        value: json!(true),
        origin,
        rejected: Vec::new(),
    }));
    Entry {
        framework: "django",
        name: found.entry.value,
        origin: found.entry.origin,
        command: Vec::new(),
        served: Some((factory, found.asgi)),
        image_env,
        port: None,
        decisions,
        manage: found.manage.map(|file| below(sources.directory, &file).to_owned()),
        collectstatic: found.collectstatic.is_some(),
        for_production: found.for_production,
    }
}

/// `PYTHONPATH` where modules are not imported from the application's directory itself.
fn python_path(sources: &Sources<'_>, root: &str, file: &str) -> BTreeMap<String, Found<String>> {
    if root == sources.directory {
        return BTreeMap::new();
    }
    let path = format!("/app/{}", below(sources.directory, root));
    BTreeMap::from([("PYTHONPATH".to_owned(), Found::new(path, Origin::tree(file, "where its package lies")))])
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
    let known = Framework::ALL.map(Framework::name).into_iter().chain(["django", "tornado", "aiohttp", "streamlit"]);
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
