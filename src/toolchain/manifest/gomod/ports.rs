//! Which port a program listens on, as far as its source tells.

mod address;
mod candidate;
mod known;
mod names;
mod variable;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::commands::Others;
use super::mentions::{Mention, Place};
use super::stated::Stated;
use crate::model::failure::Warning;
use crate::model::origin::{Found, Origin};
use crate::toolchain::findings::Findings;

pub(super) use self::address::{address, is_loopback};
use self::candidate::{Candidate, LAST, candidate, has_default, settled};
pub(super) use self::known::Known;
use self::names::chained;
pub(super) use self::names::default_for;
pub(super) use self::variable::default_of;
use self::variable::port_variable;

/// The texts and numbers of one file of the program.
pub(super) type File<'a> = (&'a str, Arc<Vec<Mention>>);

/// Parts of names that say that the program listens there, whatever the port is usually of.
const LISTENS: &[&str] = &["listen", "bind"];

/// Adds the ports to the findings, `PORT` to the image's environment where the program asks for it, and warnings.
pub(super) fn find(
    files: &[File<'_>],
    facts: &toml::Table,
    exposed: &[Found<u16>],
    stated: &dyn Fn(&Known<'_>) -> Option<Stated>,
    others: &Others,
    findings: &mut Findings,
) {
    let known = Known::of(facts);
    let (mut stated, lookup) = (stated(&known), stated);
    // A file of settings speaks where the source has nothing but addresses of no name.
    let mut candidates: Vec<Candidate> = stated.iter().map(Candidate::stated).collect();
    let mut asks = None;
    let (mut unreached, mut agreeing) = (Vec::new(), Vec::new());
    for (path, mentions) in files {
        let (mentions, of_others) = others.split(path, mentions);
        let assigned = |mention: &&Mention| !has_default(path, mention, &mentions, &known);
        let found = mentions.iter().filter(assigned);
        // An exporter's Dockerfile says more ports than its flags with a chain of calls.
        let (of_chains, found): (Vec<_>, Vec<_>) =
            found.partition(|mention| !exposed.is_empty() && chained(mention, &mentions).is_some());
        agreeing.extend(of_chains.into_iter().filter_map(|mention| candidate(path, mention, &mentions, &known)));
        let found = found.into_iter().filter_map(|mention| candidate(path, mention, &mentions, &known));
        // A database's port is where somebody else listens, unless the program says that it listens there.
        let says = |found: &Candidate| LISTENS.iter().any(|word| found.origin.detail.to_lowercase().contains(word));
        let found = found.filter(|found| found.rank == 0 || says(found) || !known.others.contains(&found.port));
        let found = settled(found.collect()).into_iter();
        candidates.extend(found.map(|found| Candidate {
            rank: if known.developers.contains(&found.port) { LAST } else { found.rank },
            ..found
        }));
        // What only another command listens on says little, but more than nothing.
        let found = of_others.iter().filter_map(|mention| candidate(path, mention, &of_others, &known));
        candidates.extend(found.map(|found| Candidate { rank: LAST, ..found }));
        if asks.is_none() {
            asks = port_variable(path, &mentions, &known);
        }
        unreached.extend(loopback(path, &mentions, &known));
    }
    if candidates.is_empty() && exposed.is_empty() && asks.is_none() {
        // Where it listens for nothing else, what it listens on for metrics or for gRPC is its port.
        let known = known.beside(facts);
        stated = lookup(&known);
        candidates.extend(stated.iter().map(Candidate::stated));
        for (path, mentions) in files {
            let (mentions, _) = others.split(path, mentions);
            let here = |mention: &&Mention| address(&mention.text).is_none_or(|(host, _)| !is_loopback(host));
            let found = mentions.iter().filter(here);
            let found = found.filter_map(|mention| candidate(path, mention, &mentions, &known));
            let found = found.filter(|found| !known.others.contains(&found.port));
            candidates.extend(settled(found.collect()));
        }
    }
    candidates.sort_by_key(|candidate| (candidate.rank, candidate.bare));
    let agreed = candidates.iter().find(|candidate| exposed.iter().any(|found| found.value == candidate.port));
    // What says where it listens for others says more than what a client of it begins with.
    let elsewhere = |port: u16| candidates.iter().any(|found| found.reached && found.port == port && found.rank < 4);
    unreached.retain(|(port, _)| !elsewhere(*port));
    findings.warnings.extend(unreached.into_iter().map(|(_, warning)| warning));
    if let Some((default, origin)) = asks {
        let port = exposed.first().map(|found| found.value).or(default);
        let port =
            port.or_else(|| candidates.first().filter(|first| first.rank <= 3).map(|first| first.port)).unwrap_or(8080);
        findings.image_env.insert("PORT".to_owned(), Found::new(port.to_string(), origin.clone()));
        findings.ports.push(Found::new(port, origin));
    } else if let Some(candidate) = agreed {
        findings.ports.push(Found::new(candidate.port, candidate.origin.clone()));
        // What the source says by nothing but its settings the Dockerfile may say more of; it may run as another user.
        let others = exposed.iter().filter(|found| found.value != candidate.port && found.value >= 1024);
        findings.ports.extend(others.filter(|_| candidate.rank == 4).cloned());
        // What both say is where it listens, too.
        for also in candidates.iter().chain(&agreeing).filter(|also| also.rank < 4 && candidate.rank < 4) {
            let known = findings.ports.iter().any(|port| port.value == also.port);
            if !known && exposed.iter().any(|found| found.value == also.port) {
                findings.ports.push(Found::new(also.port, also.origin.clone()));
            }
        }
    } else if let Some(first) = candidates.first().filter(|first| first.rank < 4 || exposed.is_empty()) {
        let equal = |other: &&Candidate| (other.rank, other.bare) == (first.rank, first.bare) && first.rank < 4;
        let same = candidates.iter().filter(equal);
        let mut ports: BTreeMap<u16, Origin> = BTreeMap::new();
        for candidate in same.chain([first]) {
            ports.entry(candidate.port).or_insert_with(|| candidate.origin.clone());
        }
        // The first that is met leads; many are no answer but a list of peers.
        findings.ports.push(Found::new(first.port, first.origin.clone()));
        ports.remove(&first.port);
        if ports.len() < 3 {
            // What the machine alone reaches is nobody's port beside one that others do.
            ports.retain(|_, origin| !first.reached || !says_loopback(files, origin));
            findings.ports.extend(ports.into_iter().map(|(port, origin)| Found::new(port, origin)));
        }
    } else {
        findings.ports.extend(exposed.iter().cloned());
    }
    if let Some(Stated { port, local: Some(address) }) = stated
        && findings.ports.first() == Some(&port)
    {
        findings.warnings.extend(port.origin.path.as_deref().map(|path| only_here(&address, path, port.origin.line)));
    }
    if let Some(warning) = local_only(files, &candidates, findings.ports.first(), &Known::of(facts)) {
        let again = |other: &Warning| (&other.path, other.line) == (&warning.path, warning.line);
        if !findings.warnings.iter().any(again) {
            findings.warnings.push(warning);
        }
    }
    if findings.ports.is_empty() {
        let message = "the source names no port that the program listens on; the toolchain's usual one is stated";
        let hint = "state it in `slipway.toml`: `[runtime]` `ports = [8080]`, or `ports = []` where it listens on none";
        findings.warnings.push(Warning::new("port_assumed", message, hint));
    }
}

/// Ports of addresses that nobody outside the container reaches: the first that a file listens on.
fn loopback(path: &str, mentions: &[Mention], known: &Known<'_>) -> Option<(u16, Warning)> {
    let bad = mentions.iter().find_map(|mention| {
        let (_, port) =
            address(&mention.text).filter(|(host, port)| is_loopback(host) && !known.developers.contains(port))?;
        let flag = || default_for(mention, mentions, known).is_some_and(|name| known.named(name).is_some());
        let listens = match &mention.place {
            Place::Argument { function, .. } => known.functions.contains(function.as_str()) || flag(),
            Place::Named(name) => flag() || name.to_lowercase().contains("listen") && !known.is_aside(name),
            _ => false,
        };
        listens.then_some((port, mention))
    });
    bad.map(|(port, mention)| (port, only_here(&mention.text, path, Some(mention.line))))
}

/// Where the port that is taken comes from an address that nobody outside the container reaches, or from a number beside such a
/// host (`defaultHost = "localhost"`), and nothing says the same port for others.
fn local_only(
    files: &[File<'_>],
    candidates: &[Candidate],
    taken: Option<&Found<u16>>,
    known: &Known<'_>,
) -> Option<Warning> {
    let taken = taken?;
    let (path, mentions) = files.iter().find(|(path, _)| taken.origin.path.as_deref() == Some(*path))?;
    let line = taken.origin.line?;
    if candidates.iter().any(|other| other.reached && other.port == taken.value && other.rank < 4) {
        return None;
    }
    let value = |mention: &Mention| match &mention.place {
        Place::Tag { .. } => default_of(&mention.text).map(str::to_owned),
        _ => Some(mention.text.clone()),
    };
    let here = |mention: &&Mention| mention.line == line;
    let whole = mentions
        .iter()
        .filter(here)
        .filter_map(value)
        .find(|text| address(text).is_some_and(|(host, port)| is_loopback(host) && port == taken.value));
    let beside = || {
        let near = mentions.iter().filter(|mention| mention.line.abs_diff(line) <= 2).take(MAX_NEAR);
        let mut hosts = near.filter(|mention| {
            let name = match &mention.place {
                Place::Named(name) => default_for(mention, mentions, known).unwrap_or(name),
                Place::Tag { field, .. } => field,
                _ => default_for(mention, mentions, known).unwrap_or_default(),
            };
            !known.is_aside(name) && HOSTS.iter().any(|word| name.to_lowercase().ends_with(word))
        });
        hosts.find_map(|mention| value(mention).filter(|host| is_loopback(host)))
    };
    Some(only_here(&whole.or_else(beside)?, path, Some(line)))
}

/// Whether a place says an address that nobody outside the container reaches.
fn says_loopback(files: &[File<'_>], origin: &Origin) -> bool {
    let file = files.iter().find(|(path, _)| origin.path.as_deref() == Some(*path));
    let mut here = file.into_iter().flat_map(|(_, mentions)| mentions.iter());
    here.any(|mention| {
        let text = if let Place::Tag { .. } = mention.place { default_of(&mention.text) } else { Some(&*mention.text) };
        Some(mention.line) == origin.line && text.and_then(address).is_some_and(|(host, _)| is_loopback(host))
    })
}

/// More texts than the few lines around a port have.
const MAX_NEAR: usize = 50;

/// Endings of names of the host that goes with a port.
const HOSTS: &[&str] = &["host", "addr", "address", "bind", "listen", "interface"];

fn only_here(address: &str, path: &str, line: Option<u32>) -> Warning {
    let message = format!(
        "the program listens on `{address}` unless it is told otherwise: nothing outside its container reaches it"
    );
    let hint = "say so by `runtime.args` or `runtime.env` in `slipway.toml`, or listen on all addresses";
    Warning::new("listens_on_loopback", message, hint).at(path, line)
}
