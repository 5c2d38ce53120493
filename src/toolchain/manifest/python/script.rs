//! Finds scripts that start by themselves: Tornado's, and those with a main guard.

use super::application::Candidate;
use super::layout::{Sources, stem};
use super::module::{Argument, Module};
use super::source;
use super::text::below;
use crate::model::origin::{Found, Origin};
use crate::model::source_tree::{SourceTree, parent};

/// A script, and the port that its source names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Script<'a> {
    pub(super) file: &'a str,
    pub(super) line: u32,
    pub(super) port: Option<(u16, u32)>,
}

/// Scripts that make a `tornado.web.Application` and start; where none does both, those that import Tornado and start.
pub(super) fn tornado<'a>(sources: &Sources<'a>) -> Vec<Script<'a>> {
    let scripts: Vec<(Script<'a>, bool)> = sources
        .files
        .iter()
        .filter_map(|file| {
            let module = sources.modules.get(file)?;
            let imports = module.imports.all.iter().any(|name| name == "tornado" || name.starts_with("tornado."));
            let line = module.main_guard.or_else(|| started(module)).filter(|_| imports)?;
            let makes = module.calls.iter().any(|call| call.callee.dotted == "tornado.web.Application")
                || module.classes.values().any(|base| base.dotted == "tornado.web.Application");
            Some((Script { file, line, port: port(module) }, makes))
        })
        .collect();
    let both: Vec<_> = scripts.iter().filter(|(_, makes)| *makes).map(|(script, _)| script.clone()).collect();
    if !both.is_empty() {
        return both;
    }
    // What other modules import is a part of the application, whatever its guard does.
    scripts.into_iter().map(|(script, _)| script).filter(|script| !is_imported(sources, script.file)).collect()
}

/// Whether another module of the repository imports this one.
fn is_imported(sources: &Sources<'_>, file: &str) -> bool {
    sources.importing(stem(file)).filter(|(other, _)| *other != file).any(|(other, module)| {
        module.imports.all.iter().any(|dotted| sources.locate(dotted, other).is_some_and(|(target, _)| target == file))
    })
}

/// Names that scripts have which are what a repository is for.
const USUAL: [&str; 7] = ["main.py", "app.py", "server.py", "run.py", "bot.py", "start.py", "__main__.py"];

/// Of several scripts the only one that no module imports, or the only one of those with a usual name.
pub(super) fn usual<'s, 'a>(sources: &Sources<'_>, scripts: &'s [Script<'a>]) -> Option<&'s Script<'a>> {
    let own: Vec<&Script> = scripts.iter().filter(|script| !is_imported(sources, script.file)).collect();
    let named = || own.iter().filter(|script| USUAL.contains(&name(script.file)));
    match own[..] {
        [only] => Some(only),
        _ => named().next().copied().filter(|_| named().count() == 1),
    }
}

/// The only script with a usual name that lies below the application's directory and in no package: `app/main.py`.
pub(super) fn nested<'a>(sources: &Sources<'a>) -> Option<Script<'a>> {
    let scripts: Vec<Script<'a>> = sources
        .files
        .iter()
        .filter(|file| USUAL.contains(&name(file)))
        .filter(|file| !sources.tree.has_file(&super::text::inside(parent(file), "__init__.py")))
        .filter_map(|file| {
            let module = sources.modules.get(file)?;
            Some(Script { file, line: module.main_guard?, port: port(module) })
        })
        .collect();
    usual(sources, &scripts).cloned()
}

fn name(file: &str) -> &str {
    file.rsplit('/').next().unwrap_or(file)
}

/// The only script without a guard that lies directly in the application's directory, is imported by no module and does
/// something by itself, or the only one of those with a usual name.
pub(super) fn unguarded<'a>(sources: &Sources<'a>) -> Option<Script<'a>> {
    usual(sources, &acting(sources)).cloned()
}

/// Those of them that no module imports.
pub(super) fn acting_alone<'a>(sources: &Sources<'a>) -> Vec<Script<'a>> {
    acting(sources).into_iter().filter(|script| !is_imported(sources, script.file)).collect()
}

fn acting<'a>(sources: &Sources<'a>) -> Vec<Script<'a>> {
    let acting = sources.files.iter().filter(|file| {
        let name = below(sources.directory, file);
        !name.contains('/') && name != "manage.py" && sources.tree.text(file).is_some_and(acts)
    });
    let port_of = |file: &str| sources.modules.get(file).and_then(|module| port(module));
    acting.map(|file| Script { file, line: 1, port: port_of(file) }).collect()
}

/// Whether a statement of a module itself is a call or a loop.
fn acts(text: &str) -> bool {
    text.lines().any(|line| {
        let name =
            line.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '.'))).next().unwrap_or_default();
        let called =
            line[name.len()..].starts_with('(') && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        called || line.starts_with("while ") || line.starts_with("await ")
    })
}

/// The script that speaks to a service as its client (`[facts.clients]`) and brings the only application object along, as
/// bots do that a platform wants to answer requests: it imports the object's module and not the object.
pub(super) fn client<'a>(
    sources: &Sources<'a>,
    candidates: &[Candidate<'a>],
    facts: &toml::Table,
) -> Option<Script<'a>> {
    let [only] = candidates else { return None };
    let clients = facts.get("clients").and_then(|clients| clients.get("modules")).and_then(toml::Value::as_array);
    let clients: Vec<&str> = clients.into_iter().flatten().filter_map(toml::Value::as_str).collect();
    let found = sources.importing(stem(only.file)).filter(|(file, module)| {
        let speaks =
            module.imports.all.iter().any(|name| clients.contains(&name.split('.').next().unwrap_or_default()));
        let located = || module.imports.names.values().filter_map(|dotted| sources.locate(dotted, file));
        let along = located().any(|(target, name)| target == only.file && name.as_ref() != Some(&only.name))
            && !located().any(|(target, name)| target == only.file && name.as_ref() == Some(&only.name));
        *file != only.file && !below(sources.directory, file).contains('/') && speaks && along
    });
    let scripts: Vec<Script<'a>> = found.map(|(file, module)| Script { file, line: 1, port: port(&module) }).collect();
    usual(sources, &scripts).cloned()
}

/// Scripts with a main guard that lie directly in the application's directory.
pub(super) fn guarded<'a>(sources: &Sources<'a>) -> Vec<Script<'a>> {
    let at_top = |file: &&&str| !below(sources.directory, file).contains('/');
    let scripts = sources.files.iter().filter(at_top).filter_map(|file| {
        let module = sources.modules.get(file)?;
        let name = below(sources.directory, file);
        let line = module.main_guard.filter(|_| name != "manage.py" && !packs(module))?;
        Some(Script { file, line, port: port(module) })
    });
    scripts.collect()
}

/// Whether a script makes distributions (`setup(…)` of setuptools and `cx_Freeze`), and is no application.
fn packs(module: &Module) -> bool {
    let makers = ["setuptools.setup", "distutils.core.setup", "cx_Freeze.setup", "skbuild.setup"];
    module.calls.iter().any(|call| makers.contains(&call.callee.dotted.as_str()))
}

/// Whether a module runs a server until it ends.
fn serves(module: &Module) -> bool {
    let runs = ["aiohttp.web.run_app", "uvicorn.run", "waitress.serve", "bottle.run", "hypercorn.asyncio.serve"];
    let called = |dotted: &str| runs.contains(&dotted) || dotted.rsplit('.').next() == Some("serve_forever");
    module.calls.iter().any(|call| called(&call.callee.dotted))
}

/// The page that an application of Streamlit or Chainlit begins with: it needs no guard, since `streamlit run` executes it.
pub(super) fn page<'a>(sources: &Sources<'a>, framework: &str) -> Option<Script<'a>> {
    let pages: Vec<&'a str> = sources.files.iter().copied().filter(|file| is_page(sources, file, framework)).collect();
    let names = ["streamlit_app.py", "chainlit_app.py", "app.py", "main.py", "Home.py", "home.py"];
    let conventional = names.iter().find_map(|name| pages.iter().find(|file| below(sources.directory, file) == *name));
    let top = || pages.iter().filter(|file| !below(sources.directory, file).contains('/'));
    let only = || top().next().filter(|_| top().count() == 1);
    if let Some(file) = conventional.or_else(only) {
        return Some(Script { file, line: 1, port: None });
    }
    let several = self::pages(sources, framework);
    several.first().filter(|_| several.len() == 1).cloned()
}

/// The modules directly in the application's directory that make a page and are no part of another one.
pub(super) fn pages<'a>(sources: &Sources<'a>, framework: &str) -> Vec<Script<'a>> {
    let own = |file: &&&str| {
        !below(sources.directory, file).contains('/')
            && is_page(sources, file, framework)
            && !is_imported(sources, file)
    };
    sources.files.iter().filter(own).map(|file| Script { file, line: 1, port: None }).collect()
}

/// Whether a module imports what pages are made of. Those in `pages/` belong to the one that starts (Streamlit, "Multipage apps").
pub(super) fn is_page(sources: &Sources<'_>, file: &str, framework: &str) -> bool {
    let imports = sources.modules.get(file).is_some_and(|module| module.imports.all.contains(framework));
    imports && !below(sources.directory, file).contains("pages/")
}

/// The `__main__` of the only package that has one, or of the only one that serves, or else the only module of a package with a
/// main guard.
pub(super) fn package<'a>(sources: &Sources<'a>) -> Option<Script<'a>> {
    let packaged = |file: &&&str| {
        let directory = file.rsplit_once('/').map(|(directory, _)| directory);
        directory.is_some_and(|directory| sources.tree.has_file(&format!("{directory}/__init__.py")))
    };
    let mains = || sources.files.iter().filter(packaged).filter(|file| file.ends_with("/__main__.py"));
    // Files come shallow ones first: a package's own `__main__` stands before those of its parts.
    let depth = mains().next().map(|file| file.matches('/').count());
    let shallow = || mains().filter(|file| Some(file.matches('/').count()) == depth);
    let serving = || shallow().filter(|file| sources.modules.get(*file).is_some_and(|module| serves(module)));
    let only = shallow().next().filter(|_| shallow().count() == 1);
    if let Some(file) = only.or_else(|| serving().next().filter(|_| serving().count() == 1)) {
        let module = sources.modules.get(file);
        return Some(Script {
            file,
            line: module.and_then(|m| m.main_guard).unwrap_or(1),
            port: module.and_then(|module| port(module)),
        });
    }
    let guarded = || {
        let scripts = sources.files.iter().filter(packaged).filter_map(|file| {
            let module = sources.modules.get(file)?;
            Some(Script { file, line: module.main_guard?, port: port(module) })
        });
        scripts.filter(|script| !is_imported(sources, script.file))
    };
    guarded().next().filter(|_| guarded().count() == 1)
}

fn started(module: &Module) -> Option<u32> {
    let starts = |dotted: &str| {
        dotted.starts_with("tornado.ioloop.IOLoop") && dotted.rsplit('.').next() == Some("start")
            || dotted == "asyncio.run"
    };
    module.calls.iter().find(|call| starts(&call.callee.dotted)).map(|call| call.line)
}

/// The port that a framework's own server takes where the call says none.
fn default(callee: &str) -> Option<&'static Argument> {
    match callee {
        "aiohttp.web.run_app" | "bottle.run" => Some(&Argument::Integer(8080)),
        "uvicorn.run" => Some(&Argument::Integer(8000)),
        _ => None,
    }
}

/// The port that a script's own call listens on.
pub(super) fn listens(tree: &SourceTree, path: &str) -> Option<Found<u16>> {
    let (port, line) = port(&*source::of(tree, path)?)?;
    Some(Found::new(port, Origin::file(path, Some(line), "the port listened on")))
}

/// The number in `.listen(8888)`, or the default of `define("port", default=8888)`.
fn port(module: &Module) -> Option<(u16, u32)> {
    module.calls.iter().find_map(|call| {
        let name = call.callee.dotted.rsplit('.').next().unwrap_or_default();
        let keyword = |key: &str| call.keywords.iter().find(|(name, _)| name == key).map(|(_, value)| value);
        // It is given a socket that somebody else has bound (aiohttp, `run_app`; uvicorn, "Settings").
        let given = ["sock", "path", "fd", "uds"].iter().any(|key| keyword(key).is_some());
        let argument = match (name, call.arguments.first()) {
            ("listen" | "bind", first) => first.or_else(|| keyword("port")),
            ("run" | "run_app", _) => keyword("port").or_else(|| default(&call.callee.dotted).filter(|_| !given)),
            ("define", Some(Argument::Text(option))) if option == "port" => keyword("default"),
            ("add_argument" | "option", _) if call.arguments.contains(&Argument::Text("--port".to_owned())) => {
                keyword("default")
            }
            _ => None,
        };
        match argument {
            Some(Argument::Integer(port)) => {
                u16::try_from(*port).ok().filter(|port| *port > 0).map(|port| (port, call.line))
            }
            _ => None,
        }
    })
}
