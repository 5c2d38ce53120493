//! What a repository without any manifest imports: nobody can install what nobody declares.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::imports;
use super::layout::Sources;
use crate::model::failure::{Failure, FailureCode};
use crate::model::source_tree::parent;

/// Fails where modules import what is neither Python's own nor the repository's.
///
/// # Errors
/// `source_unusable` that names the distributions, with the first place of each.
pub(super) fn check(sources: &Sources<'_>, facts: &toml::Table) -> Result<(), Failure> {
    let imports = facts.get("imports").and_then(toml::Value::as_table);
    let own: Vec<&str> = imports
        .and_then(|imports| imports.get("own")?.as_str())
        .map(|names| names.split_whitespace().collect())
        .unwrap_or_default();
    let called = imports.and_then(|imports| imports.get("distributions")?.as_table());
    let mut found: BTreeMap<String, (&str, u32)> = BTreeMap::new();
    let mut elsewhere = None;
    for file in &sources.files {
        let read = sources.tree.text(file).and_then(|text| Some((text, imports::of(sources.tree, file)?)));
        let Some((text, read)) = read else { continue };
        for dotted in read.all.iter().filter(|dotted| !dotted.starts_with('.')) {
            let first = dotted.split('.').next().unwrap_or_default();
            if own.contains(&first) || here(sources, file, first) {
                continue;
            }
            if above(sources, first) {
                elsewhere.get_or_insert_with(|| first.to_owned());
            }
            let distribution = called.and_then(|called| called.get(first)?.as_str()).unwrap_or(first);
            found.entry(distribution.to_owned()).or_insert_with(|| (file, line(text, first)));
        }
    }
    if found.is_empty() {
        return Ok(());
    }
    let list: Vec<String> = found.keys().take(20).map(|name| format!("`{name}`")).collect();
    let message = match &list[..] {
        [one] => format!("The distribution {one} is imported and declared nowhere."),
        all => format!("The distributions {} are imported and declared nowhere.", all.join(", ")),
    };
    let mut hint =
        "Write them into `requirements.txt`, one a line, best with their versions (`pip freeze`).".to_owned();
    if let Some(name) = elsewhere {
        let _ = write!(
            hint,
            " `{name}` lies in the repository, but not below `{}`, which is all that the image gets: if that is meant, build \
             the directory that holds both.",
            sources.directory
        );
    }
    let failure = Failure::new(FailureCode::SourceUnusable, message).hint(hint).candidates(found.keys().cloned());
    Err(found.values().take(8).fold(failure, |failure, (file, line)| failure.at(*file, Some(*line))))
}

/// Whether a module or package of that name lies beside the file or in a directory above it, as far as the image has them.
fn here(sources: &Sources<'_>, file: &str, name: &str) -> bool {
    let there = |base: &str| {
        let path = super::text::inside(base, name);
        sources.tree.has_directory(&path) || sources.tree.has_file(&format!("{path}.py"))
    };
    let mut at = parent(file);
    loop {
        if there(at) || there(&super::text::inside(at, "src")) {
            return true;
        }
        if at.len() <= sources.directory.len() {
            return sources.package == Some(name);
        }
        at = parent(at);
    }
}

/// Whether the repository has a module or package of that name above the directory.
fn above(sources: &Sources<'_>, name: &str) -> bool {
    let mut at = sources.directory;
    while !at.is_empty() {
        at = parent(at);
        let path = super::text::inside(at, name);
        if sources.tree.has_directory(&path) || sources.tree.has_file(&format!("{path}.py")) {
            return true;
        }
    }
    false
}

/// The line of the import, as far as a look at the text tells.
fn line(text: &str, name: &str) -> u32 {
    let imports = |line: &str| {
        let mut words = line.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| !word.is_empty());
        matches!(words.next(), Some("import" | "from")) && words.any(|word| word == name)
    };
    (1..).zip(text.lines()).find(|(_, line)| imports(line)).map_or(1, |(number, _)| number)
}
