//! What Dockerfiles of the repository say, although none is built: the Python that they start from, what they start, with
//! which variables.

use std::collections::BTreeMap;

use super::super::dockerfile::places;
use super::super::dockerfile::says::{self, Said};
use super::layout::Sources;
use super::specifier;
use super::text::{below, inside};
use crate::model::origin::{Found, Origin};
use crate::model::source_tree::{SourceTree, join, parent};
use crate::toolchain::version::Demand;

/// Where a repository keeps them, the application's directory first.
const PLACES: &[&str] = &["", "docker", ".docker", "dockerfiles", "deploy", "deployment", "build", "src/docker"];

/// More of them beside a directory than a repository has.
const MAX_BESIDE: usize = 20;

/// The Dockerfiles of the directory: `Dockerfile` first, then `Dockerfile.prod` and its like, then those of directories
/// that usually hold them; where the directory has none, the one above it that takes files from it. A `Containerfile` is one
/// (Podman), and so is `web.Dockerfile` (the form that a `.dockerignore` beside it is named after).
pub(super) fn files(tree: &SourceTree, directory: &str) -> Vec<String> {
    let is_one = |path: &&str| {
        let name = path.rsplit('/').next().unwrap_or_default();
        name.starts_with("Dockerfile") || name == "Containerfile" || name.to_ascii_lowercase().ends_with(".dockerfile")
    };
    let found = |place: &&str| {
        let place = inside(directory, place);
        tree.files_in(&place).filter(is_one).map(str::to_owned).collect::<Vec<_>>()
    };
    let own: Vec<String> = PLACES.iter().flat_map(found).collect();
    if !own.is_empty() {
        return own;
    }
    // Beside the directory there may be one for all that are built from here (`docker/Dockerfile.web` of `backend/`).
    let above = std::iter::successors(Some(directory), |path| (!path.is_empty()).then(|| parent(path))).skip(1);
    let beside = |place: &str| {
        let relative = below(place, directory);
        let kept = PLACES[1..].iter().filter_map(|kept| join(place, kept)).filter(|kept| kept != directory);
        let files = kept.flat_map(|kept| tree.files_in(&kept).filter(is_one).map(str::to_owned).collect::<Vec<_>>());
        let taking = |path: &String| tree.text(path).is_some_and(|text| places::Taken::read(text).is_from(relative));
        files.take(MAX_BESIDE).filter(taking).collect::<Vec<_>>()
    };
    let found = places::of(tree, directory).map(|path| vec![path]);
    found.or_else(|| above.map(beside).find(|files| !files.is_empty())).unwrap_or_default()
}

/// What they name, each file at most once: the first `FROM` of an image of Python.
pub(super) fn pythons(tree: &SourceTree, directory: &str) -> Vec<Found<Demand>> {
    let named = |path: &str| {
        let (line, version) = base(tree.text(path)?)?;
        let demands = specifier::pep440(&format!("=={version}"))?;
        let demand = demands.into_iter().next()?;
        Some(Found::new(demand, Origin::file(path, Some(line), "FROM")))
    };
    files(tree, directory).iter().filter_map(|path| named(path)).collect()
}

/// What the first of them exposes that exposes anything: the application's own `Dockerfile`, the one that starts it, or one on a
/// base with Python.
pub(super) fn exposed(tree: &SourceTree, directory: &str) -> Vec<Found<u16>> {
    let own = places::of(tree, directory);
    let starts = started(tree, directory).map(|(path, _)| path);
    let ports = files(tree, directory).into_iter().filter_map(|path| {
        let is_meant =
            |text: &&str| Some(&path) == own.as_ref() || Some(&path) == starts.as_ref() || base(text).is_some();
        let text = tree.text(&path).filter(is_meant)?;
        Some(super::super::dockerfile::exposed(&path, text))
    });
    ports.into_iter().find(|ports| !ports.is_empty()).unwrap_or_default()
}

/// What the first of them starts that starts anything, with its path.
pub(super) fn started(tree: &SourceTree, directory: &str) -> Option<(String, Said)> {
    production(tree, directory).find_map(|path| says::starts(tree.text(&path)?).map(|said| (path, said)))
}

/// A variable that the first of them sets which sets it.
pub(super) fn variable(tree: &SourceTree, directory: &str, name: &str) -> Option<Found<String>> {
    production(tree, directory).find_map(|path| {
        let (line, value) = says::variable(tree.text(&path)?, name)?;
        Some(Found::new(value, Origin::file(path, Some(line), format!("ENV {name}"))))
    })
}

/// What the Dockerfile that starts the application sets for it (`ENV`) and a source reads: its author's word on how it runs.
/// Values that are places of another image, that are kept secret, or that are for Python and its installers are no such word;
/// the places of its volumes are in this image, too.
pub(super) fn variables(sources: &Sources<'_>) -> Vec<(String, Found<String>)> {
    let (tree, directory) = (sources.tree, sources.directory);
    let Some((path, _)) = started(tree, directory) else { return Vec::new() };
    let of_others =
        ["PYTHON", "PIP_", "POETRY_", "UV_", "LC_", "LANG", "LD_", "DEBIAN_", "VIRTUAL_ENV", "PATH", "HOME", "PORT"];
    let secret = ["SECRET", "PASSWORD", "TOKEN", "KEY", "CREDENTIAL"];
    let own = places::of(tree, directory).filter(|own| *own == path);
    let volumes = own.and_then(|own| tree.text(&own)).and_then(says::volumes).map_or(Vec::new(), |(_, paths)| paths);
    let of_volume = |value: &str| {
        let below = |volume: &String| {
            volume.starts_with('/')
                && value.strip_prefix(volume.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        !value.contains("..") && volumes.iter().any(below)
    };
    let meant = |name: &str, value: &str| {
        !of_others.iter().any(|other| name.starts_with(other))
            && !secret.iter().any(|part| name.to_ascii_uppercase().contains(part))
            && !value.is_empty()
            && !value.contains(['\\', '$'])
            && (!value.contains('/') || of_volume(value))
            && sources.any_text(name)
    };
    let set = says::variables(tree.text(&path).unwrap_or_default()).into_iter();
    set.filter(|(name, (_, value))| meant(name, value))
        .map(|(name, (line, value))| {
            let origin = Origin::file(&path, Some(line), format!("ENV {name}"));
            (name, Found::new(value, origin))
        })
        .collect()
}

/// Without those for development and tests.
fn production(tree: &SourceTree, directory: &str) -> impl Iterator<Item = String> {
    let aside = |path: &String| {
        let name = path.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
        ["dev", "test", "local", "debug", "ci"].iter().any(|word| name.contains(word))
    };
    files(tree, directory).into_iter().filter(move |path| !aside(path))
}

/// The line and the version of the first base whose name is `python:X.Y…` or whose tag begins with `pythonX.Y`.
///
/// Defaults of `ARG`s before the first `FROM` are filled in (Dockerfile reference, "Understand how ARG and FROM
/// interact").
fn base(text: &str) -> Option<(u32, String)> {
    let mut arguments = BTreeMap::new();
    for (number, line) in (1..).zip(text.lines()) {
        let mut words = line.split_whitespace();
        let keyword = words.next().unwrap_or_default();
        if keyword.eq_ignore_ascii_case("ARG")
            && let Some((name, value)) = words.next().and_then(|word| word.split_once('='))
        {
            arguments.entry(name).or_insert(value.trim_matches(['"', '\'']));
        } else if keyword.eq_ignore_ascii_case("FROM")
            && let Some(image) = words.find(|word| !word.starts_with("--"))
            && let Some(version) = version(&expanded(image, &arguments))
        {
            return Some((number, version));
        }
    }
    None
}

fn expanded(word: &str, arguments: &BTreeMap<&str, &str>) -> String {
    let mut text = word.to_owned();
    for (name, value) in arguments {
        text = text.replace(&format!("${{{name}}}"), value).replace(&format!("${name}"), value);
        // `${NAME:-default}`: the argument has a default of its own here.
        if let Some((before, rest)) = text.split_once(&format!("${{{name}:-"))
            && let Some((_, after)) = rest.split_once('}')
        {
            text = format!("{before}{value}{after}");
        }
    }
    text
}

fn version(image: &str) -> Option<String> {
    let (name, tag) = image.split('@').next()?.rsplit_once(':')?;
    let tag = match name.rsplit('/').next()? {
        "python" => tag,
        _ => tag.strip_prefix("python")?,
    };
    let end = tag.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(tag.len());
    let mut parts = tag[..end].split('.').filter(|part| !part.is_empty());
    Some(format!("{}.{}", parts.next()?, parts.next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bases_of_python() {
        for (text, expected) in [
            ("FROM python:3.10-slim\n", Some((1, "3.10"))),
            (
                "# x\nfrom --platform=linux/amd64 docker.io/library/python:3.11.4-slim-bookworm AS build",
                Some((2, "3.11")),
            ),
            ("ARG V=3.12\nFROM python:${V}-slim", Some((2, "3.12"))),
            ("FROM node:20\nFROM ghcr.io/astral-sh/uv:python3.13-bookworm", Some((2, "3.13"))),
            ("FROM tiangolo/uvicorn-gunicorn-fastapi:python3.9", Some((1, "3.9"))),
            ("FROM python:3\n", None),
            ("FROM python\nFROM python:latest", None),
            ("FROM node:18.2", None),
            ("", None),
        ] {
            assert_eq!(base(text), expected.map(|(line, version)| (line, version.to_owned())), "{text}");
        }
    }

    #[test]
    fn ports_of_what_starts() {
        for (path, text, expected) in [
            ("Dockerfile", "FROM scratch\nEXPOSE 1\n", &[1][..]),
            ("docker/Dockerfile", "FROM python:3-alpine\nEXPOSE 2\nCMD [\"shop\"]\n", &[2]),
            ("docker/Dockerfile", "FROM python:3.13\nEXPOSE 3\n", &[3]),
            ("docker/Dockerfile", "FROM nginx\nEXPOSE 4\n", &[]),
        ] {
            let found = exposed(&SourceTree::of_texts([(path, text)]), "");
            assert_eq!(found.iter().map(|found| found.value).collect::<Vec<_>>(), expected, "{text}");
        }
    }

    #[test]
    fn the_plain_name_comes_first() {
        let tree = SourceTree::of_texts([("a/Dockerfile.dev", "FROM python:3.9"), ("a/Dockerfile", "FROM python:3.8")]);
        let found: Vec<_> = pythons(&tree, "a").iter().map(|found| found.value.to_string()).collect();
        assert_eq!(found, ["3.8", "3.9"]);
    }
}
