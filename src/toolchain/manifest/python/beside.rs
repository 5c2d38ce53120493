//! What the Dockerfile that starts the application installs by name (`pip install flask 'elasticsearch<8'`): where the manifest
//! leaves something out or says no version, its author's word.

use std::collections::BTreeSet;

use super::super::dockerfile::says;
use super::dependencies::Dependencies;
use super::dockerfile::started;
use super::imports;
use super::layout::Sources;
use super::requirement::{Requirement, normalise};
use crate::model::origin::{Found, Origin};
use crate::toolchain::findings::Inspection;

/// Options of `pip install` that are given a value (pip's documentation).
const WITH_VALUE: &[&str] = &[
    "-r",
    "--requirement",
    "-c",
    "--constraint",
    "-e",
    "--editable",
    "-i",
    "--index-url",
    "--extra-index-url",
    "-f",
    "--find-links",
    "--trusted-host",
    "-t",
    "--target",
    "--prefix",
    "--root",
    "--timeout",
    "--retries",
    "--cache-dir",
    "--python",
    "--proxy",
    "--progress-bar",
    "--platform",
    "--no-binary",
    "--only-binary",
];

/// Distributions that install others, which no application needs.
const INSTALLERS: &[&str] = &[
    "pip",
    "setuptools",
    "wheel",
    "virtualenv",
    "pipenv",
    "poetry",
    "poetry-core",
    "poetry-plugin-export",
    "uv",
    "pdm",
    "pip-tools",
    "hatch",
    "build",
    "flit",
    "pex",
];

/// More than a person writes into one command; each is looked for in every module.
const MAX_NAMED: usize = 200;

/// Those that it names, in its order.
pub(super) fn named(inspection: &Inspection<'_>) -> Vec<Requirement> {
    let Some((path, _)) = started(inspection.tree, inspection.directory) else { return Vec::new() };
    let commands = inspection.tree.text(&path).map(says::commands).unwrap_or_default();
    let mut seen = BTreeSet::new();
    let found = commands.iter().flat_map(|said| {
        let origin = Origin::file(&path, Some(said.line), "what it installs");
        arguments(&said.words).into_iter().filter_map(move |word| {
            let meant = !word.contains(['/', '$', '*']) && !word.starts_with('.') && !is_file(word);
            let read = Requirement::parse(word, origin.clone()).filter(|_| meant)?;
            // `2>` of a shell is no version.
            let whole = read.versions.is_some() || !word.contains(['<', '>', '=', '!', '~']);
            Some(read).filter(|one| whole && one.name.contains(|c: char| c.is_ascii_alphabetic()))
        })
    });
    let found = found.filter(|one| !INSTALLERS.contains(&one.name.as_str()) && seen.insert(one.name.clone()));
    found.take(MAX_NAMED).collect()
}

/// The words behind `pip install` that are no options.
fn arguments(words: &[String]) -> Vec<&str> {
    let is_pip = |word: &String| {
        let name = word.rsplit('/').next().unwrap_or_default();
        name.strip_prefix("pip").is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit() || c == '.'))
    };
    let start = words.windows(2).position(|pair| is_pip(&pair[0]) && pair[1] == "install");
    let mut rest = start.map_or(&[][..], |at| &words[at + 2..]).iter();
    let mut found = Vec::new();
    while let Some(word) = rest.next() {
        if WITH_VALUE.contains(&word.as_str()) {
            rest.next();
        } else if !word.starts_with('-') {
            found.push(word.as_str());
        }
    }
    found
}

/// Whether a word is the name of a file that pip takes as it is.
fn is_file(word: &str) -> bool {
    [".whl", ".gz", ".zip", ".txt", ".toml"].iter().any(|ending| word.ends_with(ending))
}

/// Constraints for what the project needs and leaves without a version, where its Dockerfile says one.
pub(super) fn constraints(dependencies: &Dependencies) -> Vec<Found<String>> {
    let bounds = |one: &&Requirement| {
        let own: Vec<_> = dependencies.list.iter().filter(|known| known.name == one.name).collect();
        one.versions.is_some()
            && !own.is_empty()
            && own.iter().all(|known| known.versions.is_none() && !known.text.contains('@'))
    };
    let stated = dependencies.beside.iter().filter(bounds).filter_map(|one| {
        let versions = one.versions.as_ref()?;
        Some(Found::new(format!("{}{versions}", one.name), one.origin.clone()))
    });
    stated.collect()
}

/// Those that the application's own modules import and the manifest does not name, as arguments of pip. What lies in the
/// repository is imported from there: a Dockerfile that installs the project's own release makes the image of another commit.
pub(super) fn imported(sources: &Sources<'_>, dependencies: &Dependencies, facts: &toml::Table) -> Vec<String> {
    let called = facts.get("imports").and_then(|imports| imports.get("distributions")?.as_table());
    let needed = |one: &&Requirement| {
        let known = dependencies.list.iter().any(|known| known.name == one.name);
        let is_of = |dotted: &String| {
            let first = dotted.split('.').next().unwrap_or_default();
            let distribution = called.and_then(|called| called.get(first)?.as_str()).unwrap_or(first);
            !first.is_empty() && normalise(distribution) == one.name
        };
        let imports = |file: &&str| {
            let read = imports::of(sources.tree, file);
            read.is_some_and(|read| read.all.iter().any(|name| is_of(name) && sources.locate(name, file).is_none()))
        };
        !known && sources.files.iter().any(imports)
    };
    dependencies.beside.iter().filter(needed).map(|one| one.text.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::found;

    const APP: &str = "import redis\nimport shop.cart\nfrom flask import Flask\napp = Flask(__name__)\n";

    #[test]
    fn what_its_dockerfile_installs_by_name() {
        for (run, manifest, install, list, constraints) in [
            ("pip install --no-cache-dir -U pip flask==3.0.3 redis", None, "dependencies", "flask==3.0.3 redis", ""),
            (
                "apk add x && pip3 install -i https://a/b flask; pip install 'redis<5'",
                None,
                "dependencies",
                "flask redis<5",
                "",
            ),
            ("pip install -r requirements.txt 'flask<3' redis", Some("flask\n"), "requirements", "redis", "flask<3"),
            ("pip install -r requirements.txt shop redis", Some("flask\n"), "requirements", "redis", ""),
            ("pip install -r requirements.txt 'flask<3' pytest", Some("flask>=2\nredis\n"), "requirements", "", ""),
        ] {
            let docker = format!("FROM python\nCOPY . /src\nRUN {run}\nCMD [\"gunicorn\", \"app:app\"]\n");
            let mut files = vec![("Dockerfile", docker.as_str()), ("app.py", APP), ("shop/cart.py", "")];
            files.extend(manifest.map(|text| ("requirements.txt", text)));
            let findings = found(&files);
            assert_eq!(findings.variables["install"], install, "{run}");
            let given: Vec<&str> =
                findings.variables["dependencies"].as_array().unwrap().iter().filter_map(|one| one.as_str()).collect();
            assert_eq!(given.join(" "), list, "{run}");
            let lines = findings.files.get(super::super::installing::CONSTRAINTS).map_or("", String::as_str);
            assert_eq!(lines.trim(), constraints, "{run}");
        }
    }
}
