//! Jars without a framework's layout: self-contained ones, and thin ones with a `Class-Path`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::excluded;
use super::jar;
use super::kind::{JarFacts, Kind};
use super::layers::LayerDirs;
use super::manifest::Manifest;
use super::safe_fs::{Dir, show};
use super::spring_boot::encode;
use super::tree::{self, TreeRules};
use super::zip::{Archive, Entry};
use super::zip_write::{normalise, write_jar};
use crate::model::failure::{Failure, FailureCode};

/// Where Maven's dependency plugin copies a class path to, relative to `target/`.
const COLLECTED: &str = "dependency";

/// Where Maven puts a module's classes and resources, relative to `target/`.
const CLASSES: &str = "classes";

/// Whether Maven collected the class path.
pub(super) fn has_collected(target: &Dir) -> bool {
    target.has_directory(COLLECTED)
}

/// Lays a plain jar out in the layers of [`LayerDirs::JAVA`], whose sizes it tells.
///
/// The jars that `Class-Path` names, or Maven collected, go to `/app/lib/`, and the jar's manifest names them there. A
/// signed jar stays as it is, with its libraries where its manifest says.
///
/// # Errors
/// `artifact_missing` for a jar of the `Class-Path` that the build left nowhere; `artifact_invalid` for one outside
/// `target`, a link, two jars of one name, or a damaged archive; `disk_full`, `internal`.
pub fn assemble(target: &Dir, facts: &JarFacts, layers: &LayerDirs) -> Result<[u64; 3], Failure> {
    let (mut archive, mut manifest) = jar::open(target, &facts.path)?;
    let application = layers.directory("application", "app")?;
    if facts.kind == Kind::SelfContained {
        return Ok([0, 0, keep(target, facts, &mut archive, true, &application)?]);
    }
    let fixed = facts.kind == Kind::ClassPath && (archive.is_signed() || archive.has_duplicates());
    let (mut sizes, mut class_path) = match facts.kind {
        Kind::Thin => collected(target, layers)?,
        _ => named(target, facts, &manifest, fixed, layers)?,
    };
    if facts.kind == Kind::Thin && target.has_directory(CLASSES) {
        // What is started by its class has the build's own classes on its class path (`exec:java`), not the jar of them.
        let names: BTreeSet<&str> = archive.entries().iter().map(|entry| entry.name.as_str()).collect();
        if let Some(size) = excluded::copy(&target.below(CLASSES)?, &names, layers)? {
            class_path.push(excluded::PLACE.to_owned());
            sizes[2] += size;
        }
    }
    sizes[2] += if fixed {
        target.copy_file(&facts.path, &application, "application.jar")?
    } else {
        manifest.set("Main-Class", facts.main_class.clone());
        if !class_path.is_empty() {
            manifest.set("Class-Path", class_path.join(" "));
        }
        let entries: BTreeMap<String, Entry> =
            archive.entries().iter().map(|entry| (entry.name.clone(), entry.clone())).collect();
        write_jar(&mut archive, &entries, &manifest, application.create("application.jar", false)?)?
    };
    Ok(sizes)
}

/// Copies what `Class-Path` names, and tells sizes and the new paths.
fn named(
    target: &Dir,
    facts: &JarFacts,
    manifest: &Manifest,
    fixed: bool,
    layers: &LayerDirs,
) -> Result<([u64; 3], Vec<String>), Failure> {
    let (mut sizes, mut class_path, mut copied) = ([0; 3], Vec::new(), BTreeSet::new());
    for url in manifest.class_path() {
        if url.ends_with('/') || url == "." {
            // A directory, for configuration that lies or is mounted beside the jar.
            sizes[2] += directory(target, url, facts, layers)?;
            class_path.push(url.to_owned());
            continue;
        }
        let path = path_of(url, facts)?;
        let name = path.rsplit('/').next().unwrap_or(&path).to_owned();
        if !copied.insert(path.clone()) {
            continue;
        }
        let (index, layer) = layer_of(&name);
        let place = if fixed { path.rsplit_once('/').map_or("", |(parent, _)| parent) } else { "lib" };
        let into = layers.directory(layer, &format!("app/{place}"))?;
        let copied = match target.copy_file(&path, &into, &name) {
            Err(failure) if failure.code == FailureCode::ArtifactMissing => {
                target.copy_file(format!("{COLLECTED}/{name}"), &into, &name)
            }
            copied => copied,
        };
        sizes[index] += copied.map_err(|failure| explain(failure, &path, facts))?;
        class_path.push(format!("lib/{}", encode(&name)));
    }
    Ok((sizes, class_path))
}

/// Copies a directory of the `Class-Path`, and tells its size. Where the build left none of that name, an assembly fills it
/// elsewhere, and that is with the module's resources.
fn directory(target: &Dir, url: &str, facts: &JarFacts, layers: &LayerDirs) -> Result<u64, Failure> {
    let Ok(path) = path_of(url.trim_end_matches('/'), facts) else { return Ok(0) };
    let from = [path.as_str(), CLASSES].into_iter().find(|name| target.has_directory(name));
    let Some(from) = from.filter(|_| !path.starts_with("target/")) else { return Ok(0) };
    let into = layers.directory("application", &format!("app/{path}"))?;
    Ok(tree::copy(&target.below(from)?, &into, &TreeRules::new(&["*.class", "*.jar"], &[], &[])?)?.bytes)
}

/// Copies what Maven collected, and tells sizes and the new paths.
fn collected(target: &Dir, layers: &LayerDirs) -> Result<([u64; 3], Vec<String>), Failure> {
    let (mut sizes, mut class_path) = ([0; 3], Vec::new());
    if !has_collected(target) {
        return Ok((sizes, class_path));
    }
    let from = target.below(COLLECTED)?;
    let names = from.entries()?.into_iter().filter_map(|entry| entry.name.into_string().ok());
    let mut names: Vec<String> =
        names.filter(|name| Path::new(name).extension().is_some_and(|end| end == "jar")).collect();
    names.sort();
    for name in names {
        let (index, layer) = layer_of(&name);
        sizes[index] += from.copy_file(&name, &layers.directory(layer, "app/lib")?, &name)?;
        class_path.push(format!("lib/{}", encode(&name)));
    }
    Ok((sizes, class_path))
}

/// Keeps an archive whole as `application.jar`, with its times fixed unless it is signed or ambiguous.
pub(super) fn keep(
    target: &Dir,
    facts: &JarFacts,
    archive: &mut Archive,
    sorted: bool,
    into: &Dir,
) -> Result<u64, Failure> {
    if archive.is_signed() || archive.has_duplicates() {
        return target.copy_file(&facts.path, into, "application.jar");
    }
    normalise(archive, sorted, into.create("application.jar", false)?)
}

/// The layer of a library, by its position in [`LayerDirs::JAVA`] and name: snapshots change more often than releases.
pub(super) fn layer_of(name: &str) -> (usize, &'static str) {
    let index = usize::from(name.contains("-SNAPSHOT"));
    (index, LayerDirs::JAVA[index])
}

/// The path below `target/` that a relative URL of the `Class-Path` means.
fn path_of(url: &str, facts: &JarFacts) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    let mut rest = url.as_bytes();
    while let [first, after @ ..] = rest {
        let escape = (*first == b'%').then(|| after.get(..2)).flatten();
        let byte =
            escape.and_then(|hex| std::str::from_utf8(hex).ok()).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    let path = String::from_utf8_lossy(&bytes).into_owned();
    let path = path.strip_prefix("./").map(str::to_owned).unwrap_or(path);
    let safe = !path.contains([':', '\\', '\0']) && path.split('/').all(|part| !matches!(part, "" | "." | ".."));
    if safe {
        return Ok(path);
    }
    let message = format!(
        "the `Class-Path` of {} names `{}`, which is not below its directory",
        show(&facts.path),
        url.escape_debug()
    );
    Err(Failure::new(FailureCode::ArtifactInvalid, message)
        .hint("Copy the dependencies to `target/lib` and set `classpathPrefix` of `maven-jar-plugin` to `lib/`."))
}

fn explain(failure: Failure, path: &str, facts: &JarFacts) -> Failure {
    if failure.code != FailureCode::ArtifactMissing {
        return failure;
    }
    let message = format!(
        "the `Class-Path` of {} names {}, which the build did not make",
        show(&facts.path),
        show(Path::new(path))
    );
    Failure::new(FailureCode::ArtifactMissing, message).hint(
        "Let the build copy the dependencies there: the goal `copy-dependencies` of `maven-dependency-plugin` with \
         `<outputDirectory>${project.build.directory}/lib</outputDirectory>`, bound to the phase `package`.",
    )
}
