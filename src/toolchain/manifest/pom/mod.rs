//! Reads Maven repositories: which module is the application, and which JDK its poms ask for.

// A failure ends the planning; its size costs nothing.
#![allow(clippy::result_large_err)]

mod application;
mod effective;
mod jdk;
mod jdk_version;
mod model;
mod plugin;
mod poms;
mod profile;
mod reactor;
mod wrapper;
mod xml;

use serde_json::{Value, json};

use self::application::Runnable;
use self::effective::Effective;
use self::poms::Poms;
use self::reactor::Reactor;
use self::wrapper::Invocation;
use super::super::findings::{Findings, Inspection, Process};
use crate::model::failure::{Failure, FailureCode, Warning};
use crate::model::origin::{Found, Origin};
use crate::model::source_tree::join;
use crate::toolchain::version::Demand;

/// Reads the poms of a repository, statically: no project code runs and nothing is fetched.
/// Rules: Maven's POM reference ("Inheritance", "Aggregation", "Interpolation", "Profiles").
///
/// # Errors
/// `manifest_invalid`, `application_ambiguous` (names the modules), `application_not_found`.
pub fn read(inspection: &Inspection<'_>) -> Result<Findings, Failure> {
    // Profiles may depend on the JDK and the JDK on profiles: the second pass knows the first's answer.
    let (findings, asked) = pass(inspection, None)?;
    let demanded = findings.versions.iter().filter_map(|found| match &found.value {
        Demand::Exactly(version) | Demand::AtLeast(version) => version.parts().first().copied(),
        _ => None,
    });
    match demanded.max().filter(|_| asked) {
        Some(jdk) => Ok(pass(inspection, Some(jdk))?.0),
        None => Ok(findings),
    }
}

fn pass(inspection: &Inspection<'_>, jdk: Option<u32>) -> Result<(Findings, bool), Failure> {
    let mut words = wrapper::words(inspection.tree, inspection.directory, "maven.config");
    words.extend(inspection.args.iter().cloned());
    let invocation = Invocation::of(words.iter().map(String::as_str));
    let poms = Poms::new(inspection.tree, inspection.facts, invocation, jdk);
    let start = join(inspection.directory, "pom.xml").unwrap_or_else(|| "pom.xml".to_owned());
    let Some(own) = Reactor::of(&poms, &start)? else { return Ok((Findings::default(), false)) };
    let chosen = choose(inspection, &poms, &own)?;
    let start_of = |index: Option<usize>| index.map_or(start.clone(), |index| own.modules[index].pom.path.clone());
    let module_path = start_of(chosen.as_ref().map(|(index, _)| *index));
    let reactor = Reactor::root_of(&poms, &start).unwrap_or(own);
    let runnable = chosen.and_then(|(_, runnable)| runnable);
    let findings = describe(inspection, &poms, &reactor, &module_path, runnable.as_ref())?;
    Ok((findings, poms.jdk_asked.get()))
}

type Chosen = (usize, Option<Runnable>);

/// The application's module; `None` for a library as a whole.
fn choose(inspection: &Inspection<'_>, poms: &Poms<'_>, reactor: &Reactor) -> Result<Option<Chosen>, Failure> {
    let modules = &reactor.modules;
    if let Some(wanted) = inspection.module {
        let directory = join(inspection.directory, wanted);
        let fits = |module: &Effective| {
            module.artifact == wanted
                || format!("{}:{}", module.group, module.artifact) == wanted
                || (directory.as_deref() == Some(module.pom.directory.as_str()) || module.pom.directory == wanted)
        };
        let Some(index) = modules.iter().position(fits) else {
            let message =
                format!("`application.module` is `{wanted}`, but no module has that artifact id or directory");
            return Err(Failure::new(FailureCode::ApplicationNotFound, message)
                .hint("Name one of the modules.")
                .candidates(modules.iter().map(|module| module.artifact.clone())));
        };
        let runnable = application::runnable(poms, &modules[index])?;
        if runnable.is_none() && !inspection.library && !inspection.command_given {
            return Err(nothing_starts(&modules[index..=index]));
        }
        return Ok(Some((index, runnable)));
    }
    if inspection.library {
        return Ok(None);
    }
    let mut found = Vec::new();
    for (index, module) in modules.iter().enumerate() {
        found.extend(application::runnable(poms, module)?.map(|runnable| (index, runnable)));
    }
    if found.len() > 1 {
        let mains: Vec<bool> =
            found.iter().map(|(index, _)| application::has_main(poms.tree, &modules[*index].pom.directory)).collect();
        if mains.contains(&true) {
            found = found.into_iter().zip(mains).filter(|(_, main)| *main).map(|(one, _)| one).collect();
        }
    }
    let named: Vec<_> = found.iter().filter(|(index, _)| modules[*index].artifact == inspection.application).collect();
    match (found.as_slice(), named.as_slice()) {
        ([(index, runnable)], _) | (_, [(index, runnable)]) => Ok(Some((*index, Some(runnable.clone())))),
        ([], _) if inspection.command_given => Ok((modules.len() == 1).then_some((0, None))),
        ([], _) => Err(nothing_starts(modules)),
        _ => Err(ambiguous(modules, &found)),
    }
}

fn ambiguous(modules: &[Effective], found: &[(usize, Runnable)]) -> Failure {
    let names: Vec<String> = found.iter().map(|(index, _)| modules[*index].artifact.clone()).collect();
    let message = format!("{} modules can be started: `{}`", names.len(), names.join("`, `"));
    let hint = format!("Choose one in `slipway.toml`: `[application]`, `module = \"{}\"`.", names[0]);
    let failure = Failure::new(FailureCode::ApplicationAmbiguous, message).hint(hint).candidates(names);
    found.iter().fold(failure, |failure, (index, _)| {
        let pom = &modules[*index].pom;
        failure.at(&pom.path, Some(pom.project.child("artifactId").map_or(pom.project.line, |element| element.line)))
    })
}

fn nothing_starts(modules: &[Effective]) -> Failure {
    if let Some(war) = modules.iter().find(|module| module.packaging == "war") {
        let message =
            format!("`{}` is a war that needs a servlet container; it does not start by itself", war.artifact);
        return Failure::new(FailureCode::ApplicationNotFound, message)
            .hint("Make it executable with the `repackage` goal of `spring-boot-maven-plugin`, or bring an own `Dockerfile` and set `toolchain.name = \"dockerfile\"`.")
            .at(&war.pom.path, Some(war.pom.project.line));
    }
    let message = match modules {
        [one] => format!("The module `{}` makes a jar that does not start", one.artifact),
        all => format!("None of the {} modules makes something that starts", all.len()),
    };
    let failure = Failure::new(FailureCode::ApplicationNotFound, message).hint(
        "A library? Build it with `kind = \"library\"`. An application? Let a plugin make it runnable (for Spring Boot: bind the `repackage` goal), or set `runtime.command`.",
    );
    modules.iter().take(1).fold(failure, |failure, one| failure.at(&one.pom.path, Some(one.pom.project.line)))
}

fn describe(
    inspection: &Inspection<'_>,
    poms: &Poms<'_>,
    reactor: &Reactor,
    path: &str,
    runnable: Option<&Runnable>,
) -> Result<Findings, Failure> {
    let Some(index) = reactor.modules.iter().position(|module| module.pom.path == path) else {
        return Ok(Findings::default());
    };
    let module = &reactor.modules[index];
    let whole = inspection.library && inspection.module.is_none();
    let closure =
        if whole || module.packaging == "pom" { (0..reactor.modules.len()).collect() } else { reactor.closure(index) };
    let mut findings =
        Findings { versions: jdk::of_files(inspection.tree, &module.pom.directory), ..Findings::default() };
    let (mut test_jar, mut snapshots, mut git) = (false, false, false);
    let known_git: Vec<_> =
        inspection.facts.get("git_plugins").and_then(toml::Value::as_array).into_iter().flatten().collect();
    for one in closure.iter().map(|index| &reactor.modules[*index]) {
        let demands = jdk::of_module(poms, one)?;
        if demands.is_empty() && one.open && one.packaging != "pom" {
            findings.warnings.push(unknown_parent(one));
        }
        findings
            .versions
            .extend(demands.into_iter().filter(|new| !findings.versions.contains(new)).collect::<Vec<_>>());
        let extras = jdk::toolchains(one)?;
        findings.extras.extend(extras.into_iter().filter(|new| !findings.extras.contains(new)).collect::<Vec<_>>());
        let outside = one.dependencies.iter().filter(|dependency| reactor.provider(one, dependency).is_none());
        snapshots |= outside
            .filter_map(|dependency| dependency.text_of("version"))
            .any(|version| one.expand(version).is_ok_and(|version| version.ends_with("-SNAPSHOT")));
        snapshots |= one.open
            && one.lineage.last().and_then(|pom| pom.parent()).is_some_and(|p| p.version.ends_with("-SNAPSHOT"));
        test_jar |= one.dependencies.iter().any(|dependency| {
            (dependency.text_of("type") == Some("test-jar") || dependency.text_of("classifier") == Some("tests"))
                && reactor.provider(one, dependency).is_some()
        });
        git |= one.plugins.iter().any(|plugin| known_git.iter().any(|known| known.as_str() == Some(&plugin.artifact)));
    }
    let root = reactor.modules.first().map_or("", |module| module.pom.directory.as_str());
    let maven = wrapper::maven_version(inspection.tree, root);
    let main_class = runnable.and_then(|runnable| runnable.main_class.clone());
    let variables: [(&str, Value); 15] = [
        ("module_dir", json!(module.pom.directory)),
        ("reactor_root", json!(root)),
        ("artifact_id", json!(module.artifact)),
        ("group_id", json!(module.group)),
        ("version", json!(module.version)),
        ("packaging", json!(module.packaging)),
        ("final_name", json!(module.final_name()?)),
        ("main_class", json!(main_class)),
        ("multi_module", json!(reactor.modules.len() > 1)),
        ("has_test_jar_dependency", json!(test_jar)),
        ("has_distribution_management", json!(module.deployable)),
        ("maven_version", json!(maven.map(|found| found.value.to_string()))),
        ("snapshot_dependencies", json!(snapshots)),
        ("git_plugin", json!(git)),
        ("jvm_config", json!(wrapper::words(inspection.tree, root, "jvm.config"))),
    ];
    findings.variables = variables.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    let origin = runnable.map_or_else(|| Origin::tree(path, "pom.xml"), |runnable| runnable.origin.clone());
    if !whole {
        findings.module = Some(Found::new(module.artifact.clone(), origin.clone()));
        findings.ports.extend(application::port(poms, &module.pom.directory));
    }
    findings.shape = runnable.map_or_else(String::new, |runnable| runnable.shape.clone());
    if inspection.library {
        "library".clone_into(&mut findings.shape);
    } else if runnable.is_some() {
        findings.processes.push(Process { name: "web".to_owned(), command: Vec::new(), origin });
    }
    Ok(findings)
}

fn unknown_parent(module: &Effective) -> Warning {
    let pom = module.lineage.last().unwrap_or(&module.pom);
    let reference = pom.parent();
    let name = reference.map(|p| format!("{}:{}:{}", p.group, p.artifact, p.version)).unwrap_or_default();
    let message =
        format!("The JDK may be set by the parent `{name}`, which is not in the repository; the default is used");
    let line = reference.filter(|_| pom.in_tree).map(|p| p.element.line);
    let path = if pom.in_tree { &pom.path } else { &module.pom.path };
    Warning::new(
        "parent_not_in_tree",
        message,
        "Set `maven.compiler.release` in the pom, or `toolchain.version` in `slipway.toml`.",
    )
    .at(path, line)
}

#[cfg(test)]
mod tests;
