//! Images without a daemon: a Dockerfile that only places files is assembled straight into OCI blobs.
//!
//! The base image comes from its registry, or once from the Engine where only that has it. The context is hashed, and
//! of it only what changed (`scan`). Each `COPY` is carried out on the image's tree (`copy`) and becomes a layer
//! under the hash of its content, so that it is compressed once (`layer`); configuration and manifest are written
//! last. Equal inputs give equal bytes. What needs an Engine (`RUN`) is refused with its line (`stages`).

mod archive;
mod assemble;
mod base;
mod blocks;
mod contents;
mod copy;
mod document;
mod from_engine;
mod guard;
mod layer;
mod load;
mod name;
mod node;
mod pool;
mod publish;
mod recipe;
mod remote;
mod scan;
mod sources;
mod stages;
mod store;
mod tar_entry;
mod tree;
mod unpack;
pub mod untrusted;
mod upkeep;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use self::assemble::Work;
use self::base::Base;
use self::layer::Layer;
use self::remote::Remote;
use self::stages::Stages;
use self::store::Store;
pub use self::upkeep::{Cache, Holding, Limits};
use super::credentials::Credentials;
use super::docker::run;
use super::registry::Descriptor;
use super::{BuildSpec, BuiltImage, ImageBackend, LogSink, Maker, PublishedImage, RegistryAccess};
use crate::dockerfile::parse::parse;
use crate::model::failure::{Failure, FailureCode, Step};
use crate::model::image_reference::ImageReference;

/// Assembles images itself; its blobs are in a directory of the cache.
#[derive(Debug)]
pub struct AssemblerBackend {
    store: Store,
    /// How registries are reached that base images come from.
    access: RegistryAccess,
}

/// A finished image in the store.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Assembled {
    layers: Vec<Layer>,
    config: Descriptor,
    manifest: Descriptor,
    /// The repository that the base image came from, for mounts.
    home: Option<String>,
    /// Bytes of the layers, compressed.
    size: u64,
}

impl Assembled {
    /// Whether the store still has all of it.
    fn is_whole(&self, store: &Store) -> bool {
        let layers = self.layers.iter().map(|layer| &layer.blob);
        layers.chain([&self.config, &self.manifest]).all(|blob| store.has(blob))
    }
}

impl AssemblerBackend {
    /// With its blobs in this directory; `ca_bundle` (PEM) is trusted beside the system's authorities.
    #[must_use]
    pub fn new(directory: PathBuf, ca_bundle: Option<Vec<u8>>) -> Self {
        let access = RegistryAccess { ca_bundle, ..RegistryAccess::default() };
        Self { store: Store::new(directory), access }
    }

    /// Whether it can make the image; what it cannot even read, it says so itself.
    pub(super) fn takes(spec: &BuildSpec) -> bool {
        let Ok(file) = parse(&spec.dockerfile) else { return true };
        let stages = Stages::of(&file, &spec.build_args, spec.target.as_deref());
        !stages.is_err_and(|failure| failure.code == FailureCode::DockerfileUnsupported)
    }

    async fn assemble(&self, spec: &BuildSpec, log: LogSink<'_>) -> Result<BuiltImage, Failure> {
        let file = parse(&spec.dockerfile).map_err(|error| {
            Failure::new(FailureCode::ImageFailed, format!("the Dockerfile, line {}: {}", error.line, error.problem))
                .at("Dockerfile", Some(error.line))
        })?;
        let images = Stages::of(&file, &spec.build_args, spec.target.as_deref())?.images();
        let mut bases = BTreeMap::new();
        for (image, line) in images {
            let base = self.base(&image, &spec.credentials, log).await;
            let base = base.map_err(|failure| failure.at("Dockerfile", Some(line)))?;
            bases.insert(image, base);
        }
        let (store, spec) = (self.store.clone(), spec.clone());
        let made = tokio::task::spawn_blocking(move || {
            let stages = Stages::of(&file, &spec.build_args, spec.target.as_deref())?;
            Work { store: &store, spec: &spec, stages: &stages, bases: &bases }.image()
        });
        let (image, lines, cached) = made
            .await
            .map_err(|error| Failure::new(FailureCode::Internal, format!("assembling ended abnormally: {error}")))??;
        for line in &lines {
            log(line);
        }
        self.store.note("images", image.config.digest.hex(), &image);
        let cache = Cache::new(self.store.directory().to_owned());
        // Nobody waits for it.
        drop(tokio::task::spawn_blocking(move || cache.collect_if_due()));
        Ok(BuiltImage {
            id: image.config.digest.clone(),
            size: image.size,
            layers: image.layers.iter().map(|layer| layer.diff_id.clone()).collect(),
            cached,
            made_by: Maker::Assembler,
            in_engine: None,
        })
    }

    async fn base(
        &self,
        named: &str,
        known: &BTreeMap<String, Credentials>,
        log: LogSink<'_>,
    ) -> Result<Base, Failure> {
        if named == "scratch" {
            return Ok(Base::default());
        }
        let reference = ImageReference::familiar(named)
            .map_err(|error| Failure::new(FailureCode::BaseImageMissing, error.to_string()))?;
        // What was only built here has no registry; `slipway/…` on a hub is nobody's.
        let own = reference.name().starts_with("docker.io/slipway/");
        if own {
            return from_engine::base(&self.store, named).await?.ok_or_else(|| {
                let message = format!("The base image `{named}` is in no registry, and no Docker Engine here has it.");
                Failure::new(FailureCode::BaseImageMissing, message)
                    .hint("push it once with `slipway base-images push`, and keep `images.lock`")
            });
        }
        Remote::new(&reference, known.get(reference.registry()), &self.access)?.pull(&self.store, log).await
    }

    fn image(&self, built: &BuiltImage) -> Result<Assembled, Failure> {
        let lost =
            || Failure::new(FailureCode::Internal, format!("the image `{}` is not in the cache any more", built.id));
        self.store.recall("images", built.id.hex()).ok_or_else(lost)
    }
}

impl ImageBackend for AssemblerBackend {
    async fn build(
        &self,
        spec: &BuildSpec,
        log: LogSink<'_>,
        cancel: &CancellationToken,
    ) -> Result<BuiltImage, Failure> {
        run(cancel, Step::Image, self.assemble(spec, log)).await
    }

    async fn push(
        &self,
        image: &BuiltImage,
        references: &[ImageReference],
        access: &RegistryAccess,
        log: LogSink<'_>,
        cancel: &CancellationToken,
    ) -> Result<PublishedImage, Failure> {
        run(cancel, Step::Push, self.publish(image, references, access, log)).await
    }

    async fn save(
        &self,
        image: &BuiltImage,
        references: &[ImageReference],
        destination: &Path,
        cancel: &CancellationToken,
    ) -> Result<(), Failure> {
        let image = self.image(image)?;
        let (store, references, destination) = (self.store.clone(), references.to_vec(), destination.to_owned());
        let work = async {
            tokio::task::spawn_blocking(move || archive::save(&store, &image, &references, &destination))
                .await
                .map_err(|error| Failure::new(FailureCode::Internal, format!("saving ended abnormally: {error}")))?
        };
        run(cancel, Step::Image, work).await
    }
}
