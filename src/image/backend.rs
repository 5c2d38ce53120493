//! The image backends, one of which the operator or the flag chooses.

use std::path::Path;

use tokio_util::sync::CancellationToken;

use super::assembler::AssemblerBackend;
use super::docker::DockerBackend;
use super::{BuildSpec, BuiltImage, ImageBackend, LogSink, PublishedImage, RegistryAccess};
use crate::model::failure::Failure;
use crate::model::image_reference::ImageReference;

/// What makes images.
#[derive(Debug)]
pub enum Backend {
    /// The Docker Engine.
    Docker(DockerBackend),
    /// Slipway itself.
    Assembler(AssemblerBackend),
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
            Self::Assembler(backend) => Box::pin(backend.push(image, references, access, log, cancel)).await,
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
            Self::Assembler(backend) => Box::pin(backend.save(image, references, destination, cancel)).await,
        }
    }
}
