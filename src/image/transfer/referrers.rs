//! What refers to an image, such as signatures, attestations and bills of materials: found where the image comes from, and
//! brought along where a registry has a place for it.

use std::collections::BTreeMap;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::Value;

use super::tree::{Tree, found};
use super::{PARALLEL, Place};
use crate::image::registry::refusal::Refusal;
use crate::image::registry::session::Session;
use crate::model::failure::{Failure, FailureCode};
use crate::model::image_reference::Digest;

/// What cosign's tags end in; the signatures under them do not say themselves what they are of.
const SUFFIXES: [&str; 3] = ["sig", "att", "sbom"];

/// How far the chain of what refers to a referrer is followed.
const DEPTH: u32 = 3;

/// The most referrers that one image may have.
const REFERRERS: usize = 1000;

/// One artifact that refers to an image, or to what it is for one platform.
#[derive(Debug, Clone)]
pub(super) struct Referrer {
    /// The manifest that it refers to.
    pub(super) subject: Digest,
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

/// What refers to an image (to its own manifest, or to one that its index names), and to that in turn, such as the
/// signature of a bill of materials; each after what it refers to.
pub(super) async fn of(place: &Place, session: &Session, image: &Tree) -> Result<Vec<Referrer>, Failure> {
    let mut all: Vec<Referrer> = Vec::new();
    let mut subjects: Vec<Digest> = image.manifests.iter().map(|manifest| manifest.digest.clone()).collect();
    for _ in 0..DEPTH {
        let mut asking = Vec::new();
        for subject in &subjects {
            asking.push(to(place, session, subject));
        }
        let found: Vec<Vec<Referrer>> = stream::iter(asking).buffered(PARALLEL).try_collect().await?;
        let found: Vec<Referrer> = found.into_iter().flatten().collect();
        subjects = found.iter().filter_map(|referrer| Some(referrer.tree.top()?.digest.clone())).collect();
        all.extend(found);
        if all.len() > REFERRERS {
            let message = format!("`{}` has more referrers than can be copied with it: {}", place.reference, all.len());
            return Err(Failure::new(FailureCode::ImageFailed, message));
        }
    }
    Ok(all)
}

/// What refers to one manifest.
async fn to(place: &Place, session: &Session, subject: &Digest) -> Result<Vec<Referrer>, Failure> {
    let mut referrers: Vec<Referrer> = Vec::new();
    for suffix in SUFFIXES {
        let tag = format!("{}.{suffix}", tag_of(subject));
        if let Some(manifest) = found(place, session, &tag).await? {
            let tree = Tree::below(place, session, manifest).await?;
            referrers.push(Referrer { subject: subject.clone(), tag: Some(tag), tree });
        }
    }
    for digest in listed(place, session, subject).await? {
        // Harbor also lists cosign's.
        if referrers.iter().any(|known| known.tree.top().is_some_and(|top| top.digest == digest)) {
            continue;
        }
        // One that was deleted meanwhile is none.
        if let Some(manifest) = found(place, session, digest.as_str()).await? {
            let tree = Tree::below(place, session, manifest).await?;
            referrers.push(Referrer { subject: subject.clone(), tag: None, tree });
        }
    }
    Ok(referrers)
}

/// The digests of all whose manifests name the subject, by the registry's own list or by the tag that clients keep instead
/// (OCI distribution specification, "Listing Referrers" and "Referrers Tag Schema").
async fn listed(place: &Place, session: &Session, subject: &Digest) -> Result<Vec<Digest>, Failure> {
    match session.referrers(subject).await {
        Ok(Some(listed)) => return Ok(listed),
        Ok(None) => {}
        Err(refusal) => return Err(place.withheld(&refusal).await),
    }
    let Some(index) = found(place, session, &tag_of(subject)).await? else { return Ok(Vec::new()) };
    let index: Value = serde_json::from_slice(&index.bytes).unwrap_or_default();
    let manifests = index["manifests"].as_array().into_iter().flatten();
    Ok(manifests.filter_map(|manifest| manifest["digest"].as_str()?.parse().ok()).collect())
}

fn tag_of(subject: &Digest) -> String {
    subject.as_str().replacen(':', "-", 1)
}

/// What a registry lacks of an image's referrers, and how many it has no place for: without a list of its own, nobody
/// would find there what has no tag.
pub(super) async fn lacking<'a>(image: &'a Tree, target: &Session) -> Result<(Vec<&'a Referrer>, usize), Refusal> {
    let (mut lacking, mut homeless) = (Vec::new(), 0);
    let mut lists = BTreeMap::new();
    for referrer in &image.referrers {
        if !lists.contains_key(&referrer.subject) {
            lists.insert(&referrer.subject, target.referrers(&referrer.subject).await?);
        }
    }
    for referrer in &image.referrers {
        let own = referrer.tree.top().map(|top| &top.digest);
        let there = match (&referrer.tag, &lists[&referrer.subject]) {
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
