//! XML as a small owned tree in which every element knows its file and line.

use std::sync::Arc;

use crate::model::failure::{Failure, FailureCode};
use crate::model::origin::Origin;

/// Deeper nesting than this is refused: no pom needs it, and a hostile one could exhaust the stack.
const MAX_DEPTH: u32 = 100;

/// More elements than this are refused.
const MAX_NODES: u32 = 1_000_000;

/// Where a text comes from.
#[derive(Debug)]
pub(super) struct Document {
    /// The path in the tree, or the coordinates of a parent that the facts know.
    pub(super) name: String,
    /// Whether it is a file of the tree.
    pub(super) in_tree: bool,
}

/// One element: its own text (trimmed), attributes and child elements.
#[derive(Debug, Clone)]
pub(super) struct Element {
    pub(super) name: String,
    pub(super) text: String,
    pub(super) line: u32,
    pub(super) attributes: Vec<(String, String)>,
    pub(super) children: Vec<Element>,
    pub(super) document: Arc<Document>,
}

/// Reads a text as XML without a document type, so that no entity can be declared.
///
/// # Errors
/// `manifest_invalid` with path, line and column.
pub(super) fn parse(name: &str, text: &str, in_tree: bool) -> Result<Element, Failure> {
    // Maven's own parser lets one character stand before the declaration, as an empty first line does.
    let bare = text.strip_prefix(['\n', ' ', '\t']).filter(|rest| rest.starts_with("<?xml"));
    let first = bare.is_some() && text.starts_with('\n');
    let text = bare.unwrap_or(text);
    let options = roxmltree::ParsingOptions { allow_dtd: false, nodes_limit: MAX_NODES, ..Default::default() };
    let parsed = roxmltree::Document::parse_with_options(text, options).map_err(|error| refused(name, &error))?;
    let lines = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at);
    let lines = first.then_some(0).into_iter().chain(lines).collect::<Vec<_>>();
    let document = Arc::new(Document { name: name.to_owned(), in_tree });
    convert(parsed.root_element(), &lines, &document, 0).ok_or_else(|| too_deep(name))
}

impl Element {
    /// The first child element of that name.
    pub(super) fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The first element at a path of names, such as `build/plugins`.
    pub(super) fn at(&self, path: &str) -> Option<&Element> {
        path.split('/').try_fold(self, |element, name| element.child(name))
    }

    /// Every element at a path of names.
    pub(super) fn all<'a>(&'a self, path: &str) -> Vec<&'a Element> {
        path.split('/').fold(vec![self], |found, name| {
            found.into_iter().flat_map(|element| &element.children).filter(|child| child.name == name).collect()
        })
    }

    /// The text of the first child of that name, if it has any.
    pub(super) fn text_of(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.as_str()).filter(|text| !text.is_empty())
    }

    /// The value of an attribute.
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The element as the place of a decision.
    pub(super) fn origin(&self, detail: impl Into<String>) -> Origin {
        if self.document.in_tree {
            Origin::file(&self.document.name, Some(self.line), detail)
        } else {
            Origin::default(format!("{}: {}", self.document.name, detail.into()))
        }
    }

    /// A failure about this element.
    pub(super) fn failure(&self, code: FailureCode, message: impl Into<String>) -> Failure {
        let failure = Failure::new(code, message);
        if self.document.in_tree { failure.at(&self.document.name, Some(self.line)) } else { failure }
    }
}

fn convert(node: roxmltree::Node<'_, '_>, lines: &[usize], document: &Arc<Document>, depth: u32) -> Option<Element> {
    if depth > MAX_DEPTH {
        return None;
    }
    let text = node.children().filter(roxmltree::Node::is_text).filter_map(|text| text.text()).collect::<String>();
    Some(Element {
        name: node.tag_name().name().to_owned(),
        text: text.trim().to_owned(),
        line: u32::try_from(lines.partition_point(|at| *at < node.range().start) + 1).unwrap_or(u32::MAX),
        attributes: node.attributes().map(|a| (a.name().to_owned(), a.value().to_owned())).collect(),
        children: node
            .children()
            .filter(roxmltree::Node::is_element)
            .map(|child| convert(child, lines, document, depth + 1))
            .collect::<Option<_>>()?,
        document: document.clone(),
    })
}

fn too_deep(name: &str) -> Failure {
    Failure::new(FailureCode::ManifestInvalid, format!("`{name}` nests its elements more than {MAX_DEPTH} deep"))
        .at(name, None)
}

fn refused(name: &str, error: &roxmltree::Error) -> Failure {
    let position = error.pos();
    let message = if matches!(error, roxmltree::Error::DtdDetected) {
        format!("`{name}` declares a document type (`<!DOCTYPE`); Slipway reads no entity declarations")
    } else {
        format!("`{name}` is not well-formed XML, line {}, column {}: {error}", position.row, position.col)
    };
    let hint = "Correct the file; `mvn validate` shows the same fault.";
    let place = if matches!(error, roxmltree::Error::DtdDetected) { None } else { Some((position.row, position.col)) };
    let (line, column) = place.unzip();
    Failure::new(FailureCode::ManifestInvalid, message).hint(hint).at_column(name, line, column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_know_their_lines() {
        let root = parse(
            "pom.xml",
            "<?xml version='1.0'?>\n<project xmlns='urn:x'>\n  <a>\n <b k='v'> x </b></a>\n</project>",
            true,
        )
        .unwrap();
        let b = root.at("a/b").unwrap();
        assert_eq!((root.line, b.line, b.text.as_str(), b.attribute("k")), (2, 4, "x", Some("v")));
        assert_eq!(b.origin("b").to_string(), "pom.xml:4: b");
    }

    #[test]
    fn one_character_may_stand_before_the_declaration() {
        let pom = "<?xml version='1.0'?>\n<project/>";
        for (before, line) in [("", Some(2)), ("\n", Some(3)), (" ", Some(2)), ("\r\n", None), ("  ", None)] {
            let root = parse("pom.xml", &format!("{before}{pom}"), true).ok();
            assert_eq!(root.map(|root| root.line), line, "{before:?}");
        }
    }

    #[test]
    fn malformed_text_names_line_and_column() {
        let failure = parse("a/pom.xml", "<project>\n  <a></b>\n</project>", true).unwrap_err();
        assert_eq!(failure.code, FailureCode::ManifestInvalid);
        assert!(failure.message.contains("`a/pom.xml`") && failure.message.contains("line 2, column"), "{failure}");
        assert_eq!((failure.places[0].line, failure.places[0].column.is_some()), (Some(2), true));
    }

    #[test]
    fn an_entity_bomb_is_refused() {
        let bomb = "<!DOCTYPE p [<!ENTITY a \"x\"><!ENTITY b \"&a;&a;&a;\">]><project>&b;</project>";
        let failure = parse("pom.xml", bomb, true).unwrap_err();
        assert_eq!(failure.code, FailureCode::ManifestInvalid);
        assert!(failure.message.contains("document type"), "{failure}");
    }

    #[test]
    fn deep_nesting_is_refused() {
        for depth in [102, 10_000, 1_000_000] {
            let text = format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth));
            assert!(parse("pom.xml", &text, true).is_err(), "{depth}");
        }
    }
}
