//! A Quarkus fast-jar: the directory `target/quarkus-app`.
//!
//! Its starting class takes as the application's root the directory three above the jar that it was itself loaded from,
//! `lib/boot/io.quarkus.quarkus-bootstrap-runner-….jar`, and that jar is found by the run jar's `Class-Path`. So the
//! run jar may have any name as long as `lib/`, `app/` and `quarkus/` stand beside it.

use std::path::{Path, PathBuf};

use super::jar;
use super::kind::{JarFacts, Kind};
use super::layers::LayerDirs;
use super::safe_fs::{Dir, Kind as FileKind};
use super::tree::{self, TreeRules};
use crate::model::failure::{Failure, FailureCode};

const DIRECTORY: &str = "quarkus-app";
const RUNNER: &str = "quarkus-run.jar";

/// The fast-jar below `target`, if there is one.
///
/// # Errors
/// `artifact_invalid` or `artifact_mismatch` if its run jar cannot be read or does not start.
pub fn find(target: &Dir) -> Result<Option<JarFacts>, Failure> {
    if !target.has_directory(DIRECTORY) {
        return Ok(None);
    }
    let path: PathBuf = [DIRECTORY, RUNNER].iter().collect();
    let (_, manifest) = match jar::open(target, &path) {
        Err(failure) if failure.code == FailureCode::ArtifactMissing => return Ok(None),
        opened => opened?,
    };
    let main_class = manifest.get("Main-Class").map(str::to_owned).ok_or_else(|| {
        Failure::new(FailureCode::ArtifactMismatch, format!("`{DIRECTORY}/{RUNNER}` has no `Main-Class`"))
    })?;
    Ok(Some(JarFacts { path, kind: Kind::Quarkus, main_class }))
}

/// Lays the fast-jar out: `lib/` as dependencies, all else as the application, the run jar as `application.jar` too.
///
/// # Errors
/// `artifact_invalid` for links that leave the directory and special files; `disk_full`, `internal`.
pub fn assemble(target: &Dir, layers: &LayerDirs) -> Result<[u64; 3], Failure> {
    let from = target.below(DIRECTORY)?;
    let application = layers.directory("application", "app")?;
    let rules = TreeRules::everything();
    let mut sizes = [0; 3];
    for entry in from.entries()? {
        match (entry.kind, entry.name.to_str()) {
            (FileKind::Directory, Some("lib")) => {
                let into = layers.directory("dependencies", "app/lib")?;
                sizes[0] += tree::copy(&from.below("lib")?, &into, &rules)?.bytes;
            }
            (FileKind::Directory, _) => {
                let into = application.make(Path::new(&entry.name))?;
                sizes[2] += tree::copy(&from.below(&entry.name)?, &into, &rules)?.bytes;
            }
            // Opening refuses what is no regular file.
            _ => sizes[2] += from.copy_file(&entry.name, &application, &entry.name)?,
        }
    }
    sizes[2] += from.copy_file(RUNNER, &application, "application.jar")?;
    Ok(sizes)
}
