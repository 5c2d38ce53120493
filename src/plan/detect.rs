//! Which toolchain builds the application.

use std::collections::BTreeMap;

use serde_json::json;

use super::settings::Stated;
use super::{below, inspect};
use crate::catalog::{Catalog, Toolchain};
use crate::model::failure::{Failure, FailureCode, Warning};
use crate::model::origin::{Decision, Origin, Rejected};
use crate::model::request::BuildRequest;
use crate::model::settings::Kind;
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
            warnings: others.iter().map(|(other, path)| passed_over(other, path, toolchain)).collect(),
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

/// The only directory below the asked one that a toolchain recognises, where it is none itself, as a request for it.
pub(super) fn below(
    stated: &Stated,
    request: &BuildRequest,
    tree: &SourceTree,
    catalog: &Catalog,
) -> Result<Option<(BuildRequest, Decision)>, Failure> {
    let directory = request.source.directory();
    let command_given = stated.value.runtime.command.is_some();
    let recognised = |toolchain: &Toolchain| recognise(&toolchain.definition.detect, directory, tree, command_given);
    let here = catalog.toolchains.values().any(|toolchain| recognised(toolchain).is_some());
    if stated.value.toolchain.name.is_some() || here || !tree.has_directory(directory) || own_settings(directory, tree)
    {
        return Ok(None);
    }
    let all = below::applications(directory, tree, catalog);
    let found = starting(&all, stated, request, tree, catalog);
    let mut starts = found.iter();
    match (starts.next(), starts.next()) {
        (Some((only, path)), None) => Ok(Some(instead(request, only, path, &all))),
        (Some(_), Some(_)) => Err(several_below(directory, &found)),
        _ => Ok(None),
    }
}

/// The request for a directory below, and the decision that says so; in the others of `all` nothing starts.
fn instead(
    request: &BuildRequest,
    directory: &str,
    path: &str,
    all: &BTreeMap<String, String>,
) -> (BuildRequest, Decision) {
    let others = all.iter().filter(|(other, _)| *other != directory).map(|(other, path)| Rejected {
        value: json!(other),
        origin: Origin::tree(path, "the file is there"),
        why: "nothing of it starts".into(),
    });
    let decision = Decision {
        key: "source.directory".into(),
        value: json!(directory),
        origin: Origin::tree(path, "the only application below the directory that was asked for"),
        rejected: others.collect(),
    };
    (in_directory(request, directory), decision)
}

fn in_directory(request: &BuildRequest, directory: &str) -> BuildRequest {
    let source = request.source.clone().in_directory(directory);
    BuildRequest { source, ..request.clone() }
}

/// Where nothing of the directory itself starts: the only directory below that a toolchain recognises, as a request for it.
///
/// # Errors
/// `nothing`, with the directories where there are several.
pub(super) fn below_what_starts_nothing(
    toolchain: &Toolchain,
    stated: &Stated,
    request: &BuildRequest,
    tree: &SourceTree,
    catalog: &Catalog,
    nothing: Failure,
) -> Result<(BuildRequest, Decision), Failure> {
    let directory = request.source.directory();
    let settled = stated.value.toolchain.name.is_some() || own_settings(directory, tree);
    if nothing.code != FailureCode::ApplicationNotFound || settled || toolchain.definition.detect.looks_below {
        return Err(nothing);
    }
    let all = below::applications(directory, tree, catalog);
    let found = if all.len() > MAX_INSPECTED { all.clone() } else { started(&all, stated, request, tree, catalog) };
    match found.iter().collect::<Vec<_>>()[..] {
        [] => Err(nothing),
        [(only, path)] => Ok(instead(request, only, path, &all)),
        _ => {
            let failure = several_below(directory, &found);
            Err(Failure { message: format!("{} ({})", failure.message, nothing.message), ..failure })
        }
    }
}

/// More directories than this are shown as they are.
const MAX_INSPECTED: usize = 24;

/// Of several directories those in which something starts; all of them where nothing does.
fn starting(
    found: &BTreeMap<String, String>,
    stated: &Stated,
    request: &BuildRequest,
    tree: &SourceTree,
    catalog: &Catalog,
) -> BTreeMap<String, String> {
    if !(2..=MAX_INSPECTED).contains(&found.len()) || request.kind == Kind::Library {
        return found.clone();
    }
    let some = started(found, stated, request, tree, catalog);
    if some.is_empty() { found.clone() } else { some }
}

/// The directories in which something starts.
fn started(
    found: &BTreeMap<String, String>,
    stated: &Stated,
    request: &BuildRequest,
    tree: &SourceTree,
    catalog: &Catalog,
) -> BTreeMap<String, String> {
    let starts = |directory: &str| {
        let request = in_directory(request, directory);
        let toolchains = catalog.toolchains.values().filter(|toolchain| {
            let detect = &toolchain.definition.detect;
            !detect.fallback && recognise(detect, directory, tree, false).is_some()
        });
        let read = toolchains.map(|toolchain| inspect(&request, stated, &toolchain.definition, tree, None));
        // What cannot be read may start.
        read.into_iter().any(|read| read.err().is_none_or(|failure| failure.code != FailureCode::ApplicationNotFound))
    };
    found.iter().filter(|(directory, _)| starts(directory)).map(|(d, p)| (d.clone(), p.clone())).collect()
}

/// Whether settings speak of the directory itself.
fn own_settings(directory: &str, tree: &SourceTree) -> bool {
    join(directory, "slipway.toml").is_some_and(|path| tree.has_file(&path))
}

fn several_below(directory: &str, found: &BTreeMap<String, String>) -> Failure {
    let shown: Vec<_> = found.keys().take(12).map(|path| format!("`{}`", path.escape_debug())).collect();
    let more =
        if found.len() > shown.len() { format!(" and {} more", found.len() - shown.len()) } else { String::new() };
    let place = if directory.is_empty() { "the repository's root".to_owned() } else { format!("`{directory}`") };
    let message =
        format!("{place} is no application, and {} directories below it are: {}{more}", found.len(), shown.join(", "));
    let first = found.keys().next().map_or("", String::as_str);
    let failure = Failure::new(FailureCode::EcosystemUnrecognised, message)
        .hint(format!("choose one: `source.directory`, or `--directory {first}`"))
        .candidates(found.keys().take(50).cloned());
    found.values().take(12).fold(failure, |failure, path| failure.at(path, None))
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
