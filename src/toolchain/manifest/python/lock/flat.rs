//! Locks that list what is installed with a marker each: `Pipfile.lock`, `pdm.lock` and `pylock.toml` (PEP 751).

use serde_json::Value;
use toml::Spanned;
use toml::de::DeValue;

use super::{Asked, Lock, Locked, Releases, Source, invalid};
use crate::model::failure::Failure;
use crate::model::source_tree::{join, parent};
use crate::toolchain::manifest::python::pyproject;
use crate::toolchain::manifest::python::requirement::normalise;

/// The `default` packages of a `Pipfile.lock`.
///
/// # Errors
/// `manifest_invalid`.
pub(super) fn pipfile(path: &str, text: &str, asked: &Asked<'_>) -> Result<Lock, Failure> {
    let root: Value = serde_json::from_str(text).map_err(|error| {
        let mut failure = invalid(path, "it is no JSON");
        failure
            .places
            .iter_mut()
            .for_each(|place| place.line = u32::try_from(error.line().min(text.lines().count())).ok());
        failure
    })?;
    let packages =
        root.get("default").and_then(Value::as_object).ok_or_else(|| invalid(path, "it has no `default`"))?;
    let mut distributions = Vec::new();
    for (name, package) in packages {
        let field = |key: &str| package.get(key).and_then(Value::as_str);
        let from = if let Some(git) = field("git") {
            let commit = field("ref").ok_or_else(|| invalid(path, "a Git source names no commit"))?;
            let fragment = field("subdirectory").map(|below| format!("#subdirectory={below}")).unwrap_or_default();
            let prefix = if git.starts_with("git+") { "" } else { "git+" };
            Source::Url(format!("{prefix}{git}@{commit}{fragment}"))
        } else if let Some(url) = field("file") {
            Source::Url(url.to_owned())
        } else if let Some(directory) = field("path") {
            local(path, directory)?
        } else {
            Source::Index
        };
        let hashes = package.get("hashes").and_then(Value::as_array).into_iter().flatten();
        distributions.push(Locked {
            name: normalise(name),
            version: field("version").unwrap_or_default().trim_start_matches('=').to_owned(),
            hashes: match from {
                Source::Index => hashes.filter_map(|hash| hash.as_str().map(str::to_owned)).collect(),
                _ => Vec::new(),
            },
            from,
            releases: holds(field("markers"), asked),
        });
    }
    Ok(finished(distributions))
}

/// The packages of a `pdm.lock` that its default group and the groups for production hold.
///
/// # Errors
/// `manifest_invalid`.
pub(super) fn pdm(path: &str, text: &str, asked: &Asked<'_>) -> Result<Lock, Failure> {
    let root = pyproject::parse(path, text)?;
    let packages = root.get("package").and_then(|list| list.get_ref().as_array());
    if packages.into_iter().flatten().any(|package| package.get_ref().get("groups").is_none()) {
        return super::pdm::read(path, &root, asked);
    }
    let mut distributions: Vec<Locked> = Vec::new();
    for package in packages.into_iter().flatten().map(Spanned::get_ref) {
        let groups = package.get("groups").and_then(|list| list.get_ref().as_array());
        let installed = |group: &str| {
            group == "default" || [asked.production, asked.extras].concat().iter().any(|known| known == group)
        };
        let groups: Option<Vec<&str>> =
            groups.map(|list| list.iter().filter_map(|group| group.get_ref().as_str()).collect());
        if !groups.into_iter().flatten().any(installed) {
            continue;
        }
        let name = normalise(text_of(package, "name").ok_or_else(|| invalid(path, "a package has no name"))?);
        let version = text_of(package, "version").unwrap_or_default().to_owned();
        // An entry with extras repeats the distribution; what the extras bring has entries of its own.
        if distributions.iter().any(|known| known.name == name && known.version == version) {
            continue;
        }
        let from = source_of(path, package)?;
        let hashes = hashes(package.get("files").map(Spanned::get_ref));
        distributions.push(Locked {
            name,
            version,
            hashes: if from == Source::Index { hashes } else { Vec::new() },
            from,
            releases: holds(text_of(package, "marker"), asked),
        });
    }
    Ok(finished(distributions))
}

/// The packages of a `pylock.toml`.
///
/// # Errors
/// `manifest_invalid`.
pub(super) fn pylock(path: &str, text: &str, asked: &Asked<'_>) -> Result<Lock, Failure> {
    let root = pyproject::parse(path, text)?;
    let packages = root.get("packages").and_then(|list| list.get_ref().as_array());
    let mut distributions = Vec::new();
    for package in packages.into_iter().flatten().map(Spanned::get_ref) {
        let name = normalise(text_of(package, "name").ok_or_else(|| invalid(path, "a package has no name"))?);
        let nested = |table: &str, key: &str| package.get(table).and_then(|table| text_of(table.get_ref(), key));
        let from = if let (Some(url), Some(commit)) = (nested("vcs", "url"), nested("vcs", "commit-id")) {
            Source::Url(format!("git+{url}@{commit}"))
        } else if let Some(url) = nested("archive", "url") {
            Source::Url(url.to_owned())
        } else if let Some(directory) = nested("directory", "path") {
            local(path, directory)?
        } else {
            Source::Index
        };
        let sha256 = |file: &DeValue<'_>| {
            file.get("hashes")
                .and_then(|hashes| text_of(hashes.get_ref(), "sha256"))
                .map(|hash| format!("sha256:{hash}"))
        };
        let wheels = package.get("wheels").and_then(|list| list.get_ref().as_array()).into_iter().flatten();
        let hashes = wheels.chain(package.get("sdist")).filter_map(|file| sha256(file.get_ref()));
        distributions.push(Locked {
            name,
            version: text_of(package, "version").unwrap_or_default().to_owned(),
            hashes: if from == Source::Index { hashes.collect() } else { Vec::new() },
            from,
            releases: holds(text_of(package, "marker"), asked),
        });
    }
    Ok(finished(distributions))
}

fn finished(mut distributions: Vec<Locked>) -> Lock {
    distributions.retain(|one| !one.releases.is_empty());
    distributions.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
    Lock { distributions, ..Lock::default() }
}

fn holds(marker: Option<&str>, asked: &Asked<'_>) -> Releases {
    marker.map_or(Releases::ALL, |marker| asked.environment.holds(marker, &[]).unwrap_or(Releases::ALL))
}

/// Where a package of a `pdm.lock` comes from.
pub(super) fn source_of(path: &str, package: &DeValue<'_>) -> Result<Source, Failure> {
    if let Some(git) = text_of(package, "git") {
        let commit = text_of(package, "revision").ok_or_else(|| invalid(path, "a Git source names no commit"))?;
        return Ok(Source::Url(format!("git+{git}@{commit}")));
    }
    match (text_of(package, "url"), text_of(package, "path")) {
        (Some(url), _) => Ok(Source::Url(url.to_owned())),
        (None, Some(directory)) => local(path, directory),
        (None, None) => Ok(Source::Index),
    }
}

fn local(path: &str, directory: &str) -> Result<Source, Failure> {
    let inside = join(parent(path), directory).ok_or_else(|| invalid(path, "a source lies outside the repository"))?;
    Ok(Source::Directory(inside))
}

pub(super) fn hashes(files: Option<&DeValue<'_>>) -> Vec<String> {
    let files = files.and_then(DeValue::as_array).into_iter().flatten();
    files.filter_map(|file| text_of(file.get_ref(), "hash").map(str::to_owned)).collect()
}

pub(super) fn text_of<'a>(value: &'a DeValue<'_>, key: &str) -> Option<&'a str> {
    value.get(key).and_then(|value| value.get_ref().as_str())
}
