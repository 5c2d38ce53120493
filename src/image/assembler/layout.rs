//! Base images in an OCI image layout: a directory with an index and blobs (OCI image specification, "Image Layout").
//!
//! Its blobs are copied into the store, and hashed on the way: whoever writes to the directory later changes no image.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::base::{self, Base, Listed, PulledManifest};
use super::remote::architecture;
use super::store::{Store, digest_of, unwritable};
use crate::image::registry::Descriptor;
use crate::model::failure::{Failure, FailureCode};
use crate::model::image_reference::Digest;

/// The annotation of an index's entry that names an image.
pub(super) const NAME: &str = "org.opencontainers.image.ref.name";

/// The whole name of an image, as containerd and Slipway write it.
pub(super) const FULL_NAME: &str = "io.containerd.image.name";

/// The longest index, manifest or configuration.
const LONGEST: u64 = 4 << 20;

/// An image of a layout.
pub(super) struct Layout {
    /// How it is called, for people.
    pub(super) shown: String,
    pub(super) directory: PathBuf,
    /// Its name in the index; the only image where there is none.
    pub(super) name: Option<String>,
    /// What to do where it is not whole.
    pub(super) remedy: &'static str,
}

/// What to do with a layout that somebody put there.
pub(super) const COPY_AGAIN: &str =
    "an OCI image layout is a directory with `index.json` and `blobs/sha256`; copy it there again, all of it";

/// What to do with Slipway's own.
pub(super) const MAKE_AGAIN: &str =
    "remove the directory `base-images` of the cache, and make them again: `slipway base-images build`";

impl Layout {
    /// Brings the image into the store, where it is not there yet; none where the layout has no image of that name.
    /// Blocks.
    ///
    /// # Errors
    /// `base_image_missing` for what is no layout, an image for another platform, and a layout of several images where
    /// none is named; `image_failed` for documents that are none; `digest_mismatch` for a blob that is not what its name
    /// says.
    pub(super) fn base(&self, store: &Store) -> Result<Option<Base>, Failure> {
        let Some((digest, manifest)) = self.found()? else { return Ok(None) };
        let key = format!("{}-layout", digest.hex());
        let whole = |base: &Base| base.layers.iter().all(|layer| store.has(&layer.blob));
        if let Some(base) = store.recall::<Base>("bases", &key).filter(whole) {
            return Ok(Some(base));
        }
        let config = self.config(&manifest)?;
        base::fits(&config, &self.shown)?;
        let base = manifest.base(config, &self.shown, None)?;
        for layer in &base.layers {
            self.copy(store, &layer.blob)?;
        }
        store.note("bases", &key, &base);
        Ok(Some(base))
    }

    /// The image's manifest; none where the layout has no image of that name.
    pub(super) fn found(&self) -> Result<Option<(Digest, PulledManifest)>, Failure> {
        let index = self.document(&self.directory.join("index.json"))?;
        self.entry(&index)?.map(|named| self.manifest(named)).transpose()
    }

    pub(super) fn config(&self, manifest: &PulledManifest) -> Result<Value, Failure> {
        serde_json::from_slice(&self.checked(&manifest.config.digest)?)
            .map_err(|error| self.unusable(&format!("has a configuration that is none: {error}")))
    }

    /// The digest that the index has for the image.
    fn entry(&self, index: &Value) -> Result<Option<Digest>, Failure> {
        let unlisted = || self.unusable("has an index that lists nothing: there is no `manifests` in `index.json`");
        let entries = index["manifests"].as_array().ok_or_else(unlisted)?;
        let name_of = |entry: &Value, key: &str| entry["annotations"][key].as_str().map(str::to_owned);
        let fits = |entry: &&Value| {
            let platform = &entry["platform"];
            let here = platform["architecture"].as_str().is_none_or(|machine| machine == architecture());
            let named = |name: &str| [NAME, FULL_NAME].iter().any(|key| name_of(entry, key).as_deref() == Some(name));
            here && self.name.as_deref().is_none_or(named)
        };
        let found: BTreeSet<&str> = entries.iter().filter(fits).filter_map(|entry| entry["digest"].as_str()).collect();
        if found.len() > 1 {
            let names: BTreeSet<String> = entries.iter().filter_map(|entry| name_of(entry, NAME)).collect();
            let message = format!("`{}` may be one of {} images of the layout", self.shown, found.len());
            return Err(Failure::new(FailureCode::BaseImageMissing, message)
                .hint("name one behind the path: `oci:/DIRECTORY:NAME`")
                .candidates(names));
        }
        let Some(digest) = found.first() else { return Ok(None) };
        digest.parse().map(Some).map_err(|error| self.unusable(&format!("has an index that is none: {error}")))
    }

    /// The image's own manifest; of an index, the one for this platform.
    fn manifest(&self, mut digest: Digest) -> Result<(Digest, PulledManifest), Failure> {
        for _ in 0..2 {
            match base::manifest(&self.checked(&digest)?, architecture()).map_err(|why| self.unusable(&why))? {
                Listed::Image(manifest) => return Ok((digest, manifest)),
                Listed::Elsewhere(here) => digest = here,
                Listed::Nowhere => {
                    let message = format!("`{}` has no image for linux/{}", self.shown, architecture());
                    return Err(Failure::new(FailureCode::BaseImageMissing, message));
                }
            }
        }
        Err(self.unusable("is an index of indexes"))
    }

    /// A small blob, which is what its name says.
    fn checked(&self, digest: &Digest) -> Result<Vec<u8>, Failure> {
        let path = self.blob(digest);
        let bytes = read(&path).map_err(|error| self.missing(&path, &error))?;
        if digest_of(Sha256::new_with_prefix(&bytes)) == *digest { Ok(bytes) } else { Err(self.damaged(digest)) }
    }

    fn copy(&self, store: &Store, blob: &Descriptor) -> Result<(), Failure> {
        if store.has(blob) {
            return Ok(());
        }
        let path = self.blob(&blob.digest);
        let mut file = File::open(&path).map_err(|error| self.missing(&path, &error))?.take(blob.size + 1);
        let mut writer = store.writer()?;
        io::copy(&mut file, &mut writer).map_err(|error| unwritable(store.directory(), &error))?;
        if writer.digest() != blob.digest || writer.size() != blob.size {
            return Err(self.damaged(&blob.digest));
        }
        store.finish(writer).map(drop)
    }

    fn blob(&self, digest: &Digest) -> PathBuf {
        self.directory.join("blobs/sha256").join(digest.hex())
    }

    fn document(&self, path: &Path) -> Result<Value, Failure> {
        let bytes = read(path).map_err(|error| self.missing(path, &error))?;
        serde_json::from_slice(&bytes).map_err(|error| self.unusable(&format!("has an index that is no JSON: {error}")))
    }

    fn missing(&self, path: &Path, error: &io::Error) -> Failure {
        let message = format!("The base image `{}`: `{}` cannot be read: {error}", self.shown, path.display());
        Failure::new(FailureCode::BaseImageMissing, message).hint(self.remedy)
    }

    fn damaged(&self, digest: &Digest) -> Failure {
        let message = format!("The blob `{digest}` of the base image `{}` is not what its name says", self.shown);
        Failure::new(FailureCode::DigestMismatch, message).hint(self.remedy)
    }

    fn unusable(&self, why: &str) -> Failure {
        Failure::new(FailureCode::ImageFailed, format!("The base image `{}` {why}", self.shown)).hint(self.remedy)
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LONGEST).read_to_end(&mut bytes)?;
    Ok(bytes)
}
