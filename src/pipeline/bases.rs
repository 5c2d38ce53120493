//! The bases of a build, held to the gate of images before anything is built on them.

use super::Services;
use super::after::gate;
use crate::config::RegistryKind;
use crate::model::failure::{Failure, Warning};
use crate::model::image_reference::ImageReference;
use crate::model::plan::Plan;
use crate::model::report::ReportedBase;
use crate::model::request::BuildRequest;
use crate::model::scan::{ReportedScan, ScanState};

/// What the registry's scanner says of the plan's bases, where the operator asks for it. One that does not lie in the
/// registry was scanned by nobody that is known.
///
/// # Errors
/// `registry_unavailable` and the like, where Harbor is away.
pub(super) async fn scan(
    services: &Services,
    request: &BuildRequest,
    plan: &Plan,
) -> Result<Vec<ReportedBase>, Failure> {
    let registry = &services.config.registry;
    let wanted = registry.scan.as_ref().is_some_and(|scan| scan.base_images);
    let Some(gate) = gate(services, request).filter(|_| wanted) else { return Ok(Vec::new()) };
    let product_line = request.product_line.as_str();
    let accounts = services.pull_credentials(&plan.bases, product_line).await?;
    let known = services.registry_access(product_line).await?.for_request(request.id.as_str());
    let mut bases = Vec::new();
    for base in &plan.bases {
        let ours = ImageReference::familiar(base).ok().filter(|reference| {
            registry.kind != Some(RegistryKind::Plain) && registry.host.as_deref() == Some(reference.registry())
        });
        let scan = match ours {
            Some(reference) => {
                let client = known.harbor(&reference, accounts.get(reference.registry()))?;
                gate.scanned(&client, &reference).await?
            }
            None => ReportedScan::without(ScanState::NotScanned, "it is not in the registry that scans images"),
        };
        bases.push(ReportedBase { image: base.clone(), scan });
    }
    Ok(bases)
}

/// What the scans of the bases mean for the build.
///
/// # Errors
/// `image_vulnerable`, `image_not_scanned`.
pub(super) fn judged(
    services: &Services,
    request: &BuildRequest,
    bases: &[ReportedBase],
) -> Result<Vec<Warning>, Failure> {
    let Some(gate) = gate(services, request) else { return Ok(Vec::new()) };
    let mut warnings = Vec::new();
    for base in bases {
        warnings.extend(gate.judged(&base.scan, &base.image)?);
    }
    Ok(warnings)
}
