//! What would make `go build` fail and can be seen beforehand: files to embed that are not there, a stale `vendor`.

use std::collections::BTreeMap;

use super::layout::{Module, below, is_below};
use super::packages::Package;
use crate::model::failure::{Failure, FailureCode, Warning};
use crate::model::origin::Found;
use crate::model::source_tree::{SourceTree, parent};
use crate::toolchain::version::{Demand, Version};

/// Every pattern of a package's `//go:embed` lines matches a file (package `embed`).
pub(super) fn embedded(tree: &SourceTree, package: &Package<'_>) -> Result<(), Failure> {
    for (path, source) in &package.files {
        for (pattern, line) in &source.embeds {
            let all = pattern.strip_prefix("all:");
            let (pattern, hidden) = (all.unwrap_or(pattern), all.is_some());
            if matches_any(tree, parent(path), pattern, hidden) {
                continue;
            }
            let message = format!(
                "`{path}` line {line}: `//go:embed {pattern}` finds no file: the repository does not have what another build makes"
            );
            return Err(Failure::new(FailureCode::SourceUnusable, message)
                .hint("Commit the embedded files, or make them in a build before and bring the result as `output/`.")
                .at(*path, Some(*line)));
        }
    }
    Ok(())
}

/// `path.Match` element by element, a directory standing for what is in it: without `all:` not for hidden files.
fn matches_any(tree: &SourceTree, directory: &str, pattern: &str, hidden: bool) -> bool {
    let Some(full) = crate::model::source_tree::join(directory, pattern) else { return false };
    if !pattern.contains(['*', '?', '[']) {
        let mut inside = tree.below(&full);
        return tree.has_file(&full) || inside.any(|(path, _)| hidden || !is_hidden(&path[full.len()..]));
    }
    let wanted: Vec<&str> = full.split('/').collect();
    tree.below(directory).any(|(path, _)| {
        let parts: Vec<&str> = path.split('/').collect();
        parts.len() >= wanted.len()
            && wanted.iter().zip(&parts).all(|(pattern, part)| element(pattern.as_bytes(), part.as_bytes()))
    })
}

/// Whether a part of the path begins as `embed` leaves it out.
fn is_hidden(path: &str) -> bool {
    path.split('/').any(|part| part.starts_with(['.', '_']))
}

/// `*`, `?` and `[…]` within one element, without going back more than one `*`.
fn element(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        let step = match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
                continue;
            }
            Some(b'?') => Some(p + 1),
            Some(b'[') => class(&pattern[p..], text[t]).map(|length| p + length),
            Some(b'\\') if pattern.get(p + 1) == Some(&text[t]) => Some(p + 2),
            Some(byte) if *byte == text[t] => Some(p + 1),
            _ => None,
        };
        match (step, star) {
            (Some(next), _) => (p, t) = (next, t + 1),
            (None, Some((at, from))) => {
                star = Some((at, from + 1));
                (p, t) = (at + 1, from + 1);
            }
            (None, None) => return false,
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

/// The length of a class that holds the byte.
fn class(pattern: &[u8], byte: u8) -> Option<usize> {
    let negated = pattern.get(1) == Some(&b'^');
    let start = 1 + usize::from(negated);
    let end = start + pattern.get(start..)?.iter().position(|b| *b == b']')?;
    let (mut at, mut inside) = (start, false);
    while at < end {
        let ranged = pattern.get(at + 1) == Some(&b'-') && at + 2 < end;
        let last = if ranged { pattern[at + 2] } else { pattern[at] };
        inside |= (pattern[at]..=last).contains(&byte);
        at += if ranged { 3 } else { 1 };
    }
    (inside != negated).then_some(end + 1)
}

/// `vendor/modules.txt` agrees with `go.mod`, as `go build -mod=vendor` demands since Go 1.14 ("Vendoring").
pub(super) fn vendored(tree: &SourceTree, module: &Module) -> Result<(), Failure> {
    let list = below(&module.directory, "vendor/modules.txt");
    let Some(text) = tree.text(&list).filter(|_| !before_vendoring(module)) else { return Ok(()) };
    let mut there: BTreeMap<&str, &str> = BTreeMap::new();
    for line in text.lines() {
        let Some(rest) = line.strip_prefix("# ") else { continue };
        let mut words = rest.split_whitespace();
        if let (Some(path), Some(version)) = (words.next(), words.next()) {
            there.insert(path, version);
        }
    }
    for (path, version, line) in &module.requires {
        let replaced = module.replaced.iter().any(|replaced| replaced == path);
        let vendored = there.get(path.as_str());
        if replaced || vendored.is_some_and(|vendored| vendored == version) {
            continue;
        }
        let is = vendored.map_or_else(|| "does not list it".to_owned(), |vendored| format!("has {vendored}"));
        let message = format!("`{}` line {line} requires {path} {version}, and `{list}` {is}", module.file);
        return Err(Failure::new(FailureCode::ManifestInvalid, message)
            .hint("Run `go mod vendor` and commit the result.")
            .at(module.file.as_str(), Some(*line)));
    }
    Ok(())
}

/// Whether the `go` line is older than 1.14, from which on `vendor` is built from unless something else is asked for; so it is
/// without the line (`go help modules`: "the go version in the main module's go.mod file is 1.14 or higher").
pub(super) fn before_vendoring(module: &Module) -> bool {
    let since = Version::new(&[1, 14]);
    let old = |found: &Found<Demand>| matches!(&found.value, Demand::AtLeast(version) if *version < since);
    module.versions.iter().all(old)
}

/// The first package that is known to need cgo and is imported, with the file that imports it.
pub(super) fn known_cgo<'a>(facts: &toml::Table, package: &Package<'a>) -> Option<(&'a str, String)> {
    let listed = facts.get("cgo_packages").and_then(toml::Value::as_array);
    let known: Vec<&str> = listed.into_iter().flatten().filter_map(toml::Value::as_str).collect();
    package.files.iter().find_map(|(path, source)| {
        let import = source.imports.iter().find(|import| known.iter().any(|known| is_below(import, known)))?;
        Some((*path, import.clone()))
    })
}

/// Warnings about C libraries that the program is compiled with and the build image has not, each once.
pub(super) fn c_libraries(facts: &toml::Table, closure: &[&Package<'_>]) -> Vec<Warning> {
    let table = facts.get("c_libraries").and_then(toml::Value::as_table);
    let known = || table.into_iter().flatten().filter_map(|(name, package)| Some((name.as_str(), package.as_str()?)));
    let mut found: BTreeMap<String, (String, String, Option<u32>)> = BTreeMap::new();
    let files = closure.iter().flat_map(|package| &package.files).filter(|(_, source)| source.built);
    for (path, source) in files {
        for (name, line) in &source.c_libraries {
            let package = known().find(|(known, _)| known == name);
            let package =
                package.map_or_else(|| format!("the package with `{name}.pc`"), |(_, package)| format!("`{package}`"));
            found.entry(package).or_insert_with(|| (format!("`{name}`"), (*path).to_owned(), Some(*line)));
        }
        for import in &source.imports {
            if let Some((_, package)) = known().find(|(known, _)| known.contains('/') && is_below(import, known)) {
                let package = format!("`{package}`");
                found.entry(package).or_insert_with(|| (format!("what `{import}` binds"), (*path).to_owned(), None));
            }
        }
    }
    let warnings = found.into_iter().map(|(package, (library, path, line))| {
        let message = format!("the program is compiled with the C library {library}, which the build image lacks");
        let hint = format!(
            "ask the operator to add {package} to the image `build-go`, and its library to `debian`, or choose the repository's own Dockerfile: `[toolchain]` `name = \"dockerfile\"`"
        );
        Warning::new("c_library_missing", message, hint).at(path, line)
    });
    warnings.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_go_matches_them() {
        for (pattern, text, answer) in [
            ("*", "a", true),
            ("*.html", "a.html", true),
            ("*.html", "a.htm", false),
            ("a*b*c", "axxbyyc", true),
            ("a?c", "abc", true),
            ("[a-c]x", "bx", true),
            ("[^a-c]x", "bx", false),
            ("a\\*", "a*", true),
            ("[", "[", false),
        ] {
            assert_eq!(element(pattern.as_bytes(), text.as_bytes()), answer, "{pattern} {text}");
        }
        let files = [("web/dist/a.js", ""), ("web/x.go", ""), ("web/made/.gitkeep", ""), ("web/made/_/x", "")];
        let tree = SourceTree::of_texts(files);
        for (pattern, answer) in
            [("dist", true), ("dist/*", true), ("*.js", false), ("d*", true), ("dist/*.css", false), ("../x", false)]
        {
            assert_eq!(matches_any(&tree, "web", pattern, false), answer, "{pattern}");
        }
        // A directory stands for what does not begin with `.` or `_`, unless all of it is wanted.
        for (pattern, hidden, answer) in
            [("made", false, false), ("made", true, true), ("made/*", false, true), ("none", true, false)]
        {
            assert_eq!(matches_any(&tree, "web", pattern, hidden), answer, "{pattern} {hidden}");
        }
    }
}
