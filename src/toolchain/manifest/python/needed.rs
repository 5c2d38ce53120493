//! What the application needs in its image although it looks like what only developers need.

use super::imports;
use super::layout::Sources;
use super::text::{below, inside};

/// Patterns of files that bring back what modules import from test directories and the files that they name.
///
/// A module that is imported from `tests/` is needed, and so is a `README.md` that a module opens.
pub(super) fn include(sources: &Sources<'_>) -> Vec<String> {
    let mut patterns = Vec::new();
    for file in sources.files.iter().filter(|file| sources.tree.text(file).is_some_and(|text| text.contains("test"))) {
        let Some(imports) = imports::of(sources.tree, file) else { continue };
        for name in imports.all.iter().filter(|name| name.split('.').any(is_test)) {
            let Some((target, _)) = sources.locate(name, file) else { continue };
            let target = below(sources.directory, &target);
            let mut at = 0;
            for part in target.split('/') {
                at += part.len() + 1;
                if is_test(part.trim_end_matches(".py")) {
                    patterns.push(format!("/{}", &target[..at - 1]));
                }
            }
        }
    }
    let directory = sources.directory;
    let documents = sources.tree.files_in(directory).map(|path| below(directory, path));
    let documents = documents
        .filter(|name| name.starts_with(|c: char| c.is_ascii_uppercase()) && name.rsplit('.').next() != Some("py"));
    patterns.extend(documents.filter(|name| sources.any_text(name)).map(|name| format!("/{name}")));
    let directories =
        ["docs", "examples"].into_iter().filter(|name| sources.tree.has_directory(&inside(directory, name)));
    // `"docs"` is a word of many addresses.
    let quoted =
        |name: &str| name == "examples" && ['"', '\''].iter().any(|q| sources.any_text(&format!("{q}{name}{q}")));
    let imported = |name: &str| {
        let is_of = |dotted: &String| dotted.split('.').next() == Some(name);
        sources.importing(name).any(|(_, module)| module.imports.all.iter().any(is_of))
    };
    let needed = |name: &&str| sources.any_text(&format!("{name}/")) || quoted(name) || imported(name);
    patterns.extend(directories.filter(needed).map(|name| format!("/{name}/")));
    patterns.sort();
    patterns.dedup();
    patterns
}

fn is_test(part: &str) -> bool {
    matches!(part, "tests" | "test" | "conftest") || part.starts_with("test_")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::source_tree::SourceTree;

    #[test]
    fn what_modules_name_is_needed() {
        let tree = SourceTree::of_texts([
            ("app.py", "from shop.tests.data import x\nimport test_support\nopen('README.md')\n"),
            ("shop/tests/data.py", ""),
            ("test_support.py", ""),
            ("other/tests/data.py", ""),
            ("README.md", ""),
            ("LICENSE", ""),
        ]);
        let sources = Sources::parse_all(&tree);
        assert_eq!(include(&sources), ["/README.md", "/shop/tests", "/test_support.py"]);
    }

    #[test]
    fn directories_that_modules_name_are_needed() {
        for (text, expected) in [
            ("import os\nos.listdir('examples')\n", "/examples/"),
            ("SHOWN = \"docs/index.html\"\n", "/docs/"),
            ("from examples import one\n", "/examples/"),
            ("PAGE = 'docs'\n", ""),
            ("examples = 1\n", ""),
        ] {
            let tree = SourceTree::of_texts([("app.py", text), ("examples/one.py", ""), ("docs/index.html", "")]);
            let sources = Sources::parse_all(&tree);
            assert_eq!(include(&sources).join(" "), expected, "{text}");
        }
    }
}
