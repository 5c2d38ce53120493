//! The image backends, one of which the operator or the flag chooses.

use std::path::Path;

use tokio_util::sync::CancellationToken;

use super::assembler::AssemblerBackend;
use super::docker::{DockerBackend, run};
use super::{BuildSpec, BuiltImage, ImageBackend, LogSink, Maker, PublishedImage, RegistryAccess};
use crate::model::failure::{Failure, FailureCode, Step};
use crate::model::image_reference::ImageReference;

/// What makes images.
#[derive(Debug)]
pub enum Backend {
    /// The Docker Engine.
    Docker(DockerBackend),
    /// Slipway itself.
    Assembler(AssemblerBackend),
    /// Slipway itself for what it can make, the Engine for the rest.
    Automatic(DockerBackend, AssemblerBackend),
}

impl Backend {
    /// The Engine, where images may come to it.
    #[must_use]
    pub fn engine(&self) -> Option<&DockerBackend> {
        match self {
            Self::Docker(engine) | Self::Automatic(engine, _) => Some(engine),
            Self::Assembler(_) => None,
        }
    }
}

impl ImageBackend for Backend {
    async fn build(
        &self,
        spec: &BuildSpec,
        log: LogSink<'_>,
        cancel: &CancellationToken,
    ) -> Result<BuiltImage, Failure> {
        match self {
            Self::Docker(backend) => backend.build(spec, log, cancel).await,
            Self::Assembler(backend) => Box::pin(backend.build(spec, log, cancel)).await,
            Self::Automatic(engine, assembler) if AssemblerBackend::takes(spec) => {
                match Box::pin(assembler.build(spec, log, cancel)).await {
                    Ok(built) if spec.local => give(engine, assembler, spec, built, log, cancel).await,
                    // Some of what it cannot do is seen only in the files and the base.
                    Err(failure) if failure.code == FailureCode::DockerfileUnsupported => {
                        instead(engine, spec, failure, log, cancel).await
                    }
                    built => built,
                }
            }
            Self::Automatic(engine, _) => engine.build(spec, log, cancel).await,
        }
    }

    async fn push(
        &self,
        image: &BuiltImage,
        references: &[ImageReference],
        access: &RegistryAccess,
        log: LogSink<'_>,
        cancel: &CancellationToken,
    ) -> Result<PublishedImage, Failure> {
        match self {
            Self::Docker(backend) => backend.push(image, references, access, log, cancel).await,
            Self::Automatic(backend, _) if image.made_by == Maker::Engine => {
                backend.push(image, references, access, log, cancel).await
            }
            Self::Assembler(backend) | Self::Automatic(_, backend) => {
                Box::pin(backend.push(image, references, access, log, cancel)).await
            }
        }
    }

    async fn save(
        &self,
        image: &BuiltImage,
        references: &[ImageReference],
        destination: &Path,
        cancel: &CancellationToken,
    ) -> Result<(), Failure> {
        match self {
            Self::Docker(backend) => backend.save(image, references, destination, cancel).await,
            Self::Automatic(backend, _) if image.made_by == Maker::Engine => {
                backend.save(image, references, destination, cancel).await
            }
            Self::Assembler(backend) | Self::Automatic(_, backend) => {
                Box::pin(backend.save(image, references, destination, cancel)).await
            }
        }
    }
}

/// Builds by the Engine what cannot be assembled, where an Engine answers.
async fn instead(
    engine: &DockerBackend,
    spec: &BuildSpec,
    failure: Failure,
    log: LogSink<'_>,
    cancel: &CancellationToken,
) -> Result<BuiltImage, Failure> {
    if engine.check().await.is_err() {
        return Err(failure);
    }
    log(&format!("{} The Docker Engine builds the image.", failure.message));
    engine.build(spec, log, cancel).await
}

/// Gives the Engine what was assembled, where an Engine answers.
async fn give(
    engine: &DockerBackend,
    assembler: &AssemblerBackend,
    spec: &BuildSpec,
    built: BuiltImage,
    log: LogSink<'_>,
    cancel: &CancellationToken,
) -> Result<BuiltImage, Failure> {
    if engine.check().await.is_err() {
        log("no Docker Engine answers: the image is in the cache alone, and is not started for a trial");
        return Ok(built);
    }
    let load = assembler.load(&built, &spec.references, engine.engine());
    let in_engine = Some(Box::pin(run(cancel, Step::Image, load)).await?);
    Ok(BuiltImage { in_engine, ..built })
}
