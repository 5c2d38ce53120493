//! The process that serves: its port, what it finds modules by, and the server that it wants.

use super::dependencies::Dependencies;
use super::layout::Sources;
use super::start::Entry;
use super::text::inside;
use super::{bound, dockerfile, gunicorn, loopback, port, script, server};
use crate::model::origin::{Found, Origin};
use crate::toolchain::findings::{Findings, Inspection, Process};

/// Lets what starts alone listen on all addresses, or says that it does not; the usual port of its framework.
pub(super) fn listening(
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

/// A platform says the port as `PORT`; where nobody does, the image says what the plan says.
///
/// Processes of a `Procfile` read it, gunicorn by itself too, and so does a source that names the variable. One that speaks of
/// no `PORT`, in a repository without the word, listens where the Dockerfile says.
pub(super) fn port_of_web(
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
pub(super) fn path_of_procfile(inspection: &Inspection<'_>, findings: &Findings) -> Option<Found<String>> {
    let file = inside(inspection.directory, "Procfile");
    let of_file = |process: &&Process| process.origin.path.as_deref() == Some(file.as_str());
    let process = findings.processes.iter().find(of_file)?;
    Some(Found::new("/app".to_owned(), process.origin.clone()))
}

/// A `Procfile` may name a server that the requirements do not.
pub(super) fn server_of_procfile(web: &Process, dependencies: &Dependencies, facts: &toml::Table) -> Option<String> {
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
