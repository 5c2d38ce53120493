//! Which toolchain builds the application.

pub(super) mod directory;

use serde_json::json;

use super::settings::Stated;
use super::{below, inspect};
use crate::catalog::{Catalog, Toolchain};
use crate::model::failure::{Failure, FailureCode, Warning};
use crate::model::origin::{Origin, Rejected};
use crate::model::request::BuildRequest;
use crate::model::source_tree::{SourceTree, join, parent};
use crate::toolchain::definition::{Above, Detect};

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
            warnings: others
                .iter()
                .map(|(other, path)| passed_over(other, path, &toolchain.definition.title))
                .collect(),
        }),
        ([], [(toolchain, path)]) => Ok(Detected {
            value: toolchain,
            origin: Origin::tree(path, "the file is there and no other toolchain is recognised"),
            rejected: Vec::new(),
            warnings: Vec::new(),
        }),
        ([], []) => by_ending(directory, tree, catalog).ok_or_else(|| unrecognised(directory, tree, catalog)),
        ([], several) => Err(ambiguous(several)),
        (several, _) => owner(several, stated, request, tree).ok_or_else(|| ambiguous(several)),
    }
}

/// The toolchain of the files, where no manifest says one, nothing is misspelt and nothing is of another ecosystem.
fn by_ending<'a>(directory: &str, tree: &SourceTree, catalog: &'a Catalog) -> Option<Detected<'a>> {
    let other = below::misspelt(directory, tree, catalog).is_some()
        || below::unsupported_here(directory, tree, catalog).is_some();
    catalog.toolchains.values().filter(|_| !other).find_map(|value| {
        let endings = &value.definition.detect.endings;
        let path =
            tree.files_in(directory).find(|path| endings.iter().any(|ending| path.ends_with(ending.as_str())))?;
        let origin = Origin::tree(path, "no manifest is there, and no other toolchain is recognised");
        Some(Detected { value, origin, rejected: Vec::new(), warnings: Vec::new() })
    })
}

/// The only toolchain that finds something to start: tools of another ecosystem beside an application are not the
/// application.
fn owner<'a>(
    several: &[(&'a Toolchain, String)],
    stated: &Stated,
    request: &BuildRequest,
    tree: &SourceTree,
) -> Option<Detected<'a>> {
    let nothing_starts = |(toolchain, _): &&(&Toolchain, String)| {
        let read = inspect(request, stated, &toolchain.definition, tree, None);
        read.err().is_some_and(|failure| failure.code == FailureCode::ApplicationNotFound)
    };
    let (others, starting): (Vec<_>, Vec<_>) = several.iter().partition(nothing_starts);
    let [(value, path)] = starting[..] else { return None };
    let rejected = others.iter().map(|(toolchain, path)| Rejected {
        value: json!(toolchain.definition.name),
        origin: Origin::tree(path, "the file is there"),
        why: "nothing of it starts".into(),
    });
    Some(Detected {
        value,
        origin: Origin::tree(path, "the file is there, and nothing else here starts"),
        rejected: rejected.collect(),
        warnings: Vec::new(),
    })
}

fn recognise(detect: &Detect, directory: &str, tree: &SourceTree, command_given: bool) -> Option<String> {
    if detect.needs_command && !command_given {
        return None;
    }
    let inside = |name: &String| join(directory, name);
    let file = detect.files.iter().filter_map(inside).find(|path| tree.has_file(path));
    let inside_directory = || detect.directories.iter().filter_map(inside).find(|path| tree.has_directory(path));
    file.or_else(inside_directory).or_else(|| above(detect.above.as_ref()?, directory, tree))
}

/// The nearest of the files above the directory, where the directory has what belongs to it.
fn above(above: &Above, directory: &str, tree: &SourceTree) -> Option<String> {
    if directory.is_empty() || !tree.below(directory).any(|(path, _)| path.ends_with(&above.beside)) {
        return None;
    }
    let up = std::iter::successors(Some(parent(directory)), |path| (!path.is_empty()).then(|| parent(path)));
    up.into_iter().find_map(|up| above.files.iter().filter_map(|name| join(up, name)).find(|path| tree.has_file(path)))
}

fn rejected((toolchain, path): &(&Toolchain, String)) -> Rejected {
    Rejected {
        value: json!(toolchain.definition.name),
        origin: Origin::tree(path, "the file is there"),
        why: "taken only where no other toolchain is recognised".into(),
    }
}

fn passed_over(other: &Toolchain, path: &str, taken: &str) -> Warning {
    let message = format!("`{path}` is not used: {taken} is recognised and wins");
    let hint = format!("set `toolchain.name = \"{}\"` in `slipway.toml` to build it", other.definition.name);
    Warning::new("file_not_used", message, hint).at(path, None)
}

fn unknown(name: &str, catalog: &Catalog) -> Failure {
    Failure::new(FailureCode::EcosystemUnrecognised, format!("there is no toolchain `{name}`"))
        .hint("set `toolchain.name` to one of those that are named")
        .candidates(catalog.toolchains.keys().cloned())
}

fn unrecognised(directory: &str, tree: &SourceTree, catalog: &Catalog) -> Failure {
    if let Some((path, wanted)) = below::misspelt(directory, tree, catalog) {
        let message = format!("no toolchain recognised the files; `{}` looks like `{wanted}`", path.escape_debug());
        return Failure::new(FailureCode::EcosystemUnrecognised, message)
            .hint(format!("rename it to `{wanted}`, which is what its tools look for too"))
            .at(path, None);
    }
    if let Some((name, path)) = below::unsupported(directory, tree, catalog) {
        let message = format!("`{}` is of {name}, and there is no toolchain for it", path.escape_debug());
        let hint = catalog.unsupported_hints.get(name).map_or(
            "bring a `Dockerfile`, or build it before and bring the result as `output/` with `runtime.command`",
            String::as_str,
        );
        return Failure::new(FailureCode::EcosystemUnrecognised, message).hint(hint).at(path, None);
    }
    if let Some(failure) = beside_own_name(directory, tree, catalog) {
        return failure;
    }
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
    Failure::new(FailureCode::EcosystemUnrecognised, message)
        .hint("add the manifest of your ecosystem, or a `Dockerfile`")
}

/// Files that have more behind the name of what is taken where nothing else is: `Dockerfile.alpine`, of which nobody says that it
/// is the one.
fn beside_own_name(directory: &str, tree: &SourceTree, catalog: &Catalog) -> Option<Failure> {
    let fallbacks = catalog.toolchains.values().filter(|toolchain| toolchain.definition.detect.fallback);
    let wanted = fallbacks.flat_map(|toolchain| &toolchain.definition.detect.files);
    wanted.into_iter().find_map(|wanted| {
        let inner = |path: &str| path.rsplit('/').next().unwrap_or(path).to_owned();
        let longer = |path: &&str| inner(path).strip_prefix(wanted.as_str()).is_some_and(|rest| rest.starts_with('.'));
        let ignores = |path: &&str| path.ends_with("ignore");
        let found: Vec<&str> = tree.files_in(directory).filter(longer).filter(|path| !ignores(path)).collect();
        let first = *found.first()?;
        let names: Vec<_> = found.iter().take(4).map(|path| format!("`{}`", path.escape_debug())).collect();
        let message =
            format!("no toolchain recognised the files, and of {} none is called `{wanted}`", names.join(", "));
        let hint = format!("commit the one that is to be built as `{wanted}`");
        Some(Failure::new(FailureCode::EcosystemUnrecognised, message).hint(hint).at(first, None))
    })
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
