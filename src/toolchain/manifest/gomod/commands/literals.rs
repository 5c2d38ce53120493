//! Commands as sources write them down: `&cobra.Command{Use: "serve DIR", RunE: …}`, `cli.Command{Name: "serve", Action: …}`.

use std::borrow::Cow;

use crate::toolchain::manifest::gotokens::{Kind, Token};

/// More commands than any program has; each is read to its end.
pub(in crate::toolchain::manifest::gomod) const MAX_COMMANDS: usize = 300;

/// A command's literal.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(in crate::toolchain::manifest::gomod) struct Command<'a> {
    pub(in crate::toolchain::manifest::gomod) line: u32,
    /// Where it begins among the tokens of its file.
    pub(in crate::toolchain::manifest::gomod) at: usize,
    /// The variable that holds it.
    pub(in crate::toolchain::manifest::gomod) variable: &'a str,
    /// The function that makes it.
    pub(in crate::toolchain::manifest::gomod) function: &'a str,
    /// `Use` or `Name`, where that is a text.
    pub(in crate::toolchain::manifest::gomod) usage: Option<Cow<'a, str>>,
    /// The function that it does it by, where that has a name.
    pub(in crate::toolchain::manifest::gomod) handler: &'a str,
    /// Whether it does something by itself.
    pub(in crate::toolchain::manifest::gomod) runs: bool,
    /// Whether that shows its help, which is nothing, or may.
    pub(in crate::toolchain::manifest::gomod) helps: bool,
    /// Whether it wants a flag.
    pub(in crate::toolchain::manifest::gomod) demands: bool,
}

impl Command<'_> {
    /// The word that starts it; `name, n` is an older way to add another.
    pub(in crate::toolchain::manifest::gomod) fn word(&self) -> Option<&str> {
        self.usage.as_deref().and_then(|usage| usage.split([' ', ',', '\t']).next())
    }

    /// Whether its usage names something that has to follow: `serve DIR`, and not `serve [flags]`.
    pub(in crate::toolchain::manifest::gomod) fn wants_more(&self) -> bool {
        let usage = self.usage.as_deref().unwrap_or_default();
        let mut rest = usage.split_whitespace().skip(1).skip_while(|_| usage.contains(','));
        rest.any(|word| !word.starts_with(['[', '-']))
    }
}

/// Where a literal of a command begins: the library's name, and the place behind its brace.
pub(in crate::toolchain::manifest::gomod) fn begins<'a>(tokens: &[Token<'a>], at: usize) -> Option<(&'a str, usize)> {
    let kind = |at: usize| tokens.get(at).map(|token| token.kind);
    let Some(Kind::Word(library @ ("cobra" | "cli"))) = kind(at) else { return None };
    let named = kind(at + 1) == Some(Kind::Sign('.')) && matches!(kind(at + 2), Some(Kind::Word("Command" | "App")));
    // `*cobra.Command {` is what a function gives, `[]cli.Command{` a list.
    let is_type = at.checked_sub(1).and_then(kind).is_some_and(|before| matches!(before, Kind::Sign('*' | ')' | ']')));
    (named && !is_type && kind(at + 3) == Some(Kind::Sign('{'))).then_some((library, at + 4))
}

/// The literals of a file, with the libraries' names.
pub(in crate::toolchain::manifest::gomod) fn read<'a>(tokens: &[Token<'a>]) -> Vec<(&'a str, Command<'a>)> {
    let (mut found, mut depth, mut function) = (Vec::new(), 0usize, "");
    // `import cli "github.com/spf13/cobra"`
    let renamed = tokens.windows(2).any(|two| [two[0].kind, two[1].kind] == [Kind::Word("cli"), Kind::Text(COBRA)]);
    for (at, token) in tokens.iter().enumerate() {
        if found.len() == MAX_COMMANDS {
            break;
        }
        match token.kind {
            Kind::Word("func") if depth == 0 => function = declared(&tokens[at + 1..]),
            Kind::Sign('{' | '(') => depth += 1,
            Kind::Sign('}' | ')') => depth = depth.saturating_sub(1),
            _ => {}
        }
        // `var (…)` behind a function is none of its own.
        if depth == 0 && token.kind == Kind::Sign('}') {
            function = "";
        }
        if let Some((library, inside)) = begins(tokens, at) {
            let function = if depth == 0 { "" } else { function };
            let command = Command { function, variable: variable(&tokens[..at]), ..fields(tokens, inside) };
            let helps = command.helps || shows_help(tokens, command.handler);
            let library = if renamed { "cobra" } else { library };
            found.push((library, Command { at, line: token.line, helps, ..command }));
        }
    }
    found
}

/// Where cobra lies.
const COBRA: &str = "github.com/spf13/cobra";

/// Functions that show what a program could do.
const HELP: &[&str] = &["Help", "Usage", "ShowAppHelp", "ShowAppHelpAndExit"];

/// Whether a function of the file shows the help whatever happens: outside of all blocks of its own.
fn shows_help(tokens: &[Token<'_>], function: &str) -> bool {
    let declared = |two: &[Token<'_>]| [two[0].kind, two[1].kind] == [Kind::Word("func"), Kind::Word(function)];
    if function.is_empty() {
        return false;
    }
    let Some(at) = tokens.windows(2).position(declared) else { return false };
    let (mut blocks, mut brackets, mut last) = (0usize, 0usize, Kind::Sign(' '));
    for token in &tokens[at..] {
        match (last, token.kind) {
            (_, Kind::Sign('(')) => brackets += 1,
            (_, Kind::Sign(')')) => brackets = brackets.saturating_sub(1),
            (_, Kind::Sign('{')) if brackets == 0 => blocks += 1,
            (_, Kind::Sign('}')) if brackets == 0 && blocks <= 1 => return false,
            (_, Kind::Sign('}')) if brackets == 0 => blocks -= 1,
            (Kind::Sign('.'), Kind::Word(word)) if blocks == 1 && HELP.contains(&word) => return true,
            _ => {}
        }
        last = token.kind;
    }
    false
}

/// The name behind `func`, and behind the receiver of a method.
fn declared<'a>(tokens: &[Token<'a>]) -> &'a str {
    let behind = match tokens.first().map(|token| token.kind) {
        Some(Kind::Sign('(')) => tokens.iter().position(|token| token.kind == Kind::Sign(')')).map_or(0, |at| at + 1),
        _ => 0,
    };
    match tokens.get(behind).map(|token| token.kind) {
        Some(Kind::Word(name)) => name,
        _ => "",
    }
}

/// The variable that is given what begins here: `serve := &`, `var serve = `.
pub(in crate::toolchain::manifest::gomod) fn variable<'a>(before: &[Token<'a>]) -> &'a str {
    let kinds: Vec<Kind<'a>> = before.iter().rev().take(5).map(|token| token.kind).collect();
    let kinds = kinds.strip_prefix(&[Kind::Sign('&')]).unwrap_or(&kinds);
    match kinds {
        [Kind::Sign('='), Kind::Sign(':'), Kind::Word(name), ..] | [Kind::Sign('='), Kind::Word(name), ..] => name,
        _ => "",
    }
}

/// What the fields of a literal say whose first token is this one.
pub(in crate::toolchain::manifest::gomod) fn fields<'a>(tokens: &[Token<'a>], inside: usize) -> Command<'a> {
    let mut command = Command { at: inside, ..Command::default() };
    command.line = tokens.get(inside).map_or(1, |token| token.line);
    let mut depth = 0usize;
    let kinds = tokens[inside.min(tokens.len())..].iter().map(|token| token.kind);
    let (mut first, mut before, mut last) = (Kind::Sign(' '), Kind::Sign(' '), Kind::Sign(' '));
    // The block for arguments that nobody is to give (`if len(args) > 0 {`) is not what it does without any.
    let mut given = None;
    // A flag of its own that has to be given, which no variable may say instead (urfave/cli, "Required Flags").
    let (mut required, mut told, mut demands) = (false, false, false);
    for kind in kinds {
        match (before, last, kind) {
            (Kind::Sign('>'), Kind::Word("0"), Kind::Sign('{')) => given = given.or(Some(depth)),
            (_, _, Kind::Sign('}')) if given.is_some_and(|at| depth <= at + 1) => given = None,
            _ => {}
        }
        if let (Kind::Word("Run" | "RunE" | "Action"), Kind::Sign(':'), Kind::Word(name)) = (first, before, last)
            && depth == 0
            && matches!(kind, Kind::Sign(',' | '}'))
        {
            command.handler = name;
            command.runs = name != "nil";
        }
        match (before, last, kind) {
            (Kind::Word("Required"), Kind::Sign(':'), Kind::Word("true")) if depth == 2 => required = true,
            (_, Kind::Word("EnvVar" | "EnvVars" | "Sources"), Kind::Sign(':')) if depth == 2 => told = true,
            (_, _, Kind::Sign('}')) if depth == 2 => {
                demands |= required && !told;
                (required, told) = (false, false);
            }
            _ => {}
        }
        match (before, last, kind) {
            (_, _, Kind::Sign('}')) if depth == 0 => break,
            (_, _, Kind::Sign('{' | '(' | '[')) => depth += 1,
            (_, _, Kind::Sign('}' | ')' | ']')) => depth = depth.saturating_sub(1),
            (_, Kind::Word("Run" | "RunE" | "Action"), Kind::Sign(':')) if depth == 0 => command.runs = true,
            (Kind::Word("Use" | "Name"), Kind::Sign(':'), Kind::Text(text)) if depth == 0 => {
                command.usage = Some(Cow::Borrowed(text));
            }
            (_, Kind::Sign('.'), Kind::Word(word)) if HELP.contains(&word) => {
                command.helps |= depth > 0 && given.is_none();
            }
            _ => {}
        }
        (first, before, last) = (before, last, kind);
    }
    command.demands = demands;
    command
}

/// The parts between top-level commas, up to the bracket that closes what is open at a place: first token and the one behind.
pub(in crate::toolchain::manifest::gomod) fn parts(tokens: &[Token<'_>], from: usize) -> Vec<(usize, usize)> {
    let (mut found, mut depth, mut first) = (Vec::new(), 0usize, from);
    for (at, token) in tokens.iter().enumerate().skip(from) {
        match token.kind {
            Kind::Sign('{' | '(' | '[') => depth += 1,
            Kind::Sign('}' | ')' | ']') if depth == 0 => {
                found.push((first, at));
                break;
            }
            Kind::Sign('}' | ')' | ']') => depth -= 1,
            Kind::Sign(',') if depth == 0 => {
                found.push((first, at));
                first = at + 1;
            }
            _ => {}
        }
    }
    found.retain(|(first, behind)| first < behind);
    found
}
