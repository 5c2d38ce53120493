//! The command that a project installs: `[project.scripts]` (entry points specification, `console_scripts`).

use serde_json::json;

use super::dependencies::Dependencies;
use super::entry::Entry;
use crate::model::failure::{Failure, FailureCode};
use crate::model::origin::{Decision, Found, Rejected};
use crate::toolchain::findings::Inspection;

/// The only command, or the one of several that has the project's or the application's name.
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
        several => {
            named(&dependencies.project).or_else(|| named(inspection.application)).ok_or_else(|| ambiguous(several))?
        }
    };
    let rejected = scripts.iter().filter(|script| *script != chosen).map(|script| Rejected {
        value: json!(script.value),
        origin: script.origin.clone(),
        why: "the other has the project's name".into(),
    });
    let decision = Decision {
        key: "entry".into(),
        value: json!(chosen.value),
        origin: chosen.origin.clone(),
        rejected: rejected.collect(),
    };
    Ok(Some(Entry {
        framework: "script",
        name: chosen.value.clone(),
        origin: chosen.origin.clone(),
        command: vec![chosen.value.clone()],
        served: None,
        image_env: std::collections::BTreeMap::new(),
        port: None,
        decisions: vec![decision],
        manage: None,
        collectstatic: false,
        for_production: None,
    }))
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
