//! The image that an image starts from: nothing, what a registry has, or what only the Engine of this machine has.

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use oci_client::manifest::{IMAGE_MANIFEST_MEDIA_TYPE, OCI_IMAGE_INDEX_MEDIA_TYPE, OCI_IMAGE_MEDIA_TYPE};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::layer::{self, Layer};
use super::store::{Store, digest_of, unreadable};
use super::tree::Tree;
use crate::image::engine::Engine;
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
        for layer in &self.layers {
            let path = store.path(&layer.blob.digest);
            let failed = |error: std::io::Error| unreadable(&path, &error);
            let opened = layer::open(store, &layer.blob.digest, true).map_err(failed)?;
            let mut reader = Hashing { inner: opened, hash: Sha256::new() };
            tree.apply(&mut reader).and_then(|()| std::io::copy(&mut reader, &mut std::io::sink())).map_err(failed)?;
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

/// Takes an image out of the Engine, where it has it; its layers are compressed once.
///
/// # Errors
/// `internal` or `disk_full` when the Engine has it and the store cannot take it.
pub(super) async fn of_engine(store: &Store, reference: &str) -> Result<Option<Base>, Failure> {
    use futures_util::StreamExt as _;
    use tokio::io::AsyncWriteExt as _;
    let engine = Engine::new(None);
    let Ok(docker) = engine.docker().await else { return Ok(None) };
    let Ok(found) = docker.inspect_image(reference).await else { return Ok(None) };
    let key = found.id.unwrap_or_default().replace(':', "-");
    if let Some(base) =
        store.recall::<Base>("bases", &key).filter(|base| base.layers.iter().all(|layer| store.has(&layer.blob)))
    {
        return Ok(Some(base));
    }
    let failed = |error: &dyn std::fmt::Display| {
        Failure::new(
            FailureCode::Internal,
            format!("the base image `{reference}` cannot be taken from the Engine: {error}"),
        )
    };
    let mut file = tokio::fs::File::from_std(tempfile::tempfile().map_err(|error| failed(&error))?);
    let mut archive = docker.export_image(reference);
    while let Some(chunk) = archive.next().await {
        file.write_all(&chunk.map_err(|error| failed(&error))?).await.map_err(|error| failed(&error))?;
    }
    file.flush().await.map_err(|error| failed(&error))?;
    let file = file.into_std().await;
    let owned = store.clone();
    let imported = tokio::task::spawn_blocking(move || import(&owned, file)).await.map_err(|error| failed(&error))?;
    let base = imported.map_err(|error| failed(&error))?;
    store.note("bases", &key, &base);
    Ok(Some(base))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    layers: Vec<String>,
}

/// Reads what `docker save` writes: `manifest.json` names the configuration and the layers' tars, some of them links.
fn import(store: &Store, mut file: std::fs::File) -> std::io::Result<Base> {
    use std::collections::BTreeMap;
    file.seek(SeekFrom::Start(0))?;
    let mut places: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    let mut links: BTreeMap<String, String> = BTreeMap::new();
    for entry in tar::Archive::new(&file).entries()? {
        let entry = entry?;
        let path = entry.path()?.display().to_string();
        match entry.link_name()? {
            Some(to) => {
                let beside = Path::new(&path).parent().unwrap_or(Path::new("")).join(to);
                let mut parts: Vec<String> = Vec::new();
                for part in beside.components() {
                    match part {
                        std::path::Component::ParentDir => drop(parts.pop()),
                        part => parts.push(part.as_os_str().to_string_lossy().into_owned()),
                    }
                }
                links.insert(path, parts.join("/"));
            }
            None => drop(places.insert(path, (entry.raw_file_position(), entry.size()))),
        }
    }
    let place = |path: &str| {
        let path = links.get(path).map_or(path, String::as_str);
        places.get(path).copied().ok_or_else(|| std::io::Error::other(format!("its archive has no `{path}`")))
    };
    let read = |path: &str| -> std::io::Result<Vec<u8>> {
        let (offset, size) = place(path)?;
        let mut bytes = Vec::new();
        (&file).seek(SeekFrom::Start(offset))?;
        (&file).take(size.min(32 << 20)).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let saved: Vec<Saved> = serde_json::from_slice(&read("manifest.json")?)?;
    let saved = saved.first().ok_or_else(|| std::io::Error::other("its archive is empty"))?;
    let config: Value = serde_json::from_slice(&read(&saved.config)?)?;
    let mut layers = Vec::new();
    for path in &saved.layers {
        let (offset, size) = place(path)?;
        (&file).seek(SeekFrom::Start(offset))?;
        let made = layer::compress(store, |out| std::io::copy(&mut (&file).take(size), out).map(drop));
        layers.push(made.map_err(|failure| std::io::Error::other(failure.message))?);
    }
    Ok(Base { config, layers, home: None })
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
