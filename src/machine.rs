//! Toolchains that are installed on this machine, for the host runner.

use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;

use crate::environment;
use crate::model::failure::{Failure, FailureCode};
use crate::model::installation::Host;
use crate::process::{Program, SYSTEM_PATH, capture};

/// One installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation {
    /// Its directory.
    pub home: PathBuf,
    /// What it says of its version, the first number and what follows.
    pub version: String,
}

impl Installation {
    /// The directory of its programs.
    #[must_use]
    pub fn programs(&self, host: &Host) -> PathBuf {
        self.home.join(&host.program).parent().map_or_else(|| self.home.clone(), Path::to_owned)
    }

    fn numbers(&self) -> Vec<u32> {
        numbers(&self.version)
    }
}

/// What is installed of a toolchain, newest first; `release` stands for itself in the program's name.
pub async fn installations(host: &Host, release: &str) -> Vec<Installation> {
    let program = host.program.replace("{{ release }}", release);
    let mut found: Vec<Installation> = Vec::new();
    for candidate in candidates(host, &program) {
        let Some(home) = home_of(&candidate, &program) else { continue };
        if found.iter().any(|other| other.home == home) {
            continue;
        }
        let mut spec = Program::new(home.join(&program), &host.version);
        spec.env.extend(environment::all());
        let Ok(said) = capture(&spec, &CancellationToken::new()).await else { continue };
        let text = [said.stdout.as_slice(), &said.stderr].concat();
        if let Some(version) = version(&String::from_utf8_lossy(&text)).filter(|_| said.success()) {
            found.push(Installation { home, version });
        }
    }
    found.sort_by_key(|one| std::cmp::Reverse(one.numbers()));
    found
}

/// The newest installation of a release; else one that fetches the release by itself.
///
/// # Errors
/// `tool_missing` with what there is.
pub async fn choose(host: &Host, title: &str, release: &str, aliases: &[String]) -> Result<Installation, Failure> {
    let all = installations(host, release).await;
    let named: Vec<Vec<u32>> = aliases.iter().map(String::as_str).chain([release]).map(numbers).collect();
    let is = |one: &&Installation| named.iter().any(|name| one.numbers().starts_with(name));
    let fetches = |one: &&Installation| host.fetches_from.as_ref().is_some_and(|from| one.numbers() >= numbers(from));
    if let Some(one) = all.iter().find(is).or_else(|| all.iter().find(fetches)) {
        return Ok(one.clone());
    }
    let there: Vec<_> = all.iter().map(|one| format!("{} in `{}`", one.version, one.home.display())).collect();
    let there = if there.is_empty() { "none at all".to_owned() } else { there.join(", ") };
    Err(Failure::new(FailureCode::ToolMissing, format!("there is no {title} {release} on this machine, but {there}"))
        .hint("install it, or leave out `--runner host`: the container runner brings it along"))
}

/// Paths of the program that may exist, those on the `PATH` first.
fn candidates(host: &Host, program: &str) -> Vec<PathBuf> {
    let path = environment::variable("PATH").unwrap_or_else(|| SYSTEM_PATH.to_owned());
    let name = program.rsplit('/').next().unwrap_or(program);
    let on_path = path.split(':').filter(|directory| !directory.is_empty()).map(|d| Path::new(d).join(name));
    let places = host.places.iter().flat_map(|place| expand(place)).map(|place| place.join(program));
    on_path.chain(places).filter(|path| path.is_file()).collect()
}

/// The directory of an installation: `/usr/bin/javac` is a link into it.
fn home_of(program: &Path, relative: &str) -> Option<PathBuf> {
    let real = program.canonicalize().ok()?;
    let depth = Path::new(relative).components().count();
    if real.ends_with(relative) {
        return real.ancestors().nth(depth).map(Path::to_owned);
    }
    program.ends_with(relative).then(|| program.ancestors().nth(depth).map(Path::to_owned))?
}

/// The directories that a place names.
fn expand(place: &str) -> Vec<PathBuf> {
    let place = match place.strip_prefix("~/") {
        Some(rest) => match environment::variable("HOME") {
            Some(home) => format!("{home}/{rest}"),
            None => return Vec::new(),
        },
        None => place.to_owned(),
    };
    let mut found = vec![PathBuf::from("/")];
    for part in place.split('/').filter(|part| !part.is_empty()) {
        let Some((before, after)) = part.split_once('*') else {
            for path in &mut found {
                path.push(part);
            }
            continue;
        };
        let fits = |name: &str| name.len() >= part.len() - 1 && name.starts_with(before) && name.ends_with(after);
        let mut below: Vec<PathBuf> = found
            .iter()
            .flat_map(|path| std::fs::read_dir(path).into_iter().flatten().flatten())
            .filter(|entry| entry.file_name().to_str().is_some_and(fits))
            .map(|entry| entry.path())
            .collect();
        below.sort();
        found = below;
    }
    found
}

/// The first word with a number in it, from the number on: `go1.24.4` says `1.24.4`.
fn version(text: &str) -> Option<String> {
    let words = text.split(|c: char| c.is_whitespace() || matches!(c, '"' | '(' | ')' | ','));
    let mut versions = words.filter_map(|word| {
        let rest = word.trim_start_matches(|c: char| c.is_ascii_alphabetic());
        rest.starts_with(|c: char| c.is_ascii_digit()).then(|| rest.to_owned())
    });
    versions.next()
}

/// The numbers of a version, up to anything else.
fn numbers(version: &str) -> Vec<u32> {
    let end = version.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(version.len());
    version[..end].split('.').map_while(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn host(places: &Path, fetches_from: Option<&str>) -> Host {
        let places = vec![format!("{}/*", places.display())];
        let (program, version) = ("bin/slipway-test-tool".to_owned(), vec!["-version".to_owned()]);
        Host { places, program, version, fetches_from: fetches_from.map(str::to_owned), env: BTreeMap::new() }
    }

    fn install(directory: &Path, name: &str, says: &str) {
        let bin = directory.join(name).join("bin");
        std::fs::create_dir_all(&bin).unwrap();
        let program = bin.join("slipway-test-tool");
        std::fs::write(&program, format!("#!/bin/sh\necho '{says}' >&2\n")).unwrap();
        std::fs::set_permissions(program, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[tokio::test]
    async fn the_release_is_chosen_among_several() {
        let directory = tempfile::tempdir().unwrap();
        install(directory.path(), "a", "tool 1.8.0_402");
        install(directory.path(), "b", "openjdk version \"17.0.9\" 2023-10-17");
        install(directory.path(), "c", "go version go17.0.10 linux/amd64");
        std::os::unix::fs::symlink("b", directory.path().join("default")).unwrap();
        std::fs::create_dir(directory.path().join("empty")).unwrap();
        let host = host(directory.path(), None);
        let all = installations(&host, "17").await;
        let versions: Vec<_> = all.iter().map(|one| one.version.as_str()).collect();
        assert_eq!(versions, ["17.0.10", "17.0.9", "1.8.0_402"]);
        let chosen = choose(&host, "Java", "17", &[]).await.unwrap();
        assert_eq!(chosen.home, directory.path().canonicalize().unwrap().join("c"));
        let old = choose(&host, "Java", "8", &["1.8".to_owned()]).await.unwrap();
        assert!(old.home.ends_with("a") && old.programs(&host).ends_with("a/bin"));
        let failure = choose(&host, "Java", "21", &[]).await.unwrap_err();
        assert_eq!(failure.code, FailureCode::ToolMissing);
        assert!(failure.message.contains("no Java 21") && failure.message.contains("17.0.9 in `"), "{failure}");
    }

    #[tokio::test]
    async fn one_that_fetches_releases_serves_for_any() {
        let directory = tempfile::tempdir().unwrap();
        install(directory.path(), "new", "1.24.4");
        let at = directory.path();
        assert_eq!(choose(&host(at, Some("1.21")), "Go", "1.22", &[]).await.unwrap().version, "1.24.4");
        assert_eq!(choose(&host(at, Some("1.21")), "Go", "1.27", &[]).await.unwrap().version, "1.24.4");
        assert!(choose(&host(at, Some("1.25")), "Go", "1.27", &[]).await.is_err());
        assert!(choose(&host(at, None), "Go", "1.22", &[]).await.is_err());
    }
}
