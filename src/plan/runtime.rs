//! What a container is told: ports, user, hook, health.

use std::collections::BTreeMap;

use serde_json::json;

use super::template::{self, Context};
use super::{Facts, decided};
use crate::catalog::BaseImage;
use crate::model::failure::{Failure, FailureCode, Warning};
use crate::model::origin::{Decision, Origin, Rejected};
use crate::toolchain::definition::ImageDefinition;
use crate::toolchain::manifest::dockerfile::{places, says};

/// The user that images run as, where nobody states one.
const USER: &str = "10001";

/// The environment of the image: what the application needs by what was found, and what is stated, which wins.
pub(super) fn env(facts: &Facts<'_>, decisions: &mut Vec<Decision>) -> BTreeMap<String, String> {
    let stated = &facts.settings.value.runtime.env;
    let mut env = BTreeMap::new();
    for (key, found) in &facts.findings.image_env {
        let name = format!("runtime.env.{key}");
        let origin = facts.settings.origin(&name).unwrap_or(&found.origin).clone();
        let value = stated.get(key).unwrap_or(&found.value).clone();
        let mut decision = decided(&name, value.clone(), origin);
        if stated.contains_key(key) {
            let (value, origin) = (json!(found.value), found.origin.clone());
            decision.rejected.push(Rejected { value, origin, why: "what is stated wins".into() });
        }
        env.insert(key.clone(), value);
        decisions.push(decision);
    }
    for (key, value) in stated {
        env.entry(key.clone()).or_insert_with(|| value.clone());
    }
    env
}

/// The ports that the image exposes.
pub(super) fn ports(facts: &Facts<'_>, definition: &ImageDefinition, decisions: &mut Vec<Decision>) -> Vec<u16> {
    let (ports, origin) = match &facts.settings.value.runtime.ports {
        Some(ports) => (ports.clone(), facts.settings.origin("runtime.ports").cloned()),
        None if !facts.findings.ports.is_empty() => (
            facts.findings.ports.iter().map(|found| found.value).collect(),
            Some(facts.findings.ports[0].origin.clone()),
        ),
        None if facts.findings.silent.is_some() => (Vec::new(), facts.findings.silent.clone()),
        None => (definition.ports.clone(), None),
    };
    let origin =
        origin.unwrap_or_else(|| Origin::default(format!("{}'s usual port", facts.toolchain.definition.title)));
    if !ports.is_empty() || facts.findings.silent.is_some() {
        decisions.push(decided("runtime.ports", json!(ports), origin));
    }
    ports
}

/// Directories that outlive the container: those that are stated, else those of the repository's Dockerfile, although that
/// is not built, and those that the application is found to write to.
pub(super) fn volumes(facts: &Facts<'_>, decisions: &mut Vec<Decision>) -> Vec<String> {
    if let Some(stated) = &facts.settings.value.runtime.volumes {
        return stated.clone();
    }
    let path = places::of(facts.tree, facts.request.source.directory());
    let said = path.as_ref().and_then(|path| says::volumes(facts.tree.text(path)?));
    let said = said.filter(|(_, volumes)| !volumes.is_empty());
    let written = &facts.findings.volumes;
    let origin = match &said {
        Some((line, _)) => Some(Origin::file(path.unwrap_or_default(), Some(*line), "VOLUME")),
        None => written.first().map(|found| found.origin.clone()),
    };
    let mut volumes = said.map(|(_, volumes)| volumes).unwrap_or_default();
    for found in written.iter().filter(|found| found.value.starts_with('/')) {
        if !volumes.contains(&found.value) {
            volumes.push(found.value.clone());
        }
    }
    if let Some(origin) = origin {
        decisions.push(decided("runtime.volumes", json!(volumes), origin));
    }
    volumes
}

/// The number that the image runs as.
pub(super) fn user(facts: &Facts<'_>, decisions: &mut Vec<Decision>) -> Result<String, Failure> {
    let Some(user) = &facts.settings.value.runtime.user else { return Ok(USER.to_owned()) };
    let numeric = user.split(':').all(|part| part.parse::<u32>().is_ok()) && user.split(':').count() <= 2;
    if !numeric || user.split(':').next().is_some_and(|uid| uid.parse() == Ok(0u32)) {
        let message = format!("`runtime.user` is {user:?}: it must be a number above 0, or two as `UID:GID`");
        return Err(Failure::new(FailureCode::PlanInvalid, message).hint(format!("leave it out to run as `{USER}`")));
    }
    let origin = facts.settings.origin("runtime.user").cloned().unwrap_or_else(|| Origin::default("runtime.user"));
    decisions.push(decided("runtime.user", user.clone(), origin));
    Ok(user.clone())
}

/// Refuses a hook whose program the run image has not.
pub(super) fn hook_runs(hook: &[String], base_name: &str, base: &BaseImage) -> Result<(), Failure> {
    let program = hook.first().map_or("", String::as_str);
    let has = |name: &str| base.contains.iter().any(|there| there == name);
    let missing: Vec<_> = ["sh", program]
        .into_iter()
        .filter(|name| !(name.contains('/') || has(name) || *name == "sh" && has("shell")))
        .collect();
    if hook.is_empty() || missing.is_empty() {
        return Ok(());
    }
    let message = format!(
        "`runtime.before_start` runs {hook:?}, and the run image `{base_name}` has no `{}`",
        missing.join("`, no `")
    );
    Err(Failure::new(FailureCode::PlanInvalid, message)
        .hint("choose a run image that has it with `image.base`, or write the hook in the application's language"))
}

/// The run image's own probe, where somebody said which path answers.
pub(super) fn health(
    facts: &Facts<'_>,
    base: &BaseImage,
    port: Option<u16>,
    warnings: &mut Vec<Warning>,
) -> Result<Option<Vec<String>>, Failure> {
    let Some(path) = facts.settings.value.runtime.health.as_deref() else { return Ok(None) };
    let mut not_probed = |message: &str, hint: &str| warnings.push(Warning::new("health_not_probed", message, hint));
    let Some(port) = port else {
        not_probed("`runtime.health` is set and the application has no port", "set `runtime.ports`");
        return Ok(None);
    };
    if base.health.is_empty() {
        not_probed(
            "`runtime.health` is set and the run image is not known to have anything to probe with: the image gets no `HEALTHCHECK`",
            "let the platform probe the path over HTTP, or name the image in the catalogue with its `health` command",
        );
        return Ok(None);
    }
    let context = Context::of(json!({ "url": format!("http://127.0.0.1:{port}{path}") }))?;
    base.health.iter().map(|argument| template::text(argument, &context)).collect::<Result<_, _>>().map(Some)
}
