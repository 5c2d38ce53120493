//! A war on a servlet container, laid out as Tomcat's documentation describes (`CATALINA_BASE`): `bin`, `lib`, `conf` and
//! `webapps/<context>` in the application's directory.

use std::path::{Path, PathBuf};

use super::jar;
use super::kind::{Expectation, JarFacts, Kind};
use super::layers::LayerDirs;
use super::plain_jar::layer_of;
use super::safe_fs::{Dir, Kind as FileKind, show};
use super::tree::{self, TreeRules};
use crate::model::failure::{Failure, FailureCode};

/// Where Maven unpacked the container, relative to `target/`.
const CONTAINER: &str = "slipway-container";

/// The war of a module: the one of its final name, or the only one.
///
/// # Errors
/// `artifact_missing` without any; `artifact_mismatch` for several.
pub fn find(target: &Dir, expected: &Expectation) -> Result<JarFacts, Failure> {
    let files = target.entries()?.into_iter().filter(|entry| entry.kind == FileKind::File);
    let names = files.filter_map(|entry| entry.name.into_string().ok());
    let wars: Vec<String> = names.filter(|name| Path::new(name).extension().is_some_and(|end| end == "war")).collect();
    let planned = expected.final_name.as_ref().map(|name| format!("{name}.war"));
    let path = match (wars.iter().find(|name| Some(*name) == planned.as_ref()), &wars[..]) {
        (Some(planned), _) => planned,
        (None, [only]) => only,
        (None, []) => {
            let directory = show(&target.shown(Path::new("")));
            return Err(Failure::new(FailureCode::ArtifactMissing, format!("the build left no war in {directory}"))
                .hint("Choose the module that makes it: `application.module` in `slipway.toml`."));
        }
        (None, several) => {
            let message =
                format!("the module made {} wars, none of its final name: {}", several.len(), several.join(", "));
            return Err(Failure::new(FailureCode::ArtifactMismatch, message)
                .hint("Give the wanted one the module's `finalName`.")
                .candidates(several.iter().cloned()));
        }
    };
    Ok(JarFacts {
        path: PathBuf::from(path),
        kind: Kind::War,
        main_class: "org.apache.catalina.startup.Bootstrap".into(),
    })
}

/// Lays container and war out in the layers of [`LayerDirs::JAVA`], whose sizes it tells: the container and the war's
/// libraries change least.
///
/// # Errors
/// `artifact_missing` without a container; `artifact_invalid` for a damaged or hostile archive; `disk_full`, `internal`.
pub fn assemble(target: &Dir, facts: &JarFacts, context: &str, layers: &LayerDirs) -> Result<[u64; 3], Failure> {
    let mut sizes = [container(target, layers)?, 0, 0];
    let (mut archive, _) = jar::open(target, &facts.path)?;
    if archive.has_duplicates() {
        let message = format!("`{}` has two entries of the same name", archive.name());
        return Err(Failure::new(FailureCode::ArtifactInvalid, message));
    }
    let root = format!("app/webapps/{}", directory_of(context));
    layers.directory("application", &root)?;
    for entry in archive.entries().to_vec() {
        if entry.is_directory() {
            continue;
        }
        let (parent, name) = entry.name.rsplit_once('/').unwrap_or(("", &entry.name));
        let (index, layer) = if parent == "WEB-INF/lib" { layer_of(name) } else { (2, "application") };
        let mut file = layers.directory(layer, &format!("{root}/{parent}"))?.create(name, false)?;
        sizes[index] += archive.copy(&entry, &mut file)?;
    }
    Ok(sizes)
}

/// Tomcat's name for the directory of a context path: `ROOT`, `a#b` for `a/b`.
fn directory_of(context: &str) -> String {
    if context.is_empty() { "ROOT".to_owned() } else { context.replace('/', "#") }
}

/// Copies the container without what it brings for administrators and examples.
fn container(target: &Dir, layers: &LayerDirs) -> Result<u64, Failure> {
    let missing =
        || Failure::new(FailureCode::ArtifactMissing, format!("there is no servlet container in `{CONTAINER}`"));
    if !target.has_directory(CONTAINER) {
        return Err(missing());
    }
    let unpacked = target.below(CONTAINER)?;
    let mut versions = unpacked.entries()?.into_iter().filter(|entry| entry.kind == FileKind::Directory);
    let from = unpacked.below(versions.next().ok_or_else(missing)?.name)?;
    let mut size = 0;
    for part in ["lib", "conf"] {
        let into = layers.directory("dependencies", &format!("app/{part}"))?;
        size += tree::copy(&from.below(part)?, &into, &TreeRules::everything())?.bytes;
    }
    // Tomcat makes this directory otherwise, and `conf` is not its user's.
    layers.directory("dependencies", "app/conf/Catalina/localhost")?;
    let into = layers.directory("dependencies", "app/bin")?;
    for name in ["bootstrap.jar", "tomcat-juli.jar"] {
        size += from.copy_file(format!("bin/{name}"), &into, name)?;
    }
    Ok(size)
}
