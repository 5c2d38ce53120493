//! Copies of a pushed image in further registries: each by itself, so that one that is away delays only itself.

use std::time::Duration;

use futures_util::future::join_all;

use super::Services;
use super::registry::create;
use crate::config::CopyConfig;
use crate::image::transfer::{self, Place};
use crate::image::{LogSink, PublishedImage, RegistryAccess};
use crate::model::failure::{Failure, FailureCode, Warning};
use crate::model::image_reference::ImageReference;
use crate::model::report::ReportedCopy;
use crate::model::request::BuildRequest;
use crate::runner::spoken;

/// Copies an image to every registry that the operator names for its product line; all at once, in the time that the build
/// has left.
pub(super) async fn copy(
    services: &Services,
    request: &BuildRequest,
    published: &PublishedImage,
    left: Duration,
    log: LogSink<'_>,
) -> Vec<ReportedCopy> {
    let product_line = request.product_line.as_str();
    let wanted = services.config.registry.copies.iter().filter(|copy| copy.is_of(product_line));
    join_all(wanted.map(|copy| one(services, request, published, copy, left, log))).await
}

async fn one(
    services: &Services,
    request: &BuildRequest,
    published: &PublishedImage,
    wanted: &CopyConfig,
    left: Duration,
    log: LogSink<'_>,
) -> ReportedCopy {
    let mut copy = ReportedCopy { registry: wanted.host.clone(), references: Vec::new(), sent: 0, failure: None };
    let work = async {
        match bring(services, request, published, wanted, &mut copy, log).await {
            // A robot's secret may have been changed since it was read; what was sent is there.
            Err(failure) if failure.code == FailureCode::RegistryUnauthorized => {
                copy.references.clear();
                bring(services, request, published, wanted, &mut copy, log).await
            }
            done => done,
        }
    };
    let time = wanted.timeout.min(left);
    let done = tokio::time::timeout(time, Box::pin(work)).await;
    let late = || {
        let limit = if left < wanted.timeout { ", when the build's time was over" } else { "" };
        let message = format!("The registry `{}` did not take the copy within {}{limit}.", wanted.host, spoken(time));
        Failure::new(FailureCode::RegistryUnavailable, message)
    };
    copy.failure = done.unwrap_or_else(|_| Err(late())).err();
    copy
}

async fn bring(
    services: &Services,
    request: &BuildRequest,
    published: &PublishedImage,
    wanted: &CopyConfig,
    copy: &mut ReportedCopy,
    log: LogSink<'_>,
) -> Result<(), Failure> {
    let access = services.access(&wanted.host, request.product_line.as_str()).await?.for_request(request.id.as_str());
    for reference in &published.references {
        let from = services.place(reference.with_digest(published.digest.clone()), request.id.as_str()).await?;
        let to = ImageReference::new(&wanted.host, reference.repository(), reference.tag().cloned(), None)
            .map_err(|error| Failure::new(FailureCode::ConfigurationInvalid, format!("`registry.copies`: {error}")))?;
        if copy.references.is_empty() {
            project(services, request, &to, &access).await?;
        }
        let done = transfer::copy(&from, &Place::new(to, access.clone()).await?, log).await?;
        copy.references.push(done.reference.to_string());
        copy.sent += done.sent;
    }
    Ok(())
}

/// Sees to it that the project is there, where the further registry is a Harbor.
async fn project(
    services: &Services,
    request: &BuildRequest,
    to: &ImageReference,
    access: &RegistryAccess,
) -> Result<(), Failure> {
    let client = access.harbor(to, access.credentials.as_ref())?;
    let project = request.product_line.as_str();
    if !client.is_harbor().await? || client.has_project(project).await? {
        return Ok(());
    }
    create(services, to, project, request.id.as_str()).await
}

/// What copies that failed mean for the build.
///
/// # Errors
/// The failure of the first copy that the operator demands.
pub(super) fn judged(wanted: &[CopyConfig], copies: &[ReportedCopy]) -> Result<Vec<Warning>, Failure> {
    let mut warnings = Vec::new();
    for copy in copies {
        let Some(failure) = &copy.failure else { continue };
        if wanted.iter().any(|wanted| wanted.host == copy.registry && wanted.required) {
            return Err(failure.clone());
        }
        let message = format!("The image is not in the registry `{}`: {}", copy.registry, failure.message);
        let hint = "Copy it later: `slipway images promote`.";
        warnings.push(Warning::new("registry_copy_failed", message, hint));
    }
    Ok(warnings)
}
