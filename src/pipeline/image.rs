//! The image is built, saved and pushed by the backend.

use std::path::Path;

use tokio_util::sync::CancellationToken;

use super::{Delivery, Services};
use crate::image::{BuildContext, BuildSpec, BuiltImage, ImageBackend as _, LogSink, PublishedImage};
use crate::model::failure::{Failure, FailureCode};
use crate::model::image_reference::ImageReference;
use crate::model::plan::Plan;

/// Builds the image of a plan.
pub(super) async fn build(
    services: &Services,
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
        if image.layers.is_empty() {
            spec.labels.clone_from(&image.labels);
            spec.build_args = plan.build_args.clone();
            spec.target.clone_from(&plan.target);
        }
        spec.base_images = plan.bases.clone();
        spec.credentials = services.pull_credentials(&plan.bases, &plan.application.product_line).await?;
    }
    services.backend.build(&spec, log, cancel).await
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

/// Pushes the image under all its references.
pub(super) async fn push(
    services: &Services,
    plan: &Plan,
    built: &BuiltImage,
    log: LogSink<'_>,
    cancel: &CancellationToken,
) -> Result<PublishedImage, Failure> {
    if services.catalog.operator.registry.is_none() {
        let failure = Failure::new(FailureCode::ConfigurationInvalid, "there is no registry to push to");
        return Err(failure.hint("set `registry.host` in the configuration"));
    }
    let (product_line, references) = (&plan.application.product_line, references(plan)?);
    let access = services.registry_access(product_line).await?;
    match services.backend.push(built, &references, &access, log, cancel).await {
        Err(failure) if failure.code == FailureCode::RegistryUnauthorized => {
            // A robot's secret may have been changed since it was read.
            let now = services.registry_access(product_line).await?;
            if now.credentials == access.credentials {
                return Err(failure);
            }
            log("the credentials have changed; trying again");
            services.backend.push(built, &references, &now, log, cancel).await
        }
        pushed => pushed,
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
