//! Lock files: what their tools would install, read here and obeyed to the hash.

mod flat;
mod graph;
mod pdm;
mod poetry;
mod requirements;
mod uv;

#[cfg(test)]
mod tests;

use super::marker::{Environment, Releases};
use super::pyproject::Pyproject;
use super::text::{inside, manifest};
use crate::model::failure::{Failure, FailureCode, Warning};
use crate::model::source_tree::{SourceTree, parent};

/// The lock files, each with the table of `pyproject.toml` or the file by which its tool is told.
pub(super) const FILES: [&str; 5] = ["uv.lock", "poetry.lock", "pdm.lock", "pylock.toml", "Pipfile.lock"];

/// One locked distribution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Locked {
    /// Normalised.
    pub(super) name: String,
    pub(super) version: String,
    pub(super) from: Source,
    /// `sha256:…` of every file that may be installed.
    pub(super) hashes: Vec<String>,
    /// The releases of Python that it is installed on.
    pub(super) releases: Releases,
}

/// Where a locked distribution comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// The package index.
    Index,
    /// A requirement's URL: `https://…`, `git+https://…@commit`.
    Url(String),
    /// A directory of the repository, relative to its root.
    Directory(String),
}

/// What a lock says.
#[derive(Debug, Clone, Default)]
pub(super) struct Lock {
    /// Relative to the repository's root.
    pub(super) path: String,
    pub(super) distributions: Vec<Locked>,
    pub(super) warnings: Vec<Warning>,
}

/// What was asked of the lock.
pub(super) struct Asked<'a> {
    pub(super) project: Option<&'a Pyproject>,
    pub(super) extras: &'a [String],
    /// Groups of dependencies that are installed where an application is deployed.
    pub(super) production: &'a [String],
    pub(super) environment: &'a Environment,
}

/// Finds the lock of the directory's project and reads it; `None` where there is none.
///
/// # Errors
/// `manifest_invalid` for a lock that cannot be read, `source_unusable` for several that differ.
pub(super) fn read(tree: &SourceTree, directory: &str, asked: &Asked<'_>) -> Result<Option<Lock>, Failure> {
    // The root of uv's workspace need not be a project: its lock holds the members alone.
    let workspace_root = asked.project.is_none() && tree.has_file(&inside(directory, "pyproject.toml"));
    let there: Vec<String> = FILES
        .iter()
        .filter(|name| !(workspace_root && **name == "uv.lock"))
        .map(|name| inside(directory, name))
        .filter(|path| tree.has_file(path))
        .collect();
    let tool = asked.project.and_then(|project| project.lock_tool);
    let of_tool = there.iter().find(|path| Some(name(path)) == tool);
    match (&there[..], of_tool) {
        ([], _) => workspace(tree, directory, asked),
        ([only], _) => one(tree, directory, only, asked).map(Some),
        (_, Some(path)) => one(tree, directory, path, asked).map(Some),
        (several, None) => {
            let locks = several.iter().map(|path| one(tree, directory, path, asked));
            let locks = locks.collect::<Result<Vec<_>, Failure>>()?;
            let set = |lock: &Lock| {
                let mut all: Vec<_> =
                    lock.distributions.iter().map(|one| (one.name.clone(), one.version.clone())).collect();
                all.sort();
                all.dedup();
                all
            };
            if locks.windows(2).all(|pair| set(&pair[0]) == set(&pair[1])) {
                return Ok(locks.into_iter().next());
            }
            let names: Vec<_> = several.iter().map(|path| format!("`{path}`")).collect();
            let message = format!("{} lock different versions, and nothing says which counts.", names.join(" and "));
            let failure = Failure::new(FailureCode::SourceUnusable, message)
                .hint("Remove the one that is not kept up to date.")
                .candidates(several.iter().cloned());
            Err(several.iter().fold(failure, |failure, path| failure.at(path, None)))
        }
    }
}

/// The files that `read` looks at, for asking for their texts at once.
pub(super) fn files(tree: &SourceTree, directory: &str) -> Vec<String> {
    let mut files: Vec<String> = FILES.iter().map(|name| inside(directory, name)).collect();
    files.extend(workspace_lock(tree, directory));
    files
}

/// The `uv.lock` of a workspace that the directory is a member of, which lies in a directory above it.
fn workspace_lock(tree: &SourceTree, directory: &str) -> Option<String> {
    let mut at = directory;
    while !at.is_empty() {
        at = parent(at);
        let path = inside(at, "uv.lock");
        if tree.has_file(&path) {
            return Some(path);
        }
    }
    None
}

fn workspace(tree: &SourceTree, directory: &str, asked: &Asked<'_>) -> Result<Option<Lock>, Failure> {
    let Some(path) = workspace_lock(tree, directory).filter(|_| asked.project.is_some()) else { return Ok(None) };
    let Some(text) = manifest(tree, &path)? else { return Ok(None) };
    // A lock of another project above says nothing of this one.
    let lock = uv::read(&path, text, directory, asked)?.filter(|lock| !lock.distributions.is_empty());
    Ok(lock.map(|lock| Lock { path, ..lock }))
}

fn one(tree: &SourceTree, directory: &str, path: &str, asked: &Asked<'_>) -> Result<Lock, Failure> {
    let Some(text) = manifest(tree, path)? else { return Ok(Lock::default()) };
    let lock = match name(path) {
        "uv.lock" => {
            uv::read(path, text, directory, asked)?.ok_or_else(|| invalid(path, "it does not hold the project itself"))
        }
        "poetry.lock" => poetry::read(path, text, asked),
        "pdm.lock" => flat::pdm(path, text, asked),
        "pylock.toml" => flat::pylock(path, text, asked),
        _ => flat::pipfile(path, text, asked),
    }?;
    Ok(Lock { path: path.to_owned(), ..lock })
}

fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// A lock that does not say what its format wants.
fn invalid(path: &str, why: &str) -> Failure {
    let message = format!("`{path}` cannot be obeyed: {why}.");
    Failure::new(FailureCode::ManifestInvalid, message).hint("Write the lock again with its own tool.").at(path, None)
}

impl Lock {
    /// The locked distributions as requirements with their hashes, and those that pip cannot check by a hash.
    pub(super) fn requirements(&self) -> (String, String) {
        requirements::texts(self)
    }

    /// The requirements that its distributions are, for looking for frameworks among them.
    pub(super) fn list(&self) -> Vec<super::requirement::Requirement> {
        requirements::list(self)
    }
}
