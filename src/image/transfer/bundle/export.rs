//! The export: manifests are read first, then what the far side lacks is streamed into the archive.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use super::archive::Writer;
use super::{
    BundledImage, BundledManifest, BundledReferrer, CONTENTS, Contents, Inventory, LeftOut, SigningKey, blob_path,
    unwritable,
};
use crate::image::LogSink;
use crate::image::registry::Descriptor;
use crate::image::registry::download::FoundManifest;
use crate::image::registry::ready::piece;
use crate::image::registry::refusal::Refusal;
use crate::image::registry::session::Session;
use crate::image::transfer::{Place, referrers::Referrer, tree::Tree};
use crate::model::failure::{Failure, FailureCode};
use crate::model::image_reference::Digest;
use crate::work::blocking;

/// How often a blob is asked for.
const ATTEMPTS: u32 = 3;

/// Pieces of a blob that wait for the disk.
const WAITING: usize = 16;

/// What an export wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Exported {
    /// The archive.
    pub file: PathBuf,
    /// Its bytes.
    pub size: u64,
    /// The images in it.
    pub images: Vec<String>,
    /// How many blobs are in it.
    pub blobs: usize,
    /// How many of them an export that was broken off had written.
    pub kept: usize,
    /// How many the far side has.
    pub left_out: usize,
}

/// Writes images into an archive, signed where there is a key; the file appears whole or not at all. What was broken off
/// goes on from `FILE.partial`.
///
/// # Errors
/// `base_image_missing`, the `registry_…` codes, `digest_mismatch`, `disk_full`, `request_invalid` where nothing can be
/// written there.
pub async fn export(
    places: &[Place],
    known: Option<&Inventory>,
    key: Option<Arc<SigningKey>>,
    to: &Path,
    log: LogSink<'_>,
) -> Result<Exported, Failure> {
    let mut images = Vec::new();
    for place in places {
        let session = place.reading()?;
        let tree = Tree::of(place, &session).await?;
        log(&format!("{}: {} blobs, {} bytes", place.reference(), tree.blobs.len(), tree.size()));
        images.push(Image { place, session, tree });
    }
    let (documents, blobs, left_out) = arranged(&images, known)?;
    let partial = PathBuf::from(format!("{}.partial", to.display()));
    let path = partial.clone();
    let mut writer = blocking(move || {
        let mut writer = Writer::open(&path).map_err(|error| unwritable(&path, &error))?;
        for (entry, bytes) in documents {
            writer.document(&entry, &bytes).map_err(|error| unwritable(&path, &error))?;
        }
        Ok(writer)
    })
    .await?;
    let mut kept = 0;
    for (blob, image) in &blobs {
        let (there, next) = has(writer, blob, &partial).await?;
        writer = next;
        if there {
            kept += 1;
            continue;
        }
        writer = fetched(writer, blob, image, &partial).await?;
        log(&format!("{}: {} bytes", blob.digest.hex().get(..12).unwrap_or_default(), blob.size));
    }
    let (path, file) = (partial.clone(), to.to_owned());
    let size = blocking(move || {
        let ended = writer.end(key.as_deref()).and_then(|size| std::fs::rename(&path, &file).map(|()| size));
        ended.map_err(|error| unwritable(&file, &error))
    })
    .await?;
    let images = images.iter().map(|image| image.place.reference().to_string()).collect();
    Ok(Exported { file: to.to_owned(), size, images, blobs: blobs.len(), kept, left_out })
}

struct Image<'a> {
    place: &'a Place,
    session: Session,
    tree: Tree,
}

type Documents = Vec<(String, Vec<u8>)>;
type Blobs<'a> = Vec<(Descriptor, &'a Image<'a>)>;

/// What stands in the archive, in its order, and how many blobs do not.
fn arranged<'a>(images: &'a [Image<'a>], known: Option<&Inventory>) -> Result<(Documents, Blobs<'a>, usize), Failure> {
    let mut blobs: BTreeMap<Digest, (u64, &Image<'_>)> = BTreeMap::new();
    let mut left_out: BTreeMap<Digest, LeftOut> = BTreeMap::new();
    let mut manifests = BTreeMap::new();
    for image in images {
        for (digest, size) in image.tree.all().flat_map(|tree| &tree.blobs) {
            match known.and_then(|known| known.held(digest)).filter(|held| held.size == *size) {
                Some(held) => {
                    let repository = held.repository.clone();
                    left_out.insert(digest.clone(), LeftOut { digest: digest.clone(), size: *size, repository });
                }
                None => {
                    blobs.insert(digest.clone(), (*size, image));
                }
            }
        }
        for manifest in image.tree.all().flat_map(|tree| &tree.manifests) {
            manifests.insert(blob_path(&manifest.digest), manifest.bytes.clone());
        }
    }
    let count = left_out.len();
    let contents = Contents {
        version: 1,
        images: images.iter().map(bundled).collect::<Result<_, _>>()?,
        left_out: left_out.into_values().collect(),
    };
    let text = |value: &serde_json::Value| format!("{value:#}\n").into_bytes();
    let contents =
        serde_json::to_value(&contents).map_err(|error| Failure::new(FailureCode::Internal, error.to_string()))?;
    let mut documents = vec![
        ("oci-layout".to_owned(), text(&json!({ "imageLayoutVersion": "1.0.0" }))),
        ("index.json".to_owned(), text(&index(images))),
        (CONTENTS.to_owned(), text(&contents)),
    ];
    documents.extend(manifests);
    let blobs = blobs.into_iter().map(|(digest, (size, image))| (Descriptor { digest, size }, image));
    Ok((documents, blobs.collect(), count))
}

fn bundled(image: &Image<'_>) -> Result<BundledImage, Failure> {
    let top = image.tree.top().ok_or_else(|| image.place.missing())?;
    Ok(BundledImage {
        reference: image.place.reference().clone(),
        digest: top.digest.clone(),
        manifests: manifests(&image.tree),
        blobs: image.tree.blobs.keys().cloned().collect(),
        referrers: image.tree.referrers.iter().map(|found| referrer(found, &top.digest)).collect(),
    })
}

fn referrer(found: &Referrer, image: &Digest) -> BundledReferrer {
    BundledReferrer {
        subject: Some(&found.subject).filter(|subject| *subject != image).cloned(),
        tag: found.tag.clone(),
        manifests: manifests(&found.tree),
        blobs: found.tree.blobs.keys().cloned().collect(),
    }
}

fn manifests(tree: &Tree) -> Vec<BundledManifest> {
    let manifest =
        |found: &FoundManifest| BundledManifest { digest: found.digest.clone(), media_type: found.kind.clone() };
    tree.manifests.iter().map(manifest).collect()
}

/// The layout's entry (OCI image layout specification, "index.json file").
fn index(images: &[Image<'_>]) -> serde_json::Value {
    let entry = |image: &Image<'_>| {
        let top = image.tree.top()?;
        Some(json!({
            "mediaType": top.kind, "digest": top.digest, "size": top.bytes.len(),
            "annotations": { "org.opencontainers.image.ref.name": image.place.reference() },
        }))
    };
    let manifests: Vec<_> = images.iter().filter_map(entry).collect();
    json!({ "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": manifests })
}

async fn has(mut writer: Writer, blob: &Descriptor, path: &Path) -> Result<(bool, Writer), Failure> {
    let (blob, path) = (blob.clone(), path.to_owned());
    blocking(move || {
        let there = writer.keeps(&blob_path(&blob.digest), blob.size, blob.digest.hex());
        there.map(|there| (there, writer)).map_err(|error| unwritable(&path, &error))
    })
    .await
}

/// Streams a blob into the archive; one that breaks off or is another one is asked for again.
async fn fetched(mut writer: Writer, blob: &Descriptor, image: &Image<'_>, path: &Path) -> Result<Writer, Failure> {
    let mut attempt = 1;
    loop {
        let (pieces, received) = tokio::sync::mpsc::channel(WAITING);
        let (kept, at) = (blob.clone(), path.to_owned());
        let writing = tokio::task::spawn_blocking(move || {
            let whole = writer.blob(&blob_path(&kept.digest), kept.size, kept.digest.hex(), received);
            whole.map(|whole| (whole, writer)).map_err(|error| unwritable(&at, &error))
        });
        let told = stream(blob, image, pieces).await;
        let (whole, back) = writing.await.map_err(|error| Failure::new(FailureCode::Internal, error.to_string()))??;
        writer = back;
        match told {
            Ok(()) if whole => return Ok(writer),
            Ok(()) if attempt == ATTEMPTS => {
                let registry = image.place.reference().registry();
                let message = format!("The registry `{registry}` gives another content for `{}`.", blob.digest);
                return Err(Failure::new(FailureCode::DigestMismatch, message));
            }
            Err(refusal) if attempt == ATTEMPTS || !refusal.may_pass() => {
                return Err(image.place.withheld(&refusal).await);
            }
            _ => {}
        }
        tokio::time::sleep(refusal_pause(attempt)).await;
        attempt += 1;
    }
}

fn refusal_pause(attempt: u32) -> std::time::Duration {
    crate::image::push::backoff(attempt)
}

async fn stream(
    blob: &Descriptor,
    image: &Image<'_>,
    pieces: tokio::sync::mpsc::Sender<bytes::Bytes>,
) -> Result<(), Refusal> {
    let mut response = image.session.open(blob, 0, blob.size).await?;
    while let Some(piece) = piece(&mut response).await? {
        if pieces.send(piece).await.is_err() {
            // The disk has said why.
            break;
        }
    }
    Ok(())
}
