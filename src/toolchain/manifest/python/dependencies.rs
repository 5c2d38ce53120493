//! Which manifest says what is installed, and how it is installed.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::beside;
use super::declared::{self, Declared};
use super::extras;
use super::groups;
use super::install;
use super::lock::{self, Lock};
use super::marker::Environment;
use super::pipfile;
use super::pyproject::{self, Pyproject};
use super::requirement::Requirement;
use super::requirements;
use super::setuptools;
use super::text::{below, inside};
use crate::model::failure::{Failure, FailureCode, Warning};
use crate::model::origin::{Decision, Found, Origin, Rejected};
use crate::model::source_tree::SourceTree;
use crate::toolchain::findings::Inspection;

/// Requirements files in the order of preference, relative to the application's directory.
pub(super) const FILES: [&str; 5] = [
    "requirements.txt",
    "requirements/requirements.txt",
    "requirements/production.txt",
    "requirements/prod.txt",
    "requirements/base.txt",
];

/// Those of other names, where nothing else says what is installed: for production first, then what all share.
const OTHER_FILES: [&str; 9] = [
    "requirements-prod.txt",
    "requirements-production.txt",
    "requirements_prod.txt",
    "requirements.prod.txt",
    "requirements/main.txt",
    "requirements/default.txt",
    "requirements/common.txt",
    "requirements-base.txt",
    "requirements.in",
];

/// What is installed and how.
#[derive(Debug, Clone, Default)]
pub(super) struct Dependencies {
    /// `requirements`, `lock`, `project`, `dependencies` (a list without a package) or `none`.
    pub(super) install: &'static str,
    /// The files given to `pip install -r`, relative to the application's directory.
    pub(super) files: Vec<String>,
    /// These and all they include, relative to the repository's root.
    pub(super) inputs: Vec<String>,
    pub(super) list: Vec<Requirement>,
    /// Whether more may be installed than the list names.
    pub(super) incomplete: bool,
    /// Whether something of the repository itself is installed.
    pub(super) editable: bool,
    /// Whether the project's own package is installed beside the requirements, which hold its dependencies.
    pub(super) package: bool,
    /// Requirements with hashes, without these: what is added to them has none, and pip takes hashes of all or of none.
    pub(super) unhashed: String,
    /// The project's name.
    pub(super) project: String,
    /// The commands that installing the project brings, or would bring where it is not installed (`commands_installed`).
    pub(super) scripts: Vec<Found<String>>,
    /// What they call, by their names: `shop.cli:main`.
    pub(super) targets: BTreeMap<String, String>,
    /// What installing the project adds to other distributions: `celery.commands`, by its group.
    pub(super) additions: Vec<Declared>,
    /// What the Dockerfile that starts the application installs by name.
    pub(super) beside: Vec<Requirement>,
    /// The extras of the project that are installed with it.
    pub(super) extras: Vec<String>,
    /// Locked distributions with their hashes, as a requirements file.
    pub(super) locked: String,
    /// Locked distributions that no hash can check: commits and directories.
    pub(super) unlocked: String,
    pub(super) decisions: Vec<Decision>,
    pub(super) warnings: Vec<Warning>,
}

impl Dependencies {
    /// Whether a distribution is required, by its name or by an extension's: Flask's documentation asks
    /// extensions to be called `Flask-…`, Django's use the same form, and each requires its framework.
    pub(super) fn has(&self, name: &str) -> bool {
        let extension = format!("{name}-");
        let extensible = matches!(name, "flask" | "django");
        let brings = |r: &Requirement| {
            r.name == name
                || extensible && r.name.starts_with(&extension)
                || name == "django" && r.name == "djangorestframework"
                || name == "uvicorn"
                    && r.name == "fastapi"
                    && r.extras.iter().any(|extra| extra == "standard" || extra == "all")
        };
        self.list.iter().any(|r| r.applies && brings(r))
    }

    /// Like `has`, but true too when the list is not known to be all; for names an import confirms.
    pub(super) fn may_have(&self, name: &str) -> bool {
        self.incomplete || self.has(name)
    }

    /// Whether the project itself is installed, and its commands with it.
    pub(super) fn commands_installed(&self) -> bool {
        self.editable || self.package
    }
}

/// Reads the manifest that counts.
///
/// # Errors
/// `manifest_invalid` for one that cannot be read, `source_unusable` where only a lock or a misspelt file is there.
pub(super) fn read(inspection: &Inspection<'_>) -> Result<(Dependencies, Option<Pyproject>), Failure> {
    let (tree, directory) = (inspection.tree, inspection.directory);
    let pyproject_path = inside(directory, "pyproject.toml");
    let (installed, of_groups) = groups::of_dockerfile(inspection);
    let mut pyproject = pyproject::read(tree, &pyproject_path, inspection.facts, &installed)?;
    // What it depends on is only known by building it where that is computed.
    if let Some(project) = pyproject.as_mut().filter(|project| project.packaged && !project.dynamic) {
        project.packaged = !install::leaves_out_project(inspection);
    }
    let project = pyproject.as_ref().filter(|found| found.project.is_some());
    let there: Vec<&str> = FILES.into_iter().filter(|name| tree.has_file(&inside(directory, name))).collect();
    let environment = Environment::of(inspection.facts);
    let production = [groups::production(inspection.facts), installed].concat();
    let (extras, by_dockerfile) = extras::asked(inspection, project)?;
    // Its author installs the project with these extras, and not what a requirements file lists.
    let own = project.is_some_and(|project| project.packaged) && by_dockerfile.is_some();
    let there = if own && !extras::names_any(inspection, &there) { Vec::new() } else { there };
    let asked = lock::Asked { project, extras: &extras, production: &production, environment: &environment };
    let lock = if there.is_empty() { lock::read(tree, directory, &asked)? } else { None };
    let mut found = if let Some((first, others)) = there.split_first() {
        from_requirements(tree, directory, &by_its_author(inspection, first), others, project)?
    } else if let Some(lock) = lock {
        from_lock(lock, project)
    } else if let Some(file) = install::requirements(inspection) {
        from_requirements(tree, directory, &Files::one(directory, &file), &[], project)?
    } else if let Some(project) = project {
        from_project(&pyproject_path, project, &extras)
    } else if let Some(setup) =
        ["setup.py", "setup.cfg"].into_iter().find(|name| tree.has_file(&inside(directory, name)))
    {
        let origin = Origin::tree(inside(directory, setup), "setuptools");
        let decision = Decision { key: "install".into(), value: json!("project"), origin, rejected: Vec::new() };
        Dependencies {
            install: "project",
            list: setuptools::requirements(tree, directory),
            incomplete: true,
            editable: true,
            decisions: vec![decision],
            ..Dependencies::default()
        }
    } else {
        if let Some(list) = pipfile::read(tree, &inside(directory, "Pipfile"))? {
            return Ok((from_pipfile(inside(directory, "Pipfile"), list), pyproject));
        }
        let other: Vec<&str> = OTHER_FILES.into_iter().filter(|name| tree.has_file(&inside(directory, name))).collect();
        if let Some((first, others)) = other.split_first() {
            return Ok((from_requirements(tree, directory, &Files::one(directory, first), others, None)?, pyproject));
        }
        nothing_installable(tree, directory)?;
        let beside = beside::named(inspection);
        if let Some(first) = beside.first() {
            let (value, origin) = (json!("Dockerfile"), first.origin.clone());
            let decision = Decision { key: "install".into(), value, origin, rejected: Vec::new() };
            let there = Dependencies { install: "dependencies", list: beside, ..Dependencies::default() };
            return Ok((Dependencies { decisions: vec![decision], ..there }, pyproject));
        }
        // A script without any manifest may import what it likes; the image holds Python alone.
        Dependencies { install: "none", ..Dependencies::default() }
    };
    // A command is only there where the project is installed as a package: what starts by one has it installed.
    let installable = project.map_or(tree.has_file(&inside(directory, "setup.py")), |project| project.packaged);
    let installable = found.commands_installed() || found.install == "requirements" && installable;
    if let Some(project) = project.filter(|_| installable) {
        found.project.clone_from(&project.name);
        found.scripts.clone_from(&project.scripts);
        found.targets.clone_from(&project.targets);
        found.additions.clone_from(&project.additions);
    }
    found.decisions.extend(by_dockerfile.into_iter().chain(of_groups).filter(|_| there.is_empty()));
    found.extras = extras;
    found.beside = beside::named(inspection);
    if installable {
        let (scripts, additions): (Vec<_>, Vec<_>) =
            declared::read(tree, directory).into_iter().partition(|one| one.group == declared::COMMANDS);
        found.targets.extend(scripts.iter().map(|one| (one.name.value.clone(), one.target.clone())));
        found.scripts.extend(scripts.into_iter().map(|one| one.name));
        found.additions.extend(additions);
        // Entry points are found by the metadata of what is installed (entry points specification): parts that the project
        // adds to itself are there where its author's Dockerfile has it installed.
        let adds = found.additions.iter().any(|one| one.group != "gui_scripts");
        found.package |= !found.editable && adds && install::installs_project(inspection);
    }
    found.warnings.extend(pyproject.iter().flat_map(|p| p.warnings.iter().cloned()).filter(|_| there.is_empty()));
    Ok((found, pyproject))
}

/// The requirements files that are installed: the one that counts, with its origin, and those beside it.
struct Files {
    first: Found<String>,
    also: Vec<Found<String>>,
}

impl Files {
    fn one(directory: &str, name: &str) -> Self {
        let origin = Origin::tree(inside(directory, name), "requirements file");
        Self { first: Found::new(name.to_owned(), origin), also: Vec::new() }
    }
}

/// The usual file, or the one that the application's own Dockerfile has under its name, with all others that it installs too.
fn by_its_author(inspection: &Inspection<'_>, usual: &str) -> Files {
    let own = Files::one(inspection.directory, usual);
    let installed = install::files(inspection);
    let name = usual.rsplit('/').next().unwrap_or_default();
    let is_first =
        |(file, called): &(Found<String>, String)| file.value == usual || called == name && !file.value.ends_with(name);
    let Some(first) = installed.iter().position(is_first) else { return own };
    let mut files: Vec<Found<String>> = installed.into_iter().map(|(file, _)| file).collect();
    let first = files.remove(first);
    let first = if first.value == usual { own.first } else { first };
    Files { first, also: files }
}

fn from_requirements(
    tree: &SourceTree,
    directory: &str,
    files: &Files,
    others: &[&str],
    project: Option<&Pyproject>,
) -> Result<Dependencies, Failure> {
    let first = files.first.value.as_str();
    let names: Vec<String> =
        std::iter::once(&files.first).chain(&files.also).map(|found| found.value.clone()).collect();
    let paths: Vec<String> = names.iter().map(|name| inside(directory, name)).collect();
    let read = requirements::read(tree, &paths)?;
    let mut rejected: Vec<Rejected> = others
        .iter()
        .map(|other| inside(directory, other))
        .filter(|other| !read.files.contains(other))
        .map(|other| lost(json!(below(directory, &other)), Origin::tree(other.clone(), "requirements file"), first))
        .collect();
    let unhashed =
        if read.hashed { read.list.iter().map(|one| one.text.clone() + "\n").collect() } else { String::new() };
    let mut list = read.list;
    let mut incomplete = read.incomplete;
    // Modules below `src/` are only found where they are installed; elsewhere the application's directory has them.
    let package = read.local.is_none()
        && tree.has_directory(&inside(directory, "src"))
        && project.map_or(tree.has_file(&inside(directory, "setup.py")), |project| project.packaged);
    if let Some(project) = project {
        if read.local.is_some() {
            list.extend(project.dependencies.iter().cloned());
            incomplete = project.dynamic || list.iter().any(|r| r.name.is_empty());
        } else if let Some(origin) = project.project.as_ref().filter(|_| !package) {
            rejected.push(lost(json!("pyproject.toml"), origin.clone(), first));
        }
    }
    let decision = |found: &Found<String>, rejected| Decision {
        key: "install".into(),
        value: json!(found.value),
        origin: found.origin.clone(),
        rejected,
    };
    let mut decisions = vec![decision(&files.first, rejected)];
    decisions.extend(files.also.iter().map(|found| decision(found, Vec::new())));
    Ok(Dependencies {
        install: "requirements",
        files: names,
        inputs: read.files,
        list,
        incomplete,
        editable: read.local.is_some(),
        package,
        unhashed,
        decisions,
        warnings: read.warnings,
        ..Dependencies::default()
    })
}

fn lost(value: Value, origin: Origin, winner: &str) -> Rejected {
    Rejected { value, origin, why: format!("`{winner}` is there, and its form is what pip installs") }
}

/// Everything is pinned by the lock, so nothing is left to resolve.
fn from_lock(lock: Lock, project: Option<&Pyproject>) -> Dependencies {
    let count = lock.distributions.len();
    let origin = Origin::tree(&lock.path, format!("{count} distribution{} locked", if count == 1 { "" } else { "s" }));
    let decision = Decision { key: "install".into(), value: json!(lock.path), origin, rejected: Vec::new() };
    let package = project.is_some_and(|project| project.packaged);
    let (locked, unlocked) = lock.requirements();
    Dependencies {
        install: "lock",
        inputs: vec![lock.path.clone()],
        list: lock.list(),
        locked,
        unlocked,
        package,
        decisions: vec![decision],
        warnings: lock.warnings,
        ..Dependencies::default()
    }
}

fn from_project(path: &str, project: &Pyproject, extras: &[String]) -> Dependencies {
    let install = if project.packaged { "project" } else { "dependencies" };
    let origin = project.project.clone().unwrap_or_else(|| Origin::tree(path, "project"));
    let mut list = project.dependencies.clone();
    list.extend(extras.iter().filter_map(|extra| project.extras.get(extra)).flatten().cloned());
    Dependencies {
        install,
        inputs: vec![path.to_owned()],
        list,
        incomplete: project.dynamic,
        editable: project.packaged,
        decisions: vec![Decision { key: "install".into(), value: json!(install), origin, rejected: Vec::new() }],
        ..Dependencies::default()
    }
}

/// What Pipenv would lock today; nobody said which versions.
fn from_pipfile(path: String, list: Vec<Requirement>) -> Dependencies {
    let origin = Origin::tree(&path, "its packages");
    let warning = Warning::new(
        "requirement_unpinned",
        format!("`{path}` has no lock beside it: two builds of the same commit may install different versions."),
        "Run `pipenv lock` and commit `Pipfile.lock`.",
    );
    Dependencies {
        install: "dependencies",
        list,
        decisions: vec![Decision { key: "install".into(), value: json!(path), origin, rejected: Vec::new() }],
        warnings: vec![warning.at(&path, None)],
        inputs: vec![path],
        ..Dependencies::default()
    }
}

/// Fails where a manifest is there that cannot be installed from.
fn nothing_installable(tree: &SourceTree, directory: &str) -> Result<(), Failure> {
    let unusable = |name: &str, message: String, hint: String| {
        Err(Failure::new(FailureCode::SourceUnusable, message).hint(hint).at(inside(directory, name), None))
    };
    for name in ["environment.yml", "environment.yaml"] {
        if tree.has_file(&inside(directory, name)) {
            return unusable(
                name,
                format!("`{}` is a Conda environment; Slipway installs with pip.", inside(directory, name)),
                "List the dependencies in `requirements.txt`.".to_owned(),
            );
        }
    }
    let misspelt = tree.files_in(directory).map(|path| below(directory, path)).find(|name| {
        let lower = name.to_ascii_lowercase();
        matches!(
            lower.as_str(),
            "requirement.txt"
                | "requirments.txt"
                | "requirements.text"
                | "requirements"
                | "requirements.txt"
                | "requirements.txt.txt"
        )
    });
    match misspelt {
        Some(name) => unusable(
            name,
            format!("`{}` looks like a requirements file with a misspelt name.", inside(directory, name)),
            "Rename it to `requirements.txt`.".to_owned(),
        ),
        None => Ok(()),
    }
}
