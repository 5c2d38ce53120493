//! Which directory below the one that was asked for is the application's, where that is none itself.

use std::collections::BTreeMap;

use serde_json::json;

use super::{passed_over, recognise, rejected};
use crate::catalog::{Catalog, Toolchain};
use crate::model::failure::{Failure, FailureCode, Warning};
use crate::model::origin::{Decision, Origin, Rejected};
use crate::model::plan::Plan;
use crate::model::request::BuildRequest;
use crate::model::settings::Kind;
use crate::model::source_tree::{SourceTree, join, parent};
use crate::plan::settings::Stated;
use crate::plan::{below as listed, inspect, plan};

/// A directory below the one that was asked for, as a request for it.
pub(in crate::plan) struct Below {
    pub(in crate::plan) request: BuildRequest,
    pub(in crate::plan) decision: Decision,
    pub(in crate::plan) warnings: Vec<Warning>,
}

impl Below {
    /// Plans the directory, and says in the plan why it is that one.
    pub(in crate::plan) fn plan(self, tree: &SourceTree, catalog: &Catalog) -> Result<Plan, Failure> {
        let mut plan = plan(&self.request, tree, catalog)?;
        plan.decisions.insert(0, self.decision);
        plan.warnings.splice(0..0, self.warnings);
        Ok(plan)
    }
}

/// The only directory below the asked one that a toolchain recognises, where it is none itself, as a request for it. A
/// Dockerfile makes it none: then it is the only one that the Dockerfile takes files from.
pub(in crate::plan) fn below(
    stated: &Stated,
    request: &BuildRequest,
    tree: &SourceTree,
    catalog: &Catalog,
) -> Result<Option<Below>, Failure> {
    let directory = request.source.directory();
    let command_given = stated.value.runtime.command.is_some();
    let here = |fallback: bool| {
        let mut toolchains =
            catalog.toolchains.values().filter(move |toolchain| toolchain.definition.detect.fallback == fallback);
        toolchains.find_map(|toolchain| {
            Some((toolchain, recognise(&toolchain.definition.detect, directory, tree, command_given)?))
        })
    };
    let settled = stated.value.toolchain.name.is_some() || own_settings(directory, tree);
    if settled || here(false).is_some() || !tree.has_directory(directory) {
        return Ok(None);
    }
    let own = here(true);
    // What a Dockerfile lies beside is what it builds.
    if own.is_some() && listed::unsupported_here(directory, tree, catalog).is_some() {
        return Ok(None);
    }
    let all = listed::applications(directory, tree, catalog);
    let (all, found) = match &own {
        None => (all.clone(), starting(&all, stated, request, tree, catalog)),
        // One that builds so many is no single application's.
        Some(_) if all.len() > MAX_TAKEN => return Ok(None),
        Some((_, path)) => {
            let taken = listed::named_by(path, &all, tree);
            let found = if taken.len() > MAX_INSPECTED {
                taken.clone()
            } else {
                started(&taken, stated, request, tree, catalog)
            };
            (taken, found)
        }
    };
    match found.iter().collect::<Vec<_>>()[..] {
        [] => Ok(None),
        [(only, path)] => {
            let mut below = instead(request, only, path, &all, catalog, tree);
            if let Some((other, dockerfile)) = &own {
                let why = format!("the only application below that `{dockerfile}` takes files from");
                below.decision.origin = Origin::tree(path, &why);
                below.warnings.push(passed_over(other, dockerfile, &format!("`{path}`")));
            }
            below.decision.rejected.extend(own.iter().map(rejected));
            Ok(Some(below))
        }
        // The Dockerfile makes one image of them all, where the operator builds it.
        _ if own.is_some() && catalog.operator.own_dockerfiles.allow(request.product_line.as_str()) => Ok(None),
        _ => Err(several_below(directory, &found)),
    }
}

/// A directory below, and the decision that says so; in the others of `all` nothing starts.
fn instead(
    request: &BuildRequest,
    directory: &str,
    path: &str,
    all: &BTreeMap<String, String>,
    catalog: &Catalog,
    tree: &SourceTree,
) -> Below {
    let built_otherwise = listed::others(request.source.directory(), directory, tree, catalog);
    let built_otherwise = built_otherwise.into_iter().map(|(toolchain, path)| Rejected {
        value: json!(parent(&path)),
        origin: Origin::tree(&path, "the file is there"),
        why: format!("only `{toolchain}` recognises it"),
    });
    let others = all.iter().filter(|(other, _)| *other != directory).map(|(other, path)| Rejected {
        value: json!(other),
        origin: Origin::tree(path, "the file is there"),
        why: "nothing of it starts".into(),
    });
    let decision = Decision {
        key: "source.directory".into(),
        value: json!(directory),
        origin: Origin::tree(path, "the only application below the directory that was asked for"),
        rejected: others.chain(built_otherwise).collect(),
    };
    Below { request: in_directory(request, directory), decision, warnings: Vec::new() }
}

fn in_directory(request: &BuildRequest, directory: &str) -> BuildRequest {
    let source = request.source.clone().in_directory(directory);
    BuildRequest { source, ..request.clone() }
}

/// Where nothing of the directory itself starts: the only directory below that a toolchain recognises, as a request for it.
///
/// # Errors
/// `nothing`, with the directories where there are several.
pub(in crate::plan) fn below_what_starts_nothing(
    toolchain: &Toolchain,
    stated: &Stated,
    request: &BuildRequest,
    tree: &SourceTree,
    catalog: &Catalog,
    nothing: Failure,
) -> Result<Below, Failure> {
    let directory = request.source.directory();
    let settled = stated.value.toolchain.name.is_some() || own_settings(directory, tree);
    if nothing.code != FailureCode::ApplicationNotFound || settled || toolchain.definition.detect.looks_below {
        return Err(nothing);
    }
    let all = listed::applications(directory, tree, catalog);
    let found = if all.len() > MAX_INSPECTED { all.clone() } else { started(&all, stated, request, tree, catalog) };
    match found.iter().collect::<Vec<_>>()[..] {
        [] => Err(nothing),
        [(only, path)] => Ok(instead(request, only, path, &all, catalog, tree)),
        _ => {
            let failure = several_below(directory, &found);
            Err(Failure { message: format!("{} ({})", failure.message, nothing.message), ..failure })
        }
    }
}

/// Of more directories than this nobody asks which a Dockerfile takes files from.
const MAX_TAKEN: usize = 200;
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
