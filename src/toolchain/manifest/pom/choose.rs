//! Which module is the application.

use serde_json::json;

use super::application::{self, Runnable, Strength};
use super::configuration::Configuration;
use super::effective::Effective;
use super::facts::line_of;
use super::poms::Poms;
use super::prefer;
use super::profile;
use super::reactor::Reactor;
use super::source;
use super::xml::Element;
use crate::model::failure::{Failure, FailureCode};
use crate::model::origin::Rejected;
use crate::model::source_tree::{join, parent};
use crate::toolchain::findings::Inspection;

/// More poms than this are not asked for what they start.
const MAX_BELOW: usize = 40;

/// Of more modules than this it is not asked whether a dependency's class starts them.
const MAX_LOOKED_AT: usize = 50;

/// A module by its place in the reactor, why it can be started, and what it was preferred to.
#[derive(Debug)]
pub(super) struct Chosen {
    pub(super) index: usize,
    pub(super) runnable: Option<Runnable>,
    pub(super) rejected: Vec<Rejected>,
}

impl Chosen {
    fn plain(index: usize, runnable: Option<Runnable>) -> Self {
        Self { index, runnable, rejected: Vec::new() }
    }
}

/// The application's module; `None` for a library as a whole.
///
/// # Errors
/// `application_ambiguous` with the modules, `application_not_found`, `manifest_invalid`.
pub(super) fn module(
    inspection: &Inspection<'_>,
    poms: &Poms<'_>,
    reactor: &Reactor,
) -> Result<Option<Chosen>, Failure> {
    let modules = &reactor.modules;
    if let Some(wanted) = inspection.module {
        return stated(inspection, poms, modules, wanted).map(Some);
    }
    if inspection.library {
        return Ok(None);
    }
    let mut found = all(poms, modules, Strength::Made)?;
    if found.len() > 1 {
        // A plugin that every module inherits makes an application only of those with a class that starts: of their own, or the
        // one that is named, of a module that they need.
        let few = found.len() <= MAX_LOOKED_AT;
        let starts = |(index, runnable): &(usize, Runnable)| {
            let module = &modules[*index];
            let serves = || prefer::serves(poms, reactor, *index).unwrap_or(false);
            // What runs on a servlet container has no such class, be it put together of other modules alone.
            if prefer::is_web_application(poms, module, runnable) || (runnable.shape == "war" && serves()) {
                return true;
            }
            // Nor has what Quarkus makes its own for, nor what names a framework's ("Maven tooling", "Building"; Vert.x' and
            // Helidon's launchers), where it is the module itself that says so.
            let own = runnable.origin.path.as_ref() == Some(&module.pom.path);
            let is_quarkus = runnable.shape.starts_with("quarkus");
            if is_quarkus && (own || !Configuration::of(poms, module).is_empty() || serves()) {
                return true;
            }
            let says = |property: &Element| Some(property.text.as_str()) == runnable.main_class.as_deref();
            let named_here = || module.pom.project.all("properties").iter().any(|all| all.children.iter().any(says));
            if few && (own || named_here()) && is_of_a_dependency(poms, module, runnable) {
                return true;
            }
            let named = || runnable.main_class.as_deref();
            let needed = |class| {
                reactor.closure(*index).into_iter().any(|at| application::has_source(poms, &modules[at], class))
            };
            !application::mains(poms, module).is_empty() || named().is_some_and(needed)
        };
        let mains: Vec<bool> = found.iter().map(starts).collect();
        if mains.contains(&true) {
            found = found.into_iter().zip(mains).filter(|(_, main)| *main).map(|(one, _)| one).collect();
        }
    }
    let directory = |index: usize| modules[index].pom.directory.as_str();
    let client = |(index, _): &(usize, Runnable)| prefer::is_client(poms, directory(*index));
    if !found.is_empty() && !inspection.command_given && found.iter().all(client) {
        // What only a client is made of has servers that start, though no plugin makes programs of them.
        let mut more = all(poms, modules, Strength::Startable)?;
        more.retain(|one| !client(one) && !prefer::is_aside(inspection, poms, directory(one.0)));
        found.extend(more);
    }
    if found.is_empty() && !inspection.command_given {
        found = all(poms, modules, Strength::Startable)?;
        // Beside a library's modules those with examples and tests are not what the repository is for.
        let aside = |module: &Effective| prefer::is_aside(inspection, poms, &module.pom.directory);
        if modules.iter().any(|module| module.packaging == "jar" && !aside(module)) {
            found.retain(|(index, _)| !aside(&modules[*index]));
        }
    }
    let named: Vec<_> = found.iter().filter(|(index, _)| modules[*index].artifact == inspection.application).collect();
    match (found.as_slice(), named.as_slice()) {
        ([(index, runnable)], _) | (_, [(index, runnable)]) => Ok(Some(Chosen::plain(*index, Some(runnable.clone())))),
        ([], _) if inspection.command_given => Ok((modules.len() == 1).then(|| Chosen::plain(0, None))),
        ([], _) => Err(left_out(inspection, poms, modules, nothing_starts(modules))),
        _ => match prefer::one(inspection, poms, reactor, &found)? {
            Some((place, why)) => Ok(Some(preferred(modules, &found, place, why))),
            None => Err(ambiguous(modules, &with_unpacked(inspection, poms, reactor, &found)?)),
        },
    }
}

/// Whether a module starts by a class that no source of the repository has, and a dependency by its group.
fn is_of_a_dependency(poms: &Poms<'_>, module: &Effective, runnable: &Runnable) -> bool {
    let begin = |name: &str| name.split('.').take(2).map(str::to_owned).collect::<Vec<_>>();
    let Some(class) = runnable.main_class.as_deref().filter(|class| begin(class).len() == 2) else { return false };
    let groups = module.dependencies.iter().filter_map(|dependency| dependency.text_of("groupId"));
    groups.map(begin).any(|group| group == begin(class))
        && !source::has_class(poms.tree, "", class.trim_end_matches("Kt"))
}

/// With modules that serve and have a class that starts, but that no plugin makes a program of unless a profile is active:
/// they are no less an answer.
fn with_unpacked(
    inspection: &Inspection<'_>,
    poms: &Poms<'_>,
    reactor: &Reactor,
    found: &[(usize, Runnable)],
) -> Result<Vec<(usize, Runnable)>, Failure> {
    let mut all_of_them = found.to_vec();
    for (index, runnable) in all(poms, &reactor.modules, Strength::Startable)? {
        let is_aside = prefer::is_aside(inspection, poms, &reactor.modules[index].pom.directory);
        let is_found = found.iter().any(|(other, _)| *other == index);
        if !is_found && !is_aside && prefer::serves(poms, reactor, index)? {
            all_of_them.push((index, runnable));
        }
    }
    Ok(all_of_them)
}

fn preferred(modules: &[Effective], found: &[(usize, Runnable)], place: usize, why: &str) -> Chosen {
    let others = found.iter().enumerate().filter(|(other, _)| *other != place);
    let rejected = others.map(|(_, (index, runnable))| Rejected {
        value: json!(modules[*index].artifact),
        origin: runnable.origin.clone(),
        why: why.to_owned(),
    });
    Chosen { index: found[place].0, runnable: Some(found[place].1.clone()), rejected: rejected.collect() }
}

/// Names modules that only profiles have which are not active: what starts may be among them.
fn left_out(inspection: &Inspection<'_>, poms: &Poms<'_>, modules: &[Effective], failure: Failure) -> Failure {
    let inactive: Vec<(String, String)> =
        modules.iter().flat_map(|module| profile::inactive_modules(poms, &module.pom)).take(8).collect();
    let Some((_, first)) = inactive.first() else { return of_nobody(inspection, poms, modules, failure) };
    let list: Vec<String> = inactive.iter().map(|(module, id)| format!("`{module}` (profile `{id}`)")).collect();
    let message = format!("{}; modules of profiles that are not active: {}", failure.message, list.join(", "));
    let hint = format!("Choose a profile in `slipway.toml`: `[toolchain]` `args = [\"-P{first}\"]`.");
    Failure { message, ..failure }.hint(hint)
}

/// Names directories with applications that no `modules` has: services below a pom that is only their parent are built each by
/// itself (POM reference, "Inheritance v. Aggregation").
fn of_nobody(inspection: &Inspection<'_>, poms: &Poms<'_>, modules: &[Effective], failure: Failure) -> Failure {
    let is_module = |path: &str| modules.iter().any(|module| module.pom.path == path);
    let is_aside = |path: &str| {
        path.split('/').any(|part| part.starts_with('.') || part == "src" || part == "target")
            || prefer::is_aside(inspection, poms, parent(path))
    };
    let poms_below = poms.tree.below(inspection.directory).map(|(path, _)| path);
    let poms_below = poms_below.filter(|path| path.ends_with("/pom.xml") && !is_module(path) && !is_aside(path));
    let starts = |path: &&str| {
        let reactor = Reactor::of(poms, path).ok().flatten();
        reactor.is_some_and(|reactor| all(poms, &reactor.modules, Strength::Made).is_ok_and(|found| !found.is_empty()))
    };
    let mut found: Vec<String> = Vec::new();
    for path in poms_below.take(MAX_BELOW).filter(starts) {
        let directory = parent(path);
        if !found.iter().any(|above| directory.starts_with(&format!("{above}/"))) {
            found.push(directory.to_owned());
        }
    }
    let Some(first) = found.first() else { return of_classes(inspection, poms, modules, failure) };
    let message = format!("{}; applications below that no `modules` names: `{}`", failure.message, found.join("`, `"));
    let hint = format!("Choose one: `source.directory`, or `--directory {first}`.");
    Failure { message, ..failure }.hint(hint).candidates(found)
}

/// Names classes that are there to be started, of modules that have several, or that are several.
fn of_classes(inspection: &Inspection<'_>, poms: &Poms<'_>, modules: &[Effective], failure: Failure) -> Failure {
    let near = modules.iter().filter(|module| !prefer::is_aside(inspection, poms, &module.pom.directory));
    let found = near.flat_map(|module| application::starting(poms, module).into_iter().map(move |main| (module, main)));
    let mut found: Vec<_> = found.take(40).collect();
    found.sort_by_key(|(module, _)| prefer::is_client(poms, &module.pom.directory));
    found.truncate(8);
    let Some((module, class)) = found.first() else { return failure };
    let list = found.iter().map(|(module, class)| format!("`{}` (`{}`)", class.value, module.artifact));
    let list: Vec<String> = list.collect();
    let message = format!("{}; classes with a `main` method: {}", failure.message, list.join(", "));
    let hint = format!(
        "A library? Build it with `kind = \"library\"`. An application? Choose in `slipway.toml`: `[application]` `module = \"{}\"`, `[toolchain]` `args = [\"-Dexec.mainClass={}\"]`.",
        module.artifact, class.value
    );
    let names = found.iter().map(|(_, class)| class.value.clone()).collect::<Vec<_>>();
    Failure { message, ..failure }.hint(hint).candidates(names)
}

fn all(poms: &Poms<'_>, modules: &[Effective], strength: Strength) -> Result<Vec<(usize, Runnable)>, Failure> {
    let mut found = Vec::new();
    for (index, module) in modules.iter().enumerate() {
        found.extend(
            application::runnable(poms, module, strength, modules.len() == 1)?.map(|runnable| (index, runnable)),
        );
    }
    Ok(found)
}

/// The module that `application.module` names by artifact id, coordinates or directory.
fn stated(
    inspection: &Inspection<'_>,
    poms: &Poms<'_>,
    modules: &[Effective],
    wanted: &str,
) -> Result<Chosen, Failure> {
    let directory = join(inspection.directory, wanted);
    let fits = |module: &Effective| {
        module.artifact == wanted
            || format!("{}:{}", module.group, module.artifact) == wanted
            || (directory.as_deref() == Some(module.pom.directory.as_str()) || module.pom.directory == wanted)
    };
    let Some(index) = modules.iter().position(fits) else {
        return Err(unknown(poms, modules, wanted));
    };
    let module = &modules[index];
    let runnable = match application::runnable(poms, module, Strength::Made, true)? {
        None if !inspection.library && !inspection.command_given => {
            application::runnable(poms, module, Strength::Startable, true)?
        }
        runnable => runnable,
    };
    if runnable.is_none() && !inspection.library && !inspection.command_given {
        return Err(nothing_starts(&modules[index..=index]));
    }
    Ok(Chosen::plain(index, runnable))
}

/// No module has the name; one of a profile that is not active may.
fn unknown(poms: &Poms<'_>, modules: &[Effective], wanted: &str) -> Failure {
    let message = format!("`application.module` is `{wanted}`, but no module has that artifact id or directory");
    let failure = Failure::new(FailureCode::ApplicationNotFound, message)
        .hint("Name one of the modules.")
        .candidates(modules.iter().map(|module| module.artifact.clone()));
    let inactive = modules.iter().flat_map(|module| {
        profile::inactive_modules(poms, &module.pom).into_iter().map(move |(path, id)| (&module.pom, path, id))
    });
    let mut named = inactive.filter(|(above, path, _)| {
        let pom = poms.pom_path(&above.directory, path).and_then(|path| poms.load(&path).ok().flatten());
        path == wanted || pom.is_some_and(|pom| pom.project.text_of("artifactId") == Some(wanted))
    });
    let Some((above, _, id)) = named.next() else { return failure };
    let message =
        format!("`application.module` is `{wanted}`, which only the profile `{id}` has, and that is not active");
    let hint = format!("Activate the profile in `slipway.toml`: `[toolchain]` `args = [\"-P{id}\"]`.");
    Failure { message, candidates: Vec::new(), ..failure }.hint(hint).at(&above.path, Some(line_of(above)))
}

fn ambiguous(modules: &[Effective], found: &[(usize, Runnable)]) -> Failure {
    let names: Vec<String> = found.iter().map(|(index, _)| modules[*index].artifact.clone()).collect();
    let message = format!("{} modules can be started: `{}`", names.len(), names.join("`, `"));
    let hint = format!("Choose one in `slipway.toml`: `[application]`, `module = \"{}\"`.", names[0]);
    let failure = Failure::new(FailureCode::ApplicationAmbiguous, message).hint(hint).candidates(names);
    found.iter().fold(failure, |failure, (index, _)| {
        let pom = &modules[*index].pom;
        failure.at(&pom.path, Some(line_of(pom)))
    })
}

fn nothing_starts(modules: &[Effective]) -> Failure {
    let message = match modules {
        [one] => format!("The module `{}` (packaging `{}`) makes nothing that starts", one.artifact, one.packaging),
        all => format!("None of the {} modules makes something that starts", all.len()),
    };
    let failure = Failure::new(FailureCode::ApplicationNotFound, message).hint(
        "A library? Build it with `kind = \"library\"`. An application? Let a plugin make it runnable (for Spring Boot: bind the `repackage` goal), or set `runtime.command`.",
    );
    modules.iter().take(1).fold(failure, |failure, one| failure.at(&one.pom.path, Some(one.pom.project.line)))
}
