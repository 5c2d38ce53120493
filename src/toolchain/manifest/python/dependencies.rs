//! Which manifest says what is installed, and how it is installed.

use serde_json::{Value, json};

use super::pyproject::{self, Pyproject};
use super::requirement::Requirement;
use super::requirements;
use super::text::{below, inside};
use crate::model::failure::{Failure, FailureCode, Warning};
use crate::model::origin::{Decision, Origin, Rejected};
use crate::model::source_tree::SourceTree;

/// Requirements files in the order of preference, relative to the application's directory.
pub(super) const FILES: [&str; 5] = [
    "requirements.txt",
    "requirements/requirements.txt",
    "requirements/production.txt",
    "requirements/prod.txt",
    "requirements/base.txt",
];

/// What is installed and how.
#[derive(Debug, Clone, Default)]
pub(super) struct Dependencies {
    /// `requirements`, `project`, `dependencies` (a list without a package) or `none`.
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
}

/// Reads the manifest that counts.
///
/// # Errors
/// `manifest_invalid` for one that cannot be read, `source_unusable` where only a lock or a misspelt file is there.
pub(super) fn read(tree: &SourceTree, directory: &str) -> Result<(Dependencies, Option<Pyproject>), Failure> {
    let pyproject_path = inside(directory, "pyproject.toml");
    let pyproject = pyproject::read(tree, &pyproject_path)?;
    let project = pyproject.as_ref().filter(|found| found.project.is_some());
    let there: Vec<&str> = FILES.into_iter().filter(|name| tree.has_file(&inside(directory, name))).collect();
    let mut found = if let Some((first, others)) = there.split_first() {
        from_requirements(tree, directory, first, others, project)?
    } else if let Some(project) = project {
        from_project(tree, directory, &pyproject_path, project)
    } else if let Some(setup) =
        ["setup.py", "setup.cfg"].into_iter().find(|name| tree.has_file(&inside(directory, name)))
    {
        let origin = Origin::tree(inside(directory, setup), "setuptools");
        let decision = Decision { key: "install".into(), value: json!("project"), origin, rejected: Vec::new() };
        Dependencies {
            install: "project",
            incomplete: true,
            editable: true,
            decisions: vec![decision],
            ..Dependencies::default()
        }
    } else {
        nothing_installable(tree, directory)?;
        // A script without any manifest may import what it likes; the image holds Python alone.
        Dependencies { install: "none", ..Dependencies::default() }
    };
    found.warnings.extend(pyproject.iter().flat_map(|p| p.warnings.iter().cloned()).filter(|_| there.is_empty()));
    Ok((found, pyproject))
}

fn from_requirements(
    tree: &SourceTree,
    directory: &str,
    first: &str,
    others: &[&str],
    project: Option<&Pyproject>,
) -> Result<Dependencies, Failure> {
    let path = inside(directory, first);
    let read = requirements::read(tree, &path)?;
    let mut rejected: Vec<Rejected> = others
        .iter()
        .map(|other| inside(directory, other))
        .filter(|other| !read.files.contains(other))
        .map(|other| lost(json!(below(directory, &other)), Origin::tree(other.clone(), "requirements file"), first))
        .collect();
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
    let decision = Decision {
        key: "install".into(),
        value: json!(first),
        origin: Origin::tree(path, "requirements file"),
        rejected,
    };
    Ok(Dependencies {
        install: "requirements",
        files: vec![first.to_owned()],
        inputs: read.files,
        list,
        incomplete,
        editable: read.local.is_some(),
        package,
        decisions: vec![decision],
        warnings: read.warnings,
    })
}

fn lost(value: Value, origin: Origin, winner: &str) -> Rejected {
    Rejected { value, origin, why: format!("`{winner}` is there, and its form is what pip installs") }
}

fn from_project(tree: &SourceTree, directory: &str, path: &str, project: &Pyproject) -> Dependencies {
    let install = if project.packaged { "project" } else { "dependencies" };
    let origin = project.project.clone().unwrap_or_else(|| Origin::tree(path, "project"));
    let locks = ["uv.lock", "poetry.lock", "pdm.lock", "Pipfile.lock"];
    let lock = locks.into_iter().find(|name| tree.has_file(&inside(directory, name)));
    let warnings = lock.map(|name| {
        let message =
            format!("`{name}` is not obeyed: the newest versions that `pyproject.toml` allows are installed.");
        Warning::new("lock_not_obeyed", message, format!("Commit what `{}` writes.", export(name)))
            .at(inside(directory, name), None)
    });
    Dependencies {
        install,
        inputs: vec![path.to_owned()],
        list: project.dependencies.clone(),
        incomplete: project.dynamic,
        editable: project.packaged,
        decisions: vec![Decision { key: "install".into(), value: json!(install), origin, rejected: Vec::new() }],
        warnings: warnings.into_iter().collect(),
        ..Dependencies::default()
    }
}

/// The command that writes a lock in the form that pip installs.
fn export(lock: &str) -> &'static str {
    match lock {
        "uv.lock" => "uv export --format requirements-txt --no-dev --no-emit-project --output-file requirements.txt",
        "poetry.lock" => "poetry export --format requirements.txt --output requirements.txt",
        "pdm.lock" => "pdm export --prod --format requirements --output requirements.txt",
        _ => "pipenv requirements > requirements.txt",
    }
}

/// Fails where a manifest is there that cannot be installed from.
fn nothing_installable(tree: &SourceTree, directory: &str) -> Result<(), Failure> {
    let unusable = |name: &str, message: String, hint: String| {
        Err(Failure::new(FailureCode::SourceUnusable, message).hint(hint).at(inside(directory, name), None))
    };
    for name in ["Pipfile.lock", "Pipfile", "poetry.lock", "uv.lock", "pdm.lock"] {
        if tree.has_file(&inside(directory, name)) {
            return unusable(
                name,
                format!(
                    "`{}` is the only list of dependencies, and pip cannot install from it.",
                    inside(directory, name)
                ),
                format!("Run `{}` and commit the file.", export(name)),
            );
        }
    }
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
