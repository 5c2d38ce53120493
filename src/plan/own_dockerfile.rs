//! The repository's own Dockerfile: built as it is, its base images taken from where the operator says.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::image::{Made, labels, references};
use super::{Facts, base, below};
use crate::dockerfile::rebase::{Replacement, rebase};
use crate::model::failure::{Failure, FailureCode};
use crate::model::origin::{Decision, Origin, Rejected};
use crate::model::plan::PlannedImage;

/// An image that the Dockerfile names, and what stands for it here.
struct Used {
    line: u32,
    named: String,
    origin: Origin,
    resolved: base::Resolved,
}

/// Plans to build the repository's Dockerfile.
///
/// # Errors
/// `toolchain_forbidden` where the operator does not build own Dockerfiles for this product line, or not from one of
/// the images; `dockerfile_unsupported` where an image cannot be replaced by its mirror's.
pub(super) fn made(facts: &Facts<'_>, decisions: &mut Vec<Decision>) -> Result<Made, Failure> {
    allowed(facts)?;
    let found = |key: &str| facts.findings.variables.get(key).unwrap_or(&Value::Null);
    let path = found("path").as_str().unwrap_or("Dockerfile").to_owned();
    let text = facts.tree.text(&path).ok_or_else(|| {
        Failure::new(FailureCode::EcosystemUnrecognised, format!("there is no readable `{path}`")).at(&path, None)
    })?;
    let used = used(facts, &path, found("bases"))?;
    let named = found("base").as_str();
    let image_base = used.iter().find(|used| Some(used.named.as_str()) == named);
    decide(&used, named, &path, decisions);
    let replacements: Vec<_> = used.iter().filter_map(Used::replacement).collect();
    let dockerfile = if replacements.is_empty() {
        text.to_owned()
    } else {
        rebase(text, &replacements).map_err(|error| {
            Failure::new(FailureCode::DockerfileUnsupported, format!("`{path}`: {error}"))
                .hint("write the image without quotes and escapes")
                .at(&path, replacements.first().map(|replacement| replacement.line))
        })?
    };
    let base = image_base.map(|used| used.resolved.image.clone()).unwrap_or_default();
    let image = PlannedImage {
        base: image_base.map_or_else(|| "scratch".to_owned(), |used| used.resolved.image.reference.clone()),
        references: references(facts),
        user: String::new(),
        workdir: String::new(),
        entrypoint: Vec::new(),
        cmd: Vec::new(),
        ports: facts.findings.ports.iter().map(|found| found.value).collect(),
        env: BTreeMap::new(),
        labels: labels(facts, &base),
        volumes: Vec::new(),
        layers: Vec::new(),
        health: None,
        given: Vec::new(),
        before_start: None,
    };
    let mut bases: Vec<String> = Vec::new();
    for used in used {
        if !bases.contains(&used.resolved.image.reference) {
            bases.push(used.resolved.image.reference);
        }
    }
    Ok(Made { image, dockerfile, process: None, bases })
}

fn allowed(facts: &Facts<'_>) -> Result<(), Failure> {
    if facts.request.untrusted {
        let message =
            "an untrusted repository's own Dockerfile is not built: its `RUN` would execute as root in the Engine";
        return Err(Failure::new(FailureCode::ToolchainForbidden, message)
            .hint("push the change to a branch of the application's own repository, where somebody vouches for it"));
    }
    let product_line = facts.request.product_line.as_str();
    if facts.catalog.operator.own_dockerfiles.allow(product_line) {
        return Ok(());
    }
    let forbidden = format!(
        "repositories' own Dockerfiles are not built for the product line `{product_line}`: their `RUN` would execute as root in the Engine"
    );
    let ask = format!("ask the operator to add `{product_line}` to `build.own_dockerfiles`");
    let directory = facts.request.source.directory();
    // What a toolchain would build, were it not for one file; or what there is none for.
    let unsupported = below::unsupported_here(directory, facts.tree, facts.catalog);
    let message = match &unsupported {
        Some((name, path)) => {
            format!("`{}` is of {name}, and there is no toolchain for it; {forbidden}", path.escape_debug())
        }
        None => forbidden,
    };
    let instead = unsupported.and_then(|(name, _)| facts.catalog.unsupported_hints.get(name));
    // What lies below the Dockerfile is built without it where somebody names its directory.
    let below: Vec<String> = below::applications(directory, facts.tree, facts.catalog).into_keys().collect();
    let hint = match (instead, below.first()) {
        (Some(instead), _) => format!("{ask}, or {instead}"),
        (None, Some(first)) => format!("{ask}, or choose a directory that is built without it: `--directory {first}`"),
        (None, None) => ask,
    };
    Err(Failure::new(FailureCode::ToolchainForbidden, message).hint(hint).candidates(below))
}

fn used(facts: &Facts<'_>, path: &str, bases: &Value) -> Result<Vec<Used>, Failure> {
    let mut all = Vec::new();
    for entry in bases.as_array().into_iter().flatten() {
        let named = entry["image"].as_str().unwrap_or_default().to_owned();
        let line = entry["line"].as_u64().and_then(|line| u32::try_from(line).ok()).unwrap_or(1);
        let resolved = base::resolve(facts.catalog, &named).map_err(|failure| failure.at(path, Some(line)))?;
        base::may_be_used(facts.catalog, &named, &resolved).map_err(|failure| failure.at(path, Some(line)))?;
        let origin = Origin::file(path, Some(line), entry["instruction"].as_str().unwrap_or("FROM"));
        all.push(Used { line, named, origin, resolved });
    }
    Ok(all)
}

impl Used {
    fn replacement(&self) -> Option<Replacement> {
        let by = &self.resolved.image.reference;
        (*by != self.named).then(|| Replacement { line: self.line, image: self.named.clone(), by: by.clone() })
    }

    fn decision(&self, key: String) -> Decision {
        let rejected = self.resolved.why.iter().map(|why| Rejected {
            value: json!(self.named),
            origin: self.origin.clone(),
            why: why.clone(),
        });
        let value = json!(self.resolved.image.reference);
        Decision { key, value, origin: self.origin.clone(), rejected: rejected.collect() }
    }
}

/// The image's own base is `image.base`; others that stages are made with follow, counted.
fn decide(used: &[Used], named: Option<&str>, path: &str, decisions: &mut Vec<Decision>) {
    if named.is_none() {
        decisions.push(super::decided("image.base", "scratch", Origin::file(path, None, "FROM")));
    }
    let mut seen: Vec<&str> = Vec::new();
    for used in used {
        if seen.contains(&used.named.as_str()) {
            continue;
        }
        seen.push(&used.named);
        let is_base = Some(used.named.as_str()) == named;
        let key = if is_base { "image.base".to_owned() } else { format!("image.bases.{}", used.line) };
        decisions.push(used.decision(key));
    }
}
