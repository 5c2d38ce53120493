//! The command that a project installs: `[project.scripts]`, and `console_scripts` of setuptools (entry points specification).

use serde_json::json;

use super::dependencies::Dependencies;
use super::start::Entry;
use crate::model::failure::{Failure, FailureCode};
use crate::model::origin::{Found, Rejected};
use crate::toolchain::findings::Inspection;

/// The only command, or the one of several that has the project's or the application's name. `setup.py` often installs tools
/// beside an application: there none of several may be it.
///
/// # Errors
/// `application_ambiguous`.
pub(super) fn find(inspection: &Inspection<'_>, dependencies: &Dependencies) -> Result<Option<Entry>, Failure> {
    let scripts = &dependencies.scripts;
    let plain = |name: &str| name.to_lowercase().replace(['-', '.'], "_");
    let named = |wanted: &str| scripts.iter().find(|script| plain(&script.value) == plain(wanted));
    let chosen = match &scripts[..] {
        [] => return Ok(None),
        [only] => only,
        several => match named(&dependencies.project).or_else(|| named(inspection.application)) {
            Some(found) => found,
            None if several.iter().any(of_setuptools) => return Ok(None),
            None => return Err(ambiguous(several)),
        },
    };
    let rejected = scripts.iter().filter(|script| *script != chosen).map(|script| Rejected {
        value: json!(script.value),
        origin: script.origin.clone(),
        why: "the other has the project's name".into(),
    });
    let command = vec![chosen.value.clone()];
    let entry = Entry::new("script", chosen.value.clone(), chosen.origin.clone());
    Ok(Some(Entry { command, ..entry.decided(rejected.collect()) }))
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
