//! Embedded files that something else makes: a directory is there, so that the program compiles, and Git ignores what belongs
//! into it.

use super::packages::Package;
use crate::model::failure::Warning;
use crate::model::source_tree::{SourceTree, join, parent};

/// A warning about the first file that `.gitignore` names within an embedded directory and that is not there.
pub(super) fn missing(tree: &SourceTree, facts: &toml::Table, closure: &[&Package<'_>]) -> Option<Warning> {
    let made = facts.get("embedding").and_then(|table| table.get("made")).and_then(toml::Value::as_array);
    let made: Vec<&str> = made.into_iter().flatten().filter_map(toml::Value::as_str).collect();
    let files = closure.iter().flat_map(|package| &package.files);
    let embeds =
        files.flat_map(|(path, source)| source.embeds.iter().map(move |(pattern, line)| (*path, pattern, *line)));
    for (path, pattern, line) in embeds {
        let pattern = pattern.strip_prefix("all:").unwrap_or(pattern);
        let fixed = pattern.find(['*', '?', '[']).map_or(pattern, |at| parent(&pattern[..at]));
        let Some(directory) = join(parent(path), fixed).filter(|directory| tree.has_directory(directory)) else {
            continue;
        };
        if let Some((ignored, file)) = ignored(tree, &directory, &made) {
            let message = format!(
                "`{path}` embeds `{file}`, which is not there, and which `{ignored}` leaves out: what makes it is not run"
            );
            let hint = "commit what makes it leaves, or choose the repository's own Dockerfile: `[toolchain]` `name = \"dockerfile\"` in `slipway.toml`";
            return Some(Warning::new("made_elsewhere", message, hint).at(path, Some(line)));
        }
    }
    None
}

/// The `.gitignore` of the directory, or of one above it, that names such a file in it, and that file.
fn ignored(tree: &SourceTree, directory: &str, made: &[&str]) -> Option<(String, String)> {
    let mut place = Some(directory);
    while let Some(at) = place {
        let file = join(at, ".gitignore")?;
        let lines = tree.text(&file).unwrap_or_default().lines().map(str::trim);
        // A name alone means any directory below (gitignore's "Pattern format"): told for sure only of the embedded one.
        let named = lines.filter(|line| at == directory || line.trim_matches('/').contains('/'));
        let named = named.filter(|line| !line.starts_with(['#', '!']) && !line.contains(['*', '?', '[']));
        let inside = |path: &String| path.starts_with(&format!("{directory}/"));
        let mut paths = named.filter_map(|line| join(at, line.trim_start_matches('/'))).filter(inside);
        let gone = |path: &String| {
            made.iter().any(|end| path.ends_with(end)) && !tree.has_file(path) && !tree.has_directory(path)
        };
        if let Some(found) = paths.find(gone) {
            return Some((file, found));
        }
        place = (!at.is_empty()).then(|| parent(at));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_ignores_within_the_directory_is_made() {
        for (files, expected) in [
            (vec![("web/index.html", ""), (".gitignore", "web/app.js\n")], Some("web/app.js")),
            (vec![("web/index.html", ""), ("web/.gitignore", "*.map\nbundle.css\n")], Some("web/bundle.css")),
            (vec![("web/index.html", ""), (".gitignore", "/web/dist/\n")], Some("web/dist")),
            (vec![("web/app.js", ""), (".gitignore", "web/app.js\n")], None),
            (vec![("web/index.html", ""), (".gitignore", "app.js\nother/app.js\n!web/x.js\nweb/x.log\n")], None),
        ] {
            let tree = SourceTree::of_texts(files.iter().copied());
            let found = ignored(&tree, "web", &[".js", ".css", "/dist"]);
            assert_eq!(found.map(|(_, path)| path).as_deref(), expected, "{files:?}");
        }
    }
}
