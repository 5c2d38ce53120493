//! What a Dockerfile of the repository starts, although it is not built: its author's answer where files leave several.

mod files;
mod installed;
mod started;

use std::collections::BTreeSet;

use self::files::{is_program, is_python, module_file, page, prepares, script_file, served, used};
use self::installed::{installed, is_flasks, told};
use self::started::started;
use super::super::dockerfile::says::Said;
use super::super::yaml;
use super::application::Candidate;
use super::dependencies::Dependencies;
use super::dockerfile;
use super::layout::Sources;
use super::script::Script;
use super::several;
use super::start::{Entry, object_entry, script_entry};
use super::worker;
use crate::model::origin::Found;
use crate::toolchain::findings::Process;

/// More Compose files of a directory than a project has, and more commands in one or programs of a supervisor.
const MAX_FILES: usize = 20;
const MAX_COMMANDS: usize = 100;

/// Programs in front of the one that they start.
const LAUNCHERS: &[&str] = &[
    "exec",
    "tini",
    "dumb-init",
    "--",
    "-g",
    "sh",
    "bash",
    "-c",
    "-ec",
    "-lc",
    "poetry",
    "pipenv",
    "uv",
    "pdm",
    "run",
    "env",
];

/// What the Dockerfile starts, where it is of the repository: an object, an installed command, a script; or else the only
/// program of the supervisor that it starts that is one of them, or the only one of these that serves.
pub(super) fn find(sources: &Sources<'_>, dependencies: &Dependencies, candidates: &[Candidate<'_>]) -> Option<Entry> {
    let (path, said) = started(sources)?;
    if let Some(entry) = of_words(sources, dependencies, candidates, (&path, &said)) {
        return Some(entry);
    }
    let programs = several::programs(sources.tree, sources.directory).0;
    let of_program = |program: Process| {
        let path = program.origin.path.clone()?;
        let serves = ["serve", "web", "api"].iter().any(|word| program.command.join(" ").contains(word));
        let said = Said { line: program.origin.line?, words: program.command, plain: true };
        // A command of the project's own may be called as its package is.
        let own = installed(dependencies, &said, &path).filter(|entry| !is_flasks(sources, entry, &said));
        Some((serves, own.or_else(|| of_words(sources, dependencies, candidates, (&path, &said)))?))
    };
    let found: Vec<(bool, Entry)> = programs.into_iter().take(MAX_COMMANDS).filter_map(of_program).collect();
    let several = found.len() > 1;
    let mut meant = found.into_iter().filter(|(serves, _)| *serves || !several).map(|(_, entry)| entry);
    meant.next().filter(|_| meant.next().is_none())
}

/// What the only service that a Compose file builds from here starts by its `command` (Compose file reference, "Services"),
/// for where nothing else says what starts. Files for development and tests say it, too: they run the same.
pub(super) fn composed(
    sources: &Sources<'_>,
    dependencies: &Dependencies,
    candidates: &[Candidate<'_>],
) -> Option<Entry> {
    let is_one = |path: &&str| {
        let (stem, ending) = path.rsplit('/').next().unwrap_or_default().split_once('.').unwrap_or_default();
        (stem.starts_with("docker-compose") || stem.starts_with("compose"))
            && ["yml", "yaml"].iter().any(|y| ending.ends_with(y))
    };
    let mut found: Vec<Entry> = Vec::new();
    for path in sources.tree.files_in(sources.directory).filter(is_one).take(MAX_FILES) {
        let texts = yaml::texts(path, sources.tree.text(path).unwrap_or_default());
        let keyed = |text: &'_ Found<String>| text.origin.detail.trim_start_matches("services.").to_owned();
        let of_here = texts.iter().filter(|text| matches!(text.value.trim_end_matches('/'), "." | "")).map(keyed);
        let built =
            |key: String| key.strip_suffix(".build.context").or_else(|| key.strip_suffix(".build")).map(str::to_owned);
        let built: BTreeSet<String> = of_here.filter_map(built).collect();
        let command =
            |text: &&Found<String>| keyed(text).strip_suffix(".command").is_some_and(|key| built.contains(key));
        for text in texts.iter().filter(command).take(MAX_COMMANDS) {
            let separates = |c: char| c.is_whitespace() || ",[]\"'".contains(c);
            let words = text.value.split(separates).filter(|word| !word.is_empty()).map(str::to_owned).collect();
            let plain = !text.value.contains(['$', '&', ';', '|']);
            let said = Said { line: text.origin.line.unwrap_or(1), words, plain };
            let entry = of_words(sources, dependencies, candidates, (path, &said));
            found.extend(entry.filter(|entry| found.iter().all(|known| known.name != entry.name)));
        }
    }
    let mut found = found.into_iter();
    found.next().filter(|_| found.next().is_none())
}

/// What words start that the file at a path says.
fn of_words(
    sources: &Sources<'_>,
    dependencies: &Dependencies,
    candidates: &[Candidate<'_>],
    (path, said): (&str, &Said),
) -> Option<Entry> {
    let why = format!("`{path}` starts the other");
    let object = |chosen: &Candidate<'_>| Some(object_entry(sources, chosen, &why, candidates));
    for (index, word) in said.words.iter().enumerate() {
        let bare = word.trim_end_matches("()");
        if let Some(chosen) = candidates.iter().find(|c| c.entry().trim_end_matches("()") == bare) {
            return object(chosen);
        }
        let mut within = candidates.iter().filter(|c| c.module == *word);
        if let (Some(chosen), None) = (within.next(), within.next()) {
            return object(chosen);
        }
        if let Some(entry) = served(sources, &said.words, index, path, said.line) {
            return Some(entry);
        }
        if let Some(entry) = page(sources, said, index) {
            return Some(entry);
        }
        let module = index > 0 && said.words[index - 1] == "-m";
        let Some(file) = (if module { module_file(sources, word) } else { script_file(sources, word) }) else {
            continue;
        };
        if let Some(chosen) = used(sources, file, candidates) {
            return object(chosen);
        }
        // Others that are given a path do more with it than Python does.
        let before = &said.words[..index];
        let by_python = before.iter().any(|word| is_python(word)) || is_program(sources, file, before);
        if !by_python || prepares(sources, &said.words[index + 1..]) {
            continue;
        }
        let script = Script { file, line: 1, port: None };
        return Some(told(script_entry(sources, "script", &script), said, index, path));
    }
    installed(dependencies, said, path).filter(|entry| candidates.is_empty() || !is_flasks(sources, entry, said))
}

/// What gunicorn is told where the Dockerfile starts it, beside its address and the application.
pub(super) fn options(sources: &Sources<'_>, dependencies: &Dependencies, asgi: bool) -> Vec<String> {
    started(sources).map(|(_, said)| worker::options(sources, dependencies, &said.words, asgi)).unwrap_or_default()
}

/// The command of the project's own that the Dockerfile starts: where a framework's convention would find something else, its
/// author knows better.
pub(super) fn own_command(sources: &Sources<'_>, dependencies: &Dependencies) -> Option<Entry> {
    let (path, said) = dockerfile::started(sources.tree, sources.directory)?;
    installed(dependencies, &said, &path).filter(|entry| dependencies.scripts.iter().any(|own| own.value == entry.name))
}
