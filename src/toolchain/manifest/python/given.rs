//! Modules that whoever runs the application brings: the repository's own `.gitignore` names them, so no checkout has them.

use std::collections::BTreeSet;

use super::text::{below, inside};
use crate::model::source_tree::{SourceTree, join, parent};

/// More directories than anybody ignores and keeps files in.
const MAX_DIRECTORIES: usize = 200;

/// The files that say so: the repository's and the application directory's.
pub(super) fn files(directory: &str) -> Vec<String> {
    let mut files = vec![".gitignore".to_owned(), inside(directory, ".gitignore")];
    files.dedup();
    files
}

/// Lines that name one module (gitignore(5)), as they are written: `/shop/configuration.py`, `local_settings.py`; and the modules
/// of which there is a sample in a directory that a line names.
pub(super) fn modules(tree: &SourceTree, directory: &str) -> Vec<String> {
    let files = files(directory);
    let lines = files.iter().filter_map(|file| tree.text(file)).flat_map(str::lines).map(str::trim);
    let one_module = |line: &&str| {
        let stem = line.strip_suffix(".py").unwrap_or_default();
        !stem.is_empty() && stem.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '/'))
    };
    let mut found: Vec<String> = lines.clone().filter(one_module).map(str::to_owned).collect();
    let places =
        files.iter().flat_map(|file| tree.text(file).into_iter().flat_map(str::lines).map(move |line| (file, line)));
    let of_line = |(file, line): (&String, &str)| {
        let name = line.trim().strip_suffix('/')?;
        // One without a slash of its own counts in every directory.
        let anywhere = if name.contains('/') { None } else { join(directory, name) };
        Some(join(parent(file), name.trim_start_matches('/')).into_iter().chain(anywhere))
    };
    let there = places.filter_map(of_line).flatten().filter(|place| tree.has_directory(place));
    let there: BTreeSet<String> = there.take(MAX_DIRECTORIES).collect();
    let samples = there.iter().flat_map(|place| tree.files_in(place).filter_map(sampled));
    found.extend(samples.map(|path| below(directory, &path).to_owned()));
    found.sort();
    found.dedup();
    found
}

/// The module that a sample is of, where Git keeps the sample alone of what a directory holds: `conf/env.example.py` is of
/// `conf/env.py`.
fn sampled(path: &str) -> Option<String> {
    let (place, name) = path.rsplit_once('/')?;
    let parts: Vec<&str> = name.split('.').collect();
    let is_word = |part: &str| ["example", "sample", "template", "dist", "default"].contains(&part);
    match parts[..] {
        [stem, "py", word] | [stem, word, "py"] if is_word(word) => Some(format!("{place}/{stem}.py")),
        _ => None,
    }
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
        let samples = [
            (".gitignore", "conf/\n!conf/env.example.py\n"),
            ("back/conf/env.example.py", ""),
            ("back/.gitignore", "conf/\nlogs/\n"),
            ("back/conf/urls.py", ""),
            ("conf/mail.py.sample", ""),
        ];
        let tree = SourceTree::of_texts(samples);
        assert_eq!(modules(&tree, "back"), ["conf/env.py", "conf/mail.py"]);
    }
}
