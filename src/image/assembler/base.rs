//! The image that an image starts from, or copies from.

use std::io::Read;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::guard::{self, Guarded};
use super::layer::{self, Layer};
use super::remote::architecture;
use super::store::{Store, digest_of, unreadable};
use super::tree::Tree;
use crate::image::registry::Descriptor;
use crate::model::failure::{Failure, FailureCode};
use crate::model::image_reference::{DiffId, Digest};

/// A base image, all of it in the store.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Base {
    /// The whole configuration; null for `scratch`.
    pub(super) config: Value,
    pub(super) layers: Vec<Layer>,
    /// The repository that has the layers, `registry/repository`, if one has.
    pub(super) home: Option<String>,
}

/// What a tree of the notes is made by: newer rules read no older ones.
const FORM: &str = "2";

impl Base {
    /// The merged file system, from the store's notes or from the layers, whose digests are checked on the way.
    pub(super) fn tree(&self, store: &Store) -> Result<Tree, Failure> {
        let mut key = Sha256::new_with_prefix(FORM);
        self.layers.iter().for_each(|layer| key.update(layer.diff_id.0.as_str()));
        let key = hex::encode(key.finalize());
        if let Some(tree) = store.recall("trees", &key) {
            return Ok(tree);
        }
        let mut tree = Tree::default();
        for (index, layer) in (0..).zip(&self.layers) {
            let path = store.path(&layer.blob.digest);
            let opened = layer::open(store, &layer.blob.digest, true).map_err(|error| unreadable(&path, &error))?;
            let opened = Hashing { inner: opened, hash: Sha256::new() };
            let mut reader = Guarded::new(opened, guard::bound(layer.blob.size));
            tree.apply(&mut reader, index)
                .and_then(|()| std::io::copy(&mut reader, &mut std::io::sink()))
                .map_err(|error| broken(layer, &error))?;
            if digest_of(reader.into_inner().hash) != layer.diff_id.0 {
                let message =
                    format!("a layer of the base image is not `{}`, as its configuration says", layer.diff_id);
                return Err(Failure::new(FailureCode::DigestMismatch, message));
            }
        }
        store.note("trees", &key, &tree);
        Ok(tree)
    }
}

/// The layer was what its digest says when it came, so whoever made it is to blame, or the disk.
fn broken(layer: &Layer, error: &std::io::Error) -> Failure {
    let message = format!("The layer `{}` of the base image cannot be unpacked: {error}", layer.blob.digest);
    Failure::new(FailureCode::ImageFailed, message)
        .hint("Name another base image; `slipway cache verify` says whether the cache has damaged this one.")
}

struct Hashing<R> {
    inner: R,
    hash: Sha256,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hash.update(&buffer[..read]);
        Ok(read)
    }
}

/// What a manifest is.
pub(super) enum Listed {
    /// An image's own.
    Image(PulledManifest),
    /// An index; the image for this machine has this digest.
    Elsewhere(Digest),
    /// An index without an image for this machine.
    Nowhere,
}

/// Reads a manifest or an index.
///
/// # Errors
/// Why it is neither, for people.
pub(super) fn manifest(bytes: &[u8], architecture: &str) -> Result<Listed, String> {
    let value: Value =
        serde_json::from_slice(bytes).map_err(|error| format!("has a manifest that is no JSON: {error}"))?;
    let Some(entries) = value["manifests"].as_array() else {
        let manifest = serde_json::from_value(value);
        return manifest.map(Listed::Image).map_err(|error| format!("has a manifest that is none: {error}"));
    };
    let here = |entry: &&Value| entry["platform"]["os"] == "linux" && entry["platform"]["architecture"] == architecture;
    let Some(found) = entries.iter().find(here) else { return Ok(Listed::Nowhere) };
    let digest = found["digest"].as_str().unwrap_or_default().parse();
    digest.map(Listed::Elsewhere).map_err(|error| format!("has an index that is none: {error}"))
}

/// An image for another kind of machine would start nowhere.
///
/// # Errors
/// `base_image_missing`, naming the platform that the image is for.
pub(super) fn fits(config: &Value, named: &str) -> Result<(), Failure> {
    let (os, machine) = (config["os"].as_str().unwrap_or("linux"), config["architecture"].as_str());
    let machine = machine.unwrap_or(architecture());
    if (os, machine) == ("linux", architecture()) {
        return Ok(());
    }
    let message = format!("`{named}` is for {os}/{machine}, not for linux/{}", architecture());
    Err(Failure::new(FailureCode::BaseImageMissing, message).hint("Name a base image for this platform."))
}

/// The part of a manifest that a base is made of.
#[derive(Deserialize)]
pub(super) struct PulledManifest {
    pub(super) config: Descriptor,
    pub(super) layers: Vec<PulledLayer>,
}

/// A layer as a manifest names it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PulledLayer {
    pub(super) media_type: String,
    pub(super) digest: Digest,
    pub(super) size: u64,
}

impl PulledManifest {
    /// Joins the layers with what the configuration says of them; `named` is for people, `home` is the repository.
    pub(super) fn base(&self, config: Value, named: &str, home: Option<String>) -> Result<Base, Failure> {
        let unusable = |why: &str| Failure::new(FailureCode::ImageFailed, format!("the base image `{named}` {why}"));
        let diff_ids: Vec<DiffId> = serde_json::from_value(config["rootfs"]["diff_ids"].clone())
            .map_err(|_| unusable("has a configuration without layers"))?;
        if diff_ids.len() != self.layers.len() {
            return Err(unusable("names another number of layers in its manifest than in its configuration"));
        }
        if let Some(other) = self.layers.iter().find(|layer| !layer.media_type.ends_with("gzip")) {
            return Err(unusable(&format!("has a layer of the kind `{}`, not compressed by gzip", other.media_type)));
        }
        let layers = self.layers.iter().zip(diff_ids).map(|(layer, diff_id)| Layer {
            diff_id,
            blob: Descriptor { digest: layer.digest.clone(), size: layer.size },
        });
        Ok(Base { config, layers: layers.collect(), home })
    }
}
