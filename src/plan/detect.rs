//! Which toolchain builds the application.

use serde_json::json;

use super::settings::Stated;
use crate::catalog::{Catalog, Toolchain};
use crate::model::failure::{Failure, FailureCode, Warning};
use crate::model::origin::{Origin, Rejected};
use crate::model::request::BuildRequest;
use crate::model::source_tree::{SourceTree, join};
use crate::toolchain::definition::Detect;

/// The toolchain, why, and what lost.
pub(super) struct Detected<'a> {
    pub(super) value: &'a Toolchain,
    pub(super) origin: Origin,
    pub(super) rejected: Vec<Rejected>,
    pub(super) warnings: Vec<Warning>,
}

/// The toolchain that was asked for, or the only one that recognises the files.
pub(super) fn toolchain<'a>(
    stated: &Stated,
    request: &BuildRequest,
    tree: &SourceTree,
    catalog: &'a Catalog,
) -> Result<Detected<'a>, Failure> {
    let directory = request.source.directory();
    if !tree.has_directory(directory) {
        let message = format!("the repository has no directory `{directory}`");
        return Err(
            Failure::new(FailureCode::RequestInvalid, message).hint("correct `source.directory` (`--directory`)")
        );
    }
    if let Some(name) = &stated.value.toolchain.name {
        let origin = stated.origin("toolchain.name").cloned().unwrap_or_else(|| Origin::default("toolchain.name"));
        let value = catalog.toolchains.get(name).ok_or_else(|| unknown(name, catalog))?;
        return Ok(Detected { value, origin, rejected: Vec::new(), warnings: Vec::new() });
    }
    let command_given = stated.value.runtime.command.is_some();
    let recognised = |fallback: bool| {
        let toolchains =
            catalog.toolchains.values().filter(move |toolchain| toolchain.definition.detect.fallback == fallback);
        toolchains
            .filter_map(|toolchain| {
                let path = recognise(&toolchain.definition.detect, directory, tree, command_given)?;
                Some((toolchain, path))
            })
            .collect::<Vec<_>>()
    };
    let (first, second) = (recognised(false), recognised(true));
    match (&first[..], &second[..]) {
        ([(toolchain, path)], others) => Ok(Detected {
            value: toolchain,
            origin: Origin::tree(path, "the file is there"),
            rejected: others.iter().map(rejected).collect(),
            warnings: others.iter().map(|(other, path)| passed_over(other, path, toolchain)).collect(),
        }),
        ([], [(toolchain, path)]) => Ok(Detected {
            value: toolchain,
            origin: Origin::tree(path, "the file is there and no other toolchain is recognised"),
            rejected: Vec::new(),
            warnings: Vec::new(),
        }),
        ([], []) => Err(unrecognised(directory, tree, catalog)),
        ([], several) | (several, _) => Err(ambiguous(several)),
    }
}

fn recognise(detect: &Detect, directory: &str, tree: &SourceTree, command_given: bool) -> Option<String> {
    if detect.needs_command && !command_given {
        return None;
    }
    let inside = |name: &String| join(directory, name);
    let file = detect.files.iter().filter_map(inside).find(|path| tree.has_file(path));
    file.or_else(|| detect.directories.iter().filter_map(inside).find(|path| tree.has_directory(path)))
}

fn rejected((toolchain, path): &(&Toolchain, String)) -> Rejected {
    Rejected {
        value: json!(toolchain.definition.name),
        origin: Origin::tree(path, "the file is there"),
        why: "taken only where no other toolchain is recognised".into(),
    }
}

fn passed_over(other: &Toolchain, path: &str, taken: &Toolchain) -> Warning {
    let message = format!("`{path}` is not used: {} is recognised and wins", taken.definition.title);
    let hint = format!("set `toolchain.name = \"{}\"` in `slipway.toml` to build it", other.definition.name);
    Warning::new("file_not_used", message, hint).at(path, None)
}

fn unknown(name: &str, catalog: &Catalog) -> Failure {
    Failure::new(FailureCode::EcosystemUnrecognised, format!("there is no toolchain `{name}`"))
        .hint("set `toolchain.name` to one of those that are named")
        .candidates(catalog.toolchains.keys().cloned())
}

fn unrecognised(directory: &str, tree: &SourceTree, catalog: &Catalog) -> Failure {
    let looked_for = catalog.toolchains.values().flat_map(|toolchain| {
        let detect = &toolchain.definition.detect;
        detect.files.iter().cloned().chain(detect.directories.iter().map(|name| format!("{name}/")))
    });
    let looked_for: Vec<_> = looked_for.map(|name| format!("`{name}`")).collect();
    let place = if directory.is_empty() { "the repository's root".to_owned() } else { format!("`{directory}`") };
    let mut seen: Vec<_> = tree.files_in(directory).map(|path| format!("`{}`", path.escape_debug())).take(12).collect();
    if seen.is_empty() {
        seen.push("no files".to_owned());
    }
    let message = format!(
        "no toolchain recognised the files of {place}: looked for {}; saw {}",
        looked_for.join(", "),
        seen.join(", ")
    );
    let elsewhere = catalog.toolchains.values().flat_map(|toolchain| toolchain.definition.detect.files.iter());
    let elsewhere: std::collections::BTreeSet<String> = elsewhere
        .filter(|name| !name.contains('/'))
        .flat_map(|name| {
            tree.below(directory)
                .filter(move |(path, _)| path.rsplit_once('/').is_some_and(|(_, last)| last == name))
                .map(|(path, _)| crate::model::source_tree::parent(path).to_owned())
        })
        .take(8)
        .collect();
    let failure = Failure::new(FailureCode::EcosystemUnrecognised, message);
    if elsewhere.is_empty() {
        return failure.hint("add the manifest of your ecosystem, or a `Dockerfile`");
    }
    failure.hint("choose the application's directory: `source.directory` (`--directory`)").candidates(elsewhere)
}

fn ambiguous(several: &[(&Toolchain, String)]) -> Failure {
    let names: Vec<_> = several.iter().map(|(toolchain, _)| toolchain.definition.name.clone()).collect();
    let found: Vec<_> =
        several.iter().map(|(toolchain, path)| format!("{} (`{path}`)", toolchain.definition.title)).collect();
    let failure = Failure::new(
        FailureCode::EcosystemAmbiguous,
        format!("{} toolchains recognised the files: {}", several.len(), found.join(", ")),
    )
    .hint(format!("say which one in `slipway.toml`: `[toolchain]` `name = \"{}\"`", names[0]))
    .candidates(names);
    several.iter().fold(failure, |failure, (_, path)| failure.at(path, None))
}
