//! What starts, with all that it needs, as each kind of it is written.

use std::collections::BTreeMap;

use serde_json::json;

use super::application::Candidate;
use super::django;
use super::layout::Sources;
use super::script::Script;
use super::server;
use super::text::{below, inside};
use crate::model::failure::Warning;
use crate::model::origin::{Decision, Found, Origin, Rejected};
use crate::model::source_tree::parent;

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
    /// A server that `command` starts and the project does not require.
    pub(super) requirement: Option<String>,
    /// Whether what starts is found by the project's own metadata, so that it has to be installed.
    pub(super) installed: bool,
    /// The module that a command calls.
    pub(super) module: Option<String>,
    pub(super) warnings: Vec<Warning>,
}

impl Entry {
    /// Something that starts, without anything beside it.
    pub(super) fn new(framework: &'static str, name: String, origin: Origin) -> Self {
        Self {
            framework,
            name,
            origin,
            command: Vec::new(),
            served: None,
            image_env: BTreeMap::new(),
            port: None,
            decisions: Vec::new(),
            manage: None,
            collectstatic: false,
            for_production: None,
            requirement: None,
            installed: false,
            module: None,
            warnings: Vec::new(),
        }
    }

    /// The decision for it, with what it was preferred to.
    pub(super) fn decided(mut self, rejected: Vec<Rejected>) -> Self {
        let (value, origin) = (json!(self.name), self.origin.clone());
        self.decisions.insert(0, Decision { key: "entry".into(), value, origin, rejected });
        self
    }

    /// The module that its server imports, or the script whose main guard keeps it from starting.
    pub(super) fn imported(&self) -> Option<String> {
        if self.module.is_some() {
            return self.module.clone();
        }
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

pub(super) fn object_entry(
    sources: &Sources<'_>,
    chosen: &Candidate<'_>,
    why: &str,
    candidates: &[Candidate<'_>],
) -> Entry {
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
    Entry {
        served: Some((chosen.factory, chosen.framework.asgi())),
        image_env: python_path(sources, &chosen.root, chosen.file),
        ..Entry::new(chosen.framework.name(), chosen.entry(), origin(chosen)).decided(rejected)
    }
}

pub(super) fn script_entry(sources: &Sources<'_>, framework: &'static str, script: &Script<'_>) -> Entry {
    let name = below(sources.directory, script.file).to_owned();
    let origin = Origin::file(script.file, Some(script.line), "script that starts by itself");
    // A module of a package imports its siblings by the package's name.
    let package = sources.tree.has_file(&inside(parent(script.file), "__init__.py")) && !sources.is_loose(script.file);
    let (root, module) = sources.import_name(script.file);
    let module = module.trim_end_matches(".__main__").to_owned();
    let (command, image_env) = match (framework, package) {
        ("streamlit" | "chainlit", _) => (server::of_pages(framework, &name), BTreeMap::new()),
        (_, true) => (vec!["python".into(), "-m".into(), module], python_path(sources, &root, script.file)),
        (_, false) => (vec!["python".into(), name.clone()], BTreeMap::new()),
    };
    let port = match (framework, script.port) {
        ("streamlit" | "chainlit", _) => {
            Some(Found::new(server::PORT, Origin::default(format!("the port that `{framework}` is told"))))
        }
        (_, port) => {
            port.map(|(port, line)| Found::new(port, Origin::file(script.file, Some(line), "the port listened on")))
        }
    };
    Entry { command, image_env, port, ..Entry::new(framework, name, origin).decided(Vec::new()) }
}

pub(super) fn django_entry(sources: &Sources<'_>, found: django::Django) -> Entry {
    let file = found.entry.origin.path.clone().unwrap_or_default();
    let factory = found.entry.value.ends_with("()");
    let mut image_env = python_path(sources, &found.root, &file);
    image_env.extend(found.settings.map(|settings| ("DJANGO_SETTINGS_MODULE".to_owned(), settings)));
    let collectstatic = found.collectstatic.is_some();
    let decisions = found.collectstatic.map(|origin| Decision {
        key: "collectstatic".into(),
        value: json!(true),
        origin,
        rejected: Vec::new(),
    });
    let entry = Entry {
        served: Some((factory, found.asgi)),
        image_env,
        decisions: decisions.into_iter().collect(),
        manage: found.manage.map(|file| below(sources.directory, &file).to_owned()),
        collectstatic,
        for_production: found.for_production,
        ..Entry::new("django", found.entry.value, found.entry.origin)
    };
    entry.decided(Vec::new())
}

/// `PYTHONPATH` where modules are not imported from the application's directory itself. Above it there is nothing in the
/// image: a directory that is itself a package is linked among those that are installed.
pub(super) fn python_path(sources: &Sources<'_>, root: &str, file: &str) -> BTreeMap<String, Found<String>> {
    if root.len() <= sources.directory.len() {
        return BTreeMap::new();
    }
    let path = format!("/app/{}", below(sources.directory, root));
    BTreeMap::from([("PYTHONPATH".to_owned(), Found::new(path, Origin::tree(file, "where its package lies")))])
}
