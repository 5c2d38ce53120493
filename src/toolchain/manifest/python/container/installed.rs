//! Commands that were installed, and the arguments behind what starts.

use std::collections::BTreeSet;

use super::super::super::dockerfile::says::Said;
use super::super::command;
use super::super::dependencies::Dependencies;
use super::super::layout::Sources;
use super::super::module::Module;
use super::super::source;
use super::super::start::Entry;
use super::super::text::inside;
use super::LAUNCHERS;
use crate::model::failure::Warning;
use crate::model::origin::Found;

/// Whether a command is Flask's own under another name (Flask, "Custom Scripts": `FlaskGroup`), whose `run` is a server for
/// development: a server is given the object.
pub(super) fn is_flasks(sources: &Sources<'_>, entry: &Entry, said: &Said) -> bool {
    let module = entry.module.as_deref().and_then(|module| sources.locate(module, &inside(sources.directory, "x.py")));
    let Some((file, None)) = module else { return false };
    let group = |module: &Module| {
        module.calls.iter().any(|call| call.callee.dotted == "flask.cli.FlaskGroup")
            || module.imports.names.values().any(|dotted| dotted == "flask.cli.FlaskGroup")
    };
    said.words.iter().any(|word| word == "run") && source::of(sources.tree, &file).is_some_and(|module| group(&module))
}

/// What was installed and is started: a command of the project, or one that it adds to another's program.
pub(super) fn installed(dependencies: &Dependencies, said: &Said, path: &str) -> Option<Entry> {
    // `/opt/venv/bin/python /opt/venv/bin/order` starts what was installed as `order`.
    // So does the file of the repository that it is installed from (setuptools, `scripts`).
    let scripts: BTreeSet<&str> = dependencies.scripts.iter().map(|script| script.value.as_str()).collect();
    let own = |word: &&str| scripts.contains(word);
    let installed = |word: &String| {
        let name = word.rsplit_once("bin/").map(|(_, name)| name);
        name.or_else(|| Some(word.rsplit_once('/')?.1).filter(own)).unwrap_or(word).to_owned()
    };
    // A script in front hands over to what stands behind it.
    let script = |word: &String| word.rsplit('.').next() == Some("sh");
    let before =
        |word: &String| LAUNCHERS.contains(&word.as_str()) || installed(word).starts_with("python") || script(word);
    let program = said.words.iter().position(|word| !before(word))?;
    let name = installed(&said.words[program]);
    // `shop migrate && shop serve`: the last is there to stay.
    let again = said.words.iter().rposition(|word| installed(word) == name).filter(|_| !said.plain);
    let program = again.unwrap_or(program);
    let (command, words) = if let Some(own) = dependencies.scripts.iter().find(|script| script.value == name) {
        (own, vec![name])
    } else {
        let sub = said.words.get(program + 1)?;
        (added(dependencies, &name, sub)?, vec![name, sub.clone()])
    };
    let last = program + words.len() - 1;
    let module = command::module(dependencies, &command.value).filter(|_| words.len() == 1);
    let entry = Entry::new("script", words.join(" "), command.origin.clone()).decided(Vec::new());
    Some(told(Entry { command: words, installed: true, module, ..entry }, said, last, path))
}

/// The sub-command that installing the project adds to the program of another distribution: programs that can be extended
/// so read a group of entry points with their own name in front (Celery, "Extensions and Bootsteps": `celery.commands`).
fn added<'d>(dependencies: &'d Dependencies, program: &str, sub: &str) -> Option<&'d Found<String>> {
    let of_program = |group: &str| group.split('.').next() == Some(program) && dependencies.may_have(program);
    dependencies.additions.iter().find(|one| one.name.value == sub && of_program(&one.group)).map(|one| &one.name)
}

/// The arguments behind what starts, unless they say a place of the author's own image or want a shell.
pub(super) fn told(mut entry: Entry, said: &Said, index: usize, path: &str) -> Entry {
    let arguments = &said.words[index + 1..];
    let plain =
        |word: &String| !word.starts_with('/') && !word.contains(['$', '<', '>', '`', '*']) && !word.contains("=/");
    if said.plain && arguments.iter().all(plain) {
        entry.command.extend(arguments.iter().cloned());
    } else if let Some(foreign) = arguments.iter().position(|word| !plain(word)) {
        // A sub-command says what it does, whatever place its options name.
        let is_option = |word: &String| word.starts_with('-');
        let sub = arguments
            .first()
            .filter(|word| entry.installed && arguments.get(1).is_some_and(is_option) && is_name(word));
        entry.command.extend(sub.cloned());
        let option = arguments[..=foreign].iter().rfind(|word| word.starts_with('-')).unwrap_or(&arguments[foreign]);
        let option = option.split('=').next().unwrap_or_default();
        let message = format!(
            "`{path}` starts `{}` with arguments of its own image (`{option}`), and they are left out",
            entry.name
        );
        let hint = "say those that it needs in `slipway.toml`: `[runtime]` `args = [\"…\"]`";
        entry.warnings.push(Warning::new("arguments_left_out", message, hint).at(path, Some(said.line)));
    }
    entry
}

fn is_name(word: &str) -> bool {
    word.chars().all(|c| c.is_ascii_lowercase() || c == '-' || c == '_') && !word.starts_with('-')
}
