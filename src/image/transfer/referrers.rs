//! What refers to an image, such as signatures, attestations and bills of materials: found where the image comes from, and
//! brought along where a registry has a place for it.

use serde_json::Value;

use super::Place;
use super::tree::{Tree, found};
use crate::image::registry::session::{Refusal, Session};
use crate::model::failure::Failure;
use crate::model::image_reference::Digest;

/// What cosign's tags end in; the signatures under them do not say themselves what they are of.
const SUFFIXES: [&str; 3] = ["sig", "att", "sbom"];

/// One artifact that refers to an image.
#[derive(Debug, Clone)]
pub(super) struct Referrer {
    /// The tag that it is found by; `None` where its manifest names its subject.
    pub(super) tag: Option<String>,
    pub(super) tree: Tree,
}

impl Referrer {
    /// What it is put under.
    pub(super) fn name(&self) -> &str {
        let digest = self.tree.top().map_or("", |top| top.digest.as_str());
        self.tag.as_deref().unwrap_or(digest)
    }
}

/// What refers to an image.
pub(super) async fn of(place: &Place, session: &Session, image: &Digest) -> Result<Vec<Referrer>, Failure> {
    let mut referrers: Vec<Referrer> = Vec::new();
    for suffix in SUFFIXES {
        let tag = format!("{}.{suffix}", tag_of(image));
        if let Some(manifest) = found(place, session, &tag).await? {
            referrers.push(Referrer { tag: Some(tag), tree: Tree::below(place, session, manifest).await? });
        }
    }
    for digest in listed(place, session, image).await? {
        // Harbor also lists cosign's.
        if referrers.iter().any(|known| known.tree.top().is_some_and(|top| top.digest == digest)) {
            continue;
        }
        // One that was deleted meanwhile is none.
        if let Some(manifest) = found(place, session, digest.as_str()).await? {
            referrers.push(Referrer { tag: None, tree: Tree::below(place, session, manifest).await? });
        }
    }
    Ok(referrers)
}

/// The digests of all whose manifests name the image, by the registry's own list or by the tag that clients keep instead
/// (OCI distribution specification, "Listing Referrers" and "Referrers Tag Schema").
async fn listed(place: &Place, session: &Session, image: &Digest) -> Result<Vec<Digest>, Failure> {
    match session.referrers(image).await {
        Ok(Some(listed)) => return Ok(listed),
        Ok(None) => {}
        Err(refusal) => return Err(place.withheld(&refusal).await),
    }
    let Some(index) = found(place, session, &tag_of(image)).await? else { return Ok(Vec::new()) };
    let index: Value = serde_json::from_slice(&index.bytes).unwrap_or_default();
    let manifests = index["manifests"].as_array().into_iter().flatten();
    Ok(manifests.filter_map(|manifest| manifest["digest"].as_str()?.parse().ok()).collect())
}

fn tag_of(image: &Digest) -> String {
    image.as_str().replacen(':', "-", 1)
}

/// What a registry lacks of an image's referrers, and how many it has no place for: without a list of its own, nobody
/// would find there what has no tag.
pub(super) async fn lacking<'a>(image: &'a Tree, target: &Session) -> Result<(Vec<&'a Referrer>, usize), Refusal> {
    let (mut lacking, mut homeless) = (Vec::new(), 0);
    let Some(top) = image.top().filter(|_| !image.referrers.is_empty()) else { return Ok((lacking, homeless)) };
    let listed = target.referrers(&top.digest).await?;
    for referrer in &image.referrers {
        let own = referrer.tree.top().map(|top| &top.digest);
        let there = match (&referrer.tag, &listed) {
            (Some(tag), _) => match target.digest_of(tag).await {
                Ok(there) => there.as_ref() == own,
                // What is missing, or hidden by a gate, is put.
                Err(Refusal::Answered { .. }) => false,
                Err(refusal) => return Err(refusal),
            },
            (None, Some(listed)) => own.is_some_and(|own| listed.contains(own)),
            (None, None) => {
                homeless += 1;
                continue;
            }
        };
        if !there {
            lacking.push(referrer);
        }
    }
    Ok((lacking, homeless))
}

/// What people are told of referrers that have no place.
pub(super) fn left(place: &Place, homeless: usize) -> String {
    format!(
        "{}: {homeless} referrers (signatures, attestations, bills of materials) were not copied: `{}` keeps no list of them",
        place.reference(),
        place.reference().registry()
    )
}
