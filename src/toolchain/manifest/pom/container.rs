//! A war that needs a servlet container: which one, and at which path it answers.

use super::effective::Effective;
use super::facts;
use super::poms::Poms;
use super::xml::Element;
use crate::model::failure::{Failure, Warning};
use crate::model::origin::{Found, Origin};
use crate::model::source_tree::join;
use crate::toolchain::version::Version;

/// A servlet container of `[[facts.servlet_containers]]`.
#[derive(Debug)]
pub(super) struct Container {
    pub(super) name: String,
    /// Its Maven coordinates.
    pub(super) artifact: String,
    /// The oldest JDK that it runs on.
    pub(super) minimum: Option<Version>,
    /// What of the module tells its generation.
    pub(super) origin: Origin,
}

/// The newest generation that the dependencies ask for; else the one of the deployment descriptor's name space, of what
/// the sources import, or the oldest.
///
/// # Errors
/// `manifest_invalid` for circular properties.
pub(super) fn choose(poms: &Poms<'_>, module: &Effective) -> Result<Option<Container>, Failure> {
    let rows: Vec<_> = facts::rows(poms.facts, "servlet_containers").collect();
    let made = |row: &toml::Value, origin: Origin| {
        let text = |key: &str| facts::text(row, key).unwrap_or_default().to_owned();
        let minimum = facts::text(row, "minimum").and_then(|text| text.parse().ok());
        Container { name: text("name"), artifact: text("artifact"), minimum, origin }
    };
    for row in rows.iter().rev() {
        let patterns = facts::texts(row, "dependencies");
        let parents = module.lineage.iter().filter_map(|pom| pom.project.child("parent"));
        for dependency in module.dependencies.iter().chain(&module.managed).chain(parents) {
            let text = |key: &str| module.expand(dependency.text_of(key).unwrap_or_default());
            let (group, artifact) = (text("groupId")?, text("artifactId")?);
            let version = module.version_of(dependency, &group, &artifact)?;
            if patterns.iter().any(|pattern| facts::matches(pattern, &group, &artifact, &version)) {
                return Ok(Some(made(row, dependency.origin(format!("{group}:{artifact} {version}")))));
            }
        }
    }
    let descriptor = join(&module.pom.directory, "src/main/webapp/WEB-INF/web.xml").unwrap_or_default();
    let imports = sources(poms, &module.pom.directory);
    for row in rows.iter().rev() {
        let spaces = facts::texts(row, "name_spaces");
        if let Some(text) = poms.tree.text(&descriptor)
            && let Some((line, _)) =
                (1u32..).zip(text.lines()).find(|(_, line)| spaces.iter().any(|space| line.contains(space)))
        {
            return Ok(Some(made(row, Origin::file(&descriptor, Some(line), "its name space"))));
        }
        let packages = facts::texts(row, "packages");
        if let Some((path, line, package)) =
            imports.iter().find(|(_, _, import)| packages.iter().any(|package| import.starts_with(package)))
        {
            return Ok(Some(made(row, Origin::file(path, Some(*line), format!("imports {package}")))));
        }
    }
    Ok(rows.first().map(|row| made(row, Origin::default("nothing tells the servlet generation"))))
}

/// A warning where the sources import what no servlet container has (`application_server_packages`), or parts of the platform
/// that the poms only compile against (`platform_parts`) and nothing that is built brings along.
///
/// # Errors
/// `manifest_invalid` for circular properties.
pub(super) fn beyond(poms: &Poms<'_>, module: &Effective, closure: &[&Effective]) -> Result<Option<Warning>, Failure> {
    let mut packages = facts::list(poms.facts, "application_server_packages");
    if module.depends_on(&facts::list(poms.facts, "platform_interfaces"))?.is_some() {
        for row in facts::rows(poms.facts, "platform_parts") {
            let groups = facts::texts(row, "implementations");
            let brings = |one: &&Effective| one.open || one.dependencies.iter().any(|used| brings(used, &groups));
            if !closure.iter().any(brings) {
                packages.extend(facts::texts(row, "packages"));
            }
        }
    }
    let imports = sources(poms, &module.pom.directory);
    let imported = imports.iter().find(|(_, _, import)| packages.iter().any(|package| import.starts_with(package)));
    Ok(imported.map(needs_application_server))
}

/// Whether a dependency that goes into the war is of one of some groups, or of one below it.
fn brings(dependency: &Element, groups: &[&str]) -> bool {
    let group = dependency.text_of("groupId").unwrap_or_default();
    let inside = |one: &&str| group.strip_prefix(*one).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    !matches!(dependency.text_of("scope"), Some("provided" | "test")) && groups.iter().any(inside)
}

fn needs_application_server((path, line, package): &(String, u32, String)) -> Warning {
    let message =
        format!("the sources import `{package}`, which an application server has and a servlet container has not");
    let hint = "if the war does not bring an implementation, choose the repository's own Dockerfile on such a server: \
                `[toolchain]` `name = \"dockerfile\"` in `slipway.toml`";
    Warning::new("needs_application_server", message, hint).at(path, Some(*line))
}

/// Imports of the module's sources.
fn sources(poms: &Poms<'_>, directory: &str) -> Vec<(String, u32, String)> {
    let root = join(directory, "src/main/java").unwrap_or_default();
    let files = poms.tree.below(&root).map(|(path, _)| path);
    let files: Vec<&str> = files
        .filter(|path| path.rsplit_once('.').is_some_and(|(_, extension)| extension == "java"))
        .take(2000)
        .collect();
    // Every text is asked for in one go.
    let texts: Vec<_> = files.into_iter().filter_map(|path| Some((path, poms.tree.text(path)?))).collect();
    let lines = texts
        .into_iter()
        .flat_map(|(path, text)| text.lines().zip(1u32..).map(move |(line, number)| (path, number, line)));
    lines
        .filter_map(|(path, number, line)| {
            let package =
                line.trim().strip_prefix("import ")?.trim_end_matches(';').trim_start_matches("static ").trim();
            Some((path.to_owned(), number, package.to_owned()))
        })
        .collect()
}

/// The path that a plugin of `[[facts.context_paths]]` serves the application at, without slashes around it.
///
/// # Errors
/// `manifest_invalid` for circular properties.
pub(super) fn context_root(poms: &Poms<'_>, module: &Effective) -> Result<Option<Found<String>>, Failure> {
    for row in facts::rows(poms.facts, "context_paths") {
        let (name, path) =
            (facts::text(row, "plugin").unwrap_or_default(), facts::text(row, "path").unwrap_or_default());
        for plugin in module.plugins.iter().filter(|plugin| plugin.artifact == name) {
            for configuration in plugin.configurations() {
                for element in configuration.all(path) {
                    let found = module.value(element, &format!("{name}: {path}"))?;
                    let found = found.map(|found| Found::new(found.value.trim_matches('/').to_owned(), found.origin));
                    if let Some(found) = found.filter(|found| is_path(&found.value)) {
                        return Ok(Some(found));
                    }
                }
            }
        }
    }
    Ok(None)
}

/// Letters, digits and a few signs, no steps up: it becomes a directory's name.
fn is_path(path: &str) -> bool {
    path.len() < 100
        && path.split('/').all(|part| !matches!(part, "." | ".."))
        && path.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.'))
}
