//! Reads `pyproject.toml`: PEP 621's `[project]`, Poetry's own table, and what builds the project.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::declared::Declared;
use super::package;
use super::requirement::{Requirement, normalise};
use super::specifier;
use super::text::{Lines, manifest};
use crate::model::failure::{Failure, FailureCode, Warning};
use crate::model::origin::{Found, Origin};
use crate::model::source_tree::{SourceTree, parent};
use crate::model::written;
use crate::toolchain::version::Demand;

/// What a `pyproject.toml` says.
#[derive(Debug, Clone, Default)]
pub(super) struct Pyproject {
    /// Whether it describes a project at all, and not only a linter's settings.
    pub(super) project: Option<Origin>,
    /// Whether Poetry's own table holds the dependencies.
    pub(super) poetry: bool,
    /// The project's dependencies, development ones left out.
    pub(super) dependencies: Vec<Requirement>,
    /// Its name.
    pub(super) name: String,
    /// The commands that it installs.
    pub(super) scripts: Vec<Found<String>>,
    /// What the commands call, by their names: `shop.cli:main`.
    pub(super) targets: BTreeMap<String, String>,
    /// What installing it adds to other distributions.
    pub(super) additions: Vec<Declared>,
    /// What extras bring, by their normalised names.
    pub(super) extras: BTreeMap<String, Vec<Requirement>>,
    /// The lock that the project's tool writes: `uv.lock` for `[tool.uv]`.
    pub(super) lock_tool: Option<&'static str>,
    /// Whether the dependencies are computed while the project is built (`dynamic`).
    pub(super) dynamic: bool,
    /// Whether the project is a package that pip can build.
    pub(super) packaged: bool,
    /// What is demanded of Python.
    pub(super) versions: Vec<Found<Demand>>,
    /// What people should know.
    pub(super) warnings: Vec<Warning>,
}

/// Reads the file at `path`; `None` when it is not there. Groups that are `installed` count whatever they are called.
///
/// # Errors
/// `manifest_invalid` at the line that TOML, PEP 508 or PEP 440 does not allow.
pub(super) fn read(
    tree: &SourceTree,
    path: &str,
    facts: &toml::Table,
    installed: &[String],
) -> Result<Option<Pyproject>, Failure> {
    let Some(text) = manifest(tree, path)? else { return Ok(None) };
    let root = parse(path, text)?;
    let file = File { path, text, lines: Lines::of(text) };
    let mut found = Pyproject { packaged: package::is_package(&root, tree, parent(path)), ..Pyproject::default() };
    if let Some(project) = root.get("project") {
        file.project(project, &mut found)?;
    }
    let tool = root.get("tool").map(Spanned::get_ref);
    let table = |name: &str| tool.and_then(|tool| tool.get(name));
    if let Some(poetry) = table("poetry") {
        let groups = (&super::groups::development(facts)[..], installed);
        file.poetry(poetry, groups, &mut found)?;
    }
    if found.project.is_none()
        && let Some(groups) = root.get("dependency-groups")
    {
        let production = [&super::groups::production(facts)[..], installed].concat();
        file.groups(groups, &production, &mut found)?;
    }
    let tools = [("uv", "uv.lock"), ("poetry", "poetry.lock"), ("pdm", "pdm.lock")];
    found.lock_tool = tools.into_iter().find(|(name, _)| table(name).is_some()).map(|(_, lock)| lock);
    Ok(Some(found))
}

/// Parses TOML, with the failure at its line.
///
/// # Errors
/// `manifest_invalid`.
pub(super) fn parse<'a>(path: &str, text: &'a str) -> Result<DeTable<'a>, Failure> {
    DeTable::parse(text).map(Spanned::into_inner).map_err(|error| {
        let message = format!("`{path}` is not valid TOML: {}.", error.message().trim_end_matches('.'));
        let wrong = written::wrong(text, message, &error);
        Failure::new(FailureCode::ManifestInvalid, wrong.message).at_column(path, wrong.line, wrong.column)
    })
}

struct File<'a> {
    path: &'a str,
    text: &'a str,
    lines: Lines,
}

impl File<'_> {
    fn origin(&self, at: usize, detail: &str) -> Origin {
        Origin::file(self.path, Some(self.lines.line(at)), detail)
    }

    fn invalid(&self, at: usize, message: String) -> Failure {
        let column = self.lines.column(self.text, at);
        Failure::new(FailureCode::ManifestInvalid, message).at_column(self.path, Some(self.lines.line(at)), column)
    }

    fn project(&self, project: &Spanned<DeValue<'_>>, found: &mut Pyproject) -> Result<(), Failure> {
        found.project = Some(self.origin(project.span().start, "[project]"));
        let table = project.get_ref();
        let dynamic = table.get("dynamic").and_then(|list| list.get_ref().as_array());
        found.dynamic = dynamic.is_some_and(|list| list.iter().any(|e| e.get_ref().as_str() == Some("dependencies")));
        if let Some(list) = table.get("dependencies") {
            found.dependencies.extend(self.requirements("project.dependencies", list.get_ref())?);
        }
        if let Some(name) = table.get("name").and_then(|name| name.get_ref().as_str()) {
            name.clone_into(&mut found.name);
        }
        self.scripts("project.scripts", table.get("scripts"), found);
        self.additions("project.entry-points", table.get("entry-points"), found);
        let optional = table.get("optional-dependencies").and_then(|table| table.get_ref().as_table());
        for (extra, list) in optional.into_iter().flatten() {
            let list = self.requirements("project.optional-dependencies", list.get_ref())?;
            found.extras.insert(normalise(extra.get_ref()), list);
        }
        if let Some(python) = table.get("requires-python") {
            self.python("project.requires-python", python, specifier::pep440, found)?;
        }
        Ok(())
    }

    fn scripts(&self, key: &str, table: Option<&Spanned<DeValue<'_>>>, found: &mut Pyproject) {
        let table = table.and_then(|table| table.get_ref().as_table());
        let named = |name: &Spanned<std::borrow::Cow<'_, str>>| {
            Found::new(name.get_ref().to_string(), self.origin(name.span().start, key))
        };
        for (name, value) in table.into_iter().flatten() {
            found.scripts.push(named(name));
            let target = value.get_ref().as_str().map(|target| (name.get_ref().to_string(), target.to_owned()));
            found.targets.extend(target);
        }
    }

    /// A table of each group of entry points, by the names in it.
    fn additions(&self, key: &str, groups: Option<&Spanned<DeValue<'_>>>, found: &mut Pyproject) {
        for (group, names) in groups.and_then(|groups| groups.get_ref().as_table()).into_iter().flatten() {
            for (name, value) in names.get_ref().as_table().into_iter().flatten() {
                let target = value.get_ref().as_str().unwrap_or_default().to_owned();
                let name = Found::new(name.get_ref().to_string(), self.origin(name.span().start, key));
                found.additions.push(Declared { group: group.get_ref().to_string(), name, target });
            }
        }
    }

    fn requirements(&self, key: &str, list: &DeValue<'_>) -> Result<Vec<Requirement>, Failure> {
        let read = |entry: &Spanned<DeValue<'_>>| {
            let at = entry.span().start;
            let text = entry.get_ref().as_str().unwrap_or_default();
            Requirement::parse(text, self.origin(at, key)).ok_or_else(|| {
                let shown: String = text.chars().take(80).collect();
                self.invalid(at, format!("`{}`: `{key}` holds `{shown}`, which PEP 508 does not allow.", self.path))
            })
        };
        list.as_array().into_iter().flatten().map(read).collect()
    }

    /// PEP 735: without `[project]` the groups that are for production hold what the application needs.
    fn groups(
        &self,
        groups: &Spanned<DeValue<'_>>,
        production: &[String],
        found: &mut Pyproject,
    ) -> Result<(), Failure> {
        for (name, list) in groups.get_ref().as_table().into_iter().flatten() {
            let name = name.get_ref().as_ref();
            if name == "main" || production.iter().any(|known| known == name) {
                found.project.get_or_insert(self.origin(groups.span().start, "[dependency-groups]"));
                let list = list.get_ref().as_array().into_iter().flatten();
                // Other entries include a group (`{include-group = …}`).
                for entry in list.filter(|entry| entry.get_ref().is_str()) {
                    let at = entry.span().start;
                    let text = entry.get_ref().as_str().unwrap_or_default();
                    let read = Requirement::parse(text, self.origin(at, "dependency-groups"));
                    found.dependencies.push(read.ok_or_else(|| {
                        let shown: String = text.chars().take(80).collect();
                        self.invalid(at, format!("`{}`: `{shown}` is no requirement (PEP 508).", self.path))
                    })?);
                }
            }
        }
        Ok(())
    }

    fn poetry(
        &self,
        poetry: &Spanned<DeValue<'_>>,
        (development, installed): (&[String], &[String]),
        found: &mut Pyproject,
    ) -> Result<(), Failure> {
        let table = poetry.get_ref();
        let with_project = found.project.is_some();
        self.scripts("tool.poetry.scripts", table.get("scripts"), found);
        self.additions("tool.poetry.plugins", table.get("plugins"), found);
        if let Some(name) = table.get("name").and_then(|name| name.get_ref().as_str()) {
            name.clone_into(&mut found.name);
        }
        let groups = table.get("group").and_then(|groups| groups.get_ref().as_table());
        for (name, group) in groups.into_iter().flatten() {
            let optional = group.get_ref().get("optional").and_then(|optional| optional.get_ref().as_bool());
            let list = group.get_ref().get("dependencies").and_then(|table| table.get_ref().as_table());
            let is = |list: &[String]| list.iter().any(|known| known == name.get_ref().as_ref());
            if (optional == Some(true) || is(development)) && !is(installed) {
                continue;
            }
            for (key, value) in list.into_iter().flatten() {
                self.poetry_dependency(key.span().start, key.get_ref(), value.get_ref(), found)?;
            }
        }
        let Some(dependencies) = table.get("dependencies").and_then(|table| table.get_ref().as_table()) else {
            return Ok(());
        };
        found.project.get_or_insert(self.origin(poetry.span().start, "[tool.poetry]"));
        for (key, value) in dependencies {
            let name = key.get_ref().as_ref();
            if name == "python" {
                self.python("tool.poetry.dependencies.python", value, specifier::poetry, found)?;
            } else if !with_project {
                // With `[project]` the table only says where Poetry fetches its dependencies from.
                found.poetry = true;
                self.poetry_dependency(key.span().start, name, value.get_ref(), found)?;
            }
        }
        found.poetry |= !with_project;
        Ok(())
    }

    fn poetry_dependency(
        &self,
        at: usize,
        name: &str,
        value: &DeValue<'_>,
        found: &mut Pyproject,
    ) -> Result<(), Failure> {
        let field = |key: &str| value.get(key).and_then(|value| value.get_ref().as_str());
        if value.get("optional").and_then(|optional| optional.get_ref().as_bool()) == Some(true) {
            return Ok(());
        }
        let extras = value.get("extras").and_then(|extras| extras.get_ref().as_array());
        let extras: Vec<&str> = extras.into_iter().flatten().filter_map(|extra| extra.get_ref().as_str()).collect();
        let mut text = name.to_owned();
        if !extras.is_empty() {
            text = format!("{text}[{}]", extras.join(","));
        }
        if let Some(url) = field("git") {
            let revision =
                field("rev").or(field("tag")).or(field("branch")).map(|r| format!("@{r}")).unwrap_or_default();
            text = format!("{text} @ git+{url}{revision}");
        } else if let Some(url) = field("url") {
            text = format!("{text} @ {url}");
        } else if let Some(version) = value.as_str().or(field("version")) {
            match specifier::poetry_as_pep440(version) {
                Some(clauses) => text.push_str(&clauses),
                None => found.warnings.push(self.unpinned(at, name)),
            }
        } else {
            // A path, or a list of constraints for several systems: only Poetry itself can say.
            found.warnings.push(self.unpinned(at, name));
        }
        if let Some(markers) = field("markers") {
            text = format!("{text} ; {markers}");
        }
        let origin = self.origin(at, "tool.poetry.dependencies");
        let requirement = Requirement::parse(&text, origin).ok_or_else(|| {
            let shown: String = name.chars().take(80).collect();
            self.invalid(
                at,
                format!("`{}`: `tool.poetry.dependencies` holds `{shown}`, which cannot be read.", self.path),
            )
        })?;
        found.dependencies.push(requirement);
        Ok(())
    }

    fn unpinned(&self, at: usize, name: &str) -> Warning {
        let message =
            format!("The constraint of `{name}` in `{}` can only be read by Poetry; any version is taken.", self.path);
        let hint = "Export the lock: `poetry export --format requirements.txt --output requirements.txt`.";
        Warning::new("requirement_unpinned", message, hint).at(self.path, Some(self.lines.line(at)))
    }

    fn python(
        &self,
        key: &str,
        value: &Spanned<DeValue<'_>>,
        read: fn(&str) -> Option<Vec<Demand>>,
        found: &mut Pyproject,
    ) -> Result<(), Failure> {
        let at = value.span().start;
        let text = value.get_ref().as_str().or_else(|| value.get_ref().get("version")?.get_ref().as_str());
        let demands = text.and_then(read).ok_or_else(|| {
            let shown: String = text.unwrap_or_default().chars().take(80).collect();
            self.invalid(at, format!("`{}`: `{key}` is `{shown}`, which is no version specifier.", self.path))
                .hint("Write it as PEP 440 says, for example `>=3.11,<4`.")
        })?;
        found.versions.extend(demands.into_iter().map(|demand| Found::new(demand, self.origin(at, key))));
        Ok(())
    }
}
