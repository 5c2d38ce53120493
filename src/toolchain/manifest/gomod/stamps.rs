//! Variables of a program that the linker refuses to stamp: those which are no text (`go doc cmd/link`, `-X`).

use super::super::gotokens::{Kind, Token, Tokens};

/// Which of the names the files declare, outside functions, as variables that are not plainly texts: the linker stops at one
/// of another type, and leaves one alone whose value is computed.
pub(super) fn refused<'a>(texts: impl Iterator<Item = &'a str>, names: &[&'static str]) -> Vec<&'static str> {
    let mut found: Vec<&'static str> = texts.flat_map(|text| of_text(text, names)).collect();
    found.sort_unstable();
    found.dedup();
    found
}

fn of_text(text: &str, names: &[&'static str]) -> Vec<&'static str> {
    let tokens: Vec<Token<'_>> = Tokens::of(text).collect();
    let (mut found, mut depth, mut declares) = (Vec::new(), 0_u32, false);
    for (at, token) in tokens.iter().enumerate() {
        match token.kind {
            // `var (` keeps its depth: what stands in it is declared outside functions.
            Kind::Sign('(') if depth == 0 && at > 0 && tokens[at - 1].kind == Kind::Word("var") => declares = true,
            Kind::Sign(')') if depth == 0 => declares = false,
            Kind::Sign('(' | '{' | '[') => depth = depth.saturating_add(1),
            Kind::Sign(')' | '}' | ']') => depth = depth.saturating_sub(1),
            Kind::Word(_) if depth == 0 && begins(&tokens, at, declares) => found.extend(wrong(&tokens[at..], names)),
            _ => {}
        }
    }
    found
}

/// Whether a declaration begins with this word: behind `var`, or first in its line between the brackets of one.
fn begins(tokens: &[Token<'_>], at: usize, declares: bool) -> bool {
    let Some(before) = at.checked_sub(1).map(|before| tokens[before]) else { return false };
    let first = before.line < tokens[at].line || matches!(before.kind, Kind::Sign('(' | ';'));
    before.kind == Kind::Word("var") || (declares && first)
}

/// The names of one declaration, `a, b T = x, y`, where it makes them anything but texts.
fn wrong(tokens: &[Token<'_>], names: &[&'static str]) -> Vec<&'static str> {
    let mut declared = Vec::new();
    let mut rest = tokens.iter().map(|token| token.kind);
    let mut next = rest.next();
    while let Some(Kind::Word(word)) = next {
        declared.push(word);
        next = rest.next();
        if next != Some(Kind::Sign(',')) {
            break;
        }
        next = rest.next();
    }
    let text = match next {
        Some(Kind::Word("string")) => true,
        Some(Kind::Sign('=')) => matches!(rest.next(), Some(Kind::Text(_))),
        _ => false,
    };
    let stamped = names.iter().copied().filter(|name| declared.contains(name));
    stamped.filter(|_| !text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_text_is_not_stamped() {
        let table: &[(&str, &[&str])] = &[
            ("var version bool", &["version"]),
            ("var version string", &[]),
            ("var version, commit string", &[]),
            ("var version, commit = \"dev\", \"none\"", &[]),
            ("var version = flag.Bool(\"version\", false, \"\")", &["version"]),
            ("var (\n\ta []string\n\tversion bool // of\n\tcommit string\n)", &["version"]),
            ("var (\n\tversion = `dev`\n\tcommit = flag.String(\n\t\t\"c\", \"\", \"\",\n\t)\n)", &["commit"]),
            ("const version = 1\nfunc commit() { var version bool }", &[]),
            ("type t struct {\n\tversion bool\n}", &[]),
            ("", &[]),
        ];
        for (text, expected) in table {
            let text = format!("package main\n\n{text}\n");
            assert_eq!(refused([text.as_str()].into_iter(), &["version", "commit"]), *expected, "{text}");
        }
    }
}
