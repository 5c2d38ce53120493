//! Directories that libraries find by the place of the source that names them, where no generator has put them into the
//! program (go.rice, packr): with `-trimpath` that place begins with the module's path, and is looked for from the working
//! directory.

use super::assets::tidy;
use super::layout::Module;
use super::ports::File;
use crate::model::source_tree::{SourceTree, join, parent};

/// Directories relative to the module's own, and the first place that names one.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Boxes {
    pub(super) paths: Vec<String>,
    pub(super) first: Option<(String, u32)>,
}

/// What the calls of `[facts.opening]` `boxes` name in the module's sources.
pub(super) fn find(tree: &SourceTree, facts: &toml::Table, files: &[File<'_>], module: &Module) -> Boxes {
    let known = facts.get("opening").and_then(|table| table.get("boxes")).and_then(toml::Value::as_array);
    let known: Vec<&str> = known.into_iter().flatten().filter_map(toml::Value::as_str).collect();
    let mut boxes = Boxes::default();
    for (file, mentions) in files {
        let named = mentions.iter().filter(|mention| known.iter().any(|known| mention.place.is_of(known)));
        for mention in named {
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
