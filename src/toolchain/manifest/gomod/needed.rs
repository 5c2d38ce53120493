//! The command that a program has to be given, because it does nothing without one: cobra's root command without `Run` ("User
//! Guide"), an application of urfave/cli without `Action` ("Subcommands"). They show their help and end.

mod declared;

use std::collections::BTreeSet;

use super::super::gotokens::{Kind, Token, Tokens};
use super::commands::literals::{self, Command, MAX_COMMANDS, begins, fields, parts};
use super::ports::File;
use crate::model::failure::Warning;
use crate::model::origin::{Found, Origin};
use crate::model::source_tree::{SourceTree, parent};

/// More than a file executes.
const MAX_EXECUTED: usize = 20;

/// A file that has commands.
struct Source<'a> {
    path: &'a str,
    tokens: Vec<Token<'a>>,
    commands: Vec<(&'a str, Command<'a>)>,
}

/// What is found of a program that does nothing by itself.
#[derive(Debug)]
pub(super) enum Needed {
    /// The only command whose name says that it serves.
    Serves(Found<Vec<String>>),
    /// None, or several do.
    Unknown(Warning),
}

/// The program's command, where it needs one and its sources say so plainly. `names` are those that the program may have.
pub(super) fn find(
    tree: &SourceTree,
    facts: &toml::Table,
    files: &[File<'_>],
    names: &[&str],
    listens: &dyn Fn() -> bool,
) -> Option<Needed> {
    let texts: Vec<(&str, &str)> = files.iter().filter_map(|(path, _)| Some((*path, tree.text(path)?))).collect();
    // A program may add what it is not given.
    if texts.iter().any(|(_, text)| ["os.Args = ", "SetArgs("].iter().any(|sets| text.contains(sets))) {
        return None;
    }
    let of_library = texts
        .into_iter()
        .filter(|(_, text)| ["cobra", "cli.", ".Execute", "kingpin.", "kong."].iter().any(|part| text.contains(part)));
    let sources: Vec<Source<'_>> = of_library
        .map(|(path, text)| {
            let tokens: Vec<Token<'_>> = Tokens::of(text).collect();
            let commands = literals::read(&tokens);
            Source { path, tokens, commands }
        })
        .collect();
    if sources.iter().map(|source| source.commands.len()).sum::<usize>() >= MAX_COMMANDS {
        return None;
    }
    let commands = cobra(&sources, names).or_else(|| urfave(&sources));
    let commands = commands.or_else(|| declared::kingpin(&sources)).or_else(|| declared::kong(&sources))?;
    let list = |key: &str| -> Vec<&str> {
        let list = facts.get("serving").and_then(|table| table.get(key)).and_then(toml::Value::as_array);
        list.into_iter().flatten().filter_map(toml::Value::as_str).collect()
    };
    let serves = ["commands", "other_commands"].iter().find_map(|key| {
        let of_these = list(key);
        let found: Vec<_> = commands
            .iter()
            .filter(|(_, command)| command.word().is_some_and(|word| of_these.contains(&word)))
            .collect();
        (!found.is_empty()).then_some(found)
    });
    let serves = serves.unwrap_or_default();
    if let [(path, command)] = serves.as_slice()
        && let Some(word) = command.word()
        && command.runs
        && !command.wants_more()
        && !command.demands
        && (list("commands").contains(&word) || listens())
    {
        let origin = Origin::file(*path, Some(command.line), "the program does nothing without a command");
        return Some(Needed::Serves(Found::new(vec![word.to_owned()], origin)));
    }
    let told: Vec<String> = commands.iter().filter_map(|(_, command)| Some(format!("`{}`", command.word()?))).collect();
    let (path, first) = commands.first()?;
    let message = format!("the program does nothing without a command: {}", told.join(", "));
    let hint =
        format!("say which one: `[runtime]` `args = [\"{}\"]` in `slipway.toml`", first.word().unwrap_or_default());
    Some(Needed::Unknown(Warning::new("command_needed", message, hint).at(*path, Some(first.line))))
}

/// The commands below the root of a program of cobra, where that does nothing by itself.
fn cobra<'a>(sources: &[Source<'a>], names: &[&str]) -> Option<Vec<(&'a str, Command<'a>)>> {
    let executed: BTreeSet<(&str, &str)> = sources.iter().flat_map(|source| executed(source)).collect();
    let imported: BTreeSet<(&str, &str)> = sources.iter().flat_map(|source| imported(source)).collect();
    let all = || {
        let each = sources.iter().flat_map(|source| source.commands.iter().map(move |found| (source, found)));
        each.filter(|(_, (library, _))| *library == "cobra").map(|(source, (_, command))| (source, command))
    };
    let is_executed = |source: &Source<'_>, command: &Command<'_>| {
        let of_package = !command.variable.is_empty() && executed.contains(&(parent(source.path), command.variable));
        let made = !command.function.is_empty() && executed.iter().any(|(_, name)| *name == command.function);
        let directory = parent(source.path).rsplit('/').next().unwrap_or_default();
        of_package || made || !command.variable.is_empty() && imported.contains(&(directory, command.variable))
    };
    let mut roots: Vec<_> = all().filter(|(source, command)| is_executed(source, command)).collect();
    if roots.is_empty() {
        roots = all().filter(|(_, command)| command.word().is_some_and(|word| names.contains(&word))).collect();
    }
    let [(of, root)] = roots.as_slice() else { return None };
    let assigned = sources.iter().any(|source| {
        source.tokens.windows(4).any(|window| {
            let kinds = [window[0].kind, window[1].kind, window[2].kind, window[3].kind];
            matches!(kinds, [_, Kind::Sign('.'), Kind::Word("Run" | "RunE"), Kind::Sign('=')])
        })
    });
    if root.runs && !root.helps || assigned {
        return None;
    }
    // What a function only makes has its name where it is executed.
    let held = || {
        sources.iter().find_map(|source| {
            let made = makers(&source.tokens).filter(|(_, function)| *function == root.function);
            let mut held = made.filter(|(name, _)| executed.contains(&(parent(source.path), *name)));
            held.next().map(|(name, _)| (source.path, name))
        })
    };
    let (place, name) = if root.variable.is_empty() { held()? } else { (of.path, root.variable) };
    let (mut found, mut added) = (Vec::new(), 0);
    for source in sources {
        for (at, window) in source.tokens.windows(4).enumerate() {
            let kinds = [window[0].kind, window[1].kind, window[2].kind, window[3].kind];
            let [Kind::Word(variable), Kind::Sign('.'), Kind::Word("AddCommand"), Kind::Sign('(')] = kinds else {
                continue;
            };
            added += 1;
            if added == MAX_COMMANDS {
                return None;
            }
            let local = root.function.is_empty() || source.path == place;
            if variable == name && local {
                let each = parts(&source.tokens, at + 4);
                found.extend(each.into_iter().filter_map(|part| given(sources, source, part)));
            }
        }
    }
    (!found.is_empty()).then_some(found)
}

/// The commands of a program of urfave/cli, where it has no action of its own.
fn urfave<'a>(sources: &[Source<'a>]) -> Option<Vec<(&'a str, Command<'a>)>> {
    let mut lists = Vec::new();
    for source in sources {
        let kinds: Vec<Kind<'_>> = source.tokens.iter().map(|token| token.kind).collect();
        for at in 0..kinds.len() {
            let Some([Kind::Word("Commands"), Kind::Sign(':' | '='), Kind::Sign('['), Kind::Sign(']')]) =
                kinds.get(at..at + 4)
            else {
                continue;
            };
            let open = kinds.iter().skip(at + 4).position(|kind| *kind == Kind::Sign('{')).map(|ahead| at + 5 + ahead);
            let is_list = |open: &usize| open - at <= 9 && kinds[at + 4..*open].contains(&Kind::Word("cli"));
            let Some(open) = open.filter(is_list) else { continue };
            // Which of several is the program's own nobody says plainly.
            if !lists.is_empty() {
                return None;
            }
            // The literal around it tells whether the program does something by itself, or the same file does.
            let around = (0..at)
                .rev()
                .filter_map(|at| begins(&source.tokens, at))
                .find(|(_, inside)| parts(&source.tokens, *inside).iter().any(|(first, _)| *first == at));
            let acts = match around {
                Some((_, inside)) => fields(&source.tokens, inside).runs,
                None => kinds.windows(3).any(|three| three == [Kind::Sign('.'), Kind::Word("Action"), Kind::Sign('=')]),
            };
            lists.push((source, open, acts));
        }
    }
    let [(source, open, false)] = lists.as_slice() else { return None };
    let found: Vec<_> =
        parts(&source.tokens, *open).into_iter().filter_map(|part| given(sources, source, part)).collect();
    (!found.is_empty()).then_some(found)
}

/// What is executed: the directory of the package, and the variable or the function that makes the command.
fn executed<'a>(source: &Source<'a>) -> Vec<(&'a str, &'a str)> {
    let kinds: Vec<Kind<'a>> = source.tokens.iter().map(|token| token.kind).collect();
    let mut found = Vec::new();
    for (at, kind) in kinds.iter().enumerate().skip(2) {
        if found.len() >= MAX_EXECUTED {
            break;
        }
        if !matches!(kind, Kind::Word("Execute" | "ExecuteContext" | "ExecuteC")) || kinds[at - 1] != Kind::Sign('.') {
            continue;
        }
        let made_by = |end: usize| {
            let open = kinds[..end].iter().rposition(|kind| *kind == Kind::Sign('('))?;
            match kinds.get(open.checked_sub(1)?) {
                Some(Kind::Word(function)) => Some(*function),
                _ => None,
            }
        };
        match kinds[at - 2] {
            Kind::Word(variable) => {
                found.push(variable);
                let given = kinds
                    .windows(3)
                    .position(|three| three == [Kind::Word(variable), Kind::Sign(':'), Kind::Sign('=')]);
                let behind = given.map(|given| &kinds[given + 3..]);
                let call =
                    behind.and_then(|kinds| Some((kinds, kinds.iter().position(|kind| *kind == Kind::Sign('('))?)));
                found.extend(call.filter(|(_, open)| *open <= 3).and_then(|(kinds, open)| {
                    match kinds.get(open.checked_sub(1)?) {
                        Some(Kind::Word(function)) => Some(*function),
                        _ => None,
                    }
                }));
            }
            Kind::Sign(')') => found.extend(made_by(at - 2)),
            _ => {}
        }
    }
    found.into_iter().map(|name| (parent(source.path), name)).collect()
}

/// What another package's name stands before: `cmd.Root.Execute()`. A package has its directory's name (Effective Go, "Package
/// names").
fn imported<'a>(source: &Source<'a>) -> Vec<(&'a str, &'a str)> {
    let found = source.tokens.windows(5).filter_map(|five| match [0, 1, 2, 3, 4].map(|at| five[at].kind) {
        [
            Kind::Word(package),
            Kind::Sign('.'),
            Kind::Word(name),
            Kind::Sign('.'),
            Kind::Word("Execute" | "ExecuteContext" | "ExecuteC"),
        ] => Some((package, name)),
        _ => None,
    });
    found.take(MAX_EXECUTED).collect()
}

/// Variables that are given what a function makes: `serve := run.NewCommand()`.
fn makers<'t, 'a>(tokens: &'t [Token<'a>]) -> impl Iterator<Item = (&'a str, &'a str)> + use<'t, 'a> {
    tokens.windows(7).filter_map(|seven| {
        let [name, colon, sign, first, second, third, fourth] = seven else { return None };
        match [name, colon, sign, first, second, third, fourth].map(|token| token.kind) {
            [Kind::Word(name), Kind::Sign(':'), Kind::Sign('='), Kind::Word(function), Kind::Sign('('), ..]
            | [
                Kind::Word(name),
                Kind::Sign(':'),
                Kind::Sign('='),
                Kind::Word(_),
                Kind::Sign('.'),
                Kind::Word(function),
                Kind::Sign('('),
            ] => Some((name, function)),
            _ => None,
        }
    })
}

/// The command that a part of a list stands for: a literal, a variable, what a function makes.
fn given<'a>(
    sources: &[Source<'a>],
    source: &Source<'a>,
    (first, behind): (usize, usize),
) -> Option<(&'a str, Command<'a>)> {
    let tokens = &source.tokens;
    let kind = |at: usize| tokens.get(at).map(|token| token.kind).filter(|_| at < behind);
    let at = if kind(first) == Some(Kind::Sign('&')) { first + 1 } else { first };
    if let Some((_, inside)) = begins(tokens, at) {
        return Some((source.path, fields(tokens, inside)))
            .filter(|(_, command)| command.word().is_some_and(|word| !word.is_empty()));
    }
    if kind(at) == Some(Kind::Sign('{')) {
        return Some((source.path, fields(tokens, at + 1)))
            .filter(|(_, command)| command.word().is_some_and(|word| !word.is_empty()));
    }
    let mut path = Vec::new();
    let mut at = at;
    while let Some(Kind::Word(word)) = kind(at) {
        path.push(word);
        at += if kind(at + 1) == Some(Kind::Sign('.')) { 2 } else { 1 };
    }
    let (name, package) = (*path.last()?, path.len().checked_sub(2).map(|before| path[before]));
    let each = || sources.iter().flat_map(|of| of.commands.iter().map(move |(_, command)| (of, command)));
    let same =
        |command: &Command<'_>| command.variable == name && command.function.is_empty() || command.function == name;
    let near = |of: &Source<'_>| match package {
        Some(package) => parent(of.path).rsplit('/').next() == Some(package),
        None => parent(of.path) == parent(source.path),
    };
    let only = |found: Vec<(&Source<'a>, &Command<'a>)>| match found.as_slice() {
        [(of, command)] => Some((of.path, (*command).clone())),
        _ => None,
    };
    let found = only(each().filter(|(of, command)| same(command) && near(of)).collect());
    let made = || {
        let (_, function) = makers(tokens).find(|(variable, _)| path.len() == 1 && *variable == name)?;
        only(each().filter(|(_, command)| command.function == function).collect())
    };
    found
        .or_else(|| only(each().filter(|(_, command)| same(command)).collect()))
        .or_else(made)
        .filter(|(_, command)| command.word().is_some_and(|word| !word.is_empty()))
}
