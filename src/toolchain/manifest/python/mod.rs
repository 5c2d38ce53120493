//! Reads Python repositories: what is installed, which release, what starts and behind which server.

#![allow(clippy::result_large_err, reason = "a `Failure` ends the planning; it is made once")]

mod application;
mod beside;
mod bound;
mod celery;
mod command;
mod companions;
mod complete;
mod container;
mod declared;
mod dependencies;
mod django;
mod dockerfile;
mod entry;
mod entrypoint;
mod extras;
mod floors;
mod given;
mod groups;
mod gunicorn;
mod identifiers;
mod imports;
mod ini;
mod install;
mod layout;
mod lines;
mod loads;
mod lock;
mod loopback;
mod marker;
mod module;
mod needed;
mod package;
mod paste;
mod pipfile;
mod port;
mod procfile;
mod pyproject;
mod requirement;
mod requirements;
mod script;
mod server;
mod serving;
mod setuptools;
mod several;
mod source;
mod specifier;
mod start;
mod text;
mod undeclared;
mod uwsgi;
mod vendored;
mod version;
mod worker;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use self::companions::Constraints;
use self::dependencies::Dependencies;
use self::layout::Sources;
use self::start::Entry;
use self::text::inside;
use crate::model::failure::{Failure, FailureCode};
use crate::model::origin::{Found, Origin};
use crate::model::source_tree::{SourceTree, parent};
use crate::toolchain::findings::{Findings, Inspection, Process};
use crate::toolchain::version::{Demand, Version};

/// Where commands see the locked distributions that are checked by hashes.
const LOCKED: &str = "/slipway/locked.txt";
/// Where commands see those that are not.
const UNLOCKED: &str = "/slipway/unlocked.txt";
/// Where commands see requirements without the hashes that they have.
const UNHASHED: &str = "/slipway/unhashed.txt";
/// Where pip reads which versions of distributions that nobody bounds it may take.
const CONSTRAINTS: &str = "/slipway/constraints.txt";

/// Reads a Python repository without running anything of it.
///
/// `variables`: `install` (`requirements`, `lock`, `project`, `dependencies`, `none`), `requirements_files` (for
/// `pip install -r`, relative to the application's directory), `requirements_inputs` (these and all they
/// include, relative to the repository's root), `dependencies` (requirements as arguments of pip, for
/// `install = "dependencies"`), `locked`, `unlocked` and `constrained` (whether there is such a file), `wheel` (whether the requirements do not name it), `given`, `extras`, `editable`, `package` (the project's own package is installed too), `server_requirement` (or null), `framework`, `entry` (or null),
/// `python_path` (or null), `settings`, `manage`, `collectstatic`, `entrypoint` (or null).
/// The shape is `django`, `flask`, `fastapi`, `pyramid`, `tornado`, `wsgi`, `asgi`, `script` or `library`.
///
/// # Errors
/// `manifest_invalid` and `source_unusable` for manifests, `application_ambiguous` and
/// `application_not_found` for what starts; each names the place and what settles it.
pub fn read(inspection: &Inspection<'_>) -> Result<Findings, Failure> {
    let (tree, directory) = (inspection.tree, inspection.directory);
    // Everything is asked for at once: a text that is missing costs another run of planning.
    let mut manifests: Vec<String> = dependencies::FILES.iter().map(|name| inside(directory, name)).collect();
    manifests.extend(
        ["pyproject.toml", "Procfile", ".flaskenv", "entrypoint.sh"].iter().map(|name| inside(directory, name)),
    );
    manifests.extend(version::FILES.iter().map(|name| inside(directory, name)));
    manifests.extend(lock::files(tree, directory));
    manifests.extend(dockerfile::files(tree, directory));
    manifests.extend(given::files(directory));
    let missing = |path: &str| tree.has_file(path) && tree.raw_text(path).is_none();
    let manifests_missing = manifests.iter().filter(|path| missing(path)).count();
    let sources = Sources::load(tree, directory, inspection.facts);
    let sources_missing = sources.files.iter().filter(|path| missing(path)).count();
    if manifests_missing + sources_missing > 0 {
        return Ok(Findings::default());
    }

    let (dependencies, pyproject) = dependencies::read(inspection)?;
    // A root with the settings of tools alone is no application; what lies below it may be one.
    if dependencies.install == "none" && pyproject.is_none() {
        undeclared::check(&sources, inspection.facts)?;
    }
    let (versions, version_warnings) = version::read(tree, directory, pyproject.as_ref())?;
    let suggestions = dockerfile::pythons(tree, directory);
    let asked = versions.iter().chain(&suggestions).find_map(asked_for);
    let constraints = Constraints::of(&dependencies, tree.revision.commit_time, asked, inspection.facts);
    let files = files(&dependencies, &constraints);
    let (processes, procfile_warnings) = procfile::read(tree, directory);
    let entrypoint = entrypoint::find(inspection);
    let unfit = || entrypoint::waits(inspection).or_else(|| entrypoint::changes_user(inspection));
    let unfit = entrypoint.as_ref().and_then(|_| unfit());
    let entrypoint = entrypoint.filter(|_| unfit.is_none());
    let chooses = entrypoint.is_some() && entrypoint::chooses(inspection);
    let starts = entrypoint.as_ref().filter(|_| !chooses && !entrypoint::hands_over(inspection));
    let stated_start = inspection.command_given || processes.iter().any(|p| p.name == "web") || starts.is_some();
    let mut findings = Findings {
        pinned: pinned(tree, &dependencies, &versions, constraints.aged),
        suggestions,
        limits: floors::limits(&dependencies, inspection.facts),
        include: needed::include(&sources),
        given: given::modules(tree, directory),
        files,
        versions,
        processes,
        ..Findings::default()
    };
    findings.warnings.extend(version_warnings.into_iter().chain(procfile_warnings));
    findings.warnings.extend(dependencies.warnings.iter().cloned());
    findings.warnings.extend(loads::missing(&dependencies, inspection.facts));
    findings.warnings.extend(entrypoint::unexecutable(inspection));
    findings.warnings.extend(unfit);
    findings.decisions.extend(dependencies.decisions.iter().cloned());
    findings.decisions.extend(constraints.decisions.iter().cloned());

    let entry =
        if inspection.library { None } else { starting(inspection, &sources, &dependencies, (stated_start, chooses))? };
    let entry = own_process(inspection, &findings, &dependencies, entry.as_ref()).or(entry);
    others(&sources, &dependencies, &mut findings);
    let mut server_requirement = None;
    findings.shape = match (&entry, inspection.library) {
        (_, true) => "library".to_owned(),
        (Some(entry), _) => entry.framework.to_owned(),
        (None, _) => "script".to_owned(),
    };
    if let Some(entry) = &entry {
        server_requirement = apply(entry, inspection, (&sources, &dependencies), &mut findings);
    }
    if let Some(web) = findings.processes.iter().find(|process| process.name == "web") {
        server_requirement = server_of_procfile(web, &dependencies, inspection.facts).or(server_requirement);
    }
    if let Some(path) = path_of_procfile(inspection, &findings) {
        findings.image_env.entry("PYTHONPATH".into()).or_insert(path);
    }
    for (name, value) in dockerfile::variables(&sources) {
        findings.image_env.entry(name).or_insert(value);
    }
    let alone = entry.as_ref().filter(|entry| entry.served.is_none());
    let usual = alone.and_then(|entry| listening(inspection, &sources, entry, &mut findings));
    port_of_web(inspection, &sources, (entry.as_ref(), usual), &mut findings);
    let script = entry_script(inspection, entrypoint, &mut findings);
    let also = beside::imported(&sources, &dependencies, inspection.facts);
    findings.variables.extend(installing(&dependencies, &constraints, &also));
    findings.variables.extend([
        ("given".to_owned(), json!(findings.given)),
        (
            "package".to_owned(),
            json!(dependencies.package || entry.as_ref().is_some_and(|e| e.installed && !dependencies.editable)),
        ),
        ("server_requirement".to_owned(), json!(server_requirement)),
        ("framework".to_owned(), json!(findings.shape)),
        ("entry".to_owned(), json!(entry.as_ref().map(|entry| &entry.name))),
        ("import_module".to_owned(), json!(entry.as_ref().and_then(Entry::imported))),
        ("import_path".to_owned(), json!(import_path(&findings, &sources))),
        ("own_package".to_owned(), json!(sources.package)),
        ("python_path".to_owned(), json!(findings.image_env.get("PYTHONPATH").map(|found| &found.value))),
        ("settings".to_owned(), json!(findings.image_env.get("DJANGO_SETTINGS_MODULE").map(|found| &found.value))),
        ("settings_for_production".to_owned(), json!(entry.as_ref().and_then(|entry| entry.for_production.as_deref()))),
        ("manage".to_owned(), json!(entry.as_ref().and_then(|entry| entry.manage.as_deref()))),
        ("collectstatic".to_owned(), json!(entry.as_ref().is_some_and(|entry| entry.collectstatic))),
        ("entrypoint".to_owned(), json!(script.map(|(path, _)| path))),
    ]);
    Ok(findings)
}

/// The one Python that a file asks for.
fn asked_for(found: &Found<Demand>) -> Option<&Version> {
    match &found.value {
        Demand::Exactly(version) => Some(version),
        _ => None,
    }
}

/// What commands see beside the repository: path to text.
fn files(dependencies: &Dependencies, constraints: &Constraints) -> BTreeMap<String, String> {
    let texts = [
        (LOCKED, &dependencies.locked),
        (UNLOCKED, &dependencies.unlocked),
        (UNHASHED, &dependencies.unhashed),
        (CONSTRAINTS, &constraints.lines),
    ];
    let there = texts.into_iter().filter(|(_, text)| !text.is_empty());
    there.map(|(path, text)| (path.to_owned(), text.clone())).collect()
}

/// Processes beside the one that serves.
fn others(sources: &Sources<'_>, dependencies: &Dependencies, findings: &mut Findings) {
    if findings.processes.is_empty() {
        let (programs, warning) = several::programs(sources.tree, sources.directory);
        findings.processes.extend(programs);
        findings.warnings.extend(warning);
    }
    findings.processes.extend(celery::worker(sources, dependencies, &findings.processes));
}

/// Lets what starts alone listen on all addresses, or says that it does not; the usual port of its framework.
fn listening(
    inspection: &Inspection<'_>,
    sources: &Sources<'_>,
    alone: &Entry,
    findings: &mut Findings,
) -> Option<Found<u16>> {
    let usual = loopback::open(inspection, sources, alone, findings);
    loopback::asked_for(sources, findings);
    findings.warnings.extend(loopback::fixed(inspection, alone));
    usual
}

/// How the dependencies are installed, for the steps' templates.
fn installing(dependencies: &Dependencies, constraints: &Constraints, also: &[String]) -> [(String, Value); 11] {
    // Elsewhere pip reads them from the manifest; URLs in it may hold what no plan should show.
    let also = || also.iter().map(String::as_str);
    let listed: Vec<&str> = match dependencies.install {
        "dependencies" => dependencies.list.iter().map(|requirement| requirement.text.as_str()).chain(also()).collect(),
        "requirements" | "project" => also().collect(),
        _ => Vec::new(),
    };
    [
        ("install".to_owned(), json!(dependencies.install)),
        ("requirements_files".to_owned(), json!(dependencies.files)),
        ("requirements_inputs".to_owned(), json!(dependencies.inputs)),
        ("dependencies".to_owned(), json!(listed)),
        ("hashed".to_owned(), json!(!dependencies.unhashed.is_empty())),
        ("locked".to_owned(), json!(!dependencies.locked.is_empty())),
        ("unlocked".to_owned(), json!(!dependencies.unlocked.is_empty())),
        ("wheel".to_owned(), json!(!dependencies.has("wheel"))),
        ("constrained".to_owned(), json!(!constraints.lines.is_empty())),
        ("extras".to_owned(), json!(dependencies.extras)),
        ("editable".to_owned(), json!(dependencies.editable)),
    ]
}

/// A process of a `Procfile` that is a command of the project is what starts; Django's settings are needed all the same.
fn own_process(
    inspection: &Inspection<'_>,
    findings: &Findings,
    dependencies: &Dependencies,
    entry: Option<&Entry>,
) -> Option<Entry> {
    let meant = inspection.module.is_none() && !inspection.library;
    let web = findings.processes.iter().find(|process| process.name == "web").filter(|_| meant)?;
    command::of_process(web, dependencies).filter(|_| entry.is_none_or(|entry| entry.framework != "django"))
}

/// What starts; where that is nothing, directories that usually hold examples are looked at too. A script that chooses what
/// it starts is the last resort.
fn starting(
    inspection: &Inspection<'_>,
    sources: &Sources<'_>,
    dependencies: &Dependencies,
    (stated_start, chooses): (bool, bool),
) -> Result<Option<Entry>, Failure> {
    match entry::find(inspection, sources, dependencies, stated_start) {
        Err(failure) if failure.code == FailureCode::ApplicationNotFound => {
            let wider =
                Sources::load_all(inspection.tree, inspection.directory, inspection.facts, sources.files.is_empty());
            let found = entry::find(inspection, &wider, dependencies, stated_start);
            // Where there is nothing but them, they are what there is to choose from.
            let told = |wider: Failure| if sources.files.is_empty() { wider } else { failure };
            found.or_else(|wider| if chooses { Ok(None) } else { Err(told(wider)) })
        }
        found => found,
    }
}

/// The script that runs before the application, with its place in the image; where nothing else starts, it is the
/// application.
fn entry_script(
    inspection: &Inspection<'_>,
    entrypoint: Option<Origin>,
    findings: &mut Findings,
) -> Option<(&'static str, Origin)> {
    let (path, origin) = ("/app/entrypoint.sh", entrypoint?);
    if findings.processes.is_empty() && !inspection.library && !inspection.command_given {
        findings.processes.push(Process { name: "web".into(), command: vec![path.to_owned()], origin });
        findings.warnings.extend(entrypoint::keeps_signals(inspection));
        return None;
    }
    if entrypoint::gives_on(inspection) && !inspection.command_given {
        findings.processes.retain(|process| process.name != "web");
        // It starts with the arguments that it says itself.
        findings.warnings.retain(|warning| warning.code != "arguments_left_out");
        findings.warnings.extend(entrypoint::keeps_signals(inspection));
        findings.processes.insert(0, Process { name: "web".into(), command: vec![path.to_owned()], origin });
        return None;
    }
    if entrypoint::chooses(inspection) {
        findings.warnings.push(entrypoint::left_alone(inspection));
        return None;
    }
    findings.warnings.extend(entrypoint::keeps_signals(inspection));
    Some((path, origin))
}

/// Where commands find the modules that are not imported from the application's directory itself.
fn import_path(findings: &Findings, sources: &Sources<'_>) -> Option<String> {
    let stated = findings.image_env.get("PYTHONPATH");
    let stated = stated.map(|found| found.value.replacen("/app", &workspace(sources.directory), 1));
    let above = sources.package.map(|_| workspace(parent(sources.directory)));
    let paths: Vec<String> = stated.into_iter().chain(above).collect();
    (!paths.is_empty()).then(|| paths.join(":"))
}

/// Where commands see the application's directory.
fn workspace(directory: &str) -> String {
    inside("/workspace", directory)
}

/// When the dependencies' versions were pinned: the last change of the files that pin them, or else the commit's time,
/// which also counts where nothing is pinned and the commit is older than versions that would break it (`aged`).
fn pinned(
    tree: &SourceTree,
    dependencies: &Dependencies,
    versions: &[Found<Demand>],
    aged: bool,
) -> Option<Found<i64>> {
    if versions.iter().any(|found| matches!(found.value, Demand::Exactly(_))) {
        return None;
    }
    let Some(pin) = dependencies.list.iter().find(|requirement| requirement.pinned) else {
        let origin = || Origin::default("dependencies without versions by the time of the commit");
        return tree.revision.commit_time.filter(|_| aged).map(|time| Found::new(time, origin()));
    };
    let path = pin.origin.path.as_deref()?;
    let files = dependencies.list.iter().filter(|r| r.pinned).filter_map(|r| r.origin.path.as_deref());
    let files: std::collections::BTreeSet<&str> = files.collect();
    let changed = files.into_iter().filter_map(|file| tree.changed(file)).max();
    let (time, detail) = match (changed, tree.revision.commit_time) {
        (Some(time), _) => (time, "versions pinned"),
        (None, Some(time)) => (time, "versions pinned by the time of the commit"),
        (None, None) => return None,
    };
    Some(Found::new(time, Origin::tree(path, detail)))
}

/// Puts what was found to start into the findings; the server that has to be installed for it.
fn apply(
    entry: &Entry,
    inspection: &Inspection<'_>,
    (sources, dependencies): (&Sources<'_>, &Dependencies),
    findings: &mut Findings,
) -> Option<String> {
    findings.decisions.extend(entry.decisions.iter().cloned());
    findings.warnings.extend(entry.warnings.iter().cloned());
    findings.image_env.extend(entry.image_env.clone());
    findings.ports.extend(entry.port.clone());
    if inspection.command_given || findings.processes.iter().any(|process| process.name == "web") {
        return None;
    }
    let mut requirement = entry.requirement.clone();
    let own = entry.served.and_then(|_| uwsgi::find(inspection.tree, inspection.directory, dependencies));
    findings.warnings.extend(own.iter().filter_map(|own| own.command.clone().err()));
    if let Some((command, own)) = own.and_then(|own| Some((own.command.clone().ok()?, own))) {
        findings.ports.extend(own.ports);
        findings.processes.insert(0, Process { name: "web".into(), command, origin: own.origin });
        return None;
    }
    let command = match entry.served {
        // It speaks ASGI since 19.6 (Sanic's change log).
        Some(_) if entry.framework == "sanic" && companions::before(dependencies, "sanic", "19.6") => {
            findings.ports.push(Found::new(server::PORT, Origin::default("the port that `sanic` is told")));
            server::of_sanic(&entry.name)
        }
        Some((factory, asgi)) => {
            let target = server::Target { entry: entry.name.trim_end_matches("()"), factory, asgi };
            let server = server::choose(target, dependencies, inspection.facts);
            findings.decisions.push(server.decision);
            let origin = Origin::default(format!("the port that `{}` is told", server.name));
            findings.ports.push(Found::new(server::PORT, origin));
            requirement = server.requirement;
            let mut command = server.command;
            if let Some(at) = command.iter().position(|word| word == "gunicorn") {
                let behind = command.split_off(at + 1);
                command.extend(container::options(sources, dependencies, asgi).into_iter().chain(behind));
            }
            command
        }
        None => entry.command.clone(),
    };
    let origin = entry.origin.clone();
    findings.processes.insert(0, Process { name: "web".into(), command, origin });
    requirement
}

/// A platform says the port as `PORT`; where nobody does, the image says what the plan says.
///
/// Processes of a `Procfile` read it, gunicorn by itself too, and so does a source that names the variable. One that speaks of
/// no `PORT`, in a repository without the word, listens where the Dockerfile says.
fn port_of_web(
    inspection: &Inspection<'_>,
    sources: &Sources<'_>,
    (entry, usual): (Option<&Entry>, Option<Found<u16>>),
    findings: &mut Findings,
) {
    let Some(web) = findings.processes.iter().find(|process| process.name == "web") else { return };
    let stated = web.origin.path.as_deref() == Some(inside(inspection.directory, "Procfile").as_str());
    let of_process = || Origin { detail: "the port that the process listens on".into(), ..web.origin.clone() };
    let bound = bound::port(web).map(|port| Found::new(port, of_process()));
    let bound = bound.or_else(|| gunicorn::port(inspection.tree, inspection.directory, web).filter(|_| stated));
    findings.warnings.extend(gunicorn::leaves(inspection.tree, inspection.directory, web));
    if let Some(port) = bound.filter(|_| stated || findings.ports.is_empty()) {
        findings.ports = vec![port];
    }
    let told = || web.command.iter().any(|word| word.contains("PORT") || word.contains("gunicorn"));
    let reads = stated && told() || sources.any_text("\"PORT\"") || sources.any_text("'PORT'");
    let read = || Found::new(server::PORT, Origin::default("the port that processes read from `PORT`"));
    if findings.ports.is_empty() && reads {
        findings.ports.push(read());
    }
    if findings.ports.is_empty() {
        findings.ports.extend(dockerfile::exposed(inspection.tree, inspection.directory));
    }
    if findings.ports.is_empty() && stated {
        findings.ports.push(read());
    }
    let script = entry.filter(|entry| entry.served.is_none() && web.origin == entry.origin);
    if let Some(script) = script.filter(|_| findings.ports.is_empty()) {
        let path = inside(inspection.directory, &script.name);
        findings.ports.extend(script::listens(inspection.tree, &path));
    }
    if let Some(script) = script.filter(|_| findings.ports.is_empty()) {
        findings.ports.extend(port::stated(sources, &inside(inspection.directory, &script.name), inspection.facts));
        let module = script.module.as_deref().filter(|_| script.installed);
        let module = module.and_then(|module| sources.locate(module, &inside(inspection.directory, "x.py")));
        if let Some((file, _)) = module.filter(|_| findings.ports.is_empty()) {
            findings.ports.extend(port::of_command(sources, &file, inspection.facts));
        }
        if findings.ports.is_empty() {
            findings.ports.extend(usual);
        }
    }
    if let Some(port) = findings.ports.first() {
        findings.image_env.insert("PORT".into(), Found::new(port.value.to_string(), port.origin.clone()));
    }
}

/// What a `Procfile` starts finds the modules of the application's directory: the platform that such files are written for puts
/// it on the import path (Heroku's buildpack: `PYTHONPATH=$HOME`). Programs such as `invoke` do not look there by themselves.
fn path_of_procfile(inspection: &Inspection<'_>, findings: &Findings) -> Option<Found<String>> {
    let file = inside(inspection.directory, "Procfile");
    let of_file = |process: &&Process| process.origin.path.as_deref() == Some(file.as_str());
    let process = findings.processes.iter().find(of_file)?;
    Some(Found::new("/app".to_owned(), process.origin.clone()))
}

/// A `Procfile` may name a server that the requirements do not.
fn server_of_procfile(web: &Process, dependencies: &Dependencies, facts: &toml::Table) -> Option<String> {
    let words = match &web.command[..] {
        [sh, flag, script] if sh == "sh" && flag == "-c" => script.split_whitespace().collect::<Vec<_>>(),
        words => words.iter().map(String::as_str).collect(),
    };
    let program = words.iter().find(|word| **word != "exec")?;
    let known = matches!(*program, "gunicorn" | "uvicorn");
    let needed = known && web.origin.path.is_some() && web.origin.detail == "web" && !dependencies.may_have(program);
    let pinned = needed.then(|| server::pinned(program, facts))?;
    // Gunicorn's extras have the names of its workers (its documentation, "worker_class").
    let worker = words.iter().find_map(|word| ["gevent", "eventlet", "tornado"].into_iter().find(|kind| word == kind));
    match worker.filter(|_| *program == "gunicorn") {
        Some(worker) => Some(pinned.replacen("gunicorn", &format!("gunicorn[{worker}]"), 1)),
        None => Some(pinned),
    }
}
