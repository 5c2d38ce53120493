//! The import: what the registry lacks is sent out of the archive, and everything may be done again.

use std::collections::BTreeMap;
use std::path::Path;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use schemars::JsonSchema;
use serde::Serialize;

use super::archive::{Reader, Span};
use super::{BundledImage, BundledManifest, Inventory, LeftOut, TrustedKey, blob_path, unusable};
use crate::image::LogSink;
use crate::image::registry::Descriptor;
use crate::image::registry::download::FoundManifest;
use crate::image::registry::session::Session;
use crate::image::registry::upload::{Brought, Content};
use crate::image::transfer::referrers::{self, Referrer};
use crate::image::transfer::tree::Tree;
use crate::image::transfer::{PARALLEL, Place, copy};
use crate::model::failure::{Failure, FailureCode};
use crate::model::image_reference::{Digest, ImageReference};
use crate::work::blocking;

/// What an import brought.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Imported {
    /// The images, as they are called there.
    pub images: Vec<String>,
    /// Bytes that were sent.
    pub sent: u64,
    /// Bytes that the registry had in another of its repositories.
    pub mounted: u64,
    /// Bytes that were there.
    pub there: u64,
    /// Signatures, attestations and other referrers that were brought with the images.
    pub referrers: usize,
    /// Referrers that were not brought, since the registry keeps no list of them.
    pub referrers_left: usize,
}

/// What the images of a bundle are called where they come from; with keys, one of them has to have signed it.
///
/// # Errors
/// `request_invalid` where it is no whole bundle, or not signed as it has to be.
pub async fn targets(bundle: &Path, keys: &[TrustedKey]) -> Result<Vec<ImageReference>, Failure> {
    let (path, keys) = (bundle.to_owned(), keys.to_vec());
    let images = blocking(move || Reader::open(&path, &keys).map(|reader| reader.contents.images)).await?;
    Ok(images.into_iter().map(|image| image.reference).collect())
}

/// Brings the images of a bundle to their places, one for each image and in their order; enters them in the inventory.
///
/// # Errors
/// As [`targets`]; the `registry_…` codes.
pub async fn import(
    bundle: &Path,
    keys: &[TrustedKey],
    places: &[Place],
    inventory: &mut Inventory,
    log: LogSink<'_>,
) -> Result<Imported, Failure> {
    let (path, keys) = (bundle.to_owned(), keys.to_vec());
    let bundled = blocking(move || Bundle::open(&path, &keys)).await?;
    let mut imported = Imported::default();
    // Where blobs of this bundle are by now, so that the registry takes them from there.
    let mut homes: BTreeMap<Digest, String> = BTreeMap::new();
    for left_out in &bundled.left_out {
        homes.insert(left_out.digest.clone(), left_out.repository.clone());
    }
    for (image, place) in bundled.images.iter().zip(places) {
        one(&bundled, bundle, image, place, &homes, &mut imported, log).await?;
        let blobs = image.tree.all().flat_map(|tree| &tree.blobs).map(|(digest, size)| (digest.clone(), *size));
        for (digest, _) in blobs.clone() {
            homes.insert(digest, place.reference().repository().to_owned());
        }
        inventory.enter(place.reference(), image.digest.clone(), blobs);
        imported.images.push(place.reference().to_string());
    }
    Ok(imported)
}

/// A bundle that was read: everything but the blobs.
struct Bundle {
    images: Vec<Image>,
    left_out: Vec<LeftOut>,
    spans: BTreeMap<Digest, Span>,
}

struct Image {
    digest: Digest,
    tree: Tree,
}

impl Bundle {
    fn open(path: &Path, keys: &[TrustedKey]) -> Result<Self, Failure> {
        let mut reader = Reader::open(path, keys)?;
        let contents = reader.contents.clone();
        let mut bundle = Self { images: Vec::new(), left_out: contents.left_out, spans: BTreeMap::new() };
        for image in contents.images {
            let tree = bundle.image(path, &mut reader, &image)?;
            bundle.images.push(Image { digest: image.digest, tree });
        }
        Ok(bundle)
    }

    fn image(&mut self, path: &Path, reader: &mut Reader, image: &BundledImage) -> Result<Tree, Failure> {
        let mut tree = self.tree(path, reader, &image.manifests, &image.blobs)?;
        if tree.top().is_none_or(|top| top.digest != image.digest) {
            return Err(unusable(path, format!("`{}` has no manifest in it", image.reference)));
        }
        for referrer in &image.referrers {
            let found = self.tree(path, reader, &referrer.manifests, &referrer.blobs)?;
            let subject = referrer.subject.as_ref().unwrap_or(&image.digest).clone();
            tree.referrers.push(Referrer { subject, tag: referrer.tag.clone(), tree: found });
        }
        Ok(tree)
    }

    fn tree(
        &mut self,
        path: &Path,
        reader: &mut Reader,
        manifests: &[BundledManifest],
        blobs: &[Digest],
    ) -> Result<Tree, Failure> {
        let mut tree = Tree { manifests: Vec::new(), blobs: BTreeMap::new(), referrers: Vec::new() };
        for manifest in manifests {
            let bytes = reader.manifest(path, &manifest.digest)?;
            let (digest, kind) = (manifest.digest.clone(), manifest.media_type.clone());
            tree.manifests.push(FoundManifest { digest, kind, bytes });
        }
        for digest in blobs {
            let span = reader.span(&blob_path(digest));
            let size = match span {
                Some(span) => span.size,
                None => self
                    .left_out(digest)
                    .map(|left_out| left_out.size)
                    .ok_or_else(|| unusable(path, format!("the blob `{digest}` is missing")))?,
            };
            if let Some(span) = span {
                self.spans.insert(digest.clone(), span);
            }
            tree.blobs.insert(digest.clone(), size);
        }
        Ok(tree)
    }

    fn left_out(&self, digest: &Digest) -> Option<&LeftOut> {
        self.left_out.iter().find(|left_out| left_out.digest == *digest)
    }
}

async fn one(
    bundle: &Bundle,
    file: &Path,
    image: &Image,
    place: &Place,
    homes: &BTreeMap<Digest, String>,
    imported: &mut Imported,
    log: LogSink<'_>,
) -> Result<(), Failure> {
    let own = place.reference().repository();
    let blobs = image.tree.all().flat_map(|tree| tree.blobs.keys());
    let mut sources: Vec<String> = blobs.filter_map(|blob| homes.get(blob)).cloned().collect();
    sources.sort();
    sources.dedup();
    sources.retain(|source| source != own);
    let target = place.session(&sources)?;
    // A tag that is fixed takes not even its own image again.
    if place.names(&target, &image.digest).await.unwrap_or(false) {
        log(&format!("{}: already there", place.reference()));
        imported.there += image.tree.size();
    } else {
        imported.enter(target.told(log, tree(bundle, file, place, &target, homes, &image.tree)).await?);
        copy::put(&target, &image.tree, place.tag(), place).await?;
        log(&format!("{}: imported", place.reference()));
    }
    let (lacking, left) = match referrers::lacking(&image.tree, &target).await {
        Ok(found) => found,
        Err(refusal) => return Err(place.refused(&refusal).await),
    };
    for referrer in lacking {
        imported.enter(tree(bundle, file, place, &target, homes, &referrer.tree).await?);
        copy::put(&target, &referrer.tree, referrer.name(), place).await?;
        imported.referrers += 1;
    }
    if left > 0 {
        imported.referrers_left += left;
        log(&referrers::left(place, left));
    }
    Ok(())
}

impl Imported {
    fn enter(&mut self, all: Vec<(u64, Brought)>) {
        for (size, brought) in all {
            match brought {
                Brought::There => self.there += size,
                Brought::Mounted(_) => self.mounted += size,
                Brought::Sent => self.sent += size,
            }
        }
    }
}

/// Brings the blobs of an image or of a referrer.
async fn tree(
    bundle: &Bundle,
    file: &Path,
    place: &Place,
    target: &Session,
    homes: &BTreeMap<Digest, String>,
    tree: &Tree,
) -> Result<Vec<(u64, Brought)>, Failure> {
    let mut bringing = Vec::new();
    for blob in tree.descriptors() {
        bringing.push(brought(bundle, file, place, target, homes.get(&blob.digest), blob));
    }
    stream::iter(bringing).buffer_unordered(PARALLEL).try_collect().await
}

async fn brought(
    bundle: &Bundle,
    file: &Path,
    place: &Place,
    target: &Session,
    home: Option<&String>,
    blob: Descriptor,
) -> Result<(u64, Brought), Failure> {
    let sources: Vec<String> =
        home.filter(|home| *home != place.reference().repository()).cloned().into_iter().collect();
    let Some(span) = bundle.spans.get(&blob.digest) else {
        return match target.known(&blob, &sources).await {
            Ok(Some(brought)) => Ok((blob.size, brought)),
            Ok(None) => Err(absent(place, &blob, home)),
            Err(refusal) => Err(place.refused(&refusal).await),
        };
    };
    match target.bring(&blob, &sources, Content::File(file, span.offset)).await {
        Ok(brought) => Ok((blob.size, brought)),
        Err(refusal) => Err(place.refused(&refusal).await),
    }
}

fn absent(place: &Place, blob: &Descriptor, home: Option<&String>) -> Failure {
    let registry = place.reference().registry();
    let home = home.map_or("", String::as_str);
    let message = format!(
        "The bundle leaves out `{}`, which `{registry}/{home}` had by its inventory, and it is not there or cannot be read.",
        blob.digest
    );
    Failure::new(FailureCode::RegistryRefused, message)
        .hint("let the account pull from that repository; or write the inventory anew (`slipway bundle inventory`) and export again")
}
