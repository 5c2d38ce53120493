//! What a jar leaves out of the class path that it is made from: settings that its `maven-jar-plugin` excludes
//! (`<exclude>*.properties</exclude>`), because a script of the project's own has them in a directory on the class path.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::Path;

use super::layers::LayerDirs;
use super::safe_fs::{Dir, Kind};
use crate::model::failure::Failure;

/// Directories are not looked into further down.
const DEPTH: usize = 32;

/// Where it is, relative to `/app/`.
pub(super) const PLACE: &str = "classes/";

/// Copies the files of the build's classes that an archive with these entries lacks, but for classes themselves; tells
/// their size, and none where nothing is left out.
///
/// # Errors
/// `artifact_invalid`, `disk_full`, `internal`.
pub(super) fn copy(classes: &Dir, names: &BTreeSet<&str>, layers: &LayerDirs) -> Result<Option<u64>, Failure> {
    let mut found = Vec::new();
    list(classes, "", names, &mut found)?;
    let mut size = 0;
    for path in &found {
        let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
        let into = layers.directory("application", format!("app/{PLACE}{above}").trim_end_matches('/'))?;
        size += classes.copy_file(path, &into, name)?;
    }
    Ok((!found.is_empty()).then_some(size))
}

fn list(directory: &Dir, below: &str, names: &BTreeSet<&str>, found: &mut Vec<String>) -> Result<(), Failure> {
    let is_class = |name: &OsStr| Path::new(name).extension().is_some_and(|end| end == "class");
    for entry in directory.entries()? {
        let Some(name) = entry.name.to_str().filter(|_| !is_class(&entry.name)) else { continue };
        let path = if below.is_empty() { name.to_owned() } else { format!("{below}/{name}") };
        match entry.kind {
            Kind::Directory if path.matches('/').count() < DEPTH => list(&directory.below(name)?, &path, names, found)?,
            Kind::File if !names.contains(path.as_str()) => found.push(path),
            _ => {}
        }
    }
    Ok(())
}
