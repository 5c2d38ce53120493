//! Flags that belong to another command than the one that is started: of a program whose root command runs by itself,
//! `Flags()` of its sub-commands are theirs alone (cobra's User Guide, "Local Flags").

pub(super) mod literals;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use self::literals::Command;
use super::super::gotokens::{Kind, Token, Tokens};
use super::mentions::{Mention, Place};
use super::ports::File;
use crate::model::source_tree::SourceTree;

/// Files and the expressions in them whose flags are those of commands that nobody starts: `serveCmd.Flags()`.
#[derive(Debug, Default)]
pub(super) struct Others(BTreeSet<(String, String)>);

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
    let texts: Vec<(&str, Vec<Token<'_>>)> = texts
        .filter(|(_, text)| ["cobra.Command{", "cli.Command{"].iter().any(|begins| text.contains(begins)))
        .map(|(path, text)| (path, Tokens::of(text).collect()))
        .collect();
    let commands: Vec<(&str, Vec<Command<'_>>)> =
        texts.iter().map(|(path, tokens)| (*path, of_cobra(tokens))).collect();
    let is_root = |command: &Command<'_>| command.word().is_some_and(|word| word.is_empty() || names.contains(&word));
    if !commands
        .iter()
        .flat_map(|(_, commands)| commands)
        .any(|command| is_root(command) && command.runs && !command.helps)
    {
        return Others::default();
    }
    let other = |command: &Command<'_>| {
        command.word().is_some_and(|word| !is_root(command) && !arguments.iter().any(|given| given == word))
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

/// The commands of a file that are of cobra.
fn of_cobra<'a>(tokens: &[Token<'a>]) -> Vec<Command<'a>> {
    let found = literals::read(tokens).into_iter().filter(|(library, _)| *library == "cobra");
    found.map(|(_, command)| command).collect()
}

/// Names that hold the flags of a command: `flags := serveCmd.Flags()`.
fn sets<'a>(tokens: &[Token<'a>], variable: &str) -> impl Iterator<Item = &'a str> {
    let kinds = |window: &[Token<'a>]| [0, 1, 2, 3, 4, 5].map(|at| window[at].kind);
    tokens.windows(6).filter_map(move |window| match kinds(window) {
        [
            Kind::Word(name),
            Kind::Sign(':'),
            Kind::Sign('='),
            Kind::Word(of),
            Kind::Sign('.'),
            Kind::Word("Flags" | "PersistentFlags"),
        ] if of == variable => Some(name),
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
        let tokens: Vec<Token<'_>> = Tokens::of(text).collect();
        let commands = of_cobra(&tokens);
        let read: Vec<_> = commands.iter().map(|one| (one.variable, one.word(), one.runs, one.helps)).collect();
        assert_eq!(
            read,
            [("serve", Some("serve"), true, false), ("x", Some(""), false, false), ("", None, true, true),]
        );
    }
}
