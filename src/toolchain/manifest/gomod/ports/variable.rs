//! The variable `PORT`, and what struct tags say of variables and defaults.

use super::Known;
use crate::model::origin::Origin;
use crate::toolchain::manifest::gomod::mentions::{Mention, Place};

/// Where the program asks for `PORT`, and what it takes without.
pub(super) fn port_variable(path: &str, mentions: &[Mention], known: &Known<'_>) -> Option<(Option<u16>, Origin)> {
    let number = |text: &str| text.trim_start_matches(':').parse::<u16>().ok().filter(|port| *port > 0);
    // Behind a prefix that only the tag of its group says, `PORT` is somebody else's: `env:"PORT" default:"587"`.
    let own = |port: &u16| !known.others.contains(port);
    mentions.iter().find_map(|mention| {
        let origin = || Origin::file(path, Some(mention.line), "PORT of the environment");
        match &mention.place {
            Place::Argument { function, call, .. }
                if mention.text == "PORT" && READERS.iter().any(|part| function.to_lowercase().contains(part)) =>
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
                Some((default.or_else(|| nearby().filter(own)), origin()))
            }
            Place::Tag { .. } => {
                let name = tagged(&mention.text, "env").or(tagged(&mention.text, "envconfig"))?;
                let default =
                    ["default", "envDefault", "env-default"].iter().find_map(|key| tagged(&mention.text, key));
                let (name, inline) = name.split_once(",default=").unwrap_or((name, ""));
                let asks = name.split(',').next() == Some("PORT");
                let default = default.and_then(number).or_else(|| number(inline));
                (asks && default.as_ref().is_none_or(own)).then(|| (default, origin()))
            }
            _ => None,
        }
    })
}

/// Parts of the names of functions that are given the variable's name: `os.Getenv("PORT")`, `getPort("PORT")`.
const READERS: &[&str] = &["env", "port"];

/// The default that a struct tag states, in the words of the libraries that read it.
pub(in crate::toolchain::manifest::gomod) fn default_of(tag: &str) -> Option<&str> {
    let stated = ["default", "envDefault", "env-default"].iter().find_map(|key| tagged(tag, key));
    stated.or_else(|| tagged(tag, "conf")?.split(',').find_map(|part| part.trim().strip_prefix("default:")))
}

/// The value of a key of a struct tag.
pub(super) fn tagged<'a>(tag: &'a str, key: &str) -> Option<&'a str> {
    let at = tag.match_indices(key).find(|(at, _)| {
        let before = tag[..*at].chars().next_back();
        before.is_none_or(char::is_whitespace) && tag[*at + key.len()..].starts_with(":\"")
    })?;
    let value = &tag[at.0 + key.len() + 2..];
    value.split('"').next()
}
