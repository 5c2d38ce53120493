//! The toolchain's commands for this build.

use std::collections::BTreeMap;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::Facts;
use super::template::{self, Context};
use crate::model::failure::{Failure, FailureCode, Step, Warning};
use crate::model::plan::{
    Offline, PlannedArtifact, PlannedHost, PlannedLibrary, PlannedSecretFile, PlannedStep, WORKSPACE,
};
use crate::model::settings::Kind;
use crate::model::source_tree::join;
use crate::toolchain::definition::{Definition, SecretFile, StepDefinition};

/// The commands, in order.
///
/// `run_image` is the image that the application will run in; none for a library.
pub(super) fn steps(
    facts: &Facts<'_>,
    context: &Context,
    run_image: Option<&str>,
) -> Result<Vec<PlannedStep>, Failure> {
    let definition = &facts.toolchain.definition;
    let mut steps = Vec::new();
    for step in &definition.steps {
        if step.in_run_image && run_image.is_none() || !template::holds(step.condition.as_deref(), context)? {
            continue;
        }
        let mut env = template::map(&definition.env, context)?;
        if let Some(release) = facts.release.release {
            env.extend(template::map(&release.env, context)?);
        }
        env.extend(template::map(&step.env, context)?);
        env.retain(|_, value| !value.is_empty());
        let variable = |name: &str| format!("{}_HOME", name.to_uppercase().replace(['-', '.'], "_"));
        env.extend(facts.extras.planned.iter().map(|extra| (variable(&extra.name), extra.home.clone())));
        env.extend(facts.settings.value.toolchain.env.clone());
        let laid_out = definition.image.as_ref().filter(|_| step.step == Step::Dockerfile);
        if laid_out.is_some() {
            env.extend(facts.settings.value.runtime.env.clone());
        }
        steps.push(PlannedStep {
            step: step.step,
            command: template::arguments(&step.command, context)?,
            image: run_image.filter(|_| step.in_run_image).map(str::to_owned),
            workdir: match laid_out {
                Some(image) => image.workdir.clone(),
                None => workdir(step.workdir.as_deref(), facts, context)?,
            },
            env,
            network: step.network,
            caches: definition.caches.clone(),
            may_fail: step.may_fail,
            seconds: step.seconds,
            offline: offline(step, facts, context)?,
        });
    }
    Ok(steps)
}

/// Where machines have the release.
pub(super) fn host(facts: &Facts<'_>) -> Option<PlannedHost> {
    let (definition, release) = (&facts.toolchain.definition, facts.release.release?);
    // Where commands run in another release's image, the own one is among the extras.
    let own = facts.extras.home.is_empty();
    Some(PlannedHost {
        version: release.version.to_string(),
        aliases: release.aliases.clone(),
        home: definition.extra.as_ref().filter(|_| own).map(|extra| extra.home.clone()),
        host: definition.host.clone()?,
    })
}

/// Versions of further tools.
pub(super) fn tools(facts: &Facts<'_>, context: &Context) -> Result<BTreeMap<String, String>, Failure> {
    let mut tools = template::map(&facts.toolchain.definition.tools, context)?;
    tools.retain(|_, version| !version.is_empty());
    Ok(tools)
}

/// What the toolchain's data warns of.
pub(super) fn warnings(facts: &Facts<'_>, context: &Context) -> Result<Vec<Warning>, Failure> {
    let mut warnings = Vec::new();
    for warning in &facts.toolchain.definition.warnings {
        if template::holds(Some(&warning.condition), context)? {
            let message = template::text(&warning.message, context)?;
            warnings.push(Warning::new(&warning.code, message, warning.hint.as_str()));
        }
    }
    Ok(warnings)
}

/// What is said of failures.
pub(super) fn hints(facts: &Facts<'_>, context: &Context) -> Result<Vec<(Vec<String>, String)>, Failure> {
    let definitions = &facts.toolchain.definition.hints;
    let rendered = definitions.iter().map(|hint| Ok((hint.says.clone(), template::text(&hint.hint, context)?)));
    let mut hints = rendered.collect::<Result<Vec<_>, Failure>>()?;
    hints.retain(|(_, hint)| !hint.is_empty());
    Ok(hints)
}

/// What a library deploys.
pub(super) fn library(facts: &Facts<'_>, context: &Context) -> Result<Option<PlannedLibrary>, Failure> {
    let definition = facts.toolchain.definition.library.as_ref();
    let Some(library) = definition.filter(|_| facts.request.kind == Kind::Library) else { return Ok(None) };
    Ok(Some(PlannedLibrary {
        coordinates: template::text(&library.coordinates, context)?,
        repository: template::text(&library.repository, context)?,
    }))
}

/// Files with credentials.
pub(super) fn secret_files(definition: &Definition) -> BTreeMap<String, PlannedSecretFile> {
    let planned = |file: &SecretFile| PlannedSecretFile {
        step: file.step,
        settings: file.settings.clone(),
        escape: file.escape,
        text: file.text.clone(),
    };
    definition.secret_files.iter().map(|(target, file)| (target.clone(), planned(file))).collect()
}

/// What the commands leave behind.
pub(super) fn artifact(facts: &Facts<'_>, context: &Context) -> Result<Option<PlannedArtifact>, Failure> {
    let Some(definition) = &facts.toolchain.definition.artifact else { return Ok(None) };
    let directory = template::text(&definition.directory, context)?;
    let directory = join("", &directory).ok_or_else(|| outside(&directory))?;
    let known = |name: &str| facts.findings.variables.get(name).and_then(Value::as_str).map(str::to_owned);
    let files = facts.findings.variables.get("files").and_then(|files| serde_json::from_value(files.clone()).ok());
    Ok(Some(PlannedArtifact {
        directory,
        main_class: known("main_class"),
        final_name: known("final_name"),
        context_root: known("context_root"),
        files: files.unwrap_or_default(),
    }))
}

fn outside(directory: &str) -> Failure {
    Failure::new(FailureCode::RequestInvalid, format!("the directory `{directory}` lies outside the repository"))
}

/// The key changes with every manifest's text, so a cache that has resolved it has all it needs.
fn offline(step: &StepDefinition, facts: &Facts<'_>, context: &Context) -> Result<Option<Offline>, Failure> {
    let Some(offline) = &step.offline else { return Ok(None) };
    if template::holds(Some(&offline.unless), context)? {
        return Ok(None);
    }
    let mut hash = Sha256::new();
    for (path, _) in facts.tree.entries() {
        let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
        if offline.files.iter().any(|wanted| wanted == name) {
            hash.update(path.as_bytes());
            hash.update([0]);
            hash.update(facts.tree.text(path).unwrap_or_default().as_bytes());
            hash.update([0]);
        }
    }
    // Each command resolves what is its own.
    let command = &step.command;
    hash.update(
        format!(
            "{:?} {:?} {} {command:?}",
            facts.release.version, facts.settings.value.toolchain.args, context.values["deploy"]
        )
        .as_bytes(),
    );
    Ok(Some(Offline {
        args: offline.args.clone(),
        key: hex::encode(hash.finalize()),
        missing: offline.missing.clone(),
    }))
}

fn workdir(template: Option<&str>, facts: &Facts<'_>, context: &Context) -> Result<String, Failure> {
    let directory = match template {
        Some(template) => template::text(template, context)?,
        None => facts.request.source.directory().to_owned(),
    };
    let inside = join("", &directory).ok_or_else(|| outside(&directory))?;
    Ok(if inside.is_empty() { WORKSPACE.to_owned() } else { format!("{WORKSPACE}/{inside}") })
}
