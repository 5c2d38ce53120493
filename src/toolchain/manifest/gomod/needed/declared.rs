//! Commands that are declared by calls and by fields: kingpin's `app.Command("serve", …)` ("Sub-commands": one of them has to be
//! selected), kong's fields with the tag `cmd` ("Commands and Arguments").

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::Source;
use crate::toolchain::manifest::gomod::commands::literals::{Command, variable};
use crate::toolchain::manifest::gotokens::{Kind, Token};

/// More commands than any program has; of each the variables are looked at.
const MAX_COMMANDS: usize = 200;
/// More tokens than one call has that declares a command or a flag, and more calls than follow it.
const MAX_TOKENS: usize = 200;
const MAX_CALLS: usize = 12;
/// More structures than a file of commands has; each is read to its end.
const MAX_STRUCTURES: usize = 200;

/// The commands of kingpin's application; none where one of them is its default.
pub(super) fn kingpin<'a>(sources: &[Source<'a>]) -> Option<Vec<(&'a str, Command<'a>)>> {
    let mut found = Vec::new();
    for source in sources.iter().filter(|source| imports(source, "alecthomas/kingpin")) {
        let kinds: Vec<Kind<'a>> = source.tokens.iter().map(|token| token.kind).collect();
        let made = kinds
            .windows(3)
            .enumerate()
            .filter(|(_, three)| *three == [Kind::Word("kingpin"), Kind::Sign('.'), Kind::Word("New")]);
        let made = made.map(|(at, _)| variable(&source.tokens[..at])).filter(|name| !name.is_empty());
        let applications: BTreeSet<&str> = made.chain(["kingpin"]).collect();
        let demands = |(at, four): (usize, &[Kind<'a>])| {
            let [Kind::Word(of), Kind::Sign('.'), Kind::Word("Flag" | "Arg"), Kind::Sign('(')] = four else {
                return None;
            };
            chain(&kinds, at + 3).contains(&"Required").then_some(*of)
        };
        let demanding: BTreeSet<&str> = kinds.windows(4).enumerate().filter_map(demands).collect();
        for (at, five) in kinds.windows(5).enumerate() {
            let [Kind::Word(of), Kind::Sign('.'), Kind::Word("Command"), Kind::Sign('('), Kind::Text(name)] = five
            else {
                continue;
            };
            if !applications.contains(of) {
                continue;
            }
            if found.len() == MAX_COMMANDS || chain(&kinds, at + 3).contains(&"Default") {
                return None;
            }
            let held = variable(&source.tokens[..at]);
            let demands = demanding.contains(held);
            let line = source.tokens[at].line;
            let usage = Some(Cow::Borrowed(*name));
            found
                .push((source.path, Command { line, at, variable: held, usage, runs: !demands, ..Command::default() }));
        }
    }
    (!found.is_empty()).then_some(found)
}

/// The functions called on what a call gives whose bracket opens here: `("serve", "…").Alias("s").Default()`.
fn chain<'a>(kinds: &[Kind<'a>], open: usize) -> Vec<&'a str> {
    let (mut found, mut at) = (Vec::new(), open);
    loop {
        let mut depth = 0usize;
        let closed = kinds[at..].iter().take(MAX_TOKENS).position(|kind| {
            match kind {
                Kind::Sign('(') => depth += 1,
                Kind::Sign(')') => depth -= 1,
                _ => {}
            }
            depth == 0
        });
        let Some(closed) = closed.map(|ahead| at + ahead) else { return found };
        match kinds.get(closed + 1..closed + 4) {
            Some([Kind::Sign('.'), Kind::Word(function), Kind::Sign('(')]) if found.len() < MAX_CALLS => {
                found.push(*function);
                at = closed + 3;
            }
            _ => return found,
        }
    }
}

/// The commands of the first structure of kong's file that has some; none where one of them is the default.
pub(super) fn kong<'a>(sources: &[Source<'a>]) -> Option<Vec<(&'a str, Command<'a>)>> {
    for source in sources.iter().filter(|source| imports(source, "alecthomas/kong")) {
        let begins = |two: &[Token<'_>]| [two[0].kind, two[1].kind] == [Kind::Word("struct"), Kind::Sign('{')];
        let structures = source
            .tokens
            .windows(2)
            .enumerate()
            .filter(|(_, two)| begins(two))
            .map(|(at, _)| at + 2)
            .take(MAX_STRUCTURES);
        for inside in structures {
            let fields = fields(&source.tokens[inside..]);
            let tagged = |tag: &str, key: &str| {
                tag.split_whitespace()
                    .any(|part| part == key || part.strip_prefix(key).is_some_and(|rest| rest.starts_with(':')))
            };
            let commands: Vec<_> = fields.into_iter().filter(|(_, _, tag)| tagged(tag, "cmd")).collect();
            if commands.is_empty() {
                continue;
            }
            if commands.iter().any(|(_, _, tag)| tagged(tag, "default")) {
                return None;
            }
            let named = |name: &'a str, tag: &'a str| {
                let stated = tag.split("name:\"").nth(1).and_then(|rest| rest.split('"').next());
                stated.map_or_else(|| Cow::Owned(dashed(name)), Cow::Borrowed)
            };
            let each = commands.into_iter().map(|(line, name, tag)| {
                let command = Command { line, usage: Some(named(name, tag)), runs: true, ..Command::default() };
                (source.path, command)
            });
            return Some(each.collect());
        }
    }
    None
}

/// Line, name and tag of the fields of a structure, up to its end.
fn fields<'a>(tokens: &[Token<'a>]) -> Vec<(u32, &'a str, &'a str)> {
    let (mut found, mut depth, mut name) = (Vec::new(), 0usize, None);
    for token in tokens {
        match token.kind {
            Kind::Sign('{' | '(' | '[') => depth += 1,
            Kind::Sign('}') if depth == 0 => break,
            Kind::Sign('}' | ')' | ']') => depth = depth.saturating_sub(1),
            Kind::Word(word) if depth == 0 => match name {
                Some((line, _)) if line == token.line => {}
                _ => name = Some((token.line, word)),
            },
            Kind::Text(tag) if depth == 0 => {
                found.extend(name.take().map(|(line, name)| (line, name, tag)));
            }
            _ => {}
        }
    }
    found
}

/// A field's name as kong has it on the command line: `RunAll` is `run-all`.
fn dashed(name: &str) -> String {
    let mut found = String::new();
    let mut before = ' ';
    for letter in name.chars() {
        if letter.is_uppercase() && before.is_lowercase() {
            found.push('-');
        }
        found.extend(letter.to_lowercase());
        before = letter;
    }
    found
}

fn imports(source: &Source<'_>, module: &str) -> bool {
    source.tokens.iter().any(|token| matches!(token.kind, Kind::Text(text) if text.contains(module)))
}
