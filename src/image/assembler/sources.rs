//! Which files the source of a `COPY` names.

use super::name::Name;
use super::recipe::{Copy, failed};
use super::tree::Tree;
use crate::image::dockerignore::Glob;
use crate::model::failure::Failure;

/// A source.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Where it is, links followed; empty for the whole tree.
    pub(super) path: Name,
    /// The name that it has in a directory.
    pub(super) name: Vec<u8>,
}

/// Finds what a source names in a tree. A wildcard that nothing matches names nothing, as for the Engine.
///
/// # Errors
/// `image_failed` with the line, for a path that is not there or leads out.
pub(super) fn found(copy: &Copy, source: &str, from: &Tree) -> Result<Vec<Found>, Failure> {
    let place = copy.from.as_ref().map_or("in the build context".to_owned(), |from| format!("in `{from}`"));
    let refused = |why: &str| failed(copy.line, &format!("`{source}` {why}"));
    if source.split('/').any(|part| part == "..") {
        return Err(refused("leads out of the build context"));
    }
    let parts: Vec<&str> = source.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    let plain = parts.iter().position(|part| is_pattern(part)).unwrap_or(parts.len());
    let (above, pattern) = parts.split_at(plain);
    let base = from.resolve(above.join("/").as_bytes()).map_err(|why| refused(&why.0))?;
    let there = |path: &Name| path.0.is_empty() || from.get(path).is_some();
    if pattern.is_empty() {
        if !there(&base) {
            return Err(refused(&format!("is not {place}")));
        }
        let name = above.last().map_or(&b""[..], |last| last.as_bytes()).to_vec();
        return Ok(vec![Found { path: base, name }]);
    }
    let glob = Glob::parse(&pattern.join("/")).ok_or_else(|| refused("is no pattern: a bracket or `\\` has no end"))?;
    let mut matched: Vec<Name> = Vec::new();
    for (path, _) in from.below(&base) {
        let inside = base.strip(path).unwrap_or_default();
        if glob.matches(&String::from_utf8_lossy(inside)) {
            matched.push(path.clone());
        }
    }
    matched.sort_by(|one, other| one.0.split(|byte| *byte == b'/').cmp(other.0.split(|byte| *byte == b'/')));
    let mut sources = Vec::new();
    for path in matched {
        let resolved = from.resolve(&path.0).map_err(|why| refused(&why.0))?;
        if !there(&resolved) {
            return Err(refused(&format!("matches the link `{}`, which leads to nothing {place}", path.shown())));
        }
        sources.push(Found { path: resolved, name: path.last().to_vec() });
    }
    Ok(sources)
}

/// As Go's: a backslash takes the meaning from what follows.
fn is_pattern(part: &str) -> bool {
    let mut characters = part.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => drop(characters.next()),
            '*' | '?' | '[' => return true,
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::super::node::{Attributes, Kind, Node};
    use super::*;

    #[test]
    fn wildcards_match_within_a_directory() {
        let mut tree = Tree::default();
        for path in ["a", "a/x.txt", "a/y.txt", "a/z", "b", "b/x.txt"] {
            tree.put(path.into(), Node::directory(Attributes::USUAL));
        }
        let link = Node { kind: Kind::Link("a".into()), ..Node::directory(Attributes::USUAL) };
        tree.put("l".into(), link);
        let names = |source: &str| -> Vec<String> {
            let found = found(&Copy::default(), source, &tree).unwrap();
            found
                .iter()
                .map(|found| format!("{} {}", found.path.shown(), String::from_utf8_lossy(&found.name)))
                .collect()
        };
        assert_eq!(names("a/*.txt"), ["a/x.txt x.txt", "a/y.txt y.txt"]);
        assert_eq!(names("*/x.txt"), ["a/x.txt x.txt", "b/x.txt x.txt"]);
        assert_eq!(names("l/z"), ["a/z z"]);
        assert_eq!(names("?"), ["a a", "b b", "a l"]);
        assert_eq!(names("."), [" "]);
        assert!(names("c*").is_empty());
        for refused in ["nosuch", "../a", "[a"] {
            assert!(found(&Copy::default(), refused, &tree).is_err(), "{refused}");
        }
    }
}
