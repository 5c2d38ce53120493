//! Images without a daemon: a Dockerfile that only places files is assembled straight into OCI blobs.
//!
//! The base image comes from its registry, or once from the Engine where only that has it. Each `COPY` becomes a layer
//! under the hash of its content, so that it is compressed once; configuration and manifest are written last. Equal
//! inputs give equal bytes. What needs an Engine (`RUN`, several stages, wildcards) is refused with its line.

mod archive;
mod base;
mod context;
mod copy;
mod layer;
mod recipe;
mod remote;
mod store;
mod tree;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use self::base::Base;
use self::layer::Layer;
use self::recipe::{Change, Recipe};
use self::remote::Remote;
use self::store::Store;
use super::credentials::{self, Credentials};
use super::diagnosis::diagnose;
use super::docker::run;
use super::push::{ATTEMPTS, LONGEST_PAUSE, backoff};
use super::registry::{Descriptor, Registry, Shown};
use super::{
    BuildContext, BuildSpec, BuiltImage, ImageBackend, LogSink, PublishedImage, PublishedLayer, RegistryAccess,
};
use crate::dockerfile::parse::parse;
use crate::model::failure::{Failure, FailureCode, Step};
use crate::model::image_reference::ImageReference;

/// When an image was made that says nothing of it; its label says when its commit was.
const CREATED: &str = "1980-01-01T00:00:00Z";

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

impl AssemblerBackend {
    /// With its blobs in this directory; `ca_bundle` (PEM) is trusted beside the system's authorities.
    #[must_use]
    pub fn new(directory: PathBuf, ca_bundle: Option<Vec<u8>>) -> Self {
        let access = RegistryAccess { credentials: None, plain_http: false, ca_bundle };
        Self { store: Store::new(directory), access }
    }

    async fn assemble(&self, spec: &BuildSpec, log: LogSink<'_>) -> Result<BuiltImage, Failure> {
        let file = parse(&spec.dockerfile).map_err(|error| {
            Failure::new(FailureCode::ImageFailed, format!("the Dockerfile, line {}: {}", error.line, error.problem))
                .at("Dockerfile", Some(error.line))
        })?;
        if let Some(target) = &spec.target {
            let message = format!("the stage `{target}` is asked for, and images are assembled from one stage only");
            return Err(Failure::new(FailureCode::DockerfileUnsupported, message)
                .hint("build it by the Docker Engine: `--image-backend docker`"));
        }
        let stage = recipe::stage(&file, &spec.build_args)?;
        let base = self.base(&stage.base, &spec.credentials, log).await?;
        let mut recipe = stage.recipe(&base.config["config"])?;
        for (key, value) in &spec.labels {
            recipe.config["Labels"][key.as_str()] = json!(value);
        }
        let (store, context, dockerfile) = (self.store.clone(), spec.context.clone(), spec.dockerfile.clone());
        let made = tokio::task::spawn_blocking(move || build(&store, &base, recipe, &context, &dockerfile)).await;
        let (image, lines) = made
            .map_err(|error| Failure::new(FailureCode::Internal, format!("assembling ended abnormally: {error}")))??;
        for line in &lines {
            log(line);
        }
        self.store.note("images", image.config.digest.hex(), &image);
        Ok(BuiltImage {
            id: image.config.digest.clone(),
            size: image.size,
            layers: image.layers.iter().map(|layer| layer.diff_id.clone()).collect(),
            cached: false,
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
            return base::of_engine(&self.store, named).await?.ok_or_else(|| {
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

    async fn publish(
        &self,
        built: &BuiltImage,
        references: &[ImageReference],
        access: &RegistryAccess,
        log: LogSink<'_>,
    ) -> Result<PublishedImage, Failure> {
        let image = self.image(built)?;
        let mut layers: Option<Vec<PublishedLayer>> = None;
        for reference in references {
            if reference.tag().is_none() || reference.digest().is_some() {
                let message = format!("`{reference}` cannot be pushed to: a push needs a tag and no digest.");
                return Err(Failure::new(FailureCode::RequestInvalid, message));
            }
            let credentials = match &access.credentials {
                Some(credentials) => Some(credentials.clone()),
                None => credentials::of_docker(reference.registry()).await?,
            };
            log(&format!("pushing {reference}"));
            let pushed = self.with_retries(&image, reference, credentials.as_ref(), access, log).await?;
            layers.get_or_insert(pushed);
        }
        let layers = layers
            .ok_or_else(|| Failure::new(FailureCode::RequestInvalid, "There is no reference to push the image to."))?;
        Ok(PublishedImage {
            references: references.to_vec(),
            digest: image.manifest.digest.clone(),
            size: image.config.size + layers.iter().map(|layer| layer.size).sum::<u64>(),
            layers,
        })
    }

    async fn with_retries(
        &self,
        image: &Assembled,
        reference: &ImageReference,
        credentials: Option<&Credentials>,
        access: &RegistryAccess,
        log: LogSink<'_>,
    ) -> Result<Vec<PublishedLayer>, Failure> {
        let mut attempt = 1;
        loop {
            let pushed = Remote::new(reference, credentials, access)?.push(&self.store, image, log).await;
            let said = match pushed {
                Ok(layers) => return self.confirmed(image, reference, credentials, access).await.map(|()| layers),
                Err(error) => error.to_string(),
            };
            // An immutable tag refuses even the image that it has.
            if self.confirmed(image, reference, credentials, access).await.is_ok() {
                let all = image.layers.iter().map(|layer| PublishedLayer {
                    digest: layer.blob.digest.clone(),
                    size: layer.blob.size,
                    reused: true,
                });
                return Ok(all.collect());
            }
            let diagnosis = diagnose(reference, credentials, access, &said).await;
            let pause = diagnosis.retry_after.unwrap_or_else(|| backoff(attempt));
            if !diagnosis.failure.retryable || attempt == ATTEMPTS || pause > LONGEST_PAUSE {
                return Err(diagnosis.failure);
            }
            log(&format!("{} Trying again in {:.1} s.", diagnosis.failure, pause.as_secs_f64()));
            tokio::time::sleep(pause).await;
            attempt += 1;
        }
    }

    /// Sees that the tag names the image.
    async fn confirmed(
        &self,
        image: &Assembled,
        reference: &ImageReference,
        credentials: Option<&Credentials>,
        access: &RegistryAccess,
    ) -> Result<(), Failure> {
        let pushed = &image.manifest.digest;
        let shows = match Registry::new(reference, credentials, access)?.show(reference).await {
            Ok(Shown::Image(digest, _)) if digest == *pushed => return Ok(()),
            Ok(Shown::Gated) => return Ok(()),
            Ok(Shown::Image(digest, _)) => format!("shows `{digest}`"),
            Ok(Shown::Missing) => "shows no image".to_owned(),
            Err(error) => format!("does not confirm it: {error}"),
        };
        let message =
            format!("`{pushed}` was pushed to `{reference}`, and the registry `{}` {shows}.", reference.registry());
        Err(Failure::new(FailureCode::DigestMismatch, message))
    }
}

/// Makes layers, configuration and manifest. Blocks.
fn build(
    store: &Store,
    base: &Base,
    recipe: Recipe,
    context: &BuildContext,
    dockerfile: &str,
) -> Result<(Assembled, Vec<String>), Failure> {
    let mut tree = base.tree(store)?;
    let context = context::Context::read(context, dockerfile, store.directory())?;
    let mut layers = base.layers.clone();
    let mut log = Vec::new();
    let label = &recipe.config["Labels"]["org.opencontainers.image.created"];
    let created = label.as_str().unwrap_or(CREATED).to_owned();
    let mut history = history_of(&base.config, base.layers.len());
    for (instruction, change) in &recipe.steps {
        let items = match change {
            Some(Change::Copy(one)) => copy::copy(one, &context, &mut tree)?,
            Some(Change::Directory { line, path }) => copy::directory(*line, path, &mut tree)?,
            None => layer::Items::new(),
        };
        let mut entry = json!({ "created": created, "created_by": instruction, "comment": "slipway" });
        if items.is_empty() {
            entry["empty_layer"] = json!(true);
        } else {
            let (made, known) = layer::make(store, &items, &context)?;
            let how = if known { "known" } else { "made" };
            log.push(format!("{instruction}: {how}, {} entries, {} bytes", items.len(), made.blob.size));
            layers.push(made);
        }
        history.push(entry);
    }
    let config = configuration(&base.config, recipe.config, &layers, history, &created);
    let config = store.put(&json_bytes(&config)?)?;
    let manifest = store.put(&json_bytes(&manifest(&config, &layers))?)?;
    let size = layers.iter().map(|layer| layer.blob.size).sum();
    Ok((Assembled { layers, config, manifest, home: base.home.clone(), size }, log))
}

/// The base's history; where it has none, a line for each layer, since Docker counts them.
fn history_of(config: &Value, layers: usize) -> Vec<Value> {
    match config["history"].as_array() {
        Some(history) if !history.is_empty() => history.clone(),
        _ => vec![json!({ "created": CREATED, "created_by": "the base image" }); layers],
    }
}

/// The base's configuration with what changed; fields that nobody here knows stay.
fn configuration(base: &Value, config: Value, layers: &[Layer], history: Vec<Value>, created: &str) -> Value {
    let mut whole = base.as_object().cloned().unwrap_or_default();
    // What the Engine notes of the container that made a layer.
    for gone in ["container", "container_config", "docker_version", "id", "parent", "throwaway"] {
        whole.shift_remove(gone);
    }
    whole.entry("architecture").or_insert_with(|| json!(remote::architecture()));
    whole.entry("os").or_insert_with(|| json!("linux"));
    whole.insert("created".to_owned(), json!(created));
    whole.insert("config".to_owned(), config);
    let diff_ids: Vec<_> = layers.iter().map(|layer| &layer.diff_id).collect();
    whole.insert("rootfs".to_owned(), json!({ "type": "layers", "diff_ids": diff_ids }));
    whole.insert("history".to_owned(), Value::Array(history));
    Value::Object(whole)
}

fn manifest(config: &Descriptor, layers: &[Layer]) -> Value {
    let layers: Vec<Value> = layers
        .iter()
        .map(|layer| {
            json!({
                "mediaType": oci_client::manifest::IMAGE_LAYER_GZIP_MEDIA_TYPE,
                "digest": layer.blob.digest,
                "size": layer.blob.size,
            })
        })
        .collect();
    json!({
        "schemaVersion": 2,
        "mediaType": oci_client::manifest::OCI_IMAGE_MEDIA_TYPE,
        "config": {
            "mediaType": oci_client::manifest::IMAGE_CONFIG_MEDIA_TYPE,
            "digest": config.digest,
            "size": config.size,
        },
        "layers": layers,
    })
}

fn json_bytes(value: &Value) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(value).map_err(|error| Failure::new(FailureCode::Internal, error.to_string()))
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
