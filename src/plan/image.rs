//! The image: its base, how it starts, its environment, its layers and its Dockerfile.

use std::collections::BTreeMap;

use serde_json::json;

use super::template::{self, Context};
use super::{Facts, base, layers, own_dockerfile, runtime, start};
use crate::catalog::BaseImage;
use crate::model::failure::{Failure, FailureCode, Warning};
use crate::model::origin::Decision;
use crate::model::plan::{BEFORE_START, LayerSource, PlannedImage, PlannedLayer};
use crate::model::request::BuildRequest;

/// What planning an image gives.
pub(super) struct Made {
    pub(super) image: PlannedImage,
    pub(super) dockerfile: String,
    pub(super) process: Option<String>,
    /// Every image that the Dockerfile starts from.
    pub(super) bases: Vec<String>,
}

/// Decides the image of a service.
pub(super) fn image(
    facts: &Facts<'_>,
    context: &Context,
    decisions: &mut Vec<Decision>,
    warnings: &mut Vec<Warning>,
) -> Result<Made, Failure> {
    nameable(facts.request)?;
    let Some(definition) = &facts.toolchain.definition.image else { return own_dockerfile::made(facts, decisions) };
    let (base_name, base) = base::run_image(facts, decisions)?;
    let start = start::start(facts, definition, context, decisions)?;
    let settings = &facts.settings.value.runtime;
    if start.command.is_empty() {
        return Err(Failure::new(FailureCode::ApplicationNotFound, "nothing says how the application starts")
            .hint("say it in `slipway.toml`: `[runtime]` `command = [\"…\"]`"));
    }
    let mut env = template::map(&definition.env, context)?;
    env.extend(runtime::env(facts, decisions));
    let ports = runtime::ports(facts, definition, decisions);
    let user = runtime::user(facts, decisions)?;
    let mut entrypoint = start.command.clone();
    if let Some(script) = &start.wrapper {
        entrypoint.insert(0, script.clone());
    }
    let mut layers = layers::layers(definition, facts.findings, context)?;
    if let Some(hook) = &settings.before_start {
        runtime::hook_runs(hook, &base_name, &base)?;
        entrypoint.insert(0, BEFORE_START.to_owned());
        let to = BEFORE_START.rsplit_once('/').map_or("/", |(directory, _)| directory).to_owned();
        layers.insert(
            layers.len().saturating_sub(1),
            PlannedLayer { name: "before-start".into(), from: LayerSource::Output("before-start".into()), to },
        );
    }
    // Only what serves can be asked; a worker beside it has no port.
    let serves = matches!(start.process.as_deref(), None | Some("web"));
    let health = if serves { runtime::health(facts, &base, ports.first().copied(), warnings)? } else { None };
    let image = PlannedImage {
        base: base.reference.clone(),
        references: references(facts),
        user,
        workdir: definition.workdir.clone(),
        entrypoint,
        cmd: start.arguments.clone(),
        ports,
        env,
        labels: labels(facts, &base),
        volumes: runtime::volumes(facts, decisions),
        layers,
        given: facts.findings.given.clone(),
        health,
        before_start: settings.before_start.clone(),
    };
    let dockerfile = dockerfile(facts, &image)?;
    Ok(Made { bases: vec![image.base.clone()], image, dockerfile, process: start.process })
}

/// Harbor answers a longer repository, project included, with 500.
const REPOSITORY: usize = 245;

/// Refuses a name that is found to be too long only when the image is pushed.
fn nameable(request: &BuildRequest) -> Result<(), Failure> {
    let repository = format!("{}/{}", request.product_line, request.name);
    if repository.len() <= REPOSITORY {
        return Ok(());
    }
    let message = format!("the image's name `{repository}` has {} characters; {REPOSITORY} may be", repository.len());
    Err(Failure::new(FailureCode::RequestInvalid, message).hint("choose a shorter product line or application name"))
}

/// Everything that the image will be called.
pub(super) fn references(facts: &Facts<'_>) -> Vec<String> {
    let request = facts.request;
    // Without a registry the image stays on this machine; `localhost` names no other. So does what nobody vouches for: by
    // the registry's name another build here might take it for its base.
    let registry = facts.catalog.operator.registry.as_deref().filter(|_| !facts.request.untrusted);
    let host = registry.unwrap_or("localhost");
    let repository = format!("{host}/{}/{}", request.product_line, request.name);
    let mut tags: Vec<String> = request.tags.iter().map(ToString::to_string).collect();
    if tags.is_empty() {
        let revision = &facts.tree.revision;
        let commit = revision.commit.as_ref().map_or("latest", |commit| commit.short());
        tags.push(if revision.dirty { format!("{commit}-dirty") } else { commit.to_owned() });
        tags.extend(
            revision.tag.clone().filter(|tag| !revision.dirty && tag.parse::<crate::model::names::Tag>().is_ok()),
        );
    }
    tags.iter().map(|tag| format!("{repository}:{tag}")).collect()
}

/// Labels of the OCI image specification (annotations), then those that were asked for.
pub(super) fn labels(facts: &Facts<'_>, base: &BaseImage) -> BTreeMap<String, String> {
    let revision = &facts.tree.revision;
    let created = revision.commit_time.and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    let url = facts.request.source.url().map(ToString::to_string);
    let stated = [
        ("source", url),
        ("revision", revision.commit.as_ref().map(ToString::to_string)),
        ("created", created.map(|time| time.to_string())),
        ("version", revision.tag.clone()),
        ("title", Some(facts.request.name.to_string())),
        ("base.name", base.reference.split('@').next().filter(|name| !name.is_empty()).map(str::to_owned)),
        // The digest of a manifest: an image that was never pushed has none, and its id is something else.
        ("base.digest", base.digest.clone()),
    ];
    let mut labels: BTreeMap<String, String> = stated
        .into_iter()
        .filter_map(|(key, value)| Some((format!("org.opencontainers.image.{key}"), value?)))
        .collect();
    labels.extend(facts.settings.value.image.labels.clone());
    labels
}

/// The Dockerfile's text, checked to hold only instructions that place and describe files.
fn dockerfile(facts: &Facts<'_>, image: &PlannedImage) -> Result<String, Failure> {
    let template = facts.toolchain.dockerfile.as_deref().unwrap_or(&facts.catalog.dockerfile);
    let context = json!({
        "toolchain": facts.toolchain.definition.name,
        "release": facts.release.version,
        "image": image,
        // Pairs, since a template does not keep the order of a map.
        "env": image.env.iter().collect::<Vec<_>>(),
        "labels": image.labels.iter().collect::<Vec<_>>(),
        "health": image.health,
    });
    let failed =
        |why: String| Failure::new(FailureCode::PlanInvalid, format!("the Dockerfile cannot be written: {why}"));
    let text = crate::dockerfile::template::render(template, context).map_err(failed)?;
    crate::dockerfile::template::verify_generated(&text, crate::dockerfile::template::GENERATED).map_err(failed)?;
    Ok(text)
}
