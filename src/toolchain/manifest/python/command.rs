//! The command that a project installs: `[project.scripts]`, and `console_scripts` of setuptools (entry points specification).

use serde_json::json;

use super::dependencies::Dependencies;
use super::start::Entry;
use crate::model::failure::{Failure, FailureCode};
use crate::model::origin::{Found, Rejected};
use crate::toolchain::findings::{Inspection, Process};

/// The only command, or the one of several that has the project's, the application's or its own package's name (`shop` in
/// `shop.cli:main`). `setup.py` often installs tools beside an application: there none of several may be it.
///
/// # Errors
/// `application_ambiguous`.
pub(super) fn find(inspection: &Inspection<'_>, dependencies: &Dependencies) -> Result<Option<Entry>, Failure> {
    let scripts = &dependencies.scripts;
    let named = |wanted: &str| scripts.iter().find(|script| plain(&script.value) == plain(wanted));
    let package = |script: &&Found<String>| {
        let target = dependencies.targets.get(&script.value).map_or("", String::as_str);
        plain(target.split(['.', ':']).next().unwrap_or_default()) == plain(&script.value)
    };
    let of_package = || {
        let mut found = scripts.iter().filter(package);
        found.next().filter(|_| found.next().is_none())
    };
    let by_name = named(&dependencies.project).or_else(|| named(inspection.application));
    let chosen = match &scripts[..] {
        [] => return Ok(None),
        [only] => only,
        several => match by_name.or_else(of_package) {
            Some(found) => found,
            None if several.iter().any(of_setuptools) => return Ok(None),
            None => return Err(ambiguous(several)),
        },
    };
    let rejected = scripts.iter().filter(|script| *script != chosen).map(|script| Rejected {
        value: json!(script.value),
        origin: script.origin.clone(),
        why: if by_name.is_some() { "the other has the project's name" } else { "the other has its package's name" }
            .into(),
    });
    Ok(Some(entry(chosen, dependencies).decided(rejected.collect())))
}

/// A command of the project that a process of a `Procfile` runs: what has to be there is what it calls.
pub(super) fn of_process(process: &Process, dependencies: &Dependencies) -> Option<Entry> {
    let program = process.command.iter().flat_map(|word| word.split_whitespace());
    let program =
        program.into_iter().find(|word| !["sh", "-c", "exec", "env"].contains(word) && !word.contains('='))?;
    let script = dependencies.scripts.iter().find(|script| script.value == program)?;
    Some(entry(script, dependencies).decided(Vec::new()))
}

/// What a command starts; the project has to be installed for it.
fn entry(script: &Found<String>, dependencies: &Dependencies) -> Entry {
    Entry {
        command: vec![script.value.clone()],
        installed: true,
        module: module(dependencies, &script.value),
        ..Entry::new("script", script.value.clone(), script.origin.clone())
    }
}

/// The module of what a command calls.
pub(super) fn module(dependencies: &Dependencies, command: &str) -> Option<String> {
    let module = dependencies.targets.get(command)?.split([':', '[']).next()?.trim();
    Some(module.to_owned()).filter(|module| !module.is_empty())
}

pub(super) fn plain(name: &str) -> String {
    name.to_lowercase().replace(['-', '.'], "_")
}

fn of_setuptools(script: &Found<String>) -> bool {
    script.origin.path.as_deref().is_some_and(|path| path.rsplit('/').next() != Some("pyproject.toml"))
}

fn ambiguous(scripts: &[Found<String>]) -> Failure {
    let message = format!("The project installs {} commands, and any could be the application.", scripts.len());
    let hint = format!("Choose one in `slipway.toml`: `[runtime]` `command = [\"{}\"]`.", scripts[0].value);
    let failure = Failure::new(FailureCode::ApplicationAmbiguous, message).hint(hint);
    let failure = failure.candidates(scripts.iter().map(|script| script.value.clone()));
    scripts
        .iter()
        .fold(failure, |failure, script| failure.at(script.origin.path.clone().unwrap_or_default(), script.origin.line))
}
