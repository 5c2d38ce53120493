//! Where texts and numbers stand in a Go file: as arguments, as values of names, in struct tags.

use std::sync::Arc;

use super::super::gotokens::{Kind, Tokens};
use crate::model::source_tree::SourceTree;

/// A text or number of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mention {
    pub(super) place: Place,
    pub(super) text: String,
    /// The line, from 1.
    pub(super) line: u32,
    /// Whether something is added behind it: `"." + name`.
    pub(super) goes_on: bool,
    /// Whether it is added to something: `directory + "/pages"`.
    pub(super) added: bool,
}

/// Where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// An argument of `package.function(…)`, from 0; `call` tells calls of one file apart. Of `a.b().c(…)` the package is
    /// `a.b()`.
    Argument { package: String, function: String, call: usize, index: usize },
    /// The value of a variable, a constant or a field.
    Named(String),
    /// A struct tag, `` `env:"PORT" default:"8080"` ``, and the field that has it and its type, where that is a name.
    Tag { field: String, kind: String },
    /// Anywhere else.
    Other,
}

impl Place {
    /// Whether it is an argument of `package.function`.
    pub(super) fn is_of(&self, named: &str) -> bool {
        let Self::Argument { package, function, .. } = self else { return false };
        named.strip_suffix(function.as_str()).and_then(|rest| rest.strip_suffix('.')) == Some(package)
    }
}

#[derive(Debug, Clone)]
struct Open {
    package: String,
    function: String,
    call: usize,
    /// Commas so far.
    commas: usize,
}

/// Those of each file that has a text, looked for once.
pub(super) fn of_each<'p>(
    tree: &SourceTree,
    paths: impl IntoIterator<Item = &'p str>,
) -> Vec<(&'p str, Arc<Vec<Mention>>)> {
    tree.derived_each(paths, |_, text| mentions(text))
}

/// Lines at the beginning of a file that may say who wrote it.
const HEAD: usize = 12;

/// Whether a tool wrote the file (`go help generate`: `// Code generated … DO NOT EDIT.`): addresses in it are what documentation
/// says (swag's `Host`), and nobody's.
pub(super) fn is_generated(text: &str) -> bool {
    text.lines().take(HEAD).any(|line| line.starts_with("//") && line.contains("DO NOT EDIT"))
}

/// All texts, and numbers that are arguments or values.
pub(super) fn mentions(text: &str) -> Vec<Mention> {
    let mut found = Vec::new();
    let mut open: Vec<Open> = Vec::new();
    let mut calls = 0;
    let mut before = [Kind::Sign(' '); 4];
    let mut closed: Option<Open> = None;
    for token in Tokens::of(text) {
        match token.kind {
            Kind::Sign('(') => {
                calls += 1;
                let (mut package, function) = called(&before);
                if let ([_, Kind::Sign(')'), Kind::Sign('.'), _], Some(of)) = (&before, &closed)
                    && !of.package.is_empty()
                {
                    package = format!("{}.{}()", of.package, of.function);
                }
                open.push(Open { package, function, call: calls, commas: 0 });
            }
            Kind::Sign('{' | '[') => {
                open.push(Open { package: String::new(), function: String::new(), call: 0, commas: 0 });
            }
            Kind::Sign(')' | '}' | ']') => {
                closed = open.pop();
            }
            Kind::Sign(',') => {
                if let Some(open) = open.last_mut() {
                    open.commas += 1;
                }
            }
            Kind::Text(value) => {
                found.push(Mention {
                    place: place(value, &before, open.last()),
                    text: value.to_owned(),
                    line: token.line,
                    goes_on: false,
                    added: before[3] == Kind::Sign('+'),
                });
            }
            Kind::Sign('+') if matches!(before[3], Kind::Text(_)) => {
                if let Some(text) = found.last_mut() {
                    text.goes_on = true;
                }
            }
            Kind::Word(word) if word.bytes().all(|b| b.is_ascii_digit()) => {
                let place = place("", &before, open.last());
                if place != Place::Other {
                    found.push(Mention {
                        place,
                        text: word.to_owned(),
                        line: token.line,
                        goes_on: false,
                        added: false,
                    });
                }
            }
            _ => {}
        }
        before = [before[1], before[2], before[3], token.kind];
    }
    found
}

/// `package.function` before an opening parenthesis; a keyword or a declaration calls nothing.
fn called(before: &[Kind<'_>; 4]) -> (String, String) {
    match before {
        [_, Kind::Word(package), Kind::Sign('.'), Kind::Word(function)] => {
            ((*package).to_owned(), (*function).to_owned())
        }
        [_, _, Kind::Sign('.'), Kind::Word(function)] => (String::new(), (*function).to_owned()),
        [_, _, Kind::Word("func"), Kind::Word(_)] => (String::new(), String::new()),
        [_, _, _, Kind::Word(function)]
            if !["func", "import", "return", "if", "for", "switch", "const", "var", "type"].contains(function) =>
        {
            (String::new(), (*function).to_owned())
        }
        _ => (String::new(), String::new()),
    }
}

/// The field before `string` or `time.Duration`, and the last word of its type.
fn field<'a>(before: &[Kind<'a>; 4]) -> (&'a str, &'a str) {
    match before {
        [Kind::Word(name), Kind::Word(_), Kind::Sign('.'), Kind::Word(kind)]
        | [_, _, Kind::Word(name), Kind::Word(kind)] => (name, kind),
        _ => ("", ""),
    }
}

fn place(value: &str, before: &[Kind<'_>; 4], open: Option<&Open>) -> Place {
    if value.contains(":\"") {
        let (field, kind) = field(before);
        return Place::Tag { field: field.to_owned(), kind: kind.to_owned() };
    }
    match before {
        [_, Kind::Word(name), Kind::Sign(':'), Kind::Sign('=')] | [_, _, Kind::Word(name), Kind::Sign(':')]
            if *name != "case" =>
        {
            Place::Named((*name).to_owned())
        }
        // A table of settings: `"server.port": 8080`.
        [_, _, Kind::Text(name), Kind::Sign(':')] if name.contains('.') => Place::Named((*name).to_owned()),
        [_, Kind::Word(name), Kind::Word(kind), Kind::Sign('=')]
            if !["var", "const"].contains(name) && kind.chars().all(char::is_alphanumeric) =>
        {
            Place::Named((*name).to_owned())
        }
        [_, _, Kind::Word(name), Kind::Sign('=')] => Place::Named((*name).to_owned()),
        [_, _, _, Kind::Sign('(' | ',')] => match open {
            Some(open) if !open.function.is_empty() => {
                let Open { package, function, call, commas } = open.clone();
                Place::Argument { package, function, call, index: commas }
            }
            _ => Place::Other,
        },
        _ => Place::Other,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_know_where_they_stand() {
        let text = "package a\nvar addr = flag.String(\"addr\", \":8080\", \"x\" + \"y\")\nconst defaultPort uint16 = 9000\n\
            type c struct { P int `env:\"PORT\"` }\nfunc f(x string) { http.Server{Addr: \":1\"}; port := \"2\"; r().Run(\":3\"); a.R().S(\"4\"); g(os.Getenv(\"K\"), \"d\") }\n";
        let shown: Vec<String> = mentions(text)
            .into_iter()
            .map(|mention| match mention.place {
                Place::Argument { package, function, .. } => {
                    format!("{package}.{function}({}) {}", mention.text, mention.line)
                }
                Place::Named(name) => format!("{name}={} {}", mention.text, mention.line),
                Place::Tag { field, kind } => format!("tag {field} {kind} {} {}", mention.text, mention.line),
                Place::Other => format!("{} {}", mention.text, mention.line),
            })
            .collect();
        assert_eq!(
            shown,
            [
                "flag.String(addr) 2",
                "flag.String(:8080) 2",
                "flag.String(x) 2",
                "y 2",
                "defaultPort=9000 3",
                "tag P int env:\"PORT\" 4",
                "Addr=:1 5",
                "port=2 5",
                ".Run(:3) 5",
                "a.R().S(4) 5",
                "os.Getenv(K) 5",
                ".g(d) 5"
            ]
        );
    }

    proptest! {
        #[test]
        fn never_panics(text in "([a-z0-9(){}\\[\\],.:=\"'`/ \n]|func ){0,60}") {
            let _ = mentions(&text);
        }
    }
}
