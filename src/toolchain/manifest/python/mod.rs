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
mod installing;
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
mod starting;
mod text;
mod undeclared;
mod uwsgi;
mod vendored;
mod version;
mod web;
mod worker;

#[cfg(test)]
mod tests;

use serde_json::json;

use self::companions::Constraints;
use self::dependencies::Dependencies;
use self::installing::{asked_for, files, installing, pinned};
use self::layout::Sources;
use self::start::Entry;
use self::starting::{apply, entry_script, own_process, starting};
use self::text::inside;
use self::web::{listening, path_of_procfile, port_of_web, server_of_procfile};
use crate::model::failure::Failure;
use crate::model::source_tree::parent;
use crate::toolchain::findings::{Findings, Inspection};

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

/// Processes beside the one that serves.
fn others(sources: &Sources<'_>, dependencies: &Dependencies, findings: &mut Findings) {
    if findings.processes.is_empty() {
        let (programs, warning) = several::programs(sources.tree, sources.directory);
        findings.processes.extend(programs);
        findings.warnings.extend(warning);
    }
    findings.processes.extend(celery::worker(sources, dependencies, &findings.processes));
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
