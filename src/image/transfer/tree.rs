//! All that belongs to an image: its manifests, lowest first, and their blobs.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Place;
use super::referrers::{self, Referrer};
use crate::image::registry::Descriptor;
use crate::image::registry::download::FoundManifest;
use crate::image::registry::session::Session;
use crate::model::failure::{Failure, FailureCode};
use crate::model::image_reference::Digest;

/// How deep indexes may lie in indexes.
const DEPTH: u32 = 3;

/// The most manifests that one image may have.
const MANIFESTS: usize = 200;

/// An image as a registry holds it.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    /// Its manifests; the last is the image's own.
    pub(super) manifests: Vec<FoundManifest>,
    /// Configurations and layers, by digest; a layer that lies elsewhere for good (`urls`) is none.
    pub(super) blobs: BTreeMap<Digest, u64>,
    /// What refers to it; a referrer itself has none here.
    pub(super) referrers: Vec<Referrer>,
}

impl Tree {
    /// Asks a registry for all of an image's manifests, and for what refers to it.
    pub(super) async fn of(place: &Place, session: &Session) -> Result<Self, Failure> {
        let top = found(place, session, place.name()).await?.ok_or_else(|| place.missing())?;
        let image = Self::below(place, session, top).await?;
        Ok(Self { referrers: referrers::of(place, session, &image).await?, ..image })
    }

    /// Asks a registry for what a manifest names.
    pub(super) async fn below(place: &Place, session: &Session, top: FoundManifest) -> Result<Self, Failure> {
        let mut tree = Self { manifests: Vec::new(), blobs: BTreeMap::new(), referrers: Vec::new() };
        let mut waiting = vec![(top, 0)];
        while let Some((manifest, depth)) = waiting.pop() {
            if depth > DEPTH || tree.manifests.len() + waiting.len() > MANIFESTS {
                let message = format!("`{}` has more manifests than any image should", place.reference);
                return Err(Failure::new(FailureCode::ImageFailed, message));
            }
            for child in tree.take(manifest)? {
                let child_manifest = found(place, session, child.as_str()).await?;
                waiting.push((child_manifest.ok_or_else(|| lacking(place, &child))?, depth + 1));
            }
        }
        // A registry takes an index only when it has what the index names.
        tree.manifests.reverse();
        Ok(tree)
    }

    /// Enters a manifest; gives the manifests that it names.
    fn take(&mut self, manifest: FoundManifest) -> Result<Vec<Digest>, Failure> {
        let unreadable = |why: String| {
            let message = format!("the manifest `{}` cannot be read: {why}", manifest.digest);
            Failure::new(FailureCode::ImageFailed, message)
        };
        let value: Value = serde_json::from_slice(&manifest.bytes).map_err(|error| unreadable(error.to_string()))?;
        let descriptor = |value: &Value| -> Result<Descriptor, Failure> {
            serde_json::from_value(value.clone()).map_err(|error| unreadable(error.to_string()))
        };
        let mut children = Vec::new();
        for child in value["manifests"].as_array().into_iter().flatten() {
            children.push(descriptor(child)?.digest);
        }
        let layers = value["layers"].as_array().into_iter().flatten();
        for blob in value.get("config").into_iter().chain(layers).filter(|blob| blob.get("urls").is_none()) {
            let blob = descriptor(blob)?;
            self.blobs.insert(blob.digest, blob.size);
        }
        self.manifests.push(manifest);
        Ok(children)
    }

    /// The image's own manifest.
    pub(super) fn top(&self) -> Option<&FoundManifest> {
        self.manifests.last()
    }

    /// It and what refers to it.
    pub(super) fn all(&self) -> impl Iterator<Item = &Self> + Clone {
        std::iter::once(self).chain(self.referrers.iter().map(|referrer| &referrer.tree))
    }

    /// The bytes of all blobs.
    pub(super) fn size(&self) -> u64 {
        self.blobs.values().sum()
    }

    pub(super) fn descriptors(&self) -> impl Iterator<Item = Descriptor> {
        self.blobs.iter().map(|(digest, size)| Descriptor { digest: digest.clone(), size: *size })
    }
}

pub(super) async fn found(place: &Place, session: &Session, name: &str) -> Result<Option<FoundManifest>, Failure> {
    match session.find_manifest(name).await {
        Ok(found) => Ok(found),
        Err(refusal) => Err(place.withheld(&refusal).await),
    }
}

fn lacking(place: &Place, child: &Digest) -> Failure {
    let message = format!("`{}` names the manifest `{child}`, which its registry does not have", place.reference);
    Failure::new(FailureCode::ImageFailed, message)
}
