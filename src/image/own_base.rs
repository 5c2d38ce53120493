//! Base images of Slipway's own that were built on this machine and pushed nowhere: `slipway/NAME`.

use bollard::errors::Error;

use super::Backend;
use super::assembler::AssemblerBackend;
use super::docker::DockerBackend;
use crate::model::failure::{Failure, FailureCode};
use crate::model::image_reference::ImageReference;

/// The name of one, as the reference of a Dockerfile has it. No registry is meant, so none is asked: `slipway/…` on a hub
/// is anybody's.
pub(super) fn name(reference: &ImageReference) -> Option<String> {
    let full = reference.to_string();
    full.strip_prefix("docker.io/").filter(|name| name.starts_with("slipway/")).map(str::to_owned)
}

/// Whether a base is one.
pub(super) fn is_meant(base: &str) -> bool {
    ImageReference::familiar(base).is_ok_and(|reference| name(&reference).is_some())
}

/// The failure that it is not here.
pub(super) fn not_here(base: &str) -> Failure {
    let message =
        format!("The base image `{base}` is in no registry, and neither Slipway nor a Docker Engine here has it.");
    Failure::new(FailureCode::BaseImageMissing, message).hint(
        "make it with `slipway base-images build`; or push it once with `slipway base-images push`, and keep `images.lock`",
    )
}

impl Backend {
    /// Refuses those that nobody here has, before anything is compiled for them. Other bases are looked for when they are
    /// wanted.
    ///
    /// # Errors
    /// `base_image_missing`.
    pub async fn has_own(&self, bases: &[String]) -> Result<(), Failure> {
        for base in bases.iter().filter(|base| is_meant(base)) {
            let here = match self {
                Self::Docker(engine) => engine.may_have(base).await,
                Self::Assembler(assembler) => assembler.may_have(base).await,
                Self::Automatic(engine, assembler) => assembler.may_have(base).await || engine.may_have(base).await,
            };
            if !here {
                return Err(not_here(base));
            }
        }
        Ok(())
    }
}

impl DockerBackend {
    /// What the Engine does not say now, it says when it is wanted.
    async fn may_have(&self, base: &str) -> bool {
        let Ok(docker) = self.client().await else { return true };
        let found = docker.inspect_image(base).await;
        !matches!(found, Err(Error::DockerResponseServerError { status_code: 404, .. }))
    }
}

impl AssemblerBackend {
    /// In a layout of its own, or in an Engine, which it takes it from.
    async fn may_have(&self, base: &str) -> bool {
        let name = ImageReference::familiar(base).ok().and_then(|reference| name(&reference));
        if name.is_some_and(|name| self.has_made(&name)) {
            return true;
        }
        let engine = DockerBackend::new(None);
        engine.check().await.is_ok() && engine.may_have(base).await
    }
}
