//! Reads Maven repositories: which module is the application, and which JDK its poms ask for.

// A failure ends the planning; its size costs nothing.
#![allow(clippy::result_large_err)]

mod address;
mod application;
mod arguments;
mod beside;
mod ceilings;
mod choose;
mod configuration;
mod container;
mod describe;
mod effective;
mod facts;
mod flat;
mod heaps;
mod hocon;
mod jdk;
mod jdk_version;
mod listening;
mod logs;
mod maven_version;
mod model;
mod outside;
mod plugin;
mod poms;
mod prefer;
mod profile;
mod reactor;
mod source;
mod wrapper;
mod xml;

use serde_json::json;

pub use self::flat::effective;
use self::poms::Poms;
use self::reactor::Reactor;
use self::wrapper::Invocation;
use super::super::findings::{Findings, Inspection};
use crate::model::failure::Failure;
use crate::model::origin::Decision;
use crate::model::source_tree::join;
use crate::toolchain::version::Demand;

/// How the toolchain's command says that tests are neither compiled nor run, and that they are compiled alone.
const NO_TESTS: &str = "-Dmaven.test.skip=true";
const TESTS_FOR_OTHERS: &str = "-DskipTests";

/// Reads the poms of a repository, statically: no project code runs and nothing is fetched.
/// Rules: Maven's POM reference ("Inheritance", "Aggregation", "Interpolation", "Profiles").
///
/// # Errors
/// `manifest_invalid`, `application_ambiguous` (names the modules), `application_not_found`.
pub fn read(inspection: &Inspection<'_>) -> Result<Findings, Failure> {
    // Profiles may depend on how tests are left out, and that on what the modules need.
    let tests = inspection.facts.get("tests").and_then(toml::Value::as_bool).unwrap_or(false);
    let mut skip = if tests { "" } else { NO_TESTS };
    let mut first = pass(inspection, None, skip)?;
    if !tests && first.0.variables.get("has_test_jar_dependency") == Some(&json!(true)) {
        (skip, first) = (TESTS_FOR_OTHERS, pass(inspection, None, TESTS_FOR_OTHERS)?);
    }
    // Profiles may depend on the JDK and the JDK on profiles: the next pass knows the first's answer.
    let (findings, asked) = first;
    let demanded = findings.versions.iter().filter_map(|found| match &found.value {
        Demand::Exactly(version) | Demand::AtLeast(version) => version.parts().first().copied(),
        _ => None,
    });
    match demanded.max().filter(|_| asked) {
        Some(jdk) => Ok(pass(inspection, Some(jdk), skip)?.0),
        None => Ok(findings),
    }
}

fn pass(inspection: &Inspection<'_>, jdk: Option<u32>, skip: &str) -> Result<(Findings, bool), Failure> {
    let mut words = wrapper::words(inspection.tree, inspection.directory, "maven.config");
    words.extend([skip].iter().filter(|skip| !skip.is_empty()).map(|skip| (*skip).to_owned()));
    words.extend(inspection.args.iter().cloned());
    let invocation = Invocation::of(words.iter().map(String::as_str));
    let poms = Poms::new(inspection.tree, inspection.facts, invocation, jdk);
    let start = join(inspection.directory, "pom.xml").unwrap_or_else(|| "pom.xml".to_owned());
    let Some(own) = Reactor::of(&poms, &start)? else { return Ok((Findings::default(), false)) };
    let chosen = choose::module(inspection, &poms, &own)?;
    let start_of = |index: Option<usize>| index.map_or(start.clone(), |index| own.modules[index].pom.path.clone());
    let module_path = start_of(chosen.as_ref().map(|chosen| chosen.index));
    // Only what the module needs is built, so an aggregator above counts where it brings something.
    let whole = inspection.library && inspection.module.is_none();
    let reactor = Reactor::root_of(&poms, &start);
    let reactor = reactor.filter(|root| root.adds_to(&own, (!whole).then_some(&module_path))).unwrap_or(own);
    let (runnable, rejected) = chosen.map(|chosen| (chosen.runnable, chosen.rejected)).unwrap_or_default();
    let mut findings = describe::module(inspection, &poms, &reactor, &module_path, runnable.as_ref())?;
    if let Some(module) = findings.module.clone().filter(|_| !rejected.is_empty()) {
        let (key, value) = ("application.module".to_owned(), json!(module.value));
        findings.decisions.insert(0, Decision { key, value, origin: module.origin, rejected });
    }
    Ok((findings, poms.jdk_asked.get()))
}

#[cfg(test)]
mod tests;
