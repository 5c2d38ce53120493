//! After the push: labels, further tags, and what Harbor's scanner says.

use super::Services;
use super::image::references;
use crate::config::{LabelKind, RegistryKind};
use crate::harbor::{ArtifactName, Client, Done, Gate};
use crate::image::PublishedImage;
use crate::model::failure::{Failure, Warning};
use crate::model::names::Tag;
use crate::model::plan::Plan;
use crate::model::request::BuildRequest;
use crate::model::scan::{ReportedScan, ScanState};

/// The longest name of a label that Harbor takes.
const LABEL: usize = 128;

/// Puts on the image what the operator wants on it. What the account may not do is a warning: the image is there.
///
/// # Errors
/// `registry_unavailable` and the like, where Harbor is away.
pub(super) async fn mark(
    services: &Services,
    request: &BuildRequest,
    plan: &Plan,
    published: &PublishedImage,
) -> Result<Vec<Warning>, Failure> {
    let registry = &services.config.registry;
    if registry.labels.is_empty() && registry.tags.is_empty() {
        return Ok(Vec::new());
    }
    let Some(client) = client(services, request, plan).await? else { return Ok(Vec::new()) };
    let digest = published.digest.to_string();
    let (project, name) = (request.product_line.as_str(), request.name.as_str());
    let image = ArtifactName { project, name, reference: &digest };
    let mut warnings = Vec::new();
    for label in registry.labels.iter().filter_map(|kind| label(*kind, request, plan)) {
        let done = client.label(image, &label).await?;
        warnings.extend(unmarked(done, &format!("label `{label}`"), "label"));
    }
    for template in &registry.tags {
        match further_tag(template, request, plan) {
            Ok(tag) => {
                let done = client.tag(image, tag.as_str()).await?;
                warnings.extend(unmarked(done, &format!("tag `{tag}`"), "tag"));
            }
            Err(warning) => warnings.push(warning),
        }
    }
    Ok(warnings)
}

/// The scan of the image, where the operator asks for it.
///
/// # Errors
/// `registry_unavailable` and the like, where Harbor is away.
pub(super) async fn scan(
    services: &Services,
    request: &BuildRequest,
    plan: &Plan,
    published: &PublishedImage,
) -> Result<Option<ReportedScan>, Failure> {
    let Some(gate) = gate(services, request) else { return Ok(None) };
    let Some(client) = client(services, request, plan).await? else {
        return Ok(Some(ReportedScan::without(ScanState::NotScanned, "the registry is no Harbor")));
    };
    let Some(reference) = published.references.first() else { return Ok(None) };
    gate.scanned(&client, &reference.with_digest(published.digest.clone())).await.map(Some)
}

/// The operator's gate, where there is one.
pub(super) fn gate<'a>(services: &'a Services, request: &'a BuildRequest) -> Option<Gate<'a>> {
    let wanted = services.config.registry.scan.as_ref()?;
    Some(Gate { wanted, product_line: request.product_line.as_str() })
}

async fn client(services: &Services, request: &BuildRequest, plan: &Plan) -> Result<Option<Client>, Failure> {
    let references = references(plan)?;
    let other = services.config.registry.kind == Some(RegistryKind::Plain);
    let Some(first) = references.first().filter(|_| !other) else { return Ok(None) };
    let Some(client) = services.harbor(first, request.product_line.as_str()).await? else { return Ok(None) };
    let client = client.for_request(request.id.as_str());
    Ok(client.is_harbor().await?.then_some(client))
}

fn label(kind: LabelKind, request: &BuildRequest, plan: &Plan) -> Option<String> {
    let text = match kind {
        LabelKind::ProductLine => format!("product-line/{}", request.product_line),
        LabelKind::Application => format!("application/{}", request.name),
        LabelKind::Branch => format!("branch/{}", plan.source.revision.as_ref()?),
    };
    Some(text.chars().take(LABEL).collect())
}

/// A tag made of a template: `build-{id}`, `{commit}`, `{branch}`.
fn further_tag(template: &str, request: &BuildRequest, plan: &Plan) -> Result<Tag, Warning> {
    let commit = plan.source.commit.as_deref().and_then(|commit| commit.get(..12)).unwrap_or_default();
    let branch = plan.source.revision.as_deref().unwrap_or_default();
    // What a branch may have and a tag may not.
    let allowed = |text: &str| -> String {
        text.chars().map(|c| if c.is_ascii_alphanumeric() || "_.-".contains(c) { c } else { '-' }).collect()
    };
    let text =
        template.replace("{id}", request.id.as_str()).replace("{commit}", commit).replace("{branch}", &allowed(branch));
    text.parse().map_err(|error| {
        Warning::new(
            "registry_tag_left_out",
            format!("`registry.tags` gives `{text}` here: {error}."),
            "Correct `registry.tags` in the configuration.",
        )
    })
}

fn unmarked(done: Done, what: &str, right: &str) -> Option<Warning> {
    let (why, hint) = match done {
        Done::Yes | Done::Already => return None,
        Done::Forbidden => (
            "the account may not set it".to_owned(),
            format!("Give the robot the rights: `slipway harbor robots create --may push,{right}`."),
        ),
        Done::Elsewhere => (
            "it names another image, and is not moved".to_owned(),
            "Name tags that move in `image.tags`; `registry.tags` is for those that name one image for good."
                .to_owned(),
        ),
    };
    Some(Warning::new("registry_mark_missing", format!("The image has no {what}: {why}."), hint))
}
