//! Finding the jar that starts among what a Maven module left in `target/`, and bringing it into the image's shape.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::kind::{Expectation, JarFacts, Kind};
use super::layers::LayerDirs;
use super::manifest::{MANIFEST_LIMIT, MANIFEST_PATH, Manifest};
use super::safe_fs::{Dir, Kind as FileKind, show};
use super::zip::{Archive, Limits};
use super::{plain_jar, quarkus, spring_boot, war};
use crate::model::failure::{Failure, FailureCode, Step};

/// What went into the build context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assembled {
    /// The application's class with `main`.
    pub main_class: String,
    /// How the artifact carried its dependencies.
    pub kind: Kind,
    /// The layers in the order of the Dockerfile, each with the bytes of its files.
    pub layers: Vec<(String, u64)>,
}

/// A module's `target/` holds a few archives; more are an attack or a misunderstanding.
const MOST_ARCHIVES: usize = 256;

/// Finds the executable jar below `target` and lays it out in `context` as `/app/application.jar` and `/app/lib/`.
///
/// # Errors
/// As [`find_executable`]; `artifact_missing` where the manifest's `Class-Path` names a jar that is not there;
/// `artifact_invalid` for damaged or hostile archives; `disk_full`, `internal`.
pub fn assemble(target: &Dir, expectation: &Expectation, context: &Path) -> Result<Assembled, Failure> {
    let assemble = || {
        let facts = match expectation.kind {
            Some(Kind::War) => war::find(target, expectation)?,
            _ => find_executable(target, expectation)?,
        };
        let layers = LayerDirs::create(context, LayerDirs::JAVA)?;
        let sizes = match facts.kind {
            Kind::SpringBoot | Kind::SpringBootWar => spring_boot::assemble(target, &facts, &layers)?,
            Kind::SelfContained | Kind::ClassPath | Kind::Thin => plain_jar::assemble(target, &facts, &layers)?,
            Kind::War => {
                war::assemble(target, &facts, expectation.context_root.as_deref().unwrap_or_default(), &layers)?
            }
            Kind::Quarkus => quarkus::assemble(target, &layers)?,
        };
        let layers = LayerDirs::JAVA.iter().map(ToString::to_string).zip(sizes).collect();
        Ok(Assembled { main_class: facts.main_class, kind: facts.kind, layers })
    };
    assemble().map_err(|failure: Failure| failure.in_step(Step::Package))
}

/// Opens an archive below `target` with the usual limits, with its manifest if it has one.
pub(super) fn open(target: &Dir, path: &Path) -> Result<(Archive, Manifest), Failure> {
    let mut archive = Archive::open(target.open_file(path)?, &path.to_string_lossy(), &Limits::default())?;
    let manifest = match archive.find(MANIFEST_PATH) {
        Some(entry) => Manifest::parse(&archive.read(&entry, MANIFEST_LIMIT)?, archive.name())?,
        None => Manifest::default(),
    };
    Ok((archive, manifest))
}

/// Finds the one archive of a module's `target/` that `java -jar` starts.
///
/// What an archive is, its content tells: it is executable if its manifest has a `Main-Class` that it contains or that
/// its `Class-Path` may bring (so the jars of sources, documentation and tests are not). A thin jar beside a fat one
/// with the same main class and all its classes is not a candidate.
///
/// # Errors
/// `artifact_missing` without any archive; `artifact_mismatch` if none or several start, or if the one contradicts
/// `expected`; `artifact_invalid` if the planned archive cannot be read.
pub fn find_executable(target: &Dir, expected: &Expectation) -> Result<JarFacts, Failure> {
    let mut seen = Vec::new();
    let mut candidates = Vec::new();
    let mut unreadable = None;
    for name in archives(target)? {
        match examine(target, &name, expected) {
            Ok(Ok(candidate)) => candidates.push(candidate),
            Ok(Err(why)) => seen.push(format!("`{name}` {why}")),
            Err(failure) if is_planned(&name, expected) => return Err(failure),
            Err(failure) => {
                seen.push(failure.message.clone());
                unreadable.get_or_insert(failure);
            }
        }
    }
    candidates.extend(quarkus::find(target)?.map(|facts| Candidate { facts, parts: BTreeSet::new() }));
    let found = choose(drop_thin_twins(candidates), expected)?;
    let facts = match (found, unreadable) {
        (Some(facts), _) => facts,
        (None, Some(failure)) => return Err(failure),
        (None, None) => return Err(nothing_starts(target, &seen)),
    };
    verify(&facts, expected)?;
    Ok(facts)
}

#[derive(Debug)]
struct Candidate {
    facts: JarFacts,
    /// Classes, and jars inside.
    parts: BTreeSet<String>,
}

fn archives(target: &Dir) -> Result<Vec<String>, Failure> {
    let mut names: Vec<String> = target
        .entries()?
        .into_iter()
        .filter(|entry| entry.kind == FileKind::File)
        .filter_map(|entry| entry.name.into_string().ok())
        .filter(|name| has_extension(name, "jar") || has_extension(name, "war"))
        .collect();
    // The shade plugin keeps the jar it replaced as `original-<name>`.
    let all: BTreeSet<String> = names.iter().cloned().collect();
    names.retain(|name| !name.strip_prefix("original-").is_some_and(|rest| all.contains(rest)));
    if names.len() > MOST_ARCHIVES {
        let message = format!("{} holds {} archives", show(&target.shown(Path::new(""))), names.len());
        return Err(Failure::new(FailureCode::ArtifactInvalid, message));
    }
    Ok(names)
}

fn has_extension(name: &str, extension: &str) -> bool {
    Path::new(name).extension().is_some_and(|found| found.eq_ignore_ascii_case(extension))
}

/// A candidate, or why it is none, in words that follow its name.
fn examine(target: &Dir, name: &str, expected: &Expectation) -> Result<Result<Candidate, String>, Failure> {
    let (archive, manifest) = open(target, Path::new(name))?;
    // A thin jar may leave it to the plan which of its classes starts.
    let planned = expected.main_class.as_deref().filter(|_| expected.kind == Some(Kind::Thin));
    let contains = |class: &str| archive.find(&format!("{}.class", class.replace('.', "/"))).is_some();
    // A class that its manifest names and nobody wrote is no answer to the plan's.
    let named = manifest.get("Main-Class").filter(|named| contains(named) || !planned.is_some_and(contains));
    let Some(launcher) = named.or(planned) else {
        return Ok(Err("has no `Main-Class` in its manifest".to_owned()));
    };
    let collected = plain_jar::has_collected(target) && matches!(expected.kind, Some(Kind::Thin | Kind::ClassPath));
    let has = |prefix: &str| archive.entries().iter().any(|entry| entry.name.starts_with(prefix));
    let (kind, main_class) = match manifest.get("Start-Class") {
        Some(start) if has("BOOT-INF/") => (Kind::SpringBoot, start),
        Some(start) if has("WEB-INF/") => (Kind::SpringBootWar, start),
        _ if manifest.class_path().is_empty() && collected => (Kind::Thin, launcher),
        _ if manifest.class_path().is_empty() => (Kind::SelfContained, launcher),
        // A shaded jar that still names what is in it; the virtual machine passes over what is not there.
        _ if expected.kind == Some(Kind::SelfContained) && !beside(target, &manifest) => {
            (Kind::SelfContained, launcher)
        }
        _ => (Kind::ClassPath, launcher),
    };
    let contained = contains(launcher);
    let classifier = ["-sources.jar", "-javadoc.jar", "-tests.jar", "-test-sources.jar"];
    if !contained && (kind != Kind::ClassPath || classifier.iter().any(|end| name.ends_with(end))) {
        return Ok(Err(format!("does not contain its `Main-Class` `{launcher}`")));
    }
    let part = |name: &str| has_extension(name, "class") || has_extension(name, "jar");
    let parts = archive.entries().iter().filter(|entry| part(&entry.name));
    let strip = |name: &str| {
        ["BOOT-INF/classes/", "WEB-INF/classes/"].iter().find_map(|prefix| name.strip_prefix(prefix)).map(str::to_owned)
    };
    let parts = parts.map(|entry| strip(&entry.name).unwrap_or_else(|| entry.name.clone())).collect();
    let facts = JarFacts { path: PathBuf::from(name), kind, main_class: main_class.to_owned() };
    Ok(Ok(Candidate { facts, parts }))
}

/// Whether the build left anything that a `Class-Path` names.
fn beside(target: &Dir, manifest: &Manifest) -> bool {
    manifest.class_path().into_iter().any(|url| target.open_file(url).is_ok())
}

/// Without the jars that lack dependencies where another has them: the same main class, all the same parts and more. So
/// is a `slim` one that the Spring Boot plugin made beside the whole.
fn drop_thin_twins(candidates: Vec<Candidate>) -> Vec<JarFacts> {
    let superseded = |thin: &Candidate| {
        candidates.iter().any(|fat| {
            (thin.facts.kind == Kind::SelfContained || thin.facts.kind == fat.facts.kind)
                && fat.facts.main_class == thin.facts.main_class
                && fat.parts.len() > thin.parts.len()
                && thin.parts.is_subset(&fat.parts)
        })
    };
    let kept: Vec<bool> = candidates.iter().map(|candidate| !superseded(candidate)).collect();
    candidates.into_iter().zip(kept).filter(|(_, kept)| *kept).map(|(candidate, _)| candidate.facts).collect()
}

fn is_planned(name: &str, expected: &Expectation) -> bool {
    let stem = [".jar", ".war"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
    expected.final_name.as_deref().is_some_and(|planned| planned == name || planned == stem)
}

fn choose(mut candidates: Vec<JarFacts>, expected: &Expectation) -> Result<Option<JarFacts>, Failure> {
    // The plugin that the plan counts on made one of its kind, whatever its name and classifier.
    if candidates.iter().any(|facts| Some(facts.kind) == expected.kind) {
        candidates.retain(|facts| Some(facts.kind) == expected.kind);
    }
    if candidates.len() > 1 {
        if let Some(planned) = candidates.iter().position(|facts| is_planned(&facts.path.to_string_lossy(), expected)) {
            return Ok(Some(candidates.swap_remove(planned)));
        }
        let names: Vec<String> = candidates.iter().map(|facts| facts.path.to_string_lossy().into_owned()).collect();
        let shown: Vec<String> = candidates
            .iter()
            .map(|facts| format!("{} ({}, `{}`)", show(&facts.path), facts.kind.name(), facts.main_class))
            .collect();
        let message = format!("{} archives of the module can be started: {}", names.len(), shown.join(", "));
        return Err(Failure::new(FailureCode::ArtifactMismatch, message)
            .hint("Let the module make one executable jar, or give the wanted one the module's `finalName`.")
            .candidates(names));
    }
    Ok(candidates.pop())
}

fn nothing_starts(target: &Dir, seen: &[String]) -> Failure {
    let directory = show(&target.shown(Path::new("")));
    if seen.is_empty() {
        return Failure::new(FailureCode::ArtifactMissing, format!("the build left no jar or war in {directory}"))
            .hint("Choose the module that makes the application: `application.module` in `slipway.toml`.");
    }
    Failure::new(FailureCode::ArtifactMismatch, format!("nothing in {directory} can be started: {}", seen.join("; ")))
        .hint(
            "Let the module make an executable jar: the goal `repackage` of `spring-boot-maven-plugin`, the shade plugin, \
             or `Main-Class` and `Class-Path` by `maven-jar-plugin`; or choose another module with `application.module`.",
        )
}

fn verify(facts: &JarFacts, expected: &Expectation) -> Result<(), Failure> {
    let path = show(&facts.path);
    // Quarkus generates the class that starts, so the planned one is behind it and not to be seen here.
    let planned = expected.main_class.as_ref().filter(|_| facts.kind != Kind::Quarkus);
    if let Some(planned) = planned.filter(|planned| **planned != facts.main_class) {
        let message = format!("the plan starts `{planned}`, but {path} starts `{}`", facts.main_class);
        return Err(Failure::new(FailureCode::ArtifactMismatch, message)
            .hint("Make the main class in the pom and the one that the artifact's manifest names the same."));
    }
    Ok(())
}
