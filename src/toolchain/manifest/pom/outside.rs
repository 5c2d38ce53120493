//! Plugins that would leave the sandbox, and what else of a build reaches out.

use super::effective::Effective;
use super::facts;
use super::plugin::{Execution, Plugin};
use super::poms::Poms;
use crate::model::failure::Warning;
use crate::model::origin::Decision;

/// Phases after `package`: what is bound to them does not run.
const LATER: &[&str] = &[
    "pre-integration-test",
    "integration-test",
    "post-integration-test",
    "verify",
    "install",
    "deploy",
    "pre-site",
    "site",
    "post-site",
    "site-deploy",
    "pre-clean",
    "clean",
    "post-clean",
    "none",
];

/// Whether an execution runs in a build up to `package`; without a phase of its own by the one that its goal has by default.
pub(super) fn runs_until_package(execution: &Execution, default: Option<&str>) -> bool {
    !execution.phase.as_deref().or(default).is_some_and(|phase| LATER.contains(&phase))
}

/// The arguments that switch such plugins off by their own skip properties (`[[facts.outside]]`), each as a decision.
pub(super) fn switched_off(poms: &Poms<'_>, module: &Effective, deploys: bool) -> Vec<Decision> {
    let runs = |execution: &Execution| {
        !execution.phase.as_deref().is_some_and(|phase| LATER.contains(&phase) && (!deploys || phase == "none"))
    };
    let mut found = Vec::new();
    for row in facts::rows(poms.facts, "outside") {
        let names = facts::texts(row, "plugins");
        let goals = facts::texts(row, "goals");
        let leaves = |execution: &Execution| {
            runs(execution) && (goals.is_empty() || execution.goals.iter().any(|goal| goals.contains(&goal.as_str())))
        };
        let fits = |plugin: &&Plugin| names.contains(&plugin.artifact.as_str()) && plugin.executions.iter().any(leaves);
        let Some(plugin) = module.plugins.iter().find(fits) else { continue };
        let why = facts::text(row, "why").unwrap_or_default();
        for property in facts::texts(row, "skip") {
            let name = property.split('=').next().unwrap_or(property);
            if poms.invocation.properties.contains_key(name) {
                continue;
            }
            let value = if property.contains('=') { format!("-D{property}") } else { format!("-D{property}=true") };
            let origin = plugin.element.origin(format!("{} {why}", plugin.artifact));
            found.push(Decision { key: "toolchain.args".into(), value: value.into(), origin, rejected: Vec::new() });
        }
    }
    found
}

/// The plugin of `[[facts.fetching_plugins]]` that fetches by itself, so that Maven's cache does not make the build whole.
pub(super) fn fetches(poms: &Poms<'_>, module: &Effective) -> bool {
    let known = facts::list(poms.facts, "fetching_plugins");
    module.plugins.iter().any(|plugin| known.contains(&plugin.artifact.as_str()) && !plugin.executions.is_empty())
}

/// Repositories by plain HTTP, which Maven blocks since 3.8.1.
pub(super) fn plain_http(module: &Effective) -> Vec<Warning> {
    let places = ["repositories/repository/url", "pluginRepositories/pluginRepository/url"];
    let poms = module.lineage.iter().filter(|pom| pom.in_tree);
    let urls = poms.flat_map(|pom| places.iter().flat_map(|place| pom.project.all(place)));
    let local = |url: &str| ["http://localhost", "http://127.0.0.1"].iter().any(|local| url.starts_with(local));
    let blocked = urls.filter(|url| url.text.starts_with("http://") && !local(&url.text));
    blocked
        .map(|url| {
            let message = format!("Maven asks no repository by plain HTTP: `{}` is passed over", url.text);
            let hint = "write `https://`, or let the operator's Maven settings name a mirror for it";
            Warning::new("repository_blocked", message, hint).at(&url.document.name, Some(url.line))
        })
        .collect()
}
