//! Which port a program listens on, as far as its source tells.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::commands::Others;
use super::mentions::{Mention, Place};
use super::stated::Stated;
use crate::model::failure::Warning;
use crate::model::origin::{Found, Origin};
use crate::toolchain::findings::Findings;

/// The texts and numbers of one file of the program.
pub(super) type File<'a> = (&'a str, Arc<Vec<Mention>>);

/// A port, and how much its place says that it is the one.
struct Candidate {
    /// 0 is the strongest.
    rank: u32,
    /// A number that is a port by its name alone, which says less than an address.
    bare: bool,
    /// An address that more than the machine itself reaches.
    reached: bool,
    port: u16,
    origin: Origin,
}

/// The rank of what is taken only where nothing else is found.
const LAST: u32 = 5;

/// Parts of names that say that the program listens there, whatever the port is usually of.
const LISTENS: &[&str] = &["listen", "bind"];

impl Candidate {
    fn stated(stated: &Stated) -> Self {
        let reached = stated.local.is_none();
        Self { rank: 4, bare: false, reached, port: stated.port.value, origin: stated.port.origin.clone() }
    }
}

/// What is known of the functions and names that lead to a port: the fact `listening`.
pub(super) struct Known<'a> {
    functions: HashSet<&'a str>,
    flags: HashSet<&'a str>,
    names: Vec<&'a str>,
    /// Words of what is said of a flag with a name of no meaning (`-p`).
    words: Vec<&'a str>,
    aside: Vec<&'a str>,
    /// Fields of a flag that is a value of its own: its name, its default (`cli.StringFlag{Name: "listen", Value: ":8080"}`).
    flag_name: &'a str,
    flag_default: &'a str,
    /// Ports that tools for developers listen on.
    developers: Vec<u16>,
    /// Ports of databases and the like.
    pub(super) others: Vec<u16>,
}

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
    let mut unreached = Vec::new();
    for (path, mentions) in files {
        let (mentions, of_others) = others.split(path, mentions);
        let assigned = |mention: &&Mention| !has_default(path, mention, &mentions, &known);
        let found = mentions.iter().filter(assigned);
        // An exporter's Dockerfile says more ports than its flags with a chain of calls.
        let found = found.filter(|mention| exposed.is_empty() || chained(mention, &mentions).is_none());
        let found = found.filter_map(|mention| candidate(path, mention, &mentions, &known));
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
            asks = port_variable(path, &mentions);
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
        for also in candidates.iter().filter(|also| also.rank < 4 && candidate.rank < 4) {
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
    if findings.ports.is_empty() {
        let message = "the source names no port that the program listens on; the toolchain's usual one is stated";
        let hint = "state it in `slipway.toml`: `[runtime]` `ports = [8080]`, or `ports = []` where it listens on none";
        findings.warnings.push(Warning::new("port_assumed", message, hint));
    }
}

impl<'a> Known<'a> {
    pub(super) fn of(facts: &'a toml::Table) -> Self {
        let table = facts.get("listening").and_then(toml::Value::as_table);
        let list = |key: &str| -> Vec<&str> {
            let list = table.and_then(|table| table.get(key)).and_then(toml::Value::as_array);
            list.into_iter().flatten().filter_map(toml::Value::as_str).collect()
        };
        let ports = |key: &str| {
            let list = table.and_then(|table| table.get(key)).and_then(toml::Value::as_array);
            let numbers = list.into_iter().flatten().filter_map(toml::Value::as_integer);
            numbers.filter_map(|port| u16::try_from(port).ok()).collect()
        };
        let field = |key: &str| {
            let fields = table.and_then(|table| table.get("flag_fields")).and_then(toml::Value::as_table);
            fields.and_then(|fields| fields.get(key)).and_then(toml::Value::as_str).unwrap_or_default()
        };
        Self {
            functions: list("functions").into_iter().collect(),
            flags: list("flags").into_iter().collect(),
            names: list("names"),
            words: list("words"),
            aside: list("aside"),
            flag_name: field("name"),
            flag_default: field("default"),
            developers: ports("developers"),
            others: ports("others"),
        }
    }

    /// The same without words for what a program listens on beside what it is for.
    fn beside(mut self, facts: &toml::Table) -> Self {
        let table = facts.get("listening").and_then(|table| table.get("beside")).and_then(toml::Value::as_array);
        let beside: Vec<&str> = table.into_iter().flatten().filter_map(toml::Value::as_str).collect();
        self.aside.retain(|aside| !beside.contains(aside));
        self
    }

    /// Whether a name speaks of another address than the application's.
    pub(super) fn is_aside(&self, name: &str) -> bool {
        // The words by themselves: `http_server` says nothing of `https`. Some people divide one (`back_end`).
        let (words, name) = (words(name), plain(name));
        self.aside.iter().any(|aside| words.contains(aside) || aside.len() > 5 && name.contains(aside))
    }

    /// How well what is said of a flag tells that it is about listening.
    fn said(&self, usage: &str) -> Option<u32> {
        let lower = usage.to_lowercase();
        let mut words = lower.split(|c: char| !c.is_alphanumeric());
        (!self.is_aside(usage) && words.any(|word| self.words.contains(&word))).then_some(1)
    }

    /// How well a flag's, field's or variable's name says that it is about listening: 0 exactly, 1 somehow.
    pub(super) fn named(&self, name: &str) -> Option<u32> {
        if self.is_aside(name) {
            return None;
        }
        let name = plain(name);
        let exact = self.names.iter().any(|known| *known == name);
        let somehow = || self.names.iter().any(|known| name.starts_with(known) || name.ends_with(known));
        if exact { Some(0) } else { somehow().then_some(1) }
    }
}

/// Without numbers that a variable of one file has in turn: `defaultPort := "9000"`, and `"8443"` for another scheme, is what a
/// client completes an address with.
fn settled(mut found: Vec<Candidate>) -> Vec<Candidate> {
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

/// A name with its words apart, in lower case: `HTTPServerPort` is `http server port`.
fn words(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let mut apart = String::new();
    for (at, letter) in letters.iter().enumerate() {
        let before = at.checked_sub(1).map(|at| letters[at]);
        let ends = letters.get(at + 1).is_some_and(|next| next.is_lowercase());
        let begins = letter.is_uppercase()
            && before.is_some_and(|before| before.is_lowercase() || before.is_uppercase() && ends);
        if begins || ['-', '_', '.'].contains(letter) {
            apart.push(' ');
        }
        if letter.is_alphanumeric() || letter.is_whitespace() {
            apart.extend(letter.to_lowercase());
        }
    }
    apart
}

/// A name without what separates its words, in lower case.
fn plain(name: &str) -> String {
    name.to_lowercase().replace(['-', '_', '.'], "")
}

/// The name of the flag whose default a text is: the nearest one before it that a field of this name says.
fn flag_of<'m>(mention: &Mention, all: &'m [Mention], known: &Known<'_>) -> Option<&'m str> {
    let is = |mention: &Mention, field: &str| matches!(&mention.place, Place::Named(name) if name == field);
    if known.flag_default.is_empty() || !is(mention, known.flag_default) {
        return None;
    }
    let before = all.iter().rev().skip_while(|other| !std::ptr::eq(*other, mention)).skip(1);
    // Another default between them: this one belongs to no flag.
    let between = before.take_while(|other| !is(other, known.flag_default));
    between.filter(|other| is(other, known.flag_name)).map(|name| name.text.as_str()).next()
}

/// The variable of the environment whose default a text is: what such a function is called nobody knows, the variable's name
/// tells (`option("SHOP_ADDRESS", ":8080")`).
fn variable_of<'m>(mention: &Mention, all: &'m [Mention]) -> Option<&'m str> {
    let Place::Argument { index: 1.., .. } = &mention.place else { return None };
    let name = first_of(mention, all)?.text.as_str();
    let letter = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
    (name.len() > 2 && name.bytes().all(letter) && name.starts_with(|c: char| c.is_ascii_uppercase())).then_some(name)
}

/// The name of the flag that a chain of calls defines whose default a text is: `kingpin.Flag("listen", "…").Default(":8080")`.
fn chained<'m>(mention: &Mention, all: &'m [Mention]) -> Option<&'m Mention> {
    let Place::Argument { package, function, .. } = &mention.place else { return None };
    if function != "Default" || !package.contains(".Flag()") {
        return None;
    }
    let before = all.iter().rev().skip_while(|other| !std::ptr::eq(*other, mention)).skip(1);
    let names =
        |other: &&Mention| matches!(&other.place, Place::Argument { function, index: 0, .. } if function == "Flag");
    let of_command = |other: &Mention| matches!(&other.place, Place::Argument { package, function, .. } if function == "Command" && package != "exec");
    // Where the file defines commands, the flag may be that of one which nobody starts.
    before.take(8).find(names).filter(|_| !all.iter().any(of_command))
}

/// The first text of the call whose argument a text is. Mentions stand in the order of their lines, and few calls are longer.
fn first_of<'m>(mention: &Mention, all: &'m [Mention]) -> Option<&'m Mention> {
    let Place::Argument { call, .. } = &mention.place else { return None };
    let near = &all[all.partition_point(|other| other.line.saturating_add(3) < mention.line)..];
    let mut near = near.iter().take_while(|other| other.line <= mention.line);
    near.find(|other| matches!(&other.place, Place::Argument { call: same, .. } if same == call))
}

/// The name of the flag, or of the environment's variable, whose default a text is.
pub(super) fn default_for<'m>(mention: &Mention, all: &'m [Mention], known: &Known<'_>) -> Option<&'m str> {
    match &mention.place {
        Place::Argument { function, .. } if known.flags.contains(function.as_str()) => {
            let first = || first_of(mention, all).filter(|first| !std::ptr::eq(*first, mention));
            chained(mention, all).or_else(first).map(|name| name.text.as_str())
        }
        Place::Argument { .. } => variable_of(mention, all),
        _ => flag_of(mention, all, known),
    }
}

/// Whether the field that is given an address has a default of its own in a tag: what is assigned holds in some case only.
fn has_default(path: &str, mention: &Mention, all: &[Mention], known: &Known<'_>) -> bool {
    let Place::Named(name) = &mention.place else { return false };
    let same = |other: &&Mention| matches!(&other.place, Place::Tag { field, .. } if field == name);
    let mut defaults = all.iter().filter(same).filter_map(|other| candidate(path, other, all, known));
    address(&mention.text).is_some() && defaults.any(|default| !known.others.contains(&default.port))
}

fn candidate(path: &str, mention: &Mention, all: &[Mention], known: &Known<'_>) -> Option<Candidate> {
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
        _ => everywhere.map(|(_, port)| Candidate {
            rank: 4,
            bare: false,
            reached,
            port,
            origin: origin("an address of its own"),
        }),
    }
}

/// Host and port of `:8080`, `0.0.0.0:8080`, `localhost:8080`, and of no other host; of several beside one another
/// (`127.0.0.1:25 [::1]:25`, `:80,:443`) the first that more than the machine itself reaches.
pub(super) fn address(text: &str) -> Option<(&str, u16)> {
    let each = text.split([' ', ',']).filter(|one| !one.is_empty()).map(one_address);
    let all = each.collect::<Option<Vec<_>>>()?;
    all.iter().find(|(host, _)| !is_loopback(host)).or(all.first()).copied()
}

fn one_address(text: &str) -> Option<(&str, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let own = host.is_empty() || ["0.0.0.0", "[::]", "*"].contains(&host) || is_loopback(host);
    let port = port.parse().ok().filter(|port| *port > 0)?;
    own.then_some((host, port))
}

pub(super) fn is_loopback(host: &str) -> bool {
    ["localhost", "127.0.0.1", "[::1]"].contains(&host)
}

/// Where the program asks for `PORT`, and what it takes without.
fn port_variable(path: &str, mentions: &[Mention]) -> Option<(Option<u16>, Origin)> {
    let number = |text: &str| text.trim_start_matches(':').parse::<u16>().ok().filter(|port| *port > 0);
    mentions.iter().find_map(|mention| {
        let origin = || Origin::file(path, Some(mention.line), "PORT of the environment");
        match &mention.place {
            Place::Argument { function, call, .. }
                if mention.text == "PORT" && function.to_lowercase().contains("env") =>
            {
                let same =
                    |other: &&Mention| matches!(&other.place, Place::Argument { call: same, .. } if same == call);
                let default = mentions.iter().filter(same).find_map(|other| number(&other.text));
                let nearby = || {
                    mentions.iter().find_map(|other| match &other.place {
                        Place::Named(name) if name.to_lowercase().contains("port") => number(&other.text),
                        _ => None,
                    })
                };
                Some((default.or_else(nearby), origin()))
            }
            Place::Tag { .. } => {
                let name = tagged(&mention.text, "env").or(tagged(&mention.text, "envconfig"))?;
                let default =
                    ["default", "envDefault", "env-default"].iter().find_map(|key| tagged(&mention.text, key));
                let (name, inline) = name.split_once(",default=").unwrap_or((name, ""));
                let asks = name.split(',').next() == Some("PORT");
                asks.then(|| (default.and_then(number).or_else(|| number(inline)), origin()))
            }
            _ => None,
        }
    })
}

/// The default that a struct tag states, in the words of the libraries that read it.
pub(super) fn default_of(tag: &str) -> Option<&str> {
    let stated = ["default", "envDefault", "env-default"].iter().find_map(|key| tagged(tag, key));
    stated.or_else(|| tagged(tag, "conf")?.split(',').find_map(|part| part.trim().strip_prefix("default:")))
}

/// The value of a key of a struct tag.
fn tagged<'a>(tag: &'a str, key: &str) -> Option<&'a str> {
    let at = tag.match_indices(key).find(|(at, _)| {
        let before = tag[..*at].chars().next_back();
        before.is_none_or(char::is_whitespace) && tag[*at + key.len()..].starts_with(":\"")
    })?;
    let value = &tag[at.0 + key.len() + 2..];
    value.split('"').next()
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

fn only_here(address: &str, path: &str, line: Option<u32>) -> Warning {
    let message = format!(
        "the program listens on `{address}` unless it is told otherwise: nothing outside its container reaches it"
    );
    let hint = "say so by `runtime.args` or `runtime.env` in `slipway.toml`, or listen on all addresses";
    Warning::new("listens_on_loopback", message, hint).at(path, line)
}
