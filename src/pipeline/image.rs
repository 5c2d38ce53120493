//! The image is built, saved and pushed by the backend.

use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Delivery, Services};
use crate::image::{
    BuildContext, BuildSpec, BuiltImage, Destination, ImageBackend as _, LogSink, PublishedImage, RegistryAccess,
};
use crate::model::failure::{Failure, FailureCode, Step};
use crate::model::image_reference::ImageReference;
use crate::model::plan::Plan;
use crate::model::request::BuildRequest;
use crate::work::unless_cancelled;

/// How long a new secret is awaited in the operator's file after the old one was refused.
const ROTATION: Duration = Duration::from_secs(10);

/// How often the file is looked at meanwhile.
const GLANCE: Duration = Duration::from_millis(250);

/// Builds the image of a plan.
pub(super) async fn build(
    services: &Services,
    request: &BuildRequest,
    plan: &Plan,
    context: BuildContext,
    delivery: &Delivery,
    log: LogSink<'_>,
    cancel: &CancellationToken,
) -> Result<BuiltImage, Failure> {
    let mut spec = BuildSpec::new(context, plan.dockerfile.clone().unwrap_or_default());
    spec.references = references(plan)?;
    spec.no_cache = delivery.no_cache;
    spec.local = services.config.build.start_check.enabled || !(delivery.push || delivery.archive.is_some());
    if let Some(image) = plan.image.as_ref() {
        if plan.has_own_dockerfile() {
            spec.labels.clone_from(&image.labels);
            spec.build_args = plan.build_args.clone();
            spec.target.clone_from(&plan.target);
        }
        spec.base_images = plan.bases.clone();
        spec.layouts = services.catalog.layouts();
        if delivery.push {
            spec.destination = destination(services, request, plan, &spec.references).await;
        }
        spec.credentials = services.pull_credentials(&plan.bases, &plan.application.product_line).await?;
    }
    services.backend.build(&spec, log, cancel).await
}

/// Where the image goes first. Whatever is wrong with it, the push will say.
async fn destination(
    services: &Services,
    request: &BuildRequest,
    plan: &Plan,
    references: &[ImageReference],
) -> Option<Destination> {
    services.catalog.operator.registry.as_ref()?;
    let access = services.registry_access(&plan.application.product_line).await.ok()?;
    Some(Destination { reference: references.first()?.clone(), access: access.for_request(request.id.as_str()) })
}

/// Writes the image as an archive.
pub(super) async fn save(
    services: &Services,
    plan: &Plan,
    built: &BuiltImage,
    to: &Path,
    cancel: &CancellationToken,
) -> Result<(), Failure> {
    services.backend.save(built, &references(plan)?, to, cancel).await
}

/// Refuses a push where no registry is named: said before anything is built.
///
/// # Errors
/// `configuration_invalid`.
pub(super) fn may_be_pushed(services: &Services) -> Result<(), Failure> {
    if services.catalog.operator.registry.is_some() {
        return Ok(());
    }
    let failure = Failure::new(FailureCode::ConfigurationInvalid, "there is no registry to push to");
    Err(failure.hint("set `registry.host` in the configuration, or leave out `--push`").in_step(Step::Push))
}

/// Pushes the image under all its references.
pub(super) async fn push(
    services: &Services,
    request: &BuildRequest,
    plan: &Plan,
    built: &BuiltImage,
    log: LogSink<'_>,
    cancel: &CancellationToken,
) -> Result<PublishedImage, Failure> {
    may_be_pushed(services)?;
    let (product_line, references) = (&plan.application.product_line, references(plan)?);
    let mut access = services.registry_access(product_line).await?.for_request(request.id.as_str());
    let pushed = services.backend.push(built, &references, &access, log, cancel).await;
    match pushed {
        Err(failure) if failure.code == FailureCode::RegistryUnauthorized => {
            match unless_cancelled(cancel, changed(services, product_line, &access)).await? {
                Some(now) => access = now,
                None => return Err(failure),
            }
            log("the credentials have changed; trying again");
            services.backend.push(built, &references, &access, log, cancel).await
        }
        pushed => pushed,
    }
}

/// The access with a secret that was changed after it was read; `None` where it is what it was.
///
/// Harbor knows a new secret a moment before the operator's file has it, and whatever brings the file may take longer. The
/// look before the build has found the old one good, so it is worth the wait.
async fn changed(
    services: &Services,
    product_line: &str,
    access: &RegistryAccess,
) -> Result<Option<RegistryAccess>, Failure> {
    let deadline = Instant::now() + ROTATION;
    loop {
        let now = services.registry_access(product_line).await?;
        if now.credentials != access.credentials {
            return Ok(Some(RegistryAccess { request_id: access.request_id.clone(), ..now }));
        }
        if Instant::now() >= deadline {
            return Ok(None);
        }
        tokio::time::sleep(GLANCE).await;
    }
}

pub(super) fn references(plan: &Plan) -> Result<Vec<ImageReference>, Failure> {
    let references = plan.image.iter().flat_map(|image| &image.references);
    references
        .map(|reference| {
            reference.parse().map_err(|error| Failure::new(FailureCode::PlanInvalid, format!("`{reference}`: {error}")))
        })
        .collect()
}
