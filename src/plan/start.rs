//! How the application starts.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::template::{self, Context};
use super::{Facts, decided};
use crate::model::failure::{Failure, FailureCode};
use crate::model::origin::{Decision, Origin, Rejected};
use crate::toolchain::definition::ImageDefinition;

/// How the application starts.
pub(super) struct Start {
    pub(super) command: Vec<String>,
    /// Its arguments that a container's own replace.
    pub(super) arguments: Vec<String>,
    /// A script of the repository that is handed the command.
    pub(super) wrapper: Option<String>,
    /// The process that was chosen.
    pub(super) process: Option<String>,
}

/// Chooses the command: stated, of a named process, found by the reader, or the toolchain's own.
pub(super) fn start(
    facts: &Facts<'_>,
    definition: &ImageDefinition,
    context: &Context,
    decisions: &mut Vec<Decision>,
) -> Result<Start, Failure> {
    let settings = &facts.settings.value;
    let wrapper = facts.findings.variables.get("entrypoint").and_then(Value::as_str).map(str::to_owned);
    if let Some(command) = &settings.runtime.command {
        let origin =
            facts.settings.origin("runtime.command").cloned().unwrap_or_else(|| Origin::default("runtime.command"));
        decisions.push(decided("runtime.command", json!(command), origin));
        return Ok(Start {
            command: with_args(command.clone(), settings),
            arguments: Vec::new(),
            wrapper,
            process: settings.application.process.clone(),
        });
    }
    let mut processes: BTreeMap<&str, (Vec<String>, Origin)> = BTreeMap::new();
    for process in &facts.findings.processes {
        processes.insert(&process.name, (process.command.clone(), process.origin.clone()));
    }
    for (name, command) in &settings.processes {
        let key = format!("processes.{name}");
        let origin = facts.settings.origin(&key).cloned().unwrap_or_else(|| Origin::default(key));
        processes.insert(name, (command.clone(), origin));
    }
    let names: Vec<String> = processes.keys().map(|name| (*name).to_owned()).collect();
    let chosen = match (&settings.application.process, &names[..]) {
        (Some(wanted), _) if processes.contains_key(wanted.as_str()) => Some(wanted.clone()),
        (Some(wanted), _) => {
            return Err(Failure::new(FailureCode::PlanInvalid, format!("there is no process `{wanted}`"))
                .hint("set `application.process` to one of those that are named, or add it to the table `[processes]` of `slipway.toml`")
                .candidates(names));
        }
        (None, [only]) => Some(only.clone()),
        (None, several) if several.iter().any(|name| name == "web") => Some("web".to_owned()),
        (None, []) => None,
        (None, _) => {
            return Err(Failure::new(
                FailureCode::ProcessAmbiguous,
                format!("the repository has {} processes: {}", names.len(), names.join(", ")),
            )
            .hint(format!("choose one in `slipway.toml`: `[application]` `process = \"{}\"`", names[0]))
            .candidates(names));
        }
    };
    let found = chosen.as_deref().and_then(|name| processes.get(name));
    let command = match found {
        Some((command, _)) if !command.is_empty() => with_args(command.clone(), settings),
        _ => template::arguments(&definition.command, context)?,
    };
    if let Some((_, origin)) = found {
        let others = processes.iter().filter(|(name, _)| Some(**name) != chosen.as_deref());
        decisions.push(Decision {
            key: "runtime.command".into(),
            value: json!(command),
            origin: origin.clone(),
            rejected: others
                .map(|(name, (command, origin))| Rejected {
                    value: json!(command),
                    origin: origin.clone(),
                    why: format!("the process `{name}` is another one"),
                })
                .collect(),
        });
    }
    let stated = |name: &String| settings.processes.contains_key(name);
    let found = facts.findings.arguments.as_ref().filter(|_| settings.runtime.args.is_none());
    let found = found.filter(|_| chosen.as_ref().is_some_and(|name| !stated(name)));
    if let Some(found) = found {
        decisions.push(decided("runtime.args", json!(found.value), found.origin.clone()));
    }
    let arguments = found.map(|found| found.value.clone()).unwrap_or_default();
    Ok(Start { command, arguments, wrapper, process: chosen })
}

/// `runtime.args` follow a command that a person or a reader wrote; the toolchain's own places them itself.
fn with_args(mut command: Vec<String>, settings: &crate::model::settings::Settings) -> Vec<String> {
    command.extend(settings.runtime.args.clone().unwrap_or_default());
    command
}
