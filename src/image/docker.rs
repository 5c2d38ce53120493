//! Images by the Docker Engine: `BuildKit` builds, the Engine pushes.

use std::path::Path;

use tokio_util::sync::CancellationToken;

use super::engine::Engine;
use super::{BuildSpec, BuiltImage, ImageBackend, LogSink, PublishedImage, RegistryAccess, build, push, save};
use crate::model::failure::{Failure, Step};
use crate::model::image_reference::ImageReference;
use crate::work::unless_cancelled;

/// The Docker Engine (API 1.41 and newer) as an image backend.
#[derive(Debug, Default)]
pub struct DockerBackend {
    engine: Engine,
}

impl DockerBackend {
    /// The Engine at an address (`unix:///var/run/docker.sock`, `tcp://host:port`), or where
    /// `DOCKER_HOST` says. Nothing is connected yet.
    #[must_use]
    pub fn new(host: Option<String>) -> Self {
        Self { engine: Engine::new(host) }
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The connection, for those who speak to the Engine about something else than images.
    ///
    /// # Errors
    ///
    /// `engine_unavailable`.
    pub async fn client(&self) -> Result<bollard::Docker, Failure> {
        self.engine.docker().await.cloned()
    }

    /// Says whether the Engine is there.
    ///
    /// # Errors
    ///
    /// `engine_unavailable`.
    pub async fn check(&self) -> Result<(), Failure> {
        self.engine.docker().await.map(|_| ())
    }
}

impl ImageBackend for DockerBackend {
    async fn build(
        &self,
        spec: &BuildSpec,
        log: LogSink<'_>,
        cancel: &CancellationToken,
    ) -> Result<BuiltImage, Failure> {
        run(cancel, Step::Image, build::build(&self.engine, spec, log)).await
    }

    async fn push(
        &self,
        image: &BuiltImage,
        references: &[ImageReference],
        access: &RegistryAccess,
        log: LogSink<'_>,
        cancel: &CancellationToken,
    ) -> Result<PublishedImage, Failure> {
        run(cancel, Step::Push, push::push(&self.engine, image, references, access, log)).await
    }

    async fn save(
        &self,
        image: &BuiltImage,
        references: &[ImageReference],
        destination: &Path,
        cancel: &CancellationToken,
    ) -> Result<(), Failure> {
        run(cancel, Step::Image, save::save(&self.engine, image, references, destination)).await
    }
}

/// Runs the step until it ends or nobody wants it: dropping it closes its connections, which
/// stops what the Engine does for it.
pub(super) async fn run<T>(
    cancel: &CancellationToken,
    step: Step,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    unless_cancelled(cancel, work).await.map_err(|failure| failure.in_step(step))
}
