//! Reading a zip file that nobody vouches for.

use std::fs::File;
use std::io::{BufReader, Read, Write};

use ::zip::ZipArchive;

use crate::model::failure::{Failure, FailureCode};

/// What an archive may cost to read.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of the file itself.
    pub archive: u64,
    /// Entries.
    pub entries: usize,
    /// Uncompressed bytes of one entry.
    pub entry: u64,
    /// Uncompressed bytes of all entries.
    pub total: u64,
    /// Uncompressed bytes per compressed byte of an entry of more than 8 MiB; deflate reaches 1032, program code 5.
    pub ratio: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { archive: 2 << 30, entries: 200_000, entry: 1 << 30, total: 4 << 30, ratio: 200 }
    }
}

const RATIO_FROM: u64 = 8 << 20;

/// An open archive whose entries have been checked.
#[derive(Debug)]
pub struct Archive {
    zip: ZipArchive<BufReader<File>>,
    name: String,
    entries: Vec<Entry>,
}

/// One entry, as the central directory declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The path; ends in `/` for a directory.
    pub name: String,
    /// The uncompressed size.
    pub size: u64,
    index: usize,
}

impl Entry {
    /// Whether it is a directory.
    #[must_use]
    pub fn is_directory(&self) -> bool {
        self.name.ends_with('/')
    }
}

impl Archive {
    /// Opens an archive and checks every entry's name and declared size. `name` is for messages.
    ///
    /// # Errors
    /// `artifact_invalid` if it is no zip file, has an entry that would leave its directory (`../`, absolute, backslash,
    /// NUL, control character), an encrypted entry, overlapping data, or exceeds a limit.
    pub fn open(file: File, name: &str, limits: &Limits) -> Result<Self, Failure> {
        let length = file.metadata().map_err(|error| invalid(name, &error.to_string()))?.len();
        if length > limits.archive {
            return Err(invalid(name, &format!("it has {length} bytes, more than {}", limits.archive)));
        }
        let mut zip = ZipArchive::new(BufReader::new(file))
            .map_err(|error| invalid(name, &format!("it cannot be read as a zip file: {error}")))?;
        if zip.len() > limits.entries {
            return Err(invalid(name, &format!("it has {} entries, more than {}", zip.len(), limits.entries)));
        }
        if zip.has_overlapping_files().map_err(|error| invalid(name, &error.to_string()))? {
            return Err(invalid(name, "entries share their data, as in a decompression bomb"));
        }
        let entries = check_entries(&zip, name, limits)?;
        Ok(Self { zip, name: name.to_owned(), entries })
    }

    /// The entries in the archive's order.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entry of that name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<Entry> {
        self.entries.iter().find(|entry| entry.name == name).cloned()
    }

    /// Whether two entries have the same name, which Java tolerates and nobody can read the same way.
    #[must_use]
    pub fn has_duplicates(&self) -> bool {
        self.zip.has_duplicate_names()
    }

    /// Whether it is a signed jar: then its bytes must stay as they are.
    #[must_use]
    pub fn is_signed(&self) -> bool {
        self.entries.iter().any(|entry| is_signature(&entry.name))
    }

    /// An entry's data as it is compressed, for copying it into another archive.
    pub(super) fn raw(&mut self, entry: &Entry) -> Result<::zip::read::ZipFile<'_, BufReader<File>>, Failure> {
        self.zip.by_index_raw(entry.index).map_err(|error| invalid(&self.name, &format!("`{}`: {error}", entry.name)))
    }

    /// What the archive is called in messages.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Reads an entry of at most `limit` bytes.
    ///
    /// # Errors
    /// `artifact_invalid` if it is larger, or its data is damaged.
    pub fn read(&mut self, entry: &Entry, limit: u64) -> Result<Vec<u8>, Failure> {
        if entry.size > limit {
            return Err(invalid(&self.name, &format!("`{}` has {} bytes, more than {limit}", entry.name, entry.size)));
        }
        let mut bytes = Vec::new();
        self.copy(entry, &mut bytes)?;
        Ok(bytes)
    }

    /// Writes an entry's data to `to` and tells its size.
    ///
    /// # Errors
    /// `artifact_invalid` if the data is damaged or has another size than declared; `disk_full` or `internal` if `to`
    /// cannot be written.
    pub fn copy(&mut self, entry: &Entry, to: &mut impl Write) -> Result<u64, Failure> {
        let damaged = |error: &dyn std::fmt::Display| invalid(&self.name, &format!("`{}`: {error}", entry.name));
        let from = self.zip.by_index(entry.index).map_err(|error| damaged(&error))?;
        // One byte more than declared is enough to notice a lie.
        let mut from = from.take(entry.size + 1);
        let mut buffer = vec![0; 64 * 1024];
        let mut copied = 0;
        loop {
            let read = from.read(&mut buffer).map_err(|error| damaged(&error))?;
            if read == 0 {
                break;
            }
            to.write_all(&buffer[..read])
                .map_err(|error| super::safe_fs::failure("write", entry.name.as_ref(), error))?;
            copied += read as u64;
        }
        if copied == entry.size { Ok(copied) } else { Err(damaged(&"its size is not the one declared")) }
    }
}

fn check_entries<R: Read + std::io::Seek>(
    zip: &ZipArchive<R>,
    archive: &str,
    limits: &Limits,
) -> Result<Vec<Entry>, Failure> {
    let mut total = 0u64;
    let mut entries = Vec::with_capacity(zip.len());
    for index in 0..zip.len() {
        let data = zip.by_index_data(index).map_err(|error| invalid(archive, &error.to_string()))?;
        let name = String::from_utf8(data.name_raw().to_vec())
            .ok()
            .or_else(|| data.name().ok().map(std::borrow::Cow::into_owned))
            .ok_or_else(|| invalid(archive, "an entry's name cannot be decoded"))?;
        if !is_safe(&name) {
            return Err(invalid(archive, &format!("the entry {name:?} would leave its directory")));
        }
        let size = data.size();
        total = total.saturating_add(size);
        let problem = if data.encrypted() {
            Some("it is encrypted".to_owned())
        } else if size > limits.entry {
            Some(format!("it would unpack to {size} bytes, more than {}", limits.entry))
        } else if size > RATIO_FROM && size / data.compressed_size().max(1) > limits.ratio {
            Some("it is compressed like a decompression bomb".to_owned())
        } else if total > limits.total {
            Some(format!("with it the archive would unpack to more than {} bytes", limits.total))
        } else {
            None
        };
        if let Some(problem) = problem {
            return Err(invalid(archive, &format!("`{name}`: {problem}")));
        }
        entries.push(Entry { name, size, index });
    }
    Ok(entries)
}

/// Whether an entry belongs to a jar's signature (JAR File Specification, "Signed JAR File").
#[must_use]
pub fn is_signature(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    name.strip_prefix("META-INF/").is_some_and(|file| {
        let extension = file.rsplit('.').next().unwrap_or_default();
        !file.contains('/') && (matches!(extension, "SF" | "RSA" | "DSA" | "EC") || file.starts_with("SIG-"))
    })
}

/// Whether an entry's name is a relative path without steps up, in the form that the ZIP specification (APPNOTE 4.4.17)
/// demands: forward slashes, no drive, no leading slash.
fn is_safe(name: &str) -> bool {
    let path = name.strip_suffix('/').unwrap_or(name);
    !path.is_empty()
        && !name.contains(['\\', '\0'])
        && !name.chars().any(char::is_control)
        && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

fn invalid(archive: &str, problem: &str) -> Failure {
    Failure::new(FailureCode::ArtifactInvalid, format!("`{archive}` is not usable: {problem}"))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use ::zip::write::SimpleFileOptions;
    use ::zip::{CompressionMethod, ZipWriter};
    use proptest::prelude::*;

    /// Makes a zip file as a build might, with names that are taken as they are.
    pub(in crate::artifact) fn make(path: &std::path::Path, entries: &[(&str, &[u8])]) {
        let mut writer = ZipWriter::new(File::create(path).unwrap());
        for (name, bytes) in entries {
            #[allow(clippy::case_sensitive_file_extension_comparisons, reason = "names of the test's own")]
            let options = SimpleFileOptions::default().compression_method(if name.ends_with(".jar") {
                CompressionMethod::Stored
            } else {
                CompressionMethod::Deflated
            });
            if name.ends_with('/') {
                writer.add_directory(*name, options).unwrap();
            } else {
                writer.start_file(*name, options).unwrap();
                writer.write_all(bytes).unwrap();
            }
        }
        writer.finish().unwrap();
    }

    fn open(entries: &[(&str, &[u8])], limits: &Limits) -> Result<Archive, Failure> {
        let temp = tempfile::NamedTempFile::new().unwrap();
        make(temp.path(), entries);
        Archive::open(File::open(temp.path()).unwrap(), "x.jar", limits)
    }

    #[test]
    fn honest_archives_are_read() {
        let mut archive = open(&[("a/", b""), ("a/b.txt", b"hello")], &Limits::default()).unwrap();
        assert!(archive.find("a/").unwrap().is_directory());
        let entry = archive.find("a/b.txt").unwrap();
        assert_eq!(archive.read(&entry, 5).unwrap(), b"hello");
        assert_eq!(archive.read(&entry, 4).unwrap_err().code, FailureCode::ArtifactInvalid);
    }

    #[test]
    fn names_that_leave_the_directory_are_refused() {
        for name in ["../x", "a/../../x", "/etc/passwd", "a\\..\\x", "a\0b", "a//b", "./a", "a\nb"] {
            let failure = open(&[(name, b"x")], &Limits::default()).unwrap_err();
            assert_eq!(failure.code, FailureCode::ArtifactInvalid, "{name:?}");
        }
    }

    #[test]
    fn bombs_are_refused_by_every_limit() {
        let zeros = vec![0; 9 << 20];
        let default = Limits::default();
        assert!(open(&[("zeros", &zeros)], &default).unwrap_err().message.contains("bomb"));
        let small = Limits { entry: 3, ..default };
        assert!(open(&[("a", b"four")], &small).unwrap_err().message.contains("more than 3"));
        let small = Limits { total: 7, ..default };
        assert!(open(&[("a", b"four"), ("b", b"four")], &small).unwrap_err().message.contains("more than 7"));
        let small = Limits { entries: 1, ..default };
        assert!(open(&[("a", b""), ("b", b"")], &small).unwrap_err().message.contains("2 entries"));
        let small = Limits { archive: 10, ..default };
        assert!(open(&[("a", b"four")], &small).unwrap_err().message.contains("more than 10"));
    }

    #[test]
    fn what_is_no_zip_file_is_invalid() {
        let temp = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(temp.path(), "<html>not found</html>").unwrap();
        let failure = Archive::open(File::open(temp.path()).unwrap(), "x.jar", &Limits::default()).unwrap_err();
        assert_eq!(failure.code, FailureCode::ArtifactInvalid);
    }

    proptest! {
        #[test]
        fn damaged_archives_never_panic(position in 0usize..200, byte: u8, cut in 0usize..200) {
            let temp = tempfile::NamedTempFile::new().unwrap();
            make(temp.path(), &[("META-INF/MANIFEST.MF", b"Main-Class: a.B\r\n"), ("a/B.class", b"class")]);
            let mut bytes = std::fs::read(temp.path()).unwrap();
            let position = position % bytes.len();
            bytes[position] = byte;
            bytes.truncate(bytes.len() - cut % 20);
            std::fs::write(temp.path(), bytes).unwrap();
            if let Ok(mut archive) = Archive::open(File::open(temp.path()).unwrap(), "x.jar", &Limits::default()) {
                for entry in archive.entries().to_vec() {
                    let _ = archive.read(&entry, 1 << 20);
                }
            }
        }
    }
}
