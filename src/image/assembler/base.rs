//! The image that an image starts from, or copies from.

use std::io::Read;

use oci_client::manifest::{IMAGE_MANIFEST_MEDIA_TYPE, OCI_IMAGE_INDEX_MEDIA_TYPE, OCI_IMAGE_MEDIA_TYPE};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::layer::{self, Layer};
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

impl Base {
    /// The merged file system, from the store's notes or from the layers, whose digests are checked on the way.
    pub(super) fn tree(&self, store: &Store) -> Result<Tree, Failure> {
        let mut key = Sha256::new();
        self.layers.iter().for_each(|layer| key.update(layer.diff_id.0.as_str()));
        let key = hex::encode(key.finalize());
        if let Some(tree) = store.recall("trees", &key) {
            return Ok(tree);
        }
        let mut tree = Tree::default();
        for (index, layer) in (0..).zip(&self.layers) {
            let path = store.path(&layer.blob.digest);
            let failed = |error: std::io::Error| unreadable(&path, &error);
            let opened = layer::open(store, &layer.blob.digest, true).map_err(failed)?;
            let mut reader = Hashing { inner: opened, hash: Sha256::new() };
            tree.apply(&mut reader, index)
                .and_then(|()| std::io::copy(&mut reader, &mut std::io::sink()))
                .map_err(failed)?;
            if digest_of(reader.hash) != layer.diff_id.0 {
                let message =
                    format!("a layer of the base image is not `{}`, as its configuration says", layer.diff_id);
                return Err(Failure::new(FailureCode::DigestMismatch, message));
            }
        }
        store.note("trees", &key, &tree);
        Ok(tree)
    }
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

/// The manifests that are taken, most wanted first.
pub(super) const ACCEPTED: [&str; 4] = [
    OCI_IMAGE_MEDIA_TYPE,
    IMAGE_MANIFEST_MEDIA_TYPE,
    OCI_IMAGE_INDEX_MEDIA_TYPE,
    "application/vnd.docker.distribution.manifest.list.v2+json",
];

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
    /// Joins the layers with what the configuration says of them.
    pub(super) fn base(&self, config: Value, home: String) -> Result<Base, Failure> {
        let unusable = |why: &str| Failure::new(FailureCode::ImageFailed, format!("the base image of `{home}` {why}"));
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
        Ok(Base { config, layers: layers.collect(), home: Some(home) })
    }
}
