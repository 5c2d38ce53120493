//! The identifiers of a module's text, so that looking for one of many names is one look and not one search each.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use crate::model::source_tree::SourceTree;

/// What stands in a text as a whole identifier, in comments and strings too: by hashes, for it is only a first look.
#[derive(Debug, Default)]
pub(super) struct Identifiers(HashSet<u64>);

/// A file's, read once. `None` where there is no text, or not yet.
pub(super) fn of(tree: &SourceTree, path: &str) -> Option<Arc<Identifiers>> {
    tree.derived(path, Identifiers::read)
}

impl Identifiers {
    fn read(text: &str) -> Self {
        Self(text.split(|c: char| !is_part(c)).filter(|word| !word.is_empty()).map(hash).collect())
    }

    /// Whether the text may hold an identifier.
    pub(super) fn has(&self, identifier: &str) -> bool {
        self.0.contains(&hash(identifier))
    }

    /// Whether it may hold characters that begin and end where identifiers do; `true` where there is none in them.
    pub(super) fn may_hold(&self, characters: &str) -> bool {
        characters.split(|c: char| !is_part(c)).filter(|word| !word.is_empty()).all(|word| self.has(word))
    }
}

fn is_part(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn hash(identifier: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    identifier.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_identifiers_are_found() {
        let found = Identifiers::read("from shop.web import make_app as größe\nopen('docs/README.md')");
        for name in ["from", "shop", "web", "make_app", "größe", "README"] {
            assert!(found.has(name), "{name}");
        }
        assert!(!found.has("make") && !found.has("app") && !found.has(""));
        assert!(found.may_hold("docs/") && found.may_hold("README.md") && found.may_hold("("));
        assert!(!found.may_hold("README.rst"));
    }
}
