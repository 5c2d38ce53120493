//! Finds the Flask or `FastAPI` object, or the factory that makes one, in the syntax trees.

use std::cell::Cell;

use super::layout::Sources;
use super::module::{Argument, Module, Reference, Value};
use super::text::below;

/// The frameworks whose object a server imports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Framework {
    Flask,
    FastApi,
    Starlette,
    Quart,
    Litestar,
    Falcon,
    Bottle,
    Sanic,
    Dash,
}

impl Framework {
    /// The distribution, which is also the shape's name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Flask => "flask",
            Self::FastApi => "fastapi",
            Self::Starlette => "starlette",
            Self::Quart => "quart",
            Self::Litestar => "litestar",
            Self::Falcon => "falcon",
            Self::Bottle => "bottle",
            Self::Sanic => "sanic",
            Self::Dash => "dash",
        }
    }

    /// Every one, the more specific before what it is made of.
    pub(super) const ALL: [Self; 9] = [
        Self::Dash,
        Self::Flask,
        Self::FastApi,
        Self::Starlette,
        Self::Quart,
        Self::Litestar,
        Self::Falcon,
        Self::Bottle,
        Self::Sanic,
    ];

    /// Whether servers speak ASGI with it.
    pub(super) fn asgi(self) -> bool {
        matches!(self, Self::FastApi | Self::Starlette | Self::Quart | Self::Litestar | Self::Sanic)
    }

    fn of_constructor(dotted: &str) -> Option<Self> {
        match dotted {
            "flask.Flask" | "flask.app.Flask" => Some(Self::Flask),
            "fastapi.FastAPI" | "fastapi.applications.FastAPI" => Some(Self::FastApi),
            "starlette.applications.Starlette" => Some(Self::Starlette),
            "quart.Quart" => Some(Self::Quart),
            "litestar.Litestar" | "litestar.app.Litestar" => Some(Self::Litestar),
            "falcon.App" | "falcon.API" => Some(Self::Falcon),
            "bottle.Bottle" => Some(Self::Bottle),
            "sanic.Sanic" | "sanic.app.Sanic" => Some(Self::Sanic),
            _ => None,
        }
    }

    /// Files in the order in which the framework's own command looks for them: Flask's "Application
    /// Discovery", the `FastAPI` CLI's default paths.
    fn discovered(self) -> &'static [&'static str] {
        match self {
            Self::Flask | Self::Quart | Self::Falcon | Self::Bottle | Self::Sanic | Self::Dash => {
                &["wsgi.py", "app.py", "app/__init__.py"]
            }
            Self::FastApi | Self::Starlette | Self::Litestar => {
                &["main.py", "app.py", "api.py", "app/main.py", "app/app.py", "app/api.py"]
            }
        }
    }

    fn preferred_names(self) -> &'static [&'static str] {
        match self {
            Self::FastApi => &["app", "api"],
            Self::Dash => &["server", "application"],
            _ => &["app", "application"],
        }
    }
}

/// An object or factory that a server could be given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate<'a> {
    pub(super) framework: Framework,
    pub(super) file: &'a str,
    pub(super) name: String,
    pub(super) factory: bool,
    pub(super) line: u32,
    /// The directory on the import path.
    pub(super) root: String,
    /// `shop.main`.
    pub(super) module: String,
    /// The factory that makes the object, and where an alias's object is defined.
    pub(super) source: Option<(String, String)>,
}

impl Candidate<'_> {
    /// As a server is told: `shop.main:app`, `shop:create_app()`.
    pub(super) fn entry(&self) -> String {
        format!("{}:{}{}", self.module, self.name, if self.factory { "()" } else { "" })
    }

    fn is(&self, (file, name): &(String, String)) -> bool {
        self.file == file && self.name == *name
    }
}

/// Every candidate of the allowed frameworks, and the factories that need arguments.
pub(super) fn candidates<'a>(sources: &Sources<'a>, allowed: &[Framework]) -> (Vec<Candidate<'a>>, Vec<Candidate<'a>>) {
    let search = Search { sources, allowed, left: Cell::new(MAX_STEPS) };
    let (mut found, mut unusable): (Vec<Candidate<'a>>, Vec<Candidate<'a>>) = (Vec::new(), Vec::new());
    // What runs migrations makes an application of its own, which serves nothing.
    let migrates =
        |module: &Module| module.imports.all.iter().any(|name| name == "alembic" || name.starts_with("alembic."));
    for (file, module) in sources.modules.iter().filter(|(_, module)| !migrates(module)) {
        let (root, dotted) = sources.import_name(file);
        let candidate = |framework, name: &str, factory, line, source| Candidate {
            framework,
            file,
            name: name.to_owned(),
            factory,
            line,
            root: root.clone(),
            module: dotted.clone(),
            source,
        };
        for assignment in &module.assignments {
            let known = found.iter().any(|c| c.file == *file && c.name == assignment.target);
            if known || found.len() >= MAX_CANDIDATES {
                continue;
            }
            if let Some((framework, source)) = search.made_by(file, module, &assignment.value, 0)
                && !mounted(module, &assignment.target)
            {
                found.push(candidate(framework, &assignment.target, false, assignment.line, source));
            }
        }
        for function in &module.functions {
            if let Some(framework) = search.factory(file, module, &function.name, 0) {
                let made = candidate(framework, &function.name, true, function.line, None);
                if function.callable { found.push(made) } else { unusable.push(made) }
            }
        }
    }
    for (file, module) in &sources.modules {
        let name = file.rsplit('/').next().unwrap_or_default();
        if !matches!(name, "wsgi.py" | "asgi.py") {
            continue;
        }
        // `from shop import app` in `wsgi.py` is the deliberate entry of that object.
        for (local, dotted) in &module.imports.names {
            let Some((target, Some(attribute))) = sources.locate(dotted, file) else { continue };
            let place = (target, attribute);
            if let Some(original) = found.iter().find(|c| !c.factory && c.is(&place)).cloned() {
                let (root, dotted) = sources.import_name(file);
                let alias = Candidate {
                    file,
                    name: local.clone(),
                    root,
                    module: dotted,
                    line: 1,
                    source: Some(place),
                    ..original
                };
                found.push(alias);
            }
        }
    }
    let superseded: Vec<_> = found.iter().filter_map(|c| c.source.clone()).collect();
    found.retain(|c| !superseded.iter().any(|place| c.is(place)));
    found.sort_by(|a, b| {
        (a.file.matches('/').count(), a.file, a.line).cmp(&(b.file.matches('/').count(), b.file, b.line))
    });
    (found, unusable)
}

/// The candidate that a framework's own rules would find, with the rule; `None` when they find none or disagree.
pub(super) fn conventional<'c, 'a>(directory: &str, found: &'c [Candidate<'a>]) -> Option<(&'c Candidate<'a>, String)> {
    let mut frameworks: Vec<Framework> = found.iter().map(|c| c.framework).collect();
    frameworks.sort_unstable();
    frameworks.dedup();
    let [framework] = frameworks[..] else { return None };
    framework.discovered().iter().find_map(|name| {
        let there: Vec<&Candidate> = found
            .iter()
            .filter(|c| {
                let relative = below(directory, c.file);
                relative == *name || relative.strip_prefix("src/") == Some(*name)
            })
            .collect();
        let rule = format!("{} looks in `{name}` first", framework.name());
        in_one_file(framework, &there).map(|chosen| (chosen, rule))
    })
}

/// Which of one file's candidates the framework takes: preferred names, the only object, a factory by its name.
fn in_one_file<'c, 'a>(framework: Framework, there: &[&'c Candidate<'a>]) -> Option<&'c Candidate<'a>> {
    let named = |names: &[&str], factory| {
        names.iter().find_map(|name| there.iter().find(|c| c.name == *name && c.factory == factory).copied())
    };
    let only = |factory| {
        let mut matching = there.iter().filter(|c| c.factory == factory);
        matching.next().filter(|_| matching.next().is_none()).copied()
    };
    named(framework.preferred_names(), false)
        .or_else(|| only(false))
        .or_else(|| if there.iter().any(|c| !c.factory) { None } else { named(&["create_app", "make_app"], true) })
        .or_else(|| if there.len() == 1 { only(true) } else { None })
}

/// `main.mount("/api", api)`: a part of another application.
fn mounted(module: &Module, name: &str) -> bool {
    let is_name = |argument: &Argument| matches!(argument, Argument::Name(given) if given == name);
    module
        .calls
        .iter()
        .filter(|call| call.callee.dotted.rsplit('.').next() == Some("mount"))
        .any(|call| call.arguments.iter().any(is_name) || call.keywords.iter().any(|(_, argument)| is_name(argument)))
}

/// Further than any application follows factories through its modules.
const MAX_HOPS: usize = 6;
const MAX_STEPS: usize = 50_000;
/// More than anyone can choose from.
const MAX_CANDIDATES: usize = 200;

struct Search<'s, 'a> {
    sources: &'s Sources<'a>,
    allowed: &'s [Framework],
    /// Look-ups that are left: factories that return each other's results multiply.
    left: Cell<usize>,
}

type Made = (Framework, Option<(String, String)>);

impl Search<'_, '_> {
    fn constructor(&self, dotted: &str) -> Option<Framework> {
        Framework::of_constructor(dotted).filter(|framework| self.allowed.contains(framework))
    }

    /// What a call makes, and the factory it calls for that.
    fn made_by(&self, file: &str, module: &Module, value: &Value, hops: usize) -> Option<Made> {
        if let Value::Name(name) = value {
            return self.server_of(module, name).map(|framework| (framework, None));
        }
        let Value::Call(callee) = value else { return None };
        if hops > MAX_HOPS || self.left.get() == 0 {
            return None;
        }
        self.left.set(self.left.get() - 1);
        if callee.imported
            && let Some(framework) = self.constructor(&callee.dotted)
        {
            return Some((framework, None));
        }
        let (file, name) = self.defined(file, module, callee, hops)?;
        let module = self.sources.modules.get(file.as_str())?;
        if let Some(base) = module.classes.get(&name) {
            return self
                .made_by(&file, module, &Value::Call(base.clone()), hops + 1)
                .map(|(framework, _)| (framework, None));
        }
        let framework = self.factory(&file, module, &name, hops + 1)?;
        Some((framework, Some((file, name))))
    }

    /// `server = app.server`: what Dash gives a server to import (its "Deploying Dash Apps").
    fn server_of(&self, module: &Module, name: &Reference) -> Option<Framework> {
        let owner = name.dotted.strip_suffix(".server").filter(|_| self.allowed.contains(&Framework::Dash))?;
        let makes = |value: &Value| matches!(value, Value::Call(made) if made.imported && made.dotted.rsplit('.').next().is_some_and(|class| class.starts_with("Dash")));
        let made = module.assignments.iter().any(|made| made.target == owner && makes(&made.value));
        made.then_some(Framework::Dash)
    }

    /// The file and name behind a reference, through re-exports.
    fn defined(&self, file: &str, module: &Module, reference: &Reference, hops: usize) -> Option<(String, String)> {
        if hops > MAX_HOPS {
            return None;
        }
        if !reference.imported {
            let here = module.functions.iter().any(|f| f.name == reference.dotted)
                || module.classes.contains_key(&reference.dotted);
            return here.then(|| (file.to_owned(), reference.dotted.clone()));
        }
        let (target, attribute) = self.sources.locate(&reference.dotted, file)?;
        let attribute = attribute?;
        let there = self.sources.modules.get(target.as_str())?;
        match there.imports.names.get(&attribute) {
            Some(dotted) => {
                let next = Reference { dotted: dotted.clone(), imported: true };
                self.defined(&target, there, &next, hops + 1)
            }
            None => Some((target, attribute)),
        }
    }

    /// The framework whose object the function returns.
    fn factory(&self, file: &str, module: &Module, name: &str, hops: usize) -> Option<Framework> {
        if hops > MAX_HOPS {
            return None;
        }
        let function = module.functions.iter().find(|function| function.name == name)?;
        function
            .returns
            .iter()
            .find_map(|value| match value {
                Value::Name(local) if !local.imported => {
                    let assigned = function.assignments.iter().filter(|a| a.target == local.dotted);
                    assigned.into_iter().find_map(|a| self.made_by(file, module, &a.value, hops + 1))
                }
                value => self.made_by(file, module, value, hops + 1),
            })
            .map(|(framework, _)| framework)
    }
}
