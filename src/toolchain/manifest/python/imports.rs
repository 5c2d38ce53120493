//! What a Python module imports, read without its syntax tree: to follow imports through a repository is most of planning,
//! and a tree of every module that is reached takes a hundred times as long.
//!
//! `import` is a keyword, so a statement that begins with it, or with `from … import`, is one (Python's reference, "The
//! import statement"); strings and comments hold none.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::source_tree::SourceTree;

/// The imports of a module, wherever they stand in it: factories often import inside.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Imports {
    /// Local name to what it was imported from; leading dots for relative ones.
    pub(super) names: BTreeMap<String, String>,
    /// Every imported module and name, dotted.
    pub(super) all: BTreeSet<String>,
    /// Modules of `from x import *`.
    pub(super) stars: Vec<String>,
}

/// A file's, read once. `None` where there is no text, or not yet.
pub(super) fn of(tree: &SourceTree, path: &str) -> Option<Arc<Imports>> {
    tree.derived(path, read)
}

/// Reads the imports of a module; what is no statement is passed over.
pub(super) fn read(text: &str) -> Imports {
    let mut reader = Reader { text, at: 0 };
    let mut imports = Imports::default();
    // Whether a statement may begin here.
    let mut begins = true;
    while let Some(first) = reader.first() {
        match first {
            b'\n' | b';' | b':' => {
                reader.at += 1;
                begins = true;
            }
            b' ' | b'\t' | b'\r' | b'\x0c' => reader.at += 1,
            b'#' => reader.skip_comment(),
            b'\\' => {
                reader.at += 1;
                reader.skip_line_end();
            }
            b'"' | b'\'' => {
                reader.skip_string();
                begins = false;
            }
            _ => {
                let word = reader.word();
                if word.is_empty() {
                    reader.at += reader.rest().chars().next().map_or(1, char::len_utf8);
                } else if matches!(reader.first(), Some(b'"' | b'\'')) && word.len() <= 2 {
                    reader.skip_string();
                } else if begins && word == "import" {
                    reader.modules(&mut imports);
                } else if begins && word == "from" {
                    reader.names(&mut imports);
                }
                begins = false;
            }
        }
    }
    imports
}

impl Imports {
    fn add(&mut self, module: Option<&str>, name: &str, alias: Option<&str>) {
        let full = match module {
            Some(module) if module.ends_with('.') => format!("{module}{name}"),
            Some(module) => format!("{module}.{name}"),
            None => name.to_owned(),
        };
        let (local, target) = match (module, alias) {
            (_, Some(alias)) => (alias, full.as_str()),
            (Some(_), None) => (name, full.as_str()),
            // `import a.b` binds `a`.
            (None, None) => {
                let first = name.split('.').next().unwrap_or_default();
                (first, first)
            }
        };
        self.names.entry(local.to_owned()).or_insert_with(|| target.to_owned());
        self.all.insert(full);
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn first(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// The identifier, keyword or number that stands here; `""` without one.
    fn word(&mut self) -> &'a str {
        let rest = self.rest();
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || !c.is_ascii() && c.is_alphanumeric();
        let word = &rest[..rest.find(|c| !is_part(c)).unwrap_or(rest.len())];
        self.at += word.len();
        word
    }

    fn skip_comment(&mut self) {
        let rest = self.rest();
        self.at += rest.find('\n').unwrap_or(rest.len());
    }

    fn skip_line_end(&mut self) {
        if self.rest().starts_with("\r\n") {
            self.at += 2;
        } else if self.first() == Some(b'\n') {
            self.at += 1;
        }
    }

    /// Passes over a string. A backslash guards a quote in raw ones too; an unclosed one of one line ends with it.
    fn skip_string(&mut self) {
        let rest = self.rest().as_bytes();
        let quote = rest[0];
        let triple = rest.len() > 2 && rest[1] == quote && rest[2] == quote;
        let mut at = if triple { 3 } else { 1 };
        while let Some(byte) = rest.get(at) {
            match *byte {
                b'\\' => at += 1,
                b'\n' if !triple => break,
                byte if byte == quote && !triple => {
                    at += 1;
                    break;
                }
                byte if byte == quote && rest[at..].starts_with(&[quote; 3]) => {
                    at += 3;
                    break;
                }
                _ => {}
            }
            at += 1;
        }
        self.at += at.min(rest.len());
        // Behind a backslash may stand a character of several bytes.
        while !self.text.is_char_boundary(self.at) {
            self.at += 1;
        }
    }

    /// Blanks, and what continues a line; in parentheses line ends and comments too.
    fn skip_blank(&mut self, parentheses: bool) {
        loop {
            match self.first() {
                Some(b' ' | b'\t' | b'\r' | b'\x0c') => self.at += 1,
                Some(b'\\') => {
                    self.at += 1;
                    self.skip_line_end();
                }
                Some(b'\n') if parentheses => self.at += 1,
                Some(b'#') if parentheses => self.skip_comment(),
                _ => return,
            }
        }
    }

    /// `a . b`, with leading dots for a relative one.
    fn dotted(&mut self) -> String {
        let mut dotted = String::new();
        loop {
            self.skip_blank(false);
            if self.first() == Some(b'.') {
                self.at += 1;
                dotted.push('.');
                continue;
            }
            let before = self.at;
            let word = self.word();
            // `from . import x`: the keyword is no part of the name, and neither is a second word.
            if word.is_empty() || word == "import" || !dotted.is_empty() && !dotted.ends_with('.') {
                self.at = before;
                return dotted;
            }
            dotted.push_str(word);
        }
    }

    /// `as name`.
    fn alias(&mut self, parentheses: bool) -> Option<&'a str> {
        self.skip_blank(parentheses);
        let before = self.at;
        if self.word() != "as" {
            self.at = before;
            return None;
        }
        self.skip_blank(parentheses);
        Some(self.word()).filter(|name| !name.is_empty())
    }

    /// Whether a comma follows.
    fn goes_on(&mut self, parentheses: bool) -> bool {
        self.skip_blank(parentheses);
        let comma = self.first() == Some(b',');
        self.at += usize::from(comma);
        comma
    }

    /// `import a.b as c, d`.
    fn modules(&mut self, imports: &mut Imports) {
        loop {
            let module = self.dotted();
            if module.is_empty() || module.starts_with('.') {
                return;
            }
            let alias = self.alias(false);
            imports.add(None, &module, alias);
            if !self.goes_on(false) {
                return;
            }
        }
    }

    /// `from a.b import c as d, e`, `from . import (f, g)`, `from a import *`.
    fn names(&mut self, imports: &mut Imports) {
        let module = self.dotted();
        // What the compiler is told is no module (Python's reference, "Future statements").
        if module.is_empty() || self.word() != "import" || module == "__future__" {
            return;
        }
        self.skip_blank(false);
        let parentheses = self.first() == Some(b'(');
        self.at += usize::from(parentheses);
        self.skip_blank(parentheses);
        if self.first() == Some(b'*') {
            self.at += 1;
            imports.stars.push(module);
            return;
        }
        loop {
            self.skip_blank(parentheses);
            let name = self.word();
            if name.is_empty() {
                return;
            }
            let alias = self.alias(parentheses);
            imports.add(Some(&module), name, alias);
            if !self.goes_on(parentheses) {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn statements_are_read_and_nothing_else() {
        let read = read(
            "\u{feff}'''import no\nfrom no import no'''\nimport a.b, c . d as e ; import f\nfrom . import (g as h, # import no\n  i,\n)\n\
             from .. j import *\nif x: from k.l \\\n  import m\n    try:import größe\n# import no\nx = 'import no'\ny = r'\\'\\\n\
             import no'\nraise X from no\nyield from no\nimportant = no\nfrom __future__ import no\nz = f\"{no['x']}\"\n\
             def f():\n\timport n\nw = (1,\nfrom o import (p)\n",
        );
        let names: Vec<String> = read.names.iter().map(|(local, full)| format!("{local}={full}")).collect();
        assert_eq!(names, ["a=a", "e=c.d", "f=f", "größe=größe", "h=.g", "i=.i", "m=k.l.m", "n=n", "p=o.p"]);
        assert_eq!(read.stars, ["..j"]);
        assert_eq!(
            read.all.iter().map(String::as_str).collect::<Vec<_>>(),
            [".g", ".i", "a.b", "c.d", "f", "größe", "k.l.m", "n", "o.p"]
        );
    }

    proptest! {
        #[test]
        fn never_panics(text in "(import |from |as |[ab.,()*;:#\\\\'\"é\n\r\t]|'''|r'|\"\"\"){0,40}") {
            let read = read(&text);
            prop_assert!(read.all.iter().all(|name| !name.is_empty()));
        }
    }
}
