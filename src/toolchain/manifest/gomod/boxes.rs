//! Directories that libraries find by the place of the source that names them, where no generator has put them into the
//! program (go.rice, packr): with `-trimpath` that place begins with the module's path, and is looked for from the working
//! directory.

use super::assets::tidy;
use super::layout::Module;
use super::mentions::{Mention, Place};
use super::ports::File;
use crate::model::failure::Warning;
use crate::model::source_tree::{SourceTree, join, parent};

/// Directories relative to the module's own, and the first place that names one.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Boxes {
    pub(super) paths: Vec<String>,
    pub(super) first: Option<(String, u32)>,
    /// About directories that are neither there nor in the program.
    pub(super) missing: Vec<Warning>,
}

/// Names of files that the generators write beside the source, or end them with.
const GENERATED: &[&str] = &["rice-box.go", "-packr.go"];

/// What the calls of `[facts.opening]` `boxes` name in the module's sources.
pub(super) fn find(tree: &SourceTree, facts: &toml::Table, files: &[File<'_>], module: &Module) -> Boxes {
    let known = facts.get("opening").and_then(|table| table.get("boxes")).and_then(toml::Value::as_array);
    let known: Vec<&str> = known.into_iter().flatten().filter_map(toml::Value::as_str).collect();
    let mut boxes = Boxes::default();
    for (file, mentions) in files {
        let named = || mentions.iter().filter(|mention| known.iter().any(|known| mention.place.is_of(known)));
        boxes.missing.extend(missing(tree, file, named()));
        for mention in named() {
            let Some(whole) = join(parent(file), &mention.text).filter(|whole| tree.has_directory(whole)) else {
                continue;
            };
            let below = match module.directory.as_str() {
                "" => Some(whole.as_str()),
                directory => whole.strip_prefix(directory).and_then(|rest| rest.strip_prefix('/')),
            };
            if let Some(path) = below.filter(|path| !path.is_empty()) {
                boxes.first.get_or_insert_with(|| ((*file).to_owned(), mention.line));
                boxes.paths.push(path.to_owned());
            }
        }
    }
    tidy(&mut boxes.paths);
    boxes
}

/// A warning about the first box of a file that is neither a directory of the tree nor generated.
fn missing<'m>(tree: &SourceTree, file: &str, named: impl Iterator<Item = &'m Mention>) -> Option<Warning> {
    // packr's first argument may be a name, and its last is the directory.
    let mut last: Option<&Mention> = None;
    let mut calls: Vec<&Mention> = Vec::new();
    for mention in named {
        let call = |mention: &Mention| match &mention.place {
            Place::Argument { call, .. } => Some(*call),
            _ => None,
        };
        if last.is_some_and(|last| call(last) == call(mention)) {
            calls.pop();
        }
        calls.push(mention);
        last = Some(mention);
    }
    let generated = tree.files_in(parent(file)).any(|path| GENERATED.iter().any(|end| path.ends_with(end)));
    let gone = |mention: &&Mention| join(parent(file), &mention.text).is_some_and(|path| !tree.has_directory(&path));
    let first = calls.into_iter().find(gone).filter(|_| !generated)?;
    let path = join(parent(file), &first.text)?;
    let message = format!(
        "the program looks for files in `{path}`, which the repository does not have: what makes them is not run"
    );
    let hint = "commit what makes them leaves, or choose the repository's own Dockerfile: `[toolchain]` `name = \"dockerfile\"` in `slipway.toml`";
    Some(Warning::new("made_elsewhere", message, hint).at(file, Some(first.line)))
}
