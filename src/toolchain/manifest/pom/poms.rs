//! Reaches poms: files of the tree, and parents outside it that the facts know.

use std::cell::Cell;
use std::sync::Arc;

use super::model::{ParentReference, Pom};
use super::wrapper::Invocation;
use crate::model::failure::{Failure, FailureCode};
use crate::model::source_tree::{SourceTree, Text, join};

/// A chain of parents longer than this is refused.
const MAX_PARENTS: usize = 64;

/// Everything that poms are read from.
pub(super) struct Poms<'a> {
    pub(super) tree: &'a SourceTree,
    pub(super) facts: &'a toml::Table,
    pub(super) invocation: Invocation,
    /// The JDK's major version that `<activation><jdk>` is judged by, once it is known.
    pub(super) jdk: Option<u32>,
    /// Whether a profile asked for the JDK.
    pub(super) jdk_asked: Cell<bool>,
}

/// A pom with its parents, nearest first, and the parent that could not be reached, if any.
#[derive(Debug, Clone)]
pub(super) struct Lineage {
    pub(super) poms: Vec<Arc<Pom>>,
    /// Whether the last pom names a parent that neither the tree nor the facts know.
    pub(super) open: bool,
}

impl<'a> Poms<'a> {
    pub(super) fn new(tree: &'a SourceTree, facts: &'a toml::Table, invocation: Invocation, jdk: Option<u32>) -> Self {
        Self { tree, facts, invocation, jdk, jdk_asked: Cell::new(false) }
    }

    /// The pom at a path; `None` when there is no such file, or its text is not loaded yet.
    ///
    /// # Errors
    /// `manifest_invalid` when the file is no pom.
    pub(super) fn load(&self, path: &str) -> Result<Option<Arc<Pom>>, Failure> {
        let invalid = |why: &str| {
            Failure::new(FailureCode::ManifestInvalid, format!("`{path}` cannot be read: {why}")).at(path, None)
        };
        match self.tree.raw_text(path) {
            None => return Ok(None),
            Some(Text::Utf8(_)) => {}
            Some(Text::NotUtf8) => return Err(invalid("it is not UTF-8")),
            Some(Text::TooLarge(size)) => return Err(invalid(&format!("{size} bytes are more than a pom may have"))),
            Some(Text::Outside) => return Err(invalid("it is a symbolic link that leaves the repository")),
        }
        let parsed = self.tree.derived(path, |text| Pom::parse(path, text, true).map(Arc::new));
        parsed.map(|pom| (*pom).clone()).transpose()
    }

    /// The pom file that a reference (`<module>`, `<relativePath>`) means: a file, or the `pom.xml`
    /// of a directory. `None` when it is not in the tree.
    pub(super) fn pom_path(&self, directory: &str, reference: &str) -> Option<String> {
        let path = join(directory, &reference.trim().replace('\\', "/"))?;
        if self.tree.has_directory(&path) {
            let inside = join(&path, "pom.xml")?;
            return self.tree.has_file(&inside).then_some(inside);
        }
        self.tree.has_file(&path).then_some(path)
    }

    /// A pom with its parents (Maven's reference, "Project Inheritance"). `reactor` holds poms
    /// that a parent may also be found among, as Maven's reactor does.
    ///
    /// # Errors
    /// `manifest_invalid` for a malformed parent or a cycle of parents.
    pub(super) fn lineage(&self, start: &Arc<Pom>, reactor: &[Arc<Pom>]) -> Result<Lineage, Failure> {
        let mut poms = vec![start.clone()];
        loop {
            let last = poms[poms.len() - 1].clone();
            let Some(reference) = last.parent() else { return Ok(Lineage { poms, open: false }) };
            let Some(parent) = self.parent_of(&last, &reference, reactor)? else {
                return Ok(Lineage { poms, open: true });
            };
            if poms.iter().any(|pom| pom.path == parent.path) || poms.len() >= MAX_PARENTS {
                let names = poms.iter().map(|pom| format!("`{}`", pom.path)).collect::<Vec<_>>().join(" → ");
                let message = format!("The parents of `{}` form a cycle: {names} → `{}`", start.path, parent.path);
                return Err(reference
                    .element
                    .failure(FailureCode::ManifestInvalid, message)
                    .hint("Correct one of the `<parent>` elements."));
            }
            poms.push(parent);
        }
    }

    fn parent_of(
        &self,
        pom: &Pom,
        reference: &ParentReference<'_>,
        reactor: &[Arc<Pom>],
    ) -> Result<Option<Arc<Pom>>, Failure> {
        if pom.in_tree {
            let relative = reference.relative_path.unwrap_or("../pom.xml");
            let path = if relative.is_empty() { None } else { self.pom_path(&pom.directory, relative) };
            if let Some(found) = path.map(|path| self.load(&path)).transpose()?.flatten()
                && found.answers_to(reference)
            {
                return Ok(Some(found));
            }
            let own = |candidate: &&Arc<Pom>| candidate.path != pom.path && candidate.answers_to(reference);
            if let Some(found) = reactor.iter().find(own) {
                return Ok(Some(found.clone()));
            }
        }
        self.known_parent(reference)
    }

    /// A parent that `[[facts.parents]]` knows by group, artifact and the version's beginning.
    fn known_parent(&self, reference: &ParentReference<'_>) -> Result<Option<Arc<Pom>>, Failure> {
        let known = self.facts.get("parents").and_then(toml::Value::as_array).into_iter().flatten();
        let text = |fact: &toml::Value, key: &str| fact.get(key).and_then(toml::Value::as_str).map(str::to_owned);
        // A range of versions (Maven's reference, "Dependency Version Requirement Specification") begins with the lowest.
        let version = reference.version.trim_start_matches(['[', '(']);
        for fact in known {
            let versions = fact.get("versions").and_then(toml::Value::as_array);
            let fits = versions.is_none_or(|all| {
                all.iter().filter_map(toml::Value::as_str).any(|prefix| version_begins(version, prefix))
            });
            let same = text(fact, "group").as_deref() == Some(reference.group)
                && text(fact, "artifact").as_deref() == Some(reference.artifact);
            if let Some(pom) = text(fact, "pom").filter(|_| same && fits) {
                let label = format!("{}:{}:{}", reference.group, reference.artifact, reference.version);
                let parsed = Pom::parse(&label, &pom, false).map_err(|failure| {
                    let message = format!("The catalogue's fact about `{label}` is no pom: {failure}");
                    Failure::new(FailureCode::ConfigurationInvalid, message)
                })?;
                return Ok(Some(Arc::new(parsed)));
            }
        }
        Ok(None)
    }
}

/// Whether a version is `prefix` or begins with it and a separator: `3.4.1` begins with `3`, `30` does not.
pub(super) fn version_begins(version: &str, prefix: &str) -> bool {
    version.strip_prefix(prefix).is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_alphanumeric()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lineage(files: &[(&str, &str)], start: &str) -> Result<Vec<String>, Failure> {
        let tree = SourceTree::of_texts(files.iter().copied());
        let facts: toml::Table = toml::from_str(
            "[[parents]]\ngroup = 'b'\nartifact = 'boot'\nversions = ['3']\npom = '<project><artifactId>boot</artifactId></project>'",
        )
        .unwrap();
        let poms = Poms::new(&tree, &facts, Invocation::default(), None);
        let pom = poms.load(start)?.unwrap();
        let found = poms.lineage(&pom, &[])?;
        let mut names: Vec<_> = found.poms.iter().map(|pom| pom.path.clone()).collect();
        names.extend(found.open.then(|| "?".to_owned()));
        Ok(names)
    }

    fn child(artifact: &str, parent: &str, rest: &str) -> String {
        format!(
            "<project><artifactId>{artifact}</artifactId><groupId>g</groupId><version>1</version>\
             <parent><groupId>g</groupId><artifactId>{parent}</artifactId><version>1</version>{rest}</parent></project>"
        )
    }

    #[test]
    fn parents_are_found_by_relative_path() {
        let root = "<project><groupId>g</groupId><artifactId>p</artifactId><version>1</version></project>";
        let table: &[(&str, &str, &[&str])] = &[
            ("", "pom.xml", &["m/pom.xml", "pom.xml"]),
            ("<relativePath>..</relativePath>", "pom.xml", &["m/pom.xml", "pom.xml"]),
            ("<relativePath>../build</relativePath>", "build/pom.xml", &["m/pom.xml", "build/pom.xml"]),
            ("<relativePath/>", "pom.xml", &["m/pom.xml", "?"]),
            ("<relativePath>../../x</relativePath>", "pom.xml", &["m/pom.xml", "?"]),
        ];
        for (relative, at, expected) in table {
            let module = child("m", "p", relative);
            assert_eq!(lineage(&[("m/pom.xml", &module), (at, root)], "m/pom.xml").unwrap(), *expected, "{relative}");
        }
    }

    #[test]
    fn another_pom_at_the_place_is_not_the_parent() {
        let other = "<project><groupId>g</groupId><artifactId>other</artifactId><version>1</version></project>";
        let module = child("m", "p", "");
        assert_eq!(lineage(&[("m/pom.xml", &module), ("pom.xml", other)], "m/pom.xml").unwrap(), ["m/pom.xml", "?"]);
    }

    #[test]
    fn cyclic_parents_are_an_error() {
        let (a, b) = (
            child("a", "b", "<relativePath>../b</relativePath>"),
            child("b", "a", "<relativePath>../a</relativePath>"),
        );
        let failure = lineage(&[("a/pom.xml", &a), ("b/pom.xml", &b)], "a/pom.xml").unwrap_err();
        assert!(failure.message.contains("cycle") && failure.places.len() == 1, "{failure}");
    }

    #[test]
    fn known_parents_come_from_the_facts() {
        let pom = "<project><artifactId>a</artifactId><parent><groupId>b</groupId><artifactId>boot</artifactId><version>3.4.1</version></parent></project>";
        assert_eq!(lineage(&[("pom.xml", pom)], "pom.xml").unwrap(), ["pom.xml", "b:boot:3.4.1"]);
        let range = pom.replace("3.4.1", "[3.4,3.5)");
        assert_eq!(lineage(&[("pom.xml", &range)], "pom.xml").unwrap(), ["pom.xml", "b:boot:[3.4,3.5)"]);
        let newer = pom.replace("3.4.1", "31.0");
        assert_eq!(lineage(&[("pom.xml", &newer)], "pom.xml").unwrap(), ["pom.xml", "?"]);
    }
}
