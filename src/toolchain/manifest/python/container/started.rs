//! What the Dockerfile starts, with what scripts and configuration add to its words.

use std::collections::BTreeMap;

use super::super::super::dockerfile::says::{self, Said};
use super::super::dockerfile;
use super::super::layout::Sources;
use super::super::text::inside;
use super::super::worker;
use super::LAUNCHERS;
use crate::model::source_tree::parent;

/// More letters of a word than a command has.
const MAX_WORD: usize = 1000;

/// What the Dockerfile starts, with what a script and gunicorn's configuration add to it, and its path.
pub(super) fn started(sources: &Sources<'_>) -> Option<(String, Said)> {
    let (path, mut said) = dockerfile::started(sources.tree, sources.directory)?;
    let by_script = by_script(sources, &said.words, &path).unwrap_or_default();
    let plain = said.plain && by_script.is_empty();
    said.words.extend(by_script);
    let variables = says::variables(sources.tree.text(&path).unwrap_or_default());
    for word in said.words.iter_mut().filter(|word| word.contains(':')) {
        *word = filled(word, &variables);
    }
    let by_configuration = worker::imports(sources, &said.words);
    said.words.extend(by_configuration);
    Some((path, Said { plain, ..said }))
}

/// `${MODULE}:${NAME}` with what the Dockerfile sets them to.
fn filled(word: &str, variables: &BTreeMap<String, (u32, String)>) -> String {
    let mut parts = word.split("${");
    let mut filled = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let known = part.split_once('}').and_then(|(name, rest)| Some((variables.get(name)?, rest)));
        match known {
            Some(((_, value), rest)) if filled.len() + value.len() < MAX_WORD => filled.extend([value, rest]),
            _ => filled.extend(["${", part]),
        }
    }
    filled
}

/// The words of the last command of a shell script of the repository that is started: what it is there to start. One that hands
/// over what it is given (`exec "$@"`) adds nothing.
fn by_script(sources: &Sources<'_>, words: &[String], dockerfile: &str) -> Option<Vec<String>> {
    let text = words.iter().filter(|word| word.rsplit('.').next() == Some("sh")).find_map(|word| {
        let path = word.trim_start_matches("./").trim_start_matches('/');
        let places = std::iter::successors(Some(path), |path| path.split_once('/').map(|(_, rest)| rest));
        let mut there = places.into_iter().filter_map(|path| sources.tree.text(&inside(sources.directory, path)));
        // What it copies may lie beside it.
        there.next().or_else(|| sources.tree.text(&inside(parent(dockerfile), path.rsplit('/').next()?)))
    })?;
    let joined = text.replace("\\\n", " ");
    let line = joined.lines().map(str::trim).rfind(|line| !line.is_empty() && !line.starts_with('#'))?;
    let command = line.rsplit([';', '|']).next()?.rsplit("&&").next()?;
    let words = command.split_whitespace().map(|word| word.trim_matches(['"', '\'']).to_owned());
    let words: Vec<String> = words.filter(|word| !word.is_empty()).collect();
    let hands_over = words.iter().all(|word| word == "$@" || LAUNCHERS.contains(&word.as_str()));
    (!hands_over).then_some(words)
}
