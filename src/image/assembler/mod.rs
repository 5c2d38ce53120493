//! Images without a daemon: a Dockerfile that only places files is assembled straight into OCI blobs.
//!
//! The base image comes from its registry, or once from the Engine where only that has it. The context is hashed, and
//! of it only what changed (`scan`). Each `COPY` is carried out on the image's tree (`copy`) and becomes a layer
//! under the hash of its content, so that it is compressed once (`layer`), and goes to its registry meanwhile (`ahead`);
//! configuration and manifest are written last. Equal inputs give equal bytes. What needs an Engine (`RUN`) is refused with its line (`stages`).

mod ahead;
mod archive;
mod assemble;
mod base;
mod blocks;
mod check;
mod contents;
mod copy;
mod document;
mod from_engine;
mod guard;
mod kept;
mod layer;
mod layout;
mod load;
mod name;
mod node;
mod outdated;
mod pool;
mod publish;
mod recipe;
mod remote;
mod run;
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
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

pub use self::ahead::Ahead;
use self::ahead::Courier;
use self::assemble::{Made, Work};
use self::base::Base;
pub use self::check::{Checked, check};
pub use self::document::MediaTypes;
pub use self::kept::Kept;
use self::layer::Layer;
use self::layout::{COPY_AGAIN, Layout};
use self::remote::Remote;
use self::stages::Stages;
use self::store::Store;
pub use self::upkeep::{Cache, Holding, Limits};
use super::docker::run;
use super::registry::Descriptor;
use super::{BuildSpec, BuiltImage, ImageBackend, LogSink, Maker, PublishedImage, Reach, RegistryAccess, own_base};
use crate::dockerfile::parse::parse;
use crate::http::ClientCertificate;
use crate::model::failure::{Failure, FailureCode, Step};
use crate::model::image_reference::ImageReference;
use crate::model::layout_reference::LayoutReference;
use crate::work::blocking;

/// Assembles images itself; its blobs are in a directory of the cache.
#[derive(Debug)]
pub struct AssemblerBackend {
    store: Store,
    /// How registries are reached that base images come from.
    access: RegistryAccess,
    /// The layout of the base images that were made here without an Engine.
    own: PathBuf,
    /// Whether it carries out `RUN`, as root of this machine.
    runs: bool,
    types: MediaTypes,
    /// How long a base image's tag keeps its digest without being asked for again.
    tags: Duration,
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
    #[serde(default)]
    types: MediaTypes,
}

impl Assembled {
    /// Whether the store still has all of it.
    fn is_whole(&self, store: &Store) -> bool {
        self.parts().all(|blob| store.has(blob))
    }

    fn parts(&self) -> impl Iterator<Item = &Descriptor> {
        let layers = self.layers.iter().map(|layer| &layer.blob);
        layers.chain([&self.config, &self.manifest])
    }
}

impl AssemblerBackend {
    /// With its blobs in this directory; `ca_bundle` (PEM) is trusted beside the system's authorities.
    #[must_use]
    pub fn new(directory: PathBuf, ca_bundle: Option<Vec<u8>>) -> Self {
        let access = RegistryAccess { ca_bundle, ..RegistryAccess::default() };
        let own = directory.join("none");
        Self {
            store: Store::new(directory),
            access,
            own,
            runs: false,
            types: MediaTypes::default(),
            tags: Duration::ZERO,
        }
    }

    /// With what registries of base images are shown that ask for a client certificate.
    #[must_use]
    pub fn client_certificates(self, shown: BTreeMap<String, ClientCertificate>) -> Self {
        Self { access: RegistryAccess { client_certificates: shown, ..self.access }, ..self }
    }

    /// With what the operator says of all registries.
    #[must_use]
    pub fn reach(self, reach: Reach) -> Self {
        Self { access: RegistryAccess { reach, ..self.access }, ..self }
    }

    /// With the base images of an OCI image layout, for names that no registry has (`slipway/debian`).
    #[must_use]
    pub fn base_images(self, own: PathBuf) -> Self {
        Self { own, ..self }
    }

    /// With these names for the parts of images.
    #[must_use]
    pub fn media_types(self, types: MediaTypes) -> Self {
        Self { types, ..self }
    }

    /// With tags of base images that are asked for again only after so long.
    #[must_use]
    pub fn base_tags(self, tags: Duration) -> Self {
        Self { tags, ..self }
    }

    /// One that carries out `RUN`: as root, with this machine's network, in a root file system of its own but in no
    /// container. For Dockerfiles of the operator's alone.
    #[must_use]
    pub fn running(self) -> Self {
        Self { runs: true, ..self }
    }

    /// Whether it can make the image; what it cannot even read, it says so itself.
    pub(super) fn takes(spec: &BuildSpec) -> bool {
        let Ok(file) = parse(&spec.dockerfile) else { return true };
        let stages = Stages::of(&file, &spec.build_args, spec.target.as_deref(), false);
        !stages.is_err_and(|failure| failure.code == FailureCode::DockerfileUnsupported)
    }

    async fn assemble(&self, spec: &BuildSpec, log: LogSink<'_>) -> Result<BuiltImage, Failure> {
        let file = parse(&spec.dockerfile).map_err(|error| {
            Failure::new(FailureCode::ImageFailed, format!("the Dockerfile, line {}: {}", error.line, error.problem))
                .at("Dockerfile", Some(error.line))
        })?;
        let (runs, types) = (self.runs, self.types);
        let images = Stages::of(&file, &spec.build_args, spec.target.as_deref(), runs)?.images();
        let mut bases = BTreeMap::new();
        for (image, line) in images {
            let base = self.base(&image, spec, log).await;
            let base = base.map_err(|failure| failure.at("Dockerfile", Some(line)))?;
            bases.insert(image, base);
        }
        let homes = bases.values().filter_map(|base| base.home.as_deref());
        let courier = spec.destination.as_ref().map(|to| Courier::new(&self.store, to, homes));
        let (store, spec, stop) = (self.store.clone(), spec.clone(), CancellationToken::new());
        // Whoever gives this future up ends the command that runs.
        let _ended = stop.clone().drop_guard();
        let made = tokio::task::spawn_blocking(move || {
            let stages = Stages::of(&file, &spec.build_args, spec.target.as_deref(), runs)?;
            let courier = courier.as_ref();
            Work { store: &store, spec: &spec, stages: &stages, bases: &bases, types, courier, stop: &stop }.image()
        });
        let Made { image, log: lines, cached, ahead } = made
            .await
            .map_err(|error| Failure::new(FailureCode::Internal, format!("assembling ended abnormally: {error}")))??;
        for line in &lines {
            log(line);
        }
        let cache = Cache::new(self.store.directory().to_owned()).base_images(self.own.clone());
        // Nobody waits for it.
        drop(tokio::task::spawn_blocking(move || cache.collect_if_due()));
        Ok(BuiltImage { ahead, ..built(&self.store, &image, cached) })
    }

    async fn base(&self, named: &str, spec: &BuildSpec, log: LogSink<'_>) -> Result<Base, Failure> {
        if named == "scratch" {
            return Ok(Base::default());
        }
        if LayoutReference::is_meant(named) {
            return self.of_layout(named, spec).await;
        }
        let reference = ImageReference::familiar(named)
            .map_err(|error| Failure::new(FailureCode::BaseImageMissing, error.to_string()))?;
        if let Some(name) = own_base::name(&reference) {
            return self.of_this_machine(named, &name).await;
        }
        let account = spec.credentials.get(reference.registry());
        let tags = if spec.no_cache { Duration::ZERO } else { self.tags };
        Remote::new(&reference, account, &self.access, tags)?.pull(&self.store, log).await
    }

    /// A layout of the operator's: a repository names no path of this machine.
    async fn of_layout(&self, named: &str, spec: &BuildSpec) -> Result<Base, Failure> {
        if !spec.layouts.contains(named) {
            let message =
                format!("`{named}` names a directory of this machine, which only the operator's catalogue may");
            return Err(Failure::new(FailureCode::BaseImageMissing, message)
                .hint("name a base image of the catalogue, or one of a registry"));
        }
        let missing = |why: String| Failure::new(FailureCode::BaseImageMissing, why);
        let reference: LayoutReference = named.parse().map_err(missing)?;
        let (shown, directory, name) = (named.to_owned(), reference.directory, reference.name);
        let layout = Layout { shown, directory, name, remedy: COPY_AGAIN };
        self.read(layout).await?.ok_or_else(|| missing(format!("the layout has no image `{named}`")))
    }

    /// A base image of ours, made here without an Engine or by it.
    async fn of_this_machine(&self, named: &str, name: &str) -> Result<Base, Failure> {
        if let Some(layout) = self.own_layout(named, name)
            && let Some(base) = self.read(layout).await?
        {
            return Ok(base);
        }
        from_engine::base(&self.store, named).await?.ok_or_else(|| own_base::not_here(named))
    }

    async fn read(&self, layout: Layout) -> Result<Option<Base>, Failure> {
        let store = self.store.clone();
        blocking(move || layout.base(&store)).await
    }

    fn image(&self, built: &BuiltImage) -> Result<Assembled, Failure> {
        let lost =
            || Failure::new(FailureCode::Internal, format!("the image `{}` is not in the cache any more", built.id));
        self.store.recall("images", built.id.hex()).ok_or_else(lost)
    }
}

/// What is told of an image, which the store finds again by it.
fn built(store: &Store, image: &Assembled, cached: bool) -> BuiltImage {
    store.note("images", image.config.digest.hex(), image);
    BuiltImage {
        id: image.config.digest.clone(),
        size: image.size,
        layers: image.layers.iter().map(|layer| layer.diff_id.clone()).collect(),
        cached,
        made_by: Maker::Assembler,
        in_engine: None,
        ahead: Ahead::default(),
    }
}

impl ImageBackend for AssemblerBackend {
    async fn build(
        &self,
        spec: &BuildSpec,
        log: LogSink<'_>,
        cancel: &CancellationToken,
    ) -> Result<BuiltImage, Failure> {
        run(cancel, Step::Image, Box::pin(self.assemble(spec, log))).await
    }

    async fn push(
        &self,
        image: &BuiltImage,
        references: &[ImageReference],
        access: &RegistryAccess,
        log: LogSink<'_>,
        cancel: &CancellationToken,
    ) -> Result<PublishedImage, Failure> {
        run(cancel, Step::Push, Box::pin(self.publish(image, references, access, log))).await
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
