//! Jars without a framework's layout: self-contained ones, and thin ones with a `Class-Path`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::jar::{self, JarFacts, Kind};
use super::layers::LayerDirs;
use super::safe_fs::{Dir, show};
use super::spring_boot::encode;
use super::zip::{Archive, Entry};
use super::zip_write::{normalise, write_jar};
use crate::model::failure::{Failure, FailureCode};

/// Lays a plain jar out in the layers of [`LayerDirs::JAVA`], whose sizes it tells.
///
/// The jars that `Class-Path` names go to `/app/lib/`, and the thin jar's manifest names them there. A signed jar
/// stays as it is, with its libraries where its manifest says.
///
/// # Errors
/// `artifact_missing` for a jar of the `Class-Path` that is not below `target`; `artifact_invalid` for one outside it,
/// a link, two jars of one name, or a damaged archive; `disk_full`, `internal`.
pub fn assemble(target: &Dir, facts: &JarFacts, layers: &LayerDirs) -> Result<[u64; 3], Failure> {
    let (mut archive, mut manifest) = jar::open(target, &facts.path)?;
    let application = layers.directory("application", "app")?;
    if facts.kind == Kind::SelfContained {
        return Ok([0, 0, keep(target, facts, &mut archive, true, &application)?]);
    }
    let fixed = archive.is_signed() || archive.has_duplicates();
    let mut sizes = [0; 3];
    let mut class_path = Vec::new();
    let mut copied = BTreeSet::new();
    for url in manifest.class_path() {
        if url.ends_with('/') || url == "." {
            // A directory, for configuration that is mounted beside the jar.
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
        sizes[index] += target.copy_file(&path, &into, &name).map_err(|failure| explain(failure, &path, facts))?;
        class_path.push(format!("lib/{}", encode(&name)));
    }
    sizes[2] = if fixed {
        target.copy_file(&facts.path, &application, "application.jar")?
    } else {
        manifest.set("Class-Path", class_path.join(" "));
        let entries: BTreeMap<String, Entry> =
            archive.entries().iter().map(|entry| (entry.name.clone(), entry.clone())).collect();
        write_jar(&mut archive, &entries, &manifest, application.create("application.jar", false)?)?
    };
    Ok(sizes)
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
