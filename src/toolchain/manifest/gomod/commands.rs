//! Flags that belong to another command than the one that is started: of a program whose root command runs by itself,
//! `Flags()` of its sub-commands are theirs alone (cobra's User Guide, "Local Flags").

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::super::gotokens::{Kind, Tokens};
use super::mentions::{Mention, Place};
use super::ports::File;
use crate::model::source_tree::SourceTree;

/// Files and the expressions in them whose flags are those of commands that nobody starts: `serveCmd.Flags()`.
#[derive(Debug, Default)]
pub(super) struct Others(BTreeSet<(String, String)>);

/// A command as its source writes it down.
#[derive(Debug, Default, PartialEq, Eq)]
struct Command<'a> {
    /// The variable that holds it.
    variable: &'a str,
    /// The first word of `Use`, where that is a text.
    word: Option<&'a str>,
    /// Whether it does something by itself.
    runs: bool,
    /// Whether that shows its help, which is nothing, or may.
    helps: bool,
}

impl Others {
    /// The texts of a file without those in definitions of their flags, and those.
    pub(super) fn split<'m>(&self, path: &str, mentions: &'m [Mention]) -> (Cow<'m, [Mention]>, Vec<Mention>) {
        if !self.0.iter().any(|(file, _)| file == path) {
            return (Cow::Borrowed(mentions), Vec::new());
        }
        let defines = |mention: &Mention| {
            let Place::Argument { package, .. } = &mention.place else { return false };
            self.0.contains(&(path.to_owned(), package.clone()))
        };
        let (theirs, own): (Vec<_>, Vec<_>) = mentions.iter().cloned().partition(defines);
        (Cow::Owned(own), theirs)
    }
}

/// The commands of a program with these names that its arguments do not name, where it runs without any.
pub(super) fn others(tree: &SourceTree, files: &[File<'_>], names: &[&str], arguments: &[String]) -> Others {
    let texts = files.iter().filter_map(|(path, _)| Some((*path, tree.text(path)?)));
    let texts: Vec<(&str, Vec<Kind<'_>>)> = texts
        .filter(|(_, text)| text.contains("cobra.Command{"))
        .map(|(path, text)| (path, Tokens::of(text).map(|token| token.kind).collect()))
        .collect();
    let commands: Vec<(&str, Vec<Command<'_>>)> = texts.iter().map(|(path, tokens)| (*path, read(tokens))).collect();
    let is_root = |command: &Command<'_>| command.word.is_some_and(|word| word.is_empty() || names.contains(&word));
    if !commands
        .iter()
        .flat_map(|(_, commands)| commands)
        .any(|command| is_root(command) && command.runs && !command.helps)
    {
        return Others::default();
    }
    let other = |command: &Command<'_>| {
        command.word.is_some_and(|word| !is_root(command) && !arguments.iter().any(|given| given == word))
    };
    let mut found = BTreeSet::new();
    for ((path, commands), (_, tokens)) in commands.iter().zip(&texts) {
        // One name may hold several commands in turn.
        let mut held: BTreeMap<&str, bool> = BTreeMap::new();
        for command in commands {
            *held.entry(command.variable).or_insert(true) &= other(command);
        }
        for (variable, _) in held.into_iter().filter(|(_, other)| *other) {
            for flags in ["Flags", "PersistentFlags"] {
                found.insert(((*path).to_owned(), format!("{variable}.{flags}()")));
            }
            found.extend(sets(tokens, variable).map(|set| ((*path).to_owned(), set.to_owned())));
        }
    }
    Others(found)
}

/// The commands of a file: `name := &cobra.Command{Use: "serve ADDRESS", RunE: …}`.
fn read<'a>(tokens: &[Kind<'a>]) -> Vec<Command<'a>> {
    let starts = |at: usize| {
        let literal = [Kind::Word("cobra"), Kind::Sign('.'), Kind::Word("Command"), Kind::Sign('{')];
        // `*cobra.Command {` behind a parenthesis is what a function gives.
        let is_type = matches!(tokens[..at].last(), Some(Kind::Sign('*' | ')' | ']')));
        !is_type && tokens[at..].starts_with(&literal)
    };
    (0..tokens.len()).filter(|at| starts(*at)).map(|at| command(&tokens[..at], &tokens[at + 4..])).collect()
}

fn command<'a>(before: &[Kind<'a>], inside: &[Kind<'a>]) -> Command<'a> {
    let before = before.strip_suffix(&[Kind::Sign('&')]).unwrap_or(before);
    let variable = match before {
        [.., Kind::Word(name), Kind::Sign(':'), Kind::Sign('=')] | [.., Kind::Word(name), Kind::Sign('=')] => *name,
        _ => "",
    };
    let mut command = Command { variable, ..Command::default() };
    let mut depth = 0usize;
    for (at, kind) in inside.iter().enumerate() {
        match kind {
            Kind::Sign('{' | '(' | '[') => depth += 1,
            Kind::Sign('}' | ')' | ']') if depth == 0 => break,
            Kind::Sign('}' | ')' | ']') => depth -= 1,
            Kind::Word("Run" | "RunE") if depth == 0 && inside.get(at + 1) == Some(&Kind::Sign(':')) => {
                command.runs = true;
            }
            Kind::Word("Help" | "Usage") if depth > 0 && inside[..at].ends_with(&[Kind::Sign('.')]) => {
                command.helps = true;
            }
            Kind::Text(text) if depth == 0 && inside[..at].ends_with(&[Kind::Word("Use"), Kind::Sign(':')]) => {
                command.word = Some(text.split_whitespace().next().unwrap_or_default());
            }
            _ => {}
        }
    }
    command
}

/// Names that hold the flags of a command: `flags := serveCmd.Flags()`.
fn sets<'a>(tokens: &[Kind<'a>], variable: &str) -> impl Iterator<Item = &'a str> {
    tokens.windows(6).filter_map(move |window| match window {
        [
            Kind::Word(name),
            Kind::Sign(':'),
            Kind::Sign('='),
            Kind::Word(of),
            Kind::Sign('.'),
            Kind::Word("Flags" | "PersistentFlags"),
        ] if *of == variable => Some(*name),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read_with_their_variable() {
        let text = "package a\nvar serve = &cobra.Command{\n\tUse: \"serve DIR\",\n\tRun: func(c *cobra.Command, a []string) {},\n}\n\
                    func f() *cobra.Command { x := cobra.Command{Use: \"\"}; return &cobra.Command{Use: name, RunE: func() error { return c.Help() }} }\n";
        let tokens: Vec<Kind<'_>> = Tokens::of(text).map(|token| token.kind).collect();
        assert_eq!(
            read(&tokens),
            [
                Command { variable: "serve", word: Some("serve"), runs: true, helps: false },
                Command { variable: "x", word: Some(""), runs: false, helps: false },
                Command { variable: "", word: None, runs: true, helps: true },
            ]
        );
    }
}
