//! Modules that whoever runs the application brings: the repository's own `.gitignore` names them, so no checkout has them.

use super::text::inside;
use crate::model::source_tree::SourceTree;

/// The files that say so: the repository's and the application directory's.
pub(super) fn files(directory: &str) -> Vec<String> {
    let mut files = vec![".gitignore".to_owned(), inside(directory, ".gitignore")];
    files.dedup();
    files
}

/// Lines that name one module (gitignore(5)), as they are written: `/shop/configuration.py`, `local_settings.py`.
pub(super) fn modules(tree: &SourceTree, directory: &str) -> Vec<String> {
    let files = files(directory);
    let lines = files.iter().filter_map(|file| tree.text(file)).flat_map(str::lines).map(str::trim);
    let one_module = |line: &&str| {
        let stem = line.strip_suffix(".py").unwrap_or_default();
        !stem.is_empty() && stem.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '/'))
    };
    let mut found: Vec<String> = lines.filter(one_module).map(str::to_owned).collect();
    found.sort();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_name_a_module() {
        let root = "__pycache__/\n*.py[cod]\n/shop/configuration.py\nlocal_settings.py \n# x.py\n!keep.py\n*.py\n/venv/\n.py\n";
        let tree = SourceTree::of_texts([(".gitignore", root), ("back/.gitignore", "conf/secrets.py\n")]);
        assert_eq!(modules(&tree, "back"), ["/shop/configuration.py", "conf/secrets.py", "local_settings.py"]);
        assert_eq!(modules(&tree, ""), ["/shop/configuration.py", "local_settings.py"]);
        assert_eq!(modules(&SourceTree::of_texts([("a.py", "")]), ""), [""; 0]);
    }
}
