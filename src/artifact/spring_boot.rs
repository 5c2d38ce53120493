//! A Spring Boot jar taken apart without a JVM, into what `java -Djarmode=tools -jar x.jar extract` makes of it.
//!
//! A thin jar with `lib/` beside it starts faster than the nested jars, and its dependencies are a layer of their own.

use std::collections::BTreeMap;

use super::jar;
use super::kind::{JarFacts, Kind};
use super::layers::LayerDirs;
use super::manifest::{MANIFEST_PATH, Manifest};
use super::plain_jar::{keep, layer_of};
use super::safe_fs::Dir;
use super::zip::{Archive, Entry, is_signature};
use super::zip_write::write_jar;
use crate::model::failure::{Failure, FailureCode};

const CLASSES: &str = "BOOT-INF/classes/";
const LIBRARIES: &str = "BOOT-INF/lib/";
const INDEX: &str = "BOOT-INF/classpath.idx";
const FILE_SYSTEMS: &str = "META-INF/services/java.nio.file.spi.FileSystemProvider";

/// Lays a Spring Boot jar out in the layers of [`LayerDirs::JAVA`], whose sizes it tells.
///
/// Kept whole, as `/app/application.jar`: wars, whose loader needs their layout, jars with `PropertiesLauncher`,
/// which finds more libraries when it starts (`loader.path`), and signed jars.
///
/// # Errors
/// `artifact_invalid` for a damaged or hostile archive, or two libraries of one name; `disk_full`, `internal`.
pub fn assemble(target: &Dir, facts: &JarFacts, layers: &LayerDirs) -> Result<[u64; 3], Failure> {
    let (mut archive, mut manifest) = jar::open(target, &facts.path)?;
    let application = layers.directory("application", "app")?;
    let properties = manifest.get("Main-Class").is_some_and(|class| class.ends_with(".PropertiesLauncher"));
    if facts.kind == Kind::SpringBootWar || properties || archive.is_signed() {
        return Ok([0, 0, keep(target, facts, &mut archive, false, &application)?]);
    }
    if archive.has_duplicates() {
        let message = format!("`{}` has two entries of the same name", archive.name());
        return Err(Failure::new(FailureCode::ArtifactInvalid, message));
    }
    let libraries = libraries(&mut archive)?;
    let mut sizes = [0; 3];
    for entry in &libraries {
        let name = entry.name.strip_prefix(LIBRARIES).unwrap_or(&entry.name);
        let (index, layer) = layer_of(name);
        let mut file = layers.directory(layer, "app/lib")?.create(name, false)?;
        sizes[index] += archive.copy(entry, &mut file)?;
    }
    rewrite(&mut manifest, &facts.main_class, &libraries);
    let entries = application_entries(&mut archive)?;
    sizes[2] = write_jar(&mut archive, &entries, &manifest, application.create("application.jar", false)?)?;
    Ok(sizes)
}

/// The nested jars in the order of `classpath.idx`, those it does not list after them in the archive's order.
///
/// The index is YAML of one form: `- "BOOT-INF/lib/a.jar"` on each line.
fn libraries(archive: &mut Archive) -> Result<Vec<Entry>, Failure> {
    let index = match archive.find(INDEX) {
        Some(entry) => String::from_utf8_lossy(&archive.read(&entry, 4 << 20)?).into_owned(),
        None => String::new(),
    };
    let mut listed: BTreeMap<&str, usize> = BTreeMap::new();
    for (position, line) in index.lines().enumerate() {
        let name = line.trim().trim_start_matches('-').trim().trim_matches('"');
        listed.entry(name).or_insert(position);
    }
    let is_library =
        |entry: &&Entry| entry.name.strip_prefix(LIBRARIES).is_some_and(|name| !name.is_empty() && !name.contains('/'));
    let mut libraries: Vec<Entry> = archive.entries().iter().filter(is_library).cloned().collect();
    libraries.sort_by_key(|entry| listed.get(entry.name.as_str()).copied().unwrap_or(usize::MAX));
    Ok(libraries)
}

/// What goes into the thin jar: the classes at its root, and `META-INF/` but for what describes the fat jar.
fn application_entries(archive: &mut Archive) -> Result<BTreeMap<String, Entry>, Failure> {
    let mut entries = BTreeMap::new();
    for entry in archive.entries() {
        if entry.name.starts_with("META-INF/")
            && !matches!(entry.name.as_str(), MANIFEST_PATH | "META-INF/INDEX.LIST" | FILE_SYSTEMS)
            && !is_signature(&entry.name)
        {
            entries.insert(entry.name.clone(), entry.clone());
        }
    }
    // The loader's own file system stays behind with the loader; another provider goes along.
    if let Some(entry) = archive.find(FILE_SYSTEMS) {
        let text = archive.read(&entry, 64 << 10)?;
        if !String::from_utf8_lossy(&text).contains("org.springframework.boot.loader.") {
            entries.insert(entry.name.clone(), entry);
        }
    }
    for entry in archive.entries() {
        if let Some(name) = entry.name.strip_prefix(CLASSES).filter(|name| !name.is_empty()) {
            entries.insert(name.to_owned(), entry.clone());
        }
    }
    Ok(entries)
}

fn rewrite(manifest: &mut Manifest, main_class: &str, libraries: &[Entry]) {
    let loader = ["Start-Class", "Spring-Boot-Classes", "Spring-Boot-Lib", "Spring-Boot-Classpath-Index"];
    for name in loader.into_iter().chain(["Spring-Boot-Layers-Index", "Class-Path"]) {
        manifest.remove(name);
    }
    manifest.set("Main-Class", main_class);
    let jars: Vec<String> = libraries
        .iter()
        .filter_map(|entry| entry.name.strip_prefix(LIBRARIES))
        .map(|name| format!("lib/{}", encode(name)))
        .collect();
    if !jars.is_empty() {
        manifest.set("Class-Path", jars.join(" "));
    }
}

/// A file name as part of a relative URL, which `Class-Path` consists of.
pub(super) fn encode(name: &str) -> String {
    name.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'+' | b'@' | b'$' | b',' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
