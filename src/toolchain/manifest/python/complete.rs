//! Objects that are not whole where they are made: other modules add their pages, and a server has to import those too.

use std::collections::{BTreeSet, VecDeque};

use super::application::Candidate;
use super::command;
use super::dependencies::Dependencies;
use super::imports;
use super::layout::Sources;
use super::module::{Module, Value};
use super::script::{self, Script};
use super::source;
use super::start::Entry;
use super::text::inside;
use crate::model::source_tree::parent;
use crate::toolchain::findings::Inspection;

/// What adds to an application: routes, parts, and Flask's and `FastAPI`'s decorators for them.
const ADDING: [&str; 13] = [
    "route",
    "get",
    "post",
    "put",
    "delete",
    "patch",
    "websocket",
    "add_url_rule",
    "register_blueprint",
    "include_router",
    "add_route",
    "add_api_route",
    "mount",
];
/// More modules than are worth a look, and more names that one of them gives what a factory makes.
const MAX_MODULES: usize = 200;
const MAX_NAMES: usize = 20;

/// The module that imports the object with all that is added to it, where the object's own module does not: it is what
/// `flask run` and servers are given in such a repository (Flask, "Larger Applications as Packages").
pub(super) fn whole<'a>(sources: &Sources<'a>, chosen: &Candidate<'a>) -> Option<Candidate<'a>> {
    let adding: BTreeSet<&str> = modules(sources, &format!("{}.", chosen.name))
        .filter(|(file, module)| *file != chosen.file && adds(sources, file, module, chosen))
        .map(|(file, _)| file)
        .collect();
    if chosen.factory || adding.is_empty() || reaches(sources, chosen.file, &adding) {
        return None;
    }
    let importing: Vec<(&str, String)> = modules(sources, &chosen.name)
        .filter(|(file, module)| *file != chosen.file && !runs(module))
        .filter_map(|(file, module)| Some((file, local_name(sources, file, &module, chosen)?)))
        .filter(|(file, _)| reaches(sources, file, &adding))
        .collect();
    // What another of them imports is a part of it.
    let inner = |file: &str| {
        importing.iter().any(|(other, _)| *other != file && reaches(sources, other, &BTreeSet::from([file])))
    };
    let mut outer = importing.iter().filter(|(file, _)| !inner(file));
    let (file, name) = outer.next().filter(|_| outer.next().is_none())?;
    let file = sources.files.iter().copied().find(|known| known == file)?;
    let (root, module) = sources.import_name(file);
    Some(Candidate { file, name: name.clone(), line: 1, root, module, ..chosen.clone() })
}

/// The only script that starts what a function makes whole: it calls the factory, adds to what it gives, and serves that
/// by itself, so that no server can import it.
pub(super) fn started<'a>(sources: &Sources<'a>, chosen: &Candidate<'a>, all: &[Candidate<'a>]) -> Option<Script<'a>> {
    let finishing = finishing(sources, chosen, all)?;
    let mut scripts = script::guarded(sources).into_iter().filter(|script| reaches(sources, script.file, &finishing));
    scripts.next().filter(|_| scripts.next().is_none())
}

/// The command of the project's that does the same: a server that was given what the factory makes would lack it.
pub(super) fn commanded<'a>(
    inspection: &Inspection<'_>,
    sources: &Sources<'a>,
    dependencies: &Dependencies,
    (chosen, all): (&Candidate<'a>, &[Candidate<'a>]),
) -> Option<Entry> {
    let entry = command::find(inspection, dependencies).ok().flatten()?;
    let from = inside(sources.directory, "setup.py");
    let (file, _) = sources.locate(entry.module.as_deref()?, &from).filter(|(_, rest)| rest.is_none())?;
    let serves =
        source::of(sources.tree, &file)?.calls.iter().any(|call| call.callee.dotted.rsplit('.').next() == Some("run"));
    finishing(sources, chosen, all).filter(|found| serves && found.contains(file.as_str())).map(|_| entry)
}

/// The modules that make the object whole where its own module does not import them.
fn finishing<'a>(sources: &Sources<'a>, chosen: &Candidate<'a>, all: &[Candidate<'a>]) -> Option<BTreeSet<&'a str>> {
    let mut factories: Vec<Candidate<'a>> =
        all.iter().filter(|c| c.factory && c.file == chosen.file).cloned().collect();
    // One that gives the module's own object is no other application.
    let own = source::of(sources.tree, chosen.file)?;
    let gives = own.functions.iter().filter(|function| {
        function.returns.iter().any(|value| matches!(value, Value::Name(name) if name.dotted == chosen.name))
    });
    factories.extend(gives.map(|function| Candidate { name: function.name.clone(), factory: true, ..chosen.clone() }));
    let finishing: BTreeSet<&str> = factories
        .iter()
        .flat_map(|factory| modules(sources, &factory.name))
        .filter(|(file, module)| *file != chosen.file && factories.iter().any(|f| finishes(sources, file, module, f)))
        .map(|(file, _)| file)
        .collect();
    (!finishing.is_empty() && !reaches(sources, chosen.file, &finishing)).then_some(finishing)
}

/// Modules with these characters, parsed.
fn modules<'s, 'a>(
    sources: &'s Sources<'a>,
    characters: &str,
) -> impl Iterator<Item = (&'a str, std::sync::Arc<Module>)> + use<'s, 'a> {
    let characters = characters.to_owned();
    let named = sources.files.iter().copied().filter(move |file| {
        let text = sources.tree.text(file).unwrap_or_default();
        text.contains(&characters) && text.contains("import")
    });
    named.take(MAX_MODULES).filter_map(|file| Some((file, source::of(sources.tree, file)?)))
}

/// Whether a module imports the object and adds to it.
fn adds(sources: &Sources<'_>, file: &str, module: &Module, object: &Candidate<'_>) -> bool {
    let owners: BTreeSet<&str> = module
        .calls
        .iter()
        .filter_map(|call| call.callee.dotted.rsplit_once('.').filter(|_| call.callee.imported))
        .filter(|(_, method)| ADDING.contains(method))
        .map(|(owner, _)| owner)
        .collect();
    owners.iter().any(|owner| leads_to(sources, file, owner, object, 0))
}

/// Whether a function of the module calls the factory and adds to what that gives.
fn finishes(sources: &Sources<'_>, file: &str, module: &Module, factory: &Candidate<'_>) -> bool {
    let made = module.functions.iter().flat_map(|function| &function.assignments).filter(|assignment| {
        matches!(&assignment.value, Value::Call(callee)
            if callee.imported && leads_to(sources, file, &callee.dotted, factory, 0))
    });
    let names: BTreeSet<&str> = made.map(|assignment| assignment.target.as_str()).take(MAX_NAMES).collect();
    // Flask's hooks are decorators without arguments (`@app.before_request`).
    let text = sources.tree.text(file).unwrap_or_default();
    if names.iter().any(|name| text.contains(&format!("@{name}."))) {
        return true;
    }
    module.calls.iter().any(|call| {
        call.callee
            .dotted
            .rsplit_once('.')
            .is_some_and(|(owner, method)| names.contains(owner) && ADDING.contains(&method))
    })
}

/// The name by which a module has the object.
fn local_name(sources: &Sources<'_>, file: &str, module: &Module, object: &Candidate<'_>) -> Option<String> {
    let found = module.imports.names.iter().find(|(_, dotted)| leads_to(sources, file, dotted, object, 0));
    found.map(|(local, _)| local.clone())
}

/// Whether a dotted name is this object, through modules that pass it on.
fn leads_to(sources: &Sources<'_>, from: &str, dotted: &str, object: &Candidate<'_>, hops: usize) -> bool {
    let Some((file, Some(name))) = sources.locate(dotted, from) else { return false };
    if file == object.file {
        return name == object.name;
    }
    let passed = || imports::of(sources.tree, &file)?.names.get(&name).cloned();
    hops < 4 && passed().is_some_and(|dotted| leads_to(sources, &file, &dotted, object, hops + 1))
}

/// Whether importing the module would start the application and not return.
fn runs(module: &Module) -> bool {
    let run = |dotted: &str| matches!(dotted.rsplit('.').next(), Some("run" | "run_app" | "serve_forever"));
    module.main_guard.is_none() && module.calls.iter().any(|call| run(&call.callee.dotted))
}

/// Whether the imports of a module lead to all of these.
fn reaches(sources: &Sources<'_>, from: &str, all: &BTreeSet<&str>) -> bool {
    let (mut missing, mut seen) = (all.clone(), BTreeSet::from([from.to_owned()]));
    let mut open = VecDeque::from([from.to_owned()]);
    while let Some(file) = open.pop_front() {
        missing.remove(file.as_str());
        if missing.is_empty() {
            return true;
        }
        let Some(imports) = imports::of(sources.tree, &file).filter(|_| seen.len() < MAX_MODULES) else { continue };
        let stars = imports.stars.iter().map(String::as_str);
        for dotted in imports.all.iter().map(String::as_str).chain(stars) {
            let Some((target, _)) = sources.locate(dotted, &file) else { continue };
            // A package is imported before what lies in it.
            let package = inside(parent(&target), "__init__.py");
            let package = Some(package).filter(|package| sources.tree.has_file(package));
            open.extend([Some(target), package].into_iter().flatten().filter(|next| seen.insert(next.clone())));
        }
    }
    false
}
