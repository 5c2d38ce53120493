//! Just enough of Rust's syntax to read what a source file imports and which literals it holds.

use std::path::{Path, PathBuf};

/// A source file without its comments and without its tests.
pub(crate) struct SourceFile {
    /// Relative to the crate's root.
    pub(crate) path: String,
    /// The whole text.
    pub(crate) text: String,
    /// The text up to the tests, comments blanked out, line breaks kept.
    pub(crate) code: String,
}

impl SourceFile {
    /// The names of the module that the file is, outermost first: `["image", "push"]`.
    pub(crate) fn module(&self) -> Vec<&str> {
        let inner = self.path.trim_start_matches("src/").trim_end_matches(".rs");
        inner.split('/').filter(|part| !matches!(*part, "mod" | "lib" | "main")).collect()
    }

    /// Every path of the code with braces expanded, and its line: `use a::{b, c::d}` gives `a::b` and `a::c::d`.
    pub(crate) fn paths(&self) -> Vec<(usize, String)> {
        let mut found = Vec::new();
        let bare = without_literals(&self.code);
        for (index, line) in lines_of_statements(&bare) {
            let mut rest = line.as_str();
            while let Some(at) = rest.find(is_word) {
                rest = &rest[at..];
                let mut paths = Vec::new();
                rest = path(rest, "", &mut paths);
                found.extend(paths.into_iter().filter(|path| path.contains("::")).map(|path| (index, path)));
            }
        }
        found
    }

    /// The modules at the crate's root that the code names, each with its line.
    pub(crate) fn imports(&self) -> Vec<(usize, String)> {
        let depth = self.module().len();
        let resolve = |(line, path): (usize, String)| {
            let parts: Vec<_> = path.split("::").collect();
            let supers = parts.iter().take_while(|part| **part == "super").count();
            let module = match parts[0] {
                "crate" => parts.get(1),
                "super" if supers >= depth => parts.get(supers),
                _ => None,
            };
            module.map(|module| (line, (*module).to_owned()))
        };
        self.paths().into_iter().filter_map(resolve).collect()
    }
}

/// The source files of the program, without files that only hold tests.
pub(crate) fn sources() -> Vec<SourceFile> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    walk(&root.join("src"), &mut files);
    files.sort();
    let relative = |path: &PathBuf| path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
    files
        .iter()
        .map(|path| (relative(path), std::fs::read_to_string(path).unwrap()))
        .map(|(path, text)| SourceFile { code: code(&path, &text), path, text })
        .collect()
}

fn walk(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, files);
        } else if path.extension().is_some_and(|end| end == "rs") {
            files.push(path);
        }
    }
}

/// Tests stand last in a file, or in a file or directory of their own.
fn code(path: &str, text: &str) -> String {
    if path.ends_with("tests.rs") || path.contains("/tests/") {
        return String::new();
    }
    let tests = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    without_comments(&text[..tests])
}

fn without_comments(text: &str) -> String {
    each_piece(text, |piece, kind| if kind == Piece::Comment { blank(piece) } else { piece.to_owned() })
}

fn without_literals(code: &str) -> String {
    each_piece(code, |piece, kind| if kind == Piece::Literal { blank(piece) } else { piece.to_owned() })
}

/// The string literals of a code and their lines, without their quotes.
pub(crate) fn literals(code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut line = 1;
    each_piece(code, |piece, kind| {
        if kind == Piece::Literal {
            found.push((line, piece.trim_matches(['r', '#', 'b', '"']).to_owned()));
        }
        line += piece.matches('\n').count();
        String::new()
    });
    found
}

/// The words of a code that stand outside of literals, and their lines.
pub(crate) fn words(code: &str) -> Vec<(usize, String)> {
    let bare = without_literals(code);
    let words =
        |line: &str| line.split(|c| !is_word(c)).filter(|word| !word.is_empty()).map(str::to_owned).collect::<Vec<_>>();
    bare.lines()
        .enumerate()
        .flat_map(|(index, line)| words(line).into_iter().map(move |word| (index + 1, word)))
        .collect()
}

#[derive(PartialEq, Clone, Copy)]
enum Piece {
    Code,
    Comment,
    Literal,
}

/// Cuts a text into code, comments and string literals.
fn each_piece(text: &str, mut map: impl FnMut(&str, Piece) -> String) -> String {
    let mut out = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (kind, length) = piece(rest);
        let (piece, after) = rest.split_at(length);
        out.push_str(&map(piece, kind));
        rest = after;
    }
    out
}

fn piece(rest: &str) -> (Piece, usize) {
    let until = |end: &str, skip: usize| rest[skip..].find(end).map_or(rest.len(), |at| skip + at + end.len());
    if rest.starts_with("//") {
        return (Piece::Comment, rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return (Piece::Comment, until("*/", 2));
    }
    if rest.starts_with("r#\"") {
        return (Piece::Literal, until("\"#", 3));
    }
    if rest.starts_with("r\"") {
        return (Piece::Literal, until("\"", 2));
    }
    if let Some(inner) = rest.strip_prefix('"') {
        let mut escaped = false;
        let end = inner.find(|c| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        return (Piece::Literal, end.map_or(rest.len(), |end| end + 2));
    }
    // A character, of which `'"'` and `'\''` would confuse what stands above; a lifetime has no closing quote.
    if rest.starts_with('\'') {
        let mut characters = rest.char_indices().skip(1);
        let escaped = characters.next().is_some_and(|(_, c)| c == '\\');
        let closing = if escaped {
            rest[2..].char_indices().skip(1).find(|(_, c)| *c == '\'').map(|(at, _)| at + 2)
        } else {
            characters.next().filter(|(_, c)| *c == '\'').map(|(at, _)| at)
        };
        return (Piece::Code, closing.map_or(1, |at| at + 1));
    }
    let first = rest.chars().next().map_or(1, char::len_utf8);
    // A whole word at once, so that the `r` of `for"` is no raw string.
    let word = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
    (Piece::Code, word.max(first))
}

fn blank(piece: &str) -> String {
    piece.chars().filter(|c| *c == '\n').collect()
}

/// Lines, where those of a `use` with braces are joined into its first.
fn lines_of_statements(code: &str) -> Vec<(usize, String)> {
    let mut lines = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (index, line) in code.lines().enumerate() {
        let begins = line.trim_start().trim_start_matches("pub ").starts_with("use ");
        let (first, mut joined) = open.take().unwrap_or((index + 1, String::new()));
        joined.push_str(line.trim());
        if (begins || first <= index) && !joined.contains(';') {
            open = Some((first, joined));
        } else {
            lines.push((first, joined));
        }
    }
    lines.extend(open);
    lines
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Reads one path and gives what follows it.
fn path<'a>(text: &'a str, prefix: &str, found: &mut Vec<String>) -> &'a str {
    let end = text.find(|c| !is_word(c)).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    let whole = if prefix.is_empty() { word.to_owned() } else { format!("{prefix}::{word}") };
    let Some(after) = rest.strip_prefix("::") else {
        found.push(whole);
        return rest;
    };
    if let Some(mut inner) = after.strip_prefix('{') {
        loop {
            inner = inner.trim_start_matches([' ', ',', '\n']);
            match inner.chars().next() {
                Some('}') => return &inner[1..],
                Some(c) if is_word(c) => inner = path(inner, &whole, found),
                Some(c) => inner = &inner[c.len_utf8()..],
                None => return inner,
            }
        }
    }
    if after.starts_with(is_word) {
        return path(after, &whole, found);
    }
    found.push(whole);
    after
}

#[test]
fn braces_comments_and_literals_are_understood() {
    let text = "//! x\nuse std::{fs, io::{self, Read}};\nuse super::super::model;\nfn f() { let a = '\"'; crate::plan::plan(\"crate::cli \\\" // \"); /* crate::cli */ }\n#[cfg(test)]\nmod tests { use crate::cli; }";
    let file = SourceFile { path: "src/a/b.rs".into(), text: text.into(), code: code("src/a/b.rs", text) };
    let paths: Vec<_> = file.paths().into_iter().map(|(_, path)| path).collect();
    assert_eq!(paths, ["std::fs", "std::io::self", "std::io::Read", "super::super::model", "crate::plan::plan"]);
    assert_eq!(file.imports(), [(3, "model".to_owned()), (4, "plan".to_owned())]);
    assert_eq!(literals(&file.code), [(4, "crate::cli \\\" // ".to_owned())]);
}
