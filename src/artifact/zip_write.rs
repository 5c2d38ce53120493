//! Writing a jar whose bytes depend on nothing but its entries.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;

use ::zip::write::SimpleFileOptions;
use ::zip::{CompressionMethod, DateTime, System, ZipWriter};

use super::manifest::{MANIFEST_PATH, Manifest};
use super::zip::{Archive, Entry};
use crate::model::failure::{Failure, FailureCode};

/// Writes a jar of entries of `archive` under new names, with a manifest of its own.
///
/// The manifest comes first, as `JarInputStream` wants it, then the entries sorted by name, each with the time
/// 1980-01-01 (the earliest of the format) and the mode 0644. A directory entry is made for every directory:
/// class-path scanners find packages by them.
///
/// # Errors
/// `artifact_invalid` if the archive is damaged; `disk_full`, `internal`.
pub fn write_jar(
    archive: &mut Archive,
    entries: &BTreeMap<String, Entry>,
    manifest: &Manifest,
    to: File,
) -> Result<u64, Failure> {
    let mut names = BTreeMap::new();
    for (name, entry) in entries {
        for (position, _) in name.match_indices('/') {
            names.entry(name[..=position].to_owned()).or_insert(None);
        }
        if !name.ends_with('/') && name != MANIFEST_PATH {
            names.insert(name.clone(), Some(entry));
        }
    }
    names.remove("META-INF/");
    let mut writer = ZipWriter::new(to);
    writer.add_directory("META-INF/", options()).map_err(fail)?;
    writer.start_file(MANIFEST_PATH, options()).map_err(fail)?;
    writer.write_all(&manifest.to_bytes()).map_err(|error| fail(error.into()))?;
    for (name, entry) in names {
        match entry {
            None => writer.add_directory(name, options()).map_err(fail)?,
            Some(entry) => {
                writer.start_file(name, options()).map_err(fail)?;
                archive.copy(entry, &mut writer)?;
            }
        }
    }
    let file = writer.finish().map_err(fail)?;
    Ok(file.metadata().map_err(|error| fail(error.into()))?.len())
}

/// Writes an archive again with every time fixed and its data as it was compressed, so that entries which must be
/// stored stay stored. `sorted` puts the entries in the order of their names, the manifest first.
///
/// # Errors
/// `artifact_invalid` if the archive is damaged; `disk_full`, `internal`.
pub fn normalise(archive: &mut Archive, sorted: bool, to: File) -> Result<u64, Failure> {
    let mut entries = archive.entries().to_vec();
    if sorted {
        let rank = |name: &str| match name {
            "META-INF/" => 0,
            MANIFEST_PATH => 1,
            _ => 2,
        };
        entries.sort_by(|a, b| (rank(&a.name), &a.name).cmp(&(rank(&b.name), &b.name)));
    }
    let mut writer = ZipWriter::new(to);
    for entry in &entries {
        if entry.is_directory() {
            writer.add_directory(entry.name.as_str(), options()).map_err(fail)?;
        } else {
            let raw = archive.raw(entry)?;
            writer.raw_copy_file_touch(raw, DateTime::default(), Some(0o644)).map_err(fail)?;
        }
    }
    let file = writer.finish().map_err(fail)?;
    Ok(file.metadata().map_err(|error| fail(error.into()))?.len())
}

/// All that the crate would otherwise take from its environment, fixed; level 6 is zlib's usual one.
fn options() -> SimpleFileOptions {
    SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(6))
        .last_modified_time(DateTime::default())
        .unix_permissions(0o644)
        .system(System::Unix)
}

fn fail(error: ::zip::result::ZipError) -> Failure {
    match error {
        ::zip::result::ZipError::Io(error) => super::safe_fs::failure("write", "application.jar".as_ref(), error),
        other => Failure::new(FailureCode::Internal, format!("cannot write `application.jar`: {other}")),
    }
}
