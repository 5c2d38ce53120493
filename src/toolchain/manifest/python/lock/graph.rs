//! What is reached from the project's own dependencies, and on which releases of Python.

use std::collections::BTreeMap;

use pep440_rs::{Version, VersionSpecifiers};

use super::{Locked, Releases, Source};

/// One entry of a lock.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) from: Source,
    pub(super) hashes: Vec<String>,
    /// The releases that the entry itself is for.
    pub(super) releases: Releases,
    pub(super) edges: Vec<Edge>,
}

/// A dependency.
#[derive(Debug, Clone)]
pub(super) struct Edge {
    pub(super) name: String,
    /// The versions that will do, where the lock may hold several.
    pub(super) versions: Option<VersionSpecifiers>,
    pub(super) extras: Vec<String>,
    pub(super) releases: Releases,
    /// The extra of the depending distribution that asks for it.
    pub(super) of_extra: Option<String>,
}

/// Walks from the roots until nothing new is reached.
pub(super) fn reached(nodes: &[Node], roots: &[Edge]) -> Vec<Locked> {
    let mut by_name: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, node) in nodes.iter().enumerate() {
        by_name.entry(&node.name).or_default().push(index);
    }
    let targets = |edge: &Edge| -> Vec<usize> {
        let named = by_name.get(edge.name.as_str()).map(Vec::as_slice).unwrap_or_default();
        let fits = |index: &&usize| {
            let version = nodes[**index].version.parse::<Version>().ok();
            edge.versions.as_ref().is_none_or(|wanted| version.is_none_or(|version| wanted.contains(&version)))
        };
        let fitting: Vec<usize> = named.iter().filter(fits).copied().collect();
        // A constraint that no entry fits was overridden by the tool; the only entry is meant.
        if fitting.is_empty() && named.len() == 1 { named.to_vec() } else { fitting }
    };
    // Per entry and extra ("" for the distribution itself): the releases that it is reached on.
    let mut reached: BTreeMap<(usize, String), Releases> = BTreeMap::new();
    let mut open: Vec<((usize, String), Releases)> = Vec::new();
    let step = |edge: &Edge, releases: Releases, open: &mut Vec<((usize, String), Releases)>| {
        for index in targets(edge) {
            let releases = releases.and(edge.releases).and(nodes[index].releases);
            open.push(((index, String::new()), releases));
            open.extend(edge.extras.iter().map(|extra| ((index, extra.clone()), releases)));
        }
    };
    for root in roots {
        step(root, Releases::ALL, &mut open);
    }
    while let Some((key, releases)) = open.pop() {
        let known = reached.entry(key.clone()).or_default();
        if known.or(releases) == *known {
            continue;
        }
        *known = known.or(releases);
        let releases = *known;
        let (index, extra) = key;
        let edges = nodes[index].edges.iter().filter(|edge| edge.of_extra.as_deref().unwrap_or_default() == extra);
        edges.for_each(|edge| step(edge, releases, &mut open));
    }
    let mut whole: BTreeMap<usize, Releases> = BTreeMap::new();
    for ((index, _), releases) in reached {
        let all = whole.entry(index).or_default();
        *all = all.or(releases);
    }
    let mut locked: Vec<Locked> = whole
        .into_iter()
        .filter(|(_, releases)| !releases.is_empty())
        .map(|(index, releases)| {
            let node = &nodes[index];
            let (name, version) = (node.name.clone(), node.version.clone());
            Locked { name, version, from: node.from.clone(), hashes: node.hashes.clone(), releases }
        })
        .collect();
    locked.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
    locked
}
