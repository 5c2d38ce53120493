//! The image: its base, how it starts, its environment, its layers and its Dockerfile.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Facts, decided, start, template};
use crate::catalog::{BaseImage, Catalog};
use crate::model::failure::{Failure, FailureCode, Warning};
use crate::model::origin::{Decision, Origin};
use crate::model::plan::{BEFORE_START, LayerSource, PlannedImage, PlannedLayer};
use crate::toolchain::definition::ImageDefinition;

/// The user that images run as, where nobody states one.
const USER: &str = "10001";

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
    context: &Value,
    decisions: &mut Vec<Decision>,
    warnings: &mut Vec<Warning>,
) -> Result<Made, Failure> {
    let Some(definition) = &facts.toolchain.definition.image else { return own_dockerfile(facts, decisions) };
    let (base_name, base) = run_image(facts, decisions)?;
    let start = start::start(facts, definition, context, decisions)?;
    let settings = &facts.settings.value.runtime;
    if start.command.is_empty() {
        return Err(Failure::new(FailureCode::ApplicationNotFound, "nothing says how the application starts")
            .hint("say it in `slipway.toml`: `[runtime]` `command = [\"…\"]`"));
    }
    let mut env = template::map(&definition.env, context)?;
    for (key, found) in &facts.findings.image_env {
        env.insert(key.clone(), found.value.clone());
        decisions.push(decided(&format!("runtime.env.{key}"), found.value.clone(), found.origin.clone()));
    }
    env.extend(settings.env.clone());
    let ports = ports(facts, definition, decisions);
    let user = user(facts, decisions)?;
    let mut entrypoint = start.command.clone();
    if let Some(script) = &start.wrapper {
        entrypoint.insert(0, script.clone());
    }
    let mut layers: Vec<_> = definition
        .layers
        .iter()
        .map(|layer| PlannedLayer { name: layer.name.clone(), from: layer.from.clone(), to: layer.to.clone() })
        .collect();
    if let Some(hook) = &settings.before_start {
        hook_runs(hook, &base_name, &base)?;
        entrypoint.insert(0, BEFORE_START.to_owned());
        let to = BEFORE_START.rsplit_once('/').map_or("/", |(directory, _)| directory).to_owned();
        layers.insert(
            layers.len().saturating_sub(1),
            PlannedLayer { name: "before-start".into(), from: LayerSource::Output("before-start".into()), to },
        );
    }
    // Only what serves can be asked; a worker beside it has no port.
    let serves = matches!(start.process.as_deref(), None | Some("web"));
    let health = if serves { health(facts, definition, context, ports.first().copied(), warnings)? } else { None };
    let image = PlannedImage {
        base: base.reference.clone(),
        references: references(facts),
        user,
        workdir: definition.workdir.clone(),
        entrypoint,
        cmd: Vec::new(),
        ports,
        env,
        labels: labels(facts, &base),
        volumes: settings.volumes.clone().unwrap_or_default(),
        layers,
        health,
        before_start: settings.before_start.clone(),
    };
    let dockerfile = dockerfile(facts, &image)?;
    Ok(Made { bases: vec![image.base.clone()], image, dockerfile, process: start.process })
}

/// The base image of a name of the catalogue, or of a reference.
pub(super) fn base(catalog: &Catalog, name: &str) -> Result<BaseImage, Failure> {
    if let Some(image) = catalog.base_images.get(name) {
        return Ok(image.clone());
    }
    if !name.contains(['/', ':']) {
        let message = format!("the catalogue has no base image `{name}`");
        return Err(Failure::new(FailureCode::PlanInvalid, message)
            .hint("set `image.base` to one of those that are named, or to a full reference")
            .candidates(catalog.base_images.keys().cloned()));
    }
    Ok(BaseImage { reference: name.to_owned(), ..BaseImage::default() })
}

fn run_image(facts: &Facts<'_>, decisions: &mut Vec<Decision>) -> Result<(String, BaseImage), Failure> {
    let definition = &facts.toolchain.definition;
    let by_shape = definition.run.get(&facts.findings.shape);
    let by_release = facts.release.release.and_then(|release| release.run.as_ref());
    let (name, origin) = match (&facts.settings.value.image.base, by_shape, by_release) {
        (Some(name), ..) => (
            name.clone(),
            facts.settings.origin("image.base").cloned().unwrap_or_else(|| Origin::default("image.base")),
        ),
        (None, Some(name), _) => {
            (name.clone(), Origin::default(format!("run image of the shape `{}`", facts.findings.shape)))
        }
        (None, None, Some(name)) => (
            name.clone(),
            Origin::default(format!(
                "run image of {} {}",
                definition.title,
                facts.release.version.as_deref().unwrap_or_default()
            )),
        ),
        (None, None, None) => (
            definition.run.get("").cloned().unwrap_or_else(|| "debian".into()),
            Origin::default(format!("run image of {}", definition.title)),
        ),
    };
    decisions.push(decided("image.base", name.clone(), origin));
    let image = base(facts.catalog, &name)?;
    Ok((name, image))
}

fn ports(facts: &Facts<'_>, definition: &ImageDefinition, decisions: &mut Vec<Decision>) -> Vec<u16> {
    let (ports, origin) = match &facts.settings.value.runtime.ports {
        Some(ports) => (ports.clone(), facts.settings.origin("runtime.ports").cloned()),
        None if !facts.findings.ports.is_empty() => (
            facts.findings.ports.iter().map(|found| found.value).collect(),
            Some(facts.findings.ports[0].origin.clone()),
        ),
        None => (definition.ports.clone(), None),
    };
    let origin =
        origin.unwrap_or_else(|| Origin::default(format!("{}'s usual port", facts.toolchain.definition.title)));
    if !ports.is_empty() {
        decisions.push(decided("runtime.ports", json!(ports), origin));
    }
    ports
}

fn user(facts: &Facts<'_>, decisions: &mut Vec<Decision>) -> Result<String, Failure> {
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

fn hook_runs(hook: &[String], base_name: &str, base: &BaseImage) -> Result<(), Failure> {
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

/// The toolchain's own probe, where somebody said which path answers.
fn health(
    facts: &Facts<'_>,
    definition: &ImageDefinition,
    context: &Value,
    port: Option<u16>,
    warnings: &mut Vec<Warning>,
) -> Result<Option<Vec<String>>, Failure> {
    let Some(path) = facts.settings.value.runtime.health.as_deref() else { return Ok(None) };
    let mut not_probed = |message: &str, hint: &str| warnings.push(Warning::new("health_not_probed", message, hint));
    let Some(port) = port else {
        not_probed("`runtime.health` is set and the application has no port", "set `runtime.ports`");
        return Ok(None);
    };
    if definition.probe.is_empty() {
        not_probed(
            "`runtime.health` is set and the run image has nothing to probe with: the image gets no `HEALTHCHECK`",
            "let the platform probe the path over HTTP",
        );
        return Ok(None);
    }
    let mut context = context.clone();
    context["url"] = json!(format!("http://127.0.0.1:{port}{path}"));
    template::arguments(&definition.probe, &context).map(Some)
}

fn references(facts: &Facts<'_>) -> Vec<String> {
    let request = facts.request;
    // Without a registry the image stays on this machine; `localhost` names no other.
    let host = facts.catalog.operator.registry.as_deref().unwrap_or("localhost");
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
fn labels(facts: &Facts<'_>, base: &BaseImage) -> BTreeMap<String, String> {
    let revision = &facts.tree.revision;
    let created = revision.commit_time.and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    let url = facts.request.source.url().map(ToString::to_string);
    let stated = [
        ("source", url),
        ("revision", revision.commit.as_ref().map(ToString::to_string)),
        ("created", created.map(|time| time.to_string())),
        ("version", revision.tag.clone()),
        ("title", Some(facts.request.name.to_string())),
        ("base.name", Some(base.reference.clone())),
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

/// The repository's own Dockerfile, as it is.
fn own_dockerfile(facts: &Facts<'_>, decisions: &mut Vec<Decision>) -> Result<Made, Failure> {
    if !facts.catalog.operator.own_dockerfiles {
        return Err(Failure::new(
            FailureCode::ToolchainForbidden,
            "repositories' own Dockerfiles are not built here: their `RUN` would execute as root in the Engine",
        )
        .hint("ask the operator to set `build.own_dockerfiles = true` for the product line"));
    }
    let directory = facts.request.source.directory();
    let path = crate::model::source_tree::join(directory, "Dockerfile").unwrap_or_default();
    let text = facts.tree.text(&path).ok_or_else(|| {
        Failure::new(FailureCode::EcosystemUnrecognised, format!("there is no readable `{path}`")).at(&path, None)
    })?;
    let bases = facts.findings.variables.get("bases").cloned().unwrap_or_default();
    let named = |base: &Value| base.get("image").and_then(Value::as_str).map(str::to_owned);
    let all = bases.as_array().into_iter().flatten().filter_map(named).filter(|name| name != "scratch").collect();
    let last = bases
        .as_array()
        .and_then(|bases| bases.last())
        .and_then(|base| base.get("image"))
        .and_then(Value::as_str)
        .unwrap_or("scratch")
        .to_owned();
    decisions.push(decided("image.base", last.clone(), Origin::file(&path, None, "FROM")));
    let image = PlannedImage {
        base: last,
        references: references(facts),
        user: String::new(),
        workdir: String::new(),
        entrypoint: Vec::new(),
        cmd: Vec::new(),
        ports: facts.findings.ports.iter().map(|found| found.value).collect(),
        env: BTreeMap::new(),
        labels: labels(facts, &BaseImage::default()),
        volumes: Vec::new(),
        layers: Vec::new(),
        health: None,
        before_start: None,
    };
    Ok(Made { image, dockerfile: text.to_owned(), process: None, bases: all })
}
