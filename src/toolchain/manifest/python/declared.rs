//! Entry points that `setup.py` and `setup.cfg` declare (entry points specification; setuptools, "Entry Points"), read and
//! not run.

use super::ini;
use super::text::{inside, line_of};
use crate::model::origin::{Found, Origin};
use crate::model::source_tree::SourceTree;

/// The group of commands that an installer makes.
pub(super) const COMMANDS: &str = "console_scripts";

/// A name in a group: `console_scripts`, or one that another distribution reads (`celery.commands`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Declared {
    pub(super) group: String,
    pub(super) name: Found<String>,
    /// `shop.cli:main`.
    pub(super) target: String,
}

/// Those of the project in this directory, `setup.cfg` first, which setuptools reads after `setup.py` has run.
pub(super) fn read(tree: &SourceTree, directory: &str) -> Vec<Declared> {
    let text = |name: &str| Some((inside(directory, name), tree.text(&inside(directory, name))?));
    let cfg = text("setup.cfg").map(|(path, text)| setup_cfg(&path, text)).unwrap_or_default();
    cfg.into_iter().chain(text("setup.py").map(|(path, text)| setup_py(&path, text)).unwrap_or_default()).collect()
}

fn declared(path: &str, line: u32, group: &str, name: &str, target: &str) -> Declared {
    let origin = Origin::file(path, Some(line), format!("entry_points {group}"));
    Declared { group: group.to_owned(), name: Found::new(name.to_owned(), origin), target: target.to_owned() }
}

/// `[options.entry_points]`, where a key without a value begins a group.
fn setup_cfg(path: &str, text: &str) -> Vec<Declared> {
    let (mut group, mut found) = ("", Vec::new());
    for line in ini::lines(text).into_iter().filter(|line| line.section == "options.entry_points") {
        if line.value.is_empty() {
            group = line.key;
        } else {
            found.push(declared(path, line.number, group, line.key, line.value));
        }
    }
    found
}

/// `entry_points=` as a dictionary of lists or as text in the form of an INI file.
fn setup_py(path: &str, text: &str) -> Vec<Declared> {
    let (mut group, mut found) = (String::new(), scripts(path, text));
    let Some(start) = text.find("entry_points") else { return found };
    for (at, string, is_key) in strings(text, start) {
        if is_key {
            string.trim().clone_into(&mut group);
            continue;
        }
        let mut offset = at;
        for line in string.split_inclusive('\n') {
            let number = line_of(text, offset);
            offset += line.len();
            let line = line.trim();
            if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                name.trim().clone_into(&mut group);
            } else if let Some((name, target)) = line.split_once('=').filter(|_| !line.starts_with('#')) {
                // `'{0}-api = {0}.api:main'.format(NAME)` has its name elsewhere.
                if !name.contains('{') {
                    found.push(declared(path, number, &group, name.trim(), target.trim()));
                }
            }
        }
    }
    found
}

/// `scripts=["bin/shop"]` (setuptools, "Keywords"): files that are installed as commands as they are.
fn scripts(path: &str, text: &str) -> Vec<Declared> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let start = text.match_indices("scripts").find_map(|(at, name)| {
        let alone = !text[..at].ends_with(is_word);
        let value = text[at + name.len()..].trim_start().strip_prefix('=').filter(|_| alone)?.trim_start();
        value.starts_with(['[', '(']).then_some(at)
    });
    let named = start.map(|start| strings(text, start)).unwrap_or_default();
    let plain = named.into_iter().filter(|(_, file, _)| !file.is_empty() && !file.contains(['*', '{', '%', '\n']));
    let each = plain.map(|(at, file, _)| {
        declared(path, line_of(text, at), COMMANDS, file.rsplit('/').next().unwrap_or_default(), "")
    });
    each.collect()
}

/// The strings of the expression behind a name, with where each begins and whether it is the key of a dictionary.
fn strings(text: &str, start: usize) -> Vec<(usize, &str, bool)> {
    let (mut found, mut depth, mut at) = (Vec::new(), 0, start);
    while let Some(sign) = text[at..].chars().next() {
        match sign {
            '#' => at += text[at..].find('\n').unwrap_or(text.len() - at),
            '"' | '\'' => {
                let quote = ["\"\"\"", "'''"].into_iter().find(|quote| text[at..].starts_with(quote));
                let quote = quote.unwrap_or(if sign == '"' { "\"" } else { "'" });
                let from = at + quote.len();
                let Some(length) = text[from..].find(quote) else { break };
                at = from + length + quote.len();
                let is_key = text[at..].trim_start().starts_with(':');
                found.push((from, &text[from..from + length], is_key));
                if depth == 0 {
                    break;
                }
            }
            '(' | '[' | '{' => {
                depth += 1;
                at += 1;
            }
            ')' | ']' | '}' => {
                depth -= 1;
                at += 1;
                if depth <= 0 {
                    break;
                }
            }
            // `setup(entry_points=ENTRY_POINTS, …)`: its value stands elsewhere.
            ',' if depth == 0 => break,
            other => at += other.len_utf8(),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_that_setuptools_takes() {
        let dictionary = "setup(\n    name='shop',  # it's ours\n    entry_points={\n        'console_scripts': [\n            'shop = shop.cli:main',\n        ],\n        \"celery.commands\": ['till=shop.till:till'],\n    },\n    x=['no = no:no'],\n)\n";
        let text = "setup(entry_points='''\n[console_scripts]\nshop=shop.cli:main\n# old = a:b\n''', x='no = no')";
        let cfg =
            "[options]\nx = y\n[options.entry_points]\nconsole_scripts =\n    shop = shop.cli:main\n[other]\na = b\n";
        for (name, text, expected) in [
            ("setup.py", dictionary, "5 console_scripts shop; 7 celery.commands till"),
            ("setup.py", text, "3 console_scripts shop"),
            (
                "setup.py",
                "setup(entry_points={'console_scripts': ['{0}-api = {0}.api:main'.format(NAME), 'b = c:d']})",
                "1 console_scripts b",
            ),
            ("setup.py", "setup(entry_points=POINTS, x=['a = b'])", ""),
            ("setup.py", "setup(entry_points={'a': ['b", ""),
            (
                "setup.py",
                "setup(scripts=['bin/shop', \"till.py\"])",
                "1 console_scripts shop; 1 console_scripts till.py",
            ),
            ("setup.py", "setup(gui_scripts=['a'], scripts=SCRIPTS)", ""),
            ("setup.py", "setup()", ""),
            ("setup.cfg", cfg, "5 console_scripts shop"),
        ] {
            let found = read(&SourceTree::of_texts([(name, text)]), "");
            let said = found.iter().map(|d| format!("{} {} {}", d.name.origin.line.unwrap(), d.group, d.name.value));
            assert_eq!(said.collect::<Vec<_>>().join("; "), expected, "{text}");
            let complete = |one: &Declared| one.target.contains(':') || text.contains("(scripts=");
            assert!(found.iter().all(complete), "{text}");
        }
    }
}
