//! What starts: chosen, and put into the findings.

use super::dependencies::Dependencies;
use super::layout::Sources;
use super::start::Entry;
use super::{command, companions, container, entry, entrypoint, server, uwsgi};
use crate::model::failure::{Failure, FailureCode};
use crate::model::origin::{Found, Origin};
use crate::toolchain::findings::{Findings, Inspection, Process};

/// A process of a `Procfile` that is a command of the project is what starts; Django's settings are needed all the same.
pub(super) fn own_process(
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
pub(super) fn starting(
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
pub(super) fn entry_script(
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

/// Puts what was found to start into the findings; the server that has to be installed for it.
pub(super) fn apply(
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
