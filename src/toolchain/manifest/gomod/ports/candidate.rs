//! A port that one place of the source names, and how much that place says that it is the program's.

use super::Known;
use super::address::{address, is_loopback};
use super::names::{chained, flag_of, variable_of};
use super::variable::{default_of, tagged};
use crate::model::origin::Origin;
use crate::toolchain::manifest::gomod::mentions::{Mention, Place};
use crate::toolchain::manifest::gomod::stated::Stated;

/// A port, and how much its place says that it is the one.
pub(super) struct Candidate {
    /// 0 is the strongest.
    pub(super) rank: u32,
    /// A number that is a port by its name alone, which says less than an address.
    pub(super) bare: bool,
    /// An address that more than the machine itself reaches.
    pub(super) reached: bool,
    pub(super) port: u16,
    pub(super) origin: Origin,
}

/// The rank of what is taken only where nothing else is found.
pub(super) const LAST: u32 = 5;

impl Candidate {
    pub(super) fn stated(stated: &Stated) -> Self {
        let reached = stated.local.is_none();
        Self { rank: 4, bare: false, reached, port: stated.port.value, origin: stated.port.origin.clone() }
    }
}

/// Without numbers that a variable of one file has in turn: `defaultPort := "9000"`, and `"8443"` for another scheme, is what a
/// client completes an address with.
pub(super) fn settled(mut found: Vec<Candidate>) -> Vec<Candidate> {
    let variable = |one: &Candidate| one.bare && one.origin.detail.starts_with(char::is_lowercase);
    let ports: Vec<(String, u16)> =
        found.iter().filter(|one| variable(one)).map(|one| (one.origin.detail.clone(), one.port)).collect();
    found.retain(|one| !ports.iter().any(|(name, port)| *name == one.origin.detail && *port != one.port));
    found
}

/// The texts among the arguments of a call, numbers and addresses left out: a flag's name, and what is said of it.
fn texts_of(call: usize, all: &[Mention]) -> impl Iterator<Item = &Mention> {
    let of_call = move |other: &&Mention| matches!(&other.place, Place::Argument { call: same, .. } if *same == call);
    all.iter().filter(of_call).filter(|other| address(&other.text).is_none() && other.text.parse::<u16>().is_err())
}

/// Whether the field that is given an address has a default of its own in a tag: what is assigned holds in some case only.
pub(super) fn has_default(path: &str, mention: &Mention, all: &[Mention], known: &Known<'_>) -> bool {
    let Place::Named(name) = &mention.place else { return false };
    let same = |other: &&Mention| matches!(&other.place, Place::Tag { field, .. } if field == name);
    let mut defaults = all.iter().filter(same).filter_map(|other| candidate(path, other, all, known));
    address(&mention.text).is_some() && defaults.any(|default| !known.others.contains(&default.port))
}

pub(super) fn candidate(path: &str, mention: &Mention, all: &[Mention], known: &Known<'_>) -> Option<Candidate> {
    let origin = |detail: &str| Origin::file(path, Some(mention.line), detail);
    let address = address(&mention.text);
    let everywhere = address.filter(|(host, _)| !is_loopback(host));
    let reached = everywhere.is_some();
    let number = || mention.text.parse::<u16>().ok().filter(|port| *port > 0);
    match &mention.place {
        Place::Argument { function, .. } if known.functions.contains(function.as_str()) => {
            let port = address.map(|(_, port)| port)?;
            Some(Candidate { rank: 0, bare: false, reached, port, origin: origin(function) })
        }
        Place::Argument { function, call, .. } if known.flags.contains(function.as_str()) => {
            let port = address.map(|(_, port)| port).or_else(number)?;
            let same = |other: &&Mention| matches!(&other.place, Place::Argument { call: same, .. } if same == call);
            let name = chained(mention, all).or_else(|| all.iter().find(same))?;
            let Place::Argument { call, .. } = &name.place else { return None };
            let rank = known.named(&name.text).or_else(|| known.said(&texts_of(*call, all).nth(1)?.text))?;
            Some(Candidate {
                rank: 1 + rank,
                bare: false,
                reached,
                port,
                origin: origin(&format!("flag `{}`", name.text)),
            })
        }
        Place::Argument { .. } if variable_of(mention, all).and_then(|name| known.named(name)).is_some() => {
            let name = variable_of(mention, all)?;
            let number = || number().filter(|_| name.contains("PORT"));
            let port = address.map(|(_, port)| port).or_else(number)?;
            let rank = known.named(name)?;
            Some(Candidate {
                rank: 1 + rank,
                bare: false,
                reached,
                port,
                origin: origin(&format!("variable `{name}`")),
            })
        }
        Place::Named(_) if flag_of(mention, all, known).is_some() => {
            let name = flag_of(mention, all, known)?;
            let port = address.map(|(_, port)| port).or_else(number)?;
            let rank = known.named(name)?;
            Some(Candidate { rank: 1 + rank, bare: false, reached, port, origin: origin(&format!("flag `{name}`")) })
        }
        Place::Named(name) => {
            // A number is a port by its name alone; `MaxConnectionsPerHost` is none.
            let number = || number().filter(|_| name.to_lowercase().contains("port"));
            let port = address.map(|(_, port)| port).or_else(number)?;
            let rank = known.named(name)?;
            Some(Candidate { rank: 2 + rank, bare: address.is_none(), reached, port, origin: origin(name) })
        }
        Place::Tag { field, kind } => {
            let default = default_of(&mention.text)?;
            let name = ["long", "env", "envconfig"].iter().find_map(|key| tagged(&mention.text, key)).unwrap_or(field);
            // A field may say what is served there, and its type what it is (`DNS ListenConfig`).
            known.named(name).or_else(|| known.named(kind).filter(|_| !known.is_aside(name)))?;
            let address = self::address(default);
            let port = address.map(|(_, port)| port).or_else(|| default.parse().ok().filter(|port| *port > 0))?;
            let reached = address.is_some_and(|(host, _)| !is_loopback(host));
            Some(Candidate { rank: 2, bare: false, reached, port, origin: origin("default of the field") })
        }
        // Behind a host, the port that a scheme has by itself completes somebody else's address (RFC 9110, 4.2).
        _ => everywhere.filter(|(_, port)| !(mention.added && [80, 443].contains(port))).map(|(_, port)| Candidate {
            rank: 4,
            bare: false,
            reached,
            port,
            origin: origin("an address of its own"),
        }),
    }
}
