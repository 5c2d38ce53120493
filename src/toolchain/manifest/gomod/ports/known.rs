//! What is known of functions and names that lead to a port.

use std::collections::HashSet;

/// What is known of the functions and names that lead to a port: the fact `listening`.
pub(in crate::toolchain::manifest::gomod) struct Known<'a> {
    pub(super) functions: HashSet<&'a str>,
    pub(super) flags: HashSet<&'a str>,
    pub(super) names: Vec<&'a str>,
    /// Words of what is said of a flag with a name of no meaning (`-p`).
    pub(super) words: Vec<&'a str>,
    pub(super) aside: Vec<&'a str>,
    /// Fields of a flag that is a value of its own: its name, its default (`cli.StringFlag{Name: "listen", Value: ":8080"}`).
    pub(super) flag_name: &'a str,
    pub(super) flag_default: &'a str,
    /// Ports that tools for developers listen on.
    pub(super) developers: Vec<u16>,
    /// Ports of databases and the like.
    pub(in crate::toolchain::manifest::gomod) others: Vec<u16>,
}

impl<'a> Known<'a> {
    pub(in crate::toolchain::manifest::gomod) fn of(facts: &'a toml::Table) -> Self {
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
    pub(super) fn beside(mut self, facts: &toml::Table) -> Self {
        let table = facts.get("listening").and_then(|table| table.get("beside")).and_then(toml::Value::as_array);
        let beside: Vec<&str> = table.into_iter().flatten().filter_map(toml::Value::as_str).collect();
        self.aside.retain(|aside| !beside.contains(aside));
        self
    }

    /// Whether a name speaks of another address than the application's.
    pub(in crate::toolchain::manifest::gomod) fn is_aside(&self, name: &str) -> bool {
        // The words by themselves: `http_server` says nothing of `https`. Some people divide one (`back_end`).
        let words = words(name);
        let begins = || std::iter::once(0).chain(words.match_indices(' ').map(|(at, _)| at + 1));
        let divided = |aside: &str| {
            begins().any(|at| {
                let mut letters = words[at..].chars().filter(|letter| *letter != ' ');
                aside.chars().all(|letter| letters.next() == Some(letter))
            })
        };
        self.aside.iter().any(|aside| words.contains(aside) || aside.len() > 5 && divided(aside))
    }

    /// How well what is said of a flag tells that it is about listening.
    pub(super) fn said(&self, usage: &str) -> Option<u32> {
        let lower = usage.to_lowercase();
        let mut words = lower.split(|c: char| !c.is_alphanumeric());
        let phrase = || self.words.iter().any(|known| known.contains(' ') && lower.contains(known));
        (!self.is_aside(usage) && (words.any(|word| self.words.contains(&word)) || phrase())).then_some(1)
    }

    /// How well a flag's, field's or variable's name says that it is about listening: 0 exactly, 1 somehow.
    pub(in crate::toolchain::manifest::gomod) fn named(&self, name: &str) -> Option<u32> {
        if self.is_aside(name) {
            return None;
        }
        let name = plain(name);
        let exact = self.names.iter().any(|known| *known == name);
        let somehow = || self.names.iter().any(|known| name.starts_with(known) || name.ends_with(known));
        if exact { Some(0) } else { somehow().then_some(1) }
    }
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
