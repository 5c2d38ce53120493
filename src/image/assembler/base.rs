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
const FORM: &str = "3";

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
    // Other variants are for some machines alone; `v8` is every arm64.
    let usual = |entry: &&Value| matches!(entry["platform"]["variant"].as_str(), None | Some("" | "v1" | "v8"));
    let found = entries.iter().filter(here).min_by_key(|entry| !usual(entry));
    // Where no platform is named, the configuration does that.
    let only = entries.first().filter(|entry| entries.len() == 1 && entry["platform"].is_null());
    let Some(found) = found.or(only) else { return Ok(Listed::Nowhere) };
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
            let failure = unusable(&format!("has a layer of the kind `{}`, not compressed by gzip", other.media_type));
            if ![".tar", ".tar+zstd"].iter().any(|end| other.media_type.ends_with(end)) {
                return Err(failure);
            }
            let hint =
                "build on it by the Docker Engine, `--image-backend docker`, or copy it with layers compressed by gzip";
            return Err(Failure::new(FailureCode::DockerfileUnsupported, failure.message).hint(hint));
        }
        let layers = self.layers.iter().zip(diff_ids).map(|(layer, diff_id)| Layer {
            diff_id,
            blob: Descriptor { digest: layer.digest.clone(), size: layer.size },
        });
        Ok(Base { config, layers: layers.collect(), home })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn index(platforms: &[Value]) -> Vec<u8> {
        let digest = |number: usize| Digest::of_sha256([u8::try_from(number).unwrap(); 32]);
        let entry = |(number, platform): (usize, &Value)| json!({ "digest": digest(number), "platform": platform });
        let entries: Vec<Value> = platforms.iter().enumerate().map(entry).collect();
        json!({ "schemaVersion": 2, "manifests": entries }).to_string().into_bytes()
    }

    #[test]
    fn of_an_index_the_image_is_taken_that_runs_everywhere() {
        let amd64 = |variant: &str| json!({ "os": "linux", "architecture": "amd64", "variant": variant });
        let plain = json!({ "os": "linux", "architecture": "amd64" });
        let nobody = json!({ "os": "unknown", "architecture": "unknown" });
        for (platforms, chosen) in [
            (vec![amd64("v3"), nobody.clone(), plain.clone()], Some(2)),
            (vec![amd64("v3"), amd64("v1")], Some(1)),
            (vec![amd64("v2")], Some(0)),
            (vec![Value::Null], Some(0)),
            (vec![Value::Null, nobody.clone()], None),
            (vec![nobody], None),
        ] {
            let found = match manifest(&index(&platforms), "amd64") {
                Ok(Listed::Elsewhere(digest)) => Some(digest),
                Ok(Listed::Nowhere) => None,
                _ => panic!("{platforms:?}"),
            };
            assert_eq!(found, chosen.map(|number: u8| Digest::of_sha256([number; 32])), "{platforms:?}");
        }
    }

    #[test]
    fn layers_that_an_engine_reads_are_left_to_it() {
        let of = |kind: &str| {
            let digest = Digest::of_sha256([7; 32]);
            let layers = json!([{ "mediaType": kind, "digest": digest, "size": 1 }]);
            let text = json!({ "config": { "digest": digest, "size": 1 }, "layers": layers });
            let config = json!({ "rootfs": { "diff_ids": [digest] } });
            let manifest: PulledManifest = serde_json::from_value(text).unwrap();
            manifest.base(config, "example", None).unwrap_err().code
        };
        for kind in
            ["vnd.oci.image.layer.v1.tar", "vnd.oci.image.layer.v1.tar+zstd", "vnd.docker.image.rootfs.diff.tar"]
        {
            assert_eq!(of(&format!("application/{kind}")), FailureCode::DockerfileUnsupported, "{kind}");
        }
        assert_eq!(of("application/x-strange"), FailureCode::ImageFailed);
    }
}
