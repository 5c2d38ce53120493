//! One pom as it is written, before inheritance and interpolation.

use super::xml::{self, Element};
use crate::model::failure::{Failure, FailureCode};
use crate::model::source_tree::parent as directory_of;

/// A pom: its place and its `<project>` element.
#[derive(Debug)]
pub(super) struct Pom {
    /// The file in the tree, or coordinates for a parent that the facts know.
    pub(super) path: String,
    /// The file's directory.
    pub(super) directory: String,
    /// Whether it is a file of the tree.
    pub(super) in_tree: bool,
    /// The root element.
    pub(super) project: Element,
}

/// `<parent>` as written.
#[derive(Debug, Clone, Copy)]
pub(super) struct ParentReference<'a> {
    pub(super) group: &'a str,
    pub(super) artifact: &'a str,
    pub(super) version: &'a str,
    /// `<relativePath>`; absent means `../pom.xml`, empty means that the parent is not in the tree.
    pub(super) relative_path: Option<&'a str>,
    pub(super) element: &'a Element,
}

impl Pom {
    /// Reads a pom.
    ///
    /// # Errors
    /// `manifest_invalid` where it is no XML or its root is not `<project>`.
    pub(super) fn parse(path: &str, text: &str, in_tree: bool) -> Result<Self, Failure> {
        let project = xml::parse(path, text, in_tree)?;
        if project.name != "project" {
            let message = format!("`{path}` is no pom: its root element is `<{}>`, not `<project>`", project.name);
            return Err(project.failure(FailureCode::ManifestInvalid, message));
        }
        let directory = if in_tree { directory_of(path).to_owned() } else { String::new() };
        Ok(Self { path: path.to_owned(), directory, in_tree, project })
    }

    /// The parent it names.
    pub(super) fn parent(&self) -> Option<ParentReference<'_>> {
        let element = self.project.child("parent")?;
        Some(ParentReference {
            group: element.text_of("groupId").unwrap_or_default(),
            artifact: element.text_of("artifactId").unwrap_or_default(),
            version: element.text_of("version").unwrap_or_default(),
            relative_path: element.child("relativePath").map(|path| path.text.as_str()),
            element,
        })
    }

    /// The artifact id as written.
    pub(super) fn artifact(&self) -> &str {
        self.project.text_of("artifactId").unwrap_or_default()
    }

    /// The group id as written, here or for the parent.
    pub(super) fn group(&self) -> &str {
        self.project.text_of("groupId").or_else(|| self.parent().map(|parent| parent.group)).unwrap_or_default()
    }

    /// The version as written, here or for the parent.
    pub(super) fn version(&self) -> &str {
        self.project.text_of("version").or_else(|| self.parent().map(|parent| parent.version)).unwrap_or_default()
    }

    /// Whether this is the pom that a `<parent>` means. Versions that only interpolation tells
    /// (CI-friendly `${revision}`) and ranges are taken to fit.
    pub(super) fn answers_to(&self, reference: &ParentReference<'_>) -> bool {
        let open = |version: &str| version.contains("${") || version.starts_with(['[', '(']);
        let (own, wanted) = (self.version(), reference.version);
        self.artifact() == reference.artifact
            && (self.group() == reference.group || self.group().contains("${"))
            && (own == wanted || open(own) || open(wanted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn group_and_version_come_from_the_parent_when_not_written() {
        let text = "<project><parent><groupId>g</groupId><artifactId>p</artifactId><version>1</version><relativePath/></parent><artifactId>a</artifactId></project>";
        let pom = Pom::parse("x/pom.xml", text, true).unwrap();
        assert_eq!((pom.group(), pom.artifact(), pom.version(), pom.directory.as_str()), ("g", "a", "1", "x"));
        assert_eq!(pom.parent().unwrap().relative_path, Some(""));
    }

    #[test]
    fn another_root_element_is_refused() {
        let failure = Pom::parse("pom.xml", "<settings/>", true).unwrap_err();
        assert!(failure.message.contains("`<settings>`"), "{failure}");
    }
}
