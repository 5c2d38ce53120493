//! The copy: what the other side lacks is mounted or streamed, then the manifests are put.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use schemars::JsonSchema;
use serde::Serialize;

use super::tree::Tree;
use super::{PARALLEL, Place, referrers};
use crate::image::LogSink;
use crate::image::registry::Descriptor;
use crate::image::registry::refusal::Refusal;
use crate::image::registry::session::Session;
use crate::image::registry::upload::{Brought, Content};
use crate::model::failure::{Failure, FailureCode};
use crate::model::image_reference::ImageReference;

/// What a copy took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Copied {
    /// What the image is called there.
    pub reference: ImageReference,
    /// The digest of its manifest, which is the same on both sides.
    pub digest: String,
    /// Bytes of all its blobs.
    pub size: u64,
    /// Bytes that were sent.
    pub sent: u64,
    /// Bytes that the registry took from another of its repositories.
    pub mounted: u64,
    /// Signatures, attestations and other referrers that were copied with it.
    pub referrers: usize,
    /// Referrers that were not copied, since the registry keeps no list of them.
    pub referrers_left: usize,
}

/// Copies an image, by its digest where it has one, to a tag.
///
/// # Errors
/// `base_image_missing` where there is no such image, the `registry_…` codes, `request_invalid` for a target without a tag.
pub async fn copy(from: &Place, to: &Place, log: LogSink<'_>) -> Result<Copied, Failure> {
    if to.reference.tag().is_none() {
        let message = format!("`{}` cannot be copied to: name a tag.", to.reference);
        return Err(Failure::new(FailureCode::RequestInvalid, message));
    }
    let source = from.reading()?;
    let tree = Tree::of(from, &source).await?;
    let top = tree.top().ok_or_else(|| from.missing())?;
    let mut copied = Copied {
        reference: to.reference.clone(),
        digest: top.digest.to_string(),
        size: tree.size(),
        sent: 0,
        mounted: 0,
        referrers: 0,
        referrers_left: 0,
    };
    let neighbours = from.reference.registry() == to.reference.registry();
    let sources: Vec<String> = if neighbours { vec![from.reference.repository().to_owned()] } else { Vec::new() };
    let target = to.session(&sources)?;
    // A tag that is fixed takes not even its own image again.
    if to.names(&target, &top.digest).await.unwrap_or(false) {
        log(&format!("{}: already there", to.reference));
    } else {
        copied.enter(bring(&source, (&target, to), &tree, &sources, log).await?);
        put(&target, &tree, to.tag(), to).await?;
        log(&format!("{}: {} bytes sent, {} mounted", to.reference, copied.sent, copied.mounted));
    }
    let lacking = match referrers::lacking(&tree, &target).await {
        Ok((lacking, left)) => {
            copied.referrers_left = left;
            lacking
        }
        Err(refusal) => return Err(to.refused(&refusal).await),
    };
    for referrer in lacking {
        copied.enter(bring(&source, (&target, to), &referrer.tree, &sources, log).await?);
        put(&target, &referrer.tree, referrer.name(), to).await?;
        copied.referrers += 1;
    }
    if copied.referrers_left > 0 {
        log(&referrers::left(to, copied.referrers_left));
    }
    Ok(copied)
}

impl Copied {
    fn enter(&mut self, all: Vec<(u64, Brought)>) {
        for (size, brought) in all {
            match brought {
                Brought::There => {}
                Brought::Mounted(_) => self.mounted += size,
                Brought::Sent => self.sent += size,
            }
        }
    }
}

async fn bring(
    source: &Session,
    (target, to): (&Session, &Place),
    tree: &Tree,
    sources: &[String],
    log: LogSink<'_>,
) -> Result<Vec<(u64, Brought)>, Failure> {
    let one = |blob: Descriptor| async move {
        let brought = target.bring(&blob, sources, Content::Registry(source)).await?;
        if brought == Brought::Sent {
            log(&format!("{}: copied, {} bytes", blob.digest.hex().get(..12).unwrap_or_default(), blob.size));
        }
        Ok::<_, Refusal>((blob.size, brought))
    };
    let mut bringing = Vec::new();
    for blob in tree.descriptors() {
        bringing.push(one(blob));
    }
    let all = stream::iter(bringing).buffer_unordered(PARALLEL).try_collect();
    match target.told(log, all).await {
        Ok(brought) => Ok(brought),
        Err(refusal) => Err(to.refused(&refusal).await),
    }
}

/// Puts the manifests: those that an index names by digest, the last under its name, a tag or a digest.
pub(super) async fn put(target: &Session, tree: &Tree, last: &str, to: &Place) -> Result<(), Failure> {
    for (index, manifest) in tree.manifests.iter().enumerate() {
        let name = if index + 1 == tree.manifests.len() { last } else { manifest.digest.as_str() };
        if let Err(refusal) = target.put_manifest(name, &manifest.kind, &manifest.bytes).await {
            return Err(to.refused(&refusal).await);
        }
    }
    Ok(())
}
